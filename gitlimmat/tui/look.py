"""Colors and glyphs of the full-screen view.

Layer: tui.

Only the 16 colors of the terminal and its own background are used, so that it reads well on light and dark.
Every state has a glyph of its own: nothing is said by color alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec
from rich.cells import set_cell_size
from rich.errors import StyleSyntaxError
from rich.style import Style

from gitlimmat.service.signs import signs
from gitlimmat.tui.text import Line

_DEFAULTS = {
    "passed": "green",
    "failed": "bold red",
    "errored": "bold magenta",
    "skipped": "cyan",
    "cancelled": "yellow",
    "running": "bold blue",
    "waiting": "dim",
    "unknown": "dim",
    "hash": "yellow",
    "refs": "bold cyan",
    "subject": "",
    "problem": "bold red",
}


class Look(msgspec.Struct, dict=True, kw_only=True):
    """How things look. `styles` maps slots to rich style strings; a slot that is missing has its default.

    Slots: the outcomes, `running`, `waiting`, `unknown`, `hash`, `refs`, `subject`, `problem`.
    """

    glyphs: str = "unicode"
    colored: bool = True
    styles: Mapping[str, str] = {}

    def style(self, slot: str) -> Style:
        """Return the style of a slot."""
        return self._styles[slot]

    def glyph(self, slot: str) -> str:
        """Return the sign of an outcome or state, filled to the width of a sign."""
        return self._signs[slot]

    @property
    def sign_width(self) -> int:
        """How many columns a sign takes."""
        return 2 if self.glyphs == "emoji" else 1

    def mark(self, fancy: str, plain: str) -> str:
        """Return a sign that is not in ASCII, or what stands for it there."""
        return plain if self.glyphs == "ascii" else fancy

    def line(self, width: int) -> Line:
        """Return an empty line."""
        return Line(width, more=self.mark("…", "~"))

    @cached_property
    def _signs(self) -> dict[str, str]:
        return {slot: set_cell_size(sign, self.sign_width) for slot, sign in signs(self.glyphs).items()}

    @cached_property
    def _styles(self) -> dict[str, Style]:
        return {slot: self._parse(self.styles.get(slot, text), text) for slot, text in _DEFAULTS.items()}

    def _parse(self, text: str, default: str) -> Style:
        try:
            style = Style.parse(text)
        except StyleSyntaxError:
            style = Style.parse(default)
        return style if self.colored else style.without_color
