"""A commit as bytes: what it says, and how to make one.

Layer:  git.
Format: git's own, see gitformat-commit in the git sources; messages that we write are UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from gitlimmat.git.objects import DamagedObjectError

if TYPE_CHECKING:
    import pygit2

_PERSON = re.compile(rb"(.*?) ?<([^<>]*)> ?([0-9]{1,18})?", re.DOTALL)
_CRUD = re.compile(r"[\x00-\x1f<>\x7f]")
_LATEST = (1 << 32) - 1  # a commit may claim any date; ours stay in what every git can show
_COMMIT = 1


class RawCommit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit. `author` is the line as it is written, `message` is text in UTF-8 with surrogates kept.

    Units: `committed` is in seconds since the epoch.
    """

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: bytes
    committed: int
    message: str

    @property
    def subject(self) -> str:
        """The first paragraph in one line, as git joins it."""
        paragraph = self.message.lstrip("\n").partition("\n\n")[0]
        return " ".join(line.strip() for line in paragraph.split("\n") if line.strip())

    @property
    def author_name(self) -> str:
        """The author without the date: `Name <email>`."""
        match = _PERSON.match(self.author)
        raw = self.author if match is None else b"%s <%s>" % (match[1], match[2])
        return raw.decode(errors="replace")


def read_raw(objects: pygit2.Repository, oid: str) -> RawCommit:
    """Return a commit.

    Raises: DamagedObjectError when it is missing, unreadable or not a commit.
    """
    import pygit2

    try:
        kind, data = objects.read(oid)
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise DamagedObjectError(f"cannot read commit '{oid}': {error}") from error
    if kind != _COMMIT:
        raise DamagedObjectError(f"cannot read commit '{oid}': it is something else")
    return parse_raw(oid, data)


def parse_raw(oid: str, data: bytes) -> RawCommit:
    """Return what the text of a commit says; never raises for one that git would accept."""
    header, _, message = data.partition(b"\n\n")
    lines = [line.partition(b" ")[::2] for line in header.split(b"\n") if not line.startswith(b" ")]
    found = dict(reversed(lines))
    encoding = found.get(b"encoding", b"utf-8").decode(errors="replace")
    date = _PERSON.match(found.get(b"committer", b""))
    return RawCommit(
        oid=oid,
        tree=found.get(b"tree", b"").decode(errors="replace"),
        parents=tuple(rest.decode(errors="replace") for word, rest in lines if word == b"parent"),
        author=_recoded(found.get(b"author", b""), encoding),
        committed=min(int(date[3] or 0), _LATEST) if date else 0,
        message=_decoded(message, encoding),
    )


def person(name: str, email: str, date: int) -> bytes:
    """Return what is written for someone at a date, in UTC."""
    return f"{_tidy(name) or 'unknown'} <{_tidy(email)}> {date} +0000".encode(errors="replace")


def commit_text(tree: str, parents: Sequence[str], author: bytes, committer: bytes, message: str) -> bytes:
    """Return the text of a commit; its message ends in one newline and has no NUL."""
    above = "".join(f"parent {oid}\n" for oid in parents).encode()
    words = (message.replace("\0", "").rstrip("\n") + "\n").encode(errors="surrogateescape")
    return b"tree %s\n%sauthor %s\ncommitter %s\n\n%s" % (tree.encode(), above, author, committer, words)


def _tidy(text: str) -> str:
    return _CRUD.sub("", text).strip(" .,:;\"'\\")


def _decoded(raw: bytes, encoding: str) -> str:
    """Bytes that are not what the commit says they are stay as they are."""
    try:
        return raw.decode(encoding)
    except (LookupError, UnicodeDecodeError):
        return raw.decode(errors="surrogateescape")


def _recoded(raw: bytes, encoding: str) -> bytes:
    return _decoded(raw, encoding).encode(errors="surrogateescape")
