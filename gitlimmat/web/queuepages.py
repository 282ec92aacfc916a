"""The pages of a queue: the list, a change, the retries, and what happened to the tree.

Layer: web.

    /                          the changes, with what is at work
    /changes/N                 a change with its whole history
    /retries                   what was retried or cancelled
    /tree                      when the tree was closed, and the queue paused
    /api/queue, /api/queue/changes/N, /api/queue/retries, /api/queue/tree
    /commit/…                  the pages of results, as `git limmat web` has them
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec
from aiohttp import web

from gitlimmat.git.graph import Described
from gitlimmat.queue.auth import Principal
from gitlimmat.queue.events import Unknown
from gitlimmat.queue.sentence import sentence
from gitlimmat.queue.state import Change, Forge, Status
from gitlimmat.service.queue.told import tell_events
from gitlimmat.store.timeline import Entry
from gitlimmat.web import api, queueapi
from gitlimmat.web.guard import HEADERS, Guard, RefusedError
from gitlimmat.web.live import Streams, follow
from gitlimmat.web.queueforms import Proxy, buttons, press
from gitlimmat.web.queuelist import (
    COLUMNS,
    GROUPS,
    Row,
    Wanted,
    at_work,
    details_of,
    in_line,
    list_changes,
    people,
    read_wanted,
    row_of,
    targets,
    totals,
)
from gitlimmat.web.queueview import QueueView, Retry
from gitlimmat.web.render import Site, html

_PAUSE_S = 0.5  # between two messages that have a browser load a page again
_MOST_EVENTS = 300
_MOST_RUNS = 20
_MOST_PARTS = 100
_MOST_RETRIES = 500
_MOST_COMMENTS = 100
_MOST_CHANGES = 8  # beside a commit
_NO_CHANGE = RefusedError(404, "There is no such change.")
_NO_PAGE = RefusedError(404, "There is no such page.")


class QueueSite(Site):
    """The pages of one queue."""

    is_queue = True

    def __init__(
        self, view: QueueView, prefix: str, *, form_secret: str, guard: Guard | None, proxy: Proxy | None
    ) -> None:
        super().__init__(view.board, prefix, read_only=True, form_secret=form_secret)
        self.view = view
        self.guard = guard
        self.proxy = proxy

    async def answer(
        self, segments: Sequence[bytes], request: web.BaseRequest, streams: Streams
    ) -> web.StreamResponse | None:
        """Answer with a page of the queue, if it is one."""
        return await _answer(self, segments, request, streams)

    async def pressed(self, segments: Sequence[bytes], request: web.BaseRequest) -> web.Response:
        """Do what a button on the page of a change says, and lead back there. Raises: RefusedError."""
        match segments:
            case [b"changes", number] if self.guard is not None:
                change = await _change(self, number)
                await press(self.view, change.id, request, self.guard, self.proxy)
                return web.Response(status=303, headers={**HEADERS, "Location": self.change(change.id)})
        raise RefusedError(405, "Here is nothing that can be changed.")

    def change(self, number: int) -> str:
        """Return the path of a change's page."""
        return self.url("changes", str(number))

    def changes_of(self, commit: str) -> list[int]:
        """Return the changes that a commit is a head of, or was tested for; a few of the newest."""
        found = [
            change.id
            for change in self.view.snapshot.changes.values()
            if commit in change.heads or any(commit in run.commits for run in change.runs)
        ]
        return sorted(found, reverse=True)[:_MOST_CHANGES]

    def visitor(self, request: web.BaseRequest) -> Principal | None:
        """Return who is logged in."""
        return self.proxy.visitor(request) if self.proxy is not None else None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One event in words."""

    at: float | None
    actor: str
    via: str
    told: str
    commit: str


class ChangePage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a change shows. `history` is newest first."""

    row: Row
    commits: tuple[Described, ...]
    history: Sequence[History]
    events: int


