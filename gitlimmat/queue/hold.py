"""What keeps a change from being tested for landing: one place for the planner and for what is said about it.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from gitlimmat.queue.events import Kind, RunOutcome
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Broken, Snapshot
from gitlimmat.queue.state import Change, Forge, Run

BAD = {RunOutcome.FAILED, RunOutcome.ERRORED, RunOutcome.TIMED_OUT}
"""How a run ends that speaks against its members."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """Names of runs that others are built on: those that have landed, and those that still may."""

    landed: frozenset[str] = frozenset()
    live: frozenset[str] = frozenset()

    def is_firm(self, run: Run) -> bool:
        """Whether what a run was built on has landed, so that its verdict is about its members."""
        return not run.after or run.after in self.landed

    def is_awaited(self, run: Run) -> bool:
        """Whether it is still open if that will be so."""
        return not self.is_firm(run) and run.after in self.live


class Hold(StrEnum):
    """Why a change cannot start. The first that holds is the one that is said."""

    LANDED = "landed"
    CLOSED = "closed"
    NO_TARGET = "no target"  # not one of this queue's, or it does not exist
    DRAFT = "draft"
    UNAPPROVED = "unapproved"
    CONTAINED = "contained"  # its head is in the target already
    CANCELLED = "cancelled"  # until a retry or an approval
    BLAMED = "blamed"  # it was tested alone and did not pass
    AWAITED = "awaited"  # it did not pass on what has yet to land, which may be the fault of that
    CONFLICT = "conflict"
    BROUGHT = "brought"  # what is to land before it has its head
    BLOCKED = "blocked"  # it could not be merged just now, for a reason that is not its own
    BROKEN = "broken"  # the tests of what it would be merged onto cannot be read
    PAUSED = "paused"
    TREE_CLOSED = "tree closed"


def hold(change: Change, snapshot: Snapshot, rules: Rules, ground: Ground, base: str) -> Hold | None:
    """Return why `change` cannot be tested on `base` now; None when it can, once it is its turn."""
    return (
        _unwanted(change, snapshot, rules)
        or _spent(change, ground)
        or _unfit(change, snapshot, base)
        or _shut(change, snapshot)
    )


def _unwanted(change: Change, snapshot: Snapshot, rules: Rules) -> Hold | None:
    if change.forge is Forge.LANDED:
        return Hold.LANDED
    if change.forge is Forge.CLOSED or not change.is_opened:
        return Hold.CLOSED
    if change.target not in rules.targets or change.target not in snapshot.facts.tips:
        return Hold.NO_TARGET
    if change.is_draft:
        return Hold.DRAFT
    if not change.is_approved:
        return Hold.UNAPPROVED
    return Hold.CONTAINED if change.id in snapshot.facts.contained else None


def _spent(change: Change, ground: Ground) -> Hold | None:
    """Return whether its last run says that it is not to be tested again by itself."""
    auto = change.auto
    if auto is None:
        return None
    if auto.outcome is RunOutcome.CANCELLED:
        return Hold.CANCELLED if auto.is_held else None
    if auto.outcome not in BAD:
        return None
    if ground.is_awaited(auto):
        return Hold.AWAITED
    return Hold.BLAMED if ground.is_firm(auto) and len(auto.members) == 1 else None


def _unfit(change: Change, snapshot: Snapshot, base: str) -> Hold | None:
    """Return whether it does not fit `base`."""
    if is_conflicting(change, snapshot, base):
        return Hold.CONFLICT
    if (change.head, base) in snapshot.facts.brought:
        return Hold.BROUGHT
    if (change.head, base) in snapshot.facts.blocked:
        return Hold.BLOCKED
    if change.approval is not None and change.approval.repair:
        return None
    return Hold.BROKEN if broken(change.target, snapshot, base) else None


def _shut(change: Change, snapshot: Snapshot) -> Hold | None:
    if snapshot.queue.paused is not None:
        return Hold.PAUSED
    closing = snapshot.queue.closing(change.target)
    return Hold.TREE_CLOSED if closing is not None and change.priority < closing.below else None


def try_hold(change: Change, snapshot: Snapshot, rules: Rules) -> Hold | None:
    """Return why a try that is wanted cannot start now; None when it can, once there is room.

    One of a change that conflicts starts, so that it ends with that and nobody waits for it.
    """
    base = try_base(change, snapshot)
    if change.forge is not Forge.OPEN or change.wanted_try is None or change.wanted_try.head != change.head:
        return Hold.CLOSED
    if change.target not in rules.targets or not base:
        return Hold.NO_TARGET
    if (change.head, base) in snapshot.facts.blocked:
        return Hold.BLOCKED
    is_tip = base == snapshot.facts.tips.get(change.target)
    if broken(change.target if is_tip else "", snapshot, base):
        return Hold.BROKEN
    return Hold.PAUSED if snapshot.queue.paused is not None else None


def try_base(change: Change, snapshot: Snapshot) -> str:
    """Return what a try is merged onto; empty when there is no such commit."""
    wanted = change.wanted_try
    return (wanted.parent if wanted is not None else "") or snapshot.facts.tips.get(change.target, "")


def is_conflicting(change: Change, snapshot: Snapshot, base: str) -> bool:
    """Return whether the head cannot be merged onto `base`, as git says or as a merge has shown."""
    if (change.head, base) in snapshot.facts.conflicts:
        return True
    known = change.conflict
    return known is not None and (known.head, known.base) == (change.head, base)


def broken(target: str, snapshot: Snapshot, base: str) -> Broken | None:
    """Return what is wrong with the tests of `base`; None when nothing is."""
    found = snapshot.facts.broken
    return found.get(base) or found.get(target)


def suspected(change: Change, ground: Ground) -> Run | None:
    """Return the batch that did not pass and that this change has not yet been cleared of.

    Runs since then that ended without a verdict do not clear it.
    """
    for run in _counting(change):
        if run.outcome in BAD and ground.is_firm(run):
            return run if len(run.members) > 1 else None
        if run.outcome is RunOutcome.PASSED or run.is_open:
            return None
    return None


def is_apart(change: Change) -> bool:
    """Return whether someone has taken its last batch apart, so that it is to be tested alone."""
    for run in _counting(change):
        if run.is_unrolled:
            return True
        if run.is_open or run.outcome is RunOutcome.PASSED or run.outcome in BAD:
            return False
    return False


def _counting(change: Change) -> Iterator[Run]:
    """Yield the auto runs of the present head back to the last retry, newest first."""
    for run in reversed(change.runs):
        if run.kind is not Kind.AUTO:
            continue
        if run.is_retired or (run.head, run.target) != (change.head, change.target):
            return
        yield run
