"""Who follows a worktree, so that hooks start nothing that is needless.

Layer:  service.
Owns:   in `limmat` of the git directory of each worktree: `watch.<pid>` of each watch, `background` of the
        runner that hooks have started, `background.lock`, locked while one runs, and `background.out`, what
        the last one has printed.
Format: `<pid> <start>`, one line, where start is field 22 of proc_pid_stat(5), `-` where there is none. The
        hooks read and write the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.git.modes import make_directory, open_lock
from gitlimmat.runner.processes import read_process, usable
from gitlimmat.service.headword import is_alive
from gitlimmat.store.bytelocks import try_flock

_NO_START = "-"


class Turn:
    """The right to be the one runner of a worktree, until it is ended."""

    def __init__(self, marker: Path, handle: int) -> None:
        self._marker = marker
        self._handle = handle

    def end(self) -> None:
        """Let another one run. Hooks know of the end first, so none takes us for alive that we do not see."""
        _unmark(self._marker)
        os.close(self._handle)


class Presence:
    """Who follows the worktree of one git directory."""

    def __init__(self, git_dir: Path) -> None:
        self._place = git_dir / "limmat"
        self._marker = self._place / "background"

    def is_watched(self) -> bool:
        """Whether a watch shows this worktree."""
        return any(_pid(path) for path in self._watches())

    def leave(self) -> None:
        """Take back what a hook has written down: we are not going to look at anything."""
        _unmark(self._marker)

    def runner(self) -> int | None:
        """Return the process that tests in the background, if there is one."""
        return _pid(self._marker)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be seen as a watch. Where nothing can be written nobody sees it: a runner too many is harmless."""
        path = self._place / f"watch.{os.getpid()}"
        try:
            for other in self._watches():
                if _pid(other) is None:
                    other.unlink(missing_ok=True)
            _mark(path)
        except OSError:
            yield
            return
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def take_turn(self) -> Turn | None:
        """Be the one runner here; None when there is another one. Never waits.

        The hook that has started us has marked us as the runner. Another one may end this moment, with its
        last look behind it; so the mark goes first, and only then the lock counts.
        Raises: LimmatError when there can be no lock.
        """
        path = self._place / "background.lock"
        try:
            make_directory(self._place)
            handle = _open(path)
            if not try_flock(handle):
                _unmark(self._marker)
                if not try_flock(handle):
                    os.close(handle)
                    return None
        except OSError as error:
            raise LimmatError(f"cannot lock '{path}': {error.strerror}") from error
        try:
            _mark(self._marker)
        except OSError:
            pass  # hooks do not see us then, and start what ends at the lock
        return Turn(self._marker, handle)

    def _watches(self) -> list[Path]:
        return sorted(self._place.glob("watch.*"))


def _open(path: Path) -> int:
    """Open a file to lock it. It may be another user's: reading is enough."""
    try:
        return open_lock(path)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _mark(path: Path) -> None:
    """Write who we are, in one step."""
    make_directory(path.parent)
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    aside.write_text(f"{os.getpid()} {_start(os.getpid())}\n")
    aside.replace(path)


def _unmark(path: Path) -> None:
    try:
        if _pid(path) == os.getpid():
            path.unlink()
    except OSError:
        pass


def _pid(path: Path) -> int | None:
    """Return the process that a file names if it is that one, and alive."""
    try:
        pid, _, start = path.read_text(errors="replace").strip().partition(" ")
    except OSError:
        return None
    if not (pid.isascii() and pid.isdigit() and int(pid)):
        return None
    return int(pid) if (is_alive(int(pid)) if start == _NO_START else _start(int(pid)) == start) else None


def _start(pid: int) -> str:
    """Return when a process was started: nothing for a dead one, `-` where nobody says so."""
    if not usable():
        return _NO_START
    found = read_process(pid)
    return "" if found is None or found.zombie else str(found.start)
