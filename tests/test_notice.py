"""Notices: what is worth one, and how it reaches the user."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from conftest import Repo
from hypothesis import given
from hypothesis import strategies as st
from runner_words import shell
from waiting import is_alive, wait_until

from gitlimmat.git.graph import Described, GraphLine
from gitlimmat.model import Outcome, Result
from gitlimmat.runner.host import Host, Stop
from gitlimmat.service.announce import Announcer, Message, desktop, run_limited
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.service.notice import Event, Facts, Memory, Notice, Notices, decide, describe
from gitlimmat.service.project import open_project
from gitlimmat.service.request import Request

CONFIG = """
[[tests]]
name = "build"
command = "true"

[[tests]]
name = "unit"
command = "true"
depends_on = ["build"]
"""
A, B, C = (letter * 40 for letter in "abc")
AB = frozenset((A, B))
FAILED = Notice(event=Event.FAILED, place=Place(A, "unit"))
PASSED = Notice(event=Event.PASSED)
STUCK = Notice(event=Event.STUCK)


# What is worth a notice.


@pytest.mark.parametrize(
    ("before", "now", "notice"),
    [
        (Memory(), Facts(), None),
        (Memory(), Facts(commits=AB, failures=(Place(A, "unit"), Place(B, "unit"))), FAILED),
        (Memory(covered=AB), Facts(commits=AB, failures=(Place(A, "unit"),)), None),
        (
            Memory(covered=frozenset((B,))),
            Facts(commits=AB, failures=(Place(B, "x"), Place(A, "unit"))),
            FAILED,
        ),
        (Memory(), Facts(commits=AB, failures=(Place(A, "unit"),), ran=True, still=99.0), FAILED),
        (Memory(), Facts(well=True, ran=True), PASSED),
        (Memory(covered=AB), Facts(well=True, ran=True), PASSED),
        (Memory(), Facts(well=True), None),
        (Memory(), Facts(ran=True), None),
        (Memory(), Facts(still=9.9), None),
        (Memory(), Facts(still=10.0), STUCK),
        (Memory(stuck=True), Facts(still=11.0), None),
        (Memory(stuck=True), Facts(still=1.0), None),
    ],
)
def test_one_notice_tells_what_matters(before: Memory, now: Facts, notice: Notice | None) -> None:
    """A failure first, then that all is well, then that nothing moves."""
    assert decide(before, now, idle_after_s=10.0)[1] == notice


def test_failures_are_news_again_when_all_was_well() -> None:
    """What was covered by a notice is forgotten once everything has passed."""
    memory, notice = decide(Memory(covered=AB), Facts(well=True), idle_after_s=0)
    assert (memory, notice) == (Memory(), None)


def test_nobody_is_told_that_nothing_moves_unless_asked() -> None:
    """0 means never."""
    assert decide(Memory(), Facts(still=1e9), idle_after_s=0) == (Memory(), None)


PLACES = st.builds(Place, st.sampled_from((A, B, C)), st.sampled_from(("build", "unit")))
COMMITS = st.frozensets(st.sampled_from((A, B, C)))
FACTS = st.one_of(
    st.builds(Facts, commits=COMMITS, well=st.just(True), ran=st.booleans()),
    st.builds(
        Facts,
        commits=COMMITS,
        failures=st.lists(PLACES, max_size=3).map(tuple),
        ran=st.booleans(),
        still=st.one_of(st.none(), st.floats(0, 20)),
    ),
)


@given(st.lists(FACTS, max_size=30))
def test_notices_are_few_and_true(history: list[Facts]) -> None:
    """Each is true now, and none says again what the one before has covered; looking twice adds nothing."""
    memory, covered, told_stuck = Memory(), frozenset[str](), False
    for now in history:
        memory, notice = decide(memory, now, idle_after_s=10)
        covered = frozenset() if now.well else covered
        told_stuck = told_stuck and now.still is not None and now.still >= 10
        news = [place for place in now.failures if place.commit not in covered]
        match notice:
            case Notice(event=Event.FAILED):
                assert notice.place == news[0]
                covered = now.commits
            case Notice(event=Event.PASSED):
                assert now.well
                assert now.ran
                assert not news
            case Notice(event=Event.STUCK):
                assert now.still is not None
                assert now.still >= 10
                assert not told_stuck
                told_stuck = True
            case None:
                assert not news
                assert not (now.well and now.ran)
        again = Facts(commits=now.commits, well=now.well, still=now.still)
        memory, repeated = decide(memory, again, idle_after_s=10)
        assert repeated is None or (repeated.event is Event.STUCK and not told_stuck)
        told_stuck = told_stuck or repeated is not None


# What is heard from a board.


@pytest.fixture
def board(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board of a real repository, with nothing on it."""
    repo.config(CONFIG)
    repo.commit("base")
    monkeypatch.chdir(repo.path)
    return Board("demo", open_project(Request(), lambda _: None))


