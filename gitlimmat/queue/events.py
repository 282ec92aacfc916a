"""Events of a merge queue: what has happened to a change, or to the queue itself.

Layer:  pure. May import model and errors.
Format: 1, see gitlimmat-format(5); their text is in `eventlines`. Fields are only ever added, with a default
        that is true of older events; an unknown type is kept as it is.

Every event of a run names the run, so late news can never reach another one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from gitlimmat.model import Outcome

FORMAT = 1
QUEUE = "limmat"
"""The actor of what the queue itself does. No person can be called so."""


_MOST = 2**53
Whole = Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)]
"""A number that every reader of JSON can have."""


class Kind(StrEnum):
    """What a run is for; fixed when it is made. Only AUTO ever lands."""

    AUTO = "auto"
    TRY = "try"


class RunOutcome(StrEnum):
    """How a run ended."""

    PASSED = "passed"
    FAILED = "failed"  # a test failed
    ERRORED = "errored"  # no verdict: a test could not be run, or the configuration does not parse
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"  # someone asked for it, or nobody wants it any more
    SUPERSEDED = "superseded"  # what it was built on is not what it would land on


class Rollup(StrEnum):
    """Whether a change may be tested together with others."""

    ALWAYS = "always"
    MAYBE = "maybe"
    IFFY = "iffy"  # it may, with nobody else beside it for now: as `never`, but sorted after it
    NEVER = "never"


class Level(StrEnum):
    """What a delegation allows."""

    TRY = "try"
    REVIEW = "review"


class Policy(StrEnum):
    """How a change becomes commits on the target."""

    MERGE = "merge"
    LINEAR = "linear"
    SQUASH = "squash"
    AUTOSQUASH = "autosquash"


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """Something that happened. `actor` is a principal's name or `QUEUE`; `at` seconds since the epoch, UTC.

    `via` says through what it came: `push`, `cli`, `web` or `queue`.
    """

    actor: str
    at: float
    via: str = "queue"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A change in a run, with the head that was approved or tried."""

    change: int
    head: str


# Events of a change.


class Opened(Event, frozen=True, kw_only=True, tag="opened"):
    """A change was made. `target` is a full ref name."""

    target: str
    head: str
    title: str
    body: str = ""
    topic: str = ""
    draft: bool = False


class HeadMoved(Event, frozen=True, kw_only=True, tag="head-moved"):
    """Its author pushed again. `forced` when `new` does not descend from `old`."""

    old: str
    new: str
    title: str
    body: str = ""
    forced: bool = False


class TargetChanged(Event, frozen=True, kw_only=True, tag="target-changed"):
    """It is to land elsewhere."""

    target: str


class Retitled(Event, frozen=True, kw_only=True, tag="retitled"):
    """Someone gave it other words; these stay when the head moves."""

    title: str
    body: str | None = None


class DraftSet(Event, frozen=True, kw_only=True, tag="draft-set"):
    """It became a draft, which cannot be approved, or is none any more."""

    draft: bool


class Closed(Event, frozen=True, kw_only=True, tag="closed"):
    """It is not wanted any more."""

    reason: str = ""


class Reopened(Event, frozen=True, kw_only=True, tag="reopened"):
    """It is wanted again."""


class Commented(Event, frozen=True, kw_only=True, tag="commented"):
    """Someone said something. Never parsed for commands: what had any is stored as their events."""

    text: str


class Approved(Event, frozen=True, kw_only=True, tag="approved"):
    """It may land, with exactly this head. `by` is who is named as approver; `actor` did it.

    `repair` lets its tests be taken from the change itself, where the target's configuration is broken.
    """

    head: str
    by: str
    repair: bool = False


class Unapproved(Event, frozen=True, kw_only=True, tag="unapproved"):
    """It may not land any more."""

    reason: str = ""


class Delegated(Event, frozen=True, kw_only=True, tag="delegated"):
    """`to` may approve or try this change."""

    to: str
    level: Level = Level.REVIEW


class Undelegated(Event, frozen=True, kw_only=True, tag="undelegated"):
    """Nobody may by delegation any more."""


class Prioritized(Event, frozen=True, kw_only=True, tag="prioritized"):
    """Higher goes first."""

    priority: Whole


