"""Timelines of a merge queue: read and fold them, add to them, number new changes.

Layer:  store. May import git, queue, model, errors; may not spawn jobs, print or wait for them.
Owns:   refs/limmat/queue/ and, as copies of other repositories', refs/limmat/remotes/<remote>/queue/.
Format: 1, see gitlimmat-format(5). A timeline is a chain of commits that only ever gets longer; each commit
        has some events. What they amount to is kept in `<state>/queue/`, see store/folded.py.

Looking writes nothing. Adding is one ref transaction that expects what it replaces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from gitlimmat.errors import GitError, RefMovedError, StoreError
from gitlimmat.git.chain import Chain, commit_text, read_chain
from gitlimmat.git.objects import DamagedObjectError, ObjectBatch
from gitlimmat.git.reffiles import shared_refs
from gitlimmat.git.reflist import RefList, pack_refs
from gitlimmat.git.refs import (
    STALE_LOCK_S,
    RefUpdate,
    is_locked,
    remove_stale_lock,
    update_refs,
)
from gitlimmat.git.repository import Repository, open_libgit2
from gitlimmat.git.stored import EMPTY_TREE, are_stored, is_loose
from gitlimmat.queue.eventlines import decode_events, encode_events
from gitlimmat.queue.events import QUEUE, AnyEvent, ChangeEvent, QueueEvent, Unknown
from gitlimmat.queue.fold import fold_change, fold_queue
from gitlimmat.queue.sentence import subject
from gitlimmat.queue.state import Change, Closing, Queue
from gitlimmat.store.folded import Folded, Kept, States, keep_folded, read_folded, without_collection
from gitlimmat.store.locks import update_lock
from gitlimmat.store.packing import tidy

__all__ = [
    "OWN",
    "TREE_REF",
    "Addition",
    "Entry",
    "Loaded",
    "Timelines",
    "change_ref",
    "head_ref",
    "remote_refs",
    "run_ref",
]

OWN = "refs/limmat/queue"
"""What the names of all refs of this repository's own queue begin with."""
TREE_REF = f"{OWN}/tree/meta"

_ADDRESS = "queue@limmat.invalid"  # people have names here, and no addresses
_UPDATE_WITHIN_S = 10.0
_STALE_OF_OTHERS_S = 60.0
_KEEP_AFTER = 500  # commits; fewer are read again faster than what is kept is written
_MANY_LOOSE = 500


def change_ref(number: int) -> str:
    """Return the ref of a change's timeline."""
    return f"{OWN}/changes/{number}/meta"


def head_ref(number: int, ordinal: int) -> str:
    """Return the ref that keeps the head of a change; the first has the ordinal 1."""
    return f"{OWN}/changes/{number}/heads/{ordinal}"


def run_ref(run: str) -> str:
    """Return the ref that keeps the merge of a run."""
    return f"{OWN}/runs/{run}"


def remote_refs(remote: str) -> str:
    """Return what the names of all refs begin with that were copied from a remote's queue."""
    return f"refs/limmat/remotes/{remote}/queue"


class Entry(NamedTuple):
    """One commit of a timeline."""

    oid: str
    events: tuple[AnyEvent | Unknown, ...]
    subject: str


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """Events for the timeline of a change, or of the queue (None), which must end with commit `expected`."""

    change: int | None
    events: tuple[ChangeEvent | QueueEvent, ...]
    expected: str | None


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """All timelines folded, as they were at one moment.

    `damaged` says by number what is wrong with a timeline that cannot be read; such a change is not in
    `changes` and not in `tips`. When that of the queue itself cannot be read, the queue is paused, and
    `queue_fault` says why.
    """

    changes: States
    queue: Queue
    tips: Mapping[int, str]
    queue_tip: str | None
    damaged: Mapping[int, str] = {}
    queue_fault: str = ""


