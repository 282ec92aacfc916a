"""What commands do to a change in every state, and that no answer can be a command itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gitlimmat.queue.answer import Answer, answer
from gitlimmat.queue.auth import Principal
from gitlimmat.queue.commands import (
    Approve,
    CloseTree,
    Command,
    Comment,
    Delegate,
    Fault,
    Retitle,
    Unroll,
    parse_comment,
    parse_option,
)
from gitlimmat.queue.events import (
    QUEUE,
    Approved,
    CancelRequested,
    ChangeEvent,
    Commented,
    Conflicted,
    HeadMoved,
    Kind,
    Landed,
    Member,
    Opened,
    Paused,
    Policy,
    Prioritized,
    RetryRequested,
    RollupSet,
    RunEnded,
    RunOutcome,
    RunStarted,
    TreeClosed,
    TryRequested,
    Unapproved,
)
from gitlimmat.queue.fold import fold_change, fold_queue
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.state import UNROLLED, Change, Forge, Queue, Status

A, B, BASE, MERGE = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
MAIN = "refs/heads/main"
EMPTY = Queue()
RULES = Rules(
    targets=(MAIN, "refs/heads/stable"), admins=("ada",), reviewers=("rita", "rob"), tryers=("tom",)
)


def opened(**changes: object) -> Change:
    """Return a new change of anna's."""
    event = Opened(actor="anna", at=1.0, target=MAIN, head=A, title="do it")
    return fold_change(Change(id=3), [replace(event, **changes)])


def started(run: str, kind: Kind = Kind.AUTO, *others: int) -> RunStarted:
    """Return the start of a run of change 3, and of others."""
    return RunStarted(
        actor=QUEUE,
        at=5.0,
        run=run,
        kind=kind,
        target=MAIN,
        members=tuple(Member(change=each, head=A) for each in (3, *others)),
        base=BASE,
        merge=MERGE,
        commits=(MERGE,),
        tests=("unit",),
        deadline=100.0,
    )


def ended(run: str, outcome: RunOutcome) -> RunEnded:
    """Return the end of a run."""
    return RunEnded(actor=QUEUE, at=6.0, run=run, outcome=outcome)


APPROVED = Approved(actor="rita", at=2.0, head=A, by="rita")
START = started("b1")
FAILED = ended("b1", RunOutcome.FAILED)
TRY = started("t1", Kind.TRY)


def say(
    words: str,
    change: Change | None,
    name: str = "rita",
    rules: Rules = RULES,
    queue: Queue = EMPTY,
    tip: str = "",
) -> Answer:
    """Return the answer to a line of words; check what holds for every answer."""
    command = parse_option(words)
    found = answer(command, Principal(name=name), change, queue, rules, at=9.0, via="cli", tip=tip)
    assert found.reply
    assert not (found.is_refused and (found.events or found.queue_events))
    for event in (*found.events, *found.queue_events):
        assert (event.actor, event.at, event.via) == (name, 9.0, "cli")
    return found


def after(change: Change, found: Answer) -> Change:
    """Return the change after an answer; every event must have had its effect."""
    done = fold_change(change, found.events)
    assert done.ignored == change.ignored, found
    return done


def given_events(*events: ChangeEvent) -> Change:
    """Return change 3 after some events."""
    return fold_change(opened(), events)


