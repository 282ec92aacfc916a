"""What a test kept: directories of a stored tree.

Layer: web. Everything here blocks, and is called in threads.

A name from a URL is only ever compared with names in the tree: it never becomes a path of the file system.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from gitlimmat.errors import LimmatError, StoreError
from gitlimmat.git.objects import (
    MODE_EXECUTABLE,
    MODE_SYMLINK,
    MODE_TREE,
    Entry,
    blob_size,
    read_blob,
    read_tree,
)
from gitlimmat.model import Stored
from gitlimmat.service.project import Project
from gitlimmat.store.names import unescape

_MOST_SIZED = 1000
_LONGEST_TARGET = 4096


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a directory. `shown` is its name for people, `target` where a symbolic link leads."""

    name: bytes
    shown: str
    kind: str
    size: int | None = None
    target: str = ""


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """A directory: directories first, then by name."""

    items: tuple[Item, ...]


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that can be downloaded."""

    name: bytes
    stored: Stored


def find_artifact(project: Project, tree: str, path: Sequence[bytes]) -> Directory | File | None:
    """Return what is at `path` below a stored tree; None when nothing that can be shown is.

    Raises: StoreError when something on the way is missing.
    """
    objects = project.store.database.objects
    try:
        entry = Entry(MODE_TREE, tree)
        for name in path:
            if entry.mode != MODE_TREE:
                return None
            entries = read_tree(objects, entry.oid)
            named = {unescape(stored): each for stored, each in entries.items()}
            if name not in named:
                return None
            entry = named[name]
        if entry.mode == MODE_TREE:
            return _directory(project, entry.oid)
    except LimmatError as error:
        raise StoreError(f"cannot read artifacts: {error.message}", hint="run the test again") from error
    if entry.mode & 0o170000 != 0o100000:
        return None
    stored = Stored(oid=entry.oid, size=blob_size(objects, entry.oid) or 0)
    return File(name=path[-1], stored=stored)


def shown_name(name: bytes) -> str:
    """Return the name of a file for people: what is no text, or cannot be seen, as escapes."""
    text = name.decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def disposition(name: bytes) -> str:
    """Return the header that has a browser save a file under its name, whatever that is.

    Source: RFC 6266, RFC 5987.
    """
    text = shown_name(name).replace("/", "_")
    plain = "".join(each if " " <= each <= "~" and each not in '"\\%' else "_" for each in text)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(text, safe='')}"


def _directory(project: Project, oid: str) -> Directory:
    entries = read_tree(project.store.database.objects, oid)
    items: list[Item] = []
    for stored, entry in entries.items():
        name = unescape(stored)
        if name is not None:
            items.append(_item(project, name, entry, sized=len(items) < _MOST_SIZED))
    return Directory(items=tuple(sorted(items, key=lambda item: (item.kind != "directory", item.name))))


def _item(project: Project, name: bytes, entry: Entry, *, sized: bool) -> Item:
    shown = shown_name(name)
    if entry.mode == MODE_TREE:
        return Item(name=name, shown=shown, kind="directory")
    if entry.mode == MODE_SYMLINK:
        target = read_blob(project.store.database.objects, entry.oid)[:_LONGEST_TARGET]
        return Item(name=name, shown=shown, kind="link", target=shown_name(target))
    kind = "program" if entry.mode == MODE_EXECUTABLE else "file"
    return Item(
        name=name,
        shown=shown,
        kind=kind,
        size=blob_size(project.store.database.objects, entry.oid) if sized else None,
    )
