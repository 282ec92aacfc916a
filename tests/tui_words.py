"""Words for tests of the full-screen view: boards of real repositories, and a host that does nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from pathlib import Path

from gitlimmat.git.graph import Described, GraphLine
from gitlimmat.model import Outcome, Result, Stored
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.service.project import Project, open_project
from gitlimmat.service.request import Request

_FIELDS = "%x01%H%x01%T%x01%h%x01%s%x01%D%x01%an%x01%ct"


def project_of(path: Path) -> Project:
    """Open the repository at `path` as the program does."""
    with chdir(path):
        return open_project(Request(), lambda _: None)


def graph_of(project: Project, span: str) -> tuple[GraphLine, ...]:
    """Return the graph of a range, as git draws it."""
    drawn = project.repository.git.text("log", "--graph", "--no-color", f"--format={_FIELDS}", span)
    return tuple(map(_graph_line, drawn.splitlines()))


def _graph_line(line: str) -> GraphLine:
    art, *fields = line.split("\x01")
    if not fields:
        return GraphLine(art=art, commit=None)
    oid, tree, short, subject, refs, author, committed = fields
    commit = Described(
        id=oid,
        tree=tree,
        abbreviated=short,
        subject=subject,
        refs=tuple(refs.split(", ")) if refs else (),
        author=author,
        committed=int(committed),
    )
    return GraphLine(art=art, commit=commit)


def board_of(
    project: Project,
    base: str,
    head: str,
    cells: Mapping[Place, Cell] | None = None,
    tests: Sequence[str] | None = None,
) -> Board:
    """Return a board with a range of a repository. Call it in a running loop."""
    board = Board(project.origin.name, project)
    show(board, base, head, cells, tests)
    return board


def show(
    board: Board,
    base: str,
    head: str,
    cells: Mapping[Place, Cell] | None = None,
    tests: Sequence[str] | None = None,
) -> None:
    """Show a range on a board."""
    board.show(
        base=base,
        head=head,
        lines=graph_of(board.project, f"{base}..{head}"),
        tests=[test.name for test in board.project.tests] if tests is None else tests,
        cells=cells or {},
    )


def done(
    outcome: Outcome,
    reason: str = "",
    *,
    elapsed: float = 1.25,
    outputs: dict[str, Stored] | None = None,
    known: bool = False,
) -> Cell:
    """Return the cell of a job that is over."""
    result = Result(
        test="",
        digest="",
        outcome=outcome,
        reason=reason,
        started=1_750_000_000.0,
        elapsed=elapsed,
        commit="",
        outputs=outputs or {},
    )
    return Cell(state=CellState.DONE, outcome=outcome, reason=reason, result=result, known=known)


WAITING = Cell(state=CellState.WAITING)


class StillHost:
    """A host whose jobs are what a test says they are."""

    def __init__(self, *boards: Board) -> None:
        self.boards: Sequence[Board] = boards
        self.stopping: Sequence[tuple[Board, Place]] | None = None
        self.stops = 0
        self.running: list[tuple[Board, Place]] = []
        self._listeners: list[Callable[[], None]] = []

    def stop(self) -> None:
        """Say what is still running; asked again, nothing is."""
        self.stops += 1
        self.say_stopping(self.running if self.stops == 1 else ())

    def say_stopping(self, places: Sequence[tuple[Board, Place]]) -> None:
        """Tell what is still being ended."""
        self.stopping = list(places)
        for listener in list(self._listeners):
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Remember who wants to know."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


class PlainLinks:
    """Addresses of pages that nobody serves."""

    url = "http://localhost:4000/"

    def url_of(self, board: Board, commit: str | None = None, test: str | None = None) -> str:
        """Return an address that tells what it is of."""
        return self.url + "/".join(part for part in (commit, test) if part)
