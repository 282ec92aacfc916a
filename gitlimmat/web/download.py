"""Outputs and artifacts as they are, and the output of a running job while it grows.

Layer: web.

What a test left is never active content here: text is plain text, anything else is for saving only, and
both are in a sandbox, whatever a browser makes of them.
"""

from __future__ import annotations

import asyncio
from typing import IO

from aiohttp import web

from gitlimmat.git.commit import FullCommit
from gitlimmat.service.board import Board, CellState, Place
from gitlimmat.web.ansi import AnsiText
from gitlimmat.web.artifacts import Directory, File, disposition, find_artifact, shown_name
from gitlimmat.web.guard import HEADERS, SANDBOX, RefusedError
from gitlimmat.web.live import Stream, Streams
from gitlimmat.web.output import PAGE, open_output, open_running, open_stored, read_tail, size_of
from gitlimmat.web.render import Site, html
from gitlimmat.web.result import asked, attempt, find_case, find_commit
from gitlimmat.web.threads import Threads

_CHUNK = 256 << 10
_STEP = 64 << 10
_BEHIND = 2 << 20  # so much later, what lies between is left out
_PAUSE_S = 0.1
_PULSE_EVERY = 200  # pauses
_NO_OUTPUT = RefusedError(404, "There is no such output.")
_NO_ARTIFACT = RefusedError(404, "There is no such artifact.")


class Downloads:
    """Answers with files. `threads` does what blocks."""

    def __init__(self, threads: Threads, streams: Streams) -> None:
        self._threads = threads
        self._streams = streams

    async def output(
        self, site: Site, request: web.BaseRequest, oid: str, test: str, stream: str
    ) -> web.StreamResponse:
        """Answer with an output, byte for byte, as plain text."""
        board = site.board
        cell, at = board.cell(oid, test), asked(request).at

        def opened() -> IO[bytes] | None:
            if cell.state is CellState.RUNNING and at is None:
                commit = find_commit(board.project, oid)
                return open_running(cell, (commit.id, commit.tree), test, stream)
            result = attempt(find_case(board.project, cell, oid, test), cell, at)
            return open_output(board.project, result, stream) if result is not None else None

        name = f"{test}-{oid[:10]}-{stream}.txt".encode()
        where = disposition(name)
        if "download" not in request.query:
            where = where.replace("attachment", "inline", 1)
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Disposition": where}
        return await self._send(request, await self._threads.open(opened), headers)

    async def artifact(
        self, site: Site, request: web.BaseRequest, oid: str, test: str, path: list[bytes]
    ) -> web.StreamResponse:
        """Answer with a directory as a page, or with a file to be saved."""
        project, cell, at = site.board.project, site.board.cell(oid, test), asked(request).at
        names = path[:-1] if path[-1:] == [b""] else path

        def found() -> tuple[FullCommit, Directory | File]:
            case = find_case(project, cell, oid, test)
            result = attempt(case, cell, at)
            if result is None or result.artifacts is None:
                raise _NO_ARTIFACT
            item = find_artifact(project, result.artifacts.oid, names)
            if item is None:
                raise _NO_ARTIFACT
            return case.commit, item

        commit, item = await self._threads.run(found)
        if isinstance(item, Directory):
            if names is path:
                where = site.place(oid, test, "artifacts", *names, b"", at=at)
                return web.Response(status=308, headers={**HEADERS, "Location": where})
            return html(_listing(site, commit, test, names, item, at))
        stored = item.stored
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": disposition(item.name),
        }
        file = await self._threads.open(lambda: open_stored(project, stored, "artifact"))
        return await self._send(request, file, headers)

    async def follow(self, site: Site, request: web.BaseRequest, oid: str, test: str) -> web.StreamResponse:
        """Send the output of a running job as HTML, line by line, until it ends; nothing when it has."""
        name = request.query.get("stream", "")
        commit = await self._threads.run(lambda: find_commit(site.board.project, oid))
        async with self._streams.open(request) as stream:
            await _Following(site.board, commit, test, name, self._threads).send_to(stream)
        return stream.response

    async def _send(
        self, request: web.BaseRequest, file: IO[bytes] | None, headers: dict[str, str]
    ) -> web.StreamResponse:
        if file is None:
            raise _NO_OUTPUT
        with file:
            size = await self._threads.run(lambda: size_of(file))
            start, stop, status = _range(request, size)
            response = web.StreamResponse(
                status=status,
                headers={**HEADERS, **headers, "Content-Security-Policy": SANDBOX, "Accept-Ranges": "bytes"},
            )
            response.content_length = stop - start
            if status == 206:
                response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            await response.prepare(request)
            if request.method == "HEAD":
                return response
            file.seek(start)
            while start < stop:
                count = min(_CHUNK, stop - start)
                data = await self._threads.run(lambda count=count: file.read(count))  # type: ignore[misc]
                if not data:
                    break
                start += len(data)
                await response.write(data)
            await response.write_eof()
        return response


