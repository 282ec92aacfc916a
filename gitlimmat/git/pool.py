"""Worktrees to run jobs in, kept outside the repository and shared by all processes of ours.

Layer: git.
Owns:  `$XDG_CACHE_HOME/limmat/<repository>-<hash>/`: `<n>` the worktree, `<n>.lock` its lock, `<n>.dirty`
       while it is between two commits. All of it can be deleted at any time while nothing runs.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import xxhash

from gitlimmat.errors import WorktreeError
from gitlimmat.git.entry import entries_locked, remove_entries, remove_stale_entries
from gitlimmat.git.removal import remove
from gitlimmat.git.repository import Repository
from gitlimmat.git.witness import Budget
from gitlimmat.git.worktree import Slot, Worktree

_HINT = "set XDG_CACHE_HOME, or name another directory for worktrees"


class WorktreePool:
    """The slots of one repository, numbered from 1; each belongs to one holder at a time.

    `directory` is where the slots are: by default a directory of this repository in the user's cache, and
    with a `directory` given, one of that name below it. With `temporary`, the worktrees are made right in
    `directory`, called `<prefix>-<pid>-<n>`, and are gone after `close`.
    """

    def __init__(
        self, repository: Repository, *, directory: Path | None, temporary: bool, prefix: str
    ) -> None:
        self._repository = repository
        self._temporary = temporary
        self._guard = threading.Lock()
        self._swept = False
        self._acquired: list[Worktree] = []
        self._budget = Budget()
        self._slots: dict[int, Slot] = {}
        if temporary:
            self._parent = (directory or Path(tempfile.gettempdir())).absolute()
            self._stem = f"{prefix}-{os.getpid()}-"
            self._pattern = re.compile(re.escape(prefix) + r"-\d+-\d+")
        else:
            self._parent = (directory.absolute() if directory else _cache(repository)) / _label(repository)
            self._stem = ""
        self._parent = self._parent.resolve()

    def acquire(self) -> Worktree:
        """Return the free slot with the lowest number, locked. Never waits for a busy one.

        The worktree itself is made by its first `switch`.

        Raises: WorktreeError when the directory or the lock cannot be made.
        """
        with self._guard:
            try:
                self._prepare()
                slot = 1
                while (fd := self._lock(self._parent / f"{self._stem}{slot}.lock")) is None:
                    slot += 1
            except OSError as error:
                raise WorktreeError(
                    f"cannot use worktree directory '{self._parent}': {error.strerror or error}", hint=_HINT
                ) from error
            path = self._parent / f"{self._stem}{slot}"
            known = self._slots.setdefault(slot, Slot(number=slot, path=path, unsure=False))
            known.unsure = known.unsure or not self._claim(fd)
            worktree = Worktree(self._repository, known, fd, self._budget)
            if self._temporary:
                self._acquired.append(worktree)
            return worktree

    def close(self) -> None:
        """Remove temporary worktrees; persistent ones stay, ready for the next run.

        Raises: WorktreeError when one cannot be removed; the others are.
        """
        with self._guard:
            acquired, self._acquired = self._acquired, []
            for slot in self._slots.values():
                slot.checkout = None
            failed: OSError | None = None
            for worktree in acquired:
                try:
                    self._discard(worktree.path)
                except OSError as error:
                    failed = error
                worktree.release()
            if failed is not None:
                raise WorktreeError(
                    f"cannot remove a worktree in '{self._parent}': {failed.strerror or failed}",
                    hint="remove it by hand, then run 'git worktree prune'",
                ) from failed

    @property
    def directory(self) -> Path:
        """Where the worktrees are; it need not exist."""
        return self._parent

    def leftovers(self) -> list[Path]:
        """Return the temporary worktrees of processes that died, which the next user removes."""
        found = []
        for lock, fd in self._dead():
            os.close(fd)
            found.append(lock.with_suffix(""))
        return found

    def sweep(self) -> None:
        """Remove leftovers, and entries of worktrees that are gone.

        Raises: OSError when something cannot be removed.
        """
        self._sweep()
        with entries_locked(self._repository.common_dir):
            remove_stale_entries(self._parent, self._repository.common_dir)

    def _prepare(self) -> None:
        if self._swept:
            return
        if self._temporary:
            if not self._parent.is_dir():
                raise WorktreeError(
                    f"cannot use worktree directory '{self._parent}': no such directory",
                    hint="make it, or leave the option out to use the cache directory",
                )
        else:
            self._parent.mkdir(parents=True, exist_ok=True)
        self.sweep()
        self._swept = True

    def _sweep(self) -> None:
        """Remove the temporary worktrees of processes that died."""
        for lock, fd in self._dead():
            try:
                self._discard(lock.with_suffix(""))
            finally:
                os.close(fd)

    def _dead(self) -> Iterator[tuple[Path, int]]:
        """Yield the lock files of processes that died, each with a descriptor that holds it.

        The lock file says whose the worktree is.
        """
        if not self._temporary:
            return
        for lock in sorted(self._parent.glob("*.lock")):
            if not self._pattern.fullmatch(lock.stem) or lock.stem.startswith(self._stem):
                continue
            if lock.read_bytes() not in (b"", self._owner()):
                continue
            fd = self._lock(lock)
            if fd is not None:
                yield lock, fd

    def _discard(self, path: Path) -> None:
        with entries_locked(self._repository.common_dir):
            remove(os.fsencode(path))
            remove_entries(path, self._repository.common_dir)
        for suffix in (".dirty", ".lock"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    def _lock(self, path: Path) -> int | None:
        """Return a descriptor that holds the lock file at `path`; None when someone else does."""
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), path.stat()):
                    return fd
            except BlockingIOError:
                os.close(fd)
                return None
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # it was removed by a sweep between open and flock

    def _claim(self, fd: int) -> bool:
        """Say in the lock file who we are; return whether its last holder ran since the machine was started.

        What an earlier one wrote may be lost in part: nothing is synced at each switch.
        """
        text = self._owner() if self._temporary else _boot_id()
        if os.pread(fd, len(text) + 1, 0) == text and text:
            return True
        os.ftruncate(fd, 0)
        os.pwrite(fd, text, 0)
        return False

    def _owner(self) -> bytes:
        return os.fsencode(self._repository.common_dir) + b"\n"


def _label(repository: Repository) -> str:
    """Return the pool's name: the same from every worktree of a repository."""
    common = repository.common_dir.resolve()
    name = common.parent.name if common.name == ".git" else common.name.removesuffix(".git")
    name = re.sub(r"[^\w.-]+", "-", name).strip(".-") or "repository"
    return f"{name}-{xxhash.xxh3_64_hexdigest(os.fsencode(common))[:8]}"


def _boot_id() -> bytes:
    """Return what names this run of the machine, empty when that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return b""


def _cache(repository: Repository) -> Path:
    """Return the directory for all pools; never one below the user's checkout (DESIGN.md section 6)."""
    candidates = (
        _cache_home(repository.git.environment) / "limmat",
        Path(tempfile.gettempdir()) / f"limmat-{os.getuid()}",
    )
    if repository.worktree is None:
        return candidates[0]
    top = repository.worktree.resolve()
    for candidate in candidates:
        if not candidate.resolve().is_relative_to(top):
            return candidate
    raise WorktreeError(
        f"cannot keep worktrees in '{candidates[0]}': it is inside the repository", hint=_HINT
    )


def _cache_home(environment: Mapping[str, str]) -> Path:
    stated = Path(environment.get("XDG_CACHE_HOME", ""))
    if stated.is_absolute():  # the XDG specification says to ignore anything else
        return stated
    home = environment.get("HOME")
    return (Path(home) if home else Path.home()) / ".cache"
