"""One worktree of the pool, held by us: bring it to a commit, run jobs in it, give it back.

Layer: git.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from gitlimmat.errors import GitError, WorktreeError
from gitlimmat.git.checkout import Checkout
from gitlimmat.git.entry import add_entry, entries_locked, find_entry
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit


class Worktree:
    """A slot of the pool with its directory. Held until `release`, also while a job's processes live.

    `lock_fd` holds the lock of the slot. Handed to a job (`pass_fds`), it keeps the slot from everyone else
    until the last process of the job is gone, even when we die first. `previous` is the commit that was
    checked out before the last `switch`, None when that is not known.
    """

    def __init__(self, repository: Repository, path: Path, slot: int, lock_fd: int) -> None:
        self.path = path
        self.slot = slot
        self.lock_fd = lock_fd
        self.previous: str | None = None
        self._repository = repository
        self._guard = threading.Lock()
        self._dirty = path.with_name(path.name + ".dirty")
        self._checkout: Checkout | None = None

    def switch(self, commit: Commit) -> None:
        """Make the files exactly those of `commit`, whatever was done to them; ignored files stay.

        Raises: WorktreeError when that is not possible. The worktree stays marked as dirty and the next
        switch, of whichever process, starts from scratch.
        """
        with self._guard:
            try:
                self._switch(commit)
            except OSError as error:
                self._checkout = None
                raise WorktreeError(
                    f"cannot check out '{commit.id}' in '{self.path}': {error.strerror or error}",
                    hint="check the space left and the permissions there, or name another directory",
                ) from error
            except GitError as error:
                self._checkout = None
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
        entry = find_entry(self.path, self._repository.common_dir)
        self._dirty.touch()
        if entry is None:
            self._checkout = None
            with entries_locked(self._repository.common_dir):
                git = self._repository.git.with_options("-c", "core.hooksPath=/dev/null")
                entry = add_entry(git, self.path, self._repository.common_dir, commit.id)
        if self._checkout is None:
            self._checkout = Checkout(self._repository, self.path, entry)
        self.previous = self._checkout.switch(commit)
        self._dirty.unlink()
