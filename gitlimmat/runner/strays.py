"""Finding the processes of a job, wherever in the process tree and in whatever session they are.

Layer: runner. Linux; elsewhere a job is its group.

We are a subreaper: when a parent dies, its children become ours. So every process of a job hangs below its
leader, or below a child of ours that we did not start. Such an orphan belongs to the job whose mark is in
the environment it was started with; one that has removed the mark is *doubtful*, and belongs to nobody as
soon as all running jobs are younger than it. Only children of ours and what hangs below them is ever ended.

Looking is cheap because a descendant is younger than its leader: pids are given out in turn, so only those
between the leader's and the newest one have to be looked at. Often that is none.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from gitlimmat.git.environment import OWN_MARK
from gitlimmat.runner.leader import Leader
from gitlimmat.runner.processes import (
    Process,
    all_pids,
    is_thread,
    parse_newest,
    pids_after,
    read_environment,
    read_process,
)
from gitlimmat.runner.spawn import MARK

_LONG_S = 2.0  # in this time pids do not come round again
_LOOKS = 3
_MARK = f"{MARK}=".encode()
_OWN = f"{OWN_MARK}=".encode()


class Strays:
    """All processes below us that are not ours.

    `host` begins the mark of every job. `known` are the leaders of running jobs. Other children that
    we start ourselves are in our group or have `OWN_MARK` in their environment.
    """

    def __init__(self, host: str) -> None:
        self.known: set[int] = set()
        self._host = host.encode()
        self._me = os.getpid()
        self._my_group = os.getpgrp()
        self._doubtful: dict[int, Process] = {}
        self._dying: dict[int, int] = {}  # pid to start, of what hung below a leader when it was told to end
        self._newest = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._newest)

    def of(self, leader: Leader, running: Collection[Leader]) -> list[Process]:
        """Return the living processes of a job other than its leader, and those that belong to nobody.

        Zombies among them are reaped. A process whose parent vanishes while we look is looked at again.
        """
        owned: dict[int, Process] = {}
        for _ in range(_LOOKS):
            table = self._table(leader)
            if not table and not self._doubtful:
                return []
            owned = _with_descendants(self._roots(leader, table.values()), table)
            if all(_has_parent(process, table, leader.pid) for process in table.values()):
                break
        owned |= {process.pid: process for process in self._nobodys(running)}
        self._reap(owned.values())
        return _living(owned.values())

    def remember(self, leader: Leader, running: Collection[Leader]) -> list[Process]:
        """Return the processes of a job that is about to be told to end; they will be known as its own."""
        found = self.of(leader, running)
        self._dying.update((process.pid, process.start) for process in found)
        return found

    def of_all(self) -> list[Process]:
        """Return all living processes below us that are not ours, when no job runs any more."""
        table = self._read(all_pids())
        roots = [process for process in table.values() if self._is_orphan(process)]
        roots = [process for process in roots if process.zombie or self._mark_of(process) != _OWN]
        owned = _with_descendants(roots, table)
        self._reap(owned.values())
        return _living(owned.values())

    def forget(self) -> None:
        """Forget about what belonged to jobs that have ended, when none is running."""
        self._dying.clear()

    def reap_orphans(self, before: Collection[int]) -> set[int]:
        """Reap orphans that are zombies now and were `before`; return the zombies that are left.

        Somebody in this program may be about to wait for a child, which ends up in `before` only.
        """
        table = self._read(all_pids())
        zombies = {p.pid: p for p in table.values() if p.zombie and self._is_orphan(p)}
        self._reap([process for pid, process in zombies.items() if pid in before])
        return set(zombies) - set(before)

    def is_alive(self, process: Process) -> bool:
        """Whether it is still there; a zombie is not, and is reaped when it is ours to reap."""
        now = read_process(process.pid)
        if now is None or now.start != process.start:
            return False
        if now.zombie:
            self._reap((now,))
        return not now.zombie

    def _table(self, leader: Leader) -> dict[int, Process]:
        if time.monotonic() - leader.began > _LONG_S:
            return self._read(all_pids())
        newest = parse_newest(os.pread(self._newest, 128, 0))
        return self._read(pids_after(leader.pid, newest) if newest else all_pids())

    def _read(self, pids: Iterable[int]) -> dict[int, Process]:
        found = (read_process(pid) for pid in pids if pid not in self.known and pid != self._me)
        return {process.pid: process for process in found if process is not None}

    def _roots(self, leader: Leader, processes: Iterable[Process]) -> list[Process]:
        return [
            process
            for process in processes
            if process.group == leader.pid
            or process.parent == leader.pid
            or self._dying.get(process.pid) == process.start
            or (self._is_orphan(process) and self._is_of(process, leader))
        ]

    def _is_orphan(self, process: Process) -> bool:
        """Whether it is a child of ours that we have not started, or cannot know to have started."""
        if process.parent != self._me or process.pid in self.known:
            return False
        return process.group != self._my_group or self._mark_of(process) not in (b"", _OWN)

    def _is_of(self, process: Process, leader: Leader) -> bool:
        mark = b"" if process.zombie else self._mark_of(process)
        if mark == _OWN:
            return False
        if leader.mark in mark.split(b"/"):
            return True
        if self._host not in mark:
            self._doubtful[process.pid] = process
        return False

    def _mark_of(self, process: Process) -> bytes:
        """Return the marks of the jobs around a process; `_OWN` when it is a child of this program itself."""
        variables = read_environment(process.pid)
        for variable in variables:
            if variable.startswith(_MARK) and self._host in variable:
                return variable.removeprefix(_MARK)
        return _OWN if any(variable.startswith(_OWN) for variable in variables) else b""

    def _nobodys(self, running: Collection[Leader]) -> list[Process]:
        """Take the doubtful ones that are older than every running job."""
        oldest = min((leader.ticks for leader in running), default=None)
        found = [p for p in self._doubtful.values() if oldest is None or p.start < oldest]
        for process in found:
            del self._doubtful[process.pid]
        now = [read_process(process.pid) for process in found]
        same = [
            new for new, old in zip(now, found, strict=True) if new is not None and new.start == old.start
        ]
        return [process for process in same if self._is_orphan(process)]

    def _reap(self, processes: Iterable[Process]) -> None:
        for process in processes:
            self._doubtful.pop(process.pid, None)
            if process.zombie and process.parent == self._me:
                self._dying.pop(process.pid, None)
                try:
                    os.waitpid(process.pid, os.WNOHANG)
                except ChildProcessError:
                    pass


def send(process: Process, number: int) -> None:
    """Signal exactly this process: nothing happens when its pid has been given to another one.

    Without pidfds (kernels before 5.3, no descriptors left) a moment between looking and signalling remains.
    """
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        fd = -1
    try:
        now = read_process(process.pid)
        if now is None or now.start != process.start:
            return
        if fd < 0:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        if fd >= 0:
            os.close(fd)


def _living(processes: Iterable[Process]) -> list[Process]:
    return [process for process in processes if not process.zombie and not is_thread(process.pid)]


def _with_descendants(roots: Iterable[Process], table: Mapping[int, Process]) -> dict[int, Process]:
    children: defaultdict[int, list[Process]] = defaultdict(list)
    for process in table.values():
        children[process.parent].append(process)
    found: dict[int, Process] = {}
    ahead = list(roots)
    while ahead:
        process = ahead.pop()
        if process.pid not in found:
            found[process.pid] = process
            ahead += children[process.pid]
    return found


def _has_parent(process: Process, table: Mapping[int, Process], oldest: int) -> bool:
    """Whether its parent is still where it was, if it is one of those that we have read."""
    if process.parent < oldest or process.parent in table:
        return True
    now = read_process(process.pid)
    return now is None or now.parent == process.parent
