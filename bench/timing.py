"""Measure by turns, so that whatever else the machine does slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from statistics import median

Action = Callable[[], object]


def seconds(action: Action) -> float:
    """Return how long `action` takes by the monotonic clock."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def medians(
    actions: Mapping[str, Action],
    *,
    rounds: int,
    before: Mapping[str, Action] | None = None,
    seldom: Collection[str] = (),
) -> dict[str, float]:
    """Return the median duration of each action over `rounds`, in which each has its turn.

    `before` names what is done before a turn and not measured. One more round comes first and is not
    counted. The actions in `seldom` are slow and far from any budget: they have their turn in two rounds.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            if name in seldom and number not in (1, 2):
                continue
            if before is not None and name in before:
                before[name]()
            taken = seconds(action)
            if number:
                times[name].append(taken)
    return {name: median(taken) for name, taken in times.items()}
