"""Run something in an event loop of its own, stoppable by signals.

Layer: service. Owns `asyncio.run`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

from gitlimmat.errors import LimmatError
from gitlimmat.service.events import Event
from gitlimmat.service.project import Project
from gitlimmat.service.run import Run, RunRequest, Summary

T = TypeVar("T")
_SAME_MOMENT_S = 0.1
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_to_end(project: Project, request: RunRequest, listen: Callable[[Event], None]) -> Summary:
    """Execute `request`; the first signal stops it cleanly, the second kills its jobs."""

    async def work() -> Summary:
        run = Run(project, request, listen)
        with_signals(run.stop, run.suspend)
        return await run.execute()

    return run_loop(work())


def dry_run(project: Project, request: RunRequest, listen: Callable[[Event], None]) -> Summary:
    """Tell what `request` would find known, without running or storing anything."""
    return Run(project, request, listen).preview()


def with_signals(stop: Callable[[], None], suspend: Callable[[], None] | None = None) -> None:
    """Call `stop` in the running loop for each SIGINT, SIGTERM or SIGHUP, and `suspend` for SIGTSTP.

    A terminal sends Ctrl-C to git and to us, and git passes it on: what comes twice in one moment is one.
    """
    loop = asyncio.get_running_loop()
    last = -_SAME_MOMENT_S

    def on_signal() -> None:
        nonlocal last
        if loop.time() - last >= _SAME_MOMENT_S:
            last = loop.time()
            stop()

    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup(1) wants it
            loop.add_signal_handler(number, on_signal)
    if suspend is not None and signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGTSTP, suspend)


def run_loop(work: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end in a loop of its own.

    Raises: what it raises; of a group of errors that all are for the user or from the system, the first.
    """
    try:
        return asyncio.run(work)
    except BaseExceptionGroup as group:
        error = _first_expected(group)
        if error is None:
            raise
        raise error from group


def _first_expected(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the first error of a group that has only errors `cli.main` knows how to tell."""
    expected, rest = group.split((LimmatError, OSError))
    if rest is not None:
        return None
    error: BaseException | None = expected
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
