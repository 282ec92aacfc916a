"""Look at every stored result and at all it leads to, and take out what leads to nothing.

Layer:  store.

Looking writes nothing. The content of trees, definitions and lists of results is read; of outputs and
artifacts it is looked whether they are there, in the right size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gitlimmat.errors import StoreError
from gitlimmat.git.census import blob_sizes, hidden_objects
from gitlimmat.git.objects import (
    MODE_TREE,
    DamagedObjectError,
    Entry,
    ObjectBatch,
    read_blob,
    read_tree,
)
from gitlimmat.git.refs import read_ref
from gitlimmat.git.repository import Repository
from gitlimmat.git.stored import EMPTY_TREE
from gitlimmat.model import Definition, Result
from gitlimmat.store.edit import Edit
from gitlimmat.store.forget import forget_results
from gitlimmat.store.memory import Memory
from gitlimmat.store.names import ARTIFACTS, DEFINITIONS, FORMAT, OUTPUT, RESULTS
from gitlimmat.store.record import split_lines
from gitlimmat.store.store import RESULTS_REF, Store
from gitlimmat.store.view import FORMAT_NUMBER

_GITLINK = 0o160000
Bare = tuple[str, str, str]  # subject, test, name of the definition


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored, and what of it is damaged.

    `root` is None for an empty store. `format` is None when it cannot be read. `files` are distinct outputs
    and files of artifacts. `unreadable` are lines that this version cannot read. `lost` are the ids of
    objects of ours that are damaged or missing, or of artifacts with such in them, and `faults` says so in
    words. `bare` are results whose files are lost, `undefined` those whose definition is.
    """

    root: str | None = None
    format: int | None = FORMAT_NUMBER
    subjects: int = 0
    results: int = 0
    definitions: int = 0
    files: int = 0
    unreadable: int = 0
    lost: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()
    bare: frozenset[Bare] = frozenset()
    undefined: int = 0
    undefined_digests: frozenset[str] = frozenset()


def survey(store: Store) -> Survey:
    """Look at all that is stored.

    Raises: BrokenRefError when the ref has no usable content, GitError when it cannot be used.
    """
    database = store.existing_database()
    root = read_ref(database.objects, RESULTS_REF) if database is not None else None
    if database is None or root is None:
        return Survey()
    walk = _Walk(database)
    walk.look(root)
    return walk.survey(root)


def restore(store: Store, found: Survey, definitions: Iterable[Definition]) -> None:
    """Take out of the results what `found` names as lost, and those results whose files are lost.

    A lost definition that is among `definitions` is put back. A ref without usable content is made anew.
    Raises: LimmatError or OSError when that failed, or objects may just be out of reach; nothing is changed
    then.
    """
    if hidden := hidden_objects(store.database, found.lost):
        raise StoreError(
            f"objects may be out of reach and not lost: '{hidden}' cannot be read",
            hint="make it readable, or the results that seem to be lost would be",
        )
    batch = ObjectBatch(store.database)
    known = {each.digest: each.text for each in definitions}

    def change(top: Edit, memory: Memory) -> None:
        _take_out(top, found.lost)
        folder = top.child(DEFINITIONS)
        for digest in found.undefined_digests & known.keys():
            folder.set_blob(digest.encode(), batch.blob(known[digest]))
        forget_results(
            top,
            lambda subject, result: (subject, result.test, result.digest) in found.bare,
            sorted({subject for subject, _, _ in found.bare}),
            batch,
            memory,
        )

    store.change(change, batch, "limmat: take out what is damaged")


