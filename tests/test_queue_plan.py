"""The planner: random histories against books kept elsewhere, and each rule by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from queue_world import MAIN, STABLE, World, calm, reopen, storm

from gitlimmat.queue.events import QUEUE, Conflicted, Kind, Member, Policy, Rollup, RunOutcome
from gitlimmat.queue.fold import fold_change
from gitlimmat.queue.order import queue_order
from gitlimmat.queue.plan import plan
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import End, Facts, Land, Note, Snapshot, Start
from gitlimmat.queue.state import UNROLLED, Change, Forge, Status

Act = Callable[[World], object]
SEEDS = 2000 if os.environ.get("LIMMAT_SOAK") else 80


def world(*, batch: int = 1, depth: int = 1, tries: int = 1, policy: Policy = Policy.MERGE) -> World:
    """Return a world with these rules."""
    rules = Rules(targets=(MAIN, STABLE), batch=batch, depth=depth, tries=tries, policy=policy)
    return World(rules)


def approved(where: World, count: int) -> list[int]:
    """Open and approve changes, and return their numbers."""
    return [where.approve(where.open()) for _ in range(count)]


def only_start(where: World) -> Start:
    """Return the one thing that is wanted, a start."""
    (action,) = where.plan()
    assert isinstance(action, Start)
    return action


def started(where: World) -> str:
    """Do the one thing that is wanted, and return the run that it has started."""
    where.now += 1
    where.execute(only_start(where))
    return list(where.starts)[-1]


def numbers(start: Start) -> list[int]:
    """Return the changes of a start."""
    return [member.change for member in start.members]


def look(where: World) -> None:
    """What holds at any time: no change in two actions, or in two runs that could both land."""
    actions = where.plan()
    concerned: list[int] = []
    starts: dict[str, int] = {}
    for action in actions:
        match action:
            case Start():
                concerned += numbers(action)
                if action.kind is Kind.AUTO:
                    starts[action.target] = starts.get(action.target, 0) + 1
            case End() | Land():
                concerned += action.changes
            case Note():
                concerned.append(action.change)
    assert len(concerned) == len(set(concerned))
    assert all(count == 1 for count in starts.values())


def check_rest(where: World) -> None:
    """What holds when a queue has come to rest: all that may land has, and nobody is blamed for another."""
    for change in where.changes.values():
        assert fold_change(Change(id=change.id), where.histories[change.id]) == change
        if change.forge is not Forge.OPEN:
            continue
        inside = where.contents[where.tips[change.target]]
        is_bad = change.head in where.bad
        is_bad_here = any(
            change.head in pair and pair - {change.head} <= inside for pair in where.bad_together
        )
        if where.clashes(change.head, where.tips[change.target]):
            continue
        assert is_bad or is_bad_here, f"#{change.id} did not land: {change}"
        auto = change.auto
        assert auto is not None
        assert (auto.outcome, len(auto.members)) == (RunOutcome.FAILED, 1)
        assert change.status is Status.FAILED


@pytest.mark.parametrize(
    ("batch", "depth", "policy"),
    [
        (1, 1, Policy.MERGE),
        (1, 3, Policy.SQUASH),
        (4, 1, Policy.MERGE),
        (4, 2, Policy.MERGE),
        (8, 4, Policy.MERGE),
    ],
)
def test_random_histories_land_all_that_may_and_nothing_else(batch: int, depth: int, policy: Policy) -> None:
    """Through people, crashes and others who move the target, each landing is right, and work is finished."""
    for seed in range(SEEDS):
        rules = Rules(targets=(MAIN, STABLE), batch=batch, depth=depth, policy=policy)
        where = World(rules, seed)
        where.flaky = 0.1
        storm(where, 120, look)
        calm(where)
        check_rest(where)


@pytest.mark.parametrize(
    "culprits", [(1,), (2,), (8,), (1, 2), (2, 5), (1, 8), (7, 8), (1, 2, 3, 4, 5, 6, 7, 8)]
)
@pytest.mark.parametrize("depth", [1, 3])
def test_bisection_blames_only_the_culprits(culprits: tuple[int, ...], depth: int) -> None:
    """Every culprit of a batch is found, however many there are, and all others land."""
    where = world(batch=8, depth=depth)
    everyone = approved(where, 8)
    where.bad = {where.changes[number].head for number in culprits}

    where.finish()

    failed = [each for each in everyone if where.changes[each].status is Status.FAILED]
    assert tuple(failed) == culprits
    assert all(where.changes[each].forge is Forge.LANDED for each in everyone if each not in culprits)
    if depth == 1:
        assert len(where.starts) <= 1 + 2 * 3 * len(culprits)


def test_two_that_fail_only_together_blame_the_later() -> None:
    """The first of a bad pair lands, and the other is what fails on top of it."""
    where = world(batch=4)
    approved(where, 4)
    where.bad_together = {frozenset(where.changes[number].head for number in (2, 3))}

    where.finish()

    assert [each.status for each in where.changes.values()].count(Status.LANDED) == 3
    assert where.changes[3].status is Status.FAILED


def test_a_failed_batch_is_not_mixed_with_new_changes() -> None:
    """What comes later waits until each member has landed or has been tested alone."""
    where = world(batch=4)
    approved(where, 2)
    run = started(where)
    approved(where, 2)
    where.report(run, RunOutcome.FAILED)

    assert where.changes[1].status is Status.APPROVED
    assert numbers(only_start(where)) == [1]
    where.report(started(where))
    where.settle()
    assert [numbers(start) for start in where.starts.values()][-1] == [2]
    where.report(list(where.starts)[-1])
    where.settle()
    assert [numbers(start) for start in where.starts.values()][-1] == [3, 4]


def test_parts_of_a_failed_batch_stay_parts_when_the_target_moves() -> None:
    """A part that ended without a verdict has not cleared anyone."""
    where = world(batch=4)
    approved(where, 4)
    where.report(started(where), RunOutcome.FAILED)
    assert numbers(only_start(where)) == [1, 2]
    started(where)
    approved(where, 1)
    where.move_target()
    (end, start) = where.plan() if len(where.plan()) == 2 else (*where.plan(), None)
    assert isinstance(end, End)
    assert end.outcome is RunOutcome.SUPERSEDED
    where.execute(end)
    assert start is None or isinstance(start, Start)

    assert numbers(only_start(where)) == [1, 2]


def test_an_unrolled_batch_is_tested_one_by_one() -> None:
    """Taking a run apart lets each of its members go alone."""
    where = world(batch=3)
    approved(where, 3)
    started(where)
    where.cancel(2, reason=UNROLLED)

    where.execute(where.plan()[0])

    where.finish()
    assert [numbers(start) for start in where.starts.values()] == [[1, 2, 3], [1], [2], [3]]


def test_order_is_priority_rollup_approval_and_number() -> None:
    """The higher first, what is tested alone before what is not, then who was approved first."""
    where = world()
    for _ in range(7):
        where.open()
    for number in (7, 3, 2, 1, 4, 5, 6):
        where.approve(number)
    where.prioritize(5, 10)
    where.roll_up(4, Rollup.NEVER)
    where.roll_up(6, Rollup.IFFY)
    where.roll_up(7, Rollup.ALWAYS)
    expected = [5, 4, 6, 3, 2, 1, 7]

    assert [each.id for each in queue_order(where.snapshot(), MAIN)] == expected
    where.finish()
    assert [action.changes[0] for action in where.landings] == expected


def test_batches_leave_out_what_is_to_be_tested_alone() -> None:
    """`never`, `iffy` and repairs go alone; the others together."""
    where = world(batch=8)
    approved(where, 6)
    where.roll_up(2, Rollup.NEVER)
    where.roll_up(3, Rollup.IFFY)
    where.approve(4, repair=True)

    where.finish()

    groups = [numbers(start) for start in where.starts.values()]
    assert groups == [[2], [3], [1, 5, 6], [4]]
    assert [start.repair for start in where.starts.values()] == [False, False, False, True]


def test_only_merges_are_batched() -> None:
    """Other policies test one change after the other."""
    where = world(batch=8, policy=Policy.LINEAR)
    approved(where, 3)

    assert numbers(only_start(where)) == [1]


def test_runs_are_stacked_up_to_the_depth() -> None:
    """Each is built on the merge of the one before, and they land in turn."""
    where = world(depth=2)
    approved(where, 3)
    first, second = started(where), started(where)

    assert where.plan() == ()
    assert where.starts[second].base == where.merges[first]
    assert where.starts[second].after == first
    where.report(second)
    assert where.plan() == ()
    where.report(first)
    where.execute(where.plan()[0])
    (land,) = [action for action in where.plan() if isinstance(action, Land)]
    assert (land.run, land.old) == (second, where.merges[first])


def test_a_failure_discards_what_was_built_on_it() -> None:
    """Nobody but the failing one is blamed; the others start again."""
    where = world(depth=3)
    approved(where, 3)
    first, second, third = started(where), started(where), started(where)
    where.report(first, RunOutcome.FAILED)

    ends = [action for action in where.plan() if isinstance(action, End)]

    assert [(end.run, end.outcome) for end in ends] == [
        (second, RunOutcome.SUPERSEDED),
        (third, RunOutcome.SUPERSEDED),
    ]
    assert ends[0].reason == f"run {first}, which it is built on, has not landed"
    where.finish()
    assert [each.status for each in where.changes.values()] == [Status.FAILED, Status.LANDED, Status.LANDED]


WITHDRAWN: list[tuple[Act, RunOutcome, str]] = [
    (lambda where: where.unapprove(1), RunOutcome.CANCELLED, "#1 is not approved any more"),
    (lambda where: where.push(1), RunOutcome.CANCELLED, "#1 has another head now"),
    (lambda where: where.close(1), RunOutcome.CANCELLED, "#1 was closed"),
    (lambda where: where.retarget(1, STABLE), RunOutcome.CANCELLED, "#1 goes to stable now"),
    (lambda where: where.draft(1, draft=True), RunOutcome.CANCELLED, "#1 is a draft now"),
    (lambda where: where.cancel(1), RunOutcome.CANCELLED, "rita cancelled #1"),
    (lambda where: where.cancel(1, yielding=True), RunOutcome.CANCELLED, "rita let #1 yield"),
    (lambda where: where.cancel(1, reason=UNROLLED), RunOutcome.CANCELLED, UNROLLED),
    (lambda where: where.retry(1), RunOutcome.CANCELLED, "rita asked for a retry of #1"),
]


@pytest.mark.parametrize(("act", "outcome", "reason"), WITHDRAWN, ids=[each[2] for each in WITHDRAWN])
@pytest.mark.parametrize("has_passed", [False, True])
def test_a_run_that_a_member_left_never_lands(
    act: Act, outcome: RunOutcome, reason: str, has_passed: bool
) -> None:
    """It ends with a reason that names the change, and the others go on."""
    where = world(batch=2)
    approved(where, 2)
    run = started(where)
    if has_passed:
        where.report(run)
    act(where)

    ends = [action for action in where.plan() if isinstance(action, End)]

    if not has_passed:
        assert [(end.run, end.outcome, end.reason) for end in ends] == [(run, outcome, reason)]
        assert 2 in ends[0].changes
        where.finish()
        assert where.changes[2].forge is Forge.LANDED
    elif "cancel" not in reason and "yield" not in reason and reason != UNROLLED:
        assert not any(isinstance(action, Land) for action in where.plan())
        where.finish()
        assert where.changes[2].forge is Forge.LANDED


def test_a_cancelled_change_waits_for_a_retry() -> None:
    """Only someone's word starts it again; a run that the queue ended starts again by itself."""
    where = world(batch=2)
    approved(where, 2)
    started(where)
    where.cancel(1)
    where.finish()

    assert where.changes[1].forge is Forge.OPEN
    assert where.changes[2].forge is Forge.LANDED
    where.retry(1)
    assert numbers(only_start(where)) == [1]


