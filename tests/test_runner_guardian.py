"""What happens to jobs when the program that runs them is killed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runner_words import PATIENCE_S, alive, filled, hosted, pid_in, shell, wait_until

from gitlimmat.runner.guardian import Guardian
from gitlimmat.runner.host import Host, Stop
from gitlimmat.runner.processes import all_pids, read_process

PROGRAM = """
import asyncio, fcntl, os, sys
from pathlib import Path
from runner_words import shell
from gitlimmat.runner.host import Host, Stop
async def main():
    here = Path(sys.argv[1])
    lock = os.open(here / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    async with Host() as host:
        await host.run(shell("true", here), Stop())
        async with asyncio.TaskGroup() as group:
            for script in sys.argv[2:]:
                group.create_task(host.run(shell(script, here, keep_fds=(lock,)), Stop()))
asyncio.run(main())
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    running = Program(tmp_path)
    yield running
    running.end()


class Program:
    """A host in a process of its own, in a session of its own, which runs the given scripts at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *scripts: str) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, str(self.directory), *scripts],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
        return self.process

    def guardian(self) -> int:
        """Return the pid of its guardian: the child in another session that is no job."""
        assert self.process is not None
        for pid in all_pids():
            process = read_process(pid)
            if process is not None and process.parent == self.process.pid and os.getsid(pid) == pid:
                return pid
        raise AssertionError("no guardian")

    def lock_is_free(self) -> bool:
        with (self.directory / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def writes(name: str) -> str:
    return f"echo $$ >{name}; exec sleep 300"


def test_jobs_are_ended_when_we_are_killed(tmp_path: Path, program: Program) -> None:
    """SIGKILL of the program ends its jobs, and then the guardian itself."""
    process = program.start(writes("a"), writes("b"), f"setsid bash -c '{writes('c')}' & wait")
    wait_until(lambda: all(filled(tmp_path / name) for name in "abc"))
    pids = [pid_in(tmp_path / name) for name in "abc"]
    guardian = program.guardian()
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, [*pids, guardian])))


def test_deaf_jobs_are_killed_when_we_are_killed(tmp_path: Path, program: Program) -> None:
    """A job that ignores SIGTERM is ended by the guardian as well."""
    process = program.start("trap '' TERM; echo $$ >a; while :; do sleep 0.05; done")
    wait_until(lambda: filled(tmp_path / "a"))
    process.kill()
    process.wait()
    wait_until(lambda: not alive(pid_in(tmp_path / "a")))


def test_lock_is_held_until_the_last_process_of_a_killed_program_is_gone(
    tmp_path: Path, program: Program
) -> None:
    """Nobody takes a worktree over in which a job of a killed program is still at work."""
    script = "trap 'touch told; read <fifo; exit' TERM; echo $$ >a; while :; do read -t 0.01 <>nothing; done"
    for name in ("fifo", "nothing"):
        os.mkfifo(tmp_path / name)
    process = program.start(script)
    wait_until(lambda: filled(tmp_path / "a"))
    process.kill()
    process.wait()
    wait_until(lambda: (tmp_path / "told").exists())
    assert alive(pid_in(tmp_path / "a"))
    assert not program.lock_is_free()
    (tmp_path / "fifo").write_text("go\n")
    wait_until(program.lock_is_free)


def test_guardian_holds_nothing_of_ours(tmp_path: Path, program: Program) -> None:
    """It keeps no lock, no terminal and no directory of ours, and jobs do not keep its pipe."""
    program.start(writes("a"))
    wait_until(lambda: filled(tmp_path / "a"))
    guardian = program.guardian()
    fds = {fd.name: str(fd.readlink()) for fd in Path(f"/proc/{guardian}/fd").iterdir()}
    pipe = fds.pop("0")
    assert pipe.startswith("pipe:")
    assert set(fds.values()) == {"/dev/null"}
    assert Path(f"/proc/{guardian}/cwd").readlink() == Path("/")
    job = Path(f"/proc/{pid_in(tmp_path / 'a')}/fd")
    assert pipe not in {str(fd.readlink()) for fd in job.iterdir()}


def test_guardian_is_deaf_to_signals_of_a_terminal(tmp_path: Path, program: Program) -> None:
    """Ctrl-C, a hangup or a polite killall leave the guardian at its work."""
    process = program.start(writes("a"))
    wait_until(lambda: filled(tmp_path / "a"))
    guardian = program.guardian()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGTSTP):
        os.kill(guardian, number)
    process.kill()
    process.wait()
    wait_until(lambda: not alive(pid_in(tmp_path / "a")))


def guardians() -> list[int]:
    """Our children in sessions of their own."""
    table = [read_process(pid) for pid in all_pids()]
    return [
        p.pid for p in table if p and p.parent == os.getpid() and not p.zombie and os.getsid(p.pid) == p.pid
    ]


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "300"], process_group=0)


def let_die(guardian: Guardian) -> None:
    """Close our end of the pipe, as our death would."""
    os.close(guardian._pipe)


def finish(guardian: Guardian) -> None:
    """Wait for the end of a guardian that was let die."""
    assert guardian._shell is not None
    guardian._shell.wait(PATIENCE_S)
    guardian._shell = None


def test_only_listed_groups_are_ended() -> None:
    """A group that has ended is off the list, and its number may be someone else's."""
    listed, removed, other = sleeper(), sleeper(), sleeper()
    guardian = Guardian("0123456789abcdef")
    guardian.start()
    for process in (removed, listed):
        guardian.add(process.pid)
    guardian.remove(removed.pid)
    guardian.remove(12345678)
    let_die(guardian)
    assert listed.wait(PATIENCE_S) == -signal.SIGTERM
    for process in (removed, other):
        assert process.poll() is None
        process.kill()
        process.wait()
    finish(guardian)


def test_guardian_is_replaced_when_it_was_killed() -> None:
    """The next job finds a new guardian, which knows all groups."""
    first, second = sleeper(), sleeper()
    guardian = Guardian("0123456789abcdef")
    guardian.start()
    guardian.add(first.pid)
    assert guardian._shell is not None
    guardian._shell.kill()
    guardian._shell.wait()
    guardian.add(second.pid)
    let_die(guardian)
    assert [process.wait(PATIENCE_S) for process in (first, second)] == [-signal.SIGTERM] * 2
    finish(guardian)


def test_guardian_is_replaced_when_it_does_not_listen() -> None:
    """A stopped guardian never blocks a job's start."""
    guardian = Guardian("0123456789abcdef")
    guardian.start()
    assert guardian._shell is not None
    stopped = guardian._shell.pid
    os.kill(stopped, signal.SIGSTOP)
    for _ in range(12_000):
        guardian.add(1_000_000)
    assert guardian._shell is not None
    assert guardian._shell.pid != stopped
    guardian.close()
    assert not alive(stopped)


def test_no_guardian_without_jobs(tmp_path: Path) -> None:
    """Only programs that run jobs pay for a guardian, and only as long as they do."""
    before = guardians()

    async def body(host: Host) -> None:
        assert guardians() == before
        await host.run(shell("true", tmp_path), Stop())
        assert len(guardians()) == len(before) + 1

    hosted(body)
    assert guardians() == before
