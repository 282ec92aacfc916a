"""What timelines amount to: the state of changes, of their runs and of the queue.

Layer:  pure. May import model and errors.

Orthogonal facts only (forge state, approval, runs); the one word that is shown is computed from them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gitlimmat.model import Outcome
from gitlimmat.queue.events import Kind, Level, Member, Policy, Rollup, RunOutcome

UNROLLED = "unrolled"
"""The reason of a cancellation, or of an end, after which the members of a batch are tested one by one."""


class Forge(StrEnum):
    """Whether a change is still wanted."""

    OPEN = "open"
    CLOSED = "closed"
    LANDED = "landed"


class Status(StrEnum):
    """The one word that is shown for a change."""

    LANDED = "landed"
    CLOSED = "closed"
    DRAFT = "draft"
    TESTING = "testing"  # an auto run is at work
    READY = "ready"  # its auto run has passed and it is about to land
    FAILED = "failed"
    ERRORED = "errored"
    TIMED_OUT = "timed-out"
    CONFLICT = "conflict"
    APPROVED = "approved"
    TRYING = "trying"
    TRY_PASSED = "try passed"
    TRY_FAILED = "try failed"
    TRY_ERRORED = "try errored"
    TRY_TIMED_OUT = "try timed-out"
    OPEN = "open"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Who let which head land, and when (seconds since the epoch)."""

    head: str
    by: str
    actor: str
    at: float
    repair: bool = False


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """How a test of a run ended on one of its commits; `by` is who sent a result that is trusted."""

    test: str
    commit: str
    outcome: Outcome
    reason: str = ""
    elapsed: float = 0.0
    known: bool = False
    by: str = ""


class TryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A try that has no run yet."""

    head: str
    tests: tuple[str, ...]
    parent: str
    by: str
    at: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A test of a merge, as the timeline of one of its members tells it.

    `by` has approved this member when it began; its merge says so. `policy`, `chosen` and `every_commit` are
    the settings that it was made by. `outcome` is None while it is at work. `is_retired` when it is not to
    count any more (a retry, or a new approval after a failure).
    Units: `started`, `ended`, `deadline` are seconds since the epoch, `timeout` is seconds.
    """

    run: str
    kind: Kind
    target: str
    members: tuple[Member, ...]
    base: str
    merge: str
    after: str
    commits: tuple[str, ...]
    tests: tuple[str, ...]
    started: float
    deadline: float
    timeout: float = 0.0
    policy: Policy = Policy.MERGE
    chosen: tuple[str, ...] = ()
    every_commit: bool = False
    repair: bool = False
    head: str = ""
    by: str = ""
    jobs: tuple[Job, ...] = ()
    outcome: RunOutcome | None = None
    ended: float | None = None
    reason: str = ""
    is_retired: bool = False
    cancelled_by: str = ""
    is_yielding: bool = False
    asked: TryRequest | None = None  # what a try was asked for with

    @property
    def limit(self) -> float:
        """How long it may take, in seconds."""
        return self.timeout or self.deadline - self.started

    @property
    def is_open(self) -> bool:
        """Whether it is still at work."""
        return self.outcome is None

    @property
    def is_unrolled(self) -> bool:
        """Whether someone has taken it apart: each of its members is to be tested alone next."""
        return self.outcome is RunOutcome.CANCELLED and self.reason == UNROLLED

    @property
    def is_held(self) -> bool:
        """Whether someone has cancelled it, so that its change waits for a retry or an approval."""
        return bool(self.cancelled_by) and not (self.is_yielding or self.is_unrolled)


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """That `head` cannot be merged onto `base`.

    `since` says when that began, and `first` of which base it was told: a target that moves on is no news.
    `is_aside` when somebody wanted to try it onto that, which says nothing about its target.
    """

    head: str
    base: str
    paths: tuple[str, ...]
    reason: str
    at: float
    first: str = ""
    since: float = 0.0
    is_aside: bool = False

    @property
    def is_of_its_own(self) -> bool:
        """Whether `reason` says what is the matter, and the same paths changed twice are not the reason."""
        return bool(self.reason) and (not self.paths or self.reason.startswith("its "))


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """What someone, or the queue, said. `key` is empty for people."""

    actor: str
    at: float
    text: str
    key: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change after some events of its timeline. `heads` has every head, oldest first, each once.

    `runs` are oldest first, of both kinds. `is_opened` is false before its first event. Of one that has
    landed, `landed_by` is its run, else `came_with` that of other changes, if it was one that brought it.
    """

    id: int
    is_opened: bool = False
    target: str = ""
    head: str = ""
    heads: tuple[str, ...] = ()
    title: str = ""
    body: str = ""
    is_titled: bool = False
    topic: str = ""
    author: str = ""
    is_draft: bool = False
    forge: Forge = Forge.OPEN
    approval: Approval | None = None
    delegates: dict[str, Level] = {}
    priority: int = 0
    rollup: Rollup = Rollup.MAYBE
    rollup_note: str = ""
    runs: tuple[Run, ...] = ()
    conflict: Conflict | None = None
    wanted_try: TryRequest | None = None
    comments: tuple[Comment, ...] = ()
    notices: frozenset[str] = frozenset()
    landed_as: str = ""
    landed_by: str = ""
    came_with: str = ""
    opened: float = 0.0
    updated: float = 0.0
    events: int = 0
    ignored: int = 0  # events without effect: unknown, stale or impossible

    @property
    def is_approved(self) -> bool:
        """Whether the head as it is now was approved."""
        return self.approval is not None and self.approval.head == self.head

    @property
    def is_conflicting(self) -> bool:
        """Whether its head could not be merged onto what its target was at last."""
        known = self.conflict
        return known is not None and known.head == self.head and not known.is_aside

    @property
    def auto(self) -> Run | None:
        """The newest auto run with the present head that still counts."""
        return self._current(Kind.AUTO)

    @property
    def last_try(self) -> Run | None:
        """The newest try with the present head that still counts."""
        return self._current(Kind.TRY)

    @property
    def status(self) -> Status:
        """The one word that is shown."""
        if self.forge is not Forge.OPEN:
            return Status.LANDED if self.forge is Forge.LANDED else Status.CLOSED
        auto, tried = self.auto, self.last_try
        if auto is not None and (shown := _AUTO.get(auto.outcome)) is not None:
            is_suspect = auto.outcome not in (None, RunOutcome.PASSED) and len(auto.members) > 1
            if not is_suspect and (shown is not Status.READY or self.is_approved):  # a batch blames nobody
                return shown
        if self.is_approved and self.is_conflicting:
            return Status.CONFLICT
        if self.is_approved:
            return Status.APPROVED
        if self.wanted_try is not None:
            return Status.TRYING
        if tried is not None and (shown := _TRY.get(tried.outcome)) is not None:
            return shown
        return Status.DRAFT if self.is_draft else Status.OPEN

    def run(self, name: str) -> Run | None:
        """Return the run of that name."""
        return next((run for run in reversed(self.runs) if run.run == name), None)

    def _current(self, kind: Kind) -> Run | None:
        newest = next((run for run in reversed(self.runs) if run.kind is kind), None)
        if newest is None or newest.is_retired or (newest.head, newest.target) != (self.head, self.target):
            return None
        return newest


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """That a tree is closed below a priority."""

    below: int
    reason: str
    by: str
    at: float


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """The queue's own state: trees that are closed, by target (empty for all), and a pause."""

    closed: dict[str, Closing] = {}
    paused: Closing | None = None
    events: int = 0
    ignored: int = 0

    def closing(self, target: str) -> Closing | None:
        """Return the strictest closing that holds for a target."""
        found = [each for name in ("", target) if (each := self.closed.get(name)) is not None]
        return max(found, key=lambda each: each.below, default=None)


_AUTO: dict[RunOutcome | None, Status] = {
    None: Status.TESTING,
    RunOutcome.PASSED: Status.READY,
    RunOutcome.FAILED: Status.FAILED,
    RunOutcome.ERRORED: Status.ERRORED,
    RunOutcome.TIMED_OUT: Status.TIMED_OUT,
}
_TRY: dict[RunOutcome | None, Status] = {
    None: Status.TRYING,
    RunOutcome.PASSED: Status.TRY_PASSED,
    RunOutcome.FAILED: Status.TRY_FAILED,
    RunOutcome.ERRORED: Status.TRY_ERRORED,
    RunOutcome.TIMED_OUT: Status.TRY_TIMED_OUT,
}
