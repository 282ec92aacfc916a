"""The terminal: input that costs nothing while nobody types, output that never holds up the watch.

Layer: tui.

Textual's own driver (8.2) looks for input ten times a second, and blocks its caller when the terminal takes
no more output. On Ctrl-Z it stops only this process, not `git` above it, so that the shell waits for ever.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from codecs import getincrementaldecoder
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, cast

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.app import App

_INCOMPLETE_S = 0.05
_CHUNK = 4096
_CLOSE_S = 2.0
_Selector = selectors.PollSelector if sys.platform == "linux" else selectors.SelectSelector


class Terminal(LinuxDriver):
    """Reads keys from standard input and draws on standard output."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        before = signal.getsignal(signal.SIGTSTP)
        self._others_stop = getattr(before, "__name__", "") == "_sighandler_noop"  # the loop has a handler
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._has_input = self.input_tty or self._open_keyboard()
        self._screen = _Screen(sys.__stdout__)
        self._file = cast("Any", self._screen)
        self._wake: tuple[int, int] | None = None
        self._active = False
        self._title = ""

    def _open_keyboard(self) -> bool:
        """Read keys from the terminal itself where standard input is something else; tell if there is one."""
        try:
            self.fileno = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return False
        self.input_tty = True
        return True

    def _get_terminal_size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._screen.fileno())
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    @property
    def is_behind(self) -> bool:
        """Whether the terminal has not yet taken what was drawn last."""
        writer = self._writer_thread
        return writer is not None and writer._queue.qsize() > 1

    def start_application_mode(self) -> None:
        """Take the terminal."""
        self._wake = os.pipe()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._active = self._writer_thread is not None  # not when we are in the background
        if self._writer_thread is not None:
            self._writer_thread._queue.maxsize = 0
            self.write("\x1b[22;2t")
            title, self._title = self._title, ""
            self.set_title(title)

    def write(self, data: str) -> None:
        """Pass output on; what comes while the terminal is not ours is lost."""
        if self._writer_thread is not None:
            self._writer_thread.write(data)

    def set_title(self, title: str) -> None:
        """Name the window or tab."""
        if self.input_tty and title != self._title:
            self.write(f"\x1b]2;{title}\x1b\\")
        self._title = title

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        if self._active:
            self._active = False
            self.write("\x1b[23;2t")
            super().stop_application_mode()

    def disable_input(self) -> None:
        """End the thread that reads."""
        if self._wake is not None:
            os.write(self._wake[1], b".")
        super().disable_input()
        if self._wake is not None:
            for handle in self._wake:
                os.close(handle)
            self._wake = None

    def close(self) -> None:
        """Wait until all is written, but not for a terminal that takes nothing."""
        writer = self._writer_thread
        if writer is not None:
            self._writer_thread = None
            writer._queue.put(None)
            writer.join(_CLOSE_S)

    def _enable_mouse_support(self) -> None:
        """Ask for clicks and the wheel; Textual also asks for each movement."""
        if self._mouse:
            self.write("\x1b[?1000h\x1b[?1006h")

    def _disable_mouse_support(self) -> None:
        if self._mouse:
            self.write("\x1b[?1006l\x1b[?1000l")

    def _enable_mouse_pixels(self) -> None:
        """Cells are enough."""

    def _sigtstp_application(self, *_: object) -> None:
        """Give the terminal back, and stop, unless the loop has a handler that does so."""
        if self._active:
            self._pause()
        if not self._others_stop:
            os.kill(os.getpid(), signal.SIGSTOP)

    def _sigcont_application(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Take the terminal again, also when something else stopped us."""
        if self._active:
            self._pause()
        self.start_application_mode()
        self._loop.call_soon(self._app.redraw)  # type: ignore[attr-defined]

    def suspend(self) -> None:
        """Stop as Ctrl-Z does: all of the foreground job, which is what the shell waits for."""
        self._pause()  # first, as the shell takes the terminal as soon as the others have stopped
        os.kill(0, signal.SIGTSTP)

    def _pause(self) -> None:
        self.stop_application_mode()
        self.close()

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except Exception as error:
            self._loop.call_soon_threadsafe(self._app._handle_exception, error)

    def run_input_thread(self) -> None:
        """Pass on what is typed. Wakes up for input, the end, and while an escape sequence is incomplete."""
        assert self._wake is not None
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        with _Selector() as selector:
            if self._has_input:
                selector.register(self.fileno, selectors.EVENT_READ)
            selector.register(self._wake[0], selectors.EVENT_READ)
            while not self.exit_event.is_set():
                ready = selector.select(None if parser._timeout_time is None else _INCOMPLETE_S)
                if any(key.fd == self.fileno for key, _ in ready) and not self._read(parser, decode):
                    break
                for event in parser.tick():
                    self.process_message(event)
        try:
            for _ in parser.feed(""):
                pass
        except (EOFError, ParseError):
            pass

    def _read(self, parser: XTermParser, decode: Any) -> bool:  # noqa: ANN401
        try:
            data = os.read(self.fileno, _CHUNK)
        except OSError:
            data = b""
        if not data:  # the terminal is gone
            self._loop.call_soon_threadsafe(self._app.hang_up)  # type: ignore[attr-defined]
            return False
        for event in parser.feed(decode(data)):
            self.process_message(event)
        return True


class _Screen:
    """A terminal that may be gone: what is written there is then lost, and nothing else."""

    def __init__(self, stream: TextIO | None) -> None:
        self._handle = stream.fileno() if stream is not None else 1
        self._pending: list[str] = []

    def write(self, text: str) -> int:
        self._pending.append(text)
        return len(text)

    def flush(self) -> None:
        data = memoryview("".join(self._pending).encode(errors="replace"))
        self._pending.clear()
        try:
            while data:
                data = data[os.write(self._handle, data) :]
        except OSError:
            pass

    def fileno(self) -> int:
        return self._handle

    def isatty(self) -> bool:
        return True
