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
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import xxhash

from gitlimmat.git.modes import make_directory
from gitlimmat.git.repository import Repository
from gitlimmat.queue.fold import VERSION
from gitlimmat.queue.state import Change, Forge, Queue

_FORMAT = 2


class Outline(msgspec.Struct, frozen=True, array_like=True):
    """What a change is, without what has happened to it."""

    id: int
    forge: Forge = Forge.OPEN
    author: str = ""
    target: str = ""


class Kept:
    """The state of a change after the commit `tip` of its timeline, decoded when it is asked for."""

    __slots__ = ("_raw", "_state", "outline", "tip")

    def __init__(
        self, tip: str, outline: Outline, state: Change | None = None, raw: msgspec.Raw | None = None
    ) -> None:
        self.tip = tip
        self.outline = outline
        self._state = state
        self._raw = raw

    @classmethod
    def of(cls, tip: str, state: Change) -> Kept:
        """Return a state that was folded just now."""
        return cls(tip, msgspec.convert(state, Outline, from_attributes=True), state)

    @property
    def state(self) -> Change:
        """The change."""
        if self._state is None:
            assert self._raw is not None
            self._state = _CHANGE.decode(self._raw)
        return self._state

    def row(self) -> Row:
        """Return what the file is to say."""
        if self._raw is None:
            self._raw = msgspec.Raw(msgspec.msgpack.encode(self._state))
        return Row(self.tip, self.outline, self._raw)


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A change in the file: where it was when it was folded, what it is, and its state."""

    tip: str
    outline: Outline
    state: msgspec.Raw


class Folded:
    """The states of all timelines of a queue; an empty `queue_tip` is none."""

    def __init__(self) -> None:
        self.changes: dict[int, Kept] = {}
        self.queue = Queue()
        self.queue_tip = ""


class States(Mapping[int, Change]):
    """The changes by number. Nothing in here changes."""

    def __init__(self, kept: Mapping[int, Kept]) -> None:
        self._kept = kept

    def __getitem__(self, number: int) -> Change:
        return self._kept[number].state

    def __contains__(self, number: object) -> bool:
        return number in self._kept

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def outlines(self) -> Iterator[Outline]:
        """Yield what each change is, by number: in a tenth of the time that their states take."""
        return (kept.outline for kept in self._kept.values())


class _File(msgspec.Struct, array_like=True):
    queue_tip: str
    queue: Queue
    changes: list[Row]


_DECODER = msgspec.msgpack.Decoder(_File)
_CHANGE = msgspec.msgpack.Decoder(Change)


def read_folded(repository: Repository, below: str) -> Folded:
    """Return what was kept, nothing when it cannot be used. Never raises."""
    folded = Folded()
    try:
        content = _path(repository, below).read_bytes()
        end = content.index(b"\n")
        data = memoryview(content)[end + 1 :]
        if content[:end] != _first_line(data):
            return folded
        file = _DECODER.decode(data)
    except (OSError, ValueError, msgspec.DecodeError, RecursionError):
        return folded
    folded.queue, folded.queue_tip = file.queue, file.queue_tip
    folded.changes = {row.outline.id: Kept(row.tip, row.outline, raw=row.state) for row in file.changes}
    return folded


def keep_folded(repository: Repository, below: str, folded: Folded) -> None:
    """Keep it in the place of what was kept. Failing that is no harm: it is folded again."""
    path = _path(repository, below)
    with contextlib.suppress(OSError):
        changes = [kept.row() for kept in folded.changes.values()]
        data = msgspec.msgpack.encode(_File(folded.queue_tip, folded.queue, changes))
        make_directory(path.parent)
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


def _first_line(data: bytes | memoryview) -> bytes:
    return b"limmat queue folded %d %d %016x" % (_FORMAT, VERSION, xxhash.xxh3_64_intdigest(data))


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Make many records at once without looking for garbage among them again and again: it takes longer."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