def test_a_yielding_change_goes_after_another_has_had_its_verdict() -> None:
    """It lets others go first, even those of lower priority, and then takes its place again."""
    where = world()
    approved(where, 3)
    where.prioritize(1, 5)
    started(where)
    where.now += 1
    where.cancel(1, yielding=True)
    assert numbers(only_start(where)) == [2]
    run = started(where)
    where.now += 1
    where.report(run)
    where.execute(where.plan()[0])

    assert numbers(only_start(where)) == [1]


def test_a_yielding_change_alone_starts_again() -> None:
    """There is nobody to yield to."""
    where = world()
    approved(where, 1)
    started(where)
    where.cancel(1, yielding=True)

    assert numbers(only_start(where)) == [1]


def test_a_closed_tree_stops_starts_and_not_landings() -> None:
    """What was at work lands; what has the priority starts."""
    where = world()
    approved(where, 3)
    run = started(where)
    where.close_tree(5)
    where.report(run)
    assert isinstance(where.plan()[0], Land)
    where.execute(where.plan()[0])
    assert where.plan() == ()
    where.prioritize(3, 5)

    assert numbers(only_start(where)) == [3]


def test_a_closed_tree_is_closed_for_its_target_only() -> None:
    """Others go on, and tries do."""
    where = world()
    approved(where, 1)
    where.approve(where.open(STABLE))
    where.want_try(1)
    where.close_tree(5, target=MAIN)

    assert [(action.kind, numbers(action)) for action in where.plan() if isinstance(action, Start)] == [
        (Kind.AUTO, [2]),
        (Kind.TRY, [1]),
    ]


