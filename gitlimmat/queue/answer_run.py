"""What commands about the runs of a change do: try, retry, cancel, yield and unroll.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

from typing import assert_never

from gitlimmat.queue.asking import Answer, Asking, ended, nothing, refused
from gitlimmat.queue.events import CancelRequested, RetryRequested, RunOutcome, TryRequested
from gitlimmat.queue.phrase import short
from gitlimmat.queue.quoting import quote
from gitlimmat.queue.requests import Cancel, Retry, Try, TryCancel, Unroll
from gitlimmat.queue.state import UNROLLED, Change, Forge, Run

OfRun = Try | TryCancel | Retry | Cancel | Unroll


def answer(command: OfRun, asking: Asking, change: Change) -> Answer:
    """Return what a command about a run does."""
    if change.forge is not Forge.OPEN:
        return refused(ended(change))
    match command:
        case Try():
            return _try(command, asking, change)
        case TryCancel():
            return _cancel_try(asking, change)
        case Retry():
            return _retry(asking, change)
        case Cancel():
            return _cancel(command, asking, change)
        case Unroll():
            return _unroll(command, asking, change)
    assert_never(command)


def cancellation(asking: Asking, run: str, reason: str = "", *, yielding: bool = False) -> CancelRequested:
    """Return the event that stops a run."""
    return CancelRequested(
        actor=asking.name, at=asking.at, via=asking.via, run=run, reason=reason, yielding=yielding
    )


def is_stuck(run: Run | None) -> bool:
    """Return whether an auto run keeps its change from landing until someone says retry or approves again.

    One that was superseded is made again, and a batch that failed is tested in parts, by the queue itself.
    """
    if run is None or run.is_open:
        return False
    ended_badly = run.outcome in (RunOutcome.FAILED, RunOutcome.ERRORED, RunOutcome.TIMED_OUT)
    return run.is_held or (ended_badly and len(run.members) == 1)


def _try(command: Try, asking: Asking, change: Change) -> Answer:
    parent = command.parent
    if parent == "last":
        tried = [run for run in change.runs if run.kind == "try"]
        if not tried:
            return refused(f"change {change.id} has not been tried yet, so there is no last parent")
        parent = tried[-1].base
    wanted = TryRequested(
        actor=asking.name,
        at=asking.at,
        via=asking.via,
        head=change.head,
        tests=command.tests,
        parent=parent,
    )
    older = change.last_try
    instead = ", instead of its older try" if older is not None and older.is_open else ""
    return Answer(
        events=(wanted,), reply=f"{short(change.head)} of change {change.id} will be tried{instead}"
    )


def _cancel_try(asking: Asking, change: Change) -> Answer:
    tried = change.last_try
    if tried is not None and tried.is_open:
        return Answer(events=(cancellation(asking, tried.run),), reply=f"the try of change {change.id} stops")
    if change.wanted_try is not None:
        return Answer(events=(cancellation(asking, ""),), reply=f"change {change.id} will not be tried")
    return refused(f"change {change.id} is not being tried")


def _retry(asking: Asking, change: Change) -> Answer:
    auto, tried = change.auto, change.last_try
    if change.is_approved:
        if auto is None or not (auto.is_open or is_stuck(auto)):
            return refused(f"change {change.id} has nothing to retry: its status is {change.status}")
        return _again(asking, change, auto, "will be tested again")
    if tried is None or tried.outcome is RunOutcome.PASSED:
        why = "it is not approved" if auto is not None else "no run of this head has ended badly"
        return refused(f"change {change.id} has nothing to retry: {why}")
    return _again(asking, change, tried, "will be tried again")


def _again(asking: Asking, change: Change, run: Run, what: str) -> Answer:
    again = RetryRequested(actor=asking.name, at=asking.at, via=asking.via, run=run.run)
    return Answer(events=(again,), reply=f"change {change.id} {what}")


def _cancel(command: Cancel, asking: Asking, change: Change) -> Answer:
    auto, tried = change.auto, change.last_try
    if auto is not None and auto.is_open:
        event = cancellation(asking, auto.run, yielding=command.yielding)
        then = "others go first" if command.yielding else "it stays approved and waits for a retry"
        return Answer(events=(event,), reply=f"the run of change {change.id} stops; {then}")
    if tried is not None and tried.is_open and not command.yielding:
        return Answer(events=(cancellation(asking, tried.run),), reply=f"the try of change {change.id} stops")
    if auto is not None and auto.outcome is RunOutcome.PASSED:
        return refused(f"change {change.id} has passed and is about to land; 'r-' withdraws it")
    return refused(f"change {change.id} is not being tested")


def _unroll(command: Unroll, asking: Asking, change: Change) -> Answer:
    auto = change.auto
    if auto is None or not auto.is_open or command.run not in ("", auto.run):
        named = f"in {quote(command.run)}" if command.run else "being tested"
        return refused(f"change {change.id} is not {named}")
    if len(auto.members) == 1:
        return nothing(f"change {change.id} is tested alone already")
    others = ", ".join(str(member.change) for member in auto.members)
    event = cancellation(asking, auto.run, UNROLLED)
    return Answer(events=(event,), reply=f"changes {others} will be tested one by one")
