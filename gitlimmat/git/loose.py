"""Loose objects read from their files.

Layer:  git.
Format: git's own, see gitformat-loose(5).

libgit2 1.9.7 never returns from reading a loose object whose file was cut short, as a crash of the machine
may leave it.
"""

from __future__ import annotations

import os
import zlib
from typing import NamedTuple

from gitlimmat.errors import LimmatError


class CutObjectError(LimmatError):
    """The file of a loose object is not whole."""


class Loose(NamedTuple):
    """A loose object: its kind as git says it, and its content."""

    kind: bytes
    data: bytes


class LooseObjects:
    """The loose objects of a repository; directories that are made later are not seen.

    Not worth keeping for long.
    """

    def __init__(self, git_dir: str) -> None:
        self._objects = f"{git_dir.rstrip('/')}/objects"
        try:
            self._folders = frozenset(os.listdir(self._objects))  # noqa: PTH208 - a packed one has few
        except OSError:
            self._folders = frozenset()

    def read(self, oid: str) -> Loose | None:
        """Return an object, None when it is not a loose one.

        Raises: CutObjectError when its file is damaged.
        """
        return read_loose(self._objects, oid) if oid[:2] in self._folders else None


def loose_path(objects_dir: str, oid: str) -> str:
    """Return where an object of a directory of objects is, if it is a loose one."""
    return f"{objects_dir}/{oid[:2]}/{oid[2:]}"


def read_loose(objects_dir: str, oid: str) -> Loose | None:
    """Return an object of a directory of objects, None when it is not a loose one there.

    Raises: CutObjectError when its file is damaged.
    """
    try:
        with open(loose_path(objects_dir, oid), "rb", buffering=0) as file:  # noqa: PTH123
            packed = file.read()
    except OSError:
        return None
    try:
        header, _, data = zlib.decompress(packed).partition(b"\0")
    except zlib.error as error:
        raise CutObjectError(f"its file is damaged: {error}") from error
    kind, _, size = header.partition(b" ")
    if size != b"%d" % len(data):
        raise CutObjectError("its file is damaged: the size is wrong")
    return Loose(kind, data)
