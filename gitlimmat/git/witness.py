"""Be told by the kernel which files a job has touched, instead of looking at each of them.

Layer:  git.
Source: inotify(7). Linux only, and only on file systems where nobody else can change files.

Each file is watched by its inode, so a change is seen under whatever name it is made, and so is a new name
or a mapping that was written to, at the latest when the process ends. Where watches are short, or events were
lost, the answer is "unknown" and files are looked at one by one. Directories are not watched here.
"""

from __future__ import annotations

import threading
import weakref
from pathlib import Path

from gitlimmat.git import inotify
from gitlimmat.git.inotify import Inotify, file_system

_MASK = (
    inotify.MODIFY
    | inotify.ATTRIB
    | inotify.CLOSE_WRITE
    | inotify.DELETE_SELF
    | inotify.MOVE_SELF
    | inotify.DONT_FOLLOW
)

_LOCAL = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs"})
_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")


class Budget:
    """How many watches this process may have: half of what the user may, editors need some too."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        try:
            self._left = int(_LIMIT.read_text()) // 2
        except (OSError, ValueError):
            self._left = 0

    def take(self, count: int) -> bool:
        """Take `count` watches; False, and nothing is taken, when there are not that many."""
        with self._guard:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give_back(self, count: int) -> None:
        """Return watches that were taken."""
        with self._guard:
            self._left += count


class Witness:
    """Watches files, each known by its path in the worktree. Closed when nothing refers to it any more."""

    def __init__(self, kernel: Inotify, budget: Budget, taken: int) -> None:
        self._kernel = kernel
        self._paths: dict[int, bytes] = {}
        self._watches: dict[bytes, int] = {}
        self._left = taken
        self._complete = True
        self.close = weakref.finalize(self, _close, kernel, budget, taken)

    def watch(self, path: bytes, where: bytes) -> None:
        """Watch the file that is now at `where`; what was known by `path` before is forgotten."""
        self.forget(path)
        try:
            watch = self._kernel.add(where, _MASK) if self._left > 0 else -1
        except OSError:
            watch = -1
        if watch < 0:
            self._complete = False
            return
        self._left -= 1
        self._paths[watch] = path
        self._watches[path] = watch

    def forget(self, path: bytes) -> None:
        """Pay no attention any more to the file known by `path`, which we are about to remove."""
        watch = self._watches.pop(path, None)
        if watch is not None:
            self._left += 1
            self._paths.pop(watch, None)

    def touched(self) -> set[bytes] | None:
        """Return the paths of files that were touched since the last call; None when that is not known."""
        found: set[bytes] = set()
        for event in self._kernel.read():
            if event.mask & (inotify.OVERFLOW | inotify.UNMOUNT):
                self._complete = False
            path = self._paths.get(event.watch)
            if path is not None:
                found.add(path)
        return found if self._complete else None


def make_witness(root: bytes, files: int, budget: Budget) -> Witness | None:
    """Return a witness for about `files` files below `root`; None where the kernel cannot tell."""
    if file_system(root) not in _LOCAL:  # nowhere but on Linux is it known
        return None
    taken = files + files // 4 + 100
    if not budget.take(taken):
        return None
    try:
        kernel = Inotify()
    except OSError:
        budget.give_back(taken)
        return None
    return Witness(kernel, budget, taken)


def _close(kernel: Inotify, budget: Budget, taken: int) -> None:
    kernel.close()
    budget.give_back(taken)
