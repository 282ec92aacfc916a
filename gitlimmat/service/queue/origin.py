"""By which landing of the queue a head has come to its target, when it was not its own.

Layer: service.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence

from gitlimmat.git.ancestry import Ancestry
from gitlimmat.git.repository import Repository
from gitlimmat.queue.events import Kind
from gitlimmat.queue.state import Change, Run


class Origins:
    """Asks git, once for each head and tip. For one thread at a time."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._known: dict[tuple[str, str], str] = {}

    def find(
        self,
        changes: Mapping[int, Change],
        contained: Collection[int],
        merged: Collection[str],
        tips: Mapping[str, str],
    ) -> dict[int, str]:
        """Return by change the run whose landing has brought the head of it that its target has.

        Shape: those of `contained` that came so; not those that someone has pushed there.
        """
        before, self._known = self._known, {}
        landed: list[Run] | None = None
        for number in sorted(contained):
            change = changes[number]
            key = change.head, tips[change.target]
            run = before.get(key)
            if run is None:
                landed = (
                    sorted(_landed(changes, merged), key=lambda run: run.started)
                    if landed is None
                    else landed
                )
                run = self._origin(*key, [run for run in landed if run.target == change.target])
            self._known[key] = run
        found = {
            number: self._known[changes[number].head, tips[changes[number].target]] for number in contained
        }
        return {number: run for number, run in found.items() if run}

    def _origin(self, head: str, tip: str, landed: Sequence[Run]) -> str:
        """Return the first run of those given, oldest first, that has `head`, if its base has not."""
        place = bisect_left(landed, True, key=lambda run: self._has(run.merge, head))
        if place == len(landed):
            return ""
        run = landed[place]
        is_new = self._has(run.merge, head) and not self._has(run.base, head)
        return run.run if is_new and self._has(tip, run.merge) else ""

    def _has(self, tip: str, oid: str) -> bool:
        history = Ancestry(self._repository)
        history.move(tip)
        return history.has(oid)


def _landed(changes: Mapping[int, Change], merged: Collection[str]) -> Iterator[Run]:
    """Yield the auto runs that have landed, each once, whether or not that was told yet."""
    names = set()
    for change in changes.values():
        for run in change.runs:
            is_there = run.run == change.landed_by or run.run in merged
            if is_there and run.kind is Kind.AUTO and run.run not in names:
                names.add(run.run)
                yield run
