"""Results that somebody sends to another repository, and what is kept of them there: a tree for each person.

Layer:  store.
Owns:   refs/limmat/share/<person>, in the format of the results, with neither outputs nor artifacts.

What a person has sent stays apart from what was found out here and from what others have sent. So it counts
only where somebody asks for it, and no longer than that person is believed.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from gitlimmat.errors import StoreError
from gitlimmat.git.objects import ObjectBatch
from gitlimmat.git.repository import Repository
from gitlimmat.model import Definition, Outcome, Result
from gitlimmat.store.edit import Edit
from gitlimmat.store.memory import Memory
from gitlimmat.store.names import SHARE
from gitlimmat.store.publish import Prepared, add_results, put_format
from gitlimmat.store.store import Store
from gitlimmat.store.view import FORMAT_NUMBER, View

_MOST = 10_000  # subjects that are kept of one person
_SUBJECT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"([0-9a-f]{32})(?:-[0-9]+)?")  # with a number where two texts have the same


def share_ref(person: str) -> str:
    """Return the ref with the results of a person. Names of people may have more in them than refs may."""
    return f"{SHARE}/{urllib.parse.quote(person, safe='').replace('.', '%2E')}"


def shared_by(repository: Repository, person: str, warn: Callable[[str], None]) -> Store:
    """Return what a person has sent. Reading makes nothing."""
    return Store(repository, ref=share_ref(person), notes_ref=None, warn=warn)


def is_shared(result: Result) -> bool:
    """Whether a result may stand for a run elsewhere.

    One that failed does not: where it matters, it is to be seen. Nor does one with artifacts, because those
    that other tests use are to be made where these run.
    """
    return result.reusable and result.outcome is not Outcome.FAILED and result.artifacts is None


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
        kept = sum(1 for _ in before.subjects())
        if kept + len({each.subject for each in fresh}) > _MOST:
            for name in tuple(top.entries):
                top.set(name, None)
        add_results(top, fresh, batch, memory)

    store.change(add, batch, reason)
    return added


def _bare(subject: str, definition: Definition, result: Result) -> Prepared:
    result = msgspec.structs.replace(result, outputs={}, artifacts=None, dropped=())
    return Prepared(subject=subject, definition=definition, result=result)


def _unwrap(repository: Repository, tree: str) -> Sequence[Prepared]:
    """Return the results of a tree that came from elsewhere. Raises: StoreError when it is none of ours."""
    told: list[str] = []
    view = View(Memory(repository, told.append), tree)
    found = list(_records(view)) if view.format == FORMAT_NUMBER else []
    if told or not found:
        raise StoreError(
            "these are no results that git-limmat has written",
            hint="'git limmat queue share' sends them; both sides may need the same version",
        )
    if len(found) > _MOST:
        raise StoreError(f"more than {_MOST} results at once", hint="share those of fewer commits")
    return found


def _records(view: View) -> Iterator[Prepared]:
    for subject in view.subjects():
        if not _SUBJECT.fullmatch(subject):
            continue
        for result in view.scan(subject):
            slot = _DIGEST.fullmatch(result.digest)
            text = view.definition(result.digest) if slot is not None else None
            if slot is not None and text is not None and is_shared(result):
                definition = Definition(test=result.test, text=text, digest=slot[1])
                yield _bare(subject, definition, result)


def _is_known(view: View, sent: Prepared) -> bool:
    known = view.latest(sent.subject, sent.definition)
    return known is not None and known.started >= sent.result.started
