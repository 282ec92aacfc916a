"""The one place where jobs are started, watched and ended.

Layer: runner.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Callable
from types import TracebackType

from gitlimmat.runner import subreaper
from gitlimmat.runner.deadline import Deadline
from gitlimmat.runner.guardian import Guardian
from gitlimmat.runner.job import JobEnd, JobSpec
from gitlimmat.runner.leader import Birth, Leader
from gitlimmat.runner.processes import Process, usable
from gitlimmat.runner.spawn import SpawnError, spawn
from gitlimmat.runner.stop import Stop
from gitlimmat.runner.strays import Strays, send

__all__ = ["Host", "Stop"]

_STRAY_GRACE_S = 0.5
_GIVE_UP_S = 5.0
_SWEEP_S = 5.0
_POLL_S = (0.001, 0.05)


class Host:
    """Runs jobs, any number at a time, and leaves no process of theirs behind. One for a program.

    Other children of the program must stay in its process group, or have `OWN_MARK` in their environment:
    anything else that hangs below us is taken for a job's and is ended sooner or later.
    """

    def __init__(self) -> None:
        self._name = secrets.token_hex(8)
        self._count = 0
        self._running: dict[int, Leader] = {}
        self._guardian = Guardian(self._name)
        self._strays: Strays | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._zombies: set[int] = set()
        self._null = -1
        self._was_subreaper = False

    async def __aenter__(self) -> Host:
        self._null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._was_subreaper = subreaper.set_subreaper(True)
        subreaper.keep_exit_statuses()
        if usable():
            self._strays = Strays(self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every job that is still there at once, then all other strays, then the guardian."""
        for leader in tuple(self._running.values()):
            leader.killed = True
            leader.signal(signal.SIGKILL)
            await self._finish(leader, None)
        if self._sweep is not None:
            self._sweep.cancel()
        if self._strays is not None:
            if self._count:
                await self._end_rest(self._strays)
            self._strays.close()
        self._guardian.close()
        os.close(self._null)
        subreaper.set_subreaper(self._was_subreaper)

    async def run(self, spec: JobSpec, stop: Stop) -> JobEnd:
        """Run a job to the end of its last process, and return how it went; never raises for what a job does.

        When the task is cancelled, the job is killed and gone before CancelledError leaves here.
        """
        if stop.cancelled:
            return JobEnd(started=time.time(), elapsed=0.0, cancelled=True)
        try:
            leader = self._start(spec)
        except SpawnError as error:
            return JobEnd(started=time.time(), elapsed=0.0, error=str(error))
        try:
            await self._follow(leader, stop, spec.timeout_s)
            return leader.end(await self._finish(leader, stop))
        except asyncio.CancelledError:
            self._kill(leader)
            await self._finish(leader, None)
            raise

    def forward(self, number: int) -> None:
        """Send a signal to the groups of all running jobs, for example SIGSTOP when we are about to stop."""
        for leader in self._running.values():
            leader.signal(number)

    def _start(self, spec: JobSpec) -> Leader:
        self._guardian.start()
        self._count += 1
        mark = f"{self._name}.{self._count}"
        birth = Birth.now()
        process = spawn(spec, mark=mark, null=self._null)
        leader = Leader(process, mark=mark, birth=birth, grace_s=spec.grace_s)
        self._guardian.add(leader.pid)
        self._running[leader.pid] = leader
        if self._strays is not None:
            self._strays.known.add(leader.pid)
            if self._sweep is None:
                self._sweep = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep_zombies)
        leader.watch()
        return leader

    async def _follow(self, leader: Leader, stop: Stop, timeout_s: float | None) -> None:
        """Wait until the leader has ended, and pass on what is asked of it until then."""
        loop = asyncio.get_running_loop()
        deadlines: list[Deadline] = []

        def terminate() -> None:
            if not leader.stopping:
                leader.asked_at = time.monotonic()
                deadlines.append(Deadline(loop, leader.grace_s, lambda: self._kill(leader)))
                self._terminate(leader)

        def time_out() -> None:
            terminate()
            leader.timed_out = True

        def asked() -> None:
            if leader.ended_at is not None:
                return
            if stop.killed:
                self._kill(leader)
            else:
                terminate()
            leader.cancelled = True

        if timeout_s is not None:
            deadlines.append(Deadline(loop, timeout_s, time_out))
        with stop.listening(asked):
            try:
                await leader.ended.wait()
            finally:
                for deadline in deadlines:
                    deadline.cancel()

    def _terminate(self, leader: Leader) -> None:
        """Ask all processes of a job to end, also those that are stopped."""
        others = self._strays.remember(leader, self._running.values()) if self._strays else []
        leader.signal(signal.SIGTERM)
        leader.signal(signal.SIGCONT)
        leader.told.update((process.pid, process.start) for process in others if process.group == leader.pid)
        _ask(leader.told, others, first=True)

    def _kill(self, leader: Leader) -> None:
        leader.killed = True
        if self._strays is None:
            leader.signal(signal.SIGKILL)
            return
        others = self._strays.remember(leader, self._running.values())
        leader.signal(signal.SIGKILL)
        for process in others:
            send(process, signal.SIGKILL)

    async def _finish(self, leader: Leader, stop: Stop | None) -> int:
        """End what the leader left behind, reap it, and return how many processes that were."""
        await leader.ended.wait()
        if self._strays is None:
            leader.reap()
            count = await _end_group(leader)
        else:
            count = await self._end_strays(leader, self._strays, stop)
        self._guardian.remove(leader.pid)
        leader.reap()
        self._running.pop(leader.pid, None)
        if self._strays is not None:
            self._strays.known.discard(leader.pid)
            if not self._running:
                self._strays.forget()
        return count

    async def _end_strays(self, leader: Leader, strays: Strays, stop: Stop | None) -> int:
        """End all that is left of a job: at once when it was killed, else within its (remaining) grace."""

        def find() -> list[Process]:
            return strays.of(leader, [other for other in self._running.values() if other is not leader])

        def hurried() -> bool:
            return leader.killed or (stop is not None and stop.killed)

        left = find()
        if not left:
            return 0
        patience = leader.grace_left() if leader.stopping else min(_STRAY_GRACE_S, leader.grace_s)
        if not leader.stopping:
            _ask(leader.told, left, first=True)
        return await _end_all(left, leader.told, strays, find, patience, hurried)

    async def _end_rest(self, strays: Strays) -> None:
        """End what hangs below us when no job runs any more and none is to come."""
        told: set[tuple[int, int]] = set()
        if left := strays.of_all():
            _ask(told, left, first=True)
            await _end_all(left, told, strays, strays.of_all, _STRAY_GRACE_S, lambda: False)

    def _sweep_zombies(self) -> None:
        """Reap orphans of jobs that run for long, now and then; without jobs there is nothing to do."""
        self._sweep = None
        if self._strays is not None and self._running:
            self._zombies = self._strays.reap_orphans(self._zombies)
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep_zombies)


