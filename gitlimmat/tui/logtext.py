"""Output of jobs as lines for a terminal: colors kept, everything else that could move or change it dropped.

Layer: tui. Does no input or output.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from functools import lru_cache
from itertools import pairwise

from rich.ansi import AnsiDecoder
from rich.cells import cell_len
from rich.style import Style

_MOST_LINES = 10_000
_MOST_CHARACTERS = 2_000_000
_LONGEST_LINE = 8_192
_LONGEST_COLOR = 256

_SGR = re.compile(r"\x1b\[([\d;:]*)m")
_CONTROLS = re.compile(
    r"\x1b\[[<-?][0-?]*[ -/]*m"  # looks like a color, and is not
    r"|\x1b\[[0-?]*[ -/]*[@-ln-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"
    r"|\x1b[ -/]+[0-~]"
    r"|\x1b[0-OQ-WYZ\\`-~]"
    r"|\x1b(?!\[[\d;:]*m)"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
)
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_QUIET = Style(blink=False, blink2=False, conceal=False)

Piece = tuple[str, Style]


class LogText:
    """The last lines of some output. `dropped` says how many bytes before them are not here.

    Lines are counted from 0; those before `first` are gone. `rest` is what follows the last line break.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._lines: list[tuple[str, str]] = []
        self._rest = ""
        self._color = ""
        self._size = 0
        self.first = 0
        self.dropped = 0

    @property
    def end(self) -> int:
        """The number of the line after the last complete one."""
        return self.first + len(self._lines)

    @property
    def rest(self) -> tuple[str, str] | None:
        """The line that is not complete, as `line` returns it."""
        return (self._color, clean_line(self._rest)) if self._rest else None

    def line(self, number: int) -> tuple[str, str]:
        """Return a line, and before it the color codes that are in force where it begins."""
        return self._lines[number - self.first]

    def feed(self, data: bytes) -> None:
        """Append output."""
        *lines, self._rest = (self._rest + self._decode(data)).split("\n")
        for line in lines:
            self._append(line)
        if len(self._rest) > _LONGEST_LINE and "\r" in self._rest:
            self._rest = self._rest[self._rest.rfind("\r") :]
        self._rest = self._rest[:_LONGEST_LINE]
        if len(self._lines) > _MOST_LINES or self._size > _MOST_CHARACTERS:
            self._trim()

    def _append(self, raw: str) -> None:
        line = clean_line(raw[:_LONGEST_LINE])
        self._lines.append((self._color, line))
        self._size += len(line)
        if "\x1b" in line:
            self._color = _color_after(self._color, line)

    def _trim(self) -> None:
        gone = 0
        while len(self._lines) - gone > _MOST_LINES * 3 // 4 or self._size > _MOST_CHARACTERS * 3 // 4:
            line = self._lines[gone][1]
            self._size -= len(line)
            self.dropped += len(line.encode(errors="replace")) + 1
            gone += 1
        del self._lines[:gone]
        self.first += gone


def clean_line(raw: str) -> str:
    """Return a line without control characters other than tabs and colors, as it stands in the end."""
    line = raw.rstrip("\r")
    if "\r" in line:
        line = line.rsplit("\r", 1)[-1]
    if line.isascii() and line.isprintable():
        return line
    return _INVISIBLE.sub("\ufffd", _CONTROLS.sub("", line))


def _color_after(before: str, line: str) -> str:
    color = before
    for match in _SGR.finditer(line):
        codes = match.group(1)
        color = "" if codes.strip("0;:") == "" else color + match.group(0)
    return color if len(color) <= _LONGEST_COLOR else ""


@lru_cache(1024)
def pieces(color: str, line: str) -> tuple[Piece, ...]:
    """Return a line as pieces of text with their styles; tabs are blanks, nothing blinks or hides."""
    if "\x1b" not in line and not color:
        return ((line.expandtabs(8), Style()),)
    text = AnsiDecoder().decode_line(color + line)
    found: list[Piece] = []
    column = 0
    edges = sorted({0, len(text), *(edge for span in text.spans for edge in (span.start, span.end))})
    for start, end in pairwise(edges):
        style = _QUIET
        for span in text.spans:
            if span.start <= start < span.end and isinstance(span.style, Style):
                style = span.style + style
        part = (" " * (column % 8) + text.plain[start:end]).expandtabs(8)[column % 8 :]
        column += cell_len(part)
        found.append((part, style))
    return tuple(found)


def rows_needed(line: str, width: int) -> int:
    """Return how many lines `wrapped` makes of a line, without making them where that can be told."""
    if len(line) <= width and line.isascii() and "\t" not in line:
        return 1
    visible = _SGR.sub("", line).expandtabs(8)
    if visible.isascii():
        return max(-(-len(visible) // width), 1)
    return 1 if cell_len(visible) <= width else len(wrapped(pieces("", line), width))


@lru_cache(256)
def wrapped(line: tuple[Piece, ...], width: int) -> list[tuple[Piece, ...]]:
    """Return a line as the lines it takes in `width` columns; at least one."""
    rows: list[tuple[Piece, ...]] = []
    row: list[Piece] = []
    left = width
    for text, style in line:
        while text:
            head = _head(text, left) or ("" if row else text[0])
            if head:
                row.append((head, style))
                left -= cell_len(head)
                text = text[len(head) :]
            if text:
                rows.append(tuple(row))
                row, left = [], width
    return [*rows, tuple(row)] if row or not rows else rows


def _head(text: str, width: int) -> str:
    """Return as much of the beginning as fits."""
    if text.isascii():
        return text[:width]
    for index, character in enumerate(text):
        width -= cell_len(character)
        if width < 0:
            return text[:index]
    return text


def shifted(line: tuple[Piece, ...], by: int) -> tuple[Piece, ...]:
    """Return a line without its first `by` columns."""
    left = by
    kept: list[Piece] = []
    for text, style in line:
        size = cell_len(text)
        if size <= left:
            left -= size
            continue
        while left > 0 and text:
            left -= cell_len(text[0])
            text = text[1:]
        kept.append((text, style))
    return tuple(kept)
