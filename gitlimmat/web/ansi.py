"""What programs print, with colors and all, as HTML that can do no harm.

Layer: web. Pure.

Understood: colors and styles (SGR with 16, 256 and 16 million colors, the latter with 4 bits a channel),
carriage return and backspace, erasing a line, and OSC 8 links to the web. All other escapes are dropped.
Styles become classes, so that no style has to be allowed in the page.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from html import escape

import msgspec

_ESCAPE = re.compile(
    r"\x1b\[(?P<parameters>[0-9;:]*)(?P<final>[mK])"
    r"|\x1b\]8;[^;\x07\x1b]*;(?P<link>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # strings: titles, sixels and the like
    r"|\x1b[ -/]*[0-~]"
    r"|\x1b"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]{0,4096}\x1b?|[ -/]*)?\Z")
_MOVES = re.compile("[\r\b]")
_CONTROL = {code: chr(0x2400 + code) for code in range(32) if code not in (9, 10)} | {0x7F: "␡"}
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_COLOR_SPACE = re.compile(r"([34]8:2):[0-9]*:(?=[0-9]+:[0-9]+:[0-9])")
_LINK = re.compile(r"https?://[!-~]+")
_LONGEST = 1 << 16  # characters in a line that is overwritten in place
_STYLES = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike"}
_ENDS = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",), 29: ("strike",)}


class Style(msgspec.Struct, frozen=True):
    """How text looks. Colors are class names without their prefix, such as `3` or `x9af`."""

    front: str | None = None
    back: str | None = None
    marks: frozenset[str] = frozenset()
    link: str = ""


_PLAIN = Style()


class AnsiText:
    """Turns pieces of output into HTML, one after the other. Lines are given out when they are complete."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._style = _PLAIN
        self._line = ""
        self._begin = _PLAIN  # the style at the beginning of the line

    def feed(self, data: bytes, *, final: bool = False) -> str:
        """Take the next bytes, and return the HTML of the lines that are complete now."""
        *lines, self._line = (self._line + self._decoder.decode(data, final=final)).split("\n")
        parts = []
        for line in lines:
            html, self._begin = _render(line.removesuffix("\r"), self._begin)
            parts.append(html)
            parts.append("\n")
        if len(self._line) > _LONGEST:
            cut = _UNFINISHED.search(self._line)
            whole = self._line[: cut.start()] if cut else self._line
            html, self._begin = _render(whole, self._begin)
            self._line = self._line[len(whole) :]
            parts.append(html)
        return "".join(parts)

    def rest(self) -> str:
        """Return the HTML of the line that is not complete; it will be given out again."""
        line = self._line.removesuffix("\r")
        unfinished = _UNFINISHED.search(line)
        return _render(line[: unfinished.start()] if unfinished else line, self._begin)[0]


def to_html(data: bytes) -> str:
    """Return the HTML of a whole output, or of a page of it."""
    text = AnsiText()
    return text.feed(data, final=True) + text.rest()


def _render(line: str, style: Style) -> tuple[str, Style]:
    """Return the HTML of a line that begins in `style`, and the style it ends in."""
    if "\x1b" not in line and not _MOVES.search(line):
        return _span(line, style), style
    pieces: list[tuple[str, Style]] = []
    overwritten = _MOVES.search(line) is not None
    cells: list[tuple[str, Style]] = []
    column = place = 0
    for match in _ESCAPE.finditer(line):
        text = line[place : match.start()]
        place = match.end()
        if overwritten:
            column = _write(cells, column, text, style)
        elif text:
            pieces.append((text, style))
        if match["final"] == "m":
            style = _apply(style, match["parameters"])
        elif match["final"] == "K" and overwritten:
            _erase(cells, column, match["parameters"])
        elif match["link"] is not None:
            link = match["link"] if _LINK.fullmatch(match["link"]) else ""
            style = msgspec.structs.replace(style, link=link)
    if overwritten:
        _write(cells, column, line[place:], style)
        pieces = _joined(cells)
    elif place < len(line):
        pieces.append((line[place:], style))
    return "".join(_span(text, each) for text, each in pieces), style


