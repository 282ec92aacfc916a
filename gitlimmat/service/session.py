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
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_to_end(project: Project, request: RunRequest, listen: Callable[[Event], None]) -> Summary:
    """Execute `request`; the first signal stops it cleanly, the second kills its jobs."""

    async def work() -> Summary:
        run = Run(project, request, listen)
        with_signals(run.stop)
        return await run.execute()

    return run_loop(work())


def dry_run(project: Project, request: RunRequest, listen: Callable[[Event], None]) -> Summary:
    """Tell what `request` would find known, without running or storing anything."""
    return Run(project, request, listen).preview()


def with_signals(stop: Callable[[], None]) -> None:
    """Call `stop` in the running loop for each SIGINT, SIGTERM or SIGHUP."""
    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, stop)


def run_loop(work: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end in a loop of its own.

    Raises: what it raises; of a group of errors that all are for the user, the first.
    """
    try:
        return asyncio.run(work)
    except BaseExceptionGroup as group:
        error = _only_user_errors(group)
        if error is None:
            raise
        raise error from group


def _only_user_errors(group: BaseExceptionGroup[BaseException]) -> LimmatError | None:
    first, rest = group.split(LimmatError)
    if rest is not None:
        return None
    error: BaseException | None = first
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, LimmatError) else None
