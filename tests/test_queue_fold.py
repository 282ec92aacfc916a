"""Events fold into state: the table of known cases, an oracle, any order, any garbage."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queue_facts import Facts

from gitlimmat.model import Outcome
from gitlimmat.queue.eventlines import decode_events, encode_events
from gitlimmat.queue.events import (
    QUEUE,
    AnyEvent,
    Approved,
    CancelRequested,
    Closed,
    Commented,
    Conflicted,
    Delegated,
    DraftSet,
    HeadMoved,
    JobEnded,
    Kind,
    Landed,
    Level,
    Member,
    Notice,
    Opened,
    Paused,
    Prioritized,
    Reopened,
    Resumed,
    Retitled,
    RetryRequested,
    Rollup,
    RollupSet,
    RunEnded,
    RunOutcome,
    RunStarted,
    TargetChanged,
    TreeClosed,
    TreeOpened,
    TryRequested,
    Unapproved,
    Undelegated,
    Unknown,
)
from gitlimmat.queue.fold import fold_change, fold_queue
from gitlimmat.queue.sentence import sentence, subject
from gitlimmat.queue.state import Change, Queue, Run

HISTORIES_A_SEED = 20_000 if os.environ.get("LIMMAT_SOAK") else 400
SAMPLE = Path(__file__).parent / "data" / "queue-events-format-1.jsonl"
MAIN, STABLE = "refs/heads/main", "refs/heads/stable"
A, B, C = "a" * 40, "b" * 40, "c" * 40
BASE = "d" * 40
ALICE = "alice"


def opened() -> Opened:
    """The first event of change 1, with head A."""
    return Opened(actor=ALICE, at=1.0, target=MAIN, head=A, title="one")


def approved(head: str = A, at: float = 2.0) -> Approved:
    """An approval of a head."""
    return Approved(actor="bob", at=at, by="bob", head=head)


def moved(new: str, old: str = A) -> HeadMoved:
    """A push."""
    return HeadMoved(actor=ALICE, at=5.0, old=old, new=new, title="one", forced=True)


def started(run: str, kind: Kind = Kind.AUTO, head: str = A, target: str = MAIN) -> RunStarted:
    """The start of a run of change 1."""
    return RunStarted(
        actor=QUEUE,
        at=3.0,
        run=run,
        kind=kind,
        target=target,
        members=(Member(change=1, head=head),),
        base=BASE,
        merge=C,
        commits=(C,),
        tests=("unit",),
        deadline=3603.0,
    )


def tried(run: str, head: str = A) -> RunStarted:
    """The start of a try."""
    return started(run, Kind.TRY, head)


def ended(run: str, outcome: RunOutcome = RunOutcome.PASSED) -> RunEnded:
    """The end of a run."""
    return RunEnded(actor=QUEUE, at=4.0, run=run, outcome=outcome)


def wish(kind: type[Unapproved] | type[Closed] | type[Reopened]) -> AnyEvent:
    """An event that says no more than its name."""
    return kind(actor="bob", at=6.0)


FAILED, TIMED_OUT = RunOutcome.FAILED, RunOutcome.TIMED_OUT
UNAPPROVED, CLOSED, REOPENED = wish(Unapproved), wish(Closed), wish(Reopened)
LANDED = Landed(actor=QUEUE, at=7.0, run="b1", target=MAIN, old=BASE, new=C)
T2 = (approved(),)
T4 = (tried("t1"),)
T5 = (*T4, ended("t1"))
T14 = (*T2, started("b1"))
T15 = (*T14, ended("b1", FAILED))


def retry(run: str) -> RetryRequested:
    """A request for another run."""
    return RetryRequested(actor="bob", at=8.0, run=run)


# Rows of reference/queue.md 2.5, in its words: approved, try, build and the status that is shown; then
# how many events were without effect. T25, T33 and T34 are about readers and writers: see tests of these.
TABLE: dict[str, tuple[tuple[AnyEvent | Unknown, ...], tuple[bool, str, str, str], int]] = {
    "T1": ((), (False, "none", "none", "open"), 0),
    "T2": (T2, (True, "none", "none", "approved"), 0),
    "T3": ((approved(B),), (False, "none", "none", "open"), 1),
    "T4": (T4, (False, "pending", "none", "trying"), 0),
    "T5": (T5, (False, "passed", "none", "try passed"), 0),
    "T6": ((*T4, ended("t1", FAILED)), (False, "failed", "none", "try failed"), 0),
    "T7": ((*T4, ended("t1", TIMED_OUT)), (False, "timed-out", "none", "try timed-out"), 0),
    "T8": ((*T5, moved(B)), (False, "none", "none", "open"), 0),
    "T9": ((*T5, moved(B), moved(A, B)), (False, "passed", "none", "try passed"), 0),
    "T9 approval": ((*T2, moved(B), moved(A, B)), (False, "none", "none", "open"), 0),
    "T10": ((*T4, moved(B), ended("t1")), (False, "none", "none", "open"), 0),
    "T11": ((*T5, *T2), (True, "passed", "none", "approved"), 0),
    "T12": ((*T5, *T2, UNAPPROVED), (False, "passed", "none", "try passed"), 0),
    "T13": ((*T4, *T2), (True, "pending", "none", "approved"), 0),
    "T14": (T14, (True, "none", "pending", "testing"), 0),
    "T15": (T15, (True, "none", "failed", "failed"), 0),
    "T16": ((*T15, retry("b1")), (True, "none", "none", "approved"), 0),
    "T17": ((*T14, ended("b1")), (True, "none", "passed", "ready"), 0),
    "T17 landed": ((*T14, ended("b1"), LANDED), (True, "none", "passed", "landed"), 0),
    "T18": ((*T14, UNAPPROVED), (False, "none", "pending", "testing"), 0),
    "T18 passed": ((*T14, UNAPPROVED, ended("b1")), (False, "none", "passed", "open"), 0),
    "T19": ((*T15, UNAPPROVED), (False, "none", "failed", "failed"), 0),
    "T20": ((*T15, UNAPPROVED, approved(at=9.0)), (True, "none", "none", "approved"), 0),
    "T21": ((*T15, approved(at=9.0)), (True, "none", "none", "approved"), 0),
    "T22": ((*T14, moved(B), ended("b1")), (False, "none", "none", "open"), 0),
    "T23": (
        (*T5, *T14, ended("b1", TIMED_OUT)),
        (True, "passed", "timed-out", "timed-out"),
        0,
    ),
    "T24": (
        (*T15, UNAPPROVED, tried("t1"), ended("t1", TIMED_OUT)),
        (False, "timed-out", "failed", "failed"),
        0,
    ),
    "T26": ((ended("b1", FAILED),), (False, "none", "none", "open"), 1),
    "T27": ((*T14, ended("b1"), ended("b1")), (True, "none", "passed", "ready"), 1),
    "T28": ((*T14, started("b1"), ended("b1")), (True, "none", "passed", "ready"), 1),
    "T29": ((*T14, ended("b1"), ended("b1", FAILED)), (True, "none", "passed", "ready"), 1),
    "passed, then superseded": (
        (*T14, ended("b1"), ended("b1", RunOutcome.SUPERSEDED)),
        (True, "none", "superseded", "approved"),
        0,
    ),
    "landed, then superseded": (
        (*T14, ended("b1"), LANDED, ended("b1", RunOutcome.SUPERSEDED)),
        (True, "none", "passed", "landed"),
        1,
    ),
    "failed, then superseded": (
        (*T15, ended("b1", RunOutcome.SUPERSEDED)),
        (True, "none", "failed", "failed"),
        1,
    ),
    "try passed, then superseded": (
        (*T5, ended("t1", RunOutcome.SUPERSEDED)),
        (False, "passed", "none", "try passed"),
        1,
    ),
    "T30": (
        (*T14, TargetChanged(actor=ALICE, at=9.0, target=STABLE)),
        (False, "none", "none", "open"),
        0,
    ),
    "T31": ((*T2, approved(at=9.0)), (True, "none", "none", "approved"), 1),
    "T32": ((approved("deadbeef"),), (False, "none", "none", "open"), 1),
    "T36 closed": ((CLOSED,), (False, "none", "none", "closed"), 0),
    "T36 landed": ((*T14, ended("b1"), LANDED, CLOSED), (True, "none", "passed", "landed"), 1),
    "T36 reopened": ((*T2, CLOSED, REOPENED), (False, "none", "none", "open"), 0),
    "T37": ((Unknown(raw=b'{"type":"of-tomorrow"}'),), (False, "none", "none", "open"), 1),
    "T38": (
        (DraftSet(actor=ALICE, at=2.0, draft=True), *T2),
        (False, "none", "none", "draft"),
        1,
    ),
    "T39": (
        (tried("t1"), ended("t1", FAILED), *T15, retry("b1")),
        (True, "failed", "none", "approved"),
        0,
    ),
    "T40": ((*T14, retry("b1")), (True, "none", "none", "approved"), 0),
    "T41": ((*T14, retry("b1"), ended("b1")), (True, "none", "none", "approved"), 1),
    "T42": ((*T14, retry("b1"), started("b2")), (True, "none", "pending", "testing"), 0),
}


def shown(run: Run | None) -> str:
    """The word of the table for a run."""
    if run is None:
        return "none"
    return "pending" if run.outcome is None else run.outcome.value


@pytest.mark.parametrize("name", TABLE)
def test_a_known_sequence_gives_the_state_of_the_table(name: str) -> None:
    """The rows of the specification, where each was a bug in some other queue."""
    events, wanted, ignored = TABLE[name]
    change = fold_change(Change(id=1), (opened(), *events))
    seen = (change.is_approved, shown(change.last_try), shown(change.auto), change.status.value)
    assert seen == wanted
    assert (change.events, change.ignored) == (len(events) + 1, ignored)


def test_a_failed_run_stays_failed_when_it_is_tried_again() -> None:
    """T16: a retry lets a run count no more; what it found is history."""
    change = fold_change(Change(id=1), (opened(), *T15, retry("b1")))
    assert [(run.run, run.outcome, run.is_retired) for run in change.runs] == [("b1", FAILED, True)]


def test_a_run_that_gave_way_is_cancelled_and_the_next_one_is_new() -> None:
    """T42: both are in the history, each with its own outcome."""
    change = fold_change(Change(id=1), (opened(), *T14, retry("b1"), started("b2"), ended("b1")))
    assert [(run.run, run.outcome) for run in change.runs] == [("b1", RunOutcome.CANCELLED), ("b2", None)]


def test_the_result_of_a_withdrawn_head_is_history_only() -> None:
    """T10 and T22: late news reaches the run that it names."""
    change = fold_change(Change(id=1), (opened(), *T14, moved(B), ended("b1")))
    assert change.auto is None
    assert [run.outcome for run in change.runs] == [RunOutcome.PASSED]


@pytest.mark.parametrize("priority", [5, -3])
def test_a_priority_is_what_was_said_last(priority: int) -> None:
    """T35; what is too high never becomes an event."""
    events = (opened(), Prioritized(actor="bob", at=2.0, priority=priority))
    assert fold_change(Change(id=1), events).priority == priority


def test_a_retried_try_is_asked_for_as_it_was() -> None:
    """The parent and the tests of the first request hold for the second."""
    asked = TryRequested(actor="bob", at=2.0, head=A, tests=("u*",), parent=B)
    change = fold_change(Change(id=1), (opened(), asked, tried("t1"), retry("t1")))
    assert change.wanted_try is not None
    assert (change.wanted_try.tests, change.wanted_try.parent) == (("u*",), B)


def test_an_approval_that_says_nothing_new_keeps_its_place() -> None:
    """The order of the queue is that of approvals: a second one must not send a change back."""
    change = fold_change(Change(id=1), (opened(), *T2, approved(at=9.0)))
    assert change.approval is not None
    assert change.approval.at == 2.0


def test_a_run_that_is_not_by_the_queue_or_of_others_is_none() -> None:
    """Only the queue starts runs, and only those of a change are its own."""
    forged = msgspec.structs.replace(started("b1"), actor="mallory")
    foreign = msgspec.structs.replace(started("b2"), members=(Member(change=2, head=A),))
    change = fold_change(Change(id=1), (opened(), *T2, forged, foreign))
    assert (change.runs, change.ignored) == ((), 2)


def test_trees_are_closed_one_by_one_and_opened_together() -> None:
    """The strictest closing holds; opening without a name opens all."""
    queue = fold_queue(
        Queue(),
        (
            TreeClosed(actor="bob", at=1.0, below=5),
            TreeClosed(actor="bob", at=2.0, below=9, target=STABLE, reason="release"),
            TreeOpened(actor="bob", at=3.0, target=MAIN),
            Paused(actor="bob", at=4.0),
            Resumed(actor="bob", at=5.0),
            opened(),
        ),
    )
    main, stable = queue.closing(MAIN), queue.closing(STABLE)
    assert main is not None
    assert stable is not None
    assert (main.below, stable.below, queue.paused) == (5, 9, None)
    assert (queue.events, queue.ignored) == (6, 2)
    assert fold_queue(queue, [TreeOpened(actor="bob", at=6.0)]).closed == {}


HEADS = st.sampled_from([A, B, C])
RUNS = st.sampled_from(["r1", "r2", "r3", "r4"])
PEOPLE = st.sampled_from([ALICE, "bob", "carol"])
TIMES = st.floats(0, 1e6).map(lambda at: round(at, 3))
KINDS = st.sampled_from([Kind.AUTO, Kind.AUTO, Kind.TRY])


def built(
    kind: type[AnyEvent], actor: st.SearchStrategy[str] = PEOPLE, **fields: object
) -> st.SearchStrategy[AnyEvent]:
    """Events of a kind."""
    return st.builds(kind, actor=actor, at=TIMES, **fields)  # type: ignore[arg-type]


def starts() -> st.SearchStrategy[RunStarted]:
    """Starts of runs, nearly all of change 1 and by the queue."""
    return st.builds(
        RunStarted,
        actor=st.sampled_from([QUEUE, QUEUE, QUEUE, QUEUE, "mallory"]),
        at=TIMES,
        run=RUNS,
        kind=KINDS,
        target=st.sampled_from([MAIN, MAIN, STABLE]),
        members=st.builds(Member, change=st.sampled_from([1, 1, 1, 2]), head=HEADS).map(lambda each: (each,)),
        base=st.just(BASE),
        merge=HEADS,
        commits=HEADS.map(lambda each: (each,)),
        tests=st.just(("unit",)),
        deadline=TIMES,
    )


QUEUES = st.just(QUEUE)
TITLES = st.sampled_from(["one", "two", "WIP: three"])
EVENTS: st.SearchStrategy[AnyEvent | Unknown] = st.one_of(
    built(Opened, target=st.just(MAIN), head=HEADS, title=TITLES),
    built(HeadMoved, old=HEADS, new=HEADS, title=TITLES),
    built(TargetChanged, target=st.sampled_from([MAIN, STABLE])),
    built(Retitled, title=TITLES),
    built(DraftSet, draft=st.sampled_from([True, False, False])),
    built(Closed),
    built(Reopened),
    built(Commented, text=TITLES),
    *[built(Approved, head=HEADS, by=PEOPLE, repair=st.sampled_from([False, False, True]))] * 3,
    built(Unapproved),
    built(Delegated, to=PEOPLE, level=st.sampled_from(Level)),
    built(Undelegated),
    built(Prioritized, priority=st.integers(-9, 9)),
    built(RollupSet, mode=st.sampled_from(Rollup)),
    built(TryRequested, head=HEADS),
    built(RetryRequested, run=RUNS),
    built(CancelRequested, run=RUNS, yielding=st.booleans()),
    *[starts()] * 4,
    built(JobEnded, QUEUES, run=RUNS, test=TITLES, outcome=st.sampled_from(Outcome), commit=HEADS),
    *[built(RunEnded, QUEUES, run=RUNS, outcome=st.sampled_from(RunOutcome))] * 3,
    built(Conflicted, QUEUES, head=HEADS, base=st.just(BASE)),
    built(Notice, QUEUES, key=st.sampled_from(["x", "y"]), text=TITLES),
    built(Paused),
    st.just(Unknown(raw=b'{"type":"of-tomorrow"}')),
)
LANDINGS = built(Landed, QUEUES, run=RUNS, target=st.just(MAIN), old=HEADS, new=HEADS)
HISTORIES = st.builds(
    lambda first, events, landing, at: [*first, *events[:at], *landing, *events[at:]],
    st.sampled_from([[opened()], [opened()], [opened()], []]),
    st.lists(EVENTS, min_size=15, max_size=40),
    st.one_of(st.just([]), st.just([]), LANDINGS.map(lambda each: [each])),
    st.integers(0, 40),
)


def facts_of(change: Change) -> dict[str, object]:
    """What the oracle says too, as the fold has it."""
    if not change.is_opened:
        return {"opened": False, "events": change.events}
    approval = change.approval
    return {
        "opened": True,
        "events": change.events,
        "head": change.head,
        "target": change.target,
        "draft": change.is_draft,
        "approval": (approval.head, approval.by, approval.repair) if approval else None,
        "status": change.status.value,
        "priority": change.priority,
        "rollup": change.rollup.value,
        "delegates": {name: level.value for name, level in change.delegates.items()},
        "title": change.title,
        "heads": list(change.heads),
        "runs": [(run.run, run.outcome, run.is_retired) for run in change.runs],
        "jobs": [[(job.test, job.commit, job.outcome.value) for job in run.jobs] for run in change.runs],
        "wants try": change.wanted_try is not None,
        "comments": [comment.text for comment in change.comments],
        "landed": change.landed_as,
    }


@settings(deadline=None, max_examples=150)
@given(HISTORIES)
def test_the_fold_equals_the_oracle_on_any_events(events: list[AnyEvent | Unknown]) -> None:
    """Step by step or by asking the whole list: the same facts."""
    assert facts_of(fold_change(Change(id=1), events)) == Facts(1, events).all()


def likely_history(chance: random.Random) -> list[AnyEvent | Unknown]:
    """A history in which most events make sense where they stand, so that long ones get somewhere."""
    head, target = A, MAIN
    events: list[AnyEvent | Unknown] = [opened()]
    for number in range(chance.randrange(30)):
        at = 10.0 + number
        some = {"actor": chance.choice(["alice", "bob"]), "at": at}
        ours = {"actor": QUEUE, "at": at}
        named = head if chance.random() < 0.9 else chance.choice([A, B, C])
        run = chance.choice(["r1", "r2", "r3"])
        kind = chance.choice([Kind.AUTO, Kind.AUTO, Kind.TRY])
        where = target if chance.random() < 0.9 else STABLE
        repair = chance.random() < 0.2
        outcome = chance.choice(list(RunOutcome))
        possible: dict[AnyEvent | Unknown, int] = {
            HeadMoved(**some, old=head, new=chance.choice([A, B, C]), title=f"title {number}"): 2,
            TargetChanged(**some, target=chance.choice([MAIN, STABLE])): 1,
            Retitled(**some, title=f"name {number}"): 1,
            DraftSet(**some, draft=chance.random() < 0.3): 1,
            Closed(**some): 1,
            Reopened(**some): 2,
            Commented(**some, text=f"text {number}"): 1,
            Approved(**some, head=named, by=chance.choice(["alice", "bob"]), repair=repair): 8,
            Unapproved(**some): 2,
            Delegated(**some, to=chance.choice(["alice", "bob"]), level=chance.choice(list(Level))): 1,
            Undelegated(**some): 1,
            Prioritized(**some, priority=number): 1,
            RollupSet(**some, mode=chance.choice(list(Rollup))): 1,
            TryRequested(**some, head=named): 3,
            RetryRequested(**some, run=run): 3,
            CancelRequested(**some, run=run, yielding=repair): 2,
            msgspec.structs.replace(started(run, kind, named, where), at=at): 9,
            JobEnded(**ours, run=run, test=chance.choice("xy"), outcome=Outcome.PASSED, commit=C): 3,
            RunEnded(**ours, run=run, outcome=outcome): 9,
            Conflicted(**ours, head=named, base=BASE): 2,
            Notice(**ours, key=chance.choice("xy"), text=f"text {number}"): 1,
            Landed(**ours, run=run, target=MAIN, old=BASE, new=C): 1 if number > 20 else 0,
            Opened(**some, target=STABLE, head=C, title="again"): 1,
            Unknown(raw=b"{}"): 1,
        }
        (event,) = chance.choices(list(possible), list(possible.values()))
        events.append(event)
        head = event.new if isinstance(event, HeadMoved) else head
        target = event.target if isinstance(event, TargetChanged) else target
    return events


@pytest.mark.parametrize("seed", range(4))
def test_the_fold_equals_the_oracle_on_likely_histories(seed: int) -> None:
    """The same for histories as there are, in which approvals, runs and pushes meet."""
    chance = random.Random(seed)
    for _ in range(HISTORIES_A_SEED):
        events = likely_history(chance)
        assert facts_of(fold_change(Change(id=1), events)) == Facts(1, events).all(), events


@settings(deadline=None, max_examples=150)
@given(HISTORIES, st.integers(0, 40))
def test_folding_goes_on_from_anywhere(events: list[AnyEvent | Unknown], cut: int) -> None:
    """Incremental equals whole, also when the state was stored and read between, and events were encoded."""
    whole = fold_change(Change(id=1), events)
    part = fold_change(Change(id=1), events[:cut])
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(part), type=Change)
    rest = decode_events(encode_events(events[cut:]))
    assert fold_change(stored, rest) == whole
    assert fold_change(part, events[cut:]) == whole


@settings(deadline=None, max_examples=150)
@given(HISTORIES)
def test_the_queue_folds_any_events(events: list[AnyEvent | Unknown]) -> None:
    """Events of changes say nothing to the queue, and are counted."""
    queue = fold_queue(Queue(), events)
    assert queue.events == len(events)
    assert queue.ignored == sum(not isinstance(event, Paused) for event in events)


@settings(deadline=None, max_examples=150)
@given(st.lists(EVENTS, max_size=20))
def test_text_of_events_is_canonical(events: list[AnyEvent | Unknown]) -> None:
    """Read and written again it is the same, byte for byte; what is not known stays verbatim."""
    text = encode_events(events)
    assert decode_events(text) == tuple(events)
    assert encode_events(decode_events(text)) == text
    assert b"".join(encode_events([event]) for event in events) == text
    for event in events:
        assert sentence(event).isprintable()
    assert "\n" not in subject(events)


GARBAGE = st.one_of(
    st.binary(max_size=60),
    st.lists(EVENTS, max_size=3).map(encode_events).flatmap(lambda text: st.sampled_from(mangled(text))),
)


def mangled(text: bytes) -> list[bytes]:
    """A text of events, spoiled in ways a disk or a person may spoil it."""
    chance = random.Random(text)
    at = chance.randrange(len(text) + 1)
    half = text.replace(b",", b",\n", 1)
    return [
        text[:at],
        text[:at] + text[at + 1 :],
        text[:at] + b"\xff" + text[at:],
        half,
        half + text,
        text * 2,
    ]


@settings(deadline=None, max_examples=300)
@given(st.lists(GARBAGE, max_size=4))
def test_garbage_is_kept_and_changes_nothing(pieces: list[bytes]) -> None:
    """Reading never fails, folding never fails, and no line is joined with another one's."""
    text = b"".join(piece if piece.endswith(b"\n") else piece + b"\n" for piece in pieces)
    events = decode_events(text)
    assert events == tuple(event for line in text.split(b"\n") for event in decode_events(line))
    assert len(events) == sum(1 for line in text.split(b"\n") if line)
    for event in events:
        if isinstance(event, Unknown):
            assert encode_events([event]) == event.raw + b"\n"
            assert sentence(event)
    change = fold_change(Change(id=1), events)
    assert change.events == len(events)