def _write(cells: list[tuple[str, Style]], column: int, text: str, style: Style) -> int:
    """Write text at a column as a terminal does, and return the column after it."""
    for character in text:
        if character == "\r":
            column = 0
        elif character == "\b":
            column = max(0, column - 1)
        else:
            if column < len(cells):
                cells[column] = (character, style)
            else:
                cells.append((character, style))
            column += 1
    return column


def _erase(cells: list[tuple[str, Style]], column: int, parameters: str) -> None:
    if parameters in ("", "0"):
        del cells[column:]
    elif parameters == "1":
        cells[: column + 1] = [(" ", _PLAIN)] * min(column + 1, len(cells))
    elif parameters == "2":
        cells[:] = [(" ", _PLAIN)] * column


def _joined(cells: list[tuple[str, Style]]) -> list[tuple[str, Style]]:
    pieces: list[tuple[list[str], Style]] = []
    for character, style in cells:
        if pieces and pieces[-1][1] == style:
            pieces[-1][0].append(character)
        else:
            pieces.append(([character], style))
    return [("".join(characters), style) for characters, style in pieces]


def _span(text: str, style: Style) -> str:
    if not text:
        return ""
    if _HIDDEN.search(text):
        text = text.translate(_CONTROL)
    html = escape(text, quote=False)
    names = _classes(style)
    if style.link:
        attributes = f' class="{names}"' if names else ""
        target = escape(style.link)
        return f'<a href="{target}" rel="noopener noreferrer nofollow"{attributes}>{html}</a>'
    return f'<span class="{names}">{html}</span>' if names else html


@lru_cache(maxsize=4096)
def _classes(style: Style) -> str:
    names = sorted(style.marks - {"reverse"})
    front, back = style.front, style.back
    if "reverse" in style.marks:
        front, back = back or "paper", front or "ink"
    if front is not None:
        names.append(f"f-{front}")
    if back is not None:
        names.append(f"b-{back}")
    return " ".join(names)


@lru_cache(maxsize=4096)
def _apply(style: Style, parameters: str) -> Style:
    """Return the style after `ESC [ parameters m`."""
    parameters = _COLOR_SPACE.sub(r"\1:", parameters)
    numbers = [int(word[:6] or 0) for word in re.split("[;:]", parameters)]
    front, back, marks = style.front, style.back, set(style.marks)
    while numbers:
        code = numbers.pop(0)
        if code == 0:
            front = back = None
            marks.clear()
        elif code in _STYLES:
            marks.add(_STYLES[code])
        elif code in _ENDS:
            marks.difference_update(_ENDS[code])
        elif code in (38, 48):
            color = _extended(numbers)
            front, back = (color or front, back) if code == 38 else (front, color or back)
        elif code == 39:
            front = None
        elif code == 49:
            back = None
        elif 30 <= code <= 37 or 90 <= code <= 97:
            front = str(code - 30 if code < 90 else code - 82)
        elif 40 <= code <= 47 or 100 <= code <= 107:
            back = str(code - 40 if code < 100 else code - 92)
    return Style(front, back, frozenset(marks), style.link)


def _extended(numbers: list[int]) -> str | None:
    """Take a color of the form `5;N` or `2;R;G;B` off `numbers`."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 5 and numbers:
        number = numbers.pop(0)
        return (str(number) if number < 16 else _indexed(number)) if number < 256 else None
    if kind == 2 and len(numbers) >= 3:
        channels = [numbers.pop(0) for _ in range(3)]
        return "x" + "".join(f"{min(channel, 255) >> 4:x}" for channel in channels)
    numbers.clear()  # who knows what the rest means
    return None


def _indexed(number: int) -> str:
    """Return a color of the cube or of the gray ramp of 256 colors."""
    if number >= 232:
        return f"x{(8 + 10 * (number - 232)) >> 4:x}" + f"{(8 + 10 * (number - 232)) >> 4:x}" * 2
    number -= 16
    levels = (0, 95, 135, 175, 215, 255)
    return "x" + "".join(f"{levels[each] >> 4:x}" for each in (number // 36, number // 6 % 6, number % 6))


def color_rules() -> str:
    """Return the style sheet of all colors beyond the first sixteen. It never changes."""
    colors = [f"{number:03x}" for number in range(4096)]
    return "".join(f".f-x{color}{{color:#{color}}}.b-x{color}{{background:#{color}}}" for color in colors)
