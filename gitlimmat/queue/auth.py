"""Who may do what.

Layer:  pure. May import model and errors.

Who someone is was learned from the server's set-up before, never from a commit. Names are compared exactly.
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

import msgspec

from gitlimmat.queue.events import QUEUE, Level
from gitlimmat.queue.quoting import is_name, quote
from gitlimmat.queue.requests import (
    Approve,
    Cancel,
    Close,
    CloseTree,
    Command,
    Comment,
    Delegate,
    Help,
    Info,
    OfQueue,
    OpenTree,
    Pause,
    Ping,
    Prioritize,
    Reopen,
    Resume,
    Retarget,
    Retitle,
    Retry,
    SetDraft,
    SetRollup,
    Try,
    TryCancel,
    Unapprove,
    Undelegate,
    Unroll,
)
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.state import Change

ANYONE = "*"
"""In a list of the settings: whoever is known."""

_TOLD = 3


class Right(StrEnum):
    """What one may have to be allowed."""

    SPEAK = "speak"  # open changes, comment, ask
    OWN = "own"  # withdraw, close, reopen, retitle or retarget a change: its author, or a reviewer
    TRY = "try"
    RETRY = "retry"
    REVIEW = "review"
    ADMIN = "admin"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Someone the server vouches for. An empty name is nobody in particular."""

    name: str


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """Yes."""


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """No. `reason` is safe to be shown to anyone."""

    reason: str


def authorize(principal: Principal, right: Right, change: Change | None, rules: Rules) -> Allowed | Denied:
    """Return whether `principal` may, for `change` or for the whole queue when None.

    Delegates count for their own change only. An author has no more right to review than anyone else.
    """
    if (name := principal.name) == QUEUE or not is_name(name):
        return Denied(reason="the server does not know who you are")
    if may(name, right, change, rules):
        return Allowed()
    return Denied(reason=f"{quote(name)} {_missing(right)}{_who_may(right, rules)}")


def authorize_command(
    principal: Principal, command: Command, change: Change | None, rules: Rules
) -> Allowed | Denied:
    """Return whether `principal` may say `command`. Delegates cannot pass on what they were given."""
    scope = None if isinstance(command, Delegate | Undelegate | OfQueue) else change
    return authorize(principal, right_for(command), scope, rules)


def right_for(command: Command) -> Right:
    """Return the right that a command needs."""
    match command:
        case Comment() | Ping() | Help() | Info():
            return Right.SPEAK
        case Unapprove() | Cancel() | Close() | Reopen() | Retitle() | SetDraft() | Retarget():
            return Right.OWN
        case Try() | TryCancel() | SetRollup():
            return Right.TRY
        case Retry():
            return Right.RETRY
        case Approve(repair=True) | Pause() | Resume():
            return Right.ADMIN
        case Approve() | Prioritize() | Unroll() | Delegate() | Undelegate() | CloseTree() | OpenTree():
            return Right.REVIEW
    assert_never(command)


def may(name: str, right: Right, change: Change | None, rules: Rules) -> bool:
    """Return whether somebody of that name has a right."""
    match right:
        case Right.SPEAK:
            return True
        case Right.ADMIN:
            return _in(name, rules.admins)
        case Right.REVIEW:
            return (
                _in(name, rules.reviewers)
                or _in(name, rules.admins)
                or (change is not None and change.delegates.get(name) is Level.REVIEW)
            )
        case Right.TRY | Right.RETRY:
            return (
                _in(name, rules.tryers)
                or (change is not None and name in change.delegates)
                or may(name, Right.REVIEW, change, rules)
            )
        case Right.OWN:
            is_author = change is not None and name == change.author
            return is_author or may(name, Right.REVIEW, change, rules)
    assert_never(right)


def _in(name: str, names: tuple[str, ...]) -> bool:
    return name in names or ANYONE in names


def _who_may(right: Right, rules: Rules) -> str:
    """Return whom to ask instead."""
    names = rules.admins if right is Right.ADMIN else rules.reviewers or rules.admins
    if right is Right.SPEAK or not names:
        return ""
    told = [quote(each) for each in names[:_TOLD]] + [f"{len(names) - _TOLD} more"] * (len(names) > _TOLD)
    return f"; ask {' or '.join(told)}"


def _missing(right: Right) -> str:
    match right:
        case Right.SPEAK:
            return "may not speak"
        case Right.OWN:
            return "is neither the author nor a reviewer of it"
        case Right.TRY | Right.RETRY:
            return f"has no right to {right}"
        case Right.REVIEW:
            return "is no reviewer"
        case Right.ADMIN:
            return "is no admin"
    assert_never(right)
