"""Runs as all of their members tell them, what is wrong with those at work, and which is built on which.

Layer:  pure. May import model and errors.

A run is told by the timeline of each member. Where these differ (a crash between two writes, a wish that
reached only one of them) the run does not count, and what is missing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gitlimmat.queue.events import Kind, Member, RunOutcome
from gitlimmat.queue.hold import Ground
from gitlimmat.queue.phrase import branch, short, span
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import End, Snapshot
from gitlimmat.queue.state import UNROLLED, Change, Forge, Run


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A run with the runs of that name in its members' timelines; `run` is one of them.

    `ready_in` has the changes that are to land by it, as far as their own timelines say.
    """

    run: Run
    told: Mapping[int, Run]
    ready_in: tuple[int, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it is at work for all of its members."""
        return len(self.told) == len(self.run.members) and all(run.is_open for run in self.told.values())

    @property
    def has_passed(self) -> bool:
        """Whether it has passed for all of its members."""
        passed = all(run.outcome is RunOutcome.PASSED for run in self.told.values())
        return passed and len(self.told) == len(self.run.members)

    @property
    def open_in(self) -> tuple[int, ...]:
        """The changes whose timelines do not say that it is over."""
        return tuple(sorted(number for number, run in self.told.items() if run.is_open))

    def end(self, fault: Fault) -> End | None:
        """Return what is to be said of it once it is over; None when all is said."""
        run = self.run.run
        if self.open_in:
            return End(run=run, changes=self.open_in, outcome=fault.outcome, reason=fault.reason)
        if self.ready_in:
            return End(run=run, changes=self.ready_in, outcome=RunOutcome.SUPERSEDED, reason=fault.reason)
        return None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run is over, though not all of its members say so."""

    outcome: RunOutcome
    reason: str


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """The auto runs of a target that may land one after another, and those that cannot any more."""

    stack: tuple[Work, ...] = ()
    ends: tuple[tuple[Work, Fault], ...] = ()


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """All that is at work. `busy` has the changes of auto runs that are open for anyone or that may land."""

    lanes: Mapping[str, Lane]
    busy: frozenset[int]
    ground: Ground
    tries: tuple[Work, ...]
    tries_ended: tuple[tuple[Work, Fault], ...]

    def lane(self, target: str) -> Lane:
        """Return the lane of a target."""
        return self.lanes.get(target, Lane())

    def work_of(self, change: Change) -> Work | None:
        """Return the auto run of a change that may still land."""
        return next(
            (
                work
                for work in self.lane(change.target).stack
                if any(member.change == change.id for member in work.run.members)
            ),
            None,
        )


def survey(snapshot: Snapshot, rules: Rules, now: float) -> Survey:
    """Return what is at work. Never raises."""
    autos: dict[str, list[Work]] = {}
    tries: list[Work] = []
    tries_ended: list[tuple[Work, Fault]] = []
    for work in _works(snapshot):
        if work.run.kind is Kind.AUTO:
            autos.setdefault(work.run.target, []).append(work)
        elif (found := _fault(work, snapshot, rules, now)) is not None:
            tries_ended.append((work, found))
        else:
            tries.append(work)
    lanes = {target: _lane(target, works, snapshot, rules, now) for target, works in autos.items()}
    stacked = {member.change for lane in lanes.values() for work in lane.stack for member in work.run.members}
    opened = {number for works in autos.values() for work in works if work.open_in for number in work.told}
    landed = {change.landed_by for change in snapshot.changes.values() if change.landed_by}
    live = {work.run.run for lane in lanes.values() for work in lane.stack}
    return Survey(
        lanes=lanes,
        busy=frozenset(stacked | opened),
        ground=Ground(landed=frozenset(landed | snapshot.facts.merged), live=frozenset(live)),
        tries=tuple(tries),
        tries_ended=tuple(tries_ended),
    )


def _works(snapshot: Snapshot) -> list[Work]:
    """Return every run that is open somewhere, or that has passed and has not landed, oldest first."""
    found: dict[str, dict[int, Run]] = {}
    ready: dict[str, list[int]] = {}
    for change in snapshot.changes.values():
        for run in change.runs:
            if run.outcome is None:
                found.setdefault(run.run, {})[change.id] = run
        auto = change.auto if change.forge is Forge.OPEN else None
        if auto is not None and auto.outcome is RunOutcome.PASSED:
            found.setdefault(auto.run, {})[change.id] = auto
            if change.is_approved:
                ready.setdefault(auto.run, []).append(change.id)
    works = []
    for name, told in found.items():
        run = next(iter(told.values()))
        members = _told_by_members(run, snapshot) | told
        works.append(Work(run=run, told=members, ready_in=tuple(sorted(ready.get(name, ())))))
    return sorted(works, key=lambda work: (work.run.started, work.run.run))


def _told_by_members(run: Run, snapshot: Snapshot) -> dict[int, Run]:
    told = {}
    for member in run.members:
        change = snapshot.changes.get(member.change)
        known = change.run(run.run) if change is not None else None
        if known is not None:
            told[member.change] = known
    return told


def _lane(target: str, works: list[Work], snapshot: Snapshot, rules: Rules, now: float) -> Lane:
    faults = {work.run.run: _fault(work, snapshot, rules, now) for work in works}
    sound = [
        work
        for work in works
        if (fault := faults[work.run.run]) is None or fault.outcome is RunOutcome.PASSED
    ]
    tip = snapshot.facts.tips.get(target, "")
    stack = _stack(tip, sound)
    stacked = {work.run.run for work in stack}
    to_come = {tip, *(work.run.merge for work in stack)}
    ends = []
    for work in works:
        fault = faults[work.run.run]
        if fault is None and work.run.run not in stacked:
            if not work.open_in and (not tip or work.run.base in to_come):
                continue  # nothing is lost by keeping what has passed, while it may still be as it was tested
            fault = Fault(outcome=RunOutcome.SUPERSEDED, reason=_overtaken(work, snapshot))
        if fault is not None and work.end(fault) is not None:
            ends.append((work, fault))
    return Lane(stack=stack, ends=tuple(ends))


def _stack(tip: str, works: Iterable[Work]) -> tuple[Work, ...]:
    """Return the runs that may land in turn: the first on the tip, each other on the merge before it."""
    stack: list[Work] = []
    left = list(works)
    at, after = tip, ""
    while at:
        found = next(
            (each for each in left if each.run.base == at and (not after or each.run.after == after)), None
        )
        if found is None:
            break
        left.remove(found)
        stack.append(found)
        at, after = found.run.merge, found.run.run
    return tuple(stack)


def _overtaken(work: Work, snapshot: Snapshot) -> str:
    """Return why a run is no part of the stack."""
    run = work.run
    tip = snapshot.facts.tips.get(run.target, "")
    if run.base == tip:
        return f"another run is at work on {short(tip)}"
    landed = snapshot.facts.merged.union(change.landed_by for change in snapshot.changes.values())
    if run.after and run.after not in landed:
        return f"run {run.after}, which it is built on, has not landed"
    return (
        f"{branch(run.target)} is at {short(tip)} and no more at {short(run.base)}"
        if tip
        else _gone(run.target)
    )


def _fault(work: Work, snapshot: Snapshot, rules: Rules, now: float) -> Fault | None:
    """Return why a run is over by what its members say, or by the clock."""
    return (
        _disagreement(work)
        or _first_end(work)
        or _unwanted(work, snapshot, rules)
        or _lost(work, snapshot)
        or _late(work, now)
    )


def _disagreement(work: Work) -> Fault | None:
    """Return the fault of a run that not every member knows of, or that they tell otherwise."""
    numbers = [member.change for member in work.run.members]
    missing = [number for number in numbers if number not in work.told]
    if missing:
        return Fault(outcome=RunOutcome.SUPERSEDED, reason=f"#{missing[0]} does not know of it")
    if len(set(numbers)) != len(numbers) or len({_identity(run) for run in work.told.values()}) != 1:
        return Fault(outcome=RunOutcome.SUPERSEDED, reason="its members disagree about it")
    return None


def _identity(run: Run) -> tuple[Kind, str, tuple[Member, ...], str, str, bool]:
    return run.kind, run.target, run.members, run.base, run.merge, run.repair


def _first_end(work: Work) -> Fault | None:
    """Return how a run has ended for some of its members, when it is otherwise for others."""
    if work.has_passed:
        return None
    ended = [(number, run) for number, run in work.told.items() if run.outcome is not None]
    bad = [each for each in ended if each[1].outcome is not RunOutcome.PASSED]
    for number, run in (*bad, *ended):
        if run.outcome is not None:
            return Fault(outcome=run.outcome, reason=_told_reason(number, run))
    return None


def _told_reason(number: int, run: Run) -> str:
    if run.is_unrolled:
        return UNROLLED
    if not run.cancelled_by:
        return run.reason
    if run.is_retired:
        return f"{run.cancelled_by} asked for a retry of #{number}"
    word = "let #{} yield" if run.is_yielding else "cancelled #{}"
    return f"{run.cancelled_by} {word.format(number)}"


def _unwanted(work: Work, snapshot: Snapshot, rules: Rules) -> Fault | None:
    run = work.run
    if run.kind is Kind.AUTO and run.target not in rules.targets:
        return Fault(outcome=RunOutcome.CANCELLED, reason=f"{branch(run.target)} is no target of this queue")
    for member in run.members:
        change = snapshot.changes.get(member.change)
        if change is None:
            continue
        if change.forge is Forge.LANDED or (run.kind is Kind.AUTO and _has_newer(change, run)):
            reason = (
                f"#{change.id} has landed"
                if change.forge is Forge.LANDED
                else f"#{change.id} has another run"
            )
            return Fault(outcome=RunOutcome.SUPERSEDED, reason=reason)
        reason = _withdrawn(change, member, run)
        if reason:
            return Fault(outcome=RunOutcome.CANCELLED, reason=f"#{change.id} {reason}")
    if run.kind is not Kind.AUTO or not rules.are_known:
        return None
    return _outdated(run, rules) or _distrusted(run, rules)


def _outdated(run: Run, rules: Rules) -> Fault | None:
    """Return the fault of a run whose merge, or whose tests, would be others by the settings as they are."""
    if (run.policy, run.chosen, run.every_commit) == (rules.policy, rules.tests, rules.every_commit):
        return None
    return Fault(outcome=RunOutcome.SUPERSEDED, reason="the settings for runs are others now")


def _distrusted(run: Run, rules: Rules) -> Fault | None:
    """Return the fault of a run that has taken over results of somebody who is not trusted any more."""
    name = next((job.by for job in run.jobs if job.by and job.by not in rules.trusted), None)
    if name is None:
        return None
    return Fault(outcome=RunOutcome.SUPERSEDED, reason=f"results of {name} do not count any more")


def _has_newer(change: Change, run: Run) -> bool:
    newest = next((each for each in reversed(change.runs) if each.kind is Kind.AUTO), None)
    return newest is not None and newest.run != run.run


def _withdrawn(change: Change, member: Member, run: Run) -> str:
    """Return what has become of a member so that its run is not wanted any more; empty when nothing."""
    if change.forge is Forge.CLOSED:
        return "was closed"
    if change.target != run.target:
        return f"goes to {branch(change.target)} now"
    if change.head != member.head:
        return "has another head now"
    if run.kind is Kind.TRY:
        newest = next(each for each in reversed(change.runs) if each.kind is Kind.TRY)
        return "" if newest.run == run.run and not newest.is_retired else "has a newer try"
    if change.is_draft:
        return "is a draft now"
    if change.approval is None or not change.is_approved:
        return "is not approved any more"
    known = change.run(run.run)
    if known is not None and known.is_retired:
        return "is to be tested again"
    if known is not None and known.by != change.approval.by:
        return f"is approved by {change.approval.by} now"  # its merge names the other one
    return "is approved without --repair now" if run.repair and not change.approval.repair else ""


def _lost(work: Work, snapshot: Snapshot) -> Fault | None:
    if work.run.merge not in snapshot.facts.lost:
        return None
    return Fault(
        outcome=RunOutcome.SUPERSEDED, reason=f"its merge {short(work.run.merge)} is not there any more"
    )


def _late(work: Work, now: float) -> Fault | None:
    if not work.open_in or now <= work.run.deadline:
        return None
    return Fault(
        outcome=RunOutcome.TIMED_OUT,
        reason=f"it has taken more than {span(work.run.limit)}",
    )


def _gone(target: str) -> str:
    return f"{branch(target)} does not exist any more"
