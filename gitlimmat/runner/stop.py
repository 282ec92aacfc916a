"""How the rest of the program tells running jobs to end.

Layer: runner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """A request to end jobs, first politely. Shared by as many jobs as should end together.

    To be used in the thread of the event loop only. A job that is run with a stop already made does not
    start.
    """

    def __init__(self) -> None:
        self._cancelled = False
        self._killed = False
        self._listeners: dict[object, Callable[[], None]] = {}

    @property
    def cancelled(self) -> bool:
        """Whether jobs have been asked to end, in whatever way."""
        return self._cancelled

    @property
    def killed(self) -> bool:
        """Whether jobs have been told to end at once."""
        return self._killed

    def cancel(self) -> None:
        """Send SIGTERM to the jobs, and SIGKILL when their grace period is over."""
        if not self._cancelled:
            self._cancelled = True
            self._tell()

    def kill(self) -> None:
        """Send SIGKILL to the jobs now, whatever was asked before."""
        if not self._killed:
            self._cancelled = self._killed = True
            self._tell()

    @contextmanager
    def listening(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` at each new request, for as long as the context lasts."""
        token = object()
        self._listeners[token] = listener
        try:
            yield
        finally:
            del self._listeners[token]

    def _tell(self) -> None:
        for listener in tuple(self._listeners.values()):
            listener()
