"""A clock that goes on evenly while runs are open, whatever happens to the one on the wall.

Layer: service.
"""

from __future__ import annotations

import time


class SteadyClock:
    """Seconds since the epoch as they were when it was set, going on by the monotonic clock.

    Deadlines are told by it: whoever sets the time of the machine ends no run with that. Nor does the time
    count in which no daemon was at work.
    """

    def __init__(self) -> None:
        self.set()

    def set(self, at: float | None = None) -> None:
        """Go on from `at`, by default from the time on the wall."""
        self._offset = (time.time() if at is None else at) - time.monotonic()

    def now(self) -> float:
        """Return the time."""
        return time.monotonic() + self._offset
