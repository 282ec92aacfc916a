"""Results that somebody sends to another repository, and what is kept of them there: a tree for each person.

Layer:  store.
Owns:   refs/limmat/share/<person>, in the format of the results, with neither outputs nor artifacts.

What a person has sent stays apart from what was found out here and from what others have sent. So it counts
only where somebody asks for it, and no longer than that person is believed. Whatever is taken was written by
someone else: only what can be understood is kept, within limits, and nothing of it is a name of a file.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from gitlimmat.errors import LimmatError, StoreError
from gitlimmat.git.objects import MODE_TREE, Entry, ObjectBatch, object_size, read_tree
from gitlimmat.git.repository import Repository
from gitlimmat.model import Definition, Outcome, Result
from gitlimmat.store.edit import Edit
from gitlimmat.store.memory import Memory
from gitlimmat.store.names import SHARE, split_subject
from gitlimmat.store.publish import Prepared, add_results, put_format
from gitlimmat.store.store import Store
from gitlimmat.store.view import FORMAT_NUMBER, View

if TYPE_CHECKING:
    import pygit2

_MOST = 10_000  # subjects that are kept of one person, and results that are sent at once
_MOST_LINES = 100  # results of one subject that are kept
_MOST_BYTES = 32 << 20  # of all that is sent at once
_LONGEST_REF = 200
_LONGEST_TEXT = 200
_LONGEST_S = 1e9
_SUBJECT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"([0-9a-f]{32})(?:-[0-9]{1,9})?")  # with a number where two texts have the same


def share_ref(person: str) -> str:
    """Return the ref with the results of a person. Names of people may have more in them than refs may."""
    name = urllib.parse.quote(person, safe="").replace(".", "%2E")
    if len(name) > _LONGEST_REF:
        name = f"{name[:100]}-{hashlib.sha256(person.encode()).hexdigest()[:32]}"
    return f"{SHARE}/{name}"


def shared_by(repository: Repository, person: str, warn: Callable[[str], None]) -> Store:
    """Return what a person has sent. Reading makes nothing."""
    return Store(repository, ref=share_ref(person), notes_ref=None, warn=warn)


def is_sent(result: Result) -> bool:
    """Whether a result is of any use elsewhere.

    One with artifacts is not, because those that other tests use are to be made where these run. One that
    failed takes back what was sent before.
    """
    return result.reusable and result.artifacts is None and not result.dropped


def counts(result: Result) -> bool:
    """Whether a result that was sent stands for a run: where it matters, a failure is to be seen."""
    return is_sent(result) and result.outcome is not Outcome.FAILED


def wrap(database: Repository, found: Iterable[tuple[str, Definition, Result]], batch: ObjectBatch) -> str:
    """Add a tree with these results, each about a subject, to `batch`, and return its id."""
    memory = Memory(database, lambda message: None)
    top = Edit(memory.tree, None)
    add_results(top, [_bare(*each) for each in found], batch, memory)
    put_format(top, batch, memory)
    oid = top.write(batch)
    assert oid is not None  # the format is in it
    return oid


def add_wrapped(store: Store, tree: str, reason: str) -> int:
    """Add what is in a tree that somebody has sent to what is kept of that person.

    Returns how many results were new.
    Raises: StoreError when it is no such tree or nothing can be stored; nothing has changed then.
    """
    sent = _unwrap(store.repository, tree)
    batch = ObjectBatch(store.database)
    added = 0

    def add(top: Edit, memory: Memory) -> None:
        nonlocal added
        before = View(memory, top.oid)
        fresh = [each for each in sent if not _is_known(before, each)]
        added = len(fresh)
        if len({*before.subjects(), *(each.subject for each in fresh)}) > _MOST:
            for name in tuple(top.entries):
                top.set(name, None)
            fresh = list(sent)
        for subject in {each.subject for each in fresh}:
            if len(before.history(subject)) >= _MOST_LINES:
                first, rest = split_subject(subject)
                top.child(first).set(rest, None)
        add_results(top, fresh, batch, memory)

    try:
        store.change(add, batch, reason)
    except OSError as error:
        raise StoreError(f"cannot keep results: {error.strerror or error}") from error
    return added


def _bare(subject: str, definition: Definition, result: Result) -> Prepared:
    """Return a result with what others may know of it, within limits."""
    bare = Result(
        test=result.test,
        digest=result.digest,
        outcome=result.outcome,
        started=_clamped(result.started, time.time()),
        elapsed=_clamped(result.elapsed, _LONGEST_S),
        commit=result.commit if _SUBJECT.fullmatch(result.commit) else "",
        reason="".join(char for char in result.reason[:_LONGEST_TEXT] if char.isprintable()),
    )
    return Prepared(subject=subject, definition=definition, result=bare)


def _clamped(number: float, most: float) -> float:
    return min(max(0.0, number), most) if math.isfinite(number) else 0.0


def _unwrap(repository: Repository, tree: str) -> Sequence[Prepared]:
    """Return the results of a tree that came from elsewhere. Raises: StoreError when it is none of ours."""
    no_results = StoreError(
        "these are no results that git-limmat has written",
        hint="'git limmat queue share' sends them; both sides may need the same version",
    )
    try:
        size = _size(repository.objects, tree)
    except LimmatError as error:
        raise no_results from error
    if size > _MOST_BYTES:
        raise StoreError(f"more than {_MOST_BYTES >> 20} MB of results", hint="share those of fewer commits")
    told: list[str] = []
    view = View(Memory(repository, told.append), tree)
    found: list[Prepared] = []
    for each in _records(view) if view.format == FORMAT_NUMBER else ():
        found.append(each)
        if len(found) > _MOST:
            raise StoreError(f"more than {_MOST} results at once", hint="share those of fewer commits")
    if told or not found:
        raise no_results
    return found


def _size(objects: pygit2.Repository, top: str) -> int:
    """Return how many bytes a tree and all below it have, as far as that is no more than is ever taken.

    An object counts as often as it is met: a few can make up a tree that nobody could list.
    Raises: DamagedObjectError when one of them cannot be read.
    """
    total, waiting = 0, [Entry(MODE_TREE, top)]
    while waiting and total <= _MOST_BYTES:
        mode, oid = waiting.pop()
        total += object_size(objects, oid)
        if mode == MODE_TREE and total <= _MOST_BYTES:
            waiting += read_tree(objects, oid).values()
    return total


def _records(view: View) -> Iterator[Prepared]:
    """Yield the newest verdict of each test, by each definition, about each subject."""
    for subject in view.subjects():
        if not _SUBJECT.fullmatch(subject):
            continue
        newest = {(each.test, each.digest): each for each in view.scan(subject) if each.reusable}
        for result in newest.values():
            slot = _DIGEST.fullmatch(result.digest)
            text = view.definition(result.digest) if slot is not None else None
            if slot is not None and text is not None and is_sent(result):
                definition = Definition(test=result.test, text=text, digest=slot[1])
                yield _bare(subject, definition, result)


def _is_known(view: View, sent: Prepared) -> bool:
    known = view.latest(sent.subject, sent.definition)
    return known is not None and known.started >= sent.result.started
