"""inotify(7), and on which file systems it tells everything.

Layer:  git. Linux only.
Source: inotify(7), proc_pid_mountinfo(5).

Called through ctypes: the package for it, watchfiles, hides descriptor and events behind a thread that wakes
up twenty times a second.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import NamedTuple

MODIFY = 0x2
ATTRIB = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
OVERFLOW = 0x4000
IGNORED = 0x8000  # the watch is gone
ONLY_DIRECTORY = 0x1000000
DONT_FOLLOW = 0x2000000
IS_DIRECTORY = 0x40000000

_HEADER = struct.Struct("@iIII")
_BUFFER = 1 << 20
_MOUNTS = Path("/proc/self/mountinfo")


class Event(NamedTuple):
    """What happened to the object of a watch; in a directory, to the entry `name`."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """One inotify instance. To be closed."""

    def __init__(self) -> None:
        """Raises: OSError when the kernel has none, or none left (EMFILE)."""
        if sys.platform != "linux":
            raise OSError("inotify is for Linux")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise _last_error()

    def add(self, path: bytes, mask: int) -> int:
        """Watch what is at `path` and return the number of the watch; one that is there gets the new mask.

        Raises: OSError; ENOSPC when the user may not have more watches.
        """
        watch: int = self._libc.inotify_add_watch(self.fd, path, mask)
        if watch < 0:
            raise _last_error()
        return watch

    def remove(self, watch: int) -> None:
        """Stop a watch, which may have stopped by itself."""
        self._libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> list[Event]:
        """Return the events there are now, oldest first."""
        events: list[Event] = []
        while True:
            try:
                raw = os.read(self.fd, _BUFFER)
            except BlockingIOError:
                return events
            place = 0
            while place < len(raw):
                watch, mask, _, size = _HEADER.unpack_from(raw, place)
                place += _HEADER.size
                events.append(Event(watch, mask, raw[place : place + size].rstrip(b"\0")))
                place += size

    def close(self) -> None:
        """Stop all watches."""
        os.close(self.fd)


def file_system(path: bytes) -> str:
    """Return the kind of file system that `path`, which exists, is on; empty when that is not known."""
    try:
        mounts = _MOUNTS.read_bytes()
    except OSError:
        return ""
    return find_mount(mounts, os.path.realpath(path))


def find_mount(mounts: bytes, path: bytes) -> str:
    """Return the kind of file system of the innermost mount that has `path`."""
    found, longest = "", -1
    for line in mounts.splitlines():
        fields = line.split(b" ")
        point = _unescaped(fields[4])
        inside = path == point or path.startswith(point.rstrip(b"/") + b"/")
        if inside and len(point) >= longest:  # a later one hides an earlier one
            found, longest = fields[fields.index(b"-", 6) + 1].decode(errors="replace"), len(point)
    return found


def _unescaped(field: bytes) -> bytes:
    for character in (b" ", b"\t", b"\n", b"\\"):
        field = field.replace(b"\\%03o" % ord(character), character)
    return field


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
