"""Serve pages from the process of the test, and ask for them as a browser or a program would."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

from conftest import Repo

from gitlimmat.errors import LimmatError
from gitlimmat.service.board import Board, Cell, CellState
from gitlimmat.service.observe import Observer
from gitlimmat.service.project import ConfigUse, Project, open_project
from gitlimmat.service.request import Request
from gitlimmat.web.address import parse_address
from gitlimmat.web.pages import Pages

_T = TypeVar("_T")


class Answer(NamedTuple):
    """What came back. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> dict[str, object]:
        """The body as a JSON document."""
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document


class Buttons:
    """An engine that remembers what it was asked, and shows the case as waiting or cancelled."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.asked: list[tuple[str, str, str | None]] = []

    def rerun(self, commit: str, test: str | None) -> None:
        self.asked.append(("rerun", commit, test))
        if test is not None:
            self.board.put([commit], test, Cell(state=CellState.WAITING))

    def cancel(self, commit: str, test: str | None) -> None:
        self.asked.append(("cancel", commit, test))
        raise LimmatError("cannot cancel 'unit': it has <ended>", hint="look again")


class Served:
    """Pages of some boards, with a loop in a thread of their own."""

    def __init__(
        self,
        boards: Sequence[Board],
        *,
        read_only: bool = False,
        address: str = "127.0.0.1:0",
        hostname: str | None = None,
        pages: Pages | None = None,
    ) -> None:
        self.pages = pages or Pages(boards, read_only=read_only)
        self.pages.bind(parse_address(address), hostname)
        self.url = self.pages.url
        self.port = int(self.url.split("/")[2].rpartition(":")[2])
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._started.wait(30)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self.pages.serve())
        self._started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def do(self, work: Callable[[], _T]) -> _T:
        """Return what `work` returns in the loop."""

        async def in_loop() -> _T:
            return work()

        return asyncio.run_coroutine_threadsafe(in_loop(), self._loop).result(30)

    def ask(
        self, method: str, path: str, *, body: str | None = None, host: str | None = None, **headers: str
    ) -> Answer:
        """Send a request. Underscores in names of headers stand for dashes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", f"127.0.0.1:{self.port}" if host is None else host)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body.encode())))
            connection.endheaders(body.encode() if body is not None else None)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """Return the answer to a GET."""
        return self.ask("GET", path, **headers)

    def press(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Return the answer to a form."""
        form = "application/x-www-form-urlencoded"
        return self.ask("POST", path, body=urlencode(fields), Content_Type=form, **headers)

    def events(self, path: str) -> Events:
        """Open a stream of server-sent events."""
        return Events(self.port, path)

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(30)
        assert not self._thread.is_alive()


class Events:
    """A stream of server-sent events. A context manager."""

    def __init__(self, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.request("GET", path)
        self.response = self._connection.getresponse()

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self._connection.close()

    def __iter__(self) -> Iterator[tuple[str, object]]:
        """Yield the name and the document of each event."""
        name = ""
        while line := self.response.readline():
            word, _, rest = line.decode().rstrip("\n").partition(": ")
            if word == "event":
                name = rest
            elif word == "data":
                yield name, json.loads(rest)

    def until(self, name: str) -> object:
        """Return the document of the next event of this name."""
        for found, document in self:
            if found == name:
                return document
        raise AssertionError(f"the stream ended without '{name}'")


def project_of(repo: Repo) -> Project:
    """Open the repository as `git limmat web` does."""
    warnings: list[str] = []
    project = open_project(
        Request(repo=[repo.path], own_config=True), warnings.append, config=ConfigUse.OPTIONAL
    )
    assert not warnings
    return project


def observer_of(repo: Repo, base: str | None = None) -> Observer:
    """Return an observer of a repository, which has looked once."""
    observer = Observer(project_of(repo), base, lambda before: before)
    with ThreadPoolExecutor(1) as thread:  # Playwright has a loop in ours
        thread.submit(lambda: asyncio.run(observer.refresh())).result()
    return observer


def begun(project: Project, commit: str, test: str, content: bytes, stream: str = "output") -> Cell:
    """Return the cell of a job that has printed something, with a real directory."""
    from gitlimmat.model import Commit

    directory = project.runs.create(test, Commit(id=commit, tree=commit), commit)
    directory.outputs[stream].write_bytes(content)
    return Cell(state=CellState.RUNNING, since=1_750_000_000.0, directory=Path(directory.path))