def test_an_approval_is_of_the_head_as_it_is() -> None:
    """The event has the full oid, and who is named."""
    found = say("r+ aaaaaaa p=7 rollup=never", opened())
    assert [type(event) for event in found.events] == [Prioritized, RollupSet, Approved]
    change = after(opened(), found)
    assert (change.status, change.priority) == (Status.APPROVED, 7)
    assert change.approval is not None
    assert (change.approval.head, change.approval.by) == (A, "rita")
    assert after(opened(), say("r=rob", opened())).approval.by == "rob"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "change", "why"),
    [
        ("r+ bbbbbbb", opened(), f"'bbbbbbb' is not the head of change 3, which is {A}"),
        ("r+", opened(draft=True), "is a draft"),
        ("r+", opened(title="WIP: x"), "in progress"),
        ("r+", opened(title="[WIP]x"), "in progress"),
        ("r+", opened(title="[DO NOT MERGE]x"), "in progress"),
        ("r+", opened(title="wip"), "in progress"),
        ("r+", opened(title="[Do not merge] x"), "in progress"),
        ("r+", opened(title="TODO x"), "in progress"),
        ("r+", opened(title="fixup! x"), "to be squashed"),
        ("r+ p=9002", opened(), "above 9001"),
        ("r=linus", opened(), "'linus' is no reviewer"),
        ("r+", fold_change(opened(), say("close", opened()).events), "is closed"),
        ("r+", given_events(Landed(actor=QUEUE, at=8.0, run="b1", target=MAIN, old=A, new=B)), "has landed"),
        ("r-", opened(), "is not approved"),
        ("p=9002", opened(), "above 9001"),
        ("retry", opened(), "nothing to retry"),
        ("retry", given_events(APPROVED), "nothing to retry"),
        ("retry", given_events(TRY, ended("t1", RunOutcome.PASSED)), "nothing to retry"),
        ("retry", given_events(APPROVED, START, ended("b1", RunOutcome.PASSED)), "nothing to retry"),
        ("retry", given_events(APPROVED, START, ended("b1", RunOutcome.SUPERSEDED)), "nothing to retry"),
        ("retry", given_events(APPROVED, START, FAILED, Unapproved(actor="x", at=8.0)), "not approved"),
        ("cancel", opened(), "not being tested"),
        ("yield", given_events(TRY), "not being tested"),
        ("cancel", given_events(APPROVED, START, ended("b1", RunOutcome.PASSED)), "about to land"),
        ("try cancel", opened(), "not being tried"),
        ("try parent=last", opened(), "not been tried yet"),
        ("unroll", opened(), "not being tested"),
        ("delegate-", opened(), "delegated to nobody"),
        ("target=other", opened(), "no target"),
        ("title=" + "x" * 501, opened(), "a title"),
        ("title=a\x1bb", opened(), "can be seen"),
        ("close " + "x" * 1001, opened(), "a reason has at most"),
        ("r+ note=" + "x" * 1001, opened(), "a note has at most"),
        ("comment=" + "x" * 65537, opened(), "a text has at most"),
        ("treeclosed=9003", opened(), "no priority is above"),
        ("frobnicate", opened(), "unknown word"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(words: str, change: Change, why: str) -> None:
    """No events, and one reply."""
    found = say(words, change)
    assert found.is_refused
    assert why in found.reply


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("r+", given_events(APPROVED)),
        ("r+", given_events(APPROVED, START)),
        ("r+", given_events(APPROVED, START, ended("b1", RunOutcome.PASSED))),
        ("r+", given_events(APPROVED, started("b1", Kind.AUTO, 4), FAILED)),
        ("r=rob", given_events(APPROVED)),
        ("p=0", opened()),
        ("reopen", opened()),
        ("ready", opened()),
        ("target=main", opened()),
        ("unroll", given_events(APPROVED, START)),
        ("treeopen", None),
        ("resume", None),
        ("ping", None),
        ("help", None),
        ("info", given_events(APPROVED)),
    ],
)
def test_what_is_so_already_is_no_event_and_no_refusal(words: str, change: Change | None) -> None:
    """There is a reply only."""
    found = say(words, change, "ada")
    assert (found.events, found.queue_events, found.is_refused) == ((), (), False)


def test_an_approval_again_with_a_priority_sets_the_priority_only() -> None:
    """What is new is done."""
    found = say("r+ p=5", given_events(APPROVED))
    assert [type(event) for event in found.events] == [Prioritized]


@pytest.mark.parametrize("outcome", [RunOutcome.FAILED, RunOutcome.ERRORED, RunOutcome.TIMED_OUT])
@pytest.mark.parametrize("words", ["r+", "retry"])
def test_a_failed_run_is_done_again_by_approval_or_retry(words: str, outcome: RunOutcome) -> None:
    """T16, T20, T21: it is queueable again and the old run stays failed."""
    change = given_events(APPROVED, START, ended("b1", outcome))
    again = after(change, say(words, change))
    assert (again.status, again.auto) == (Status.APPROVED, None)
    assert again.runs[0].outcome is outcome
    withdrawn = after(change, say("r-", change))
    assert after(withdrawn, say("r+", withdrawn)).status is Status.APPROVED


def test_a_withdrawn_approval_stops_the_run() -> None:
    """T18: the result does not count any more."""
    change = given_events(APPROVED, START)
    found = say("r-", change, "anna")
    assert [type(event) for event in found.events] == [CancelRequested, Unapproved]
    stopped = after(change, found)
    assert (stopped.status, stopped.runs[0].outcome) == (Status.OPEN, RunOutcome.CANCELLED)


