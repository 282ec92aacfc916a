"""Objects: read them with damage told apart, compute many in memory and write them durably.

Layer:  git.
Format: git's own: loose objects, and packs that `git index-pack` makes from a stream.

Ids are computed here, so a whole set of trees can be built before anything is written. A few objects
become loose ones, each flushed; many become one pack, flushed once. Big files never pass through memory.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from gitlimmat.errors import GitError, LimmatError
from gitlimmat.git.loose import CutObjectError, read_loose
from gitlimmat.git.packs import KEEP_REASON, is_being_packed
from gitlimmat.git.repository import Repository
from gitlimmat.git.stored import EMPTY_TREE, are_stored

if TYPE_CHECKING:
    import pygit2

MODE_TREE, MODE_FILE, MODE_EXECUTABLE, MODE_SYMLINK = 0o040000, 0o100644, 0o100755, 0o120000
BIG = 1 << 20  # files of this many bytes and more are written by git itself

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_COMMIT, _TREE, _BLOB = 1, 2, 3
_NAMES = {_COMMIT: b"commit", _TREE: b"tree", _BLOB: b"blob"}
_KINDS = {name: kind for kind, name in _NAMES.items()}
_MOST_LOOSE = 16  # up to here flushing each costs no more than starting index-pack (measured)
_MOST_PENDING = 32 << 20
_ARGUMENTS = 256
_TURNS = 5


class DamagedObjectError(LimmatError):
    """An object is missing, unreadable or of another kind than what points to it says."""


class Entry(NamedTuple):
    """One entry of a tree: git's mode and the full hexadecimal id."""

    mode: int
    oid: str


class CommitHeader(NamedTuple):
    """The header of a commit: its tree, its parents and the author line."""

    tree: str
    parents: tuple[str, ...]
    author: str


class Listed(NamedTuple):
    """One line of a recursive listing. `path` is relative and as stored; `size` is 0 for a tree."""

    mode: int
    oid: str
    size: int
    path: bytes


def read_blob(objects: pygit2.Repository, oid: str) -> bytes:
    """Return the content of a blob.

    Raises: DamagedObjectError when it is missing, unreadable or not a blob.
    """
    return _read(objects, oid, _BLOB)


def read_tree(objects: pygit2.Repository, oid: str) -> dict[bytes, Entry]:
    """Return the entries of a tree in git's order.

    Raises: DamagedObjectError when it is missing, unreadable or not a tree.
    """
    raw = _read(objects, oid, _TREE)
    found = _ENTRY.findall(raw)
    if sum(len(mode) + len(name) for mode, name, _ in found) + 22 * len(found) != len(raw):
        raise DamagedObjectError(f"cannot read tree '{oid}': its format is wrong")
    return {name: Entry(int(mode, 8), digest.hex()) for mode, name, digest in found}


def read_commit(objects: pygit2.Repository, oid: str) -> CommitHeader:
    """Return what the header of a commit says.

    Raises: DamagedObjectError when it is missing, unreadable or not a commit.
    """
    header = _read(objects, oid, _COMMIT).partition(b"\n\n")[0].decode(errors="replace")
    words = [line.partition(" ")[::2] for line in header.split("\n")]
    found = dict(reversed(words))
    parents = tuple(rest for word, rest in words if word == "parent")
    return CommitHeader(found.get("tree", ""), parents, found.get("author", ""))


def has_object(objects: pygit2.Repository, oid: str) -> bool:
    """Whether an object of this id is there; its content is not looked at."""
    return oid in objects.odb  # `in objects` would read it whole


def blob_size(objects: pygit2.Repository, oid: str) -> int | None:
    """Return how many bytes a blob has, without reading it; None when it is missing or damaged."""
    try:
        kind, size = _header(objects, oid)
    except DamagedObjectError:
        return None
    return size if kind == _BLOB else None


def object_size(objects: pygit2.Repository, oid: str) -> int:
    """Return how many bytes an object of any kind has, without reading it.

    Raises: DamagedObjectError when it is missing or unreadable.
    """
    return _header(objects, oid)[1]


def _header(objects: pygit2.Repository, oid: str) -> tuple[int, int]:
    import pygit2

    try:
        kind, size = objects.odb.read_header(oid)
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise DamagedObjectError(f"cannot read object '{oid}': {error}") from error
    return kind, int(size)


def list_tree(repository: Repository, oid: str) -> tuple[Listed, ...]:
    """Return everything below a tree, directories before what is in them, in git's order.

    Raises: DamagedObjectError when any tree or blob below is missing.
    """
    if oid == EMPTY_TREE:
        return ()
    try:
        out = repository.git.call("ls-tree", "-r", "-t", "-l", "-z", "--full-tree", oid)
    except GitError as error:
        raise DamagedObjectError(f"cannot read tree '{oid}': {error}") from error
    listed = []
    for line in out.split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, _, blob, size = about.split()
        if size == b"BAD":
            raise DamagedObjectError(f"cannot read tree '{oid}': blob '{blob.decode()}' is missing")
        listed.append(Listed(int(mode, 8), blob.decode(), 0 if size == b"-" else int(size), path))
    return tuple(listed)