class RollupSet(Event, frozen=True, kw_only=True, tag="rollup-set"):
    """Whether it may be tested together with others, and why."""

    mode: Rollup
    note: str = ""


class TryRequested(Event, frozen=True, kw_only=True, tag="try-requested"):
    """Test it without landing it.

    `tests` are names or globs, empty for all; `parent` is a commit, empty for the target's tip.
    """

    head: str
    tests: tuple[str, ...] = ()
    parent: str = ""


class RetryRequested(Event, frozen=True, kw_only=True, tag="retry-requested"):
    """Test it again; `run` is the run that is not to count any more."""

    run: str


class CancelRequested(Event, frozen=True, kw_only=True, tag="cancel-requested"):
    """Stop a run. With `yielding` others go first, until one of them has ended.

    Without a run it withdraws a try that has none yet.
    """

    run: str
    reason: str = ""
    yielding: bool = False


class RunStarted(Event, frozen=True, kw_only=True, tag="run-started"):
    """A run has its merge. The same event is in the timeline of each member.

    `base` is what was merged onto: the target's tip, or the merge of the run `after`, which must land before.
    `commits` are to be tested, the merge last. `deadline` is in seconds since the epoch, by the clock of the
    daemon, `timeout` in seconds. `repair` when the tests are those of the merge and not of `base`. `policy`,
    `chosen` (names or globs of tests) and `every_commit` are the settings that it was made by.
    """

    run: str
    kind: Kind
    target: str
    members: tuple[Member, ...]
    base: str
    merge: str
    after: str = ""
    commits: tuple[str, ...]
    tests: tuple[str, ...]
    deadline: float
    timeout: float = 0.0
    policy: Policy = Policy.MERGE
    chosen: tuple[str, ...] = ()
    every_commit: bool = False
    repair: bool = False


class JobEnded(Event, frozen=True, kw_only=True, tag="job-ended"):
    """A test of a run has an outcome. `known` when no job had to run; `by` if someone else found it out."""

    run: str
    test: str
    outcome: Outcome
    commit: str
    reason: str = ""
    elapsed: float = 0.0
    known: bool = False
    by: str = ""


class RunEnded(Event, frozen=True, kw_only=True, tag="run-ended"):
    """A run is over; the first such event counts. So does `superseded` after `passed`: it cannot land."""

    run: str
    outcome: RunOutcome
    reason: str = ""


class Conflicted(Event, frozen=True, kw_only=True, tag="conflicted"):
    """`head` cannot be merged onto `base`. `paths` are quoted as git quotes them."""

    head: str
    base: str
    paths: tuple[str, ...] = ()
    reason: str = ""


class Landed(Event, frozen=True, kw_only=True, tag="landed"):
    """The target has moved from `old` to `new` by this run, in the same transaction as this event.

    `run` is empty for one that no run of its own has brought there; `came_with` is then the run of other
    changes that did, if it was one.
    """

    run: str
    target: str
    old: str
    new: str
    came_with: str = ""


class Notice(Event, frozen=True, kw_only=True, tag="notice"):
    """What the queue says about it, once for each `key`."""

    key: str
    text: str


# Events of the queue itself. An empty `target` means every one.


class TreeClosed(Event, frozen=True, kw_only=True, tag="tree-closed"):
    """Only changes of at least this priority are started."""

    below: Whole
    target: str = ""
    reason: str = ""


class TreeOpened(Event, frozen=True, kw_only=True, tag="tree-opened"):
    """All are started again."""

    target: str = ""


class Paused(Event, frozen=True, kw_only=True, tag="paused"):
    """Nothing is started and nothing lands."""

    reason: str = ""


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    """As before."""


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """An event of another version, or a damaged one: kept, counted and without effect."""

    raw: bytes


ChangeEvent = (
    Opened
    | HeadMoved
    | TargetChanged
    | Retitled
    | DraftSet
    | Closed
    | Reopened
    | Commented
    | Approved
    | Unapproved
    | Delegated
    | Undelegated
    | Prioritized
    | RollupSet
    | TryRequested
    | RetryRequested
    | CancelRequested
    | RunStarted
    | JobEnded
    | RunEnded
    | Conflicted
    | Landed
    | Notice
)
QueueEvent = TreeClosed | TreeOpened | Paused | Resumed
AnyEvent = ChangeEvent | QueueEvent
