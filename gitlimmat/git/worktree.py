"""One worktree of the pool, held by us: bring it to a commit, run jobs in it, give it back.

Layer: git.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import time
from pathlib import Path

import msgspec

from gitlimmat.errors import GitError, WorktreeError
from gitlimmat.git.checkout import Checkout
from gitlimmat.git.entry import REGISTRATION, add_entry, entries_locked, find_entry, restore_settings
from gitlimmat.git.removal import remove
from gitlimmat.git.repository import Repository
from gitlimmat.git.rules import Stamp, stamps
from gitlimmat.git.snapshot import is_settled
from gitlimmat.git.witness import Budget
from gitlimmat.model import Commit


class Slot(msgspec.Struct):
    """A place of the pool for one worktree, and what this process knows of the files there.

    `unsure` says that the machine may have lost what was written since the last switch.
    """

    number: int
    path: Path
    unsure: bool
    checkout: Checkout | None = None


class Worktree:
    """A slot of the pool with its directory. Held until `release`, also while a job's processes live.

    `lock_fd` holds the lock of the slot. Handed to a job (`pass_fds`), it keeps the slot from everyone else
    until the last process of the job is gone, even when we die first. `previous` is the commit that was
    checked out before the last `switch`, None when that is not known.
    """

    def __init__(self, repository: Repository, slot: Slot, lock_fd: int, budget: Budget) -> None:
        self.path = slot.path
        self.slot = slot.number
        self.lock_fd = lock_fd
        self.previous: str | None = None
        self._repository = repository
        self._slot = slot
        self._budget = budget
        self._guard = threading.Lock()
        self._dirty = slot.path.with_name(slot.path.name + ".dirty")
        self._made = False
        self._sources: list[str] = []
        self._stamps: tuple[Stamp, ...] | None = None

    def switch(self, commit: Commit) -> None:
        """Make the files exactly those of `commit`, whatever was done to them; ignored files stay.

        Raises: WorktreeError when that is not possible. The worktree stays marked as dirty and the next
        switch, of whichever process, starts from scratch.
        """
        with self._guard:
            try:
                self._switch(commit)
            except OSError as error:
                raise WorktreeError(
                    f"cannot check out '{commit.id}' in '{self.path}': {error.strerror or error}",
                    hint="check the space left and the permissions there, or name another directory",
                ) from error
            except GitError as error:
                raise WorktreeError(
                    f"cannot check out '{commit.id}' in '{self.path}': {error.message}",
                    hint=error.hint or error.stderr or None,
                ) from error

    def release(self) -> None:
        """Give the slot back. It stays locked while processes of a job hold `lock_fd`."""
        with self._guard:
            if self.lock_fd >= 0:
                os.close(self.lock_fd)
                self.lock_fd = -1

    def _switch(self, commit: Commit) -> None:
        slot = self._slot
        self._check_lock()
        dirty, permissions = self._mark_dirty()
        dirty = dirty or slot.unsure
        checkout, slot.checkout = slot.checkout, None
        self._made = False
        if checkout is None or not self._is_registered(checkout.entry):
            checkout = Checkout(self._repository, self.path, self._register(commit), self._budget)
        previous = checkout.switch(commit, dirty=dirty, permissions=permissions)
        self.previous = None if self._made else previous
        self._dirty.unlink()
        slot.checkout = checkout
        slot.unsure = False

    def _check_lock(self) -> None:
        """Make sure that what we hold is still the lock of the slot, not a deleted file.

        Raises: WorktreeError when someone else holds it by now.
        """
        path = self.path.with_name(self.path.name + ".lock")
        try:
            if os.path.samestat(os.fstat(self.lock_fd), path.stat()):
                return
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.dup2(fd, self.lock_fd, inheritable=False)
        except BlockingIOError as error:
            raise WorktreeError(
                f"cannot use worktree '{self.path}': its lock was deleted, and another process has taken it",
                hint="do not delete the cache while git limmat runs",
            ) from error
        finally:
            os.close(fd)

    def _register(self, commit: Commit) -> Path:
        """Return the entry of this worktree; it is made anew with all its files if it is not complete."""
        common_dir = self._repository.common_dir
        entry = find_entry(self.path, common_dir)
        if entry is not None:
            try:
                restore_settings(entry)
            except (OSError, msgspec.MsgspecError):
                entry = None
        if entry is None:
            git = self._repository.git.with_options("-c", "core.hooksPath=/dev/null")
            with entries_locked(common_dir):
                entry = add_entry(git, self.path, common_dir, commit.id)
            self._made = True
        self._sources = [str(self.path / ".git"), *(str(entry / name) for name in REGISTRATION)]
        self._remember()
        return entry

    def _is_registered(self, entry: Path) -> bool:
        """Whether the entry of this worktree is complete and its settings are those it was made with."""
        if self._stamps is not None and stamps(self._sources) == self._stamps:
            return stat.S_ISDIR(self.path.lstat().st_mode)
        if find_entry(self.path, self._repository.common_dir) != entry:
            return False
        try:
            restore_settings(entry)
        except (OSError, msgspec.MsgspecError):
            return False
        self._remember()
        return True

    def _remember(self) -> None:
        """Note how the files behind `_is_registered` look, unless they are too fresh to tell."""
        now = time.time_ns()
        found = stamps(self._sources)
        fresh = any(stamp is not None and not is_settled(stamp[2], now) for stamp in found)
        self._stamps = None if fresh else found

    def _mark_dirty(self) -> tuple[bool, int]:
        """Make the dirty mark; return whether there was one, and the permissions that the umask leaves."""
        was_dirty = os.path.lexists(self._dirty)
        if was_dirty:
            remove(os.fsencode(self._dirty))
        fd = os.open(self._dirty, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o777)
        try:
            return was_dirty, os.fstat(fd).st_mode & 0o777
        finally:
            os.close(fd)
