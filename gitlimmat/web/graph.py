"""The graph of a range as a picture for each row, from the art of `git log --graph`.

Layer: web. Pure.

Pictures of rows join, because each is as high as its row, whatever that is: lines are stretched, and their
width and the dots are not.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gitlimmat.git.graph import GraphLine

_COLUMN = 8  # units of width; a row is 100 units high
_DOWN = {"*": 0, "|": 0, "\\": -1, "/": 1}  # from which column of the row above a character is reached
_UP = {"*": 0, "|": 0, "\\": 1, "/": -1}  # and from which of the row below


def is_drawn(lines: Sequence[GraphLine]) -> bool:
    """Whether the graph has anything to tell: one line of commits under each other has not."""
    return any(line.commit is None or line.art.strip() not in ("*", "") for line in lines)


def draw(above: str, art: str, below: str) -> Markup:
    """Return the picture of one row, given the art of the rows around it."""
    art = art.rstrip()
    width = _COLUMN * max(len(art), 1)
    lines = "".join(_stroke(art, column, above, below) for column in range(len(art)))
    dots = "".join(
        f'<path class="dot" d="M{_x(column)} 50h0"/>' for column, each in enumerate(art) if each == "*"
    )
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {width} 100" width="{width}" preserveAspectRatio="none">'
        f'<path d="{lines}"/>{dots}</svg>'
    )


def _stroke(art: str, column: int, above: str, below: str) -> str:
    """Return the path of one character."""
    x = _x(column)
    match art[column]:
        case "|":
            return f"M{x} 0V100"
        case "\\":
            return f"M{x - _COLUMN} 0L{x + _COLUMN} 100"
        case "/":
            return f"M{x + _COLUMN} 0L{x - _COLUMN} 100"
        case "_":
            return f"M{x - _COLUMN} 100H{x + _COLUMN}"
        case "-":
            return f"M{x - _COLUMN} 50H{x + _COLUMN}"
        case ".":
            return f"M{x - _COLUMN} 50L{x + _COLUMN} 100"
        case "*":
            up = f"M{x} 0V50" if _reaches(above, column, _UP) else ""
            return up + (f"M{x} 50V100" if _reaches(below, column, _DOWN) else "")
    return ""


def _reaches(art: str, column: int, sides: dict[str, int]) -> bool:
    """Whether a line in a neighboring row leads to the edge of this one at `column`."""
    return any(0 <= column - side < len(art) and art[column - side] == each for each, side in sides.items())


def _x(column: int) -> int:
    return column * _COLUMN + _COLUMN // 2
