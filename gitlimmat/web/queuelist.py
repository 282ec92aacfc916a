"""Which changes the page of a queue shows, and in which order; the runs at work; the totals.

Layer: web. Pure.

Everything is asked for in the URL, so a page can be kept, sent and reloaded, and needs no script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from gitlimmat.model import Outcome
from gitlimmat.queue.estimate import usual_span
from gitlimmat.queue.events import Kind
from gitlimmat.queue.order import queue_order
from gitlimmat.queue.snapshot import Snapshot
from gitlimmat.queue.state import Change, Closing, Forge, Job, Run, Status
from gitlimmat.web.queuewords import STATUSES, branch, visible
from gitlimmat.web.words import Look

PAGE = 250
"""So many changes are on one page, unless all are asked for."""
_LONGEST = 200
_RANK = {status: rank for rank, status in enumerate(STATUSES)}
_NAMES = {name: status.value for status in Status for name in (status.value, status.value.replace(" ", "-"))}
_NAMES["all"] = "all"
_MERGEABLE = {"no": 0, "": 1, "yes": 2}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL asks for. `status` is a status, empty for all that are open, or `all`.

    `sort` is a column, `-` before it turns it round; empty is the order in which the queue takes them.
    `page` counts from 1; 0 is everything on one page.
    """

    text: str = ""
    status: str = ""
    target: str = ""
    author: str = ""
    sort: str = ""
    group: str = ""
    page: int = 1

    @property
    def is_filter(self) -> bool:
        """Whether it may leave out any open change."""
        return bool(self.text or self.status not in ("", "all") or self.target or self.author)

    def query(self, **other: object) -> dict[str, object]:
        """Return the query of this page, with some parts replaced; a page is never kept."""
        mine: dict[str, object] = {
            "filter": self.text,
            "status": self.status,
            "target": self.target,
            "author": self.author,
            "sort": self.sort,
            "group": self.group,
            "page": None,
        }
        return {name: value or None for name, value in (mine | other).items() if name != "page"} | (
            {"page": other["page"]} if other.get("page") not in (None, 1) else {}
        )


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A change as the list shows it. `place` is where it stands in line for its target, from 1; 0 is not.

    `since` is when its status began, `is_clock` whether that is still going on. `mergeable` is `yes`, `no` or
    empty while nobody knows. `is_held` when a closed tree or a pause keeps it from being started.
    """

    change: Change
    status: Status
    look: Look
    since: float
    is_clock: bool
    mergeable: str
    is_held: bool
    place: int


class Group(NamedTuple):
    """Rows below one heading; all are below none."""

    name: str
    rows: Sequence[Row]


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What one page shows. `total` counts all that are wanted, `pages` what they would fill."""

    groups: Sequence[Group]
    shown: int
    total: int
    pages: int
    page: int


class Part(NamedTuple):
    """A test of a run on one of its commits; without a job it has not ended, or never began."""

    commit: str
    test: str
    job: Job | None


class Detail(NamedTuple):
    """A run with its parts, and how many of these are left out."""

    run: Run
    parts: Sequence[Part]
    hidden: int


