"""A directory as a git tree, and back.

Layer:  store.
Format: 1. Plain git trees and blobs: executable bit and symbolic links are kept, empty directories are
        empty trees, hard links become equal files, awkward names are escaped (see `names`). What is no
        file, directory or symbolic link, cannot be read or lies too deep is dropped, and its name reported.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gitlimmat.errors import LimmatError, StoreError
from gitlimmat.git.objects import (
    BIG,
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SYMLINK,
    MODE_TREE,
    Entry,
    Listed,
    ObjectBatch,
    copy_blob,
    list_tree,
    read_blob,
)
from gitlimmat.git.repository import Repository
from gitlimmat.git.stored import EMPTY_TREE
from gitlimmat.model import Stored
from gitlimmat.store.names import escape, unescape

# ruff: noqa: PTH102, PTH115, PTH211
# Paths are bytes here: a file name need not be text.

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DEEPEST = 512  # git itself refuses trees deeper than 2048
_MOST_TOLD = 100


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A stored directory; `tree` is None for one with nothing in it. `dropped` has `name: reason` lines."""

    tree: Stored | None
    dropped: tuple[str, ...]


class _Folder(msgspec.Struct):
    """A directory being saved. `parent` is None for the top."""

    path: bytes
    name: bytes
    parent: _Folder | None
    depth: int
    entries: dict[bytes, Entry]


def save_directory(batch: ObjectBatch, directory: Path) -> Saved:
    """Add everything below `directory` to `batch`; files of a megabyte and more are stored at once.

    Raises: GitError or OSError when storing fails; trouble with a single file only drops it.
    """
    return _Saving(batch, directory).save()


