"""What the kernel says about processes: family, group, age and environment.

Layer: runner. Linux only; `usable` says whether there is anything to read. Nothing here signals or waits.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection
from pathlib import Path

import msgspec

_FEW = 256
_CHUNK = 1 << 16
_TRIES = 20
_TRY_S = 0.0005
_ENV_END = 48  # field 51, counted from the third
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Process(msgspec.Struct, frozen=True):
    """One line of the process table.

    Units: `start` counts ticks (`TICKS_A_SECOND`) since the machine was started. With `pid` it names a
    process for good; a pid alone is given to another process sooner or later.
    """

    pid: int
    parent: int
    group: int
    zombie: bool
    start: int


def usable() -> bool:
    """Whether /proc is there and shows the processes by the same numbers as we do."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return str(Path("/proc/self").readlink()) == str(os.getpid())
    except OSError:
        return False


def read_process(pid: int) -> Process | None:
    """Return what is known about a process; None when it is gone.

    Source: proc_pid_stat(5). The name in parentheses may contain anything, parentheses included.
    """
    try:
        line = _read(f"/proc/{pid}/stat")
    except OSError:
        return None
    fields = line[line.rfind(b")") + 2 :].split(maxsplit=20)
    if len(fields) < 20:
        return None
    return Process(pid, int(fields[1]), int(fields[2]), fields[0] in b"ZX", int(fields[19]))


def is_thread(pid: int) -> bool:
    """Whether this is the number of a thread other than the first one of its process.

    Such a number is not listed in /proc, but can be looked up there.
    """
    try:
        return b"\nTgid:\t%d\n" % pid not in _read(f"/proc/{pid}/status")
    except OSError:
        return False


def read_environment(pid: int) -> tuple[bytes, ...]:
    """Return the `name=value` strings a process was started with; none when we may not know.

    A process that is just executing a program has none for a moment: it is waited for, 10 ms at most.
    """
    try:
        for _ in range(_TRIES):
            if data := _read(f"/proc/{pid}/environ"):
                return tuple(data.split(b"\0"))
            if not _is_executing(pid):  # it is empty, or was set since we looked
                return tuple(_read(f"/proc/{pid}/environ").split(b"\0"))
            time.sleep(_TRY_S)
    except OSError:
        pass
    return ()


def all_pids() -> list[int]:
    """Return the pids of all processes that we can see."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - names are enough


def pids_after(pid: int, newest: int) -> Collection[int]:
    """Return where to look for processes younger than `pid`, when `newest` is the last pid given out.

    Shape: may name processes that do not exist. Pids are given out in turn and start again from below
    at some time, so what is older than one turn is missed: not for use with long-lived processes.
    """
    if 0 <= newest - pid <= _FEW:
        return range(pid + 1, newest + 1)
    if newest > pid:
        return [other for other in all_pids() if pid < other <= newest]
    return [other for other in all_pids() if other > pid or other <= newest]


def parse_newest(loadavg: bytes) -> int:
    """Return the pid that was given out last from the content of /proc/loadavg; 0 when it is not there.

    Source: proc_loadavg(5). Threads use up pids as well.
    """
    last = loadavg.split()[-1:]
    return int(last[0]) if last and last[0].isdigit() else 0


def _is_executing(pid: int) -> bool:
    """Whether the end of the environment, which may be empty, is not set yet. Source: proc_pid_stat(5)."""
    line = _read(f"/proc/{pid}/stat")
    fields = line[line.rfind(b")") + 2 :].split()
    return len(fields) > _ENV_END and fields[0] not in b"ZX" and fields[_ENV_END] == b"0"


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, _CHUNK)
        part = data
        while len(part) == _CHUNK:
            part = os.read(fd, _CHUNK)
            data += part
        return data
    finally:
        os.close(fd)