def test_a_pause_starts_and_lands_nothing() -> None:
    """Runs that are over are still ended."""
    where = world(depth=2)
    approved(where, 3)
    first, second = started(where), started(where)
    where.want_try(3)
    where.pause()
    where.report(first)
    assert where.plan() == ()
    where.unapprove(2)
    (end,) = where.plan()
    assert isinstance(end, End)
    assert end.run == second
    where.execute(end)
    where.resume()

    assert isinstance(where.plan()[0], Land)


def test_a_conflict_lets_others_go_on() -> None:
    """What cannot be merged waits; when the target has moved so that it can, it starts."""
    where = world()
    approved(where, 2)
    where.move_target(MAIN, "theirs")
    where.conflicts = {frozenset((where.changes[1].head, "theirs"))}
    where.execute(only_start(where))
    assert numbers(only_start(where)) == [2]
    where.finish()
    assert where.changes[1].forge is Forge.OPEN
    where.conflicts = set()
    where.move_target()

    assert numbers(only_start(where)) == [1]


def test_a_target_that_moved_supersedes_its_runs() -> None:
    """Nobody is blamed, and it starts again on the new tip."""
    where = world()
    approved(where, 1)
    run = started(where)
    where.move_target()
    end = where.plan()[0]
    assert isinstance(end, End)
    assert (end.run, end.outcome) == (run, RunOutcome.SUPERSEDED)
    assert end.reason.startswith("main is at ")
    where.execute(end)

    assert only_start(where).base == where.tips[MAIN]


