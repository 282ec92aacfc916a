"""What of a board is on the screen, and where the cursor is.

Layer: tui. Knows nothing of a terminal.
"""

from __future__ import annotations

from gitlimmat.git.graph import Described, GraphLine
from gitlimmat.service.board import Board, Cell, Place
from gitlimmat.tui.filter import Filter, contains, parse_filter

_MARGIN = 2


class View:
    """One board as one user looks at it.

    `rows` are the lines that are shown. `row` is the cursor's index into them, always on a commit if there
    is one; `column` its index into `tests`. `top` is the first row on the screen, `height` how many fit.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.rows: tuple[GraphLine, ...] = ()
        self.tests: tuple[str, ...] = ()
        self.row = self.column = self.top = 0
        self.height = 1
        self.text = ""
        self.found = ""
        self.open_only = False
        self._row_of: dict[str, int] = {}
        self.rebuild()

    @property
    def filter(self) -> Filter:
        """What is shown."""
        return parse_filter(self.text, open_only=self.open_only)

    @property
    def commit(self) -> Described | None:
        """The commit under the cursor."""
        return self.rows[self.row].commit if self.row < len(self.rows) else None

    @property
    def place(self) -> Place | None:
        """The cell under the cursor."""
        if self.commit is None or self.column >= len(self.tests):
            return None
        return Place(self.commit.id, self.tests[self.column])

    @property
    def cell(self) -> Cell | None:
        """What is true of the cell under the cursor."""
        return None if self.place is None else self.board.cell(*self.place)

    def row_of(self, commit: str) -> int | None:
        """Return the row of a commit if it is shown."""
        return self._row_of.get(commit)

    def rebuild(self, *, keep: bool = False) -> bool:
        """Compute anew what is shown; tell whether it has changed.

        The cursor stays on its commit and test. On the newest commit it stays on the newest, unless `keep`.
        """
        commit, test = self.commit, self.place.test if self.place else None
        at_newest = self.row == self._first() and not keep
        chosen, board = self.filter, self.board
        tests = chosen.shown_tests(board.tests)
        rows = board.lines
        if not chosen.is_empty:
            rows = tuple(
                GraphLine(art="* ", commit=line.commit)
                for line in rows
                if line.commit is not None and chosen.shows(board, line.commit, tests)
            )
        changed = (rows, tests) != (self.rows, self.tests)
        self.rows, self.tests = rows, tests
        self._row_of = {line.commit.id: n for n, line in enumerate(rows) if line.commit is not None}
        if test in tests:
            self.column = tests.index(test)
        self.column = min(self.column, max(len(tests) - 1, 0))
        before = self.row
        known = None if commit is None or at_newest else self._row_of.get(commit.id)
        self.row = self._settle(self._first() if at_newest else before if known is None else known, 1)
        if not at_newest and known is not None:
            self.top += self.row - before
        self.scroll_to_cursor()
        return changed

    def move(self, by: int) -> None:
        """Move the cursor by so many commits."""
        row, step = self.row, 1 if by > 0 else -1
        for _ in range(abs(by)):
            further = self._settle(row + step, step)
            if further == row:
                break
            row = further
        self.row = row
        self.scroll_to_cursor()

    def move_column(self, by: int) -> None:
        """Move the cursor by so many tests."""
        self.column = min(max(self.column + by, 0), max(len(self.tests) - 1, 0))
        if not self.top <= self.row < self.top + self.height:
            self.scroll_to_cursor()

    def go(self, row: int, column: int | None = None) -> None:
        """Move the cursor to a row, or the nearest one with a commit."""
        self.row = self._settle(min(max(row, 0), max(len(self.rows) - 1, 0)), 1)
        if column is not None:
            self.column = min(max(column, 0), max(len(self.tests) - 1, 0))
        self.scroll_to_cursor()

    def go_to(self, place: Place) -> None:
        """Move the cursor to a place, if it is shown."""
        row = self._row_of.get(place.commit)
        if row is not None and place.test in self.tests:
            self.go(row, self.tests.index(place.test))

    def scroll(self, by: int) -> None:
        """Scroll by so many rows; the cursor stays on the screen."""
        self.top = min(max(self.top + by, 0), max(len(self.rows) - self.height, 0))
        visible = min(max(self.row, self.top), self.top + self.height - 1)
        self.row = self._settle(visible, 1 if visible >= self.row else -1)

    def scroll_to_cursor(self) -> None:
        """Make the cursor's row visible, with what is next to it, and with as little movement as can be."""
        margin = min(_MARGIN, (self.height - 1) // 3)
        self.top = min(max(self.top, self.row + margin - self.height + 1), self.row - margin)
        self.top = min(max(self.top, 0), max(len(self.rows) - self.height, 0))

    def search(self, text: str, *, forward: bool = True, stay: bool = False) -> bool:
        """Go to the next commit with `text`, around the end; with `stay`, this one counts. Tell if found."""
        total = len(self.rows)
        step = 1 if forward else -1
        for distance in range(0 if stay else 1, total + 1 if total else 0):
            row = (self.row + distance * step) % total
            commit = self.rows[row].commit
            if commit is not None and contains(commit, text):
                self.go(row)
                return True
        return False

    def _first(self) -> int:
        return self._settle(0, 1)

    def _settle(self, row: int, step: int) -> int:
        """Return `row` or the next one in a direction that has a commit, else the nearest the other way."""
        last = len(self.rows) - 1
        for way in (step, -step):
            at = min(max(row, 0), max(last, 0))
            while 0 <= at <= last:
                if self.rows[at].commit is not None:
                    return at
                at += way
        return 0