def show(board: Board, *commits: str, cells: dict[Place, Cell] | None = None) -> None:
    """Show these commits, newest first."""
    described = [
        Described(
            id=commit, tree=commit, abbreviated=commit[:7], subject=f"subject {commit[0]}",
            refs=(), author="", committed=0,
        )
        for commit in commits
    ]  # fmt: skip
    lines = [GraphLine(art="* ", commit=each) for each in described]
    waiting = {Place(commit, test): WAITING for commit in commits for test in ("build", "unit")}
    board.show(base="main", head="topic", lines=lines, tests=("build", "unit"), cells=waiting | (cells or {}))


WAITING = Cell(state=CellState.WAITING)
RUNNING = Cell(state=CellState.RUNNING)


def done(place: Place, outcome: Outcome, *, ago: float = 0.0, known: bool = False, reason: str = "") -> Cell:
    """Return the cell of a job that ended `ago` seconds ago."""
    result = Result(
        test=place.test,
        digest="",
        outcome=outcome,
        started=time.time() - ago,
        elapsed=0.0,
        commit=place.commit,
    )
    return Cell(state=CellState.DONE, outcome=outcome, result=result, known=known, reason=reason)


async def settle() -> None:
    """Let the loop go round until all that can be decided is."""
    for _ in range(10):
        await asyncio.sleep(0)


class Heard:
    """Notices that write their messages, one a line, into a file by a real command."""

    def __init__(self, board: Board, path: Path, idle_after_s: float = 0.0) -> None:
        self._path = path
        self.board = board
        self.warnings: list[str] = []
        command = f'echo "$LIMMAT_EVENT $LIMMAT_TEST $LIMMAT_MESSAGE" >>{path}'
        self.notices = Notices([board], command, idle_after_s, self.warnings.append)

    def lines(self) -> list[str]:
        """Return what has been told."""
        return self._path.read_text().splitlines() if self._path.exists() else []

    async def told(self, count: int) -> list[str]:
        """Return all messages once there are `count`."""
        async with asyncio.timeout(30):
            while len(self.lines()) < count:
                await asyncio.sleep(0.005)
        return self.lines()

    def finish(self, commit: str, build: Outcome, unit: Outcome) -> None:
        """Let both jobs of a commit end."""
        for test, outcome in (("build", build), ("unit", unit)):
            self.board.put([commit], test, done(Place(commit, test), outcome))


def hear(
    board: Board, path: Path, act: Callable[[Heard], Awaitable[None]], idle_after_s: float = 0.0
) -> list[str]:
    """Run `act` while notices are sent; return what was told."""

    async def main() -> list[str]:
        heard = Heard(board, path, idle_after_s)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(heard.notices.run())
            await asyncio.sleep(0)
            await act(heard)
            running.cancel()
        assert heard.warnings == []
        return heard.lines()

    return asyncio.run(main())