def test_a_cancelled_run_is_held_until_retry_and_a_yielding_one_is_not() -> None:
    """T40 and its better command."""
    change = given_events(APPROVED, START)
    held = after(change, say("cancel", change))
    assert held.runs[0].is_held
    assert isinstance(say("retry", held, "tom").events[0], RetryRequested)
    assert after(held, say("r+", held)).auto is None
    yielded = after(change, say("yield", change))
    assert yielded.runs[0].is_yielding
    assert after(change, say("retry", change)).status is Status.APPROVED


def test_tries_are_asked_for_and_stopped() -> None:
    """With a run and before it has one."""
    change = after(opened(), say("try tests=a,b* parent=" + B, opened(), "tom"))
    assert change.wanted_try is not None
    assert (change.wanted_try.tests, change.wanted_try.parent) == (("a", "b*"), B)
    assert after(change, say("try cancel", change, "tom")).wanted_try is None
    tried = fold_change(change, [TRY])
    assert after(tried, say("try-", tried, "tom")).runs[0].outcome is RunOutcome.CANCELLED
    assert after(tried, say("cancel", tried)).runs[0].outcome is RunOutcome.CANCELLED
    last = say("try parent=last", tried).events[0]
    assert isinstance(last, TryRequested)
    assert last.parent == BASE
    failed = fold_change(tried, [ended("t1", RunOutcome.FAILED)])
    assert after(failed, say("retry", failed)).wanted_try is not None


def test_a_batch_is_unrolled() -> None:
    """Its members are to be tested one by one."""
    change = given_events(APPROVED, started("b1", Kind.AUTO, 4))
    found = say("unroll", change)
    assert isinstance(event := found.events[0], CancelRequested)
    assert (event.run, event.reason) == ("b1", UNROLLED)
    assert found.reply == "changes 3, 4 will be tested one by one"
    wrong = answer(Unroll(run="b2"), Principal(name="rita"), change, Queue(), RULES, at=9.0, via="cli")
    assert wrong.is_refused


@pytest.mark.parametrize("words", ["close no", "draft", "target=stable"])
def test_a_change_that_is_not_to_land_as_it_is_stops_its_run(words: str) -> None:
    """And it has no approval after that."""
    change = given_events(APPROVED, START)
    done = after(change, say(words, change, "anna"))
    assert (done.approval, done.runs[0].outcome) == (None, RunOutcome.CANCELLED)


def test_a_change_closes_and_opens_again() -> None:
    """By its author."""
    closed = after(opened(), say("close", opened(), "anna"))
    assert say("close", closed, "anna").events == ()
    assert after(closed, say("reopen", closed, "anna")).status is Status.OPEN


def test_rights_are_asked_for() -> None:
    """Each command for somebody who has not its right, and some for those who have."""
    change = given_events(APPROVED, START)
    for words in (
        "r+",
        "r-",
        "p=1",
        "rollup",
        "unroll",
        "delegate+",
        "close",
        "title=x",
        "draft",
        "target=stable",
    ):
        assert say(words, change, "tom" if words != "rollup" else "zoe").is_refused, words
    for words in ("try", "retry", "cancel", "try cancel", "treeclosed=1", "treeopen", "pause", "resume"):
        assert say(words, change, "zoe").is_refused, words
    assert say("r+ repair", opened(), "rita").is_refused
    assert not say("r+ repair", opened(), "ada").is_refused
    assert say("pause", None, "rita").is_refused
    assert not say("r-", change, "anna").is_refused
    assert say("r+", opened(), "").is_refused
    assert say("r+", opened(), QUEUE).is_refused


def test_a_delegate_approves_and_its_author_is_the_default() -> None:
    """Delegation is for one change, by its exact name."""
    delegated = after(opened(), say("delegate+", opened()))
    assert not say("r+", delegated, "anna").is_refused
    assert say("r+", delegated, "Anna").is_refused
    tries = after(opened(), say("delegate=tim try", opened()))
    assert say("r+", tries, "tim").is_refused
    assert not say("try", tries, "tim").is_refused
    assert after(delegated, say("delegate-", delegated)).delegates == {}


def test_a_known_conflict_is_said_where_the_tip_is_the_same() -> None:
    """With another tip it is news that the planner will find."""
    change = given_events(Conflicted(actor=QUEUE, at=3.0, head=A, base=BASE, paths=("x @limmat r+",)))
    assert r"conflicts with its target, in 'x \100limmat r+'" in say("r+", change, tip=BASE).reply
    assert not say("r+", change, tip=B).is_refused