class _Following:
    """Sends what a job prints, from near the end of what it has printed so far."""

    def __init__(self, board: Board, commit: FullCommit, test: str, name: str, threads: Threads) -> None:
        self._board = board
        self._place = Place(commit.id, test)
        self._subjects = (commit.id, commit.tree)
        self._name = name
        self._threads = threads
        self._job = board.cell(*self._place)
        self._text = AnsiText()

    @property
    def _is_over(self) -> bool:
        cell = self._board.cell(*self._place)
        return cell.state is not CellState.RUNNING or cell.directory != self._job.directory

    async def send_to(self, stream: Stream) -> None:
        """Send it all."""
        file = await self._open(stream)
        if file is not None:
            with file:
                await self._threads.run(lambda: read_tail(file, PAGE))
                await stream.send("begin", None)
                await self._send_file(stream, file)
        await stream.send("end", None)

    async def _open(self, stream: Stream) -> IO[bytes] | None:
        """Wait until the job has opened its output."""
        names = (self._name,) if self._name else ("output", "stdout")
        pauses = 0
        while not self._is_over:
            for name in names:
                file = await self._threads.open(
                    lambda name=name: open_running(self._job, self._subjects, self._place.test, name)  # type: ignore[misc]
                )
                if file is not None:
                    return file
            pauses = await _pause(stream, pauses)
        return None

    async def _send_file(self, stream: Stream, file: IO[bytes]) -> None:
        pauses = 0
        while True:
            over = self._is_over  # asked before reading: what comes after that is nothing new
            data, lines, rest, behind = await self._threads.run(lambda: self._step(file))
            if data:
                await stream.send("output", (lines, rest))
                pauses = 0
            if behind > _BEHIND and not over:
                await self._threads.run(lambda: read_tail(file, PAGE))
                self._text = AnsiText()
                await stream.send("begin", None)
            elif not data:
                if over:
                    return
                pauses = await _pause(stream, pauses)

    def _step(self, file: IO[bytes]) -> tuple[bytes, str, str, int]:
        data = file.read(_STEP)
        if not data:
            return b"", "", "", 0
        place = file.tell()
        behind = size_of(file) - place
        file.seek(place)
        lines = self._text.feed(data)
        return data, lines, self._text.rest(), behind


async def _pause(stream: Stream, pauses: int) -> int:
    await asyncio.sleep(_PAUSE_S)
    if pauses == _PULSE_EVERY:
        await stream.pulse()
        return 0
    return pauses + 1


def _range(request: web.BaseRequest, size: int) -> tuple[int, int, int]:
    """Return the first byte to send, the one after the last, and the status. Source: RFC 9110, 14."""
    try:
        wanted = request.http_range
    except ValueError:
        return 0, size, 200
    if wanted.start is None and wanted.stop is None:
        return 0, size, 200
    start, stop, _ = slice(wanted.start, wanted.stop).indices(size)
    if start >= stop:
        raise RefusedError(416, "There are no such bytes.")
    return start, stop, 206


def _listing(
    site: Site, commit: FullCommit, test: str, names: list[bytes], directory: Directory, at: str | None
) -> str:
    crumbs = [{"shown": "artifacts", "url": site.place(commit.id, test, "artifacts", b"", at=at)}]
    for index, name in enumerate(names):
        url = site.place(commit.id, test, "artifacts", *names[: index + 1], b"", at=at)
        crumbs.append({"shown": shown_name(name), "url": url})
    crumbs[-1]["url"] = ""
    return site.render(
        "artifacts.html",
        commit=commit,
        test=test,
        directory=directory,
        segments=["artifacts", *names],
        crumbs=crumbs,
        at=at,
    )
