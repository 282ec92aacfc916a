"""Directories that running jobs write to, and their removal also after a crash.

Layer:  store.
Owns:   `<state>/runs`: `<session>.<n>/` for each job, with `job.json`, the output files and `artifacts/`, and
        `<session>.lock`, locked while the process that made them lives.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gitlimmat.errors import StoreError
from gitlimmat.git.modes import make_directory, open_lock
from gitlimmat.model import Commit
from gitlimmat.store.bytelocks import is_file_at, try_flock
from gitlimmat.store.removal import remove_tree

# ruff: noqa: PTH102
# One directory is made for each job, so these are calls and strings and not objects.

STREAMS = ("output", "stdout", "stderr")
_NAME = re.compile(r"(?P<session>[0-9]+-[0-9a-f]+)\.[0-9]+")


class RunningJob(msgspec.Struct, frozen=True, kw_only=True):
    """What `job.json` says of a job. Units: `started` is seconds since the epoch in UTC."""

    test: str
    commit: str
    subject: str
    started: float
    pid: int


class RunDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """The directory of one job. The files in `outputs` do not exist until the job's output is opened."""

    path: Path
    outputs: Mapping[str, Path]
    artifacts: Path

    def remove(self) -> None:
        """Remove it with all in it. What cannot be removed stays for the next sweep."""
        remove_tree(self.path)


class Runs:
    """Makes directories for the jobs of this process. At first use, those of dead processes are removed.

    Directories are used again: next to the writes of the store, ext4 takes 2 ms to remove one (measured).
    """

    def __init__(self, state_dir: Path) -> None:
        self._top = os.fspath(state_dir / "runs")
        self._session = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock_path = Path(self._top, f"{self._session}.lock")
        self._count = 0
        self._lock: int | None = None
        self._free: list[RunDirectory] = []

    def create(self, test: str, commit: Commit, subject: str) -> RunDirectory:
        """Make the directory of one job, anew from the top where someone has removed all of it.

        Raises: StoreError when that is impossible.
        """
        try:
            if self._lock is not None and not is_file_at(self._lock, self._lock_path):
                self.close()
            if self._lock is None:
                self._begin()
            directory = self._free.pop() if self._free else self._make()
            job = RunningJob(
                test=test, commit=commit.id, subject=subject, started=time.time(), pid=os.getpid()
            )
            _write(f"{directory.path}/job.json", msgspec.json.encode(job))
        except OSError as error:
            raise StoreError(f"cannot make a directory in '{self._top}': {error.strerror}") from error
        return directory

    def give_back(self, directory: RunDirectory) -> None:
        """Take the directory of a job that is over and stored; it is removed unless it can be used again."""
        try:
            (directory.path / "job.json").unlink()
            for path in directory.outputs.values():
                path.unlink(missing_ok=True)
            reusable = _names(directory.path) == ["artifacts"] and _is_fresh(directory.artifacts)
        except OSError:
            reusable = False
        if reusable:
            self._free.append(directory)
        else:
            directory.remove()

    def close(self) -> None:
        """Remove what is not in use, and let others remove what is left here."""
        for directory in self._free:
            directory.remove()
        self._free.clear()
        if self._lock is not None:
            self._lock_path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def __del__(self) -> None:
        self.close()

    def _make(self) -> RunDirectory:
        self._count += 1
        path = f"{self._top}/{self._session}.{self._count}"
        os.mkdir(path, 0o777)
        os.mkdir(f"{path}/artifacts", 0o777)
        return RunDirectory(
            path=Path(path),
            outputs={name: Path(f"{path}/{name}.txt") for name in STREAMS},
            artifacts=Path(f"{path}/artifacts"),
        )

    def _begin(self) -> None:
        top = Path(self._top)
        make_directory(top)
        while self._lock is None:
            handle = open_lock(self._lock_path)
            if try_flock(handle) and is_file_at(handle, self._lock_path):
                self._lock = handle
            else:
                os.close(handle)  # someone who sweeps took it for a leftover
        sweep(top.parent)


def running_jobs(state_dir: Path) -> dict[Path, RunningJob]:
    """Return the directories of jobs of all live processes with what is known of each, oldest first."""
    top = state_dir / "runs"
    found: list[tuple[Path, RunningJob]] = []
    alive: dict[str, bool] = {}
    for path in _directories(top):
        session = path.name.partition(".")[0]
        if session not in alive:
            alive[session] = _is_alive(top / f"{session}.lock")
        if alive[session]:
            try:
                job = msgspec.json.decode((path / "job.json").read_bytes(), type=RunningJob)
            except (OSError, msgspec.MsgspecError):
                continue
            found.append((path, job))
    return dict(sorted(found, key=lambda item: item[1].started))


def dead_directories(state_dir: Path) -> list[Path]:
    """Return what `sweep` would remove: directories and lock files of dead processes."""
    top = state_dir / "runs"
    dead = []
    for session, paths in _sessions(top).items():
        lock = top / f"{session}.lock"
        if not _is_alive(lock):
            dead += [*paths, *([lock] if lock.exists() else [])]
    return dead


def sweep(state_dir: Path) -> int:
    """Remove the directories of dead processes; return how many there were."""
    top = state_dir / "runs"
    dead = 0
    for session, paths in _sessions(top).items():
        with _dead(top / f"{session}.lock") as is_dead:
            if is_dead:
                dead += sum(map(remove_tree, paths))
    return dead


def _sessions(top: Path) -> dict[str, list[Path]]:
    """Return the directories of each process, dead or alive, that has any or a lock file."""
    sessions: dict[str, list[Path]] = {}
    for path in _directories(top):
        sessions.setdefault(path.name.partition(".")[0], []).append(path)
    for lock in top.glob("*.lock"):
        sessions.setdefault(lock.stem, [])
    return sessions


@contextmanager
def _dead(lock: Path) -> Iterator[bool]:
    """Tell whether the process of a session is gone; if so, remove its lock file in the end.

    The lock is held meanwhile: a process that has just made the file cannot come to life between.
    """
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    except OSError:
        yield False
        return
    try:
        free = try_flock(handle)
        yield free
        if free:
            lock.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _is_fresh(artifacts: Path) -> bool:
    """Whether it is as it was made: an empty directory, not a link to one, that its owner may change."""
    status = os.lstat(artifacts)
    return stat.S_ISDIR(status.st_mode) and status.st_mode & 0o700 == 0o700 and not _names(artifacts)


def _names(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def _directories(top: Path) -> list[Path]:
    try:
        with os.scandir(top) as entries:
            return [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:
        return []


def _is_alive(lock: Path) -> bool:
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not try_flock(handle, shared=True)
    finally:
        os.close(handle)


def _write(path: str, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.write(handle, content)
    finally:
        os.close(handle)