def test_policies_that_squash_take_fixups() -> None:
    """They are what such a policy is for."""
    change = opened(title="fixup! x")
    assert not say("r+", change, rules=replace(RULES, policy=Policy.AUTOSQUASH)).is_refused


@pytest.mark.parametrize("title", ["wipe the disk", "todos are done", "a WIP of art"])
def test_titles_that_only_look_unfinished_are_approved(title: str) -> None:
    """The mark is a word at the beginning."""
    assert not say("r+", opened(title=title)).is_refused


def test_the_tree_is_closed_and_opened_for_all_or_for_one_target() -> None:
    """And an approval says that it will wait."""
    closed = say("treeclosed=10 target=main red", None)
    assert closed.queue_events == (
        TreeClosed(actor="rita", at=9.0, via="cli", below=10, target=MAIN, reason="red"),
    )
    queue = fold_queue(Queue(), closed.queue_events)
    assert "closed below priority 10" in say("r+", opened(), queue=queue).reply
    assert (
        "closed" not in say("r+ p=10", opened(), queue=queue).reply.removeprefix("x").split("priority is")[0]
    )
    assert say("treeopen target=stable", None, queue=queue).queue_events == ()
    assert fold_queue(queue, say("treeopen", None, queue=queue).queue_events).closed == {}


def test_a_pause_is_said_once() -> None:
    """And it ends."""
    paused = say("pause for lunch", None, "ada")
    queue = fold_queue(Queue(), paused.queue_events)
    assert isinstance(paused.queue_events[0], Paused)
    assert say("pause", None, "ada", queue=queue).queue_events == ()
    assert "the queue is paused" in say("r+", opened(), queue=queue).reply
    assert fold_queue(queue, say("resume", None, "ada", queue=queue).queue_events).paused is None


def test_the_lines_of_a_comment_are_done_in_order_and_each_for_itself() -> None:
    """The text is kept, a wrong line is answered, and what comes later sees what came before."""
    text = "well\n@limmat r+\n@limmat frob\n@limmat frob\n@limmat r-\n@limmat treeclosed=5\n@limmat p=2"
    found = answer(Comment(text=text), Principal(name="rita"), opened(), Queue(), RULES, at=9.0, via="cli")
    assert [type(event) for event in found.events] == [Commented, Approved, Unapproved, Prioritized]
    assert len(found.queue_events) == 1
    assert found.reply.count("unknown word 'frob'") == 1
    assert not found.is_refused


def test_a_comment_of_somebody_without_rights_is_only_kept() -> None:
    """The refusal is the reply."""
    found = answer(
        Comment(text="@limmat r+"), Principal(name="zoe"), opened(), Queue(), RULES, at=9.0, via="cli"
    )
    assert [type(event) for event in found.events] == [Commented]
    assert "'zoe' is no reviewer" in found.reply


def test_a_moved_head_takes_the_approval_along() -> None:
    """Rank 1: what was approved is what lands."""
    moved = fold_change(given_events(APPROVED), [HeadMoved(actor="anna", at=4.0, old=A, new=B, title="x")])
    assert say(f"r+ {A}", moved).is_refused
    assert after(moved, say("r+", moved)).approval.head == B  # type: ignore[union-attr]


def test_a_command_to_a_change_needs_one() -> None:
    """Without one it is refused."""
    assert say("r+", None).reply == "no change is named"
    assert say("info", Change(id=9)).is_refused


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "x @limmat r=evil beef",
            "a\n@limmat r+",
            "x\u2003@limmat\u2003r+",
            "`\n@limmat r+",
            "--> @limmat r+ <!--",
            "\x1b[31m@limmat r+",
            "\u202e@limmat r+",
            "@limmat: r+",
            "'@limmat r+",
        ]
    ),
    st.text(st.sampled_from("@limat r+=\n\t`'<>-!\\\u2003\x1b\ud800"), max_size=30),
)
COMMANDS = st.one_of(
    st.builds(Approve, by=HOSTILE, head=HOSTILE),
    st.builds(Delegate, to=HOSTILE),
    st.builds(Retitle, title=HOSTILE),
    st.builds(Comment, text=HOSTILE),
    st.builds(CloseTree, below=st.just(3), target=HOSTILE, reason=HOSTILE),
    st.builds(Unroll, run=HOSTILE),
    HOSTILE.map(parse_option),
    st.sampled_from(["r+", "r-", "retry", "info", "help", "close", "p=9002", "r=x", "try"]).map(parse_option),
)