def test_a_passed_run_whose_base_is_not_the_tip_never_lands() -> None:
    """It is superseded, and tested again as it would land."""
    where = world()
    approved(where, 1)
    run = started(where)
    where.report(run)
    where.move_target()
    (end,) = where.plan()
    assert isinstance(end, End)
    assert (end.run, end.outcome) == (run, RunOutcome.SUPERSEDED)
    where.execute(end)

    assert only_start(where).base == where.tips[MAIN]
    where.finish()
    assert where.landings[-1].run != run


def overtaken() -> tuple[World, str]:
    """Return a world where #2 has passed on #1, which has failed, with its run, and nothing may start."""
    where = world(depth=2)
    approved(where, 2)
    where.bad.add(where.changes[1].head)
    first, second = started(where), started(where)
    where.close_tree(5)
    where.report(second, RunOutcome.PASSED)
    where.report(first)
    return where, second


def test_what_has_passed_on_a_run_that_failed_is_not_ready() -> None:
    """Nor does it become ready when it is approved anew; once it may, it is tested again."""
    where, run = overtaken()

    where.settle()

    change, before = where.changes[2], where.changes[1].runs[0]
    (told,) = change.runs
    assert (told.run, told.outcome) == (run, RunOutcome.SUPERSEDED)
    assert told.reason == f"run {before.run}, which it is built on, has not landed"
    seen = [change.status]
    where.unapprove(2)
    where.approve(2)
    seen.append(where.changes[2].status)
    where.tell(2, Conflicted(actor=QUEUE, at=where.now, head=change.head, base=where.tips[MAIN]))
    seen.append(where.changes[2].status)
    assert seen == [Status.APPROVED, Status.APPROVED, Status.CONFLICT]


