"""Programs that go on until they are stopped: started in a pipe or a terminal, read from, and weighed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sandbox import CommandError

_PATIENCE_S = 120.0
_KEPT = 1 << 20
_CLOCK_OF_PROCESS = 2  # see CPUCLOCK_SCHED in the kernel's posix-timers.h


class Cost(NamedTuple):
    """What a program has used since it started. Units: CPU seconds; voluntary context switches by thread."""

    cpu: float
    switches: Mapping[str, int]

    def since(self, before: Cost) -> Cost:
        """Return what came after `before`, without what threads did that have ended meanwhile."""
        return Cost(
            self.cpu - before.cpu,
            {name: count - before.switches.get(name, 0) for name, count in self.switches.items()},
        )

    @property
    def wakeups(self) -> int:
        """How often any thread has been woken."""
        return sum(self.switches.values())


class Memory(NamedTuple):
    """What a program holds, in bytes: now and at most until now."""

    now: int
    peak: int


class Program:
    """A running program. What its children cost counts, as long as they live; jobs are to be over by then."""

    def __init__(self, words: Sequence[str | Path], cwd: Path, *, on_terminal: bool) -> None:
        self._said = bytearray()
        self._news = threading.Condition()
        self.began = time.perf_counter()
        reading, writing = pty.openpty() if on_terminal else os.pipe()
        if on_terminal:
            fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._process = subprocess.Popen(
            words,
            cwd=cwd,
            stdin=writing if on_terminal else subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )
        os.close(writing)
        self._reading = reading
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End it as Ctrl-C does; kill it when that takes too long."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        os.close(self._reading)

    def wait_for(self, text: str) -> float:
        """Return how many seconds after its start it had written `text`.

        Raises: CommandError when it takes too long or ends without that.
        """
        wanted = text.encode()
        with self._news:
            found = self._news.wait_for(lambda: wanted in self._said or self._over, _PATIENCE_S)
            if not found or wanted not in self._said:
                raise CommandError(
                    f"'{text}' is not in: {bytes(self._said[-1000:]).decode(errors='replace')}"
                )
        return time.perf_counter() - self.began

    def line_with(self, text: str) -> str:
        """Return the first line it has written that has `text`, when there is one."""
        self.wait_for(text)
        lines = bytes(self._said).decode(errors="replace").splitlines()
        return next(line for line in lines if text in line)

    def wait_until_quiet(self, seconds: float = 0.6) -> None:
        """Return when it has used no CPU for so long, but for what a timer needs.

        Raises: CommandError when that takes too long.
        """
        end = time.monotonic() + _PATIENCE_S
        used, since = self.cost().cpu, time.monotonic()
        while time.monotonic() - since < seconds:
            time.sleep(0.02)
            now = self.cost().cpu
            if now - used > 0.01:
                used, since = now, time.monotonic()
            if time.monotonic() > end:
                raise CommandError("it never comes to rest")

    def cost(self) -> Cost:
        """Return what it has used."""
        cpu = 0.0
        switches = {}
        for pid in self._pids():
            try:
                cpu += time.clock_gettime(~pid << 3 | _CLOCK_OF_PROCESS)
            except OSError:  # a child has ended
                continue
            for task in _entries(Path(f"/proc/{pid}/task")):
                switches[task.name] = _number(task / "status", "voluntary_ctxt_switches")
        return Cost(cpu, switches)

    def memory(self) -> Memory:
        """Return what it holds; the peak is a sum of peaks when there are children."""
        now = peak = 0
        for pid in self._pids():
            now += 1024 * _number(Path(f"/proc/{pid}/status"), "VmRSS")
            peak += 1024 * _number(Path(f"/proc/{pid}/status"), "VmHWM")
        return Memory(now, peak)

    @property
    def _over(self) -> bool:
        return not self._reader.is_alive()

    def _pids(self) -> Iterator[int]:
        """Yield its process id and those of its descendants."""
        left = [self._process.pid]
        while left:
            pid = left.pop()
            yield pid
            for task in _entries(Path(f"/proc/{pid}/task")):
                try:
                    left += map(int, (task / "children").read_text().split())
                except OSError:  # it has ended
                    continue

    def _read(self) -> None:
        while True:
            try:
                more = os.read(self._reading, 65536)
            except OSError:  # how Linux says that nobody has the terminal open
                more = b""
            with self._news:
                self._said += more
                del self._said[:-_KEPT]
                self._news.notify_all()
            if not more:
                return


class Reports:
    """A named pipe into which jobs write lines; each comes with the moment at which it arrived."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR)
        self._rest = b""

    def wait_for(self, line: str) -> float:
        """Return when this line came, by `time.perf_counter`; lines before it are dropped."""
        return self.wait_for_all({line})

    def wait_for_all(self, lines: set[str]) -> float:
        """Return when the last of these lines came.

        Raises: CommandError when that takes too long.
        """
        missing = set(lines)
        while missing:
            if not select.select([self._fd], [], [], _PATIENCE_S)[0]:
                raise CommandError(f"{len(missing)} of {len(lines)} jobs have not started")
            *whole, self._rest = (self._rest + os.read(self._fd, 65536)).split(b"\n")
            missing.difference_update(line.decode() for line in whole)
        return time.perf_counter()

    def close(self) -> None:
        """Read no more."""
        os.close(self._fd)
        self.path.unlink()


@contextmanager
def running(words: Sequence[str | Path], cwd: Path, *, on_terminal: bool) -> Iterator[Program]:
    """Run a program while the block lasts."""
    program = Program(words, cwd, on_terminal=on_terminal)
    try:
        yield program
    finally:
        program.stop()


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:  # the process has ended
        return []


def _number(path: Path, name: str) -> int:
    try:
        text = path.read_text()
    except OSError:  # the process has ended
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:")), 0)