def copy_blob(repository: Repository, oid: str, out: IO[bytes]) -> None:
    """Copy the content of a blob of any size to a file, through git and not through our memory.

    Raises: DamagedObjectError when it cannot be read; part of it may have been written.
    """
    try:
        repository.git.call_into(out, "cat-file", "blob", oid)
    except GitError as error:
        raise DamagedObjectError(f"cannot read blob '{oid}': {error}") from error


def blob_id(data: bytes) -> str:
    """Return the id a blob with this content has."""
    return _id(_BLOB, data)


class ObjectBatch:
    """Objects to write together: add in any order, `write`, let a ref point at them, `confirm`, `release`.

    A `git gc --prune=now` removes what no ref leads to, and what is newer than its look at the refs, too.
    While one is at work, `write` puts everything into packs that are marked to be kept, and `release` takes
    the marks off. Such a pack has a name that was never there: gc removes the packs that it found unmarked,
    whatever is put there later under the name of one.
    Not for use by two threads at once.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._pending: dict[str, tuple[int, bytes]] = {}
        self._bytes = 0
        self._fresh: dict[str, tuple[int, bytes]] = {}  # what the last `write` wrote
        self._stored: set[str] = set()  # what was written before it, and big files
        self._kept: list[str] = []
        self._safe: set[str] = set()  # what is in a pack of `_kept`
        self.packs: list[str] = []  # names of the packs written so far

    def blob(self, data: bytes) -> str:
        """Add a blob and return its id."""
        return self._add(_BLOB, data)

    def tree(self, entries: Mapping[bytes, Entry]) -> str:
        """Add a tree and return its id; the order of `entries` does not matter."""
        return self._add(_TREE, _tree_text(entries))

    def commit(self, text: bytes) -> str:
        """Add a commit given as its raw text and return its id."""
        return self._add(_COMMIT, text)

    def raw(self, kind: str, data: bytes) -> str:
        """Add a commit, tree or blob as git stores it and return its id."""
        return self._add({name.decode(): number for number, name in _NAMES.items()}[kind], data)

    def big_files(self, paths: Sequence[Path]) -> list[str]:
        """Store the content of files as blobs at once, whatever their size, and return the ids in order.

        Raises: GitError when a file cannot be read or stored.
        """
        oids: list[str] = []
        for start in range(0, len(paths), _ARGUMENTS):
            words = [os.fspath(path) for path in paths[start : start + _ARGUMENTS]]
            oids += self._repository.git.text("hash-object", "-w", "--no-filters", "--", *words).split()
        self._stored.update(oids)
        return oids

    def write(self) -> None:
        """Make all added objects durable. On return they survive a crash of the machine, and a gc at work.

        Raises: GitError or OSError when that failed; some of them may have been written.
        """
        self._stored.update(self._fresh)
        pending = self._fresh = self._pending
        self._pending, self._bytes = {}, 0
        if is_being_packed(self._repository):
            self._keep()
            return
        if len(pending) > _MOST_LOOSE:
            try:
                self._write_pack(pending)
                return
            except GitError:
                # git compares with what is there already and gives up where that is damaged. Loose
                # objects replace it; a full disk fails again here, with its own words.
                pass
        for oid, (kind, data) in pending.items():
            _write_loose(self._repository.common_dir / "objects", oid, kind, data)

    def confirm(self) -> None:
        """To be called when a ref leads there.

        What a gc has removed that began since `write`, or may be about to, is written again: now it stays.
        Raises: GitError when that failed.
        """
        unsafe = (self._stored | self._fresh.keys()) - self._safe
        if is_being_packed(self._repository) or not are_stored(self._repository, unsafe):
            self._keep()

    def release(self) -> None:
        """Take the marks off the packs, whether a ref leads there or not. To be called in any case."""
        for name in self._kept:
            self._pack_path(name, ".keep").unlink(missing_ok=True)
        self._kept.clear()

    def _keep(self) -> None:
        """Put what is in no kept pack yet into new ones."""
        fresh = {oid: content for oid, content in self._fresh.items() if oid not in self._safe}
        if fresh:
            data = _pack(list(fresh.values()))
            self._write_kept(lambda words: self._repository.git.call(*words, stdin=data))
            self._safe.update(fresh)
        if stored := self._stored - self._safe:
            reading = ("pack-objects", "-q", "--stdout", "--window=0")
            listed = "".join(f"{oid}\n" for oid in sorted(stored)).encode()
            self._write_kept(lambda words: self._repository.git.pipe(reading, words, stdin=listed))
            self._safe.update(stored)

    def _write_kept(self, index: Callable[[Sequence[str]], object]) -> None:
        """Let `index` write a pack that is marked before it is there."""
        for turn in range(_TURNS):
            name = os.urandom(20).hex()
            mark = self._pack_path(name, ".keep")
            mark.parent.mkdir(exist_ok=True)
            mark.write_text(f"{KEEP_REASON}\n")
            try:
                index(("index-pack", "--stdin", os.fspath(self._pack_path(name, ".pack"))))
            except GitError:
                for suffix in (".idx", ".rev", ".pack", ".keep"):
                    self._pack_path(name, suffix).unlink(missing_ok=True)
                if turn == _TURNS - 1:
                    raise
            else:
                self._kept.append(name)
                self.packs.append(name)
                return

    def _write_pack(self, pending: Mapping[str, tuple[int, bytes]]) -> None:
        """Write a pack; `git prune` may remove its temporary files, which is worth another try."""
        data = _pack(list(pending.values()))
        for turn in range(_TURNS):
            try:
                said = self._repository.git.text("index-pack", "--stdin", stdin=data)
            except GitError:
                if turn == _TURNS - 1:
                    raise
            else:
                self.packs.append(said.split()[-1])
                return

    def _pack_path(self, name: str, suffix: str) -> Path:
        return self._repository.common_dir / "objects" / "pack" / f"pack-{name}{suffix}"

    def _add(self, kind: int, data: bytes) -> str:
        oid = _id(kind, data)
        if oid not in self._pending:
            self._pending[oid] = (kind, data)
            self._bytes += len(data)
            if self._bytes > _MOST_PENDING:
                self.write()
        return oid


def _read(objects: pygit2.Repository, oid: str, kind: int) -> bytes:
    import pygit2

    try:
        loose = read_loose(f"{objects.path}objects", oid)
        found, data = (_KINDS.get(loose.kind), loose.data) if loose is not None else objects.read(oid)
    except (KeyError, ValueError, CutObjectError, pygit2.GitError) as error:
        raise DamagedObjectError(f"cannot read {_NAMES[kind].decode()} '{oid}': {error}") from error
    if found != kind:
        raise DamagedObjectError(f"cannot read {_NAMES[kind].decode()} '{oid}': it is something else")
    return data


def _id(kind: int, data: bytes) -> str:
    digest = hashlib.sha1(b"%s %d\0" % (_NAMES[kind], len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def _tree_text(entries: Mapping[bytes, Entry]) -> bytes:
    names = sorted([name + b"/" if entry[0] == MODE_TREE else name for name, entry in entries.items()])
    lines = []
    for key in names:
        name = key.removesuffix(b"/")  # no name has one of its own
        mode, oid = entries[name]
        lines.append(b"%o %s\0%s" % (mode, name, bytes.fromhex(oid)))
    return b"".join(lines)


def _pack(pending: Sequence[tuple[int, bytes]]) -> bytes:
    """Return a pack of whole objects (gitformat-pack(5)); ids are left to whoever indexes it."""
    parts = [struct.pack(">4sII", b"PACK", 2, len(pending))]
    for kind, data in pending:
        parts += (_pack_header(kind, len(data)), zlib.compress(data, 1))
    digest = hashlib.sha1(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return b"".join((*parts, digest.digest()))


def _pack_header(kind: int, size: int) -> bytes:
    byte, size = kind << 4 | size & 15, size >> 4
    header = bytearray()
    while size:
        header.append(byte | 128)
        byte, size = size & 127, size >> 7
    header.append(byte)
    return bytes(header)


def _write_loose(directory: Path, oid: str, kind: int, data: bytes) -> None:
    """Write one loose object under its name, replacing what is there: it may be damaged.

    `git gc` removes directories that are empty, and temporary files, at any moment.
    """
    for turn in range(_TURNS):
        try:
            _write_loose_once(directory, oid, kind, data)
            return
        except FileNotFoundError:
            if turn == _TURNS - 1:
                raise


def _write_loose_once(directory: Path, oid: str, kind: int, data: bytes) -> None:
    folder = directory / oid[:2]
    mode = directory.stat().st_mode & 0o7777  # a shared repository shows in the mode of this directory
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
    handle, temporary = tempfile.mkstemp(prefix="tmp_obj_", dir=folder)  # git prunes what has this name
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(zlib.compress(b"%s %d\0" % (_NAMES[kind], len(data)) + data, 1))
            os.fchmod(handle, 0o444 & mode)
            out.flush()
            os.fsync(handle)
        Path(temporary).replace(folder / oid[2:])
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
