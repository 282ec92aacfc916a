"""What timelines amount to, kept for the next process so that it need not fold them again.

Layer:  store.
Owns:   `<state>/queue/folded` and `<state>/queue/remotes/<remote>/folded`. They can be deleted at any time.
Format: A line that names the format, the version of the fold and a checksum; then MessagePack. A file of
        another version, or a damaged one, is no file.
"""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec

from gitlimmat.git.repository import Repository
from gitlimmat.queue.fold import VERSION
from gitlimmat.queue.state import Change, Queue

_FORMAT = 1
_State = TypeVar("_State", Change, Queue)


class Kept(NamedTuple, Generic[_State]):
    """The state after the commit `tip` of a timeline; an empty `tip` is none."""

    tip: str
    state: _State


class Folded:
    """The states of all timelines of a queue."""

    def __init__(self) -> None:
        self.changes: dict[int, Kept[Change]] = {}
        self.queue: Kept[Queue] = Kept("", Queue())


class _File(msgspec.Struct, array_like=True):
    queue_tip: str
    queue: Queue
    tips: list[str]
    changes: list[Change]


_DECODER = msgspec.msgpack.Decoder(_File)


def read_folded(repository: Repository, below: str) -> Folded:
    """Return what was kept, nothing when it cannot be used. Never raises."""
    folded = Folded()
    try:
        first, _, data = _path(repository, below).read_bytes().partition(b"\n")
        if first != _first_line(data):
            return folded
        with _no_collection():
            file = _DECODER.decode(data)
    except (OSError, ValueError, msgspec.DecodeError, RecursionError):
        return folded
    folded.queue = Kept(file.queue_tip, file.queue)
    folded.changes = {
        change.id: Kept(tip, change) for tip, change in zip(file.tips, file.changes, strict=False)
    }
    return folded


def keep_folded(repository: Repository, below: str, folded: Folded) -> None:
    """Keep it in the place of what was kept. Failing that is no harm: it is folded again."""
    path = _path(repository, below)
    kept = list(folded.changes.values())
    file = _File(folded.queue.tip, folded.queue.state, [each.tip for each in kept], [e.state for e in kept])
    with contextlib.suppress(OSError, ValueError, OverflowError):
        data = msgspec.msgpack.encode(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix="folded-", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(_first_line(data) + b"\n" + data)
                os.fchmod(out.fileno(), 0o666 & path.parent.stat().st_mode)
            Path(aside).replace(path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise


def _path(repository: Repository, below: str) -> Path:
    inner = below.removeprefix("refs/limmat/").removesuffix("queue").strip("/")
    return repository.state_dir / "queue" / inner / "folded"


def _first_line(data: bytes) -> bytes:
    return b"limmat queue folded %d %d %08x" % (_FORMAT, VERSION, zlib.crc32(data))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Make many records at once without looking for garbage among them again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