class _Saving:
    def __init__(self, batch: ObjectBatch, directory: Path) -> None:
        self._batch = batch
        self._top = os.fsencode(directory)
        self._dropped: list[str] = []
        self._size = 0
        self._big: list[tuple[_Folder, bytes, int, bytes]] = []

    def save(self) -> Saved:
        folders = [_Folder(self._top, b"", None, 0, {})]
        for folder in folders:  # grows while it is walked: every directory comes after its parent
            folders += self._save_files(folder)
        self._save_big()
        oid = EMPTY_TREE
        for folder in reversed(folders):
            oid = self._batch.tree(folder.entries)
            if folder.parent is not None:
                folder.parent.entries[folder.name] = Entry(MODE_TREE, oid)
        tree = Stored(oid=oid, size=self._size) if oid != EMPTY_TREE else None
        told = self._dropped[:_MOST_TOLD]
        if len(self._dropped) > _MOST_TOLD:
            told.append(f"… and {len(self._dropped) - _MOST_TOLD} more")
        return Saved(tree=tree, dropped=tuple(told))

    def _save_files(self, folder: _Folder) -> list[_Folder]:
        """Save what is directly in `folder`, and return the directories in it."""
        inner = []
        try:
            with os.scandir(folder.path) as found:
                files = sorted(found, key=lambda file: file.name)
        except OSError as error:
            self._drop(folder.path, error.strerror or "unreadable")
            return []
        for file in files:
            name = escape(file.name)
            try:
                status = file.stat(follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    self._save_file(folder, name, file.path, status)
                elif folder.depth >= _DEEPEST:
                    self._drop(file.path, "nested too deeply")
                else:
                    inner.append(_Folder(file.path, name, folder, folder.depth + 1, {}))
            except OSError as error:
                self._drop(file.path, error.strerror or "unreadable")
        return inner

    def _save_file(self, folder: _Folder, name: bytes, path: bytes, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(path)
            folder.entries[name] = Entry(MODE_SYMLINK, self._batch.blob(target))
            self._size += len(target)
            return
        if not stat.S_ISREG(status.st_mode):
            self._drop(path, _kind(status.st_mode))
            return
        mode = MODE_EXECUTABLE if status.st_mode & 0o100 else MODE_FILE
        with os.fdopen(os.open(path, _READ), "rb") as source:
            if status.st_size >= BIG:
                self._big.append((folder, name, mode, path))
                self._size += status.st_size
                return
            content = source.read()
        folder.entries[name] = Entry(mode, self._batch.blob(content))
        self._size += len(content)

    def _save_big(self) -> None:
        oids = self._batch.big_files([Path(os.fsdecode(path)) for *_, path in self._big])
        for (folder, name, mode, _), oid in zip(self._big, oids, strict=True):
            folder.entries[name] = Entry(mode, oid)

    def _drop(self, path: bytes, reason: str) -> None:
        name = path[len(self._top) + 1 :] or b"."
        self._dropped.append(f"{name.decode(errors='backslashreplace')}: {reason}")


def restore_directory(repository: Repository, oid: str, target: Path) -> None:
    """Write the tree `oid` into the empty directory `target`, and nowhere else.

    Raises: StoreError when something in it is missing, or no file can be what it says: it was not made here.
    OSError when writing fails. Part of it has been written then.
    """
    top = os.fsencode(target)
    try:
        listed = [(entry, _place(top, entry)) for entry in list_tree(repository, oid)]
        for entry, place in _directories_first(listed):
            if entry.mode == MODE_TREE:
                os.mkdir(place)
            elif entry.mode == MODE_SYMLINK:
                os.symlink(read_blob(repository.objects, entry.oid), place)
            else:
                _restore_file(repository, entry, place)
    except StoreError:
        raise
    except (LimmatError, FileExistsError) as error:
        raise StoreError(f"cannot restore artifacts '{oid}': {error}", hint="run the test again") from error


def list_files(repository: Repository, oid: str) -> list[str]:
    """Return the paths of all files and empty directories of a stored directory, the latter with a `/`.

    Raises: StoreError when something in it is missing.
    """
    try:
        listed = list_tree(repository, oid)
    except LimmatError as error:
        raise StoreError(f"cannot list artifacts '{oid}': {error}") from error
    paths = []
    for entry in listed:
        if entry.mode != MODE_TREE or entry.oid == EMPTY_TREE:
            name = b"/".join(unescape(part) or part for part in entry.path.split(b"/"))
            paths.append(os.fsdecode(name) + ("/" if entry.mode == MODE_TREE else ""))
    return paths


def _place(top: bytes, entry: Listed) -> bytes:
    """Return where an entry goes.

    Raises: StoreError for a name that leads elsewhere, and for what is neither file, link nor directory.
    """
    names = [unescape(part) for part in entry.path.split(b"/")]
    shown = entry.path.decode(errors="backslashreplace")
    if entry.mode not in (MODE_TREE, MODE_FILE, MODE_EXECUTABLE, MODE_SYMLINK, 0o100664):
        raise StoreError(f"cannot restore artifact '{shown}': mode {entry.mode:o} is not for files")
    inside = [name for name in names if name is not None]
    if len(inside) < len(names):
        raise StoreError(f"cannot restore artifact '{shown}': its name leads elsewhere")
    return b"/".join((top, *inside))


def _directories_first(listed: Iterable[tuple[Listed, bytes]]) -> Iterator[tuple[Listed, bytes]]:
    """Put symbolic links last, so that nothing is ever written through one."""
    return iter(sorted(listed, key=lambda item: (item[0].mode != MODE_TREE, item[0].mode == MODE_SYMLINK)))


def _restore_file(repository: Repository, entry: Listed, place: bytes) -> None:
    mode = 0o777 if entry.mode == MODE_EXECUTABLE else 0o666
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as out:
        if entry.size >= BIG:
            copy_blob(repository, entry.oid, out)
        else:
            out.write(read_blob(repository.objects, entry.oid))


def _kind(mode: int) -> str:
    if stat.S_ISSOCK(mode):
        return "a socket"
    if stat.S_ISFIFO(mode):
        return "a fifo"
    return "a device"
