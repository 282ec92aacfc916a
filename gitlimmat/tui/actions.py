"""What the keys do.

Layer: tui.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import events

from gitlimmat.errors import LimmatError
from gitlimmat.tui.browser import open_page
from gitlimmat.tui.facts import short
from gitlimmat.tui.output import Output

if TYPE_CHECKING:
    from gitlimmat.service.board import Control, Place
    from gitlimmat.tui.app import WatchApp


class Actions:
    """Acts for the program: `do_<action>` is called for the action of a key."""

    def __init__(self, app: WatchApp) -> None:
        self._app = app

    def act(self, action: str) -> None:
        """Do one action."""
        if self._app.help.is_shown and action in _HELP_SCROLLS:
            self._app.help.scroll_by(_HELP_SCROLLS[action])
            return
        if self._app.output.active and action in _OUTPUT_MOVES:
            _OUTPUT_MOVES[action](self._app.output)
            return
        method: Callable[[], None] = getattr(self, f"do_{action}")
        method()

    # Moving.

    def moved(self) -> None:
        """Draw what a move of the cursor changes."""
        self._app.grid.show_column(self._app.view)
        self._app.names.refresh()
        self._app.table.refresh()
        self._app.facts.refresh()
        if self._app.is_open:
            self._show_output()

    def _show_output(self) -> None:
        output, foot = self._app.output, self._app.foot
        output.show(self._app.view.place)
        foot.has_streams = output.has_streams
        foot.refresh()

    def clicked(self, again: bool) -> None:
        """React to a click on the table, or to its wheel."""
        self.activate_output(False)
        if again:
            self.do_open()
        self.moved()

    def do_up(self) -> None:
        self._app.view.move(-1)
        self.moved()

    def do_down(self) -> None:
        self._app.view.move(1)
        self.moved()

    def do_left(self) -> None:
        self._app.view.move_column(-1)
        self.moved()

    def do_right(self) -> None:
        self._app.view.move_column(1)
        self.moved()

    def do_page_up(self) -> None:
        self._app.view.move(1 - self._app.view.height)
        self.moved()

    def do_page_down(self) -> None:
        self._app.view.move(self._app.view.height - 1)
        self.moved()

    def do_first(self) -> None:
        self._app.view.go(0)
        self.moved()

    def do_last(self) -> None:
        self._app.view.go(len(self._app.view.rows) - 1)
        self.moved()

    def do_next_board(self, step: int = 1) -> None:
        self._app.switch(
            self._app.views[(self._app.views.index(self._app.view) + step) % len(self._app.views)]
        )

    def do_previous_board(self) -> None:
        self.do_next_board(-1)

    # Output.

    def do_open(self) -> None:
        if self._app.view.place is None:
            return
        self.activate_output(not (self._app.is_open and self._app.output.active))
        if not self._app.is_open:
            self._app.is_open = True
            self._app.arrange()
        self._show_output()
        self._app.output.refresh()

    def do_close(self) -> None:
        if self._app.help.is_shown:
            self.do_help()
        elif self._app.is_open:
            self._app.is_open = False
            self.activate_output(False)
            self._app.output.show(None)
            self._app.arrange()
        elif self._app.view.text:
            self.show_only("")

    def do_follow(self) -> None:
        running = self._app.view.board.running()
        if self._app.output.active and (self._app.output.place in running or not running):
            self._app.output.toggle_following()
            return
        if self._app.view.place not in running:
            shown = [each for each in running if self._app.view.row_of(each.commit) is not None]
            if not shown:
                self.notify_user("nothing that is shown is running" if running else "nothing is running")
                return
            self._app.view.go_to(shown[0])
        self._app.is_open = True
        self.activate_output()
        self._app.arrange()
        self.moved()
        self._app.output.scroll_far(end=True)

    def do_stream(self) -> None:
        if self._app.is_open:
            self._app.output.next_stream()

    def do_wrap(self) -> None:
        if self._app.is_open:
            self._app.output.toggle_wrap()

    def activate_output(self, active: bool = True) -> None:
        """Give the keys to the output, or to the table."""
        output, foot = self._app.output, self._app.foot
        output.active = foot.in_pane = active
        output.repaint_line(0)
        foot.refresh()

    # Asking the engine.

    def _ask(self, word: str, what: Callable[[Control, Place], None], *, whole: bool = False) -> None:
        view = self._app.view
        control, place = view.board.control, view.place
        if control is None or place is None:
            self.notify_user("this can only be looked at")
            return
        try:
            what(control, place)
        except LimmatError as error:
            self.notify_user(str(error))
        else:
            name = "all that did not pass" if whole else place.test
            self.notify_user(f"{word} {name} on {short(view.board, place.commit)}")

    def do_rerun(self) -> None:
        self._ask("rerun", lambda control, place: control.rerun(place.commit, place.test))

    def do_rerun_all(self) -> None:
        self._ask("rerun", lambda control, place: control.rerun(place.commit, None), whole=True)

    def do_cancel(self) -> None:
        self._ask("cancel", lambda control, place: control.cancel(place.commit, place.test))

    def do_stop(self) -> None:
        self._app.stops += 1
        self._app.host.stop()
        self._app.hear_host()

    # Showing less.

    def do_hide_passed(self) -> None:
        self._app.view.open_only = not self._app.view.open_only
        self._app.view.rebuild(keep=True)
        self._app.arrange()
        self.notify_user(
            "not showing commits on which all passed" if self._app.view.open_only else "showing all commits"
        )

    def show_only(self, text: str) -> None:
        """Show only what a filter says."""
        self._app.view.text = text
        self._app.view.rebuild(keep=True)
        self._app.arrange()

    def do_search(self) -> None:
        self._type("/")

    def do_filter(self) -> None:
        self._type("&", self._app.view.text)

    def do_next(self, *, forward: bool = True) -> None:
        if not self._app.view.found:
            self._type("/")
        elif not self._app.view.search(self._app.view.found, forward=forward):
            self.notify_user(f"not found: {self._app.view.found}")
        self.moved()

    def do_previous(self) -> None:
        self.do_next(forward=False)

    def _type(self, sign: str, text: str = "") -> None:
        self._app.foot.typed = (sign, text)
        self._app.foot.notice = ""
        self._app.foot.refresh()

    def type_text(self, text: str) -> None:
        """Add to what is being typed."""
        if self._app.foot.typed is not None:
            sign, before = self._app.foot.typed
            self._typed(sign, before + "".join(c for c in text if c.isprintable()))

    def type_key(self, event: events.Key) -> None:
        """Take a key of what is being typed."""
        assert self._app.foot.typed is not None
        sign, text = self._app.foot.typed
        if event.key == "enter":
            self._app.foot.typed = None
            if sign == "/" and text and not self._app.view.search(text, stay=True):
                self.notify_user(f"not found: {text}")
            self.moved()
        elif event.key == "escape" or (event.key == "backspace" and not text):
            self._app.foot.typed = None
            if sign == "&":
                self.show_only("")
        elif event.key == "backspace":
            self._typed(sign, text[:-1])
        elif event.key == "ctrl+u":
            self._typed(sign, "")
        elif event.character is not None and event.is_printable:
            self._typed(sign, text + event.character)
        self._app.foot.refresh()

    def _typed(self, sign: str, text: str) -> None:
        self._app.foot.typed = (sign, text)
        if sign == "&":
            self.show_only(text)
        elif text:
            self._app.view.found = text
            self._app.view.search(text, stay=True)
            self.moved()
        self._app.foot.refresh()

    # The rest.

    def notify_user(self, text: str, link: str = "") -> None:
        """Say something until the next key."""
        self._app.foot.notice, self._app.foot.notice_link = text, link
        self._app.foot.refresh()

    def do_copy(self) -> None:
        if self._app.view.commit is not None:
            self._app.copy_to_clipboard(self._app.view.commit.id)
            self.notify_user(f"copied {self._app.view.commit.id}")

    def do_page(self) -> None:
        place = self._app.view.place
        if self._app.links is None or place is None:
            return
        url = self._app.links.url_of(self._app.view.board, place.commit, place.test)
        self._app.run_worker(self._open(url), group="browser")

    async def _open(self, url: str) -> None:
        opened = await open_page(url)
        self.notify_user(f"opened {url}" if opened else url, url)

    def do_help(self) -> None:
        self._app.help.is_shown = not self._app.help.is_shown
        self._app.arrange()

    def do_redraw(self) -> None:
        self._app.redraw()

    def do_suspend(self) -> None:
        if self._app.driver is not None:
            self._app.driver.suspend()


_HELP_SCROLLS = {"up": -1, "down": 1, "page_up": -10, "page_down": 10, "first": -999, "last": 999}
_OUTPUT_MOVES: dict[str, Callable[[Output], None]] = {
    "up": lambda output: output.scroll_by(-1),
    "down": lambda output: output.scroll_by(1),
    "left": lambda output: output.shift_by(-1),
    "right": lambda output: output.shift_by(1),
    "page_up": lambda output: output.scroll_page(-1),
    "page_down": lambda output: output.scroll_page(1),
    "first": lambda output: output.scroll_far(end=False),
    "last": lambda output: output.scroll_far(end=True),
}
