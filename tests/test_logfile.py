"""The log of long-living programs, and what happens to a part that fails."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gitlimmat.errors import GitError, LimmatError
from gitlimmat.service.logfile import Log, PartFailedError, guarded, log_path, open_log

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \d+ (info|warning|error) [\w.]+: .*")
WRITER = """
import sys
from pathlib import Path
from gitlimmat.service.logfile import Log
log = Log(Path(sys.argv[1]), lambda text: sys.exit(text), most_bytes=40_000)
part = log.part("writer")
for number in range(200):
    part.info("%s %s %s", sys.argv[2], number, "x" * 100)
"""


@pytest.fixture
def warnings() -> list[str]:
    """What users were warned of."""
    return []


@pytest.fixture
def log(tmp_path: Path, warnings: list[str]) -> Log:
    """A log that is not yet there."""
    return Log(tmp_path / "state" / "watch.log", warnings.append)


def test_a_log_is_in_the_state_directory_named_by_command_and_repository() -> None:
    """LIMMAT_LOGFILE wins; a relative XDG_STATE_HOME does not count; names become names of files."""
    assert log_path("watch", "a b/c", {"XDG_STATE_HOME": "/s"}) == Path("/s/limmat/watch-a-b-c.log")
    assert log_path("web", "x", {"XDG_STATE_HOME": "s", "HOME": "/h"}) == Path(
        "/h/.local/state/limmat/web-x.log"
    )
    assert log_path("web", "..", {"HOME": "/h", "LIMMAT_LOGFILE": "/tmp/mine"}) == Path("/tmp/mine")


def test_nothing_is_made_before_the_first_line(
    tmp_path: Path, warnings: list[str], sealed: dict[str, str]
) -> None:
    """Opening a log is free of traces; the first line makes a file only its owner can read."""
    log = open_log("watch", "repo", warnings.append)
    log.part("page").debug("too fine to keep")
    assert not log.path.exists()

    log.part("page").info("started at %s", "port 80")

    assert log.path == Path(sealed["XDG_STATE_HOME"]) / "limmat" / "watch-repo.log"
    assert LINE.fullmatch(log.path.read_text().removesuffix("\n"))
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert not warnings


def test_a_report_has_the_traceback_and_tells_where_it_is(log: Log) -> None:
    """Users get one line that names the file; the file has the lines of code, indented."""
    try:
        int("forty\ntwo\x1b[2J")
    except ValueError as error:
        said = log.report("page", error)

    first, *rest = log.path.read_text().splitlines()
    assert said.startswith("page failed: ValueError: invalid literal")
    assert "\n" not in said
    assert str(log.path) in said
    assert LINE.fullmatch(first)
    assert " error page: ValueError" in first
    assert all(line.startswith("    ") for line in rest)
    assert any('int("forty' in line for line in rest)
    assert "\x1b" not in log.path.read_text()


def test_a_report_of_a_group_tells_the_first_error(log: Log) -> None:
    """A group from a TaskGroup says nothing by itself; errors for users have no class name."""
    group = ExceptionGroup("unhandled errors", [GitError("cannot look"), ValueError("second")])

    said = log.report("watcher", group)

    assert said.startswith("watcher failed: cannot look (and 1 more) (see '")
    assert "ValueError: second" in log.path.read_text()


def test_a_directory_that_cannot_be_made_is_told_once(tmp_path: Path, warnings: list[str]) -> None:
    """Work goes on without a log, and a report does not send anyone to a file that is not there."""
    (tmp_path / "file").write_text("")
    log = Log(tmp_path / "file" / "state" / "watch.log", warnings.append)

    log.part("page").info("one")
    said = log.report("page", ValueError("two"))

    assert warnings == [f"cannot write the log '{log.path}': Not a directory"]
    assert "cannot be written" in said


def test_writing_goes_on_when_the_file_is_removed(log: Log) -> None:
    """The name is what counts: a new file is made."""
    part = log.part("page")
    part.info("one")
    log.path.unlink()

    part.info("two")

    assert "two" in log.path.read_text()


def test_a_file_that_is_full_is_moved_aside(tmp_path: Path, warnings: list[str]) -> None:
    """Five old ones are kept, none bigger than the limit."""
    log = Log(tmp_path / "watch.log", warnings.append, most_bytes=1000)

    for number in range(100):
        log.part("page").info("%d %s", number, "x" * 100)

    names = sorted(path.name for path in tmp_path.glob("*"))
    assert names == ["watch.log", *(f"watch.log.{number}" for number in range(1, 6))]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.glob("*"))
    assert " 99 x" in (tmp_path / "watch.log").read_text()


def test_processes_that_share_a_log_lose_and_cut_no_line(tmp_path: Path) -> None:
    """Four writers, and several rotations among them: each line is whole and there once."""
    path = tmp_path / "watch.log"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, str(number)], stderr=subprocess.PIPE)
        for number in range(4)
    ]
    said = [writer.communicate(timeout=60)[1] for writer in writers]

    lines = [line for each in tmp_path.glob("watch.log*") for line in each.read_text().splitlines()]
    assert said == [b""] * 4
    assert all(LINE.fullmatch(line) for line in lines)
    assert len(lines) == len({tuple(line.split()[4:6]) for line in lines}) == 800
    assert len(list(tmp_path.glob("watch.log.*"))) > 1


def test_what_libraries_log_goes_to_the_file_and_not_to_the_screen(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    """asyncio tells of forgotten failures through logging, which would write across a full screen."""
    with log.of_libraries():
        logging.getLogger("asyncio").error("Task exception was never retrieved")
        logging.getLogger("aiohttp.server").error("Error handling request")

    assert log.path.read_text().count(" error a") == 2
    assert capsys.readouterr() == ("", "")
    assert logging.getLogger("asyncio").propagate


class Clock:
    """Time that passes only in pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def watched(
    log: Log, clock: Clock, work: Callable[[int], None], said: list[str | None] | None = None
) -> None:
    """Run `work(turn)` as a part until it ends or is given up."""
    turns = iter(range(1000))

    async def turn() -> None:
        work(next(turns))

    said = [] if said is None else said
    asyncio.run(guarded("page", turn, log=log, say=said.append, clock=clock, pause=clock.pause))


