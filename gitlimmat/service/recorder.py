"""Collect finished results for a moment and store them together.

Layer: service.

One update of the results ref serves many jobs: results wait for at most a quarter of a second (DESIGN
section 5), or until someone is waiting for them. A failing store is a warning, once; it never changes an
outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from gitlimmat.errors import LimmatError
from gitlimmat.model import Result
from gitlimmat.store.record import Record
from gitlimmat.store.store import Store

COALESCE_S = 0.25
_RETRY_FIRST_S = 1.0
_RETRY_LAST_S = 30.0


class _Pending(NamedTuple):
    record: Record
    stored: Callable[[Result, bool], None]
    waited_for: bool


class Recorder:
    """The one writer of results of a run. `writing` is held meanwhile; who else writes, takes it first.

    A patient one tries again until it is closed, unless someone is waiting; `say` is told what is wrong, and
    None when all is stored again.
    """

    def __init__(self, store: Store, say: Callable[[str | None], None], *, patient: bool = False) -> None:
        self.writing = asyncio.Lock()
        self._store = store
        self._say = say
        self._patient = patient
        self._pause = _RETRY_FIRST_S
        self._pending: list[_Pending] = []
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._closed = False
        self._failed = False

    def add(self, record: Record, stored: Callable[[Result, bool], None]) -> None:
        """Take over a record; `stored(result, saved)` is called in the loop once its fate is known."""
        self._add(_Pending(record, stored, waited_for=False))

    async def add_and_wait(self, record: Record) -> tuple[Result, bool]:
        """Store a record now; return it as stored, and whether that worked."""
        future: asyncio.Future[tuple[Result, bool]] = asyncio.get_running_loop().create_future()

        def stored(result: Result, saved: bool) -> None:
            if not future.done():
                future.set_result((result, saved))

        self._add(_Pending(record, stored, waited_for=True))
        self.hurry()
        return await future

    def hurry(self) -> None:
        """Store what is pending without waiting for more."""
        self._hurry.set()

    def close(self) -> None:
        """Let `serve` end after it has stored all that is pending."""
        self._closed = True
        self._arrived.set()
        self._hurry.set()

    async def serve(self) -> None:
        """Store what arrives, until closed and empty."""
        while not (self._closed and not self._pending):
            await self._arrived.wait()
            self._arrived.clear()
            if not self._closed:
                await self._linger(COALESCE_S)
            self._hurry.clear()
            batch, self._pending = self._pending, []
            if batch:
                async with self.writing:
                    await self._store_batch(batch)
            if self._pending and self._failed and not self._closed:
                await self._linger(self._pause)
                self._pause = min(2 * self._pause, _RETRY_LAST_S)

    def _add(self, pending: _Pending) -> None:
        self._pending.append(pending)
        self._arrived.set()

    async def _linger(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _store_batch(self, batch: list[_Pending]) -> None:
        publish = partial(self._store.publish, [pending.record for pending in batch])
        try:
            try:
                results = await asyncio.to_thread(publish)
            except (LimmatError, OSError):
                # `git gc` removes empty directories of objects: what fails next to it works right after.
                results = await asyncio.to_thread(publish)
        except (LimmatError, OSError) as error:
            self._fail(batch, error)
            return
        if self._failed and self._patient:
            self._failed = False
            self._pause = _RETRY_FIRST_S
            self._say(None)
        for pending, result in zip(batch, results, strict=True):
            pending.stored(result, True)

    def _fail(self, batch: list[_Pending], error: LimmatError | OSError) -> None:
        if self._patient or not self._failed:
            self._say(f"results of this run are not all stored: {error}")
        self._failed = True
        for pending in batch:
            if self._patient and not (self._closed or pending.waited_for):
                self._add(pending)
            else:
                pending.stored(pending.record.result, False)
