"""The full-screen program without a terminal: keys, panes and errors, driven by Textual's pilot."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from conftest import Repo
from textual.pilot import Pilot
from tui_words import WAITING, PlainLinks, StillHost, board_of, done, project_of, show

from gitlimmat.errors import LimmatError
from gitlimmat.model import Outcome, Result
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.tui.app import WatchApp
from gitlimmat.tui.keys import ACTIONS
from gitlimmat.tui.look import Look

_CONFIG = "".join(
    f'[[tests]]\nname = "{name}"\ncommand = "{command}"\n'
    for name, command in (("build", "printf 'one\\\\ntwo\\\\n'; exit 3"), ("unit", "true"))
)
Play = Callable[[WatchApp, "Pilot[None]", Board], Awaitable[None]]


@pytest.fixture
def topic(repo: Repo) -> Repo:
    """Three commits on `topic`."""
    repo.config(_CONFIG)
    repo.commit("base")
    repo.commit("topic", "main")
    repo.commit("second")
    repo.commit("third")
    return repo


class Asked:
    """A control that remembers what it was asked for, or says no."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        self.refusal = ""

    def rerun(self, commit: str, test: str | None) -> None:
        """Remember."""
        self._note("rerun", commit, test)

    def cancel(self, commit: str, test: str | None) -> None:
        """Remember."""
        self._note("cancel", commit, test)

    def _note(self, what: str, commit: str, test: str | None) -> None:
        if self.refusal:
            raise LimmatError(self.refusal)
        self.asked.append((what, commit, test))


def play(repo: Repo, steps: Play, *, size: tuple[int, int] = (80, 24), links: bool = True) -> None:
    """Run the program on a board of `topic` and do `steps`."""

    async def run() -> None:
        board = board_of(project_of(repo.path), "main", "topic")
        app = WatchApp(StillHost(board), PlainLinks() if links else None, Look())
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await steps(app, pilot, board)

    asyncio.run(run())


def screen(app: WatchApp) -> list[str]:
    """Return what is on the screen."""
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


async def until(pilot: Pilot[None], app: WatchApp, text: str) -> None:
    """Wait until a text is on the screen."""
    for _ in range(300):
        await pilot.pause(0.02)
        if any(text in line for line in screen(app)):
            return
    raise AssertionError(f"{text!r} is not on the screen:\n" + "\n".join(screen(app)))


def newest_results(board: Board, commit: str) -> dict[str, Result]:
    """Return the stored results of a commit."""
    return {result.test: result for result in board.project.store.view().history(commit)}


def test_output_of_a_finished_job_comes_from_the_store(topic: Repo) -> None:
    """Enter shows what a real run has stored; what is not stored is said so."""
    topic.limmat("run", "main..topic", status=None)

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        newest = board.commits[0].id
        result = newest_results(board, newest)["build"]
        cell = Cell(state=CellState.DONE, outcome=Outcome.FAILED, reason="exit 3", result=result)
        board.put([newest], "build", cell)
        gone = Cell(state=CellState.DONE, outcome=Outcome.ERRORED, reason="build failed")
        board.put([newest], "unit", gone)
        await pilot.press("enter")
        await until(pilot, app, "two")
        assert any("output of build on" in line and "line 2 of 2" in line for line in screen(app))
        await pilot.press("enter", "l")
        await until(pilot, app, "no output is stored: build failed")
        await pilot.press("escape")
        assert not app.output.display

    play(topic, steps)


def test_output_stays_while_a_job_ends(topic: Repo, tmp_path: Path) -> None:
    """What was followed live is replaced by what is stored, without a moment of nothing."""
    topic.limmat("run", "main..topic", status=None)
    (tmp_path / "output.txt").write_text("one\n")

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        newest = board.commits[0].id
        running = Cell(state=CellState.RUNNING, since=1.0, directory=tmp_path)
        board.put([newest], "build", running)
        await pilot.press("f")
        await until(pilot, app, "one")
        (tmp_path / "output.txt").unlink()
        result = newest_results(board, newest)["build"]
        board.put(
            [newest],
            "build",
            Cell(state=CellState.DONE, outcome=Outcome.FAILED, reason="exit 3", result=result),
        )
        await until(pilot, app, "two")

    play(topic, steps)


def test_a_file_that_takes_the_name_is_not_mixed_in(topic: Repo, tmp_path: Path) -> None:
    """The directory of a job may be used again for the next: its output is another one."""
    output = tmp_path / "output.txt"
    output.write_text("first job\n")

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        newest = board.commits[0].id
        board.put([newest], "build", Cell(state=CellState.RUNNING, since=1.0, directory=tmp_path))
        await pilot.press("f")
        await until(pilot, app, "first job")
        output.unlink()
        output.write_text("second job\n")
        board.put([newest], "build", Cell(state=CellState.RUNNING, since=2.0, directory=tmp_path))
        await until(pilot, app, "second job")
        assert not any("first job" in line for line in screen(app))

    play(topic, steps)