async def _answer(
    site: QueueSite, segments: Sequence[bytes], request: web.BaseRequest, streams: Streams
) -> web.StreamResponse | None:
    match segments:
        case [] | [b""]:
            await site.view.refresh()
            return html(_queue(site, read_wanted(request.query), site.visitor(request)))
        case [b"changes", number]:
            change = await _change(site, number)
            everything = "all" in request.query
            page = await read_change(site.view, change, everything=everything)
            return html(change_page(site, page, site.visitor(request), everything=everything))
        case [b"retries"]:
            return html(retries_page(site, await read_retries(site.view), everything="all" in request.query))
        case [b"tree"]:
            return html(tree_page(site, await read_tree(site.view)))
        case [b"live"] if "commit" not in request.query:
            return await _live(site, request, streams)
        case [b"api", b"queue", *rest]:
            return api.answer(await _document(site, rest, request))
    return None


def queue_page(site: QueueSite, wanted: Wanted, visitor: Principal | None) -> str:
    """Return the page with the changes."""
    view = site.view
    snapshot, now = view.snapshot, time.time()
    listing = list_changes(snapshot, wanted)
    runs = at_work(snapshot, now)
    counts = totals(snapshot)
    return site.render(
        "queue.html",
        state=_state(view, runs=bool(runs)),
        wanted=wanted,
        listing=listing,
        counts=counts,
        runs=runs,
        queue=snapshot.queue,
        estimate=view.estimate(),
        told=view.explanation,
        columns=tuple(COLUMNS),
        groups=GROUPS,
        statuses=[status.value for status in Status],
        targets=targets(snapshot.changes.values()),
        people=people(snapshot.changes.values()),
        visitor=visitor,
    )


def change_page(
    site: QueueSite, page: ChangePage, visitor: Principal | None, *, everything: bool = False
) -> str:
    """Return the page of a change."""
    change, view = page.row.change, site.view
    runs = change.runs if everything else change.runs[-_MOST_RUNS:]
    return site.render(
        "change.html",
        state=page.row.look.word if page.row.look.word != "approved" else "unknown",
        row=page.row,
        change=change,
        told=view.explanation(change),
        is_held=page.row.is_held or (change.forge is Forge.OPEN and view.snapshot.queue.paused is not None),
        runs=[details_of(run, None if everything else _MOST_PARTS) for run in reversed(runs)],
        comments=change.comments if everything else change.comments[-_MOST_COMMENTS:],
        page=page,
        everything=everything,
        buttons=buttons(change, visitor, view.rules) if visitor is not None else [],
        secret=site.guard.secret_of(visitor.name) if visitor is not None and site.guard is not None else "",
        visitor=visitor,
    )


def retries_page(site: QueueSite, found: Sequence[Retry], *, everything: bool = False) -> str:
    """Return the page with all retries and cancellations."""
    return site.render(
        "retries.html",
        state="unknown",
        retries=found if everything else found[:_MOST_RETRIES],
        total=len(found),
        titles={number: change.title for number, change in site.view.snapshot.changes.items()},
    )


def tree_page(site: QueueSite, entries: Sequence[Entry]) -> str:
    """Return the page with what happened to the queue itself."""
    return site.render(
        "tree.html", state="unknown", queue=site.view.snapshot.queue, history=_history(entries, None)
    )


async def read_change(view: QueueView, change: Change, *, everything: bool) -> ChangePage:
    """Read what the page of a change shows."""
    async with view.held():
        entries = await asyncio.to_thread(view.entries, change.id)
        commits = await asyncio.to_thread(view.commits_of, change)
    places = {each.id: place for each, place in in_line(view.snapshot)} if change.forge is Forge.OPEN else {}
    return ChangePage(
        row=row_of(view.snapshot, change, places.get(change.id, 0)),
        commits=commits,
        history=_history(entries, None if everything else _MOST_EVENTS),
        events=sum(len(entry.events) for entry in entries),
    )


async def read_retries(view: QueueView) -> list[Retry]:
    """Read all retries and cancellations."""
    await view.refresh()
    is_complete = False
    while not is_complete:
        async with view.held():
            is_complete = await asyncio.to_thread(view.learn_retries)
    return view.retries()


async def read_tree(view: QueueView) -> tuple[Entry, ...]:
    """Read the timeline of the queue itself."""
    await view.refresh()
    async with view.held():
        return await asyncio.to_thread(view.entries, None)


