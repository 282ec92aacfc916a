"""A watch as appended lines."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from conftest import Repo
from tui_words import WAITING, PlainLinks, StillHost, board_of, done, project_of, show

from gitlimmat.cli.output import Printer
from gitlimmat.cli.plain import PlainLines
from gitlimmat.model import Outcome
from gitlimmat.service.board import Board, Cell, CellState, Place

_CONFIG = "".join(f'[[tests]]\nname = "{name}"\ncommand = "true"\n' for name in ("build", "unit"))


@pytest.fixture
def topic(repo: Repo) -> Repo:
    """A repository with two commits on `topic` after `main`, and two tests."""
    repo.config(_CONFIG)
    repo.commit("base")
    repo.commit("topic", "main")
    repo.commit("second")
    return repo


def lines_of(
    repo: Path, play: Callable[[StillHost, Board], Awaitable[None]], *, several: bool = False
) -> list[str]:
    """Return the lines written while `play` changes a board."""
    out = StringIO()

    async def run() -> None:
        project = project_of(repo)
        boards = [board_of(project, "main", "topic") for _ in range(2 if several else 1)]
        host = StillHost(*boards)
        lines = PlainLines(host, PlainLinks(), Printer(out, colored=False))
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(lines.serve())
            await asyncio.sleep(0)
            await play(host, boards[0])
            await asyncio.sleep(0)
            task.cancel()

    asyncio.run(run())
    return out.getvalue().splitlines()


async def told() -> None:
    """Let the board tell its listeners."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_lines_say_range_results_and_how_it_stands(topic: Repo) -> None:
    """The address comes first, then the range; each result is a line; in the end the counts."""

    async def play(host: StillHost, board: Board) -> None:
        first, second = (commit.id for commit in board.commits)
        board.put([first, second], "unit", WAITING)
        await told()
        board.put([first], "unit", Cell(state=CellState.RUNNING))
        await told()
        board.put([second], "unit", done(Outcome.FAILED, "exit 1"))
        board.put([first], "unit", done(Outcome.PASSED))
        await told()

    newest, older = topic.git("log", "--format=%h", "main..topic").split()
    assert lines_of(topic.path, play) == [
        "pages: http://localhost:4000/",
        "main..topic: 2 commits, 2 new",
        f"{newest}  unit   passed (1.2 s)  second",
        f"{older}  unit   failed (exit 1, 1.2 s)  topic",
        "main..topic: 1 passed, 1 failed",
    ]


def test_what_was_known_already_is_counted_too(topic: Repo) -> None:
    """How it stands is said also when another process was faster, once for each change."""

    async def play(host: StillHost, board: Board) -> None:
        first, second = (commit.id for commit in board.commits)
        board.put([first, second], "unit", done(Outcome.PASSED))
        await told()
        board.say("base", "gone")
        await told()

    counts = [line for line in lines_of(topic.path, play) if line.endswith(": 2 passed")]
    assert counts == ["main..topic: 2 passed"]


def test_a_new_range_says_how_many_commits_are_new(topic: Repo) -> None:
    """Only commits that were not there before count as new; an unchanged range is not told again."""

    async def play(host: StillHost, board: Board) -> None:
        await told()
        topic.commit("third")
        show(board, "main", "topic")
        await told()
        show(board, "main", "topic")
        await told()
        show(board, "topic", "topic")
        await told()

    assert lines_of(topic.path, play)[1:] == [
        "main..topic: 2 commits, 2 new",
        "main..topic: 3 commits, 1 new",
        "topic..topic: 0 commits",
    ]


def test_problems_and_their_end_are_told_once(topic: Repo) -> None:
    """A problem is a line when it comes, when it changes and when it goes."""

    async def play(host: StillHost, board: Board) -> None:
        for text in ("cannot resolve 'x'", "cannot resolve 'x'", "cannot resolve 'y'", None):
            board.say("base", text)
            await told()

    assert lines_of(topic.path, play)[2:] == [
        "problem with base: cannot resolve 'x'",
        "problem with base: cannot resolve 'y'",
        "no problem with base any more",
    ]


def test_a_warning_is_told_as_one(topic: Repo) -> None:
    """It was said once: there is no problem that would go on until it is over."""

    async def play(host: StillHost, board: Board) -> None:
        for text in ("cannot lock", None, "cannot lock"):
            board.say("warning", text)
            await told()

    assert lines_of(topic.path, play)[2:] == ["warning: cannot lock", "warning: cannot lock"]


def test_what_delays_the_end_is_named(topic: Repo) -> None:
    """When asked to stop, the jobs that run are listed; several repositories are told apart."""

    async def play(host: StillHost, board: Board) -> None:
        await told()
        host.running = [(board, Place(board.commits[0].id, "unit"))]
        host.stop()

    written = lines_of(topic.path, play, several=True)
    short = topic.git("rev-parse", "--short", "topic")
    assert "repo: main..topic: 2 commits, 2 new" in written
    assert written[-1] == f"stopping unit on {short} (again to kill)"


def test_a_reader_that_is_gone_ends_it(topic: Repo) -> None:
    """Lines that cannot be written end `serve` with the error, and nothing else."""
    read, write = os.pipe()
    os.close(read)

    out = open(write, "w")  # noqa: PTH123, SIM115

    async def run() -> None:
        board = board_of(project_of(topic.path), "main", "topic")
        await PlainLines(StillHost(board), None, Printer(out, colored=False)).serve()

    with pytest.raises(BrokenPipeError):
        asyncio.run(run())
    with suppress(BrokenPipeError):
        out.close()


def test_plain_lines_start_without_the_screen() -> None:
    """Who has no terminal does not wait for the modules that draw on one."""
    code = "import sys, gitlimmat.cli.watch; print(*{'textual', 'rich'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
