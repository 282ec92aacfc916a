"""The full-screen program: what is on the screen, when it is drawn, and what becomes of an error.

Layer: tui.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from textual import events
from textual.app import App, ComposeResult

from gitlimmat.service.board import Change
from gitlimmat.tui.actions import Actions
from gitlimmat.tui.driver import Terminal
from gitlimmat.tui.facts import stopping_text, window_title
from gitlimmat.tui.frame import Facts, Foot, Header, Problems
from gitlimmat.tui.help import Help
from gitlimmat.tui.host import Host, Links
from gitlimmat.tui.keys import ACTIONS, KEYS, Needs
from gitlimmat.tui.look import Look
from gitlimmat.tui.output import Output
from gitlimmat.tui.table import Grid, Names, Table
from gitlimmat.tui.text import clean
from gitlimmat.tui.view import View

_FRAME_S = 0.05
_BEHIND_S = 0.25
_TICK_S = 1.0
_LEAST_TABLE = 5


class WatchApp(App[None]):
    """Draws boards: what has changed, at most twenty times a second, and nothing while nothing changes."""

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = """
    Screen, App { background: ansi_default; color: ansi_default; layout: vertical; overflow: hidden; }
    """

    def __init__(self, host: Host, links: Links | None, look: Look) -> None:
        super().__init__(driver_class=Terminal, ansi_color=True)
        self.animation_level = "none"
        self._filters = []  # colors are `look`'s business, also where NO_COLOR is set
        self.host, self.links, self.look = host, links, look
        self.views = [View(board) for board in host.boards]
        self.view = self.views[0]
        self.grid = Grid(look)
        self.actions = Actions(self)
        self.header = Header(look, host.boards, self.view, links)
        self.problems = Problems(look, self.view)
        self.names = Names(self.grid, self.view)
        self.table = Table(self.grid, self.view, links, self.actions.clicked)
        self.facts = Facts(look, self.view)
        self.output = Output(look, self.view, self.actions.activate_output)
        self.help = Help(look, links)
        self.foot = Foot(look, self.view)
        self.is_open = False
        self.stops = 0
        self._pending: set[str] = set()
        self._layout = self._touched = False
        self._due: asyncio.TimerHandle | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._drawn = 0.0
        self._ends: list[Callable[[], None]] = []

    # Life.

    def compose(self) -> ComposeResult:
        """Stack the parts."""
        yield from (self.header, self.problems, self.names, self.table)
        yield from (self.help, self.facts, self.output, self.foot)

    def on_mount(self) -> None:
        """Begin to listen."""
        for view in self.views:
            self._ends.append(view.board.subscribe(partial(self._hear, view)))
        self._ends.append(self.host.subscribe(self.hear_host))
        self.arrange()
        self._name_window()
        self.hear_host()

    def on_unmount(self) -> None:
        """Listen no more."""
        for end in self._ends:
            end()
        for handle in (self._due, self._tick):
            if handle is not None:
                handle.cancel()

    def _handle_exception(self, error: Exception) -> None:
        """Keep the first error for `show_live`, which raises it once the terminal is as it was."""
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    @property
    def driver(self) -> Terminal | None:
        """The terminal; None in tests without one."""
        return self._driver if isinstance(self._driver, Terminal) else None

    def hang_up(self) -> None:
        """The terminal is gone: so are we."""
        self.host.stop()

    # What has changed.

    def _hear(self, view: View, change: Change) -> None:
        try:
            self._touched = True
            self._draw_soon()
            if view is not self.view:
                return
            self._layout = self._layout or change.layout or change.problems
            self._pending.update(place.commit for place in change.cells)
        except Exception as error:
            self._handle_exception(error)

    def hear_host(self) -> None:
        """Show what is still being ended; when there is nothing, the watch is over."""
        stopping = self.host.stopping
        if stopping is None:
            return
        if not stopping:
            self.exit()
            return
        several = len(self.host.boards) > 1
        self.foot.stopping = stopping_text(stopping, several=several, killing=self.stops > 1)
        self.foot.refresh()

    def _draw_soon(self) -> None:
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_at(max(loop.time(), self._drawn + _FRAME_S), self._draw)

    def _draw(self) -> None:
        """Draw what has changed since the last time, unless the terminal has not even taken that."""
        self._due = None
        loop = asyncio.get_running_loop()
        try:
            if self.driver is not None and self.driver.is_behind:
                self._due = loop.call_later(_BEHIND_S, self._draw)
                return
            self._drawn = loop.time()
            if self._layout or (not self.view.filter.is_empty and self._pending):
                self._draw_layout()
            elif self._touched:
                for commit in self._pending:
                    self.table.repaint_commit(commit)
                self._draw_facts()
            self._pending.clear()
            self._touched = self._layout = False
            self._tick_soon()
        except Exception as error:
            self._handle_exception(error)

    def _draw_layout(self) -> None:
        changed = self.view.rebuild(keep=self.is_open)
        if changed or self._layout:
            self.arrange()
        else:
            self.table.refresh()
        self._draw_facts()

    def _draw_facts(self) -> None:
        self.header.refresh()
        self._name_window()
        place = self.view.place
        if place is not None and (place.commit in self._pending or self._layout):
            self.facts.refresh()
        if self.is_open:
            self.output.look_again()

    def _name_window(self) -> None:
        if self.driver is not None:
            self.driver.set_title(clean(window_title(self.host.boards)))

    def _tick_soon(self) -> None:
        """Let the clocks of running jobs go on, while there are any."""
        if self._tick is None and self.view.board.counts().running:
            self._tick = asyncio.get_running_loop().call_later(_TICK_S, self._tick_now)

    def _tick_now(self) -> None:
        self._tick = None
        try:
            if self.driver is None or not self.driver.is_behind:
                self.table.repaint_running()
                self.facts.repaint_line(1)
            self._tick_soon()
        except Exception as error:
            self._handle_exception(error)

    # Where things are.

    def arrange(self) -> None:
        """Give each part its place, and draw all anew."""
        width, height = self.size
        self.grid.fit(self.view, width)
        control = self.view.board.control is not None
        have = Needs.CONTROL if control else Needs.NOTHING
        have |= Needs.PAGES if self.links is not None else Needs.NOTHING
        have |= Needs.BOARDS if len(self.views) > 1 else Needs.NOTHING
        self.foot.keys = self.help.keys = [key for key in KEYS if key.needs in have]
        head = self.header.wanted_height(width) if height >= 20 else 1
        problems = self.problems.wanted_height()
        names = self.grid.columns.header if self.view.tests and height >= 10 else 0
        facts = Facts.HEIGHT if height >= 14 else 0
        rest = height - head - problems - names - facts - 1
        output = self._output_height(rest) if self.is_open else 0
        shown = not self.help.is_shown
        self.header.set_height(head)
        self.problems.set_height(problems)
        self.names.set_height(names if shown else 0)
        self.facts.set_height(facts if shown else 0)
        self.output.set_height(output if shown else 0)
        self.table.display = shown
        self.help.display = not shown
        self.view.height = max(rest - output, 1)
        self.view.scroll_to_cursor()
        self.redraw()

    @staticmethod
    def _output_height(rest: int) -> int:
        table = max(rest // 3, _LEAST_TABLE)
        return max(rest - table, rest // 2)

    def redraw(self) -> None:
        """Draw the whole screen anew."""
        self.refresh(layout=True)
        for part in (self.header, self.problems, self.names, self.table, self.facts, self.output, self.foot):
            part.refresh()

    def switch(self, view: View) -> None:
        """Show another board."""
        self.view = view
        for part in (self.header, self.problems, self.names, self.table, self.facts, self.output, self.foot):
            part.view = view
        view.rebuild()
        self._pending.clear()
        self.output.show(view.place if self.is_open else None)
        self.arrange()
        self._tick_soon()

    # What comes in.

    async def on_event(self, event: events.Event) -> None:
        """Take keys and pasted text before any widget; there is nothing to be focused."""
        if isinstance(event, events.Key):
            event.stop()
            self.press(event)
        elif isinstance(event, events.Paste):
            self.actions.type_text(event.text)
        else:
            await super().on_event(event)

    def on_resize(self, event: events.Resize) -> None:
        """Fit everything into the new size."""
        self.call_later(self.arrange)

    def press(self, event: events.Key) -> None:
        """Do what a key is for."""
        if self.foot.typed is not None and event.key != "ctrl+c":
            self.actions.type_key(event)
            return
        if self.foot.notice:
            self.foot.notice = self.foot.notice_link = ""
            self.foot.refresh()
        name = event.character if event.character and event.character.isprintable() else event.key
        action = ACTIONS.get(name or "") or ACTIONS.get(event.key)
        if action is not None:
            self.actions.act(action)
