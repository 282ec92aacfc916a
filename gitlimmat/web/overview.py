"""The overview of a board: its range as a table, what runs, and what is wrong.

Layer: web.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from aiohttp import web
from markupsafe import Markup

from gitlimmat.service.board import Change
from gitlimmat.web.graph import is_drawn
from gitlimmat.web.live import Streams, follow
from gitlimmat.web.matrix import Filter, read_filter
from gitlimmat.web.render import EPOCH, Site, html, render
from gitlimmat.web.words import summary, title

_RUNNING_SHOWN = 12
_SELDOM_S = 0.5
_AGED_S = 20  # so long may ages in the table stay as they are
_WIDEST = 30  # characters of test names that fit beside each other


def filter_of(request: web.BaseRequest) -> Filter:
    """Return the filter that a request asks for."""
    return read_filter(request.query.get("filter", ""), request.query.get("only", ""))


def overview(site: Site, request: web.BaseRequest) -> web.Response:
    """Answer with the whole page."""
    wanted = filter_of(request)
    page = site.render(
        "overview.html",
        title=title(site.board),
        wanted=wanted,
        fragments={name: Markup(text) for name, text in _fragments(site, wanted.only).items()},  # noqa: S704
        table=Markup(table(site, wanted)),  # noqa: S704
    )
    return html(page)


def table_fragment(site: Site, request: web.BaseRequest) -> web.Response:
    """Answer with what a page replaces when the layout has changed."""
    wanted = filter_of(request)
    return html(table(site, wanted))


def table(site: Site, wanted: Filter) -> str:
    """Return the table of the commits that are wanted.

    A big one takes 50 ms.
    """
    if wanted.is_active:
        return _table(site, wanted)
    return site.once("table", _AGED_S, lambda: _table(site, wanted))


def _table(site: Site, wanted: Filter) -> str:
    board = site.board
    return site.render(
        "table.html",
        rows=site.matrix.rows(wanted, time.time()),
        drawn=is_drawn(board.lines) and not wanted.is_active,
        tall=sum(map(len, board.tests)) + 2 * len(board.tests) > _WIDEST,
    )


async def live(site: Site, request: web.BaseRequest, streams: Streams) -> web.StreamResponse:
    """Send the fragments of the overview that change; for another page, only that it has changed."""
    commit, test = request.query.get("commit"), request.query.get("test")
    since = request.headers.get("Last-Event-ID") or request.query.get("since", "")
    only = filter_of(request).only

    def tell(change: Change) -> object:
        return _page_news(site, change, commit, test) if commit else _news(site, change, only)

    async with streams.open(request) as stream:
        await follow(stream, (site.board,), since, lambda: site.version, tell)
    return stream.response


def boards_page(sites: Sequence[Site]) -> web.Response:
    """Answer with a list of all repositories."""
    states = [summary(site.board)[0] for site in sites]
    worst = next(
        (state for state in ("failed", "errored", "running", "passed") if state in states), "unknown"
    )
    return html(render("boards.html", sites=sites, state=worst, version=_versions(sites)))


async def boards_live(
    sites: Sequence[Site], request: web.BaseRequest, streams: Streams
) -> web.StreamResponse:
    """Tell the list of all repositories when it has changed."""
    since = request.headers.get("Last-Event-ID") or request.query.get("since", "")
    boards = [site.board for site in sites]
    async with streams.open(request) as stream:
        await follow(
            stream,
            boards,
            since,
            lambda: _versions(sites),
            lambda change: {"refresh": True},
            pause_s=_SELDOM_S,
        )
    return stream.response


def _versions(sites: Sequence[Site]) -> str:
    return "-".join((EPOCH, *(str(site.board.version) for site in sites)))


def _news(site: Site, change: Change, only: str) -> dict[str, object]:
    board = site.board
    return {
        "layout": change.layout,
        "cells": [
            (place.commit, place.test, site.matrix.cell(place, board.cell(*place)))
            for place in change.cells
            if place.test in board.tests
        ],
        **_fragments(site, only),
        "title": title(board),
        "state": summary(board)[0],
    }


def _page_news(site: Site, change: Change, commit: str, test: str | None) -> dict[str, object] | None:
    """Return what a page about one commit, or one of its tests, has to know; None when that is nothing."""
    mine = any(place.commit == commit and test in (None, place.test) for place in change.cells)
    return {"refresh": True} if mine or change.layout else None


def _fragments(site: Site, only: str) -> dict[str, str]:
    """Return what is above and below the table."""
    return {
        "summary": site.once(f"summary {only}", _AGED_S, lambda: site.render("summary.html", only=only)),
        "running": site.once("running", 1, lambda: _running(site)),
    }


def _running(site: Site) -> str:
    """Return the list of running jobs."""
    board = site.board
    jobs = list(board.running().items())
    running = []
    for place, cell in jobs[:_RUNNING_SHOWN]:
        commit = board.described(place.commit)
        running.append(
            {
                "test": place.test,
                "url": site.place(place.commit, place.test),
                "abbreviated": commit.abbreviated if commit else place.commit[:10],
                "subject": commit.subject if commit else "",
                "since": cell.since,
                "estimate": board.estimate(place.test),
            }
        )
    more = len(jobs) - len(running)
    return site.render("running.html", running=running, more=more)