class _Walk:
    """One way through the tree."""

    def __init__(self, database: Repository) -> None:
        self._database = database
        self._format: int | None = FORMAT_NUMBER
        self._subjects: dict[str, list[Result]] = {}
        self._definitions: set[str] = set()
        self._unreadable = 0
        self._lost: dict[str, str] = {}
        self._blobs: dict[str, set[str]] = {}  # each with the trees of artifacts it is in
        self._sizes: dict[str, int] = {}
        self._roots: set[str] = set()

    def look(self, root: str) -> None:
        """Read all trees and lists of results, then ask for the files."""
        top = self._tree(root, "the tree of results")
        if entry := top.get(FORMAT):
            text = (self._blob(entry.oid, "the format") or b"%d" % FORMAT_NUMBER).strip()
            self._format = int(text) if text.isdigit() else None
        for name, entry in self._directory(top, DEFINITIONS).items():
            if self._blob(entry.oid, f"definition '{_text(name)}'") is not None:
                self._definitions.add(_text(name))
        for first, folder in _directories(top):
            if len(first) == 2:
                for rest, place in _directories(self._tree(folder.oid, f"directory '{_text(first)}'")):
                    self._look_at_subject(_text(first + rest), place.oid)
        found = blob_sizes(self._database, self._blobs)
        for oid, roots in self._blobs.items():
            if oid not in found:
                self._lose(oid, f"file '{oid}' is missing or damaged")
            elif found[oid] != self._sizes.get(oid, found[oid]):
                self._lose(oid, f"file '{oid}' has the wrong size")
            if oid in self._lost:
                for tree in roots:
                    self._lost.setdefault(tree, "")

    def survey(self, root: str) -> Survey:
        """Return what was found."""
        undefined = [
            result.digest
            for results in self._subjects.values()
            for result in results
            if result.digest not in self._definitions
        ]
        return Survey(
            root=root,
            format=self._format,
            subjects=len(self._subjects),
            results=sum(map(len, self._subjects.values())),
            definitions=len(self._definitions),
            files=len(self._blobs),
            unreadable=self._unreadable,
            lost=frozenset(self._lost),
            faults=tuple(filter(None, self._lost.values())),
            bare=frozenset(self._bare()),
            undefined=len(undefined),
            undefined_digests=frozenset(undefined),
        )

    def _look_at_subject(self, subject: str, oid: str) -> None:
        place = self._tree(oid, f"what is stored about '{subject}'")
        entry = place.get(RESULTS)
        content = self._blob(entry.oid, f"the list of results of '{subject}'") if entry is not None else None
        lines = [result for _, result in split_lines(content or b"")]
        self._unreadable += lines.count(None)
        results = self._subjects[subject] = [result for result in lines if result is not None]
        about = f"of '{subject}'"
        for _, test in _directories(self._directory(place, OUTPUT)):
            for _, slot in _directories(self._tree(test.oid, f"a directory of outputs {about}")):
                for file in self._tree(slot.oid, f"an output {about}").values():
                    self._blobs.setdefault(file.oid, set())
        for _, test in _directories(self._directory(place, ARTIFACTS)):
            for _, slot in _directories(self._tree(test.oid, f"a directory of artifacts {about}")):
                self._look_at_artifacts(slot.oid, about)
        for result in _with_files(results):
            for stored in result.outputs.values():
                self._blobs.setdefault(stored.oid, set())
                self._sizes[stored.oid] = stored.size
            if result.artifacts is not None:
                self._look_at_artifacts(result.artifacts.oid, about)

    def _look_at_artifacts(self, root: str, about: str) -> None:
        if root in self._roots or root == EMPTY_TREE:
            return
        self._roots.add(root)
        waiting = [root]
        while waiting:
            oid = waiting.pop()
            for entry in self._tree(oid, f"a directory of artifacts {about}").values():
                if entry.mode == MODE_TREE:
                    waiting.append(entry.oid)
                elif entry.mode != _GITLINK:
                    self._blobs.setdefault(entry.oid, set()).add(root)
            if oid in self._lost:
                self._lost.setdefault(root, "")

    def _bare(self) -> Iterator[Bare]:
        for subject, results in self._subjects.items():
            for result in _with_files(results):
                files = {stored.oid for stored in result.outputs.values()}
                if result.artifacts is not None:
                    files.add(result.artifacts.oid)
                if files & self._lost.keys():
                    yield subject, result.test, result.digest

    def _directory(self, place: Mapping[bytes, Entry], name: bytes) -> Mapping[bytes, Entry]:
        entry = place.get(name)
        if entry is None or entry.mode != MODE_TREE:
            return {}
        return self._tree(entry.oid, f"directory '{_text(name)}'")

    def _tree(self, oid: str, what: str) -> Mapping[bytes, Entry]:
        try:
            return read_tree(self._database.objects, oid) if oid != EMPTY_TREE else {}
        except DamagedObjectError as error:
            self._lose(oid, f"{what}: {error}")
            return {}

    def _blob(self, oid: str, what: str) -> bytes | None:
        try:
            return read_blob(self._database.objects, oid)
        except DamagedObjectError as error:
            self._lose(oid, f"{what}: {error}")
            return None

    def _lose(self, oid: str, what: str) -> None:
        self._lost[oid] = self._lost.get(oid) or what


def _with_files(results: list[Result]) -> Iterator[Result]:
    """Yield the results whose files are kept: for a test and definition, the newest and the newest used."""
    seen: set[tuple[str, str, bool]] = set()
    for result in reversed(results):
        key = (result.test, result.digest)
        newest = (*key, True) not in seen and (*key, False) not in seen
        if newest or (result.reusable and (*key, True) not in seen):
            yield result
        seen.add((*key, result.reusable))


def _take_out(top: Edit, lost: frozenset[str]) -> None:
    """Remove each entry of ours that leads to something lost."""
    _drop(top, lost)
    _drop(top.child(DEFINITIONS), lost)
    for first, _ in _directories(top.entries):
        if len(first) != 2:
            continue
        folder = top.child(first)
        _drop(folder, lost)
        for rest, _ in _directories(folder.entries):
            place = folder.child(rest)
            if place.blob(RESULTS) in lost:
                folder.set(rest, None)  # nothing says any more what the files beside were
                continue
            _drop(place, lost)
            for kind in (OUTPUT, ARTIFACTS):
                if kind in place.entries:
                    _take_out_files(place.child(kind), lost, deep=kind == OUTPUT)


def _take_out_files(kind: Edit, lost: frozenset[str], *, deep: bool) -> None:
    _drop(kind, lost)
    for name, _ in _directories(kind.entries):
        test = kind.child(name)
        _drop(test, lost)
        for slot, _ in _directories(test.entries) if deep else ():
            _drop(test.child(slot), lost)


def _drop(place: Edit, lost: frozenset[str]) -> None:
    for name, entry in list(place.entries.items()):
        if entry.oid in lost:
            place.set(name, None)


def _directories(entries: Mapping[bytes, Entry]) -> list[tuple[bytes, Entry]]:
    return [(name, entry) for name, entry in entries.items() if entry.mode == MODE_TREE]


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
