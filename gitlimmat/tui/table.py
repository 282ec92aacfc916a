"""The table of commits and tests, and the names above it.

Layer: tui.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.strip import Strip

from gitlimmat.git.graph import Described
from gitlimmat.service.board import Board, Cell, CellState
from gitlimmat.tui.columns import Columns, Detail, abbreviate, lay_out
from gitlimmat.tui.facts import empty_text, slot_of
from gitlimmat.tui.host import Links
from gitlimmat.tui.look import Look
from gitlimmat.tui.screenlines import Lines
from gitlimmat.tui.text import BOLD, DIM, PLAIN, REVERSE, Line, brief, clean
from gitlimmat.tui.view import View

_GUTTER = 2
_AFTER_HASH = 2
_WHEEL_ROWS = 3


class Grid:
    """Where things stand in a row: computed when the tests, the ids or the terminal change."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.hash_width = 7
        self.first = 0
        self.columns: Columns = lay_out((), 80, 1)

    @property
    def cells_at(self) -> int:
        """The column of the first cell."""
        return _GUTTER + self.hash_width + _AFTER_HASH

    def fit(self, view: View, width: int) -> None:
        """Lay out the columns for what `view` shows."""
        ids = (len(commit.abbreviated) for commit in view.board.commits)
        self.hash_width = max(7, *ids) if view.board.commits else self.hash_width
        names = tuple(map(clean, view.tests))
        self.columns = lay_out(names, width - self.cells_at, self.look.sign_width)
        self.show_column(view)

    def show_column(self, view: View) -> None:
        """Shift the columns so that the cursor's is visible."""
        count = self.columns.count
        self.first = min(max(self.first, view.column - count + 1), view.column)
        self.first = max(min(self.first, len(view.tests) - count), 0)

    def shown(self, view: View) -> Iterable[tuple[int, int, int]]:
        """Yield start, width and index into the tests of each column on the screen."""
        columns = self.columns
        for index in range(min(columns.count, len(view.tests))):
            yield columns.starts[index], columns.widths[index], self.first + index

    def column_at(self, x: int) -> int | None:
        """Return the index of the test whose cell is at a column of the screen."""
        for start, width, index in zip(self.columns.starts, self.columns.widths, range(999), strict=False):
            if start <= x - self.cells_at < start + width:
                return self.first + index
        return None


class Names(Lines):
    """The names of the tests, each starting above its column."""

    def __init__(self, grid: Grid, view: View) -> None:
        super().__init__()
        self.grid, self.view = grid, view

    def line(self, y: int, width: int) -> Strip:
        """Draw the names of this line."""
        line, columns = self.grid.look.line(width), self.grid.columns
        shown = list(self.grid.shown(self.view))
        names = abbreviate([clean(self.view.tests[test]) for _, _, test in shown], columns.room)
        for index, (start, _, test) in enumerate(shown):
            if index % columns.header == y:
                style = BOLD if test == self.view.column else DIM
                line.to(self.grid.cells_at + start)
                line.add(names[index], style, min(cell_len(names[index]), columns.room[index]))
        return line.strip()


