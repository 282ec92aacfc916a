"""What the pages show, as JSON.

Layer: web.
Format: 1, described at /api and in git-limmat-web(1). Fields are added, and do not change.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from aiohttp import web

from gitlimmat.git.commit import FullCommit
from gitlimmat.model import Outcome, Result
from gitlimmat.service.board import Board, Cell, CellState, Change
from gitlimmat.service.case import Case, definition_text
from gitlimmat.web.guard import HEADERS
from gitlimmat.web.live import Streams, follow
from gitlimmat.web.render import Site
from gitlimmat.web.result import asked, attempt, cells_of, find_case, moment_key
from gitlimmat.web.threads import Threads
from gitlimmat.web.words import summary

FORMAT = 1


class ApiFile(msgspec.Struct, frozen=True, kw_only=True):
    """Something stored: its size in bytes and where it is."""

    size: int
    url: str


class ApiResult(msgspec.Struct, frozen=True, kw_only=True):
    """A stored result. `started` is seconds since the epoch, `elapsed` seconds, `counts`: it is used."""

    outcome: Outcome
    reason: str
    exit_status: int | None
    signal: int | None
    started: float
    elapsed: float
    attempts: int
    commit: str
    host: str
    version: str
    digest: str
    counts: bool
    outputs: dict[str, ApiFile]
    artifacts: ApiFile | None
    dropped: tuple[str, ...]
    url: str


class ApiCell(msgspec.Struct, frozen=True, kw_only=True):
    """A test on a commit. `outcome` is null unless it is done; `known_from` is the commit that was run."""

    test: str
    state: CellState
    outcome: Outcome | None
    reason: str
    known: bool
    since: float | None
    elsewhere: bool
    elapsed: float | None
    known_from: str | None
    url: str


class ApiRow(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of the range."""

    id: str
    abbreviated: str
    tree: str
    subject: str
    author: str
    committed: int
    refs: tuple[str, ...]
    url: str
    cells: list[ApiCell]


class ApiBoard(msgspec.Struct, frozen=True, kw_only=True):
    """The overview. `commits` is newest first; `estimates` has seconds."""

    format: int
    name: str
    base: str
    head: str
    version: str
    state: str
    problems: dict[str, str]
    counts: dict[str, int]
    tests: tuple[str, ...]
    estimates: dict[str, float | None]
    commits: list[ApiRow]