class AtWork(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is at work. `done` counts its jobs that have ended, of `jobs`; `remaining` is seconds."""

    run: Run
    members: Sequence[Change]
    done: int
    jobs: int
    remaining: float | None
    estimate: float | None


def read_wanted(query: Mapping[str, str]) -> Wanted:
    """Return what a query asks for; nonsense counts as nothing."""
    sort, group = query.get("sort", ""), query.get("group", "")
    page = query.get("page", "1")
    return Wanted(
        text=query.get("filter", "").strip()[:_LONGEST],
        status=_NAMES.get(query.get("status", ""), ""),
        target=query.get("target", "")[:_LONGEST],
        author=query.get("author", "")[:_LONGEST],
        sort=sort if sort.removeprefix("-") in COLUMNS else "",
        group=group if group in _GROUPS else "",
        page=0 if page == "all" else int(page) if page.isdecimal() and len(page) < 7 and page != "0" else 1,
    )


def list_changes(snapshot: Snapshot, wanted: Wanted) -> Listing:
    """Return the page that is wanted; the last one there is when it is none."""
    found = [row for row in rows_of(snapshot, wanted) if _accepts(row, wanted)]
    found = _sorted(found, wanted.sort)
    if wanted.group:
        found.sort(key=_GROUPS[wanted.group][0])  # type: ignore[arg-type]
    pages = max(1, -(-len(found) // PAGE))
    page = min(wanted.page, pages)
    shown = found if page == 0 else found[(page - 1) * PAGE : page * PAGE]
    return Listing(
        groups=_grouped(shown, wanted.group), shown=len(shown), total=len(found), pages=pages, page=page
    )


def rows_of(snapshot: Snapshot, wanted: Wanted) -> list[Row]:
    """Return a row for each change of the forge states that are wanted, in the order of the queue."""
    changes = [change for change in snapshot.changes.values() if change.is_opened]
    if wanted.status in ("", *_OPEN):
        places = in_line(snapshot)
        return [row_of(snapshot, change, place) for change, place in places]
    places_of = {change.id: place for change, place in in_line(snapshot)}
    rest = sorted(changes, key=lambda change: (change.id not in places_of, -change.id))
    return [row_of(snapshot, change, places_of.get(change.id, 0)) for change in rest]


def in_line(snapshot: Snapshot) -> list[tuple[Change, int]]:
    """Return the open changes in the order in which the queue takes them, and where each stands in line.

    Targets are in the order of their names; who is not approved stands nowhere.
    """
    targets = sorted({each.target for each in snapshot.changes.values() if each.forge is Forge.OPEN})
    found: list[tuple[Change, int]] = []
    for target in targets:
        place = 0
        for change in queue_order(snapshot, target):
            stands = change.status in (Status.TESTING, Status.READY, Status.APPROVED)
            place += stands
            found.append((change, place if stands else 0))
    return found


def row_of(snapshot: Snapshot, change: Change, place: int = 0) -> Row:
    """Return a change as the list shows it."""
    status = change.status
    since, is_clock = _since(change, status)
    return Row(
        change=change,
        status=status,
        look=STATUSES[status],
        since=since,
        is_clock=is_clock,
        mergeable=mergeable(snapshot, change),
        is_held=holds(snapshot, change) is not None and status not in _BUSY,
        place=place,
    )


def holds(snapshot: Snapshot, change: Change) -> Closing | None:
    """Return the pause or the closed tree that keeps an open change from being started, if any."""
    if change.forge is not Forge.OPEN:
        return None
    if snapshot.queue.paused is not None:
        return snapshot.queue.paused
    closing = snapshot.queue.closing(change.target)
    return closing if closing is not None and change.priority < closing.below else None


def mergeable(snapshot: Snapshot, change: Change) -> str:
    """Return `no` when its head met a conflict last, `yes` when it has been merged, else nothing."""
    if change.forge is not Forge.OPEN:
        return ""
    tip = snapshot.facts.tips.get(change.target, "")
    if (change.head, tip) in snapshot.facts.clean:
        return "yes"
    if (change.head, tip) in snapshot.facts.conflicts:
        return "no"
    if change.is_conflicting:
        return "no"
    merged = any(run.head == change.head and run.target == change.target for run in change.runs)
    return "yes" if merged else ""


def totals(snapshot: Snapshot) -> list[tuple[str, int]]:
    """Return how many changes are open, and of these how many have which status, the busiest first."""
    opened = [
        change for change in snapshot.changes.values() if change.is_opened and change.forge is Forge.OPEN
    ]
    counts: dict[Status, int] = {}
    for change in opened:
        counts[change.status] = counts.get(change.status, 0) + 1
    told = [status for status in STATUSES if status in counts and status is not Status.OPEN]
    return [("open", len(opened)), *((status.value, counts[status]) for status in told)]


def at_work(snapshot: Snapshot, now: float) -> list[AtWork]:
    """Return the runs at work: autos before tries, each lane in the order in which it lands."""
    runs = open_runs(snapshot.changes.values())
    usual = usual_span(snapshot)
    order = sorted(runs.values(), key=lambda run: (run.kind is Kind.TRY, run.target, run.started, run.run))
    return [_at_work(run, snapshot, usual if run.kind is Kind.AUTO else None, now) for run in order]


def details_of(run: Run, most: int | None) -> Detail:
    """Return a run with at most so many parts: first what did not pass, in the order of the run."""
    jobs = {(job.commit, job.test): job for job in run.jobs}
    parts = [Part(oid, test, jobs.get((oid, test))) for oid in run.commits for test in run.tests]
    if most is None or len(parts) <= most:
        return Detail(run, parts, 0)
    good = [part.job is not None and part.job.outcome is Outcome.PASSED for part in parts]
    order = sorted(range(len(parts)), key=lambda index: (good[index], index))[:most]
    return Detail(run, [parts[index] for index in sorted(order)], len(parts) - most)


def open_runs(changes: Iterable[Change]) -> dict[str, Run]:
    """Return the runs at work by name, as the timeline tells them that knows most."""
    found: dict[str, Run] = {}
    for run in (run for change in changes for run in change.runs if run.is_open):
        if run.run not in found or len(run.jobs) > len(found[run.run].jobs):
            found[run.run] = run
    return found


def people(changes: Iterable[Change]) -> list[str]:
    """Return the authors of open changes as they are shown, sorted."""
    return sorted(
        {visible(change.author) for change in changes if change.forge is Forge.OPEN and change.is_opened}
    )


def targets(changes: Iterable[Change]) -> list[str]:
    """Return the short names of the targets of open changes, sorted."""
    return sorted({branch(each.target) for each in changes if each.forge is Forge.OPEN and each.is_opened})


def _at_work(run: Run, snapshot: Snapshot, usual: float | None, now: float) -> AtWork:
    return AtWork(
        run=run,
        members=[snapshot.changes[each.change] for each in run.members if each.change in snapshot.changes],
        done=len(run.jobs),
        jobs=max(len(run.jobs), len(run.tests) * len(run.commits)),
        remaining=max(0.0, run.started + usual - now) if usual is not None else None,
        estimate=usual,
    )


def _since(change: Change, status: Status) -> tuple[float, bool]:
    """Return when a status began, and whether a clock is to run."""
    auto, tried, approval = change.auto, change.last_try, change.approval
    run = auto if status in _AUTO else tried if status in _TRY else None
    if status is Status.TRYING and (tried is None or not tried.is_open):
        return (change.wanted_try.at if change.wanted_try is not None else change.updated), False
    if run is not None:
        return (run.started, True) if run.ended is None else (run.ended, False)
    if status is Status.CONFLICT and change.conflict is not None:
        return change.conflict.since, False
    if status is Status.APPROVED and approval is not None:
        return approval.at, False
    return (change.opened if status in (Status.OPEN, Status.DRAFT) else change.updated), False


_BUSY = (Status.TESTING, Status.TRYING, Status.READY)
_AUTO = (Status.TESTING, Status.READY, Status.FAILED, Status.ERRORED, Status.TIMED_OUT)
_TRY = (Status.TRYING, Status.TRY_PASSED, Status.TRY_FAILED, Status.TRY_ERRORED, Status.TRY_TIMED_OUT)
_OPEN = tuple(status for status in Status if status not in (Status.LANDED, Status.CLOSED))


def _accepts(row: Row, wanted: Wanted) -> bool:
    change = row.change
    if wanted.status not in ("", "all", row.status):
        return False
    if wanted.target and wanted.target not in (change.target, branch(change.target)):
        return False
    if wanted.author and wanted.author not in (change.author, visible(change.author)):
        return False
    if not wanted.text:
        return True
    by = change.approval.by if change.approval is not None else ""
    words = (
        f"#{change.id}",
        change.title,
        change.author,
        change.topic,
        change.head,
        branch(change.target),
        by,
    )
    return any(wanted.text.casefold() in word.casefold() for word in words)


def _approver(row: Row) -> str:
    approval = row.change.approval
    return approval.by.casefold() if approval is not None else "\U0010ffff"


COLUMNS: dict[str, Callable[[Row], object]] = {
    "number": lambda row: row.change.id,
    "status": lambda row: (_RANK[row.status], -row.since),
    "mergeable": lambda row: _MERGEABLE[row.mergeable],
    "title": lambda row: row.change.title.casefold(),
    "author": lambda row: row.change.author.casefold(),
    "approved": _approver,
    "priority": lambda row: -row.change.priority,
    "rollup": lambda row: row.change.rollup.value,
    "target": lambda row: row.change.target,
}
"""What can be sorted by."""

_GROUPS: dict[str, tuple[Callable[[Row], object], Callable[[Row], str]]] = {
    "status": (lambda row: _RANK[row.status], lambda row: row.status.value),
    "target": (lambda row: row.change.target, lambda row: branch(row.change.target)),
    "author": (lambda row: row.change.author.casefold(), lambda row: row.change.author),
}
GROUPS = tuple(_GROUPS)


def _sorted(rows: list[Row], sort: str) -> list[Row]:
    if not sort:
        return rows
    key = COLUMNS[sort.removeprefix("-")]
    return sorted(rows, key=key, reverse=sort.startswith("-"))  # type: ignore[arg-type]


def _grouped(rows: Sequence[Row], group: str) -> list[Group]:
    if not group:
        return [Group("", rows)]
    name_of = _GROUPS[group][1]
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(name_of(row), []).append(row)
    return [Group(name, of_name) for name, of_name in found.items()]
