"""Fold events into state: pure, total, and the same whether in one go or event by event.

Layer:  pure. May import model and errors.

An event that makes no sense where it stands (late, stale, of another version) is counted and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from msgspec.structs import replace

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
    Notice,
    Opened,
    Paused,
    Prioritized,
    Reopened,
    Resumed,
    Retitled,
    RetryRequested,
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
from gitlimmat.queue.state import (
    Approval,
    Change,
    Closing,
    Comment,
    Conflict,
    Forge,
    Job,
    Queue,
    Run,
    TryRequest,
)

VERSION = 5
"""To be raised when the same events fold into something else: states kept by older ones are stale then."""

_Forge = Opened | HeadMoved | TargetChanged | Retitled | DraftSet | Closed | Reopened | Landed
_Wish = Approved | Unapproved | Delegated | Undelegated | Prioritized | RollupSet | Commented | Notice
_OfRun = TryRequested | RetryRequested | CancelRequested | RunStarted | RunEnded | Conflicted
_NO_VERDICT = (None, RunOutcome.PASSED, RunOutcome.SUPERSEDED)  # a new approval changes nothing about these
_Seen = dict[str, set[tuple[str, str]]]  # by run, the tests and commits of its jobs while folding


def fold_change(change: Change, events: Iterable[AnyEvent | Unknown]) -> Change:
    """Return `change` after `events`; start with `Change(id=n)`. Never raises."""
    seen: _Seen = {}
    for event in events:
        change = _step(change, event, seen)
    return change


def fold_queue(queue: Queue, events: Iterable[AnyEvent | Unknown]) -> Queue:
    """Return `queue` after `events`; start with `Queue()`. Never raises."""
    for event in events:
        queue = _queue_step(queue, event)
    return queue


def _step(change: Change, event: AnyEvent | Unknown, seen: _Seen) -> Change:
    after = _effect(change, event, seen)
    at = change.updated if isinstance(event, Unknown) else max(event.at, change.updated)
    if after is None:
        return replace(change, events=change.events + 1, ignored=change.ignored + 1, updated=at)
    return replace(after, events=change.events + 1, updated=at)


def _effect(change: Change, event: AnyEvent | Unknown, seen: _Seen) -> Change | None:
    """Return the change after an event, None when it has no effect."""
    if isinstance(event, Unknown) or change.is_opened == isinstance(event, Opened):
        return None
    if change.forge is Forge.LANDED and not isinstance(event, Commented | Notice | RunEnded | JobEnded):
        return None
    if isinstance(event, JobEnded):
        return _job_ended(change, event, seen)
    if isinstance(event, _Forge):
        return _forge(change, event)
    if isinstance(event, _Wish):
        return _wish(change, event)
    if isinstance(event, _OfRun):
        return _of_run(change, event)
    return None


def _forge(change: Change, event: _Forge) -> Change | None:
    match event:
        case Opened():
            return replace(
                change,
                is_opened=True,
                target=event.target,
                head=event.head,
                heads=(event.head,),
                title=event.title,
                body=event.body,
                topic=event.topic,
                author=event.actor,
                is_draft=event.draft,
                opened=event.at,
            )
        case HeadMoved():
            if event.new == change.head:
                return None
            heads = change.heads if event.new in change.heads else (*change.heads, event.new)
            words = {} if change.is_titled else {"title": event.title, "body": event.body}
            moved = replace(change, head=event.new, heads=heads, conflict=None, wanted_try=None, **words)
            return replace(moved, approval=None)
        case TargetChanged():
            return replace(change, target=event.target, approval=None, conflict=None)
        case Retitled():
            body = change.body if event.body is None else event.body
            return replace(change, title=event.title, body=body, is_titled=True)
        case DraftSet():
            return replace(change, is_draft=event.draft, approval=None if event.draft else change.approval)
        case Closed():
            if change.forge is not Forge.OPEN:
                return None
            return replace(change, forge=Forge.CLOSED, approval=None, wanted_try=None)
        case Reopened():
            return replace(change, forge=Forge.OPEN) if change.forge is Forge.CLOSED else None
        case Landed():
            return replace(
                change,
                forge=Forge.LANDED,
                landed_as=event.new,
                landed_by=event.run,
                came_with=event.came_with,
                wanted_try=None,
            )
    assert_never(event)


def _wish(change: Change, event: _Wish) -> Change | None:
    match event:
        case Approved():
            return _approve(change, event)
        case Unapproved():
            return replace(change, approval=None) if change.approval is not None else None
        case Delegated():
            return replace(change, delegates=change.delegates | {event.to: event.level})
        case Undelegated():
            return replace(change, delegates={})
        case Prioritized():
            return replace(change, priority=event.priority)
        case RollupSet():
            return replace(change, rollup=event.mode, rollup_note=event.note)
        case Commented():
            said = Comment(actor=event.actor, at=event.at, text=event.text)
            return replace(change, comments=(*change.comments, said))
        case Notice():
            if event.key in change.notices:
                return None
            said = Comment(actor=event.actor, at=event.at, text=event.text, key=event.key)
            return replace(change, comments=(*change.comments, said), notices=change.notices | {event.key})
    assert_never(event)


def _approve(change: Change, event: Approved) -> Change | None:
    """An approval is of one head; an old one that arrives late says nothing about the present head.

    It gives another chance to a head whose run has ended without landing. Where it says nothing new, the
    first one stays, and with it the place in the queue.
    """
    if event.head != change.head or change.forge is not Forge.OPEN or change.is_draft:
        return None
    approval = Approval(head=event.head, by=event.by, actor=event.actor, at=event.at, repair=event.repair)
    auto = change.auto
    if auto is not None and auto.outcome not in _NO_VERDICT:
        change = _put(change, replace(auto, is_retired=True))
    elif change.approval is not None and change.is_approved and change.approval.repair == event.repair:
        return None
    return replace(change, approval=approval)


def _of_run(change: Change, event: _OfRun) -> Change | None:
    match event:
        case TryRequested():
            return _request_try(change, event)
        case RunStarted():
            return _start(change, event)
        case Conflicted():
            return _conflict(change, event)
        case RetryRequested():
            run = change.run(event.run)
            return _retry(change, run, event) if run is not None and not run.is_retired else None
        case CancelRequested(run=""):
            return replace(change, wanted_try=None) if change.wanted_try is not None else None
        case CancelRequested():
            run = change.run(event.run)
            if run is None or not run.is_open:
                return None
            ended = _end(run, RunOutcome.CANCELLED, event.at, event.reason)
            return _put(change, replace(ended, cancelled_by=event.actor, is_yielding=event.yielding))
        case RunEnded():
            run = change.run(event.run)
            if run is None or not run.is_open:
                return _overtake(change, run, event) if run is not None else None
            return _put(change, _end(run, event.outcome, event.at, event.reason))
    assert_never(event)


def _overtake(change: Change, run: Run, event: RunEnded) -> Change | None:
    """A run that has passed, and cannot land any more, is superseded."""
    is_waiting = (run.kind, run.outcome, change.forge) == (Kind.AUTO, RunOutcome.PASSED, Forge.OPEN)
    if not is_waiting or event.outcome is not RunOutcome.SUPERSEDED:
        return None
    return _put(change, replace(run, outcome=event.outcome, reason=event.reason))


def _job_ended(change: Change, event: JobEnded, seen: _Seen) -> Change | None:
    """The first outcome of a test on a commit counts."""
    run = change.run(event.run)
    if run is None:
        return None
    found = seen.get(run.run)
    if found is None:
        found = seen[run.run] = {(job.test, job.commit) for job in run.jobs}
    if (event.test, event.commit) in found:
        return None
    found.add((event.test, event.commit))
    return _put(change, replace(run, jobs=(*run.jobs, _job(event))))


def _request_try(change: Change, event: TryRequested) -> Change | None:
    """A newer try ends an older one."""
    if event.head != change.head or change.forge is not Forge.OPEN:
        return None
    older = change.last_try
    if older is not None and older.is_open:
        change = _put(change, _end(older, RunOutcome.CANCELLED, event.at, "a newer try was asked for"))
    wanted = TryRequest(head=event.head, tests=event.tests, parent=event.parent, by=event.actor, at=event.at)
    return replace(change, wanted_try=wanted)


def _start(change: Change, event: RunStarted) -> Change | None:
    head = next((member.head for member in event.members if member.change == change.id), "")
    if not head or event.actor != QUEUE or change.run(event.run) is not None:
        return None
    run = Run(
        run=event.run,
        kind=event.kind,
        target=event.target,
        members=event.members,
        base=event.base,
        merge=event.merge,
        after=event.after,
        commits=event.commits,
        tests=event.tests,
        started=event.at,
        deadline=event.deadline,
        timeout=event.timeout,
        policy=event.policy,
        chosen=event.chosen,
        every_commit=event.every_commit,
        repair=event.repair,
        head=head,
        by=change.approval.by if change.approval is not None else "",
    )
    if event.kind is Kind.AUTO:
        return replace(change, runs=(*change.runs, run), conflict=None)
    asked = change.wanted_try if change.wanted_try and change.wanted_try.head == head else None
    return replace(change, runs=(*change.runs, replace(run, asked=asked)), wanted_try=None)


def _conflict(change: Change, event: Conflicted) -> Change | None:
    """A try that was asked for ends with it, unless it is onto something else; who asked hears of it anew."""
    if event.head != change.head:
        return None
    known, wanted = change.conflict, change.wanted_try
    is_awaited = wanted is not None and wanted.parent in ("", event.base)
    is_aside = wanted is not None and wanted.parent == event.base
    goes_on = known is not None and (known.head, known.is_aside) == (event.head, is_aside)
    conflict = Conflict(
        head=event.head,
        base=event.base,
        paths=event.paths,
        reason=event.reason,
        at=event.at,
        first=known.first if known is not None and goes_on and not is_awaited else event.base,
        since=known.since if known is not None and goes_on else event.at,
        is_aside=is_aside,
    )
    return replace(change, conflict=conflict, wanted_try=None if is_awaited else wanted)


def _retry(change: Change, run: Run, event: RetryRequested) -> Change:
    """Let a run count no more; its outcome stays what it was."""
    if run.is_open:
        run = replace(_end(run, RunOutcome.CANCELLED, event.at, "a retry"), cancelled_by=event.actor)
    change = _put(change, replace(run, is_retired=True))
    if run.kind is Kind.TRY and run.head == change.head and change.forge is Forge.OPEN:
        asked = run.asked or TryRequest(head=run.head, tests=run.tests, parent="", by="", at=0.0)
        return replace(change, wanted_try=replace(asked, by=event.actor, at=event.at))
    return change


def _end(run: Run, outcome: RunOutcome, at: float, reason: str) -> Run:
    return replace(run, outcome=outcome, ended=at, reason=reason)


def _job(event: JobEnded) -> Job:
    return Job(
        test=event.test,
        commit=event.commit,
        outcome=event.outcome,
        reason=event.reason,
        elapsed=event.elapsed,
        known=event.known,
        by=event.by,
    )


def _put(change: Change, run: Run) -> Change:
    if change.runs[-1].run == run.run:  # nearly all news is about the newest
        return replace(change, runs=(*change.runs[:-1], run))
    return replace(change, runs=tuple(run if each.run == run.run else each for each in change.runs))


def _queue_step(queue: Queue, event: AnyEvent | Unknown) -> Queue:
    queue = replace(queue, events=queue.events + 1)
    match event:
        case TreeClosed():
            closing = Closing(below=event.below, reason=event.reason, by=event.actor, at=event.at)
            return replace(queue, closed=queue.closed | {event.target: closing})
        case TreeOpened() if event.target in queue.closed or not event.target:
            left = {name: each for name, each in queue.closed.items() if event.target not in ("", name)}
            return replace(queue, closed=left)
        case Paused():
            return replace(queue, paused=Closing(below=0, reason=event.reason, by=event.actor, at=event.at))
        case Resumed():
            return replace(queue, paused=None)
    return replace(queue, ignored=queue.ignored + 1)
