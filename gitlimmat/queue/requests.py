"""What people can ask of the queue, whatever they say it through.

Layer:  pure. May import model and errors.

Each is one command; what it does is decided in `answer`, and who may in `auth`.
"""

from __future__ import annotations

import msgspec

from gitlimmat.queue.events import Level, Rollup


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody asks for."""


class Approve(Request, frozen=True, kw_only=True):
    """Let it land. `head` is a prefix of the head that was reviewed, empty for the one it has.

    `by` names another approver, empty for whoever says so. `repair` takes the tests from the change itself.
    """

    head: str = ""
    by: str = ""
    repair: bool = False
    priority: int | None = None
    rollup: Rollup | None = None
    note: str = ""


class Unapprove(Request, frozen=True, kw_only=True):
    """Do not let it land."""


class Try(Request, frozen=True, kw_only=True):
    """Test it without landing it.

    `tests` are names or globs, empty for all. `parent` is a full commit id, `last` for that of the last try,
    or empty for the target's tip.
    """

    tests: tuple[str, ...] = ()
    parent: str = ""


class TryCancel(Request, frozen=True, kw_only=True):
    """Stop its try."""


class Retry(Request, frozen=True, kw_only=True):
    """Test it again."""


class Cancel(Request, frozen=True, kw_only=True):
    """Stop its run and keep its approval. With `yielding` others go first; without, it waits for a retry."""

    yielding: bool = False


class Prioritize(Request, frozen=True, kw_only=True):
    """Higher goes first."""

    priority: int


class SetRollup(Request, frozen=True, kw_only=True):
    """Whether it may be tested together with others."""

    mode: Rollup
    note: str = ""


class Unroll(Request, frozen=True, kw_only=True):
    """Test the members of its run one by one. `run` is empty for the run it is in."""

    run: str = ""


class Delegate(Request, frozen=True, kw_only=True):
    """Let `to`, or its author when empty, approve or try it."""

    to: str = ""
    level: Level = Level.REVIEW


class Undelegate(Request, frozen=True, kw_only=True):
    """Take all delegations back."""


class Close(Request, frozen=True, kw_only=True):
    """It is not wanted any more."""

    reason: str = ""


class Reopen(Request, frozen=True, kw_only=True):
    """It is wanted after all."""


class Retitle(Request, frozen=True, kw_only=True):
    """Give it other words. `body` None keeps the present one."""

    title: str
    body: str | None = None


class SetDraft(Request, frozen=True, kw_only=True):
    """Say whether it is a draft, which cannot be approved."""

    draft: bool


class Retarget(Request, frozen=True, kw_only=True):
    """Land it elsewhere: a branch, or a full ref name."""

    target: str


class Comment(Request, frozen=True, kw_only=True):
    """Say something; lines that name the queue are commands."""

    text: str


class CloseTree(Request, frozen=True, kw_only=True):
    """Start only changes of at least this priority. `target` is empty for every one."""

    below: int
    target: str = ""
    reason: str = ""


class OpenTree(Request, frozen=True, kw_only=True):
    """Start all again. `target` is empty for every one."""

    target: str = ""


class Pause(Request, frozen=True, kw_only=True):
    """Start nothing and land nothing."""

    reason: str = ""


class Resume(Request, frozen=True, kw_only=True):
    """Go on."""


class Ping(Request, frozen=True, kw_only=True):
    """Ask whether anyone is there."""


class Help(Request, frozen=True, kw_only=True):
    """Ask what can be said."""


class Info(Request, frozen=True, kw_only=True):
    """Ask how it stands."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why words are no command; `message` and `hint` are safe to be shown to anyone."""

    message: str
    hint: str = ""


OfQueue = CloseTree | OpenTree | Pause | Resume | Ping | Help
"""What can be said without a change."""

Command = (
    Approve
    | Unapprove
    | Try
    | TryCancel
    | Retry
    | Cancel
    | Prioritize
    | SetRollup
    | Unroll
    | Delegate
    | Undelegate
    | Close
    | Reopen
    | Retitle
    | SetDraft
    | Retarget
    | Comment
    | Info
    | OfQueue
)


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """What one line of a comment asks for. `line` counts from 1."""

    line: int
    command: Command | Fault
