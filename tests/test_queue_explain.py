"""What is said about a change agrees with what the planner does next and with what is so."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from queue_world import MAIN, STABLE, World, calm, storm

from gitlimmat.model import Outcome
from gitlimmat.queue.estimate import estimate
from gitlimmat.queue.events import QUEUE, Conflicted, JobEnded, Kind, Policy, RunOutcome
from gitlimmat.queue.explain import explain, explain_all
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Broken, End, Facts, Lack, Land, Note, Snapshot, Start
from gitlimmat.queue.state import Change, Forge, Job, Queue


def said(where: World, number: int) -> str:
    """Return the sentence of a change."""
    return explain(where.changes[number], where.snapshot(), where.rules, where.now)


def world(*, batch: int = 1, depth: int = 1, count: int = 2) -> World:
    """Return a world with approved changes."""
    where = World(Rules(targets=(MAIN, STABLE), batch=batch, depth=depth))
    for _ in range(count):
        where.approve(where.open())
    return where


def start(where: World) -> str:
    """Do the first thing that is wanted, a start, and return its run."""
    where.now += 1
    (action,) = (each for each in where.plan() if isinstance(each, Start))
    where.execute(action)
    return list(where.starts)[-1]


def agree(where: World) -> None:
    """Each sentence is one, and says of the next step, of approvals and of what is at work what is so."""
    actions = where.plan()
    starting, stacking = (
        {
            member.change
            for each in actions
            if isinstance(each, Start) and each.kind is Kind.AUTO and bool(each.after) == is_built
            for member in each.members
        }
        for is_built in (False, True)
    )
    landing = {number for each in actions if isinstance(each, Land) for number in each.changes}
    noted = {each.change for each in actions if isinstance(each, Note)}
    ending = {number for each in actions if isinstance(each, End) for number in each.changes}
    at_work = {
        member.change
        for run in where.at_work()
        if where.starts[run].kind is Kind.AUTO
        for member in where.starts[run].members
    }
    for number, text in explain_all(where.snapshot(), where.rules, where.now).items():
        change = where.changes[number]
        assert text
        assert text == " ".join(text.split())
        assert ("is about to be tested" in text) == (number in starting)
        assert ("if it merges with that, else after it" in text) == (number in stacking)
        assert ("is about to be recorded" in text) == (number in noted)
        if number in landing:
            assert "is about to land" in text
        if text.startswith("is tested as merge"):
            assert number in at_work - starting - stacking
        if "is about to end as" in text:
            assert number in ending
        if text.startswith("needs approval"):
            assert where.approved.get(number) != change.head
        if text.startswith(("has landed", "is in ")) and number not in noted:
            assert change.forge is Forge.LANDED
        if change.forge is Forge.CLOSED and number not in noted:
            assert text.startswith("is closed")


@pytest.mark.parametrize(("batch", "depth"), [(1, 1), (1, 3), (4, 2)])
def test_sentences_agree_with_plans_in_random_histories(batch: int, depth: int) -> None:
    """Whatever has happened, and wherever the daemon was killed."""
    for seed in range(40):
        where = World(Rules(targets=(MAIN, STABLE), batch=batch, depth=depth), seed)
        where.flaky = 0.1
        storm(where, 80, agree)
        calm(where)
        agree(where)
        for number, change in where.changes.items():
            if change.forge is Forge.OPEN:
                text = said(where, number)
                assert text.startswith(("failed on merge", "conflicts with", "could not be tested")), text


Act = Callable[[World], object]


def _passed_second(where: World) -> None:
    start(where)
    where.report(start(where))


def _failed(where: World) -> None:
    run = start(where)
    outcome = Outcome.FAILED
    merge = where.merges[run]
    where.tell(1, JobEnded(actor=QUEUE, at=where.now, run=run, test="unit", outcome=outcome, commit=merge))
    where.report(run, RunOutcome.FAILED)


def _timed_out(where: World) -> None:
    start(where)
    where.now += 101
    where.execute(where.plan()[0])


def _cancelled(where: World) -> None:
    start(where)
    where.cancel(1, reason="too slow")


def _conflict(where: World) -> None:
    where.move_target(MAIN, "theirs")
    where.conflicts = {frozenset((where.changes[1].head, "theirs"))}
    head, base = where.changes[1].head, where.tips[MAIN]
    paths = ("a", "b", "c")
    where.tell(1, Conflicted(actor=QUEUE, at=where.now, head=head, base=base, paths=paths))


def _conflict_of_its_own(where: World, paths: tuple[str, ...] = ()) -> None:
    _conflict(where)
    head, base = where.changes[1].head, where.tips[MAIN]
    reason = "its fixups cannot be folded: content"
    where.tell(1, Conflicted(actor=QUEUE, at=where.now, head=head, base=base, paths=paths, reason=reason))


def _folds_badly(where: World) -> None:
    _conflict_of_its_own(where, ("a",))


def _try_begins(where: World) -> None:
    where.unapprove(1)
    where.want_try(1)


def _conflict_unapproved(where: World) -> None:
    _conflict(where)
    where.unapprove(1)


def _conflict_with_run(where: World) -> None:
    where.conflicts = {frozenset((where.changes[1].head, where.changes[2].head))}
    where.prioritize(2, 1)
    start(where)
    where.execute(where.plan()[0])


def _first_is_second(where: World) -> None:
    where.prioritize(2, 1)
    start(where)


def _brought_by_run(where: World) -> None:
    _first_is_second(where)
    where.brought.add((where.changes[1].head, where.merges[list(where.starts)[-1]]))


def _conflicted_before(where: World) -> None:
    _conflict(where)
    where.conflicts = set()
    where.move_target()


def _yielding(where: World) -> None:
    start(where)
    where.cancel(1, yielding=True)
    start(where)
    where.approve(where.open())


def _tried(where: World) -> None:
    where.unapprove(1)
    where.unapprove(2)
    where.want_try(1)
    where.report(start(where))


def _landed(where: World) -> None:
    where.finish()


SENTENCES: list[tuple[str, dict[str, int], Act, str]] = [
    ("next", {}, lambda where: None, "is about to be tested"),
    ("together", {"batch": 2}, lambda where: None, "is about to be tested together with #2"),
    ("at work", {}, start, "is tested as merge {merge} in run {run}: 0 of 1 tests have ended"),
    ("unapproved", {}, lambda where: where.unapprove(1), "needs approval by a reviewer"),
    ("tried", {}, _tried, "needs approval by a reviewer; its try {run} passed"),
    ("draft", {}, lambda where: where.draft(1, draft=True), "is a draft, which cannot land"),
    ("closed", {}, lambda where: where.close(1), "is closed; reopen it if it is to land"),
    ("failed", {}, _failed, "failed test unit on merge {merge} (run {run}); push a new head or retry"),
    (
        "timed out",
        {},
        _timed_out,
        "was not tested within 1 min 40 s on merge {merge} (run {run}); push a new head or retry",
    ),
    (
        "cancelled",
        {},
        _cancelled,
        "was cancelled by rita (too slow); a retry or a new approval starts it again",
    ),
    (
        "next on what is ahead",
        {"depth": 2},
        _first_is_second,
        "is next in line, to be tested on top of run {run} of #2 if it merges with that, else after it",
    ),
    ("conflict", {}, _conflict, "conflicts with main at {tip} in a and 2 more; rebase it and push"),
    (
        "conflict of its own",
        {},
        _conflict_of_its_own,
        "cannot be merged onto main at {tip}: its fixups cannot be folded: content",
    ),
    (
        "conflict of its own, in a file",
        {},
        _folds_badly,
        "cannot be merged onto main at {tip}: its fixups cannot be folded: content in a",
    ),
    (
        "a try is next",
        {},
        _try_begins,
        "needs approval by a reviewer; its try is about to start",
    ),
    (
        "conflict with a run",
        {"depth": 2},
        _conflict_with_run,
        "conflicts with run {run} of #2, and waits for what becomes of that",
    ),
    (
        "part of a run",
        {"depth": 2},
        _brought_by_run,
        "comes with run {run} of #2, and waits for what becomes of that",
    ),
    (
        "conflict, not approved",
        {},
        _conflict_unapproved,
        "needs approval by a reviewer; it conflicts with main at {tip} in a and 2 more",
    ),
    (
        "conflicted before",
        {},
        _conflicted_before,
        "is about to be tested; it conflicted with {base} in a and 2 more",
    ),
    ("yielding", {}, _yielding, "is number 2 in line behind #3, as it lets others go first"),
    (
        "tree closed",
        {},
        lambda where: where.close_tree(5, "the big\nrename"),
        "waits: the tree is closed below 5 by alice, and its priority is 0: the big rename",
    ),
    ("paused", {}, lambda where: where.pause("disk"), "waits: the queue is paused by alice: disk"),
    (
        "broken",
        {},
        lambda where: where.broken.update({MAIN: "line 1: nonsense"}),
        "waits: limmat.toml on main does not parse: line 1: nonsense; "
        "an admin lets the change that repairs it land, by approving it with --repair",
    ),
    (
        "no target",
        {},
        lambda where: where.retarget(1, "refs/heads/x"),
        "is for x, which is no target of this queue",
    ),
    ("gone", {}, lambda where: where.tips.pop(MAIN), "is for main, which does not exist"),
    ("landed", {"batch": 2}, _landed, "has landed in main as {merge} together with #2"),
    (
        "contained",
        {},
        lambda where: where.move_target(MAIN, where.changes[1].head),
        "is in main already, which is about to be recorded",
    ),
]


@pytest.mark.parametrize(
    ("setup", "act", "text"), [each[1:] for each in SENTENCES], ids=[s[0] for s in SENTENCES]
)
def test_the_first_change_is_explained(setup: dict[str, int], act: Act, text: str) -> None:
    """One sentence for each state."""
    where = world(**setup)
    act(where)
    run = list(where.starts)[-1] if where.starts else ""
    merge = where.merges.get(run, "")[:12]
    tip = where.tips.get(MAIN, "")[:12]
    known = where.changes[1].conflict
    base = known.base[:12] if known is not None else ""

    assert said(where, 1) == text.format(run=run, merge=merge, tip=tip, base=base)


def test_who_does_not_know_the_settings_compares_nothing_with_them() -> None:
    """A clone knows the timelines of a queue, and not by which settings it works, nor whom it trusts."""
    rules = Rules(targets=(MAIN,), policy=Policy.LINEAR, tests=("unit",), trusted=("bob",), every_commit=True)
    where = World(rules)
    where.open()
    where.approve(1)
    run = start(where)
    by_bob = JobEnded(
        actor=QUEUE, at=where.now, run=run, test="unit", commit="a", outcome=Outcome.PASSED, by="bob"
    )
    where.tell(1, by_bob)
    unknown = Rules(are_known=False, targets=(MAIN,))

    here, there = (explain(where.changes[1], where.snapshot(), each, where.now) for each in (rules, unknown))

    assert here == there
    assert here.startswith("is tested as merge")
    others = replace(unknown, are_known=True)
    assert "is about to end" in explain(where.changes[1], where.snapshot(), others, where.now)


def test_a_failure_names_the_commits_it_is_of() -> None:
    """With limmat.queue.everyCommit a merge may pass, and a commit of it fail."""
    where = world()
    run = start(where)
    merge, *others = where.merges[run], *(letter * 40 for letter in "abcd")

    def failed(*places: tuple[str, str]) -> str:
        change = where.changes[1]
        told = replace(
            change.runs[0],
            outcome=RunOutcome.FAILED,
            jobs=tuple(
                Job(test=test, commit=commit, outcome=Outcome.PASSED if test == "ok" else Outcome.FAILED)
                for commit, test in places
            ),
        )
        snapshot = where.snapshot()
        changes = {**snapshot.changes, 1: replace(change, runs=(told,))}
        return explain(changes[1], replace(snapshot, changes=changes), where.rules, where.now)

    m, a, b, c = (each[:12] for each in (merge, *others[:3]))
    said = failed((others[0], "unit"), (merge, "ok"))
    assert said == f"failed test unit on commit {a} (merge {m}, run {run}); push a new head or retry"
    said = failed((others[0], "unit"), (others[0], "lint"), (merge, "lint"))
    assert said.startswith(f"failed tests unit, lint on commit {a} and test lint on merge {m} (run {run});")
    said = failed(*((each, "unit") for each in (*others, merge)))
    assert f"test unit on commit {b} and test unit on commit {c} and on 2 more (merge {m}, " in said


@pytest.mark.parametrize(
    ("lack", "text"),
    [
        (Lack.FILE, "there is no limmat.toml on main; {admin} adds it {repair}"),
        (Lack.SENSE, "limmat.toml on main does not parse: it says; {admin} repairs it {repair}"),
        (Lack.DEFAULT, "no test in limmat.toml on main runs by default; {admin} repairs that {repair}"),
        (
            Lack.MATCH,
            "it says in limmat.toml on main, and limmat.queue.test asks for it; "
            "who runs the server can change that setting",
        ),
        (Lack.OBJECT, "limmat.toml on main cannot be read: it says"),
    ],
)
def test_what_keeps_tests_from_being_known_is_told_with_its_cure(lack: Lack, text: str) -> None:
    """Each kind has its own; a try that waits for the same says so, too."""
    where = world()
    where.unapprove(2)
    where.want_try(2)
    snapshot = where.snapshot()
    facts = replace(snapshot.facts, broken={MAIN: Broken(lack=lack, said="it\nsays")})
    told = text.format(admin="an admin lets the change that", repair="land, by approving it with --repair")

    said = explain_all(replace(snapshot, facts=facts), where.rules, where.now)

    assert said[1] == f"waits: {told}"
    assert said[2].endswith(f"; its try waits: {told}")


def test_what_is_built_on_another_says_so() -> None:
    """Its run waits for the one before it, or is at work on it."""
    where = world(depth=2)
    first, second = start(where), start(where)
    merge = where.merges[second][:12]

    assert said(where, 2) == (
        f"is tested as merge {merge} in run {second}, which is built on run {first} of #1: "
        "0 of 1 tests have ended"
    )
    where.report(second)
    assert (
        said(where, 2) == f"has passed in run {second} and waits for run {first} of #1, which it is built on"
    )
    where.report(first)
    assert (
        said(where, 1)
        == f"has passed as merge {where.merges[first][:12]} in run {first} and is about to land"
    )


def test_a_failure_on_what_has_not_landed_says_what_it_depends_on() -> None:
    """Nobody is blamed before it is known."""
    where = world(depth=2)
    first, second = start(where), start(where)
    where.report(second, RunOutcome.FAILED)

    assert said(where, 2) == (
        f"run {second} failed, and whether that counts depends on run {first} of #1, which it was built on"
    )
    where.finish()
    assert where.changes[1].forge is Forge.LANDED
    assert said(where, 2).startswith(f"failed on merge {where.merges[second][:12]} (run {second})")


def test_the_place_in_line_is_said_with_who_is_before() -> None:
    """By number, at most four of them."""
    where = world(count=7)
    run = start(where)

    assert said(where, 2) == f"is next in line after run {run} of #1"
    assert said(where, 4) == "is number 3 in line behind #2 and #3"
    assert said(where, 7) == "is number 6 in line behind #2, #3, #4 and 2 more"


def test_a_member_of_a_failed_batch_hears_of_it() -> None:
    """It is in line again, in a smaller part."""
    where = world(batch=4, count=4)
    run = start(where)
    where.report(run, RunOutcome.FAILED)
    half = start(where)

    assert said(where, 3) == (
        f"is next in line after run {half} of #1 and #2, "
        f"to be tested in a smaller part than run {run} of #1, #2, #3 and #4, which failed"
    )


def test_a_passed_change_waits_while_the_queue_is_paused() -> None:
    """It says who has paused it."""
    where = world()
    run = start(where)
    where.report(run)
    where.pause()

    assert said(where, 1) == f"has passed in run {run} and waits: the queue is paused by alice"


def test_a_run_that_is_over_says_why() -> None:
    """Before its end is written."""
    where = world()
    run = start(where)
    where.unapprove(1)

    assert said(where, 1) == f"run {run} is about to end as cancelled: #1 is not approved any more"


def test_a_change_without_an_opening_is_explained() -> None:
    """Odd states have a sentence, too."""
    rules = Rules(targets=(MAIN,))
    odd = Change(id=1)
    landed = replace(odd, id=2, is_opened=True, forge=Forge.LANDED, target=MAIN, landed_as="f" * 40)
    snapshot = Snapshot(changes={1: odd, 2: landed}, queue=Queue(), facts=Facts())

    assert explain_all(snapshot, rules, 0.0) == {
        1: "has no head yet",
        2: "is in main as of ffffffffffff",
    }


def test_what_came_with_another_change_names_it() -> None:
    """The queue itself has brought it there, with the run of the other one."""
    where = world(count=1)
    start(where)
    where.finish()
    same = replace(where.changes[1], id=2, runs=(), landed_by="", came_with=where.changes[1].landed_by)
    snapshot = replace(where.snapshot(), changes={**where.changes, 2: same})

    assert explain(same, snapshot, where.rules, where.now).endswith(f" as of {same.landed_as[:12]}, with #1")


def test_what_came_otherwise_names_nobody() -> None:
    """That another change has landed as the tip of that moment says nothing of it."""
    where = world(count=1)
    start(where)
    where.finish()
    same = replace(where.changes[1], id=2, runs=(), landed_by="")
    snapshot = replace(where.snapshot(), changes={**where.changes, 2: same})

    assert explain(same, snapshot, where.rules, where.now) == f"is in main as of {same.landed_as[:12]}"


def test_an_estimate_needs_runs_that_passed() -> None:
    """Nothing to do is no time; otherwise what the last runs took, for what is at work and in line."""
    where = world(count=0)
    assert estimate(where.snapshot(), where.rules, where.now) == 0.0
    for _ in range(5):
        where.approve(where.open())
    assert estimate(where.snapshot(), where.rules, where.now) is None
    for _ in range(2):
        run = start(where)
        where.now += 60
        where.report(run)
        where.execute(where.plan()[0])
    start(where)
    where.now += 20

    found = estimate(where.snapshot(), where.rules, where.now)

    assert found is not None
    assert math.isclose(found, 40 + 2 * 60)
    batched = estimate(where.snapshot(), replace(where.rules, batch=4), where.now)
    assert batched is not None
    assert math.isclose(batched, 40 + 60)


def test_all_of_a_thousand_are_explained_quickly() -> None:
    """A page of all changes is made from one look at them. Generous here, as other tests run, too."""
    where = world(count=1000)
    start(where)
    snapshot = where.snapshot()
    begin = time.perf_counter()

    found = explain_all(snapshot, where.rules, where.now)

    assert len(found) == 1000
    assert time.perf_counter() - begin < 2