def test_what_has_passed_stays_so_while_it_may_land() -> None:
    """Paused, not approved for a while, or built on what is still tested: it is not tested anew."""
    where = world(depth=2)
    approved(where, 2)
    first, second = started(where), started(where)
    where.report(second)
    assert where.plan() == ()
    where.pause()
    where.report(first)
    assert where.plan() == ()
    where.unapprove(1)
    where.tips, tips = {}, where.tips
    assert where.plan() == ()
    where.tips = tips
    where.approve(1)
    assert where.plan() == ()
    where.resume()

    where.settle()

    assert [landing.run for landing in where.landings] == [first, second]


def test_one_that_passed_with_a_change_that_left_is_not_ready() -> None:
    """Its batch cannot land, though the queue is paused and starts nothing else."""
    where = world(batch=2)
    approved(where, 2)
    run = started(where)
    where.report(run)
    where.pause()
    where.unapprove(1)

    (end,) = where.plan()

    assert end == End(
        run=run, changes=(2,), outcome=RunOutcome.SUPERSEDED, reason="#1 is not approved any more"
    )
    where.execute(end)
    assert where.changes[2].status is Status.APPROVED
    where.resume()
    where.finish()
    assert where.changes[2].forge is Forge.LANDED


def test_a_deadline_ends_only_its_run() -> None:
    """The other of a stack is superseded, and not blamed."""
    where = world(depth=2)
    approved(where, 2)
    first = started(where)
    where.now += 50
    started(where)
    where.now += 51
    outcomes = {action.run: action.outcome for action in where.plan() if isinstance(action, End)}

    assert outcomes.pop(first) is RunOutcome.TIMED_OUT
    assert set(outcomes.values()) == {RunOutcome.SUPERSEDED}


@pytest.mark.parametrize("writes", [1, 2])
def test_a_landing_cut_short_is_completed_from_git(writes: int) -> None:
    """The target has moved and a timeline does not say so: it is noted, and nothing lands twice."""
    where = world(batch=2)
    approved(where, 2)
    run = started(where)
    where.report(run)
    where.execute(where.plan()[0], writes=writes)

    notes = where.plan()

    missing = [1, 2][writes - 1 :]
    assert [(note.change, note.run) for note in notes if isinstance(note, Note)] == [
        (n, run) for n in missing
    ]
    where.finish()
    assert [each.forge for each in where.changes.values()] == [Forge.LANDED] * 2
    assert len(where.landings) == 1


@pytest.mark.parametrize("outcome", [RunOutcome.PASSED, RunOutcome.FAILED])
def test_an_end_cut_short_is_completed_from_another_member(outcome: RunOutcome) -> None:
    """One verdict holds for all members."""
    where = world(batch=3)
    approved(where, 3)
    run = started(where)
    where.report(run, outcome, writes=1)

    (end,) = where.plan()

    assert end == End(run=run, changes=(2, 3), outcome=outcome)


