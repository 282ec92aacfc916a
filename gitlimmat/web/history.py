"""The history of a test as a small chart: how long it took, and how it went.

Layer: web. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gitlimmat.model import duration
from gitlimmat.service.case import Past
from gitlimmat.web.words import LOOKS

HEIGHT = 56
STEP = 14
_LEAST = 2


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One result as a bar of the chart. `x`, `y` and `height` are units of the picture."""

    x: int
    y: int
    height: int
    word: str
    glyph: str
    title: str
    commit: str
    is_here: bool


def bars(past: Sequence[Past], commit: str) -> list[Bar]:
    """Return a bar for each result, the oldest first; the longest one is as high as the chart."""
    longest = max((each.result.elapsed for each in past), default=0.0) or 1.0
    found = []
    for index, each in enumerate(reversed(past)):
        result = each.result
        height = max(_LEAST, round(HEIGHT * result.elapsed / longest))
        look = LOOKS[result.outcome]
        told = f" ({result.reason})" if result.reason else ""
        found.append(
            Bar(
                x=index * STEP,
                y=HEIGHT - height,
                height=height,
                word=look.word,
                glyph=look.glyph,
                title=f"{each.commit[:10]}: {look.word}{told}, {duration(result.elapsed)}",
                commit=each.commit,
                is_here=each.commit == commit,
            )
        )
    return found