async def _end_all(
    left: list[Process],
    told: set[tuple[int, int]],
    strays: Strays,
    find: Callable[[], list[Process]],
    patience: float,
    hurried: Callable[[], bool],
) -> int:
    """End the processes `left`, then what `find` returns, until it is none; return how many there were."""
    seen: set[tuple[int, int]] = set()
    spent = 0.0
    delay = _POLL_S[0]
    while left and spent < patience + _GIVE_UP_S:
        seen.update((process.pid, process.start) for process in left)
        if spent >= patience or hurried():
            for process in left:
                send(process, signal.SIGKILL)
        else:
            _ask(told, left, first=False)
        await asyncio.sleep(delay)  # not measured: being stopped meanwhile takes no one's time
        spent += delay
        delay = min(delay * 2, _POLL_S[1])
        left = [process for process in left if strays.is_alive(process)] or find()
    return len(seen)


def _ask(told: set[tuple[int, int]], processes: list[Process], *, first: bool) -> None:
    """Send SIGTERM to those that had none yet, and wake them up.

    After the `first` time only orphans are asked: a new process with a parent helps it to clean up.
    """
    me = os.getpid()
    for process in processes:
        if (process.pid, process.start) not in told and (first or process.parent == me):
            told.add((process.pid, process.start))
            send(process, signal.SIGTERM)
            send(process, signal.SIGCONT)


async def _end_group(leader: Leader) -> int:
    """End what is left of the group of a reaped leader, where groups are all we know.

    Shape: returns 1 when there was anything.
    """
    spent = 0.0
    delay = _POLL_S[0]
    patience = leader.grace_left() if leader.stopping else min(_STRAY_GRACE_S, leader.grace_s)
    while spent < patience + _GIVE_UP_S:
        leader.reap_group()
        try:
            if spent == 0.0 and not leader.stopping:
                os.killpg(leader.pid, signal.SIGTERM)
            os.killpg(leader.pid, signal.SIGKILL if leader.killed or spent >= patience else signal.SIGCONT)
        except (ProcessLookupError, PermissionError):
            break
        await asyncio.sleep(delay)
        spent += delay
        delay = min(delay * 2, _POLL_S[1])
    return int(spent > 0)