def test_a_verdict_that_not_all_members_took_does_not_count() -> None:
    """One was cancelled before it heard that its run had passed: the other is tested again, without it."""
    where = world(batch=2)
    approved(where, 2)
    run = started(where)
    where.report(run, writes=1)
    where.cancel(2)
    (end,) = where.plan()
    assert end == End(run=run, changes=(1,), outcome=RunOutcome.SUPERSEDED, reason="rita cancelled #2")
    where.execute(end)

    assert numbers(only_start(where)) == [1]


def test_a_start_cut_short_is_ended_and_made_again() -> None:
    """A run that one of its members does not know is none."""
    where = world(batch=2)
    approved(where, 2)
    where.execute(where.plan()[0], writes=1)

    end = where.plan()[0]
    assert isinstance(end, End)
    assert (end.changes, end.outcome) == ((1,), RunOutcome.SUPERSEDED)
    where.finish()
    assert len(where.landings) == 1


def test_a_head_that_others_brought_is_noted() -> None:
    """It is not merged again."""
    where = world()
    approved(where, 1)
    where.move_target(MAIN, where.changes[1].head)

    assert where.plan() == (Note(change=1, run="", target=MAIN, new=where.tips[MAIN]),)


def test_tries_run_beside_auto_runs_the_oldest_request_first() -> None:
    """As many at once as the rules say, approved or not, drafts too."""
    where = world(tries=2)
    for _ in range(4):
        where.open()
    where.draft(3, draft=True)
    for number in (4, 3, 2):
        where.now += 1
        where.want_try(number, tests=("unit*",))
    where.approve(1)

    starts = [action for action in where.plan() if isinstance(action, Start)]

    assert [(start.kind, numbers(start)) for start in starts] == [
        (Kind.AUTO, [1]),
        (Kind.TRY, [4]),
        (Kind.TRY, [3]),
    ]
    assert starts[1].tests == ("unit*",)
    for start in starts:
        where.execute(start)
    assert where.plan() == ()


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda where: where.push(1), "#1 has another head now"),
        (lambda where: where.close(1), "#1 was closed"),
        (lambda where: where.retarget(1, STABLE), "#1 goes to stable now"),
    ],
)
def test_a_try_ends_with_its_head(act: Act, reason: str) -> None:
    """An approval that goes is nothing to it; a head that does is."""
    where = world()
    where.open()
    where.want_try(1)
    run = started(where)
    where.unapprove(1)
    assert where.plan() == ()
    act(where)

    (end,) = where.plan()

    assert end == End(run=run, changes=(1,), outcome=RunOutcome.CANCELLED, reason=reason)


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_try_of_a_change_that_conflicts_ends_with_that(is_moved: bool) -> None:
    """Nobody waits for it, also when the conflict is known, be it with another base."""
    where = world()
    where.open()
    where.move_target(MAIN, "theirs")
    where.conflicts = {frozenset((where.changes[1].head, "theirs"))}
    head, base = where.changes[1].head, where.tips[MAIN]
    where.tell(1, Conflicted(actor=QUEUE, at=where.now, head=head, base=base))
    if is_moved:
        where.move_target()
    where.want_try(1)
    where.settle()

    assert where.changes[1].wanted_try is None
    assert where.plan() == ()


def test_a_try_onto_something_else_outlives_a_conflict_with_the_target() -> None:
    """That the head does not merge with the target says nothing about the commit that was asked for."""
    where = world()
    where.open()
    before = where.tips[MAIN]
    where.move_target()
    where.want_try(1, parent=before)
    head = where.changes[1].head
    where.tell(1, Conflicted(actor=QUEUE, at=where.now, head=head, base=where.tips[MAIN]))

    assert (only_start(where).kind, only_start(where).base) == (Kind.TRY, before)


def test_a_start_that_has_failed_is_not_planned_again_at_once() -> None:
    """Nor is a try, until git is to be asked again."""
    where = world()
    approved(where, 1)
    where.open()
    where.want_try(2)
    pairs = {(each.head, where.tips[MAIN]) for each in where.changes.values()}
    seen = where.snapshot()

    assert plan(replace(seen, facts=replace(seen.facts, blocked=frozenset(pairs))), where.rules, 1.0) == ()


