"""Watch one or more repositories, and let surfaces show them, until the user has had enough.

Layer: service.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack

from gitlimmat.runner.host import Host
from gitlimmat.service.board import WARNING, Board, Place
from gitlimmat.service.logfile import Log, guarded
from gitlimmat.service.presence import Presence
from gitlimmat.service.project import Project
from gitlimmat.service.session import run_loop, with_signals
from gitlimmat.service.sharing import Sharing
from gitlimmat.service.watched import Watched, WatchRequest

Surface = Callable[[], Coroutine[object, object, None]]
_WARNED_FOR_S = 600.0


class Watch:
    """Several repositories under watch, which share what this machine has.

    `stopping` is None until the user wants to stop, then what has not ended yet. A surface is run again when
    it fails; one that ends by itself ends nothing else.
    """

    def __init__(
        self,
        projects: Sequence[Project],
        request: WatchRequest,
        *,
        sharing: Sharing,
        log: Log,
    ) -> None:
        self._log = log
        self._watched = [Watched(project, request, sharing=sharing, log=log) for project in projects]
        self.boards: tuple[Board, ...] = tuple(watched.board for watched in self._watched)
        self._listeners: list[Callable[[], None]] = []
        self._signals = 0
        self._host: Host | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._early: list[str] = []
        self._warned: asyncio.TimerHandle | None = None
        sharing.on_release(self._advance)
        for board in self.boards:
            board.subscribe(lambda change: self._tell() if self._signals else None)

    @property
    def stopping(self) -> tuple[tuple[Board, Place], ...] | None:
        """What is still being ended; None while nobody wants to stop."""
        if not self._signals:
            return None
        return tuple(
            (watched.board, Place(case.commit.id, case.test.name))
            for watched in self._watched
            for case in watched.running
        )

    def stop(self) -> None:
        """End all jobs and then the watch; a second call kills them."""
        self._signals += 1
        for watched in self._watched:
            watched.stop()
        self._tell()

    def suspend(self) -> None:
        """Stop the jobs and this program, as Ctrl-Z asks; go on with them when it is continued."""
        if self._host is not None:
            self._host.forward(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            self._host.forward(signal.SIGCONT)

    def warn(self, message: str) -> None:
        """Log a warning and show it on all boards for some minutes. For any thread, at any time."""
        self._log.part("warning").warning("%s", message)
        if self._loop is None:
            self._early.append(message)
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._show_warning, message)

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when `stopping` has changed; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def serve(self, surfaces: dict[str, Surface]) -> None:
        """Watch until stopped. A part that fails again and again ends it with its error."""
        self._loop = asyncio.get_running_loop()
        for message in self._early:
            self._show_warning(message)
        async with Host() as self._host, asyncio.TaskGroup() as tasks:
            shown = [
                tasks.create_task(guarded(name, surface, log=self._log, say=self._sayer(name)))
                for name, surface in surfaces.items()
            ]
            async with asyncio.TaskGroup() as repositories:
                for watched in self._watched:
                    repositories.create_task(watched.serve(self._host))
            for task in shown:
                task.cancel()

    def _show_warning(self, message: str) -> None:
        """Show it until it is no news any more: nobody says when what it is about has passed."""
        say = self._sayer(WARNING)
        say(message)
        if self._warned is not None:
            self._warned.cancel()
        self._warned = asyncio.get_running_loop().call_later(_WARNED_FOR_S, say, None)

    def _sayer(self, part: str) -> Callable[[str | None], None]:
        def say(problem: str | None) -> None:
            for board in self.boards:
                board.say(part, problem)

        return say

    def _advance(self) -> None:
        for watched in self._watched:
            watched.advance()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()


def run_watch(watch: Watch, surfaces: dict[str, Surface], log: Log) -> None:
    """Watch until stopped by a signal or a surface; the first asks jobs to end, the second kills them."""

    # A refresh makes some ten records for each case, none of them garbage: the collector need not look often.
    gc.set_threshold(20_000, 50, 50)

    async def work() -> None:
        with_signals(watch.stop, watch.suspend)
        await watch.serve(surfaces)

    with log.of_libraries(), ExitStack() as shown:
        for board in watch.boards:
            shown.enter_context(Presence(board.project.repository.git_dir).watching())
        try:
            run_loop(work())
        except Exception as error:
            log.report("watch", error)
            raise
