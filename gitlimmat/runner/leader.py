"""A job that runs: its first process, from the start to the reaping.

Layer: runner. Starting is in `spawn`, what the other processes of the job do is in `strays`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import msgspec

from gitlimmat.runner.job import JobEnd
from gitlimmat.runner.processes import TICKS_A_SECOND


class Birth(msgspec.Struct, frozen=True):
    """The moment just before a job was started, on three clocks.

    Units: `epoch` and `monotonic` are seconds, `ticks` as in `processes`.
    """

    epoch: float
    monotonic: float
    ticks: int

    @classmethod
    def now(cls) -> Birth:
        """Return this moment."""
        boottime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return cls(time.time(), time.monotonic(), int(time.clock_gettime(boottime) * TICKS_A_SECOND))


class Leader:
    """The first process of a job, leader of its group, with all that happened to it.

    While it is not reaped its pid, and so its group's number, cannot be given to anyone else: signalling
    the group is safe.
    Units: `began`, `asked_at` and `ended_at` are monotonic seconds.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, mark: str, birth: Birth, grace_s: float) -> None:
        self.pid = process.pid
        self.mark = mark.encode()
        self.ticks = birth.ticks
        self.started = birth.epoch
        self.began = birth.monotonic
        self.grace_s = grace_s
        self.asked_at: float | None = None
        self.ended_at: float | None = None
        self.cancelled = False
        self.timed_out = False
        self.killed = False
        self.told: set[tuple[int, int]] = set()  # pid and start of what has had a SIGTERM from us
        self.ended = asyncio.Event()
        self._process = process
        self._status: int | None = None
        self._reaped = False
        self._unwatch: Callable[[], None] = _nothing

    @property
    def stopping(self) -> bool:
        """Whether we have asked it to end."""
        return self.cancelled or self.timed_out or self.killed

    def grace_left(self) -> float:
        """Return the rest of the time that its processes have to end by themselves."""
        asked_at = time.monotonic() if self.asked_at is None else self.asked_at
        return max(0.0, asked_at + self.grace_s - time.monotonic())

    def watch(self) -> None:
        """Have `ended` set when the process has ended; it stays a zombie until `reap`."""
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, before 5.3, forbidden, or no descriptors left
            threading.Thread(target=self._wait_in_thread, args=(loop,), daemon=True).start()
            return

        def unwatch() -> None:
            loop.remove_reader(fd)
            os.close(fd)
            self._unwatch = _nothing

        self._unwatch = unwatch
        loop.add_reader(fd, self._has_ended)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        if self._reaped:
            return
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def reap(self) -> None:
        """Take the status of the ended process; only from now on may its pid be used again."""
        if self._reaped:
            return
        self._unwatch()
        try:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:  # someone else took it: not knowing must never look like success
            pass
        self._taken()

    def reap_group(self) -> None:
        """Take the statuses of orphans in the group of a reaped leader, if we are their parent."""
        try:
            while os.waitpid(-self.pid, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            pass

    def end(self, strays: int) -> JobEnd:
        """Return what is known, after `reap`."""
        status = self._status
        ended_at = time.monotonic() if self.ended_at is None else self.ended_at
        return JobEnd(
            started=self.started,
            elapsed=ended_at - self.began,
            exit_status=status if status is not None and status >= 0 else None,
            signal=-status if status is not None and status < 0 else None,
            timed_out=self.timed_out,
            cancelled=self.cancelled,
            strays=strays,
        )

    def _has_ended(self) -> None:
        self._unwatch()
        if self.ended_at is None:
            self.ended_at = time.monotonic()
        self.ended.set()

    def _wait_in_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            if hasattr(os, "waitid"):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            else:
                self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                self._taken()
        except ChildProcessError:
            pass
        try:
            loop.call_soon_threadsafe(self._has_ended)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            pass

    def _taken(self) -> None:
        self._reaped = True
        self._process.returncode = -signal.SIGKILL if self._status is None else self._status


def _nothing() -> None:
    return None
