"""Which changes the next run is made of.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gitlimmat.queue.events import Policy, Rollup
from gitlimmat.queue.hold import Ground, is_apart, suspected
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.state import Change, Forge, Run

_TOGETHER = {Rollup.MAYBE, Rollup.ALWAYS}


def next_members(
    waiting: Sequence[Change], changes: Mapping[int, Change], rules: Rules, ground: Ground
) -> tuple[Change, ...]:
    """Return the changes of the next run from those that may start, given in order; empty when none are.

    Those of a batch that did not pass stay among themselves, in smaller and smaller parts, until each has
    landed or has been tested alone.
    """
    if not waiting:
        return ()
    first, size = waiting[0], max(1, rules.batch)
    if size == 1 or not _is_sociable(first, rules):
        return (first,)
    batch = suspected(first, ground)
    if batch is not None:
        return _part(batch, [each for each in waiting if _is_sociable(each, rules)], changes, ground)[:size]
    fresh = [each for each in waiting if _is_sociable(each, rules) and suspected(each, ground) is None]
    return tuple(fresh[:size])


def _part(
    batch: Run, waiting: Sequence[Change], changes: Mapping[int, Change], ground: Ground
) -> tuple[Change, ...]:
    """Return what to test next of a batch that did not pass: always fewer than it had.

    It is halved while the fault can be anywhere in what is left. What is left after a half whose fate is open
    is tested as a whole.
    """
    by_number = {each.id: each for each in waiting}
    places = [by_number[member.change] for member in batch.members if member.change in by_number]
    left = [each for each in places if (run := suspected(each, ground)) is not None and run.run == batch.run]
    others = [member.change for member in batch.members if member.change not in {each.id for each in left}]
    is_here = all(number in changes and changes[number].forge is Forge.LANDED for number in others)
    return tuple(left[: (len(left) + 1) // 2]) if is_here else tuple(left)


def _is_sociable(change: Change, rules: Rules) -> bool:
    """Return whether it may be tested together with others."""
    if rules.policy is not Policy.MERGE or change.rollup not in _TOGETHER or is_apart(change):
        return False
    return change.approval is not None and not change.approval.repair
