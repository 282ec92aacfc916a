"""The page that says what each key does.

Layer: tui.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style
from textual.strip import Strip

from gitlimmat.tui.host import Links
from gitlimmat.tui.keys import Key
from gitlimmat.tui.look import Look
from gitlimmat.tui.screenlines import Lines
from gitlimmat.tui.text import BOLD, DIM

_KEY_WIDTH = 10
_COLUMN = 74
_ARROWS = str.maketrans({"↑": "Up", "↓": "Down", "←": "Left", "→": "Right"})
_SLOTS = ("passed", "failed", "errored", "skipped", "cancelled", "running", "waiting", "unknown")


class Help(Lines):
    """Keys, signs and the address of the pages."""

    DEFAULT_CSS = "Help { height: 1fr; display: none; }"

    def __init__(self, look: Look, links: Links | None) -> None:
        super().__init__()
        self._look, self._links = look, links
        self.keys: Sequence[Key] = ()
        self.is_shown = False
        self._top = 0

    def scroll_by(self, rows: int) -> None:
        """Scroll where not all fits."""
        last = max(self._length() - self.size.height, 0)
        self._top = min(max(self._top + rows, 0), last)
        self.refresh()

    def line(self, y: int, width: int) -> Strip:
        """Draw the signs, then a key a line, in two columns where there is room."""
        line, y = self._look.line(width), y + self._top
        if y == 0:
            for slot in _SLOTS:
                line.add("  ").add(f"{self._look.glyph(slot)} {slot}", self._look.style(slot))
            return line.strip()
        rows = self._rows(width)
        index = y - 2
        for column, at in enumerate((index, index + rows)):
            if 0 <= index < rows and at < len(self.keys) and (column == 0 or rows < len(self.keys)):
                key = self.keys[at]
                shown = key.shown if self._look.glyphs != "ascii" else key.shown.translate(_ARROWS)
                line.to(2 + column * _COLUMN).add(shown, BOLD, _KEY_WIDTH).add(key.text)
        if index == rows + 1 and self._links is not None:
            line.add("  pages     ", DIM).add(self._links.url, Style(link=self._links.url))
        return line.strip()

    def _rows(self, width: int) -> int:
        count = len(self.keys)
        return -(-count // 2) if width >= 2 * _COLUMN else count

    def _length(self) -> int:
        return self._rows(self.size.width) + (4 if self._links is not None else 2)
