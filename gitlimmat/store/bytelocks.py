"""Locks with names. The kernel holds them, so they vanish with the process that has them.

Layer:  store.
Owns:   `locks` in each directory that it is given.
Format: A lock is one byte of `locks`, at xxh3-64 of its name without the highest bit, as an
        open-file-description lock of fcntl(2).

No lock file is ever removed, and none is inherited by a job. Where the system has no such locks, each is a
file of its own under `locks.d`, locked as a whole.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from pathlib import Path

import xxhash

from gitlimmat.errors import StoreError
from gitlimmat.git.modes import make_directory, open_lock

HAVE_RANGES = hasattr(fcntl, "F_OFD_SETLK")
LAST_BYTE = 2**63 - 2  # start and length together must stay within off_t
_FLOCK = "hhqqi4x"  # struct flock of 64-bit systems: type, whence, start, length, pid


class ByteLock:
    """The right to what one name stands for, until released."""

    def __init__(self, locks: ByteLocks, offset: int) -> None:
        self._locks = locks
        self._offset = offset

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        self._locks._release(self._offset)


class ByteLocks:
    """Locks with names, as one holder. Two of these exclude each other in one process, too.

    Thread-safe. `ranges` false takes the way of systems without open-file-description locks.
    """

    def __init__(self, state_dir: Path, *, ranges: bool = HAVE_RANGES) -> None:
        self._state_dir = state_dir
        self._ranges = ranges
        self._guard = threading.Lock()
        self._held: dict[int, int] = {}  # offset of each lock held, and the descriptor that holds it
        self._file: int | None = None

    def try_take(self, name: bytes) -> ByteLock | None:
        """Take the lock of `name`, or return None when anyone has it. Never waits.

        Raises: StoreError when locks cannot be kept here at all.
        """
        offset = _offset(name)
        with self._guard:
            if offset in self._held:
                return None
            try:
                handle = self._take_range(offset) if self._ranges else self._take_file(offset)
            except OSError as error:
                raise StoreError(f"cannot lock in '{self._state_dir}': {error.strerror}") from error
            if handle is None:
                return None
            self._held[offset] = handle
        return ByteLock(self, offset)

    def is_taken(self, name: bytes) -> bool:
        """Whether anyone, here or elsewhere, has the lock of `name`. Creates nothing."""
        offset = _offset(name)
        with self._guard:
            if offset in self._held:
                return True
            return self._range_is_taken(offset) if self._ranges else _file_is_taken(self._path(offset))

    def close(self) -> None:
        """Give every lock back."""
        with self._guard:
            handles = {*self._held.values(), *(() if self._file is None else (self._file,))}
            self._held.clear()
            self._file = None
            for handle in handles:
                os.close(handle)

    def __del__(self) -> None:
        self.close()

    def _release(self, offset: int) -> None:
        with self._guard:
            handle = self._held.pop(offset, None)
            if handle is None:
                return
            if self._ranges:
                lock_range(handle, fcntl.F_UNLCK, offset)
            else:
                self._path(offset).unlink(missing_ok=True)
                os.close(handle)

    def _path(self, offset: int) -> Path:
        return self._state_dir / "locks.d" / f"{offset:016x}"

    def _take_range(self, offset: int) -> int | None:
        if self._file is None:
            make_directory(self._state_dir)
            self._file = open_lock(self._state_dir / "locks")
        return self._file if lock_range(self._file, fcntl.F_WRLCK, offset) else None

    def _take_file(self, offset: int) -> int | None:
        path = self._path(offset)
        make_directory(path.parent)
        while True:
            handle = open_lock(path)
            if not try_flock(handle):
                os.close(handle)
                return None
            if is_file_at(handle, path):
                return handle
            os.close(handle)  # its holder removed it between our two steps

    def _range_is_taken(self, offset: int) -> bool:
        if self._file is not None:
            return range_is_taken(self._file, offset)
        try:
            handle = os.open(self._state_dir / "locks", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return range_is_taken(handle, offset)
        finally:
            os.close(handle)


def try_flock(handle: int, *, shared: bool = False) -> bool:
    """Lock an open file as a whole, unless someone else has; say whether that worked."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_file_at(handle: int, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def lock_range(handle: int, kind: int, offset: int) -> bool:
    """Lock or unlock one byte of an open file, unless someone else has it; say whether that worked."""
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, offset, 1, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def range_is_taken(handle: int, offset: int) -> bool:
    """Whether someone else has a lock on this byte."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
    answer: tuple[int, ...] = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked))
    return answer[0] != fcntl.F_UNLCK


def _offset(name: bytes) -> int:
    return min(xxhash.xxh3_64_intdigest(name) & (2**63 - 1), LAST_BYTE)


def _file_is_taken(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_flock(handle, shared=True)
    finally:
        os.close(handle)
