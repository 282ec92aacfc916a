"""The pages of a commit and of a result.

Layer: web.
"""

from __future__ import annotations

import msgspec
from aiohttp import web
from markupsafe import Markup

from gitlimmat.errors import LimmatError
from gitlimmat.git.commit import FullCommit, read_full_commit
from gitlimmat.model import Outcome, Result
from gitlimmat.service.board import NOTHING, Board, Cell, CellState
from gitlimmat.service.case import Case, Past, definition_text, read_case, read_past, standing, tests_of
from gitlimmat.service.cells import done
from gitlimmat.service.project import Project
from gitlimmat.web.artifacts import Directory, find_artifact
from gitlimmat.web.definition import command_of, pretty
from gitlimmat.web.guard import RefusedError
from gitlimmat.web.history import HEIGHT, STEP, bars
from gitlimmat.web.output import Part, open_output, open_running, read_part, running_streams
from gitlimmat.web.render import Site, html
from gitlimmat.web.threads import Threads
from gitlimmat.web.words import details, look

_PAST = 60
_NO_COMMIT = RefusedError(
    404, "There is no such commit in this repository.", "An id has to be given in full."
)
_NO_TEST = RefusedError(404, "There is no such test, and nothing is stored about one.")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page of a result shows. `shown` is the result it is about; None while there is none."""

    case: Case
    cell: Cell
    shown: Result | None
    stream: str
    streams: tuple[str, ...]
    part: Part | None
    trouble: str
    kept: Directory | None
    past: tuple[Past, ...]
    definition: bytes | None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about a result: which attempt, which of its outputs, and which page of that."""

    at: str | None
    stream: str | None
    page: int | None


def asked(request: web.BaseRequest) -> Asked:
    """Return what the query of a request says; nonsense counts as nothing."""
    page = request.query.get("page", "")
    return Asked(
        at=request.query.get("at"),
        stream=request.query.get("stream"),
        page=int(page) if page.isdecimal() and len(page) < 9 else None,
    )


def find_commit(project: Project, oid: str) -> FullCommit:
    """Return a commit of the repository by its id in full. Raises: RefusedError."""
    commit = read_full_commit(project.repository, oid)
    if commit is None:
        raise _NO_COMMIT
    return commit


def find_case(project: Project, cell: Cell, oid: str, test: str) -> Case:
    """Return what is stored about a test on a commit; nothing when it is there for the first time.

    Raises: RefusedError.
    """
    commit = find_commit(project, oid)
    case = read_case(project, commit, test)
    if case is not None:
        return case
    if cell.state is CellState.UNKNOWN:
        raise _NO_TEST
    return Case(commit=commit, test=test, configured=True, standing=None, attempts=(), current=frozenset())


def attempt(case: Case, cell: Cell, at: str | None) -> Result | None:
    """Return the result that is asked for; by default the one that the cell, or else the store, stands by.

    Raises: RefusedError when the one that is asked for does not exist.
    """
    if at is not None:
        for result in case.attempts:
            if moment_key(result) == at:
                return result
        raise RefusedError(404, "There is no such attempt.")
    if cell.state is CellState.DONE:
        return cell.result
    return case.standing if cell.state is CellState.UNKNOWN else None


def moment_key(result: Result) -> str:
    """Return what tells the attempts of a case apart in a URL."""
    return f"{result.started:.3f}"


async def result_page(
    site: Site, request: web.BaseRequest, commit: str, test: str, threads: Threads
) -> web.Response:
    """Answer with the page of a test on a commit."""
    board = site.board
    cell = board.cell(commit, test)
    newest = board.commits[0].id if board.described(commit) is not None else commit
    wanted = asked(request)
    loaded = await threads.run(lambda: _load(board.project, cell, commit, test, newest, wanted))
    is_live = loaded.cell.state is CellState.RUNNING and wanted.at is None
    described = board.described(commit)
    page = site.render(
        "result.html",
        state=look(loaded.cell).word,
        loaded=loaded,
        case=loaded.case,
        commit=loaded.case.commit,
        test=test,
        cell=loaded.cell,
        shown=loaded.shown,
        abbreviated=described.abbreviated if described else loaded.case.commit.abbreviated,
        at=wanted.at,
        output=Markup(loaded.part.html if loaded.part else ""),  # noqa: S704
        bars=bars(loaded.past, commit),
        chart=(HEIGHT, STEP),
        definition=pretty(loaded.definition) if loaded.definition else "",
        command=command_of(loaded.definition) if loaded.definition else "",
        estimate=board.estimate(test),
        is_live=is_live,
        can_act=site.has_buttons and described is not None and test in board.tests,
        key=moment_key,
    )
    return html(page)


