"""The server of the pages: binds, serves, and finds what answers a request.

Layer: web.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gitlimmat.errors import LimmatError
from gitlimmat.service.board import Board
from gitlimmat.web import urls
from gitlimmat.web.address import Address, bracketed, listen, parse_address
from gitlimmat.web.dispatch import Dispatch
from gitlimmat.web.guard import Guard
from gitlimmat.web.live import Streams
from gitlimmat.web.render import Site
from gitlimmat.web.threads import Threads
from gitlimmat.web.words import slug

if TYPE_CHECKING:
    from gitlimmat.web.queueview import QueueView

__all__ = ["Address", "Pages", "parse_address"]

_RESERVED = ("static", "api", "favicon.svg", "favicon.ico", "live")
_SHUTDOWN_S = 1.0
_MOST_CONNECTIONS = 400
_IDLE_S = 30.0
_LOG = logging.getLogger("aiohttp.server")


class Pages:
    """The pages of some boards, at one address. With several boards, each is below its own path."""

    def __init__(self, boards: Sequence[Board], *, read_only: bool, queue: QueueView | None = None) -> None:
        """With `queue`, its board is the only one, and these are the pages of that queue."""
        self._boards = tuple(boards)
        self._queue = queue
        self._read_only = read_only
        self._prefixes = _prefixes(self._boards)
        self._sockets: list[socket.socket] = []
        self._guard: Guard | None = None
        self._start = ""

    def bind(self, address: Address, hostname: str | None) -> None:
        """Listen from now on; who connects before `serve` waits.

        Raises: LimmatError when that is impossible.
        """
        self._sockets = listen(address)
        self._guard = Guard(address, hostname, self._sockets)
        host = hostname or (socket.gethostname() if address.is_wildcard else address.host)
        self._start = f"http://{bracketed(host)}:{self._guard.port}"

    @property
    def url(self) -> str:
        """The URL to print, with the token if one is needed."""
        return self._with_token(f"{self._start}/")

    def url_of(self, board: Board, commit: str | None = None, test: str | None = None) -> str:
        """Return the URL of a board, of a commit, or of one of its results, with the token if needed."""
        prefix = self._prefixes[self._boards.index(board)]
        path = urls.place(prefix, commit, test) if commit is not None else f"{prefix}/"
        return self._with_token(f"{self._start}{path}")

    async def serve(self) -> None:
        """Answer requests until cancelled. Then streams end at once."""
        if self._guard is None:
            raise LimmatError("cannot serve pages: no address was bound")
        streams, threads = Streams(), Threads()
        sites = self._sites(self._guard)
        dispatch = Dispatch(sites, self._guard, streams, threads)
        server = _Server(
            dispatch.answer, handler_cancellation=True, access_log=None, keepalive_timeout=_IDLE_S
        )
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        _LOG.addFilter(_is_fault_of_ours)
        try:
            for each in self._sockets:  # copies: the sockets stay open for another `serve` after a failure
                await web.SockSite(runner, each.dup()).start()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            streams.close()
            await runner.cleanup()
            threads.close()
            _LOG.removeFilter(_is_fault_of_ours)

    def _sites(self, guard: Guard) -> list[Site]:
        if self._queue is not None:
            from gitlimmat.web.queueforms import read_proxy
            from gitlimmat.web.queuepages import QueueSite

            proxy = read_proxy(self._queue.rules)
            return [QueueSite(self._queue, "", form_secret=guard.form_secret, guard=guard, proxy=proxy)]
        return [
            Site(board, prefix, read_only=self._read_only, form_secret=guard.form_secret)
            for board, prefix in zip(self._boards, self._prefixes, strict=True)
        ]

    def close(self) -> None:
        """Stop listening."""
        for each in self._sockets:
            each.close()

    def _with_token(self, url: str) -> str:
        token = self._guard.token if self._guard is not None else None
        return url if token is None else f"{url}?token={token}"


class _Server(web.Server):
    """Refuses connections before they take the files that jobs and the store need.

    Anyone who can connect can open them and send nothing, also without the token.
    """

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, or drop it when there are too many."""
        super().connection_made(handler, transport)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = _MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(files // 4, _MOST_CONNECTIONS)
        if len(self.connections) > most:
            transport.abort()


def _is_fault_of_ours(record: logging.LogRecord) -> bool:
    """Whether it is not about a request that is no HTTP: anyone can send that, as often as he likes."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _prefixes(boards: Sequence[Board]) -> tuple[str, ...]:
    """Return the path of each board: none for one alone, else its name, with a number if that is taken."""
    if len(boards) == 1:
        return ("",)
    taken: list[str] = []
    for board in boards:
        name = base = slug(board.name)
        number = 2
        while name in (*taken, *_RESERVED):
            name, number = f"{base}-{number}", number + 1
        taken.append(name)
    return tuple(f"/{name}" for name in taken)