@pytest.mark.parametrize(
    "line",
    [
        b'{"actor":"a","at":1e999,"type":"resumed"}',
        b'{"actor":"a","at":1,"priority":99999999999999999999,"type":"prioritized"}',
        b'{"actor":"a","at":1,"text":"\\ud800","type":"commented"}',
        b'{"actor":"a","at":1,"head":"h","mode":"of-tomorrow","type":"rollup-set"}',
        b'{"actor":"a","type":"resumed"}',
        b'{"type":"commented","x":' + b"[" * 100000,
        b"null",
    ],
    ids=["time", "number", "text", "value", "field", "depth", "nothing"],
)
def test_a_line_that_cannot_be_read_is_unknown(line: bytes) -> None:
    """It is no event, and no error either."""
    assert decode_events(line + b"\n") == (Unknown(raw=line),)


def test_text_that_is_none_is_stored_all_the_same() -> None:
    """A title from a commit in another encoding has lone surrogates; nothing that git gives is refused."""
    said = Commented(actor=ALICE, at=1.0, text="caf\udce9 \0 \u2028 \U0001f600")
    (back,) = decode_events(encode_events([said]))
    assert isinstance(back, Commented)
    assert back.text == "caf\ufffd \0 \u2028 \U0001f600"
    assert b"\n" not in encode_events([said])[:-1]


