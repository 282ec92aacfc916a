"""How runs, changes and commits are named in sentences.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitlimmat.model import duration
from gitlimmat.queue.state import Run


def branch(target: str) -> str:
    """Return the name of a target as people say it."""
    return target.removeprefix("refs/heads/") or "it"


def short(oid: str) -> str:
    """Return a commit's name as people say it."""
    return oid[:12]


def numbers(changes: Iterable[int], *, most: int = 4) -> str:
    """Return changes by number, such as `#4, #9 and #12`; of more than `most`, how many more there are."""
    found = [f"#{number}" for number in changes]
    if len(found) > most:
        return f"{', '.join(found[: most - 1])} and {len(found) - most + 1} more"
    return " and ".join(each for each in (", ".join(found[:-1]), *found[-1:]) if each)


def run_of(run: Run) -> str:
    """Return a run's name with the changes it is of."""
    return f"run {run.run} of {numbers(member.change for member in run.members)}"


def others(run: Run, change: int) -> str:
    """Return with whom a change is in a run; empty when it is alone."""
    beside = [member.change for member in run.members if member.change != change]
    return f" together with {numbers(beside)}" if beside else ""


def one_line(text: str) -> str:
    """Return what someone wrote without line breaks."""
    return " ".join(text.split())


def because(reason: str) -> str:
    """Return a reason as it is put after what it explains; empty when there is none."""
    return f": {one_line(reason)}" if reason.strip() else ""


def span(seconds: float) -> str:
    """Return how long something may take, whatever a timeline says of it."""
    return duration(min(max(0.0, seconds), 1e9))
