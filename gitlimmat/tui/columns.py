"""Where the cells of a row stand, and what there is room for in each.

Layer: tui. Pure: widths follow from the names of the tests and the size of the terminal, never from what
the cells say, so that nothing jumps while a watch runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import takewhile

import msgspec
from rich.cells import cell_len

_MOST_HEADER_LINES = 3
_GAP = 2
_SUBJECT_LEAST = 24
_SUBJECT_ENOUGH = 50


class Detail(IntEnum):
    """How much a cell says: its sign, the time, the word, or the word and the time."""

    SIGN = 0
    TIME = 1
    WORD = 2
    ALL = 3


_EXTRA = {Detail.SIGN: 0, Detail.TIME: 6, Detail.WORD: 10, Detail.ALL: 16}


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of `count` neighboring tests. `starts` and `widths` are relative to the first cell.

    The names of the tests stand on `header` lines, the first name on the first line, the second on the
    second, and so on again: each then has the room of `header` cells. `room` is that room in columns.
    """

    detail: Detail
    count: int
    header: int
    starts: tuple[int, ...]
    widths: tuple[int, ...]
    room: tuple[int, ...]
    total: int


def lay_out(names: Sequence[str], width: int, sign: int) -> Columns:
    """Return the columns for tests called `names` when a line has `width` columns for cells and subject.

    `sign` is how many columns a sign takes. When not all tests fit, as many as fit are shown.
    """
    if not names:
        return _columns(Detail.SIGN, (), 1, ())
    sizes = [cell_len(name) for name in names]
    for detail in reversed(Detail):
        least = sign + _EXTRA[detail]
        widths = tuple(max(least, size) + _GAP for size in sizes)
        if sum(widths) <= _available(width, detail):
            return _columns(detail, widths, 1, sizes)
    for detail in reversed(Detail):
        cell = _available(width, detail) // len(names)
        if cell < sign + _EXTRA[detail] + 1:
            continue
        cell = min(cell, sign + _EXTRA[detail] + _GAP + 2)
        lines = next((n for n in range(1, _MOST_HEADER_LINES) if max(sizes) < cell * n), _MOST_HEADER_LINES)
        return _columns(detail, (cell,) * len(names), min(lines, len(names)), sizes)
    cell = sign + 1
    count = max(min(_available(width, Detail.SIGN) // cell, len(names)), 1)
    return _columns(Detail.SIGN, (cell,) * count, min(_MOST_HEADER_LINES, count), sizes)


def abbreviate(names: Sequence[str], room: Sequence[int]) -> list[str]:
    """Return names without a beginning that all share if they would look the same when cut to `room`."""
    if all(cell_len(name) <= space for name, space in zip(names, room, strict=False)):
        return list(names)
    cut = [name[: max(space - 1, 1)] for name, space in zip(names, room, strict=False)]
    shared = sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*names, strict=False)))
    if shared < 3 or len(set(cut)) == len(cut):
        return list(names)
    return [name[shared:] or name for name in names]


def _available(width: int, detail: Detail) -> int:
    """Return how much of a line cells may take; more words must leave more for the subject."""
    share = 2 if detail is Detail.SIGN else 3
    return max(width - max(_SUBJECT_LEAST, min(width * share // 5, _SUBJECT_ENOUGH)), 3)


def _columns(detail: Detail, widths: Sequence[int], header: int, sizes: Sequence[int]) -> Columns:
    starts = [sum(widths[:index]) for index in range(len(widths))]
    total = sum(widths)
    room = [
        (starts[index + header] if index + header < len(starts) else max(total, start + sizes[index] + 1))
        - start
        - 1
        for index, start in enumerate(starts)
    ]
    return Columns(
        detail=detail,
        count=len(widths),
        header=header,
        starts=tuple(starts),
        widths=tuple(widths),
        room=tuple(room),
        total=total,
    )
