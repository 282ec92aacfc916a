"""Be told by the kernel which files a job has touched, instead of looking at each of them.

Layer:  git.
Source: inotify(7). Linux only, and only on file systems where nobody else can change files.

Each file is watched by its inode, so a change is seen under whatever name it is made, and so is a new name
or a mapping that was written to, at the latest when the process ends. Where watches are short, or events were
lost, the answer is "unknown" and files are looked at one by one. Directories are not watched here.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import weakref
from pathlib import Path

_MODIFY = 0x2
_ATTRIB = 0x4
_CLOSE_WRITE = 0x8
_DELETE_SELF = 0x400
_MOVE_SELF = 0x800
_DONT_FOLLOW = 0x2000000
_MASK = _MODIFY | _ATTRIB | _CLOSE_WRITE | _DELETE_SELF | _MOVE_SELF | _DONT_FOLLOW
_UNMOUNT = 0x2000
_OVERFLOW = 0x4000
_EVENT = 16  # bytes of an event without a name; watches on files give none
_BUFFER = 1 << 20

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

    def __init__(self, libc: ctypes.CDLL, fd: int, budget: Budget, taken: int) -> None:
        self._add = libc.inotify_add_watch
        self._fd = fd
        self._paths: dict[int, bytes] = {}
        self._watches: dict[bytes, int] = {}
        self._left = taken
        self._complete = True
        self.close = weakref.finalize(self, _close, fd, budget, taken)

    def watch(self, path: bytes, where: bytes) -> None:
        """Watch the file that is now at `where`; what was known by `path` before is forgotten."""
        self.forget(path)
        watch = -1 if self._left <= 0 else self._add(self._fd, where, _MASK)
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
        while True:
            try:
                events = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return found if self._complete else None
            for place in range(0, len(events), _EVENT):
                watch = int.from_bytes(events[place : place + 4], sys.byteorder, signed=True)
                mask = int.from_bytes(events[place + 4 : place + 8], sys.byteorder)
                if mask & (_OVERFLOW | _UNMOUNT):
                    self._complete = False
                path = self._paths.get(watch)
                if path is not None:
                    found.add(path)


def make_witness(root: bytes, files: int, budget: Budget) -> Witness | None:
    """Return a witness for about `files` files below `root`; None where the kernel cannot tell."""
    if sys.platform != "linux" or not _is_local(root):
        return None
    taken = files + files // 4 + 100
    if not budget.take(taken):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        budget.give_back(taken)
        return None
    return Witness(libc, fd, budget, taken)


def _close(fd: int, budget: Budget, taken: int) -> None:
    os.close(fd)
    budget.give_back(taken)


def _is_local(root: bytes) -> bool:
    """Whether `root` is on a file system that only this kernel writes to."""
    device = os.stat(root).st_dev  # noqa: PTH116 - bytes
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        fields = line.split(" ")
        if fields[2] == wanted:
            return fields[fields.index("-") + 1] in _LOCAL
    return False