def test_a_part_that_fails_once_runs_again(log: Log) -> None:
    """The problem names the log and is taken back when the part has ended well."""
    clock = Clock()
    said: list[str | None] = []

    def work(turn: int) -> None:
        if turn == 0:
            raise ValueError("bad luck")

    watched(log, clock, work, said)

    assert clock.pauses == [1.0]
    assert said == [f"page failed: ValueError: bad luck (see '{log.path}')", None]
    assert "raise ValueError" in log.path.read_text()


def test_a_part_that_keeps_failing_ends_the_program(log: Log) -> None:
    """Five failures within a minute are enough; the error goes on to whoever waits."""
    clock = Clock()

    def work(turn: int) -> None:
        raise ValueError(f"no {turn}")

    with pytest.raises(
        PartFailedError, match="page failed 5 times within a minute: ValueError: no 4"
    ) as told:
        watched(log, clock, work)

    assert clock.pauses == [1.0, 2.0, 4.0, 8.0]
    assert isinstance(told.value, LimmatError)
    assert log.path.read_text().count("Traceback") == 5


def test_pauses_grow_to_a_minute_and_shrink_once_a_part_lives(log: Log) -> None:
    """A part that fails now and then is never given up, and a long life starts the count anew."""
    clock = Clock()

    def work(turn: int) -> None:
        clock.now += 70 if turn == 9 else 20
        if turn < 11:
            raise ValueError(str(turn))

    watched(log, clock, work)

    assert clock.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 1.0, 2.0]


def test_a_problem_is_taken_back_while_the_part_lives(log: Log) -> None:
    """The second turn does not end; the problem goes once it has lived for a while."""
    said: list[str | None] = []
    turns = iter(range(2))

    async def both() -> None:
        well = asyncio.Event()

        async def turn() -> None:
            if next(turns) == 0:
                raise ValueError("once")
            await well.wait()

        def say(problem: str | None) -> None:
            said.append(problem)
            if problem is None:
                well.set()

        async with asyncio.timeout(30):
            await guarded("page", turn, log=log, say=say, restart_s=0.001, settled_s=0.001)

    asyncio.run(both())

    assert said[1] is None


def test_cancelling_passes_through(log: Log) -> None:
    """A part that is cancelled ends at once; nothing is logged and nothing is run again."""
    said: list[str | None] = []

    async def both() -> None:
        started = asyncio.Event()

        async def turn() -> None:
            started.set()
            await asyncio.Event().wait()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(guarded("page", turn, log=log, say=said.append))
            await started.wait()
            task.cancel()

    asyncio.run(both())

    assert said == []
    assert not log.path.exists()


def test_a_part_given_up_ends_a_task_group(log: Log) -> None:
    """No frozen screen: the other tasks are cancelled and the error comes out."""
    clock = Clock()

    async def failing() -> None:
        raise GitError("cannot look")

    async def all_parts() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            group.create_task(
                guarded("page", failing, log=log, say=lambda _: None, clock=clock, pause=clock.pause)
            )

    with pytest.raises(ExceptionGroup) as told:
        asyncio.run(all_parts())

    assert told.group_contains(PartFailedError)
