"""What we have seen of the tracked files of a worktree, to tell later which a job has touched.

Layer: git.

A file whose lstat(2) is what it was has not been changed: any change moves its ctime, which nobody can set.
That holds only once the clock of the file system has moved on, so a file seen within one tick of its last
change is kept as unsettled and compared by content next time (git's racy-git document has more).
"""

# ruff: noqa: PTH108, PTH115, PTH118, PTH211
# Names are bytes here: a file name need not be text.

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterable

from gitlimmat.git.entryfiles import write_all
from gitlimmat.git.index import Index, make_entry, mode_of, oid_of, stat_data
from gitlimmat.git.trees import EXECUTABLE, LINK, Entry

_COARSE_TICK_NS = 2_100_000_000  # file systems that keep whole seconds, or two of them
_CLOCK_REALTIME_COARSE = 5  # linux/time.h: the clock that file times are taken from
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_OVER = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_CHUNK = 1 << 20

Seen = tuple[bytes, int, int, int, int, int]  # where, mtime_ns, ctime_ns, size, inode, mode


def _tick_ns() -> int:
    if sys.platform == "linux":
        return 2 * int(time.clock_getres(_CLOCK_REALTIME_COARSE) * 1e9)
    return 20_000_000


_TICK_NS = _tick_ns()


def is_settled(changed_ns: int, now_ns: int) -> bool:
    """Whether a change after `now_ns` is sure to give a time of change other than `changed_ns`."""
    tick = _TICK_NS if changed_ns % 1_000_000 else _COARSE_TICK_NS
    return now_ns - changed_ns > tick


