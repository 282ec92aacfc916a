"""Deadlines that wait for us while we are stopped.

Layer: runner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_STEP_S = 1.0
_LATE_S = 0.5
_NEAR_S = 0.05


class Deadline:
    """Calls `action` once, after `seconds` in which this program could run.

    The time is counted in steps of a second at most. CLOCK_MONOTONIC stands still while the machine is
    suspended, but not while we are stopped (SIGSTOP, Ctrl-Z): a step that took much longer than it
    should counts as half, because nobody knows when in it the stop came. So a deadline is not due at the
    very moment we wake up, before the exits of that time have been seen.

    Units: seconds of the event loop's clock.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, action: Callable[[], None]) -> None:
        self._loop = loop
        self._left = seconds
        self._action = action
        self._begin()

    def cancel(self) -> None:
        """Forget about it; harmless when it is over."""
        self._timer.cancel()

    def _begin(self) -> None:
        self._since = self._loop.time()
        self._step = min(self._left, _STEP_S)
        self._timer = self._loop.call_later(self._step, self._tick)

    def _tick(self) -> None:
        late = self._loop.time() - self._since > self._step + _LATE_S
        self._left -= self._step / 2 if late else self._step
        if self._left > (_NEAR_S if late else 0):
            self._begin()
        else:
            self._action()