def test_the_first_failure_and_then_that_all_is_well(board: Board, tmp_path: Path) -> None:
    """Other failures of the same commits are quiet; those of a new commit are told, and the end is."""

    async def act(heard: Heard) -> None:
        show(board, B, A)
        board.put([B], "build", done(Place(B, "build"), Outcome.PASSED))
        board.put([B], "unit", done(Place(B, "unit"), Outcome.FAILED, reason="exit 3"))
        await heard.told(1)
        heard.finish(A, Outcome.FAILED, Outcome.ERRORED)
        show(board, C)
        heard.finish(C, Outcome.ERRORED, Outcome.ERRORED)
        await heard.told(2)
        board.put([C], "build", RUNNING)
        board.put([C], "build", done(Place(C, "build"), Outcome.PASSED, ago=-1))
        board.put([C], "unit", done(Place(C, "unit"), Outcome.PASSED, ago=-1))
        await heard.told(3)

    assert hear(board, tmp_path / "told", act) == [
        "failed unit demo: unit failed: bbbbbbb subject b (exit 3)",
        "failed build demo: build errored: ccccccc subject c",
        "passed  demo: all tests passed: main..topic: 2 passed",
    ]


def test_what_was_known_before_is_no_news(board: Board, tmp_path: Path) -> None:
    """Failures and passes from before the watch are shown, but nobody is told."""

    async def act(heard: Heard) -> None:
        old = {
            place: done(place, outcome, ago=60, known=True)
            for place, outcome in (
                (Place(B, "build"), Outcome.PASSED),
                (Place(B, "unit"), Outcome.PASSED),
                (Place(A, "build"), Outcome.FAILED),
                (Place(A, "unit"), Outcome.ERRORED),
            )
        }
        show(board, B, A, cells=old)
        await settle()
        show(board, B, cells=old)
        await settle()
        show(board, C, B, cells=old)
        heard.finish(C, Outcome.PASSED, Outcome.PASSED)
        await heard.told(1)

    assert hear(board, tmp_path / "told", act) == ["passed  demo: all tests passed: main..topic: 4 passed"]


def test_what_other_processes_find_out_is_news(board: Board, tmp_path: Path) -> None:
    """A result is known because someone else has run the job just now."""

    async def act(heard: Heard) -> None:
        place = Place(A, "build")
        show(board, A, cells={place: done(place, Outcome.FAILED, ago=-1, known=True)})
        await heard.told(1)

    assert hear(board, tmp_path / "told", act) == ["failed build demo: build failed: aaaaaaa subject a"]


def test_a_failure_that_follows_from_another_is_not_the_first(board: Board, tmp_path: Path) -> None:
    """What cannot run because a dependency has failed is not told in its place."""

    async def act(heard: Heard) -> None:
        known = {Place(A, "build"): done(Place(A, "build"), Outcome.FAILED, ago=60, known=True)}
        blocked = Cell(state=CellState.DONE, outcome=Outcome.ERRORED, reason="dependency 'build' failed")
        show(board, A, cells=known | {Place(A, "unit"): blocked})
        await settle()
        show(board, B, A, cells=known)
        board.put([B], "unit", blocked)
        board.put([B], "build", done(Place(B, "build"), Outcome.FAILED))
        await heard.told(1)

    assert hear(board, tmp_path / "told", act) == ["failed build demo: build failed: bbbbbbb subject b"]


def test_coming_back_to_a_branch_is_no_news(board: Board, tmp_path: Path) -> None:
    """A failure that was told is not told again when its commit vanishes and is there again."""

    async def act(heard: Heard) -> None:
        failed = {Place(A, "build"): done(Place(A, "build"), Outcome.FAILED)}
        passed = {Place(B, test): done(Place(B, test), Outcome.PASSED) for test in ("build", "unit")}
        show(board, A, cells=failed)
        await heard.told(1)
        show(board, B, cells=passed)
        await heard.told(2)
        for _ in range(3):
            show(board, A, cells=failed)
            await settle()
            show(board, B, cells=passed)
            await settle()
        show(board, C)
        heard.finish(C, Outcome.FAILED, Outcome.PASSED)
        await heard.told(3)

    assert [line.split()[:2] for line in hear(board, tmp_path / "told", act)] == [
        ["failed", "build"],
        ["passed", "demo:"],
        ["failed", "build"],
    ]


def test_an_empty_board_is_not_well(board: Board, tmp_path: Path) -> None:
    """When the range is gone, what has passed before is no reason to say that all is well."""

    async def act(heard: Heard) -> None:
        show(board, A)
        board.put([A], "build", done(Place(A, "build"), Outcome.PASSED))
        await settle()
        show(board)
        await settle()
        show(board, B)
        heard.finish(B, Outcome.FAILED, Outcome.PASSED)
        await heard.told(1)

    assert [line.split()[0] for line in hear(board, tmp_path / "told", act)] == ["failed"]


