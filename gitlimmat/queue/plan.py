"""Decide what is to be done next: from all state, what git says, the rules and the clock.

Layer:  pure. May import model and errors.
Source: reference/queue.md 3.6: level-triggered, so that what was not done, or not written, is planned again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import assert_never

from msgspec.structs import replace

from gitlimmat.queue.events import Kind, Member, RunOutcome
from gitlimmat.queue.hold import hold, try_base, try_hold
from gitlimmat.queue.lane import Survey, survey
from gitlimmat.queue.order import in_order, queue_order, yielding
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Action, End, Land, Note, Snapshot, Start
from gitlimmat.queue.start import next_members
from gitlimmat.queue.state import Change, Forge, Run

__all__ = ["plan", "queue_order"]


def plan(snapshot: Snapshot, rules: Rules, now: float) -> tuple[Action, ...]:
    """Return what is to be done, in this order; each action is for other changes than the rest. Never raises.

    Shape: notes and ends of runs first, then for each target one landing or one start, then starts of tries.
           Empty when all is as it should be until something happens.
    Units: `now` is seconds since the epoch.
    """
    snapshot = replace(snapshot, changes=dict(snapshot.changes))  # looked through often
    at_work = survey(snapshot, rules, now)
    taken: set[int] = set()
    actions: list[Action] = []
    for action in _wanted(snapshot, rules, at_work, taken):
        concerned = _concerned(action)
        if taken.isdisjoint(concerned):
            taken |= concerned
            actions.append(action)
    return tuple(actions)


def _wanted(snapshot: Snapshot, rules: Rules, at_work: Survey, taken: AbstractSet[int]) -> Iterator[Action]:
    """Yield what is to be done, the most urgent first; `taken` has the changes of what was accepted."""
    yield from _notes(snapshot)
    yield from _ends(at_work)
    if snapshot.queue.paused is not None:
        return
    waiting = _waiting(snapshot, at_work, taken)
    for target in rules.targets:
        stack = at_work.lane(target).stack
        if stack and stack[0].has_passed:
            yield _land(stack[0].run)
        elif len(stack) < max(1, rules.depth):
            yield from _start(snapshot, rules, at_work, target, waiting.get(target, []))
    yield from _start_tries(snapshot, rules, at_work, taken)


def _concerned(action: Action) -> set[int]:
    match action:
        case Start():
            return {member.change for member in action.members}
        case End() | Land():
            return set(action.changes)
        case Note():
            return {action.change}
    assert_never(action)


def _notes(snapshot: Snapshot) -> Iterator[Note]:
    """Yield what git shows to have landed and no timeline says."""
    facts = snapshot.facts
    for change in snapshot.changes.values():
        if change.forge is Forge.LANDED:
            continue
        ours = _merged(change, snapshot)
        if ours is not None:
            by = ours.run if ours.outcome is RunOutcome.PASSED else ""
            yield Note(change=change.id, run=by, target=ours.target, new=ours.merge)
        elif change.id in facts.contained and change.forge is Forge.OPEN and change.target in facts.tips:
            by = facts.came_with.get(change.id, "")
            tip = facts.tips[change.target]
            yield Note(change=change.id, run="", target=change.target, new=tip, came_with=by)


def _merged(change: Change, snapshot: Snapshot) -> Run | None:
    """Return the auto run of a change whose merge the target has."""
    merged = snapshot.facts.merged
    if not merged:
        return None
    return next((run for run in reversed(change.runs) if run.run in merged and run.kind is Kind.AUTO), None)


def _ends(at_work: Survey) -> Iterator[End]:
    for work, fault in (
        *(each for lane in at_work.lanes.values() for each in lane.ends),
        *at_work.tries_ended,
    ):
        if (end := work.end(fault)) is not None:
            yield end


def _land(run: Run) -> Land:
    numbers = tuple(member.change for member in run.members)
    return Land(run=run.run, target=run.target, changes=numbers, old=run.base, new=run.merge)


def _waiting(snapshot: Snapshot, at_work: Survey, taken: AbstractSet[int]) -> dict[str, list[Change]]:
    """Return the changes without a run that may land, by target."""
    busy = set(taken) | at_work.busy
    found: dict[str, list[Change]] = {}
    for change in snapshot.changes.values():
        if change.forge is Forge.OPEN and change.approval is not None and change.id not in busy:
            found.setdefault(change.target, []).append(change)
    return found


def _start(
    snapshot: Snapshot, rules: Rules, at_work: Survey, target: str, waiting: Sequence[Change]
) -> Iterator[Start]:
    """Yield the next run of a lane, if there is one: on the tip or on what is to land before it."""
    stack = at_work.lane(target).stack
    base = stack[-1].run.merge if stack else snapshot.facts.tips.get(target, "")
    ready = [change for change in waiting if hold(change, snapshot, rules, at_work.ground, base) is None]
    last = yielding(ready, snapshot)
    first = [change for change in ready if change.id not in last]
    chosen = next_members(in_order(first or ready, snapshot), snapshot.changes, rules, at_work.ground)
    if not chosen:
        return
    yield Start(
        kind=Kind.AUTO,
        target=target,
        members=tuple(Member(change=change.id, head=change.head) for change in chosen),
        base=base,
        after=stack[-1].run.run if stack else "",
        repair=any(change.approval is not None and change.approval.repair for change in chosen),
    )


def _start_tries(
    snapshot: Snapshot, rules: Rules, at_work: Survey, taken: AbstractSet[int]
) -> Iterator[Start]:
    """Yield tries that wait, the oldest request first, as many as may be at work."""
    free = rules.tries - len(at_work.tries)
    trying = {number for work in at_work.tries for number in work.open_in}
    ready = []
    for change in snapshot.changes.values():
        wanted = change.wanted_try
        if wanted is None or change.id in trying or change.id in taken:
            continue
        if try_hold(change, snapshot, rules) is None:
            ready.append((wanted.at, change.id, change, wanted))
    for _, _, change, wanted in sorted(ready, key=lambda each: each[:2])[: max(0, free)]:
        yield Start(
            kind=Kind.TRY,
            target=change.target,
            members=(Member(change=change.id, head=change.head),),
            base=try_base(change, snapshot),
            tests=wanted.tests,
        )