def test_a_try_that_passed_never_lands() -> None:
    """Approval comes after it, and an auto run is made."""
    where = world()
    where.open()
    where.want_try(1)
    where.report(started(where))
    assert where.plan() == ()
    where.approve(1)

    assert only_start(where).kind is Kind.AUTO


def test_a_newer_try_takes_the_place_of_an_older() -> None:
    """A try at a chosen parent is merged onto that."""
    where = world()
    where.open()
    where.want_try(1)
    started(where)
    root = where.tips[MAIN]
    where.move_target()
    where.want_try(1, parent=root)

    assert only_start(where).base == root


def test_broken_tests_are_repaired_by_an_approval_for_that() -> None:
    """Nothing else starts on a target whose tests cannot be read, and other targets go on."""
    where = world()
    approved(where, 2)
    where.approve(where.open(STABLE))
    where.broken = {MAIN: "line 1: nonsense"}
    assert numbers(only_start(where)) == [3]
    started(where)
    where.approve(2, repair=True)

    start = only_start(where)

    assert (numbers(start), start.repair) == ([2], True)
    where.execute(start)
    run = list(where.starts)[-1]
    where.approve(2)
    assert where.plan()[0] == End(
        run=run,
        changes=(2,),
        outcome=RunOutcome.CANCELLED,
        reason="#2 is approved without --repair now",
    )


def test_a_stack_is_not_built_on_broken_tests() -> None:
    """What the change before breaks is not blamed on the next."""
    where = world(depth=2)
    approved(where, 2)
    run = started(where)
    where.broken = {where.merges[run]: "line 1: nonsense"}

    assert where.plan() == ()


def test_a_failed_change_waits_for_a_retry_or_an_approval() -> None:
    """Others go on meanwhile."""
    where = world()
    approved(where, 2)
    where.report(started(where), RunOutcome.FAILED)
    assert numbers(only_start(where)) == [2]
    where.retry(1)
    assert numbers(only_start(where)) == [1]
    where.report(started(where), RunOutcome.ERRORED)
    where.approve(1)

    assert numbers(only_start(where)) == [2]
    where.finish()
    assert where.changes[1].forge is Forge.LANDED


def test_a_reopened_change_needs_a_new_approval() -> None:
    """Closing withdraws it."""
    where = world()
    approved(where, 1)
    where.close(1)
    reopen(where, 1)

    assert where.plan() == ()


def test_odd_states_never_raise() -> None:
    """Changes without an opening, runs of changes that are not there, runs that name a change twice."""
    where = world(batch=2)
    approved(where, 3)
    started(where)
    changes = dict(where.changes)
    run = changes[1].runs[0]
    twice = (Member(change=1, head="x"), Member(change=1, head="x"), Member(change=99, head="y"))
    changes[1] = replace(changes[1], runs=(replace(run, members=twice, base=run.merge, deadline=-1e308),))
    changes[4] = Change(id=4)
    changes[5] = replace(changes[3], id=5, target="")
    for tips in ({}, dict(where.tips), {MAIN: ""}):
        snapshot = Snapshot(changes=changes, facts=Facts(tips=tips))
        actions = plan(snapshot, where.rules, where.now)
        assert all(not isinstance(action, Land) for action in actions)
    assert any(
        isinstance(action, Start) and numbers(action) == [3]
        for action in plan(Snapshot(changes=changes, facts=Facts(tips=where.tips)), where.rules, where.now)
    )


def test_a_plan_for_a_thousand_changes_is_quick() -> None:
    """Planning is a small part of a tick. Generous here, as other tests run at the same time."""
    where = world(batch=4, depth=2)
    approved(where, 1000)
    started(where)
    snapshot = where.snapshot()
    spans = []
    for _ in range(5):
        start = time.perf_counter()
        plan(snapshot, where.rules, where.now)
        spans.append(time.perf_counter() - start)

    assert min(spans) < 0.1
