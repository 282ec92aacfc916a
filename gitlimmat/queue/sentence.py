"""Events in plain words, one line each: for the log, the history of a change and whoever follows a queue.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from gitlimmat.queue.events import (
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
    RunStarted,
    TargetChanged,
    TreeClosed,
    TreeOpened,
    TryRequested,
    Unapproved,
    Undelegated,
    Unknown,
)

_SHORT = 12
_MOST = 72
_SHOWN = 3


def sentence(event: AnyEvent | Unknown) -> str:
    """Return what has happened, as one line of printable text without a full stop."""
    if isinstance(event, Unknown):
        return "something this version does not know"
    return _line(_words(event))


def subject(events: Sequence[AnyEvent | Unknown]) -> str:
    """Return one line about several events that happened at once."""
    said = [sentence(event) for event in events[:_SHOWN]]
    if len(events) > _SHOWN:
        said.append(f"and {len(events) - _SHOWN} more")
    line = "; ".join(said) or "nothing"
    return line if len(line) <= _MOST * _SHOWN else f"{line[: _MOST * _SHOWN - 1]}…"


def short_ref(name: str) -> str:
    """Return the name of a target as people say it."""
    return name.removeprefix("refs/heads/")


def _words(event: AnyEvent) -> str:
    match event:
        case Opened() | HeadMoved() | TargetChanged() | Retitled() | DraftSet() | Closed() | Reopened():
            return _author_words(event)
        case (
            Approved()
            | Unapproved()
            | Delegated()
            | Undelegated()
            | Prioritized()
            | RollupSet()
            | Commented()
        ):
            return _wish_words(event)
        case TryRequested() | RetryRequested() | CancelRequested() | RunStarted() | JobEnded() | RunEnded():
            return _run_words(event)
        case Conflicted():
            return f"{event.head[:_SHORT]} conflicts with {event.base[:_SHORT]}"
        case Landed():
            if event.came_with and not event.run:
                return f"came to {short_ref(event.target)} with run {event.came_with}"
            if not event.run:
                return f"is in {short_ref(event.target)} already, as of {event.new[:_SHORT]}"
            return f"landed on {short_ref(event.target)} as {event.new[:_SHORT]} by run {event.run}"
        case Notice():
            return f"told: {event.text}"
        case TreeClosed():
            where = f" of {short_ref(event.target)}" if event.target else ""
            return f"tree{where} closed below priority {event.below} by {event.actor}{_because(event.reason)}"
        case TreeOpened():
            return f"tree{f' of {short_ref(event.target)}' if event.target else ''} opened by {event.actor}"
        case Paused():
            return f"paused by {event.actor}{_because(event.reason)}"
        case Resumed():
            return f"resumed by {event.actor}"
    assert_never(event)


def _author_words(
    event: Opened | HeadMoved | TargetChanged | Retitled | DraftSet | Closed | Reopened,
) -> str:
    match event:
        case Opened():
            draft = " as a draft" if event.draft else ""
            return f"opened{draft} for {short_ref(event.target)} by {event.actor}"
        case HeadMoved():
            how = "forced to" if event.forced else "moved to"
            return f"head {how} {event.new[:_SHORT]} by {event.actor}"
        case TargetChanged():
            return f"sent to {short_ref(event.target)} instead by {event.actor}"
        case Retitled():
            return f"retitled by {event.actor}: {event.title}"
        case DraftSet():
            return f"made a draft by {event.actor}" if event.draft else f"no draft any more, by {event.actor}"
        case Closed():
            return f"closed by {event.actor}{_because(event.reason)}"
        case Reopened():
            return f"reopened by {event.actor}"
    assert_never(event)


def _wish_words(
    event: Approved | Unapproved | Delegated | Undelegated | Prioritized | RollupSet | Commented,
) -> str:
    match event:
        case Approved():
            through = f", entered by {event.actor}" if event.actor != event.by else ""
            repair = " as a repair" if event.repair else ""
            return f"{event.head[:_SHORT]} approved by {event.by}{repair}{through}"
        case Unapproved():
            return f"approval withdrawn by {event.actor}{_because(event.reason)}"
        case Delegated():
            return f"{event.level.value} delegated to {event.to} by {event.actor}"
        case Undelegated():
            return f"delegations withdrawn by {event.actor}"
        case Prioritized():
            return f"priority {event.priority} set by {event.actor}"
        case RollupSet():
            return f"rollup {event.mode.value} set by {event.actor}{_because(event.note)}"
        case Commented():
            return f"{event.actor} said: {event.text}"
    assert_never(event)


def _run_words(
    event: TryRequested | RetryRequested | CancelRequested | RunStarted | JobEnded | RunEnded,
) -> str:
    match event:
        case TryRequested():
            return f"try of {event.head[:_SHORT]} asked for by {event.actor}"
        case RetryRequested():
            return f"retry of run {event.run} asked for by {event.actor}"
        case CancelRequested():
            what = "yields" if event.yielding else "cancelled"
            return f"run {event.run} {what}, by {event.actor}{_because(event.reason)}"
        case RunStarted():
            others = f" with {len(event.members) - 1} more" if len(event.members) > 1 else ""
            return f"{event.kind.value} run {event.run} started{others}"
        case JobEnded():
            where = f", as {event.by} found out" if event.by else ""
            return f"{event.test} {event.outcome.value} in run {event.run}{where}{_because(event.reason)}"
        case RunEnded():
            return f"run {event.run} {event.outcome.value}{_because(event.reason)}"
    assert_never(event)


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _line(text: str) -> str:
    """Return text as one printable line that is not too long."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: _MOST * 4]).split())
    return line if len(line) <= _MOST * 2 else f"{line[: _MOST * 2 - 1]}…"
