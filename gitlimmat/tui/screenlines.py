"""A part of the screen that draws its lines itself.

Layer: tui.
"""

from __future__ import annotations

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Lines(Widget):
    """A widget that is asked for one line at a time, and repaints single lines."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Lines {
        height: 1;
        width: 1fr;
        background: ansi_default;
        color: ansi_default;
    }
    """

    def line(self, y: int, width: int) -> Strip:
        """Return line `y` of the widget, exactly `width` columns wide."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """Return what Textual asks for."""
        return self.line(y, self.size.width)

    def repaint_line(self, y: int) -> None:
        """Draw one line anew."""
        self.refresh(Region(0, y, self.size.width, 1))

    def set_height(self, height: int) -> None:
        """Take so many lines of the screen; none hides it."""
        if self.styles.height is None or self.styles.height.value != height or self.display != (height > 0):
            self.display = height > 0
            self.styles.height = height