def queue_document(site: QueueSite, wanted: Wanted) -> queueapi.ApiQueue:
    """Return the queue with all changes that are wanted."""
    view = site.view
    snapshot = view.snapshot
    listing = list_changes(snapshot, msgspec.structs.replace(wanted, page=0, group=""))
    return queueapi.ApiQueue(
        format=queueapi.FORMAT,
        name=site.board.name,
        totals=dict(totals(snapshot)),
        estimate=view.estimate(),
        served=view.served,
        paused=snapshot.queue.paused,
        closed=snapshot.queue.closed,
        tips=snapshot.facts.tips,
        problems=dict(site.board.problems),
        runs=[queueapi.run_entry(work) for work in at_work(snapshot, time.time())],
        changes=[_entry(site, row) for group in listing.groups for row in group.rows],
    )


async def change_document(site: QueueSite, change: Change) -> queueapi.ApiChangePage:
    """Return a change with its whole history."""
    async with site.view.held():
        entries = await asyncio.to_thread(site.view.entries, change.id)
        commits = await asyncio.to_thread(site.view.commits_of, change)
    places = {each.id: place for each, place in in_line(site.view.snapshot)}
    return queueapi.ApiChangePage(
        format=queueapi.FORMAT,
        change=_entry(site, row_of(site.view.snapshot, change, places.get(change.id, 0))),
        state=change,
        commits=commits,
        events=tell_events(entries),
    )


def _queue(site: QueueSite, wanted: Wanted, visitor: Principal | None) -> str:
    """Return the list; all who look at the whole of it at the same moment get the same."""
    if visitor is None and wanted == Wanted():
        return site.once("queue", 1, lambda: queue_page(site, wanted, None))
    return queue_page(site, wanted, visitor)


async def _document(site: QueueSite, segments: Sequence[bytes], request: web.BaseRequest) -> object:
    match segments:
        case [] | [b""]:
            await site.view.refresh()
            return queue_document(site, read_wanted(request.query))
        case [b"changes", number]:
            return await change_document(site, await _change(site, number))
        case [b"retries"]:
            return queueapi.ApiRetries(format=queueapi.FORMAT, retries=await read_retries(site.view))
        case [b"tree"]:
            events = tell_events(await read_tree(site.view))
            return queueapi.ApiTree(format=queueapi.FORMAT, events=events)
    raise _NO_PAGE


async def _live(site: QueueSite, request: web.BaseRequest, streams: Streams) -> web.StreamResponse:
    since = request.headers.get("Last-Event-ID") or request.query.get("since", "")
    async with site.view.watched(), streams.open(request) as stream:
        await follow(
            stream,
            (site.board,),
            since,
            lambda: site.version,
            lambda change: {"refresh": True},
            pause_s=_PAUSE_S,
        )
    return stream.response


async def _change(site: QueueSite, number: bytes) -> Change:
    await site.view.refresh()
    text = number.decode(errors="replace")
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    change = site.view.snapshot.changes.get(int(text)) if is_number else None
    if is_number and (fault := site.view.damaged.get(int(text))) is not None:
        raise RefusedError(500, "This change cannot be read.", fault)
    if change is None or not change.is_opened or text != str(change.id):
        raise _NO_CHANGE
    return change


def _entry(site: QueueSite, row: Row) -> queueapi.ApiChange:
    return queueapi.change_entry(row, site.view.explanation(row.change), site.change(row.change.id))


def _history(entries: Sequence[Entry], most: int | None) -> list[History]:
    found: list[History] = []
    for entry in reversed(entries):
        for event in reversed(entry.events):
            if most is not None and len(found) == most:
                return found
            known = None if isinstance(event, Unknown) else event
            found.append(
                History(
                    at=known.at if known is not None else None,
                    actor=known.actor if known is not None else "",
                    via=known.via if known is not None else "",
                    told=sentence(event),
                    commit=entry.oid,
                )
            )
    return found


def _state(view: QueueView, *, runs: bool) -> str:
    """Return what the icon shows."""
    if view.board.problems or view.snapshot.queue.paused is not None:
        return "errored"
    return "running" if runs else "unknown"
