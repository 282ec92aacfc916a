"""Read the output of a job: while it is written, and from the store.

Layer: tui.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.git.objects import copy_blob
from gitlimmat.model import Stored
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.service.show import read_output
from gitlimmat.tui.logtext import LogText

_EVERY_S = 0.1
_TAIL = 1_000_000
_AT_ONCE = 131_072
_BIG = 16_000_000


class Tail:
    """The end of a file that grows. It stays the same file when another takes its name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def read(self, text: LogText) -> bool:
        """Append what is new to `text`; of what is there at first only the end. Tell if there was any."""
        if self._handle is None:
            try:
                self._handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                return False
            skipped = max(os.fstat(self._handle).st_size - _TAIL, 0)
            os.lseek(self._handle, skipped, os.SEEK_SET)
            text.dropped += skipped
        behind = os.fstat(self._handle).st_size - os.lseek(self._handle, 0, os.SEEK_CUR)
        if behind > _TAIL:
            os.lseek(self._handle, behind - _TAIL, os.SEEK_CUR)
            text.clear()
            text.dropped = os.lseek(self._handle, 0, os.SEEK_CUR)
        data = os.read(self._handle, _AT_ONCE)
        text.feed(data)
        return bool(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def streams_of(board: Board, place: Place, cell: Cell) -> tuple[str, ...]:
    """Return the names of the outputs a cell has or will have."""
    if cell.result is not None and cell.result.outputs:
        return tuple(cell.result.outputs)
    try:
        return board.project.test(place.test).streams
    except LimmatError:
        return ("output",)


async def follow(path: Path, text: LogText, tell: Callable[[], None]) -> None:
    """Read a file into `text` as it grows, until cancelled; `tell()` after each change."""
    tail = Tail(path)
    try:
        while True:
            if tail.read(text):
                tell()
            await asyncio.sleep(_EVERY_S)
    finally:
        tail.close()


async def load(board: Board, stored: Stored) -> LogText:
    """Return the end of a stored output.

    Raises: LimmatError when it cannot be read.
    """
    return await asyncio.to_thread(_load, board, stored)


def _load(board: Board, stored: Stored) -> LogText:
    data, skipped = _read_end(board, stored)
    text = LogText()
    text.feed(data)
    text.dropped += skipped
    return text


def _read_end(board: Board, stored: Stored) -> tuple[bytes, int]:
    if stored.size <= _BIG:
        data = read_output(board.project, stored.oid)
        return data[-_TAIL:], max(len(data) - _TAIL, 0)
    with tempfile.TemporaryFile() as file:
        copy_blob(board.project.store.database, stored.oid, file)
        skipped = max(file.seek(0, os.SEEK_END) - _TAIL, 0)
        file.seek(skipped)
        return file.read(), skipped


def live_path(cell: Cell, stream: str) -> Path | None:
    """Return the file a running job writes a stream to, if it is known."""
    if cell.state is not CellState.RUNNING or cell.directory is None:
        return None
    return cell.directory / f"{stream}.txt"
