"""Follow the queue of another repository: fetch its timelines, fold them here, tell what is new.

Layer:  service. Read only: nothing of the other repository, and nothing of this one's own queue, is changed.
Owns:   what is fetched to refs/limmat/remotes/<remote>/queue/: the timelines, not what they are about.

A fetch moves all refs or none. So an error in the middle of it leaves the state as it was before.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator

import msgspec

from gitlimmat.errors import GitError, LimmatError, UsageError
from gitlimmat.git.repository import Repository
from gitlimmat.queue.sentence import sentence
from gitlimmat.queue.state import Change, Forge
from gitlimmat.store.timeline import OWN, Entry, Loaded, Timelines, remote_refs

_SHORT = 12


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has happened to a change, or to the queue (None). Units: seconds since the epoch."""

    change: int | None
    at: float
    text: str


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What a look has found. `told` is empty at the first one, when everything is new.

    `rewritten` names timelines that have lost events, `damaged` says by number what cannot be read.
    """

    loaded: Loaded
    is_first: bool
    told: tuple[Told, ...] = ()
    rewritten: tuple[int | None, ...] = ()

    @property
    def open_changes(self) -> tuple[Change, ...]:
        """The changes that are still wanted, by number."""
        return tuple(each for each in self.loaded.changes.values() if each.forge is Forge.OPEN)


class Follower:
    """The copy of one remote's queue; it remembers what it has folded."""

    def __init__(self, repository: Repository, remote: str | None) -> None:
        self.repository = repository
        self.remote = remote or default_remote(repository)
        self.below = remote_refs(remote_name(repository, self.remote))
        self.timelines = Timelines(repository, below=self.below)
        self._is_first = True

    def look(self) -> News:
        """Fetch what is new, and return it.

        Raises: GitError when the remote cannot be fetched from; the state is as it was before then.
        """
        before = self.timelines.load()
        is_first = self._is_first and not (before.tips or before.damaged or before.queue_tip)
        self._fetch()
        self._is_first = False
        after = self.timelines.load()
        if after.tips != before.tips or after.queue_tip != before.queue_tip:
            self.timelines.keep()
        if is_first:
            return News(loaded=after, is_first=True)
        told: list[Told] = []
        rewritten: list[int | None] = []
        for change, old, new in _moved(before, after):
            entries = self.timelines.entries(change)
            known = [entry.oid for entry in entries]
            if old is not None and old not in known:
                rewritten.append(change)
            start = known.index(old) + 1 if old in known else 0
            told += _told(change, entries[start:]) if new else ()
        told.sort(key=lambda each: each.at)
        return News(loaded=after, is_first=False, told=tuple(told), rewritten=tuple(rewritten))

    def _fetch(self) -> None:
        specs = [f"+{OWN}/{each}:{self.below}/{each}" for each in ("changes/*/meta", "tree/*")]
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc")
        try:
            self.repository.git.call("fetch", *quiet, "--atomic", "--", self.remote, *specs)
        except GitError as error:
            said = error.stderr.partition("\n")[0].removeprefix("fatal: ") or error.message
            raise GitError(
                f"cannot fetch the queue of '{self.remote}': {said}",
                stderr=error.stderr,
                hint="what was fetched before is still there, and unchanged",
            ) from error


def follow(
    follower: Follower, tell: Callable[[News], None], warn: Callable[[str], None], interval_s: float
) -> None:
    """Look again and again, and pass on whatever is new, until interrupted. A remote may be away for a while.

    Raises: LimmatError when the first look fails.
    """
    tell(follower.look())
    while True:
        time.sleep(interval_s)
        try:
            news = follower.look()
        except LimmatError as error:
            warn(error.message)
            continue
        tell(news)


def default_remote(repository: Repository) -> str:
    """Return `origin`, or the only remote there is.

    Raises: UsageError when there is no such remote.
    """
    names = repository.git.text("remote").split()
    if "origin" in names:
        return "origin"
    if len(names) != 1:
        raise UsageError(
            "there is neither origin nor one remote alone", hint="name a remote, or give its URL"
        )
    return names[0]


def remote_name(repository: Repository, remote: str) -> str:
    """Return what the copies of a remote's refs are called after: its name, or a digest of its URL."""
    if remote in repository.git.text("remote").split():
        return remote
    return f"url-{hashlib.sha256(remote.encode(errors='surrogateescape')).hexdigest()[:_SHORT]}"


def _moved(before: Loaded, after: Loaded) -> Iterator[tuple[int | None, str | None, str | None]]:
    if before.queue_tip != after.queue_tip:
        yield None, before.queue_tip, after.queue_tip
    for number, new in after.tips.items():
        if (old := before.tips.get(number)) != new and number not in before.damaged:
            yield number, old, new


def _told(change: int | None, entries: tuple[Entry, ...]) -> Iterator[Told]:
    for entry in entries:
        for event in entry.events:
            yield Told(change=change, at=getattr(event, "at", 0.0), text=sentence(event))