@pytest.mark.parametrize(
    "event",
    [
        Resumed(actor="a", at=float("nan")),
        Resumed(actor="a", at=float("inf")),
        Prioritized(actor="a", at=1.0, priority=10**30),
    ],
    ids=["nan", "inf", "huge"],
)
def test_what_could_not_be_read_again_is_not_written(event: AnyEvent) -> None:
    """It is refused before it is stored, not lost after."""
    with pytest.raises(ValueError, match="cannot be stored"):
        encode_events([event])


def test_every_event_of_a_sample_of_format_1_is_read() -> None:
    """All kinds of events as they were first written, and one of a later version."""
    text = SAMPLE.read_bytes()
    events = decode_events(text)
    kinds = {type(event) for event in events}
    assert kinds == {*get_args(AnyEvent), Unknown}
    assert encode_events(events) == text
    change = fold_change(Change(id=1), events)
    assert (change.title, change.body, change.topic, change.author) == ("new words", "why", "topic", ALICE)
    assert [run.outcome for run in change.runs] == [RunOutcome.TIMED_OUT, RunOutcome.PASSED]
    assert change.runs[0].jobs[0].outcome is Outcome.ERRORED
    assert (change.status.value, change.landed_as, change.landed_by) == ("landed", C, "b1")
    queue = fold_queue(Queue(), events)
    assert queue.events - queue.ignored == 4


@pytest.mark.parametrize(("after", "status"), [((), "approved"), ((UNAPPROVED,), "open")])
def test_a_batch_that_failed_blames_nobody(after: tuple[AnyEvent, ...], status: str) -> None:
    """Also when its approval is withdrawn before it was tested alone: any of its members may be at fault."""
    batch = msgspec.structs.replace(
        started("b1"), members=(Member(change=1, head=A), Member(change=2, head=B))
    )
    change = fold_change(Change(id=1), (opened(), approved(), batch, ended("b1", FAILED), *after))
    assert change.status.value == status
    alone = fold_change(Change(id=1), (opened(), *T15, *after))
    assert alone.status.value == "failed"
