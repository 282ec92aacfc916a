"""Put finished jobs into the tree: their files, their lines and their definitions.

Layer: store. Works on an `Edit`; moving the ref is up to the caller, who may do all of it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from gitlimmat.git.objects import BIG, MODE_FILE, MODE_TREE, Entry, ObjectBatch, blob_id
from gitlimmat.model import Definition, Result, Stored
from gitlimmat.store.artifacts import save_directory
from gitlimmat.store.edit import Edit
from gitlimmat.store.memory import Memory
from gitlimmat.store.names import (
    ARTIFACTS,
    DEFINITIONS,
    FORMAT,
    OUTPUT,
    RESULTS,
    UNUSED,
    escape,
    split_subject,
)
from gitlimmat.store.record import Record, encode_line, join_lines, rounded
from gitlimmat.store.view import FORMAT_NUMBER, slots


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose files are in the object database; only the name of its definition is still open."""

    subject: str
    definition: Definition
    result: Result


def prepare(record: Record, batch: ObjectBatch) -> Prepared:
    """Add the files of a record to `batch`. Output files that do not exist are left out.

    Raises: GitError or OSError when a file cannot be read or stored.
    """
    result = rounded(record.result)
    dropped = list(result.dropped)
    artifacts = None
    if record.artifacts is not None:
        saved = save_directory(batch, record.artifacts)
        artifacts = saved.tree
        dropped += saved.dropped
    result = msgspec.structs.replace(
        result, outputs=_save_outputs(record.outputs, batch), artifacts=artifacts, dropped=tuple(dropped)
    )
    return Prepared(subject=record.subject, definition=record.definition, result=result)


def add_results(
    top: Edit, prepared: Sequence[Prepared], batch: ObjectBatch, memory: Memory
) -> tuple[Result, ...]:
    """Put the results into the tree and return them as stored, in the same order."""
    definitions = top.child(DEFINITIONS)
    named: dict[bytes, str] = {}
    results: list[Result] = []
    by_subject: dict[str, list[Result]] = {}
    for each in prepared:
        slot = named.get(each.definition.text)
        if slot is None:
            slot = named[each.definition.text] = _define(definitions, each.definition, batch, memory)
        result = msgspec.structs.replace(each.result, digest=slot)
        results.append(result)
        by_subject.setdefault(each.subject, []).append(result)
    for subject, added in by_subject.items():
        _add_to_subject(top.child(*split_subject(subject)), added, batch, memory)
    return tuple(results)


def put_format(top: Edit, batch: ObjectBatch, memory: Memory) -> None:
    """Say in the tree which format it has."""
    text = b"%d\n" % FORMAT_NUMBER
    oid = top.blob(FORMAT)
    if oid is None or memory.blob(oid) != text:
        top.set_blob(FORMAT, batch.blob(text))


def _define(definitions: Edit, definition: Definition, batch: ObjectBatch, memory: Memory) -> str:
    """Return the name the definition has, after giving it the first free one if it has none.

    A damaged one whose id is right is written again.
    """
    for slot in slots(definition.digest):
        name = slot.encode()
        oid = definitions.blob(name)
        if oid is None:
            break
        stored = memory.blob(oid)
        if stored == definition.text:
            return slot
        if stored is None and oid == blob_id(definition.text):
            break
    definitions.set_blob(name, batch.blob(definition.text))
    return slot


def _add_to_subject(place: Edit, added: Sequence[Result], batch: ObjectBatch, memory: Memory) -> None:
    oid = place.blob(RESULTS)
    content = (memory.blob(oid) or b"") if oid is not None else b""
    trusted = {
        (each.test, each.digest)
        for each in (memory.results(oid) if oid is not None and content else ())
        if each.reusable
    }
    for result in added:
        key = (result.test, result.digest)
        if result.reusable:
            trusted.add(key)
        _place_files(place, result, batch, beside=key in trusted and not result.reusable)
    lines = join_lines(content, [encode_line(result) for result in added])
    place.set_blob(RESULTS, batch.blob(lines))


def _place_files(place: Edit, result: Result, batch: ObjectBatch, *, beside: bool) -> None:
    """Keep the files of the newest result; those of one that is never used go beside those that are."""
    streams = {name.encode(): Entry(MODE_FILE, stored.oid) for name, stored in result.outputs.items()}
    output = Entry(MODE_TREE, batch.tree(streams)) if streams else None
    artifacts = Entry(MODE_TREE, result.artifacts.oid) if result.artifacts is not None else None
    slot, test = result.digest.encode(), escape(result.test.encode())
    unused = slot + UNUSED.encode()
    for kind, entry in ((OUTPUT, output), (ARTIFACTS, artifacts)):
        if entry is None and kind not in place.entries and not place.has_child(kind):
            continue
        folder = place.child(kind, test)
        folder.set(unused if beside else slot, entry)
        if not beside:
            folder.set(unused, None)


def _save_outputs(outputs: Mapping[str, Path | bytes], batch: ObjectBatch) -> dict[str, Stored]:
    saved: dict[str, Stored] = {}
    big: dict[str, Path] = {}
    for name, source in outputs.items():
        content = source if isinstance(source, bytes) else None
        if isinstance(source, Path):
            try:
                size = source.stat().st_size
            except FileNotFoundError:
                continue
            if size >= BIG:
                big[name] = source
                saved[name] = Stored(oid="", size=size)
                continue
            content = source.read_bytes()
        if content is not None:
            saved[name] = Stored(oid=batch.blob(content), size=len(content))
    for name, oid in zip(big, batch.big_files(list(big.values())), strict=True):
        saved[name] = Stored(oid=oid, size=saved[name].size)
    return saved
