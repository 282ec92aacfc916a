"""What a test printed, a part at a time: stored, or of a job that runs now.

Layer: web. Everything here blocks, and is called in threads.

However big an output is, only a page of it is ever in memory. A big one that is stored is first copied to a
file of the cache, as `git limmat get` does, because a blob can only be read from its beginning.
"""

from __future__ import annotations

import io
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from gitlimmat.git.objects import BIG
from gitlimmat.model import Result, Stored
from gitlimmat.service.board import Cell
from gitlimmat.service.project import Project
from gitlimmat.store.runs import STREAMS, RunningJob
from gitlimmat.web.ansi import to_html

PAGE = 256 << 10
_LINE = 64 << 10  # so far is looked for the end of a line
_TRIES = 5


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an output. `number` and `pages` count from 1; `start` and `end` are bytes, `html` is safe."""

    number: int
    pages: int
    start: int
    end: int
    size: int
    html: str


def open_stored(project: Project, stored: Stored, name: str) -> IO[bytes]:
    """Open a stored blob for reading anywhere in it; `name` is what its file in the cache is called.

    Raises: StoreError when it is missing or damaged.
    """
    if stored.size < BIG:
        return io.BytesIO(project.store.read_blob(stored.oid))
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # evicted before it was opened
            return project.cache.output(stored.oid, name).open("rb")
    return project.cache.output(stored.oid, name).open("rb")


def open_output(project: Project, result: Result, stream: str) -> IO[bytes] | None:
    """Open an output of a result; None when it has no such stream."""
    stored = result.outputs.get(stream)
    return open_stored(project, stored, f"{stream}.txt") if stored is not None else None


def running_streams(directory: Path) -> tuple[str, ...]:
    """Return the names of the outputs that a running job has opened."""
    return tuple(name for name in STREAMS if (directory / f"{name}.txt").exists())


def open_running(cell: Cell, subjects: tuple[str, ...], test: str, stream: str) -> IO[bytes] | None:
    """Open an output of a job that runs; None when it has not been begun, or the job is another one by now.

    `subjects` are the ids of the commit and its tree. Directories are used again by later jobs, so what is
    there is looked at after the file was opened.
    """
    if cell.directory is None or stream not in STREAMS:
        return None
    try:
        handle = os.open(cell.directory / f"{stream}.txt", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    file = os.fdopen(handle, "rb", buffering=0)
    try:
        job = msgspec.json.decode((cell.directory / "job.json").read_bytes(), type=RunningJob)
    except (OSError, msgspec.MsgspecError):
        job = None
    regular = stat.S_ISREG(os.fstat(handle).st_mode)
    if regular and job is not None and job.test == test and {job.commit, job.subject} & set(subjects):
        return file
    file.close()
    return None


def size_of(file: IO[bytes]) -> int:
    """Return how many bytes there are."""
    return file.seek(0, os.SEEK_END)


def read_part(file: IO[bytes], wanted: int | None) -> Part:
    """Return a page of an open output; the last one when none is wanted or there is none of that number.

    Pages begin and end at the ends of lines where these are not too far.
    """
    size = size_of(file)
    pages = max(1, -(-size // PAGE))
    if pages > 1 and _cut(file, size, pages - 1) == size:
        pages -= 1
    number = wanted if wanted is not None and 1 <= wanted <= pages else pages
    start = _cut(file, size, number - 1)
    end = _cut(file, size, number) if number < pages else size
    file.seek(start)
    data = _read(file, end - start)
    return Part(number=number, pages=pages, start=start, end=start + len(data), size=size, html=to_html(data))


def read_tail(file: IO[bytes], most: int) -> int:
    """Go to where the last `most` bytes begin, at the beginning of a line if one is near; return where."""
    size = size_of(file)
    place = 0
    if size > most:
        file.seek(size - most)
        found = _read(file, _LINE).find(b"\n")
        place = size - most + found + 1
    return file.seek(place)


def _cut(file: IO[bytes], size: int, page: int) -> int:
    """Return where a page begins, counted from 0."""
    near = page * PAGE
    if page == 0 or near >= size:
        return min(near, size)
    file.seek(near - 1)
    following = _read(file, _LINE)
    found = following.find(b"\n")
    if found >= 0:
        return near + found
    inside = 0  # a character is not cut
    while inside < 3 and inside + 1 < len(following) and following[inside + 1] & 0xC0 == 0x80:
        inside += 1
    return near + inside


def _read(file: IO[bytes], count: int) -> bytes:
    """Read until `count` bytes are there or the file ends."""
    parts = []
    while count > 0 and (data := file.read(count)):
        parts.append(data)
        count -= len(data)
    return b"".join(parts)