def test_nothing_that_moves_is_told_once(board: Board, tmp_path: Path) -> None:
    """When jobs run and none finishes in time there is a notice, and another after one has finished."""

    async def act(heard: Heard) -> None:
        show(board, A)
        board.put([A], "build", RUNNING)
        await heard.told(1)
        board.put([A], "build", done(Place(A, "build"), Outcome.PASSED))
        await heard.told(2)
        board.put([A], "unit", done(Place(A, "unit"), Outcome.PASSED))
        await heard.told(3)

    told = hear(board, tmp_path / "told", act, idle_after_s=0.05)
    assert [re.sub(r" for [\d.]+ m?s", "", line) for line in told] == [
        "stuck build demo: nothing has finished: build runs on aaaaaaa subject a, 1 to go",
        "stuck  demo: nothing has finished: 1 to go",
        "passed  demo: all tests passed: main..topic: 2 passed",
    ]


def test_no_timer_runs_while_nothing_does(board: Board) -> None:
    """A watch at rest is not woken."""

    async def main() -> list[int]:
        notices = Notices([board], "true", 60.0, lambda _: None)
        running = asyncio.create_task(notices.run())
        loop, due = asyncio.get_running_loop(), list[int]()
        for cells in (
            {},
            {Place(A, test): done(Place(A, test), Outcome.PASSED) for test in ("build", "unit")},
        ):
            show(board, A, cells=cells)
            await settle()
            live = [each for each in loop._scheduled if not each.cancelled()]  # type: ignore[attr-defined]
            due.append(len([each for each in live if each.when() - loop.time() > 40]))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return due

    assert asyncio.run(main()) == [1, 0]


# How a message reaches the user.


MESSAGE = Message(
    event="failed",
    title="demo: unit failed",
    body="abc1234 <b>&\\n $(id) (exit 3)",
    directory=Path("/"),
    commit=A,
    test="unit",
    outcome="failed",
    reason="exit 3",
    url="http://[::1]:8080/",
)


def send(notify: bool | str, message: Message, **more: object) -> tuple[list[str], list[str]]:
    """Send a message twice; return the warnings and how often the bell rang."""
    warnings: list[str] = []
    rung: list[str] = []
    announcer = Announcer(notify, warnings.append, bell=lambda: rung.append("ding"), **more)  # type: ignore[arg-type]

    async def twice() -> None:
        await announcer.send(message)
        await announcer.send(message)

    asyncio.run(twice())
    return warnings, rung


def test_a_command_finds_all_in_its_environment(tmp_path: Path, repo: Repo) -> None:
    """It runs at the top of the worktree, without what binds git, and is known as no job's."""
    message = msgspec.structs.replace(MESSAGE, directory=repo.path)
    out = tmp_path / "environment"
    os.environ["GIT_INDEX_FILE"] = "x"
    try:
        assert send(f"env >{out}; pwd >>{out}; cat >>{out}", message) == ([], [])
    finally:
        del os.environ["GIT_INDEX_FILE"]

    lines = out.read_text().splitlines()
    assert {line for line in lines if line.startswith("LIMMAT_")} == {
        "LIMMAT_EVENT=failed",
        f"LIMMAT_REPOSITORY={repo.path}",
        f"LIMMAT_COMMIT={A}",
        "LIMMAT_TEST=unit",
        "LIMMAT_OUTCOME=failed",
        "LIMMAT_REASON=exit 3",
        "LIMMAT_MESSAGE=demo: unit failed: abc1234 <b>&\\n $(id) (exit 3)",
        "LIMMAT_URL=http://[::1]:8080/",
        "LIMMAT_OWN=1",
    }
    assert lines[-1] == str(repo.path)
    assert not [line for line in lines if line.startswith("GIT_INDEX_FILE")]


