"""Repositories made by `git fast-import`: any size in seconds, the same commits each time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sandbox import git

if TYPE_CHECKING:
    from gitlimmat.model import Commit

_FIRST_DATE = 1_750_000_000
_LINES = 20


class Shape(NamedTuple):
    """What a repository looks like: a tree of `fanout` directories, and commits on top of the first one.

    `fanout` ends with the number of files in each of the lowest directories: (50, 50, 20) is 50,000 files.
    Each of `commits` changes `changes` files.
    """

    fanout: tuple[int, ...]
    commits: int
    changes: int = 1


def make(path: Path, shape: Shape) -> Path:
    """Make a repository with its branch `main` checked out; `main~<commits>` is the first commit."""
    path.mkdir(parents=True)
    git(path, "init", "-q")
    git(path, "fast-import", "--quiet", stdin=b"".join(_stream(shape)))
    git(path, "repack", "-adq")
    git(path, "reset", "-q", "--hard", "main")
    git(path, "update-index", "-q", "--refresh")
    return path


def clone(source: Path, path: Path) -> Path:
    """Make an independent copy of a repository, with its worktree."""
    git(source.parent, "clone", "-q", "--no-hardlinks", str(source), str(path))
    git(path, "remote", "remove", "origin")
    return path


def commits(path: Path, count: int) -> list[Commit]:
    """Return the newest `count` commits, oldest first."""
    from gitlimmat.model import Commit

    lines = git(path, "log", "--reverse", "--format=%H %T", f"-n{count}", "main").splitlines()
    return [Commit(id=line[:40], tree=line[41:]) for line in lines]


def size_of_objects(path: Path) -> int:
    """Return the bytes that the object database takes."""
    return sum(entry.stat().st_size for entry in (path / ".git" / "objects").rglob("*") if entry.is_file())


def _names(fanout: tuple[int, ...], prefix: str = "") -> Iterator[str]:
    if len(fanout) == 1:
        yield from (f"{prefix}file{number:03}.txt" for number in range(fanout[0]))
        return
    for number in range(fanout[0]):
        yield from _names(fanout[1:], f"{prefix}dir{number:02}/")


def _stream(shape: Shape) -> Iterator[bytes]:
    """Yield a fast-import stream: a commit of all files, then the others."""
    names = list(_names(shape.fanout))
    yield _header(0)
    for name in names:
        yield _file(name, 0)
    stride = max(1, len(names) // 7) | 1
    place = 0
    for number in range(1, shape.commits + 1):
        yield _header(number)
        for _ in range(shape.changes):
            place = (place + stride) % len(names)
            yield _file(names[place], number)


def _header(number: int) -> bytes:
    subject = f"commit {number}: change what the last one left\n".encode()
    author = f"A U Thor <author@example.com> {_FIRST_DATE + 60 * number} +0000"
    return (
        f"commit refs/heads/main\nauthor {author}\ncommitter {author}\ndata {len(subject)}\n".encode()
        + subject
    )


def _file(name: str, version: int) -> bytes:
    lines = [f"{name} line {line} of {_LINES}\n" for line in range(_LINES)]
    lines[version % _LINES] = f"{name} was changed in {version}\n"
    content = "".join(lines).encode()
    return f"M 100644 inline {name}\ndata {len(content)}\n".encode() + content + b"\n"
