"""Files in the entry of a worktree that a switch reads or writes: HEAD, the index, what jobs left there.

Layer: git.

Files are written over where that is possible: a rename onto an existing file makes ext4 write it out at
once, and a new file needs an inode; either costs more than all else. HEAD is 41 bytes, written by one call.
"""

# ruff: noqa: PTH104, PTH118, PTH208
# Names are bytes here, and each call is on the way of every job.

from __future__ import annotations

import os
import stat

from gitlimmat.git.removal import remove

CONVERSION = b"limmat-conversion"
_SPARE = b"limmat-index"

# What an entry may hold between two switches; all else is left over from a job (a merge, a rebase, a lock).
_KEPT = frozenset(
    {
        b"HEAD",
        b"commondir",
        b"config.worktree",
        b"gitdir",
        b"index",
        b"info",
        b"limmat",
        b"locked",
        b"modules",
        CONVERSION,
        _SPARE,
    }
)
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_DETACHED = 41  # bytes of a HEAD that names a commit
_BLOCK = 1 << 20


def tidy(entry: bytes) -> None:
    """Remove what a job has left in the entry: merges, rebases, locks, logs, refs of the worktree."""
    for name in os.listdir(entry):
        if name not in _KEPT:
            remove(os.path.join(entry, name))


def read_head(entry: bytes) -> str | None:
    """Return the commit that HEAD names itself; None when it names a branch or is damaged."""
    try:
        text, _ = read_file(os.path.join(entry, b"HEAD"))
    except OSError:
        return None
    name = text[:-1].decode("ascii", errors="replace")
    if len(text) != _DETACHED or any(digit not in "0123456789abcdef" for digit in name):
        return None
    return name


def write_head(entry: bytes, commit: str) -> None:
    """Make HEAD name `commit` and no branch. One reader of it sees the old or the new text."""
    path = os.path.join(entry, b"HEAD")
    text = commit.encode() + b"\n"
    if not _overwrite(path, text, size=len(text)):
        lock = path + b".lock"
        remove(lock)
        _write_new(lock, text)
        if stat.S_ISDIR(_mode(path)):
            remove(path)
        os.rename(lock, path)


def write_index(entry: bytes, data: bytes) -> None:
    """Make `data` the index. A reader finds the old one, the new one or none, which to git is an empty one.

    Two files take turns: the one that is not the index is written over.
    """
    index, spare = os.path.join(entry, b"index"), os.path.join(entry, _SPARE)
    write_file(spare, data)
    if stat.S_ISREG(_mode(index)):
        used = spare + b".old"
        os.rename(index, used)
        os.rename(spare, index)
        os.rename(used, spare)
    else:
        remove(index)
        os.rename(spare, index)


def write_file(path: bytes, data: bytes) -> None:
    """Make `path` a plain file that holds `data`, whatever it was."""
    if not _overwrite(path, data):
        remove(path)
        _write_new(path, data)


def read_file(path: bytes) -> tuple[bytes, int]:
    """Return the content of a plain file and when it was last written, in nanoseconds of the file system.

    Raises: OSError when there is no such file.
    """
    fd = os.open(path, _READ)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(f"no plain file: '{os.fsdecode(path)}'")
        parts = []
        while part := os.read(fd, max(_BLOCK, status.st_size + 1)):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts), status.st_mtime_ns


def read_tail(path: bytes, size: int) -> bytes:
    """Return the last `size` bytes of a plain file, nothing when there is none."""
    try:
        fd = os.open(path, _READ)
    except OSError:
        return b""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return b""
        return os.pread(fd, size, max(0, status.st_size - size))
    finally:
        os.close(fd)


def _overwrite(path: bytes, data: bytes, *, size: int | None = None) -> bool:
    """Write `data` into the plain file at `path`; False when it is none, or not of the stated size."""
    try:
        fd = os.open(path, _WRITE)
    except OSError:
        return False
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return False
        if size is not None and status.st_size != size:
            return False
        write_all(fd, data)
        if status.st_size > len(data):
            os.ftruncate(fd, len(data))
    finally:
        os.close(fd)
    return True


def _write_new(path: bytes, data: bytes) -> None:
    fd = os.open(path, _NEW, 0o666)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`, also where the system takes it in parts."""
    done = os.write(fd, data)
    while done < len(data):
        done += os.write(fd, data[done:])


def _mode(path: bytes) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0