def test_scrolling_the_output_stops_following_and_the_end_follows_again(topic: Repo, tmp_path: Path) -> None:
    """Up leaves the end, G goes back and stays there."""
    output = tmp_path / "output.txt"
    output.write_text("".join(f"line {n}\n" for n in range(1000)))

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        board.put(
            [board.commits[0].id], "build", Cell(state=CellState.RUNNING, since=1.0, directory=tmp_path)
        )
        await pilot.press("f")
        await until(pilot, app, "line 999")
        await pilot.press("pageup")
        await until(pilot, app, "of 1,000, f follows")
        await pilot.press("g")
        await until(pilot, app, "line 0")
        with output.open("a") as out:
            out.write("the last\n")
        await pilot.press("G")
        await until(pilot, app, "the last")

    play(topic, steps)


def test_long_lines_are_wrapped_or_scrolled(topic: Repo, tmp_path: Path) -> None:
    """Long lines take several lines; w cuts them, and then right scrolls."""
    (tmp_path / "output.txt").write_text("a" * 100 + "b" * 60 + "END\n")

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        board.put(
            [board.commits[0].id], "build", Cell(state=CellState.RUNNING, since=1.0, directory=tmp_path)
        )
        await pilot.press("f")
        await until(pilot, app, "END")
        await pilot.press("w")
        await pilot.pause(0.1)
        assert not any("END" in line for line in screen(app))
        await pilot.press("l", "l", "l", "l", "l", "l")
        await until(pilot, app, "END")

    play(topic, steps)


def test_both_streams_are_reachable(topic: Repo, tmp_path: Path) -> None:
    """Where a test has separate outputs, s shows the other one."""
    topic.config('[[tests]]\nname = "build"\ncommand = "true"\nseparate_outputs = true\n')
    (tmp_path / "stdout.txt").write_text("to stdout\n")
    (tmp_path / "stderr.txt").write_text("to stderr\n")

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        board.put(
            [board.commits[0].id], "build", Cell(state=CellState.RUNNING, since=1.0, directory=tmp_path)
        )
        await pilot.press("f")
        await until(pilot, app, "to stdout")
        await pilot.press("s")
        await until(pilot, app, "to stderr")
        await until(pilot, app, "stderr of build on")

    play(topic, steps)


def test_the_engine_is_asked_and_its_refusal_is_shown(topic: Repo) -> None:
    """r, R and c ask the board's control; without one their keys are not offered."""

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        await pilot.press("r")
        await until(pilot, app, "this can only be looked at")
        control = Asked()
        board.control = control
        show(board, "main", "main")
        await until(pilot, app, "nothing between main and main")
        show(board, "main", "topic")
        await pilot.press("k")
        await until(pilot, app, "r rerun")
        await pilot.press("j", "l", "r", "R", "c")
        commit = board.commits[1].id
        assert control.asked == [
            ("rerun", commit, "unit"),
            ("rerun", commit, None),
            ("cancel", commit, "unit"),
        ]
        control.refusal = "cannot run it now"
        await pilot.press("r")
        await until(pilot, app, "cannot run it now")

    play(topic, steps, size=(120, 24))


def test_what_is_typed_searches_and_filters(topic: Repo) -> None:
    """Keys are text while a line is typed; pasted text is, too."""

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        await pilot.press("slash", *"second", "enter")
        assert app.view.commit is not None
        assert app.view.commit.subject == "second"
        board.put([board.commits[0].id], "unit", WAITING)
        await pilot.press("ampersand", *"waitinx", "backspace", "g")
        await until(pilot, app, "1 of 3 commits")
        board.put([board.commits[0].id], "unit", done(Outcome.PASSED))
        await until(pilot, app, "no commit matches 'waiting'")
        await pilot.press("escape")
        await until(pilot, app, "second")
        await pilot.press("p", "slash", *"nowhere", "enter")
        await until(pilot, app, "not found: nowhere")

    play(topic, steps)


