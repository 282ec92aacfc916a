"""What the pages of a queue show, as JSON.

Layer: web. Pure.
Format: 1, described at /api and in git-limmat-queue(1). Fields are added, and do not change.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gitlimmat.git.graph import Described
from gitlimmat.queue.events import Kind
from gitlimmat.queue.state import Change, Closing
from gitlimmat.service.queue.told import ToldChange, ToldEvent, told_change
from gitlimmat.web.queuelist import AtWork, Row
from gitlimmat.web.queueview import Retry

FORMAT = 1


class ApiChange(ToldChange, frozen=True, kw_only=True):
    """A change in a list. `place` is where it stands in line for its target, from 1; 0 is not.

    `since` is when its status began; `mergeable` is null while nobody knows.
    """

    since: float
    place: int
    held: bool
    mergeable: bool | None
    url: str


class ApiRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run at work. `members` are numbers of changes, `remaining` is seconds."""

    run: str
    kind: Kind
    target: str
    members: tuple[int, ...]
    base: str
    merge: str
    started: float
    deadline: float
    done: int
    jobs: int
    remaining: float | None


class ApiQueue(msgspec.Struct, frozen=True, kw_only=True):
    """The queue. `totals` has how many changes are open and of which status, `estimate` is seconds.

    `served` says whether a daemon is at work. `closed` has closed trees by target; an empty one is every
    target.
    """

    format: int
    name: str
    totals: dict[str, int]
    estimate: float | None
    served: bool
    paused: Closing | None
    closed: Mapping[str, Closing]
    tips: Mapping[str, str]
    problems: Mapping[str, str]
    runs: list[ApiRun]
    changes: list[ApiChange]


class ApiChangePage(msgspec.Struct, frozen=True, kw_only=True):
    """A change with all that is known of it. `events` are oldest first, `commits` newest first."""

    format: int
    change: ApiChange
    state: Change
    commits: tuple[Described, ...]
    events: list[ToldEvent]


class ApiRetries(msgspec.Struct, frozen=True, kw_only=True):
    """All retries and cancellations, the newest first."""

    format: int
    retries: list[Retry]


class ApiTree(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to the queue itself, oldest first."""

    format: int
    events: list[ToldEvent]


def change_entry(row: Row, explanation: str, url: str) -> ApiChange:
    """Return a change as it stands in a list."""
    about = msgspec.structs.asdict(told_change(row.change, explanation)) | {"status": row.status}
    return ApiChange(
        **about,
        since=row.since,
        place=row.place,
        held=row.is_held,
        mergeable=row.mergeable == "yes" if row.mergeable else None,
        url=url,
    )


def run_entry(work: AtWork) -> ApiRun:
    """Return a run at work."""
    run = work.run
    return ApiRun(
        run=run.run,
        kind=run.kind,
        target=run.target,
        members=tuple(member.change for member in run.members),
        base=run.base,
        merge=run.merge,
        started=run.started,
        deadline=run.deadline,
        done=work.done,
        jobs=work.jobs,
        remaining=work.remaining,
    )
