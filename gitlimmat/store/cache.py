"""Stored artifacts and outputs as directories and files, made when they are needed.

Layer:  store.
Owns:   `<state>/cache`. An entry is a directory `<oid>` (or `<oid>-1`, … while that is in use and spoilt),
        with `<oid>.json`, what it looked like when it was made, and `<oid>.lock`: shared while the entry is
        in use, exclusive while it is made or removed. `<oid>.tmp` is one being made. All can be deleted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import xxhash

from gitlimmat.errors import LimmatError, StoreError
from gitlimmat.git.modes import make_directory, open_lock, share
from gitlimmat.git.objects import copy_blob
from gitlimmat.store.artifacts import restore_directory
from gitlimmat.store.bytelocks import is_file_at, try_flock
from gitlimmat.store.removal import remove_tree
from gitlimmat.store.store import Store

DEFAULT_LIMIT = 10 << 30
_SPARE = 0.9  # eviction goes on until this part of the limit is used, so that it is rare
_WAIT_S = 600.0
_POLL_S = 0.01

_Make = Callable[[Path], None]


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry looked like when it was made. `size` is the bytes of its files."""

    looks: str
    size: int


class Cache:
    """Directories made of stored trees and blobs, at most `limit` bytes of them, least recently used go.

    Entries are checked before each use: one that a job has changed is made again. Thread-safe.
    """

    def __init__(self, store: Store, *, limit: int = DEFAULT_LIMIT) -> None:
        self._store = store
        self._top = store.state_dir / "cache"
        self._limit = limit
        self._used: int | None = None

    def artifacts(self, oid: str) -> Path:
        """Return a directory with the content of a stored tree.

        Raises: StoreError when the tree is damaged or missing, or the directory cannot be made.
        """
        with self.pinned(oid) as path:
            return path

    @contextmanager
    def pinned(self, oid: str) -> Iterator[Path]:
        """Like `artifacts`, for as long as the context lasts.

        Raises: StoreError as `artifacts` does.
        """

        def make(path: Path) -> None:
            restore_directory(self._store.database, oid, path)

        with self._entry(oid, make, lambda path: True) as path:
            yield path

    def output(self, oid: str, name: str) -> Path:
        """Return a file called `name` with the content of a stored blob.

        Raises: StoreError when the blob is damaged or missing, or the file cannot be made.
        """

        def make(path: Path) -> None:
            with (path / name).open("wb") as out:
                copy_blob(self._store.database, oid, out)

        with self._entry(oid, make, lambda path: (path / name).is_file()) as path:
            return path / name

    def adopt(self, directory: Path, oid: str) -> Path:
        """Make `directory`, which holds just what tree `oid` does, the entry of that tree by moving it here.

        Raises: StoreError when that is impossible.
        """

        def make(path: Path) -> None:
            path.rmdir()
            directory.replace(path)

        with self._entry(oid, make, lambda path: True) as path:
            return path

    def evict(self, limit: int | None = None) -> int:
        """Remove least recently used entries until `limit` bytes are left; return how many bytes went.

        Entries in use stay. What a killed process was making is removed as well.
        """
        limit = self._limit if limit is None else limit
        entries = sorted(self._entries())
        total = sum(max(size, 0) for _, size, _ in entries)
        freed = 0
        for _, size, path in entries:
            if total - freed <= limit and size >= 0:
                break
            if self._remove(path):
                freed += max(size, 0)
        self._used = total - freed
        return freed

    @contextmanager
    def _entry(self, oid: str, make: _Make, has: Callable[[Path], bool]) -> Iterator[Path]:
        try:
            make_directory(self._top)
            path, handle = self._find(oid, make, has)
        except StoreError:
            raise
        except LimmatError as error:
            raise StoreError(error.message, hint="run the test again") from error
        except OSError as error:
            raise StoreError(f"cannot make '{self._top / oid}': {error.strerror}") from error
        try:
            yield path
        finally:
            os.close(handle)

    def _find(self, oid: str, make: _Make, has: Callable[[Path], bool]) -> tuple[Path, int]:
        """Return a good entry and the open lock that keeps it."""
        end = time.monotonic() + _WAIT_S
        number = 0
        while time.monotonic() < end:
            path = self._top / (f"{oid}-{number}" if number else oid)
            handle = _open_lock(path)
            if not try_flock(handle, shared=True):  # being made, or removed, by someone else
                os.close(handle)
                time.sleep(_POLL_S)
                continue
            if is_file_at(handle, _beside(path, "lock")) and _is_good(path) and has(path):
                os.utime(_beside(path, "json"))
                return path, handle
            os.close(handle)
            if not self._make(path, make, has):
                number += 1
        raise StoreError(f"cannot make '{self._top / oid}': someone else is at it for too long")

    def _make(self, path: Path, make: _Make, has: Callable[[Path], bool]) -> bool:
        """Make an entry anew; return False when it is in use and so must be left alone."""
        handle = _open_lock(path)
        try:
            if not try_flock(handle):
                return False
            if not is_file_at(handle, _beside(path, "lock")) or (_is_good(path) and has(path)):
                return True
            _beside(path, "json").unlink(missing_ok=True)
            aside = _beside(path, "tmp")
            if not (remove_tree(aside) and remove_tree(path)):
                return False
            aside.mkdir()
            try:
                make(aside)
            except BaseException:
                remove_tree(aside)
                raise
            aside.rename(path)
            self._account(_write_manifest(path))
            return True
        finally:
            os.close(handle)

    def _account(self, size: int) -> None:
        if self._used is None:
            self._used = sum(max(size, 0) for _, size, _ in self._entries())
        else:
            self._used += size
        if self._used > self._limit:
            self.evict(int(self._limit * _SPARE))

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Yield when each entry was last used, its size and its path; those never finished have size -1."""
        try:
            names = {path.name.partition(".")[0] for path in self._top.iterdir()}
        except OSError:
            return
        for name in names:
            path = self._top / name
            manifest = _read_manifest(path)
            if manifest is None:
                yield 0.0, -1, path
            else:
                yield _beside(path, "json").stat().st_mtime, manifest.size, path

    def _remove(self, path: Path) -> bool:
        handle = _open_lock(path)
        lock = _beside(path, "lock")
        try:
            if not try_flock(handle) or not is_file_at(handle, lock):
                return False
            _beside(path, "json").unlink(missing_ok=True)
            gone = remove_tree(path) and remove_tree(_beside(path, "tmp"))
            lock.unlink(missing_ok=True)
            return gone
        finally:
            os.close(handle)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}.{kind}")


def _open_lock(path: Path) -> int:
    return open_lock(_beside(path, "lock"))


def _read_manifest(path: Path) -> _Manifest | None:
    try:
        return msgspec.json.decode(_beside(path, "json").read_bytes(), type=_Manifest)
    except (OSError, msgspec.MsgspecError):
        return None


def _write_manifest(path: Path) -> int:
    looks, size = _look(path)
    manifest = _beside(path, "json")
    aside = _beside(path, "json-tmp")
    with aside.open("wb") as out:
        out.write(msgspec.json.encode(_Manifest(looks=looks, size=size)))
        share(out.fileno(), aside)  # whoever uses the entry says so in its time
    aside.replace(manifest)
    return size


def _is_good(path: Path) -> bool:
    manifest = _read_manifest(path)
    return manifest is not None and manifest.looks == _look(path)[0]


def _look(top: Path) -> tuple[str, int]:
    """Return a digest of how all below `top` looks, and the size of the files.

    The time of the last change of an inode cannot be set, so it shows every change of content, mode or
    entries without reading any file.
    """
    digest = xxhash.xxh3_128()
    size = 0
    waiting = [os.fspath(top)]
    try:
        while waiting:
            folder = waiting.pop()
            digest.update(_signature("", os.lstat(folder)))
            with os.scandir(folder) as found:
                for entry in sorted(found, key=lambda entry: entry.name):
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        size += status.st_size
                    digest.update(_signature(entry.name, status))
    except OSError:
        return "", 0
    return digest.hexdigest(), size


def _signature(name: str, status: os.stat_result) -> bytes:
    text = f"{name}\0{status.st_mode:o} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\0"
    return text.encode(errors="surrogateescape")
