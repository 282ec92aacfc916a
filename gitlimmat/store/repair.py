"""Take out of the tree what is damaged or missing, so that git can work with the rest.

Layer: store. Works on an `Edit`.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitlimmat.git.objects import MODE_TREE, has_object
from gitlimmat.store.edit import Edit
from gitlimmat.store.memory import Memory
from gitlimmat.store.names import ARTIFACTS, DEFINITIONS, OUTPUT, RESULTS


def repair(top: Edit, memory: Memory) -> None:
    """Remove every entry that leads to nothing: of artifacts and outputs, the first level is looked at.

    A directory that cannot be read is replaced by an empty one as soon as it is asked for.
    """
    _repair_blobs(top.child(DEFINITIONS), memory)
    for _, folder in _directories(top, size=2):
        for _, place in _directories(folder):
            _repair_subject(place, memory)


def _repair_subject(place: Edit, memory: Memory) -> None:
    oid = place.blob(RESULTS)
    if oid is not None and memory.blob(oid) is None:
        place.set(RESULTS, None)
    for kind in (OUTPUT, ARTIFACTS):
        if kind not in place.entries:
            continue
        for _, test in _directories(place.child(kind)):
            for name, entry in list(test.entries.items()):
                if not has_object(memory.objects, entry.oid):
                    test.set(name, None)
                elif kind == OUTPUT and entry.mode == MODE_TREE:
                    _repair_blobs(test.child(name), memory)


def _repair_blobs(folder: Edit, memory: Memory) -> None:
    for name, entry in list(folder.entries.items()):
        if not has_object(memory.objects, entry.oid):
            folder.set(name, None)


def _directories(place: Edit, *, size: int | None = None) -> Iterator[tuple[bytes, Edit]]:
    for name, entry in list(place.entries.items()):
        if entry.mode == MODE_TREE and (size is None or len(name) == size):
            yield name, place.child(name)
