"""Take results out of the tree, with the files that were only theirs.

Layer: store. Works on an `Edit`; moving the ref is up to the caller, who may do all of it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gitlimmat.git.objects import ObjectBatch
from gitlimmat.model import Result
from gitlimmat.store.edit import Edit
from gitlimmat.store.memory import Memory
from gitlimmat.store.names import ARTIFACTS, OUTPUT, RESULTS, UNUSED, escape, split_subject
from gitlimmat.store.record import split_lines
from gitlimmat.store.view import View

Wanted = Callable[[str, Result], bool]


def select_results(view: View, wanted: Wanted, subjects: Sequence[str]) -> Iterator[tuple[str, Result]]:
    """Yield the results about `subjects` that are `wanted`, with their subject."""
    for subject in dict.fromkeys(subjects):
        for result in view.history(subject):
            if wanted(subject, result):
                yield subject, result


def forget_results(
    top: Edit, wanted: Wanted, subjects: Sequence[str], batch: ObjectBatch, memory: Memory
) -> tuple[tuple[str, Result], ...]:
    """Remove those results from the tree and return them. Lines that cannot be read stay."""
    gone: list[tuple[str, Result]] = []
    for subject in dict.fromkeys(subjects):
        place = top.child(*split_subject(subject))
        oid = place.blob(RESULTS)
        lines = list(split_lines((memory.blob(oid) if oid is not None else None) or b""))
        doomed = [result for _, result in lines if result is not None and wanted(subject, result)]
        if not doomed:
            continue
        gone += [(subject, result) for result in doomed]
        kept = [(line, result) for line, result in lines if result is None or result not in doomed]
        if kept:
            place.set_blob(RESULTS, batch.blob(b"".join(line + b"\n" for line, _ in kept)))
        else:
            place.set(RESULTS, None)
        _drop_files(place, doomed, [result for _, result in kept if result is not None])
    return tuple(gone)


def _drop_files(place: Edit, doomed: Sequence[Result], kept: Sequence[Result]) -> None:
    """Remove the output and artifacts that no result in `kept` has."""
    for test, slot in dict.fromkeys((result.test, result.digest) for result in doomed):
        rest = [result for result in kept if (result.test, result.digest) == (test, slot)]
        blobs = {stored.oid for result in rest for stored in result.outputs.values()}
        trees = {result.artifacts.oid for result in rest if result.artifacts is not None}
        for name in (slot.encode(), slot.encode() + UNUSED.encode()):
            output = place.child(OUTPUT, escape(test.encode()))
            streams = output.child(name).entries.values()
            if not all(entry.oid in blobs for entry in streams):
                output.set(name, None)
            artifacts = place.child(ARTIFACTS, escape(test.encode()))
            entry = artifacts.entries.get(name)
            if entry is not None and entry.oid not in trees:
                artifacts.set(name, None)