def _load(project: Project, cell: Cell, oid: str, test: str, newest: str, wanted: Asked) -> Loaded:
    case = find_case(project, cell, oid, test)
    shown = attempt(case, cell, wanted.at)
    if shown is not None and (wanted.at is not None or cell.state is CellState.UNKNOWN):
        cell = done(shown, known=True)
    streams = _streams(cell, shown)
    stream = wanted.stream if wanted.stream in streams else next(iter(streams), "")
    part, trouble = _part(project, case.commit, cell, shown, test, stream, wanted.page)
    kept = None
    if shown is not None and shown.artifacts is not None:
        try:
            found = find_artifact(project, shown.artifacts.oid, ())
            kept = found if isinstance(found, Directory) else None
        except LimmatError as error:
            trouble = trouble or error.message
    return Loaded(
        case=case,
        cell=cell,
        shown=shown,
        stream=stream,
        streams=streams,
        part=part,
        trouble=trouble,
        kept=kept,
        past=read_past(project, newest, test, _PAST),
        definition=definition_text(project, shown, test),
    )


def _streams(cell: Cell, shown: Result | None) -> tuple[str, ...]:
    if cell.state is CellState.RUNNING:
        return running_streams(cell.directory) if cell.directory is not None else ()
    return tuple(shown.outputs) if shown is not None else ()


def _part(
    project: Project,
    commit: FullCommit,
    cell: Cell,
    shown: Result | None,
    test: str,
    stream: str,
    page: int | None,
) -> tuple[Part | None, str]:
    """Return a page of an output, or why there is none."""
    try:
        if cell.state is CellState.RUNNING:
            file = open_running(cell, (commit.id, commit.tree), test, stream)
        else:
            file = open_output(project, shown, stream) if shown is not None else None
        if file is None:
            return None, ""
        with file:
            return read_part(file, page), ""
    except LimmatError as error:
        return None, error.message
    except OSError as error:
        return None, f"cannot read the output: {error.strerror}"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One test on the page of a commit."""

    test: str
    cell: Cell
    told: str


async def commit_page(site: Site, oid: str, threads: Threads) -> web.Response:
    """Answer with the page of a commit."""
    board = site.board
    described = board.described(oid)
    commit, cells = await cells_of(site, oid, threads)
    worst = _worst(list(cells.values()))
    page = site.render(
        "commit.html",
        state=look(worst).word,
        commit=commit,
        abbreviated=described.abbreviated if described else commit.abbreviated,
        refs=described.refs if described else (),
        in_range=described is not None,
        lines=[Line(test=test, cell=cell, told=details(cell, oid)) for test, cell in cells.items()],
        estimate=board.estimate,
        neighbors=_neighbors(board, oid),
        can_act=site.has_buttons and described is not None,
        any_busy=any(cell.state in (CellState.RUNNING, CellState.WAITING) for cell in cells.values()),
    )
    return html(page)


async def cells_of(site: Site, oid: str, threads: Threads) -> tuple[FullCommit, dict[str, Cell]]:
    """Return a commit and a cell for each of its tests. Raises: RefusedError when there is no such commit."""
    board = site.board
    in_range = board.described(oid) is not None
    present = {test: board.cell(oid, test) for test in board.tests} if in_range else {}
    return await threads.run(lambda: _cells(board.project, oid, present))


def _cells(project: Project, oid: str, present: dict[str, Cell]) -> tuple[FullCommit, dict[str, Cell]]:
    """Return a commit and a cell for each of its tests; those of the board as they are there."""
    commit = find_commit(project, oid)
    view = project.store.view()
    cells = dict(present)
    for test in tests_of(project, commit):
        if test not in cells:
            result = standing(project, view, commit, test)
            if result is not None or not present:
                cells[test] = done(result, known=True) if result is not None else NOTHING
    return commit, cells


def _neighbors(board: Board, oid: str) -> tuple[str | None, str | None]:
    """Return the commits of the range above and below one."""
    ids = [commit.id for commit in board.commits]
    if oid not in ids:
        return None, None
    index = ids.index(oid)
    return (ids[index - 1] if index else None), (ids[index + 1] if index + 1 < len(ids) else None)


_ORDER = (Outcome.FAILED, Outcome.ERRORED, CellState.RUNNING, CellState.WAITING, Outcome.PASSED)


def _worst(cells: list[Cell]) -> Cell:
    for state in _ORDER:
        for cell in cells:
            if state in (cell.outcome, cell.state):
                return cell
    return cells[0] if cells else NOTHING
