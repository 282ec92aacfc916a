"""The index file of a worktree: read it, change entries, write it.

Layer:  git.
Format: gitformat-index(5). Versions 2 and 3 are read, 2 is written, without extensions.

An index says which file has which content, and with which stat data that was seen to be true. We trust the
latter as git does; bits that tell git not to look at a file are dropped.
"""

from __future__ import annotations

import hashlib
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator

_HEADER = struct.Struct(">4sLL")
_STAT = struct.Struct(">10L")
_FLAGS = struct.Struct(">H")
_EXTENSION = struct.Struct(">4sL")

_FIXED = 62  # stat data, object id and flags
_HASH = 20
_LONGEST = 0xFFF  # what the flags can say of a path's length
_EXTENDED = 0x4000
_STAGE = 0x3000
_INTENT_TO_ADD = 0x2000
_DIRECTORY = (0o040000).to_bytes(4, "big")  # found in a sparse index only
_32_BITS = 0xFFFFFFFF
_BILLION = 1_000_000_000


class Index:
    """Entries of an index file, sorted by path. An entry is kept as the bytes it has in the file."""

    def __init__(self) -> None:
        self._paths: list[bytes] = []
        self._entries: list[bytes] = []

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (path, entry), sorted by path."""
        return zip(self._paths, self._entries, strict=True)

    def get(self, path: bytes) -> bytes | None:
        """Return the entry for `path`."""
        place = bisect_left(self._paths, path)
        if place < len(self._paths) and self._paths[place] == path:
            return self._entries[place]
        return None

    def put(self, path: bytes, entry: bytes) -> None:
        """Add the entry for `path`, or replace it."""
        place = bisect_left(self._paths, path)
        if place < len(self._paths) and self._paths[place] == path:
            self._entries[place] = entry
        else:
            self._paths.insert(place, path)
            self._entries.insert(place, entry)

    def drop(self, path: bytes) -> None:
        """Remove the entry for `path`, if there is one."""
        place = bisect_left(self._paths, path)
        if place < len(self._paths) and self._paths[place] == path:
            del self._paths[place]
            del self._entries[place]

    def serialize(self) -> bytes:
        """Return the index file, with its checksum."""
        body = b"".join([_HEADER.pack(b"DIRC", 2, len(self._entries)), *self._entries])
        return body + hashlib.sha1(body, usedforsecurity=False).digest()


def make_entry(path: bytes, mode: int, oid: bytes, status: os.stat_result) -> bytes:
    """Return the entry of a file whose content is `oid` and whose lstat(2) says `status`.

    `mode` is git's (0o100644, 0o100755 or 0o120000), `oid` has 20 bytes.
    """
    fixed = stat_data(status, mode) + oid + _FLAGS.pack(min(len(path), _LONGEST))
    return fixed + path + b"\0" * (8 - (_FIXED + len(path)) % 8)


def stat_data(status: os.stat_result, mode: int) -> bytes:
    """Return what an entry says about a file's lstat(2), to compare with `entry[:40]`."""
    changed, changed_ns = divmod(status.st_ctime_ns, _BILLION)
    modified, modified_ns = divmod(status.st_mtime_ns, _BILLION)
    return _STAT.pack(
        changed & _32_BITS,
        changed_ns,
        modified & _32_BITS,
        modified_ns,
        status.st_dev & _32_BITS,
        status.st_ino & _32_BITS,
        mode,
        status.st_uid & _32_BITS,
        status.st_gid & _32_BITS,
        status.st_size & _32_BITS,
    )


def mode_of(entry: bytes) -> int:
    """Return git's mode of an entry."""
    return int.from_bytes(entry[24:28], "big")


def oid_of(entry: bytes) -> bytes:
    """Return the 20 bytes of an entry's object id."""
    return entry[40:60]


def parse_index(data: bytes) -> Index | None:
    """Return the merged entries of an index file; None when it is damaged or of a kind we do not know.

    Unmerged entries and those added without content are left out: their files are as good as untracked.
    """
    body = len(data) - _HASH
    if body < _HEADER.size or hashlib.sha1(data[:body], usedforsecurity=False).digest() != data[body:]:
        return None
    signature, version, count = _HEADER.unpack_from(data)
    if signature != b"DIRC" or version not in (2, 3):
        return None
    index = Index()
    place = _HEADER.size
    for _ in range(count):
        place = _parse_entry(data, place, index)
        if place < 0:
            return None
    return index if _are_optional(data, place, body) else None


def _parse_entry(data: bytes, place: int, index: Index) -> int:
    """Append the entry at `place` and return where the next one is; -1 when it stands for a directory."""
    flags = int.from_bytes(data[place + 60 : place + 62], "big")
    start = place + _FIXED
    extended = 0
    if flags & _EXTENDED:
        extended = int.from_bytes(data[start : start + 2], "big")
        start += 2
    length = flags & _LONGEST
    if length == _LONGEST:
        length = data.index(b"\0", start) - start
    end = place + ((start - place + length) // 8 + 1) * 8
    if data[place + 24 : place + 28] == _DIRECTORY:
        return -1
    if flags & _STAGE or extended & _INTENT_TO_ADD:
        return end
    path = data[start : start + length]
    index._paths.append(path)
    if flags == length:
        index._entries.append(data[place:end])
    else:
        plain = _FLAGS.pack(min(length, _LONGEST))
        index._entries.append(data[place : place + 60] + plain + path + b"\0" * (8 - (_FIXED + length) % 8))
    return end


def _are_optional(data: bytes, place: int, end: int) -> bool:
    """Whether all extensions from `place` on can be ignored: their names start with a capital letter."""
    while place + _EXTENSION.size <= end:
        name, size = _EXTENSION.unpack_from(data, place)
        if not b"A" <= name[:1] <= b"Z":
            return False
        place += _EXTENSION.size + size
    return True
