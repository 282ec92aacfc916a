"""Chains of commits without files, of which only the messages matter.

Layer: git.

Loose commits are read from their files, packed ones with libgit2: 100,000 of them take less than a second,
and no process. libgit2 is opened for the first of these: loading it takes longer than many loose ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from gitlimmat.git.loose import CutObjectError, LooseObjects
from gitlimmat.git.objects import DamagedObjectError
from gitlimmat.git.repository import Repository
from gitlimmat.git.stored import EMPTY_TREE

if TYPE_CHECKING:
    import pygit2

_COMMIT = 1
_TREE = slice(5, 45)
_EMPTY = EMPTY_TREE.encode()
_PARENT = slice(46, 53)  # after `tree <id>\n`
_ID = slice(53, 93)


class Link(NamedTuple):
    """A commit of a chain. `message` is its text as stored: subject, blank line, body."""

    oid: str
    message: bytes


class Chain(NamedTuple):
    """Commits, oldest first, and whether they begin right after the one that was known."""

    links: tuple[Link, ...]
    is_continued: bool


def read_chain(
    repository: Repository,
    tip: str,
    known: str | None = None,
    *,
    opened: Callable[[], pygit2.Repository] | None = None,
) -> Chain:
    """Return the commits from `tip` down its first parents: to `known` if that is met, else to the root.

    `opened` returns the handle to use, that of the repository if it is not given.
    Raises: DamagedObjectError naming the commit that is missing, unreadable, no commit, or one with files,
    and GitError when libgit2 cannot read this kind of repository.
    """
    links: list[Link] = []
    oid, loose = tip, LooseObjects(os.fspath(repository.common_dir))
    packed: _Packed | None = None
    while oid and oid != known:
        try:
            found = loose.read(oid)
        except CutObjectError as error:
            raise _damaged(oid, str(error)) from error
        if found is not None:
            is_commit, raw = found.kind == b"commit", found.data
        else:
            packed = packed or _Packed(opened() if opened is not None else repository.objects)
            is_commit, raw = packed.read(oid)
        if not is_commit:
            raise _damaged(oid, "it is something else")
        if raw[_TREE] != _EMPTY:
            raise _damaged(oid, "it has files, so it is none of ours")
        links.append(Link(oid, raw.partition(b"\n\n")[2]))
        oid = raw[_ID].decode() if raw[_PARENT] == b"parent " else ""
    links.reverse()
    return Chain(tuple(links), bool(oid) and oid == known)


class _Packed:
    """What libgit2 reads."""

    def __init__(self, objects: pygit2.Repository) -> None:
        import pygit2

        self._read = objects.read
        self._errors = (ValueError, pygit2.GitError)

    def read(self, oid: str) -> tuple[bool, bytes]:
        """Return whether it is a commit, and its text. Raises: DamagedObjectError."""
        try:
            kind, raw = self._read(oid)
        except KeyError as error:
            raise _damaged(oid, "it is not there") from error
        except self._errors as error:
            raise _damaged(oid, str(error)) from error
        return kind == _COMMIT, raw


def _damaged(oid: str, why: str) -> DamagedObjectError:
    return DamagedObjectError(f"cannot read commit '{oid}': {why}")


def commit_text(*, tree: str, parent: str | None, name: str, email: str, at: float, message: bytes) -> bytes:
    """Return the text of a commit, for `ObjectBatch.commit`; author and committer are the same.

    What git does not allow in a name or address is left out. Units: `at` is seconds since the epoch, UTC.
    """
    who = f"{_ident(name) or 'unknown'} <{_ident(email)}> {min(max(int(at), 0), _LAST)} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {who}", f"committer {who}"]
    return "\n".join(lines).encode(errors="replace") + b"\n\n" + message.replace(b"\0", b"")


_LAST = 253402300799  # the end of the year 9999


def _ident(text: str) -> str:
    kept = "".join(char if char.isprintable() and char not in "<>" else " " for char in text)
    return " ".join(kept.split()).strip(" .,:;\"'\\")
