"""The pane with the output of the test under the cursor, live while it runs.

Layer: tui.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.strip import Strip

from gitlimmat.errors import LimmatError
from gitlimmat.model import Stored
from gitlimmat.service.board import Cell, CellState, Place
from gitlimmat.tui.facts import short
from gitlimmat.tui.logtext import LogText, Piece, pieces, rows_needed, shifted, wrapped
from gitlimmat.tui.look import Look
from gitlimmat.tui.reading import follow, live_path, load, streams_of
from gitlimmat.tui.screenlines import Lines
from gitlimmat.tui.text import BOLD, DIM, Line, clean
from gitlimmat.tui.view import View

_SHIFT = 16
_WHEEL_ROWS = 3


class Output(Lines):
    """Shows `place`, or nothing. `is_following`: the end stays visible. `active`: it has the keys."""

    def __init__(self, look: Look, view: View, activate: Callable[[], None]) -> None:
        super().__init__()
        self._look, self.view, self._activate = look, view, activate
        self.place: Place | None = None
        self.active = False
        self.is_following = True
        self.wraps = True
        self._text = LogText()
        self._shows: object = None
        self._says = ""
        self._stream = 0
        self._streams: tuple[str, ...] = ()
        self._top = self._shift = 0
        self._rows: list[tuple[int, int]] = []
        self._next_line = 0
        self._laid_out: object = None

    def show(self, place: Place | None) -> None:
        """Show the output of a place from now on."""
        if place != self.place:
            self.place, self._stream, self._top, self._shift = place, 0, 0, 0
            self.is_following = True
            self._forget()
        self.look_again()

    def look_again(self) -> None:
        """Show what is true of the place now."""
        if self.place is None:
            self._begin(None)
            return
        board, place = self.view.board, self.place
        cell = board.cell(*place)
        self._streams = streams_of(board, place, cell)
        stream = self._streams[self._stream % len(self._streams)]
        path = live_path(cell, stream)
        stored = cell.result.outputs.get(stream) if cell.result is not None else None
        if cell.state is CellState.RUNNING and path is not None:
            key: object = (path, cell.since)
        elif cell.state is CellState.DONE and stored is not None:
            key = stored
        else:
            key = (cell.state, place, stream)
        if key == self._shows:
            self.repaint_line(0)
            return
        same_job = isinstance(key, Stored) and self._says == "" and self._text.end > 0
        if not same_job:
            self._forget()
        self._shows = key
        self._says = _silence(cell)
        if path is not None:
            self._begin(follow(path, self._text, self._changed))
        elif isinstance(key, Stored):
            self._begin(self._load(key))
        else:
            self._begin(None)
        self._changed()

    def next_stream(self) -> None:
        """Show the other stream, if there is one."""
        self._stream += 1
        self._top, self.is_following = 0, True
        self.look_again()

    def toggle_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.wraps = not self.wraps
        self._shift = 0
        self._changed()

    def toggle_following(self) -> None:
        """Keep the end visible, or stay where it is."""
        self.is_following = not self.is_following
        self._changed()

    def scroll_by(self, rows: int) -> None:
        """Scroll; at the end it is followed."""
        self._lay_out()
        last = max(len(self._rows) - self._height, 0)
        self._top = min(max((last if self.is_following else self._top) + rows, 0), last)
        self.is_following = self._top == last and rows > 0
        self.refresh()

    def shift_by(self, steps: int) -> None:
        """Scroll to the side, where long lines are cut."""
        if not self.wraps:
            self._shift = max(self._shift + steps * _SHIFT, 0)
            self.refresh()

    def scroll_page(self, pages: int) -> None:
        """Scroll by what fits on the screen."""
        self.scroll_by(pages * max(self._height - 1, 1))

    def scroll_far(self, *, end: bool) -> None:
        """Go to the beginning, or to the end and follow it."""
        self.is_following = end
        if not end:
            self._top = 0
        self.refresh()

    def line(self, y: int, width: int) -> Strip:
        """Draw the rule with the names, or a line of output."""
        line = self._look.line(width)
        self._lay_out()
        if self.is_following:
            self._top = max(len(self._rows) - self._height, 0)
        if y == 0:
            return self._rule(line)
        row = self._top + y - 1
        if not self._rows and y == 1:
            return line.add(f"  {self._says or '(no output)'}", DIM).strip()
        if row < len(self._rows):
            for text, style in self._pieces(row):
                line.add(text, self._painted(style))
        return line.strip()

    @property
    def has_streams(self) -> bool:
        """Whether there is more than one stream."""
        return len(self._streams) > 1

    @property
    def _height(self) -> int:
        return max(self.size.height - 1, 1)

    def _rule(self, line: Line) -> Strip:
        dash = self._look.mark("─", "-")
        line.add(dash, DIM)
        if self.place is None:
            return line.add(dash * line.left, DIM).strip()
        style = BOLD if self.active else DIM
        stream = self._streams[self._stream % len(self._streams)] if self._streams else "output"
        name = f"{clean(self.place.test)} on {short(self.view.board, self.place.commit)}"
        line.add(f" {stream} of {name} ", style)
        words = [f"{self._text.dropped:,} bytes before"] if self._text.dropped else []
        words += ["s: other stream"] if self.has_streams else []
        words += [self._position()] if self._rows or self._says == "" else []
        tail = f" {', '.join(words)} {dash}" if words else ""
        line.add(dash * max(line.left - cell_len(tail), 0), DIM)
        return line.add(tail, DIM).strip()

    def _position(self) -> str:
        assert self.place is not None
        live = self.view.board.cell(*self.place).state is CellState.RUNNING
        if live and self.is_following:
            return "live"
        last = min(self._top + self._height, len(self._rows))
        place = f"line {last:,} of {len(self._rows):,}"
        return f"{place}, f follows" if live else place

    def _painted(self, style: Style) -> Style:
        return style if self._look.colored else style.without_color

    def _lay_out(self) -> None:
        """Bring the rows up to date: from nothing for another text or width, else only what is new."""
        key = (id(self._text), max(self.size.width, 1), self.wraps)
        if key != self._laid_out:
            self._laid_out, self._rows, self._next_line = key, [], self._text.first
        text = self._text
        gone = bisect_left(self._rows, (text.first, 0))
        if gone:
            del self._rows[:gone]
            self._top = max(self._top - gone, 0)
        self._next_line = max(self._next_line, text.first)
        while self._rows and self._rows[-1][0] >= self._next_line:
            self._rows.pop()
        for number in range(self._next_line, text.end):
            self._rows += self._rows_of(number, text.line(number)[1])
        self._next_line = text.end
        if text.rest is not None:
            self._rows += self._rows_of(text.end, text.rest[1])

    def _rows_of(self, number: int, line: str) -> list[tuple[int, int]]:
        count = rows_needed(line, max(self.size.width, 1)) if self.wraps else 1
        return [(number, part) for part in range(count)]

    def _pieces(self, row: int) -> tuple[Piece, ...]:
        number, part = self._rows[row]
        line = self._text.rest if number == self._text.end else self._text.line(number)
        found = pieces(*(line or ("", "")))
        if not self.wraps:
            return shifted(found, self._shift)
        rows = wrapped(found, max(self.size.width, 1))
        return rows[min(part, len(rows) - 1)]

    def _forget(self) -> None:
        self._text, self._rows, self._shows, self._laid_out = LogText(), [], None, None

    def _changed(self) -> None:
        self.refresh()

    def _begin(self, work: object) -> None:
        """Read in the background, and stop reading what was read before."""
        if work is None:
            self.workers.cancel_group(self, "output")
        else:
            self.run_worker(work, group="output", exclusive=True)  # type: ignore[arg-type]

    async def _load(self, stored: Stored) -> None:
        try:
            self._text, self._says = await load(self.view.board, stored), ""
        except LimmatError as error:
            self._says = str(error)
        self._changed()

    def on_click(self, event: events.Click) -> None:
        """Take the keys."""
        self._activate()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll towards the end."""
        event.stop()
        self.scroll_by(_WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll towards the beginning."""
        event.stop()
        self.scroll_by(-_WHEEL_ROWS)


def _silence(cell: Cell) -> str:
    """Return what is said in place of output, empty when there is or will be some."""
    match cell.state:
        case CellState.UNKNOWN:
            return "no result"
        case CellState.WAITING:
            return "waiting"
        case CellState.RUNNING:
            if cell.directory is not None:
                return ""
            return "running in another process" if cell.elsewhere else "starting"
        case CellState.DONE:
            if cell.result is not None:
                return "" if cell.result.outputs else "(no output)"
            return f"no output is stored: {cell.reason or (cell.outcome or '')}"