def test_the_commit_is_copied_and_its_page_shown(topic: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """y copies the whole id; o shows the address where no browser would be seen."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        commit = board.commits[0].id
        await pilot.press("y")
        assert app.clipboard == commit
        await until(pilot, app, f"copied {commit}")
        await pilot.press("o")
        await until(pilot, app, f"http://localhost:4000/{commit}/build")

    play(topic, steps, size=(120, 24))


def test_a_browser_of_the_users_is_started(
    topic: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """o starts `$BROWSER` with the address, apart from our terminal."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1 $LIMMAT_OWN" >{opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", os.fspath(browser))

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        await pilot.press("o")
        await until(pilot, app, "opened http://localhost:4000/")
        assert opened.read_text() == f"http://localhost:4000/{board.commits[0].id}/build 1\n"

    play(topic, steps)


def test_help_says_what_each_key_does(topic: Repo) -> None:
    """? shows keys, signs and the address, and goes away again."""

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        await pilot.press("question_mark")
        await until(pilot, app, "✓ passed")
        await pilot.press("down", "down", "down", "down", "down", "down", "down", "down", "down")
        await until(pilot, app, "pages     http://localhost:4000/")
        await pilot.press("escape")
        await until(pilot, app, "third")

    play(topic, steps)


def test_a_narrow_header_tells_how_it_stands(topic: Repo) -> None:
    """Where there is no room for all, the counts of outcomes come first."""

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        board.put([commit.id for commit in board.commits], "unit", done(Outcome.PASSED))
        board.put([board.commits[0].id], "build", done(Outcome.FAILED))
        await until(pilot, app, "repo  ✓ 3  ✗ 1")
        await pilot.resize_terminal(100, 24)
        await until(pilot, app, "repo  main..topic  3 commits  ✓ 3  ✗ 1")

    play(topic, steps, size=(30, 24))


def test_problems_are_shown_and_go_away(topic: Repo) -> None:
    """Each problem is a line below the header; too many are counted."""

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        for number in range(6):
            board.say(f"part{number}", f"broken \x1b[31m{number}")
        await until(pilot, app, "and 3 more problems")
        assert any("part0: broken  [31m0" in line for line in screen(app))
        for number in range(6):
            board.say(f"part{number}", None)
        await pilot.pause(0.2)
        assert not any("broken" in line for line in screen(app))

    play(topic, steps)


def test_a_page_address_is_drawn_only_where_there_are_pages(topic: Repo) -> None:
    """Without pages there is no address, no link, and no key for them."""

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        assert not any("http" in line or "o page" in line for line in screen(app))
        await pilot.press("o")

    play(topic, steps, links=False)


def test_ten_thousand_changes_are_a_few_repaints(topic: Repo) -> None:
    """However many cells change, and wherever, the screen is drawn at most twenty times a second."""

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        drawn = 0
        draw = app.table.line

        def count(y: int, width: int) -> object:
            nonlocal drawn
            drawn += 1
            return draw(y, width)

        app.table.line = count  # type: ignore[method-assign,assignment]
        loop = asyncio.get_running_loop()
        started = loop.time()
        ids = [commit.id for commit in board.commits]
        for number in range(3_334):
            board.put(ids, "unit", done(Outcome.PASSED, elapsed=float(number + 1)))
            if number % 10 == 0:
                await asyncio.sleep(0)
        await pilot.pause(0.15)
        frames = (loop.time() - started) / 0.05 + 2
        assert drawn <= frames * len(ids) * 2
        assert any("55m34" in line for line in screen(app))

    play(topic, steps, size=(120, 24))


def test_the_range_may_change_while_it_is_drawn(topic: Repo) -> None:
    """History that moves, also to nothing, never breaks the view."""

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        for number in range(30):
            show(board, "main" if number % 3 else "topic", "topic", {})
            board.put([Place("0" * 40, "unit").commit], "unit", WAITING)
            await pilot.press("j", "enter", "l", "k")
            if number % 5 == 0:
                topic.commit(f"more {number}")
        await until(pilot, app, "main..topic")

    play(topic, steps)


@pytest.mark.parametrize("seed", range(4))
def test_no_key_no_change_and_no_size_breaks_it(topic: Repo, tmp_path: Path, seed: int) -> None:
    """Random keys, clicks, sizes and changes of the board: the view goes on and takes the next key."""
    chance = random.Random(seed)
    (tmp_path / "output.txt").write_text("wide 日本語 \x1b[31mred\tline\x1b[m\n" * 50)
    topic.commit("side", "main")
    topic.git("checkout", "-q", "topic")
    topic.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    keys = [name for name in ACTIONS if name not in ("q", "ctrl+c", "ctrl+q", "ctrl+z", "o")]
    keys += ["x", "backspace", "tab", "1", "ctrl+u", "f5"]
    ranges = [("main", "topic"), ("topic", "topic"), ("main", "topic~1")]

    def change(board: Board) -> None:
        commits = [commit.id for commit in board.commits] or ["0" * 40]
        running = Cell(state=CellState.RUNNING, since=1.0, directory=tmp_path)
        cells = [
            WAITING,
            running,
            Cell(state=CellState.UNKNOWN),
            *(done(outcome, "why") for outcome in Outcome),
        ]
        match chance.randrange(8):
            case 0:
                names = [f"test {number} 試験" for number in range(chance.choice([0, 1, 2, 30]))]
                show(board, *chance.choice(ranges), tests=names)
            case 1:
                board.say("part", chance.choice([None, "broken"]))
            case 2:
                board.control = chance.choice([None, Asked()])
            case _:
                for test in board.tests[:3]:
                    board.put([chance.choice(commits)], test, chance.choice(cells))

    async def steps(app: WatchApp, pilot: Pilot[None], board: Board) -> None:
        for _ in range(150):
            match chance.randrange(6):
                case 0:
                    change(board)
                case 1 if chance.random() < 0.3:
                    await pilot.resize_terminal(chance.randrange(1, 120), chance.randrange(1, 40))
                case 2:
                    await pilot.click(
                        offset=(chance.randrange(app.size.width), chance.randrange(app.size.height))
                    )
                case _:
                    await pilot.press(chance.choice(keys))
        await pilot.resize_terminal(80, 24)
        for _ in range(3):
            await pilot.press("escape")
        show(board, "main", "topic")
        await until(pilot, app, "third")

    play(topic, steps)