class Timelines:
    """The timelines of a repository's own queue, or of the copy of another one (`below`), which is read only.

    It remembers what it has read. Not for two threads at once.
    """

    def __init__(self, repository: Repository, *, below: str = OWN) -> None:
        self.repository = repository
        self.below = below
        self._refs = RefList(repository.common_dir, f"{below}/changes", "meta")
        self._files = shared_refs(repository)
        self._folded: Folded | None = None
        self._unkept = 0

    def load(self, *, use_kept: bool = True) -> Loaded:
        """Return the state of every change and of the queue. Reads what is new since the last time only.

        Without `use_kept` what others have folded is not looked at.
        Raises: GitError or StoreError when the refs themselves cannot be read.
        """
        if self._folded is None:
            self._folded = read_folded(self.repository, self.below) if use_kept else Folded()
        before, folded = self._folded, Folded()
        damaged: dict[int, str] = {}
        with without_collection():
            for number, tip in sorted(self._tips().items()):
                kept = before.changes.get(number)
                try:
                    if kept is None or kept.tip != tip:
                        kept = self._read_change(number, tip, kept)
                    folded.changes[number] = kept
                except StoreError as error:
                    damaged[number] = error.message
        queue_fault = ""
        try:
            folded.queue_tip, folded.queue = self._read_queue(before.queue_tip, before.queue)
        except StoreError as error:
            queue_fault = error.message
            folded.queue = Queue(paused=Closing(below=0, reason=error.message, by=QUEUE, at=0.0))
        self._folded = folded
        return Loaded(
            changes=States(folded.changes),
            queue=folded.queue,
            tips={number: kept.tip for number, kept in folded.changes.items()},
            queue_tip=folded.queue_tip or None,
            damaged=damaged,
            queue_fault=queue_fault,
        )

    def entries(self, change: int | None, since: str | None = None) -> tuple[Entry, ...]:
        """Return the commits of a timeline, oldest first; none when there is no such timeline.

        With `since`, only those after that commit, if it is one of them.
        Raises: StoreError when one cannot be read.
        """
        name = self._name(change)
        tip = self._read_ref(name)
        if tip is None:
            return ()
        links = self._chain(name, tip, since).links
        return tuple(
            Entry(link.oid, decode_events(_body(link.message)), _subject(link.message)) for link in links
        )

    def append(self, additions: Sequence[Addition], *, refs: Sequence[RefUpdate] = (), reason: str) -> None:
        """Add events and move `refs`, all in one transaction in which `refs` come first.

        On return they survive a crash of the machine.
        Raises: RefMovedError when any ref is not as expected, StoreError for a timeline that cannot be
        added to, GitError or OSError when git or the disk fails. Nothing was written then.
        """
        if self.below != OWN:
            raise StoreError(
                f"cannot add to '{self.below}': it is a copy", hint="tell the repository it is from"
            )
        batch = ObjectBatch(self.repository)
        updates = [*refs, *(self._update(batch, each) for each in additions if each.events)]
        if not updates:
            return
        with update_lock(self.repository.state_dir):
            try:
                batch.write()
                self._move(updates, reason)
                batch.confirm()
            finally:
                batch.release()
        if self._folded is not None and self._unkept >= _KEEP_AFTER:
            self.keep()

    def open_change(
        self,
        first: Callable[[int], tuple[ChangeEvent, ...]],
        refs: Callable[[int], Sequence[RefUpdate]],
        *,
        reason: str = "limmat queue: open a change",
    ) -> int:
        """Make a new change with its `first` events and `refs`, and return its number: the next free one.

        Raises: as `append`.
        """
        end = time.monotonic() + _UPDATE_WITHIN_S
        number = 0
        while True:
            number = max(number, max(self._tips(), default=0)) + 1
            addition = Addition(change=number, events=first(number), expected=None)
            try:
                self.append([addition], refs=refs(number), reason=reason)
            except RefMovedError:
                if time.monotonic() > end:
                    raise
                continue
            return number

    def keep(self) -> None:
        """Keep what was folded for other processes. Trouble with that changes nothing."""
        if self._folded is not None:
            keep_folded(self.repository, self.below, self._folded)
            self._unkept = 0

    def tidy(self) -> None:
        """Pack refs and loose objects when there are many. For a daemon that has nothing else to do.

        Raises: GitError or OSError when that failed; nothing is lost then.
        """
        if self._unkept:
            self.keep()  # whoever pushes reads the rest from its files, which may go into packs now
        self._tips()
        if self._refs.loose > _MANY_LOOSE:
            pack_refs(self.repository.git, self.below)
        tidy(self.repository, self.repository.state_dir)

    def _read_change(self, number: int, tip: str | None, kept: Kept | None) -> Kept:
        name = self._name(number)
        if tip is None:
            raise _broken(name, "it has no usable content")
        chain = self._chain(name, tip, kept.tip if kept else None)
        before = kept.state if kept and chain.is_continued else Change(id=number)
        return Kept.of(tip, fold_change(before, self._events(chain)))

    def _read_queue(self, known: str, queue: Queue) -> tuple[str, Queue]:
        name = self._name(None)
        tip = self._read_ref(name)
        if tip is None:
            return "", Queue()
        if tip == known:
            return tip, queue
        chain = self._chain(name, tip, known or None)
        return tip, fold_queue(queue if chain.is_continued else Queue(), self._events(chain))

    def _events(self, chain: Chain) -> Iterable[AnyEvent | Unknown]:
        self._unkept += len(chain.links)
        return decode_events(b"".join([_body(link.message) for link in chain.links]))

    def _chain(self, name: str, tip: str, known: str | None) -> Chain:
        try:
            return read_chain(self.repository, tip, known)
        except DamagedObjectError:
            pass  # packs may have been exchanged meanwhile: a new handle sees those that are there now
        try:
            anew = partial(open_libgit2, self.repository.common_dir)
            return read_chain(self.repository, tip, known, opened=anew)
        except DamagedObjectError as error:
            raise _broken(name, error.message) from error

    def _tips(self) -> dict[int, str | None]:
        """Return the newest commit of each change, None for a ref without usable content."""
        try:
            return {int(name): tip for name, tip in self._refs.read().items() if _is_number(name)}
        except OSError as error:
            raise StoreError(f"cannot read '{error.filename}': {error.strerror}") from error

    def _read_ref(self, name: str) -> str | None:
        try:
            return self._files.direct(name)
        except GitError as error:
            raise _broken(name, error.message) from error
        except OSError as error:
            raise _broken(name, error.strerror or str(error)) from error

    def _name(self, change: int | None) -> str:
        return f"{self.below}/tree/meta" if change is None else f"{self.below}/changes/{change}/meta"

    def _update(self, batch: ObjectBatch, addition: Addition) -> RefUpdate:
        name = self._name(addition.change)
        if addition.expected is not None and not are_stored(self.repository, [addition.expected]):
            raise _broken(name, f"commit '{addition.expected}' is missing")
        if not is_loose(self.repository, EMPTY_TREE):  # it may be in a pack; to find that out takes longer
            batch.tree({})
        try:
            body = encode_events(addition.events)
        except (ValueError, OverflowError) as error:
            raise StoreError(f"cannot add to '{name}': {error}") from error
        first = addition.events[0]
        text = commit_text(
            tree=EMPTY_TREE,
            parent=addition.expected,
            name=first.actor,
            email=_ADDRESS,
            at=first.at,
            message=subject(addition.events).encode(errors="replace") + b"\n\n" + body,
        )
        return RefUpdate(name, batch.commit(text), addition.expected)

    def _move(self, updates: Sequence[RefUpdate], reason: str) -> None:
        """Move the refs, past lock files that nobody holds any more and after those that someone does."""
        directory = self.repository.common_dir
        end = time.monotonic() + _UPDATE_WITHIN_S
        while True:
            try:
                update_refs(self.repository.git, updates, reason)
                return
            except RefMovedError as error:
                if _was_killed(error) and all(self._read_ref(each.name) == each.new for each in updates):
                    return
                raise
            except GitError:
                # We are the only one of ours who updates refs now: an old lock file is a dead process's.
                removed = [remove_stale_lock(directory, each.name, _stale_after(each)) for each in updates]
                waits = any(is_locked(directory, each.name) for each in updates)
                if not any(removed) and (time.monotonic() > end or not waits):
                    raise


def _stale_after(update: RefUpdate) -> float:
    """Return how old a lock file must be; a branch may be held by a push whose hooks take their time."""
    return STALE_LOCK_S if update.name.startswith(f"{OWN}/") else _STALE_OF_OTHERS_S


def _was_killed(error: RefMovedError) -> bool:
    """Whether git said nothing: it was killed, and may have moved all refs before."""
    return isinstance(error.__cause__, GitError) and not error.__cause__.stderr


def _broken(name: str, why: str) -> StoreError:
    return StoreError(
        f"cannot read timeline '{name}': {why}",
        hint="fetch it from a repository that follows this queue, see DAMAGE in gitlimmat-format(5);"
        f" 'git update-ref -d {name}' gives it up",
    )


def _body(message: bytes) -> bytes:
    body = message.partition(b"\n\n")[2]
    return body if body.endswith(b"\n") else body + b"\n"


def _subject(message: bytes) -> str:
    return message.partition(b"\n")[0].decode(errors="replace")


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and name[0] != "0"
