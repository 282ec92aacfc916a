"""In which order changes go.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

from collections.abc import Iterable

from gitlimmat.queue.events import Kind, Rollup, RunOutcome
from gitlimmat.queue.hold import BAD
from gitlimmat.queue.snapshot import Snapshot
from gitlimmat.queue.state import Change, Forge

_ROLLUP = {Rollup.NEVER: 0, Rollup.IFFY: 1, Rollup.MAYBE: 2, Rollup.ALWAYS: 3}
"""What is tested alone goes first: it has no batch to be carried by."""

_VERDICTS = {RunOutcome.PASSED} | BAD


def in_order(changes: Iterable[Change], snapshot: Snapshot) -> list[Change]:
    """Return `changes` as they are to be started: by priority, rollup, time of approval and number.

    Those that yield are last.
    """
    found = list(changes)
    last = yielding(found, snapshot)
    return sorted(found, key=lambda change: (change.id in last, *_key(change)))


def yielding(changes: Iterable[Change], snapshot: Snapshot) -> frozenset[int]:
    """Return the numbers of those that let others go first: until another one's run has had a verdict."""
    asked = [(each, each.auto) for each in changes]
    since = {each.id: auto.ended or 0.0 for each, auto in asked if auto is not None and auto.is_yielding}
    if not since:
        return frozenset()
    latest = _latest_verdicts(snapshot)
    return frozenset(
        each.id
        for each, _ in asked
        if each.id in since
        and not any(
            at > since[each.id] and number != each.id for at, number in latest.get(each.target, ())[:2]
        )
    )


def _latest_verdicts(snapshot: Snapshot) -> dict[str, list[tuple[float, int]]]:
    """Return when an auto run of each change had its last verdict, by target, the latest first."""
    latest: dict[str, dict[int, float]] = {}
    for change in snapshot.changes.values():
        for run in change.runs:
            if run.kind is Kind.AUTO and run.outcome in _VERDICTS and run.ended is not None:
                of_target = latest.setdefault(run.target, {})
                of_target[change.id] = max(run.ended, of_target.get(change.id, run.ended))
    return {
        target: sorted(((at, number) for number, at in ended.items()), reverse=True)
        for target, ended in latest.items()
    }


def queue_order(snapshot: Snapshot, target: str) -> tuple[Change, ...]:
    """Return every open change of a target: those in a run, the approved ones in line, and the others."""
    found = [
        change
        for change in snapshot.changes.values()
        if change.forge is Forge.OPEN and change.is_opened and change.target == target
    ]
    last = yielding(found, snapshot)
    return tuple(sorted(found, key=lambda change: (*_stage(change, last), *_key(change))))


def _key(change: Change) -> tuple[int, int, float, int]:
    approved = change.approval.at if change.approval is not None else 0.0
    return -change.priority, _ROLLUP[change.rollup], approved, change.id


def _stage(change: Change, last: frozenset[int]) -> tuple[int, float, int]:
    """Return where in its life a change is; those at work by when their runs began."""
    auto = change.auto
    if auto is not None and auto.outcome in (None, RunOutcome.PASSED) and change.is_approved:
        place = next((at for at, member in enumerate(auto.members) if member.change == change.id), 0)
        return 0, auto.started, place
    if not change.is_approved:
        return 4, 0.0, 0
    if auto is not None and auto.outcome in BAD and len(auto.members) == 1:
        return 3, 0.0, 0
    if auto is not None and auto.is_held:
        return 3, 0.0, 0
    return (2 if change.id in last else 1), 0.0, 0
