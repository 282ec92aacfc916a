"""A few threads for what blocks: reading objects, files, and turning output into HTML.

Layer: web.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TypeVar

_COUNT = 4
_T = TypeVar("_T")


class Threads:
    """Our own ones, so that slow disks and big files hold up pages only. A context manager."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_COUNT, thread_name_prefix="pages")

    async def run(self, work: Callable[[], _T]) -> _T:
        """Return what `work` returns, or raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def open(self, work: Callable[[], IO[bytes] | None]) -> IO[bytes] | None:
        """Return the file that `work` opens, if any. When nobody waits for it any more, it is closed."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(_close_file)
            raise

    def close(self) -> None:
        """Let them end; what runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _close_file(future: asyncio.Future[IO[bytes] | None]) -> None:
    if not future.cancelled() and future.exception() is None:
        file = future.result()
        if file is not None:
            file.close()
