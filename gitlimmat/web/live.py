"""Server-sent events: what changes on a board, told to browsers and programs while it happens.

Layer: web.

A listener keeps no queue but the set of places that have changed since it last wrote. So however slow a
client is, it costs little memory, is sent what is true when it can be sent, and holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from gitlimmat.service.board import Board, Change, Place
from gitlimmat.web.guard import HEADERS, RefusedError

_MOST_CELLS = 400  # with more, fetching the page again is cheaper for both
_MOST_STREAMS = 100
_PULSE_S = 20.0
_PAUSE_S = 0.08  # between two messages to one client
_WRITE_WITHIN_S = 60.0


class Listener:
    """Collects what has changed on some boards until someone takes it."""

    def __init__(self, boards: Iterable[Board]) -> None:
        self._layout = self._problems = False
        self._cells: set[Place] = set()
        self._news = asyncio.Event()
        self._ends = [board.subscribe(self._hear) for board in boards]

    def close(self) -> None:
        """Listen no more."""
        for end in self._ends:
            end()

    def miss(self) -> None:
        """Behave as if everything had changed."""
        self._hear(Change(layout=True, cells=frozenset(), problems=True))

    async def take(self) -> Change:
        """Wait for a change and return all that has come together."""
        await self._news.wait()
        self._news.clear()
        change = Change(layout=self._layout, cells=frozenset(self._cells), problems=self._problems)
        self._layout = self._problems = False
        self._cells.clear()
        return change

    def _hear(self, change: Change) -> None:
        self._layout |= change.layout
        self._problems |= change.problems
        if not self._layout:
            self._cells |= change.cells
            self._layout = len(self._cells) > _MOST_CELLS
        if self._layout:
            self._cells.clear()
        self._news.set()


class Stream:
    """One answer that goes on: named events with a JSON document each, or with text."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    async def send(self, event: str, data: object, version: str | None = None) -> None:
        """Send an event.

        Raises: ConnectionError or TimeoutError when the client is gone or takes too long.
        """
        text = msgspec.json.encode(data).decode()
        mark = f"id: {version}\n" if version is not None else ""
        await self._write(f"{mark}event: {event}\ndata: {text}\n\n")

    async def pulse(self) -> None:
        """Send nothing, to learn whether the client is still there."""
        await self._write(":\n\n")

    async def _write(self, text: str) -> None:
        async with asyncio.timeout(_WRITE_WITHIN_S):
            await self.response.write(text.encode(errors="replace"))


class Streams:
    """The streams that are open, so that all can be ended at once."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def open(self, request: web.BaseRequest) -> AsyncIterator[Stream]:
        """Begin an answer with events; when its client goes away it just ends.

        Raises: RefusedError when there are too many, or it is no GET.
        """
        if request.method != "GET":
            raise RefusedError(405, "This goes on as long as one reads it, so only GET will do.")
        if len(self._tasks) >= _MOST_STREAMS:
            raise RefusedError(
                503, "Too many pages are open.", "Close some of them, and load this one again."
            )
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            yield Stream(response)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self._tasks.discard(task)

    def close(self) -> None:
        """End all streams."""
        for task in tuple(self._tasks):
            task.cancel()


async def follow(
    stream: Stream,
    boards: Iterable[Board],
    since: str,
    version: Callable[[], str],
    tell: Callable[[Change], object],
    *,
    pause_s: float = _PAUSE_S,
) -> None:
    """Send `tell(change)` as event `change` whenever something changes, until the client goes away.

    `since` is the version that the client has; with another one, all has changed for it. Where `tell`
    returns None, nothing is sent. There are `pause_s` seconds between two messages at least.
    """
    listener = Listener(boards)
    try:
        await stream.send("hello", {"version": version()}, version())
        if since and since != version():
            listener.miss()
        while True:
            change = await _next(stream, listener)
            data = tell(change)
            if data is not None:
                await stream.send("change", data, version())
                await asyncio.sleep(pause_s)
    finally:
        listener.close()


async def _next(stream: Stream, listener: Listener) -> Change:
    while True:
        try:
            async with asyncio.timeout(_PULSE_S):
                return await listener.take()
        except TimeoutError:
            await stream.pulse()
