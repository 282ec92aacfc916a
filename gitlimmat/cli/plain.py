"""Show a watch as lines that are appended, where there is no terminal to draw on or none is wanted.

Layer: cli.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from gitlimmat.cli.output import Printer, details, first_names, result_line
from gitlimmat.git.colors import Slot
from gitlimmat.model import Outcome
from gitlimmat.service.board import WARNING, Board, CellState, Change, Counts, Place
from gitlimmat.tui.facts import counted, range_text, short
from gitlimmat.tui.host import Host, Links


class PlainLines:
    """Writes the facts that the full-screen view shows: ranges, results, problems, and what delays the end.

    Each batch of lines is flushed. What cannot be written ends `serve` with the error.
    """

    def __init__(self, host: Host, links: Links | None, out: Printer) -> None:
        self._host, self._links, self._out = host, links, out
        self._shown = {id(board): _Shown() for board in host.boards}
        self._several = len(host.boards) > 1
        self._failed: asyncio.Future[None] | None = None
        self._stopping = False

    async def serve(self) -> None:
        """Write lines until cancelled.

        Raises: OSError when the output cannot be written, BrokenPipeError when nobody reads it any more.
        """
        self._failed = asyncio.get_running_loop().create_future()
        ends = [self._host.subscribe(partial(self._guarded, self._tell_stopping))]
        for board in self._host.boards:
            ends.append(board.subscribe(partial(self._hear, board)))
        try:
            self._guarded(self._begin)
            await self._failed
        finally:
            for end in ends:
                end()

    def _begin(self) -> None:
        if self._links is not None:
            self._out.line(f"pages: {self._links.url}")
        for board in self._host.boards:
            if board.version:
                cells = frozenset(Place(commit.id, test) for commit in board.commits for test in board.tests)
                self._tell(board, Change(layout=True, cells=cells, problems=True))
        self._tell_stopping()

    def _hear(self, board: Board, change: Change) -> None:
        self._guarded(partial(self._tell, board, change))

    def _guarded(self, write: Callable[[], None]) -> None:
        """Write, flush, and hand an error to `serve`."""
        if self._failed is None or self._failed.done():
            return
        try:
            write()
            self._out.stream.flush()
        except Exception as error:
            self._failed.set_exception(error)

    def _tell(self, board: Board, change: Change) -> None:
        shown = self._shown[id(board)]
        if change.problems:
            self._tell_problems(board, shown)
        if change.layout:
            self._tell_range(board, shown)
        self._tell_results(board, change.cells)
        self._tell_counts(board, shown)

    def _tell_range(self, board: Board, shown: _Shown) -> None:
        commits = {commit.id for commit in board.commits}
        new = len(commits - shown.commits)
        name = range_text(board)
        if not name or (name == shown.range and commits == shown.commits):
            return
        text = f"{counted(len(commits), 'commit')}, {new:,} new" if new else counted(len(commits), "commit")
        self._line(board, f"{name}: {text}")
        shown.range, shown.commits = name, commits

    def _tell_results(self, board: Board, places: Iterable[Place]) -> None:
        rows = {commit.id: row for row, commit in enumerate(board.commits)}
        columns = {test: column for column, test in enumerate(board.tests)}
        width = max(map(len, board.tests), default=0)
        here = [place for place in places if place.commit in rows and place.test in columns]
        for place in sorted(here, key=lambda place: (rows[place.commit], columns[place.test])):
            cell, commit = board.cell(*place), board.described(place.commit)
            if cell.state is not CellState.DONE or cell.outcome is None or commit is None:
                continue
            abbreviated = commit.abbreviated
            more = details(
                cell.outcome,
                cell.reason,
                cell.result,
                known=cell.known,
                commit=commit.id,
                digits=len(abbreviated),
            )
            line = result_line(
                self._out,
                short=abbreviated,
                test=place.test,
                width=width,
                outcome=cell.outcome,
                more=more,
                subject=commit.subject,
            )
            self._line(board, line)

    def _tell_counts(self, board: Board, shown: _Shown) -> None:
        """Say how it stands when all that had to be done is done, or was known already."""
        counts = board.counts()
        busy = bool(counts.running or counts.waiting)
        if not busy and (shown.busy or counts.outcomes not in ({}, shown.outcomes)):
            self._line(board, f"{range_text(board)}: {_counts_text(counts)}")
            shown.outcomes = dict(counts.outcomes)
        shown.busy = busy

    def _tell_problems(self, board: Board, shown: _Shown) -> None:
        for part, text in board.problems.items():
            if shown.problems.get(part) != text:
                word = f"{part}:" if part == WARNING else f"problem with {part}:"
                self._line(board, f"{self._out.paint(word, Slot.PROBLEM)} {text}")
        for part in shown.problems.keys() - board.problems.keys() - {WARNING}:
            self._line(board, f"no problem with {part} any more")
        shown.problems = dict(board.problems)

    def _tell_stopping(self) -> None:
        stopping = self._host.stopping
        if self._stopping or stopping is None:
            return
        self._stopping = True
        names = [f"{test} on {short(board, commit)}" for board, (commit, test) in stopping]
        self._out.line(f"stopping {first_names(names)} (again to kill)" if names else "stopping")

    def _line(self, board: Board, text: str) -> None:
        self._out.line(f"{board.name}: {text}" if self._several else text)


class _Shown:
    """What was last said about a board."""

    def __init__(self) -> None:
        self.range = ""
        self.commits: set[str] = set()
        self.problems: dict[str, str] = {}
        self.busy = False
        self.outcomes: dict[Outcome, int] = {}


def _counts_text(counts: Counts) -> str:
    words = [f"{count:,} {outcome.value}" for outcome, count in counts.outcomes.items()]
    return ", ".join(words) or "nothing to do"