class Table(Lines):
    """The rows. `links` gives the targets of cells and ids; `chosen` is called after a click on a cell."""

    DEFAULT_CSS = "Table { height: 1fr; }"

    def __init__(self, grid: Grid, view: View, links: Links | None, moved: Callable[[bool], None]) -> None:
        super().__init__()
        self.grid, self.view, self._links, self._moved = grid, view, links, moved
        self._link_style = lru_cache(2048)(_link_style)

    def line(self, y: int, width: int) -> Strip:
        """Draw the row at this height."""
        view, look = self.view, self.grid.look
        line = look.line(width)
        number = view.top + y
        if number >= len(view.rows):
            if y == 1 and not view.rows:
                text = clean(empty_text(view.board, view.filter, view.text))
                line.to(_GUTTER).add(text, DIM)
            return line.strip()
        row = view.rows[number]
        if row.commit is None:
            return line.to(self._art_at).add(row.art, DIM).strip()
        here = number == view.row
        line.add(">" if here else " ", BOLD, _GUTTER)
        url = self._url(view.board, row.commit.id)
        line.add(row.commit.abbreviated, self._styled("hash", url, bold=here))
        self._draw_cells(line, row.commit, here=here)
        line.to(self._art_at).add(row.art[: width // 3], DIM)
        self._draw_subject(line, row.commit, here=here)
        return line.strip()

    def repaint_commit(self, commit: str) -> None:
        """Draw the row of a commit anew if it is on the screen."""
        row = self.view.row_of(commit)
        if row is not None and 0 <= row - self.view.top < self.size.height:
            self.repaint_line(row - self.view.top)

    def repaint_running(self) -> None:
        """Draw anew the rows on the screen on which something runs."""
        view = self.view
        for y, row in enumerate(view.rows[view.top : view.top + self.size.height]):
            if row.commit is not None and any(
                cell.state is CellState.RUNNING for cell in view.board.row(row.commit.id)
            ):
                self.repaint_line(y)

    @property
    def _art_at(self) -> int:
        return self.grid.cells_at + self.grid.columns.total + (1 if self.grid.columns.total else 0)

    def _draw_cells(self, line: Line, commit: Described, *, here: bool) -> None:
        view, look = self.view, self.grid.look
        for start, width, index in self.grid.shown(view):
            test = view.tests[index]
            cell = view.board.cell(commit.id, test)
            slot = slot_of(cell)
            style = self._styled(slot, self._url(view.board, commit.id, test))
            if here and index == view.column:
                style += REVERSE
            line.to(self.grid.cells_at + start)
            estimate = view.board.estimate(test) if cell.state is CellState.RUNNING else None
            text = cell_text(look, cell, slot, self.grid.columns.detail, estimate)
            line.add(text, style, min(cell_len(text), width - 1))

    def _draw_subject(self, line: Line, commit: Described, *, here: bool) -> None:
        look = self.grid.look
        if commit.refs:
            line.add(f"({clean(', '.join(commit.refs))}) ", look.style("refs"))
        line.add(clean(commit.subject), look.style("subject") + (BOLD if here else PLAIN))

    def _styled(self, slot: str, url: str | None, *, bold: bool = False) -> Style:
        style = self.grid.look.style(slot) + (BOLD if bold else PLAIN)
        return style if url is None else self._link_style(style, url)

    def _url(self, board: Board, commit: str, test: str | None = None) -> str | None:
        if self._links is None:
            return None
        url = self._links.url_of(board, commit, test)
        return url if url.isascii() and url.isprintable() else None

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the cell that was clicked; again to open its output."""
        row = self.view.top + event.y
        if row >= len(self.view.rows) or self.view.rows[row].commit is None:
            return
        before = self.view.place
        column = self.grid.column_at(event.x)
        self.view.go(row, column)
        self._moved(column is not None and before == self.view.place)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll towards older commits."""
        event.stop()
        self.view.scroll(_WHEEL_ROWS)
        self._moved(False)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll towards newer commits."""
        event.stop()
        self.view.scroll(-_WHEEL_ROWS)
        self._moved(False)


def cell_text(look: Look, cell: Cell, slot: str, detail: Detail, estimate: float | None = None) -> str:
    """Return what a cell says where there is room for `detail`; `estimate` is how long a job may take."""
    sign = look.glyph(slot)
    if detail is Detail.SIGN:
        return sign
    time_text = _time_text(cell)
    if detail is Detail.TIME:
        return f"{sign} {time_text}"
    if cell.state is CellState.RUNNING and time_text:
        of = "" if estimate is None else f"/{brief(estimate)}"
        if detail is Detail.WORD:
            return f"{sign} {time_text}{of if len(time_text + of) < len('cancelled ') else ''}"
        return f"{sign} {time_text} of {brief(estimate)}" if estimate is not None else f"{sign} {time_text}"
    word = slot if slot != "unknown" else ""
    if detail is Detail.WORD or not time_text:
        return f"{sign} {word}"
    return f"{sign} {word:<9} {time_text:>5}"


def _time_text(cell: Cell) -> str:
    if cell.state is CellState.RUNNING and cell.since is not None:
        elapsed = max(int(time.time() - cell.since), 0)
        return f"{elapsed}s" if elapsed < 60 else brief(elapsed)
    if cell.state is CellState.DONE and cell.result is not None:
        return brief(cell.result.elapsed)
    return ""


def _link_style(style: Style, url: str) -> Style:
    return style + Style(link=url)