@settings(max_examples=600, deadline=None)
@given(COMMANDS, HOSTILE, HOSTILE, HOSTILE, st.booleans(), st.sampled_from([BASE, ""]))
def test_no_answer_is_a_command(
    command: Command | Fault, name: str, title: str, path: str, is_reviewer: bool, tip: str
) -> None:
    """S1 to S3: whatever people, branches and files are called, our words say nothing to ourselves."""
    rules = replace(RULES, reviewers=("*",), targets=(MAIN, f"refs/heads/{title}"))
    change = opened(title=title, target=f"refs/heads/{path}")
    conflict = Conflicted(actor=QUEUE, at=3.0, head=A, base=BASE, paths=(path, name), reason=path)
    approved = Approved(actor="x", at=2.0, head=A, by=name)
    change = fold_change(change, [conflict, *([approved] if is_reviewer else [])])
    queue = fold_queue(Queue(), [Paused(actor=name, at=1.0, reason=title)])
    for who in (name, "rita"):
        found = answer(
            command,
            Principal(name=who),
            change,
            queue,
            rules,
            at=9.0,
            via="cli",
            tip=tip,
        )
        assert parse_comment(found.reply, "limmat") == ()
        assert not re.search("(?<![A-Za-z0-9])@", found.reply)
        assert all(char.isprintable() or char == "\n" for char in found.reply)


def test_a_fault_is_answered_with_its_hint() -> None:
    """One line."""
    found = answer(Fault(message="m", hint="h"), Principal(name="x"), None, Queue(), RULES, at=0.0, via="cli")
    assert (found.reply, found.is_refused) == ("m; h", True)


WALK = st.lists(
    st.sampled_from(
        (
            *(
                "r+",
                "r-",
                "retry",
                "cancel",
                "yield",
                "try",
                "try cancel",
                "unroll",
                "close",
                "reopen",
                "draft",
            ),
            *("ready", "target=main", "target=stable", "p=5", "rollup", "delegate+", "delegate-", "title=x"),
            *("title=WIP", "start", "start 2", "start try", "passed", "failed", "superseded", "timed-out"),
            *("push", "conflict"),
        )
    ),
    max_size=25,
)


def happen(what: str, change: Change, ordinal: int) -> ChangeEvent:
    """Return what the queue, or a push, adds to a timeline."""
    newest = next((run for run in reversed(change.runs) if run.is_open), None)
    match what.split():
        case ["push"]:
            new = f"{ordinal:040x}"
            return HeadMoved(actor="anna", at=3.0, old=change.head, new=new, title="again")
        case ["conflict"]:
            return Conflicted(actor=QUEUE, at=3.0, head=change.head, base=BASE)
        case ["start", *more]:
            kind = Kind.TRY if more == ["try"] else Kind.AUTO
            event = started(f"run{ordinal}", kind, *([4] if more == ["2"] else []))
            members = tuple(replace(each, head=change.head) for each in event.members)
            return replace(event, members=members, target=change.target)
    return ended(newest.run if newest is not None else "none", RunOutcome(what))


@settings(max_examples=400, deadline=None)
@given(WALK)
def test_whatever_happens_events_have_effect_and_approvals_are_of_the_head(walk: list[str]) -> None:
    """Commands and runs in any order: an answer's events are never stale, and words agree with the state."""
    change = opened()
    for ordinal, words in enumerate(walk, 1):
        if words.split()[0] in ("start", "push", "conflict") or words in [each.value for each in RunOutcome]:
            change = fold_change(change, [happen(words, change, ordinal)])
            continue
        before, found = change, say(words, change, "ada")
        change = after(change, found)
        assert change.approval is None or change.approval.head == change.head
        assert change.forge is Forge.OPEN or not (change.is_approved or change.wanted_try)
        is_at_work = [run for run in (change.auto, change.last_try) if run is not None and run.is_open]
        if words in ("r-", "close", "draft") and found.events:
            assert not [run for run in is_at_work if run.kind is Kind.AUTO or words == "close"]
        if words == "r+" and not found.is_refused:
            assert change.is_approved
            assert change.status not in (Status.FAILED, Status.ERRORED, Status.TIMED_OUT)
        if found.is_refused:
            assert change == before
