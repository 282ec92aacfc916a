"""Watch real repositories inside a test, and wait for what their boards show."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from conftest import Repo

from gitlimmat.model import Outcome
from gitlimmat.service.board import Board, Cell, CellState
from gitlimmat.service.logfile import open_log
from gitlimmat.service.project import open_project
from gitlimmat.service.request import Request
from gitlimmat.service.sharing import open_sharing
from gitlimmat.service.watch import Surface, Watch
from gitlimmat.service.watched import WatchRequest

_DEADLINE_S = 30.0


class Watching:
    """A watch that runs in this loop."""

    def __init__(self, watch: Watch, repos: tuple[Repo, ...]) -> None:
        self.watch = watch
        self.board: Board = watch.boards[0]
        self.repo = repos[0]

    async def git(self, *arguments: str) -> str:
        """Run git in the first repository, while the watch goes on."""
        return await asyncio.to_thread(self.repo.git, *arguments)

    async def commit(self, subject: str, **files: str) -> str:
        """Make a commit while the watch goes on, and return its id."""
        return await asyncio.to_thread(lambda: self.repo.commit(subject, **files))

    async def limmat(self, *arguments: str, status: int | None = 0) -> str:
        """Run the program in the first repository, while the watch goes on."""
        return await asyncio.to_thread(lambda: self.repo.limmat(*arguments, status=status))

    async def until(self, condition: Callable[[], object], board: Board | None = None) -> None:
        """Return when `condition()` holds; it is asked at each change of the board."""
        board = board or self.board
        changed = asyncio.Event()
        end = board.subscribe(lambda change: changed.set())
        try:
            async with asyncio.timeout(_DEADLINE_S):
                while not condition():
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            raise AssertionError(f"waited too long; the board shows:\n{picture(board)}") from None
        finally:
            end()

    async def until_done(self, *, commits: int) -> None:
        """Return when the board shows so many commits, and all that is to be known of them."""
        await self.until(lambda: len(self.board.commits) == commits and self.is_done())

    def is_done(self) -> bool:
        """Whether nothing waits or runs."""
        counts = self.board.counts()
        return not (counts.waiting or counts.running or counts.unknown)

    def cell(self, commit: str, test: str) -> Cell:
        """Return a cell."""
        return self.board.cell(commit, test)

    def outcome(self, commit: str, test: str) -> Outcome | None:
        """Return the outcome of a cell that is done."""
        cell = self.board.cell(commit, test)
        return cell.outcome if cell.state is CellState.DONE else None

    def runs(self, commit: str, test: str) -> bool:
        """Whether a job runs there."""
        return self.board.cell(commit, test).state is CellState.RUNNING


def picture(board: Board) -> str:
    """Return what a board shows, for people who read a failed test."""
    rows = [f"{board.base}..{board.head} {board.problems} {board.counts()}"]
    for commit in board.commits:
        cells = [
            f"{test}={cell.outcome or cell.state}({cell.reason})"
            for test, cell in zip(board.tests, board.row(commit.id), strict=True)
        ]
        rows.append(f"{commit.abbreviated} {' '.join(cells)} {commit.subject}")
    return "\n".join(rows)


@asynccontextmanager
async def watching(
    *repos: Repo,
    base: str | None = None,
    include_base: bool = False,
    surfaces: dict[str, Surface] | None = None,
    **options: object,
) -> AsyncIterator[Watching]:
    """Watch `repos` until the block ends; all jobs are ended then."""
    os.chdir(repos[0].path)
    request = Request(repo=[repo.path for repo in repos], **options)  # type: ignore[arg-type]
    said: list[str] = []
    projects = [open_project(each, said.append) for each in request.each()]
    log = open_log("watch", projects[0].repository.name, said.append)
    watch = Watch(
        projects,
        WatchRequest(base=base, include_base=include_base),
        sharing=open_sharing(projects[0].settings, said.append),
        log=log,
    )
    async with asyncio.TaskGroup() as tasks:
        served = tasks.create_task(watch.serve(surfaces or {}))
        try:
            yield Watching(watch, repos)
        finally:
            while not served.done():
                watch.stop()
                await asyncio.wait([served], timeout=1.0)
            log.close()


def run(scenario: Coroutine[None, None, None]) -> None:
    """Run a scenario in a loop of its own, from a directory that is restored."""
    before = Path.cwd()
    try:
        asyncio.run(scenario)
    finally:
        os.chdir(before)
