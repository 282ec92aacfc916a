"""One commit with everything that is written in it.

Layer: git.
"""

from __future__ import annotations

import re

import msgspec

from gitlimmat.git.message import printable
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit

_ID = re.compile(r"[0-9a-f]{40}")
_PERSON = re.compile(r"(.*?) ?<([^<>]*)> ?(-?[0-9]{1,18})?.*", re.DOTALL)
_COMMIT = 1
_ABBREVIATED = 10


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who made a commit, and when, in seconds since the epoch."""

    name: str
    email: str
    time: int


class FullCommit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit. `message` keeps its lines, has no other control characters and no blank lines at its ends."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0].strip()

    @property
    def abbreviated(self) -> str:
        """The beginning of the id, for people."""
        return self.id[:_ABBREVIATED]

    @property
    def plain(self) -> Commit:
        """What results are about."""
        return Commit(id=self.id, tree=self.tree)


def read_full_commit(repository: Repository, oid: str) -> FullCommit | None:
    """Return the commit of a full id in lower case; None when there is none, or it cannot be read."""
    import pygit2

    if not _ID.fullmatch(oid):
        return None
    try:
        kind, data = repository.objects.read(oid)
    except (KeyError, ValueError, pygit2.GitError):
        return None
    return _parse(oid, data) if kind == _COMMIT else None


def _parse(oid: str, data: bytes) -> FullCommit:
    header, _, message = data.partition(b"\n\n")
    lines = [line.partition(b" ")[::2] for line in header.split(b"\n") if not line.startswith(b" ")]
    found = dict(reversed(lines))
    encoding = found.get(b"encoding", b"utf-8").decode(errors="replace")
    text = "\n".join(printable(line.rstrip()) for line in _decode(message, encoding).split("\n"))
    return FullCommit(
        id=oid,
        tree=found.get(b"tree", b"").decode(errors="replace"),
        parents=tuple(rest.decode(errors="replace") for word, rest in lines if word == b"parent"),
        author=_person(_decode(found.get(b"author", b""), encoding)),
        committer=_person(_decode(found.get(b"committer", b""), encoding)),
        message=text.strip("\n"),
    )


def _person(text: str) -> Person:
    match = _PERSON.fullmatch(text)
    if match is None:
        return Person(name=printable(text), email="", time=0)
    return Person(name=printable(match[1]), email=printable(match[2]), time=int(match[3] or 0))


def _decode(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding, errors="replace")
    except LookupError:
        return raw.decode(errors="replace")