@pytest.mark.parametrize(
    ("command", "warning"),
    [
        ("exit 3", "the command of 'limmat.notify' exited with 3"),
        ("kill -9 $$", "the command of 'limmat.notify' got signal 9"),
        ("sleep 100 & wait", "the command of 'limmat.notify' took longer than 0.2 s"),
    ],
)
def test_a_command_that_fails_is_a_warning_once(command: str, warning: str) -> None:
    """Nobody wants to read the same at each notice."""
    assert send(command, MESSAGE, limit_s=0.2) == ([warning], [])


def test_a_command_that_cannot_start_is_a_warning(tmp_path: Path) -> None:
    """The repository may be gone."""
    gone = msgspec.structs.replace(MESSAGE, directory=tmp_path / "gone")
    (warning,), _ = send("true", gone)
    assert warning.startswith("cannot start the command of 'limmat.notify': [Errno 2]")


def test_output_of_a_command_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What it prints does not reach the screen, and only the beginning of much is kept."""
    logger = logging.getLogger("test")
    with caplog.at_level(logging.INFO):
        send("echo said; echo more >&2; exit 1", MESSAGE, log=logger)
        send("yes | head -c 1000000", MESSAGE, log=logger)
    assert "exited with 1\nsaid\nmore\n" in caplog.records[0].getMessage()
    assert 16_000 < len(caplog.records[2].getMessage()) < 17_000


def test_a_command_is_killed_with_its_children_when_it_takes_too_long(tmp_path: Path) -> None:
    """Nothing of it is left."""
    pids = tmp_path / "pids"

    async def main() -> int | None:
        argv = ("sh", "-c", f"sleep 100 & echo $! >{pids}; echo $$ >>{pids}; wait")
        return (await run_limited(argv, tmp_path, os.environ, 0.3))[0]

    assert asyncio.run(main()) is None
    left = [int(line) for line in pids.read_text().split()]
    assert len(left) == 2
    wait_until(lambda: not any(map(is_alive, left)), "the children to be gone")


def test_a_command_is_killed_when_the_watch_ends(tmp_path: Path) -> None:
    """Leaving does not wait for it."""
    pid = tmp_path / "pid"

    async def main() -> float:
        argv = ("sh", "-c", f"echo $$ >{pid}; exec sleep 100")
        running = asyncio.create_task(run_limited(argv, tmp_path, os.environ, 30.0))
        while not pid.exists() or not pid.read_text().strip():
            await asyncio.sleep(0.005)
        began = time.monotonic()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return time.monotonic() - began

    assert asyncio.run(main()) < 10
    wait_until(lambda: not is_alive(int(pid.read_text())), "it to be gone")


def test_what_a_command_leaves_in_the_background_lives_on(tmp_path: Path) -> None:
    """A sound may play on, and nobody waits for its end, though it holds the output open."""
    fifo, ended = tmp_path / "fifo", tmp_path / "ended"
    os.mkfifo(fifo)

    async def main() -> int | None:
        argv = ("sh", "-c", f"(read x <{fifo}; echo yes >{ended}) & true")
        return (await run_limited(argv, tmp_path, os.environ, 30.0))[0]

    assert asyncio.run(main()) == 0
    assert not ended.exists()
    with fifo.open("w") as out:
        out.write("go\n")
    wait_until(ended.exists, "what was left")


def test_the_host_of_the_jobs_leaves_a_command_alone(tmp_path: Path) -> None:
    """A command, and what it leaves behind, is not taken for what a job has left."""
    fifo, out, jobs = tmp_path / "fifo", tmp_path / "told", tmp_path / "jobs"
    os.mkfifo(fifo)
    jobs.mkdir()
    handle = os.open(fifo, os.O_RDWR)  # so that nobody waits for the other side

    async def main() -> None:
        announcer = Announcer(f"(read x <{fifo}; echo $x >>{out}) & echo begun >>{out}; wait", pytest.fail)
        async with Host() as host:
            sending = asyncio.create_task(announcer.send(MESSAGE))
            async with asyncio.timeout(30):
                while not out.exists():
                    await asyncio.sleep(0.005)
            for _ in range(3):
                end = await host.run(shell("sleep 5 & true", jobs), Stop())
                assert (end.exit_status, end.strays) == (0, 1)
        os.write(handle, b"spared\n")
        async with asyncio.timeout(30):
            await sending

    try:
        asyncio.run(main())
    finally:
        os.close(handle)
    assert out.read_text().split() == ["begun", "spared"]


def test_notices_of_a_kind_are_sent_one_after_the_other(board: Board, tmp_path: Path) -> None:
    """While a command runs, newer notices of its kind wait, and only the newest of them is sent."""
    out, fifo = tmp_path / "out", tmp_path / "fifo"
    os.mkfifo(fifo)

    async def main() -> None:
        command = f"echo $LIMMAT_COMMIT >>{out}; read x <{fifo}; echo end >>{out}"
        notices = Notices([board], command, 0, lambda _: None)
        running = asyncio.create_task(notices.run())
        for count, commit in enumerate((A, B, C)):
            show(board, commit, cells={Place(commit, "build"): done(Place(commit, "build"), Outcome.FAILED)})
            await settle()
            async with asyncio.timeout(30):
                while count == 0 and not out.exists():
                    await asyncio.sleep(0.005)
        for count in (1, 2):
            await asyncio.to_thread(fifo.write_text, "go\n")
            async with asyncio.timeout(30):
                while out.read_text().count("end") < count:
                    await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
    assert out.read_text().split() == [A, "end", C, "end"]


def test_nothing_is_sent_when_nobody_wants_it(board: Board) -> None:
    """Without a setting there is nothing to run."""
    asyncio.run(Notices([board], False, 1.0, lambda _: None).run())
    assert send(False, MESSAGE) == ([], [])


@contextmanager
def programs(path: Path, **scripts: str) -> Iterator[None]:
    """Let these be found first, or be all that there is when there are none."""
    path.mkdir()
    for name, text in scripts.items():
        program = path / name.replace("_", "-")
        program.write_text(f"#!{shutil.which('sh')}\n{text}\n")
        program.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{path}{os.pathsep}{before}" if scripts else str(path)
    try:
        yield
    finally:
        os.environ["PATH"] = before


@pytest.mark.usefixtures("sealed")
def test_the_desktop_is_told_by_notify_send(tmp_path: Path) -> None:
    """Title and body are no options and no markup; backslashes are as many as they were."""
    out = tmp_path / "out"
    with programs(tmp_path / "bin", notify_send=f"printf '%s\\n' \"$@\" >{out}"):
        assert send(True, MESSAGE) == ([], [])

    assert out.read_text().splitlines() == [
        "--app-name=git limmat",
        "--urgency=normal",
        "--",
        "demo: unit failed",
        "abc1234 &lt;b&gt;&amp;\\\\n $(id) (exit 3)",
    ]


@pytest.mark.usefixtures("sealed")
def test_the_bell_rings_when_the_desktop_cannot_be_told(tmp_path: Path) -> None:
    """Without the program, or when it fails, there is one warning, and the bell each time."""
    with programs(tmp_path / "none"):
        assert send(True, MESSAGE) == (
            ["cannot notify the desktop, the bell rings instead: no 'notify-send' found"],
            ["ding", "ding"],
        )
    with programs(tmp_path / "broken", notify_send="exit 1"):
        assert send(True, MESSAGE) == (["the 'notify-send' exited with 1"], ["ding", "ding"])


def test_the_desktop_of_a_mac_is_told_by_arguments() -> None:
    """Nothing of a message is part of the script."""
    argv = desktop(MESSAGE, "darwin")
    assert argv is not None
    assert argv[0] == "osascript"
    assert argv[-3:] == ("git limmat", MESSAGE.title, MESSAGE.body)
    assert not any(MESSAGE.title in word or MESSAGE.body in word for word in argv[:-2])


def test_a_notice_has_a_link(board: Board) -> None:
    """A failure leads to its page, all else to the overview."""

    def link(_: Board, commit: str | None, test: str | None) -> str:
        return f"http://x/{commit}/{test}"

    async def main() -> list[str]:
        show(board, A, cells={Place(A, "unit"): done(Place(A, "unit"), Outcome.FAILED)})
        return [describe(board, notice, 0.0, link).url for notice in (FAILED, PASSED)]

    assert asyncio.run(main()) == [f"http://x/{A}/unit", "http://x/None/None"]