class ApiCommit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit with its message and all its tests."""

    format: int
    commit: FullCommit
    in_range: bool
    cells: list[ApiCell]


class ApiCase(msgspec.Struct, frozen=True, kw_only=True):
    """A test on a commit: what is true now, the result to show, and all that are stored, the newest first."""

    format: int
    commit: str
    cell: ApiCell
    configured: bool
    result: ApiResult | None
    results: list[ApiResult]
    definition: msgspec.Raw


class ApiBoards(msgspec.Struct, frozen=True, kw_only=True):
    """The repositories, in the order of the first page. `boards` has `name` and the `url` of the pages."""

    format: int
    boards: list[dict[str, str]]


def answer(document: object, status: int = 200) -> web.Response:
    """Return a document as an answer."""
    return web.Response(
        body=msgspec.json.encode(document), status=status, content_type="application/json", headers=HEADERS
    )


def boards_document(sites: Sequence[Site]) -> ApiBoards:
    """Return what the first page shows when there are several repositories."""
    return ApiBoards(format=FORMAT, boards=[{"name": site.board.name, "url": site.url()} for site in sites])


def board_document(site: Site) -> ApiBoard:
    """Return what the overview shows."""
    board = site.board
    return ApiBoard(
        format=FORMAT,
        name=board.name,
        base=board.base,
        head=board.head,
        version=site.version,
        state=summary(board)[0],
        problems=dict(board.problems),
        counts=counts(board),
        tests=board.tests,
        estimates={test: board.estimate(test) for test in board.tests},
        commits=[
            ApiRow(
                id=commit.id,
                abbreviated=commit.abbreviated,
                tree=commit.tree,
                subject=commit.subject,
                author=commit.author,
                committed=commit.committed,
                refs=commit.refs,
                url=site.place(commit.id),
                cells=[
                    _cell(site, commit.id, test, cell)
                    for test, cell in zip(board.tests, board.row(commit.id), strict=True)
                ],
            )
            for commit in board.commits
        ],
    )


def counts(board: Board) -> dict[str, int]:
    """Return how many cells are in which state or have which outcome; all words are there."""
    found = board.counts()
    return {outcome.value: found.outcomes.get(outcome, 0) for outcome in Outcome} | {
        "waiting": found.waiting,
        "running": found.running,
        "unknown": found.unknown,
    }


async def commit_document(site: Site, oid: str, threads: Threads) -> ApiCommit:
    """Return what the page of a commit shows."""
    commit, cells = await cells_of(site, oid, threads)
    return ApiCommit(
        format=FORMAT,
        commit=commit,
        in_range=site.board.described(oid) is not None,
        cells=[_cell(site, oid, test, cell) for test, cell in cells.items()],
    )


async def case_document(
    site: Site, request: web.BaseRequest, oid: str, test: str, threads: Threads
) -> ApiCase:
    """Return what the page of a result shows."""
    project, cell, at = site.board.project, site.board.cell(oid, test), asked(request).at

    def load() -> tuple[Case, Result | None, bytes | None]:
        case = find_case(project, cell, oid, test)
        result = attempt(case, cell, at)
        return case, result, definition_text(project, result, test)

    case, result, definition = await threads.run(load)
    return ApiCase(
        format=FORMAT,
        commit=oid,
        cell=_cell(site, oid, test, cell),
        configured=case.configured,
        result=_result(site, oid, result) if result is not None else None,
        results=[_result(site, oid, each) for each in case.attempts],
        definition=_raw(definition),
    )


async def events(site: Site, request: web.BaseRequest, streams: Streams) -> web.StreamResponse:
    """Send what changes as JSON, until the client goes away."""
    board = site.board
    since = request.headers.get("Last-Event-ID") or request.query.get("since", "")

    def tell(change: Change) -> object:
        cells = [
            {"commit": place.commit, **msgspec.structs.asdict(_cell(site, *place, board.cell(*place)))}
            for place in sorted(change.cells)
        ]
        return {
            "reload": change.layout,
            "cells": cells,
            "problems": board.problems,
            "counts": counts(board),
            "state": summary(board)[0],
        }

    async with streams.open(request) as stream:
        await follow(stream, (board,), since, lambda: site.version, tell)
    return stream.response


def _cell(site: Site, commit: str, test: str, cell: Cell) -> ApiCell:
    result = cell.result
    return ApiCell(
        test=test,
        state=cell.state,
        outcome=cell.outcome,
        reason=cell.reason,
        known=cell.known,
        since=cell.since,
        elsewhere=cell.elsewhere,
        elapsed=result.elapsed if result is not None else None,
        known_from=result.commit if result is not None else None,
        url=site.place(commit, test),
    )


def _result(site: Site, oid: str, result: Result) -> ApiResult:
    at, test = moment_key(result), result.test
    kept = result.artifacts
    return ApiResult(
        outcome=result.outcome,
        reason=result.reason,
        exit_status=result.exit_status,
        signal=result.signal,
        started=result.started,
        elapsed=result.elapsed,
        attempts=result.attempts,
        commit=result.commit,
        host=result.host,
        version=result.version,
        digest=result.digest,
        counts=result.reusable,
        outputs={
            name: ApiFile(size=stored.size, url=site.place(oid, test, f"{name}.txt", at=at))
            for name, stored in result.outputs.items()
        },
        artifacts=ApiFile(size=kept.size, url=site.place(oid, test, "artifacts", "", at=at))
        if kept
        else None,
        dropped=result.dropped,
        url=site.place(oid, test, at=at),
    )


def _raw(text: bytes | None) -> msgspec.Raw:
    """Return a stored definition to be put into a document as it is; null when it is no JSON."""
    try:
        msgspec.json.decode(text or b"null")
    except msgspec.MsgspecError:
        return msgspec.Raw(b"null")
    return msgspec.Raw(text or b"null")
