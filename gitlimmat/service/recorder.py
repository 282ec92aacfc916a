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


class _Pending(NamedTuple):
    record: Record
    stored: Callable[[Result, bool], None]


class Recorder:
    """The one writer of results in this process. Use as: `async with recorder:` inside the run's loop."""

    def __init__(self, store: Store, warn: Callable[[str], None]) -> None:
        self._store = store
        self._warn = warn
        self._pending: list[_Pending] = []
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._closed = False
        self._failed = False

    def add(self, record: Record, stored: Callable[[Result, bool], None]) -> None:
        """Take over a record; `stored(result, saved)` is called in the loop once its fate is known."""
        self._pending.append(_Pending(record, stored))
        self._arrived.set()

    async def add_and_wait(self, record: Record) -> tuple[Result, bool]:
        """Store a record now; return it as stored, and whether that worked."""
        future: asyncio.Future[tuple[Result, bool]] = asyncio.get_running_loop().create_future()

        def stored(result: Result, saved: bool) -> None:
            if not future.done():
                future.set_result((result, saved))

        self.add(record, stored)
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
                await self._linger()
            self._hurry.clear()
            batch, self._pending = self._pending, []
            if batch:
                await self._store_batch(batch)

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(COALESCE_S):
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
            saved = True
        except (LimmatError, OSError) as error:
            if not self._failed:
                self._warn(f"results of this run are not all stored: {error}")
            self._failed = True
            results = tuple(pending.record.result for pending in batch)
            saved = False
        for pending, result in zip(batch, results, strict=True):
            pending.stored(result, saved)