class Snapshot:
    """Index entries and stat data of the tracked files below `root`.

    `tree` is the tree they are of, None while that is not known. `permissions` are those that the umask
    leaves to a new executable file.
    """

    def __init__(self, root: bytes, index: Index) -> None:
        self.root = root
        self.index = index
        self.tree: bytes | None = None
        self.permissions = 0o755
        self.files: dict[bytes, Seen] = {}
        self.unsettled: set[bytes] = set()

    def adopt_index(self, written_ns: int) -> None:
        """Take over what the index file, last written at `written_ns`, says about files.

        Files that it is wrong or not sure about are left out of `files`.
        """
        for path, entry in self.index:
            where = os.path.join(self.root, path)
            now = time.time_ns()
            try:
                status = os.lstat(where)
            except OSError:
                continue
            if stat_data(status, mode_of(entry)) != entry[:40]:
                continue
            if not self._has_mode(status, mode_of(entry)):
                continue
            self._see(path, where, status, now)
            newest = max(status.st_ctime_ns, status.st_mtime_ns)
            if not is_settled(newest, written_ns):
                self.unsettled.add(path)

    def changed_files(self, among: Iterable[bytes] | None = None) -> list[bytes]:
        """Return the paths of files whose lstat(2) is not what it was; `among` says which to look at."""
        lstat = os.lstat
        found = []
        files = self.files
        some = files if among is None else {path: files[path] for path in among if path in files}
        for path, (where, mtime, ctime, size, inode, mode) in some.items():
            try:
                status = lstat(where)
            except OSError:
                found.append(path)
                continue
            if (
                status.st_ctime_ns != ctime
                or status.st_mtime_ns != mtime
                or status.st_ino != inode
                or status.st_size != size
                or status.st_mode != mode
            ):
                found.append(path)
        return found

    def changed_since(self, time_ns: int) -> list[bytes]:
        """Return the paths of files whose ctime, when they were seen, was `time_ns` or later."""
        return [path for path, seen in self.files.items() if seen[2] >= time_ns]

    def is_intact(self, path: bytes, entry: Entry) -> bool:
        """Whether the file at `path` is `entry` by content; if so its stat data is recorded anew."""
        mode, oid = entry
        where = os.path.join(self.root, path)
        now = time.time_ns()
        try:
            status = os.lstat(where)
            if not self._has_mode(status, mode) or _hash(where, status) != oid:
                return False
        except OSError:
            return False
        self.record(path, entry, status, now)
        return True

    def write(self, path: bytes, entry: Entry, data: bytes) -> bool:
        """Put a file with `entry`'s mode and content `data` at `path`, whose directory exists.

        Shape: False when something else is there; then nothing was done.

        Raises: OSError.
        """
        mode, _ = entry
        seen = self.files.get(path)
        where = seen[0] if seen else os.path.join(self.root, path)
        wanted = 0 if mode == LINK else stat.S_IFREG | self._permissions(mode)
        status = _overwrite(where, data, wanted) if seen and seen[5] == wanted else None
        try:
            if status is None:
                if seen:
                    _unlink(where)
                status = _create(where, data, mode)
        except (FileExistsError, IsADirectoryError):
            return False
        self.record(path, entry, status, time.time_ns())
        return True

    def can_overwrite(self, path: bytes, entry: Entry) -> bool:
        """Whether `write` will not need to change the directory, if the file still is what it was."""
        seen = self.files.get(path)
        return seen is not None and entry[0] != LINK and seen[5] == stat.S_IFREG | self._permissions(entry[0])

    def record(self, path: bytes, entry: Entry, status: os.stat_result, now_ns: int) -> None:
        """Note that the file at `path` is `entry`, as seen at `now_ns` with `status`."""
        mode, oid = entry
        seen = self.files.get(path)
        where = seen[0] if seen else os.path.join(self.root, path)
        self._see(path, where, status, now_ns)
        self.index.put(path, make_entry(path, mode, oid, status))

    def forget(self, path: bytes) -> None:
        """Note that there is no tracked file at `path`."""
        self.files.pop(path, None)
        self.unsettled.discard(path)
        self.index.drop(path)

    def entry(self, path: bytes) -> Entry | None:
        """Return mode and object id that the file at `path` should have."""
        entry = self.index.get(path)
        return None if entry is None else (mode_of(entry), oid_of(entry))

    def _see(self, path: bytes, where: bytes, status: os.stat_result, now_ns: int) -> None:
        changed = status.st_ctime_ns
        self.files[path] = (
            where,
            status.st_mtime_ns,
            changed,
            status.st_size,
            status.st_ino,
            status.st_mode,
        )
        if is_settled(changed, now_ns):
            self.unsettled.discard(path)
        else:
            self.unsettled.add(path)

    def _has_mode(self, status: os.stat_result, mode: int) -> bool:
        """Whether this is a file as we would write it: kind, permissions, and no other name for it."""
        if mode == LINK:
            return stat.S_ISLNK(status.st_mode) and status.st_nlink == 1
        return status.st_mode == stat.S_IFREG | self._permissions(mode) and status.st_nlink == 1

    def _permissions(self, mode: int) -> int:
        return self.permissions if mode == EXECUTABLE else self.permissions & 0o666


def _unlink(where: bytes) -> None:
    try:
        os.unlink(where)
    except (FileNotFoundError, NotADirectoryError):
        pass


def _create(where: bytes, data: bytes, mode: int) -> os.stat_result:
    if mode == LINK:
        os.symlink(data, where)
        return os.lstat(where)
    fd = os.open(where, _NEW, 0o777 if mode == EXECUTABLE else 0o666)
    try:
        write_all(fd, data)
        return os.fstat(fd)
    finally:
        os.close(fd)


def _overwrite(where: bytes, data: bytes, wanted: int) -> os.stat_result | None:
    """Write over a file of mode `wanted` that has no other name; None when it is not like that.

    The directory stays as it is and need not be listed again.
    """
    try:
        fd = os.open(where, _OVER)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if status.st_mode != wanted or status.st_nlink != 1:
            return None
        write_all(fd, data)
        if status.st_size > len(data):
            os.ftruncate(fd, len(data))
        return os.fstat(fd)
    finally:
        os.close(fd)


def _hash(where: bytes, status: os.stat_result) -> bytes:
    """Return the object id of a file's content as it is on disk."""
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(where)
        return hashlib.sha1(b"blob %d\0%s" % (len(target), target), usedforsecurity=False).digest()
    digest = hashlib.sha1(b"blob %d\0" % status.st_size, usedforsecurity=False)
    fd = os.open(where, _READ)
    try:
        while chunk := os.read(fd, _CHUNK):
            digest.update(chunk)
    finally:
        os.close(fd)
    return digest.digest()
