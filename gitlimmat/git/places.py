"""The directories in which a change of refs, configuration or results shows, and what names in them mean.

Layer:  git.
Source: gitrepository-layout(5), git-worktree(1), DESIGN section 7.

Directories are watched and never files: git, and most editors, replace a file by renaming another to its
name. Nothing here depends on how one is told of changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import Enum, Flag, auto
from pathlib import Path
from typing import NamedTuple

import msgspec

from gitlimmat.git.reffiles import NOT_REFS
from gitlimmat.git.repository import Repository

_MOST_LINKS = 10


class News(Flag):
    """What may have changed. Being told for nothing is harmless."""

    REFS = auto()  # HEAD, a branch, a remote's branch, a tag, packed-refs, the state of a rebase
    RESULTS = auto()  # refs/limmat/ of the repository, or of the one that holds the results
    CONFIG = auto()  # one of the files given, or git's configuration
    GONE = auto()  # the repository's directory itself was removed, replaced or has come back


NOTHING = News(0)
CHANGES = News.REFS | News.RESULTS | News.CONFIG


class How(Enum):
    """What happened to a name in a directory."""

    CAME = auto()
    WRITTEN = auto()
    LEFT = auto()


class Meaning(NamedTuple):
    """What a change of one name is news of, and what else may have to be watched because of it."""

    news: News = NOTHING
    look_again: bool = False  # at all places
    grows: bool = False  # the name is a directory of refs that is to be watched


class Place(msgspec.Struct):
    """A directory to be watched.

    `names` are files in it, `ended` locks that matter when they are gone, `parts` entries that are or lead to
    other places. `rest` is what all other names mean, without `quiet` ones and locks: those of refs. With
    none of them it is only to be known whether the directory itself is moved or removed.
    """

    names: dict[str, News] = {}
    ended: dict[str, News] = {}
    parts: dict[str, News] = {}
    rest: News = NOTHING
    quiet: frozenset[str] = frozenset()

    @property
    def has_entries(self) -> bool:
        """Whether what is in the directory matters."""
        return bool(self.names or self.ended or self.parts or self.rest)

    @property
    def news(self) -> News:
        """All that may have changed here while nobody watched."""
        found = self.rest
        for news in (*self.names.values(), *self.parts.values()):
            found |= news
        return found & CHANGES

    def meaning(self, name: str, how: How, *, is_directory: bool) -> Meaning:
        """Return what a change of `name` means."""
        news = self.names.get(name, NOTHING)
        if how is How.LEFT:
            news |= self.ended.get(name, NOTHING)
        look_again = name in self.parts and how is not How.WRITTEN
        if look_again:
            news |= self.parts[name] & CHANGES
        if not self.rest or name in self.quiet or name.endswith(".lock"):
            return Meaning(news, look_again)
        return Meaning(news | self.rest, look_again, is_directory and how is How.CAME)


class Ground(NamedTuple):
    """What is followed. `results` is the git directory with refs/limmat/results; `files` need not exist."""

    repository: Repository
    results: Path
    files: tuple[Path, ...]

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories without which there is nothing to follow, first those of the repository."""
        return tuple(dict.fromkeys((self.repository.common_dir, self.repository.git_dir, self.results)))

    def identity(self) -> tuple[tuple[int, int] | None, ...]:
        """Return what tells the repository's directories from others in their place; None if gone."""
        return _inode(self.repository.common_dir), _inode(self.repository.git_dir)


def survey(ground: Ground) -> dict[str, Place]:
    """Return the places to be watched as things are now, by their real paths. All of them exist."""
    found = _Survey(ground)
    repository, results = ground.repository, ground.results
    for directory in ground.directories:
        is_ours = directory in (repository.common_dir, repository.git_dir)
        found.directory(directory, News.GONE if is_ours else News.RESULTS, is_main=True)
    found.files(repository.common_dir, News.CONFIG, "config")
    # packed-refs.lock is taken for each checkout in any worktree, ours too: it says nothing when it goes
    found.files(repository.common_dir, News.REFS, "packed-refs")
    found.files(repository.git_dir, News.CONFIG, "config.worktree")
    found.files(repository.git_dir, News.REFS, "HEAD", "rebase-merge", "rebase-apply", lock="HEAD.lock")
    for directory in {repository.common_dir, repository.git_dir}:
        found.refs(directory / "refs")
    found.files(results, News.RESULTS, "packed-refs")
    found.directory(results / "refs", News.RESULTS)
    found.files(results / "refs" / "limmat", News.RESULTS, "results")
    for path in ground.files:
        for hop in hops(path):
            found.files(hop.parent, News.CONFIG, hop.name)
    return found.places


def directories_below(top: str, skipped: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield `top` and all directories below, without those in it of a `skipped` name.

    Each is listed only after it was taken from here: whoever watches it at once misses nothing.
    """
    yield top
    try:
        with os.scandir(top) as listing:
            entries = [entry for entry in listing if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for entry in entries:
        if entry.name not in skipped:
            yield from directories_below(entry.path)


def hops(path: Path) -> Iterator[Path]:
    """Yield `path` as an absolute one and, if it is a symbolic link, what it leads to step by step."""
    for _ in range(_MOST_LINKS):
        path = Path(os.path.abspath(path))  # noqa: PTH100 - links must stay
        yield path
        try:
            path = path.parent / path.readlink()
        except OSError:
            return


class _Survey:
    """Places found so far."""

    def __init__(self, ground: Ground) -> None:
        self.places: dict[str, Place] = {}
        self._home = _real(ground.repository.worktree or ground.repository.common_dir)

    def directory(self, path: Path, news: News, *, is_main: bool = False) -> Place | None:
        """Watch a directory, and for its coming and going; return its place if it is there.

        A directory that some process is in does not tell of its end. So in the user's worktree each one is
        watched in the one above it; for what is missing the nearest one that is there is watched, and if the
        repository itself is missing all of them, because each may be a leftover of that kind.
        """
        child = path = _real(path)
        exists = reached = os.path.isdir(path)  # noqa: PTH112 - that of a Path may raise
        for parent in path.parents:
            if os.path.isdir(parent):  # noqa: PTH112
                place = self._at(parent)
                at_home = parent == self._home or self._home in parent.parents
                if not reached or at_home or (is_main and (child == path or not exists)):
                    place.parts[child.name] = place.parts.get(child.name, NOTHING) | news
                reached = True
            child = parent
        return self._at(path) if exists else None

    def files(self, directory: Path, news: News, *names: str, lock: str | None = None) -> None:
        """Watch files of a directory, which need not exist."""
        place = self.directory(directory, news)
        if place is None:
            return
        for name in names:
            place.names[name] = place.names.get(name, NOTHING) | news
        if lock is not None:
            place.ended[lock] = news

    def refs(self, top: Path) -> None:
        """Watch a directory of refs and all below."""
        place = self.directory(top, News.REFS)
        if place is None:
            return
        place.rest, place.quiet = News.REFS, NOT_REFS
        for path in directories_below(os.fspath(_real(top)), NOT_REFS):
            self._at(Path(path)).rest = News.REFS

    def _at(self, path: Path) -> Place:
        return self.places.setdefault(os.fspath(path), Place())


def _real(path: Path) -> Path:
    """Return the one path of a directory: the kernel has one watch for all its names."""
    return Path(os.path.realpath(path))


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
