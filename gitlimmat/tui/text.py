"""Pieces of a line: fitted to columns, styled, joined.

Layer: tui.
"""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

DIM = Style(dim=True)
BOLD = Style(bold=True)
PLAIN = Style()
REVERSE = Style(reverse=True)


class Line:
    """A line that is put together from left to right and never wider than `width` columns.

    What is cut off shows as `more`.
    """

    def __init__(self, width: int, *, more: str = "…") -> None:
        self.left = width
        self._width = width
        self._more = more
        self._segments: list[Segment] = []

    def add(self, text: str, style: Style = PLAIN, width: int | None = None) -> Line:
        """Append text, cut or filled to `width` columns if given, cut at the end of the line."""
        if width is not None:
            text = fit(text, width, more=self._more)
        size = cell_len(text)
        if size > self.left:
            text, size = fit(text, self.left, more=self._more), self.left
        if text:
            self._segments.append(Segment(text, style))
        self.left -= size
        return self

    def to(self, column: int) -> Line:
        """Fill with blanks up to a column, counted from 0."""
        return self.add(" " * max(column - (self._width - self.left), 0))

    def strip(self) -> Strip:
        """Return the line, filled with blanks."""
        if self.left:
            self._segments.append(Segment(" " * self.left, PLAIN))
        return Strip(self._segments, self._width)


def fit(text: str, width: int, *, more: str = "…") -> str:
    """Return text cut or filled to exactly `width` columns; what is cut off shows as `more`."""
    if width <= 0:
        return ""
    if text.isascii() and len(text) <= width:
        return text.ljust(width)
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + more if width > len(more) else set_cell_size(text, width)


def clean(text: str) -> str:
    """Return text that a terminal shows as it is: no control characters, nothing that cannot be encoded."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if "\ud800" <= c <= "\udfff" else c if c.isprintable() or c == " " else " " for c in text
    )


def brief(seconds: float) -> str:
    """Return a time span in at most five characters: `85ms`, `1.2s`, `45s`, `3m20`, `2h05`, `3d04`."""
    if seconds < 0.0995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds < 59.5:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02}"
    return f"{hours // 24}d{hours % 24:02}"
