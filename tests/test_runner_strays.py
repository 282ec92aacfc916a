"""Processes that outlive the first one of their job."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from runner_words import alive, eventually, filled, hosted, pid_in, run, shell, wait_until

from gitlimmat.git.environment import OWN_MARK
from gitlimmat.runner import host as host_module
from gitlimmat.runner import strays as strays_module
from gitlimmat.runner.host import Host, Stop
from gitlimmat.runner.job import JobEnd
from gitlimmat.runner.processes import (
    all_pids,
    is_thread,
    parse_newest,
    pids_after,
    read_environment,
    read_process,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a job is its group")

# Leaves a daemon that has neither parent, session nor environment of the job; `pid` is written when it is so.
DAEMON = """env -i PATH="$PATH" setsid bash -c '(bash -c "echo \\$\\$ >pid; exec sleep 300") & exit' &
until [ -s pid ]; do read -t 0.01 <><(:); done"""
WAITS = "echo $$ >leader; read <fifo"


def ours() -> set[int]:
    """Children of ours, dead or alive."""
    table = [read_process(pid) for pid in all_pids()]
    return {process.pid for process in table if process is not None and process.parent == os.getpid()}


@pytest.mark.parametrize(
    "script",
    [
        "sleep 300 & echo $! >pid",
        "setsid sleep 300 & echo $! >pid",
        "(setsid bash -c 'echo $$ >pid; exec sleep 300' &); until [ -s pid ]; do :; done",
        "setsid bash -c 'setsid sleep 300 & echo $! >pid; sleep 300' & until [ -s pid ]; do :; done",
        "setsid bash -c 'trap \"\" TERM; echo $$ >pid; sleep 300; sleep 300' & until [ -s pid ]; do :; done",
        "bash -c 'kill -STOP $$' & echo $! >pid",
        DAEMON,
    ],
    ids=["group", "session", "daemon", "daemon of a daemon", "deaf", "stopped", "nameless"],
)
def test_nothing_is_left_when_a_job_has_ended(tmp_path: Path, script: str) -> None:
    """Whatever a job starts ends with it, and its own status stands."""
    before = ours()

    async def body(host: Host) -> JobEnd:
        end = await host.run(shell(script + "; exit 3", tmp_path), Stop())
        assert not alive(pid_in(tmp_path / "pid"))
        return end

    end = hosted(body)
    assert end.exit_status == 3
    assert end.strays >= 1
    assert ours() <= before


def test_strays_are_counted_when_there_are_many(tmp_path: Path) -> None:
    """The count is that of processes."""
    assert run(shell("for i in 1 2 3 4; do setsid sleep 300 & sleep 300 & done", tmp_path)).strays == 8


def test_threads_are_not_counted(tmp_path: Path) -> None:
    """A process with many threads is one stray."""
    program = (
        "import threading, time;"
        "[threading.Thread(target=time.sleep, args=(300,)).start() for _ in range(5)];"
        "open('pid', 'w').write('x\\n')"
    )
    script = f'{sys.executable} -c "{program}" & until [ -s pid ]; do :; done'
    assert run(shell(script, tmp_path)).strays == 1


def test_outer_job_of_a_killed_host_ends_its_jobs(tmp_path: Path) -> None:
    """A job that runs a host of its own, which is killed, leaves nothing: its strays bear both marks."""
    inner = """
import asyncio, os
from pathlib import Path
from gitlimmat.runner.host import Host, Stop
from gitlimmat.runner.job import JobSpec
async def main():
    async with Host() as host:
        argv = ("bash", "-c", "setsid bash -c 'echo $$ >pid; exec sleep 300' & wait")
        await host.run(JobSpec(argv=argv, cwd=Path("."), environment=dict(os.environ)), Stop())
asyncio.run(main())
"""
    (tmp_path / "inner.py").write_text(inner)
    script = f"{sys.executable} inner.py & until [ -s pid ]; do :; done; kill -9 $!; exit 5"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    end = run(shell(script, tmp_path, environment=environment))
    assert end.exit_status == 5
    assert not alive(pid_in(tmp_path / "pid"))


def test_strays_of_running_jobs_are_spared_when_another_job_ends(tmp_path: Path) -> None:
    """A daemon lives as long as the first process of its own job."""

    async def body(host: Host) -> None:
        async with asyncio.TaskGroup() as group:
            script = f"(setsid bash -c 'echo $$ >pid; exec sleep 300' &); {WAITS}"
            long = group.create_task(host.run(shell(script, tmp_path), Stop()))
            await eventually(lambda: filled(tmp_path / "pid"))
            other = await host.run(shell("setsid sleep 300 &", tmp_path, stdout=tmp_path / "o"), Stop())
            assert other.strays == 1
            assert alive(pid_in(tmp_path / "pid"))
            await asyncio.to_thread((tmp_path / "fifo").write_text, "go\n")
        assert long.result().strays == 1
        assert not alive(pid_in(tmp_path / "pid"))

    os.mkfifo(tmp_path / "fifo")
    hosted(body)


def test_nameless_stray_lives_while_it_may_belong_to_a_running_job(tmp_path: Path) -> None:
    """Without a mark nobody knows whose it is, until all jobs that were there before it are over."""

    async def body(host: Host) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(host.run(shell(WAITS, tmp_path, stdout=tmp_path / "o"), Stop()))
            await eventually(lambda: filled(tmp_path / "leader"))
            await host.run(shell(DAEMON, tmp_path), Stop())
            assert alive(pid_in(tmp_path / "pid"))
            await asyncio.to_thread((tmp_path / "fifo").write_text, "go\n")
        assert not alive(pid_in(tmp_path / "pid"))

    os.mkfifo(tmp_path / "fifo")
    hosted(body)


def test_nameless_stray_below_a_job_is_ended_when_the_job_is_cancelled(tmp_path: Path) -> None:
    """What hangs below the first process when a job is told to end is the job's, mark or not."""
    script = "env -i setsid /bin/bash -c 'trap \"\" HUP; echo $$ >pid; while :; do :; done' & wait"

    async def body(host: Host) -> None:
        stop = Stop()
        async with asyncio.TaskGroup() as group:
            group.create_task(host.run(shell(WAITS, tmp_path, stdout=tmp_path / "o"), Stop()))
            await eventually(lambda: filled(tmp_path / "leader"))
            job = group.create_task(host.run(shell(script, tmp_path), stop))
            await eventually(lambda: filled(tmp_path / "pid"))
            stop.cancel()
            await job
            assert not alive(pid_in(tmp_path / "pid"))
            await asyncio.to_thread((tmp_path / "fifo").write_text, "go\n")

    os.mkfifo(tmp_path / "fifo")
    hosted(body)


def test_children_of_the_program_are_spared_when_jobs_end(tmp_path: Path) -> None:
    """A child in our group, one with our own mark, and what is not below us have nothing to do with jobs."""
    in_group = subprocess.Popen(["sleep", "300"])
    marked = subprocess.Popen(["sleep", "300"], start_new_session=True, env=os.environ | {OWN_MARK: "1"})
    try:
        run(shell("setsid sleep 300 &", tmp_path))
        assert in_group.poll() is None
        assert marked.poll() is None
    finally:
        for child in (in_group, marked):
            child.kill()
            child.wait()


def test_status_of_a_dead_child_of_the_program_is_not_taken(tmp_path: Path) -> None:
    """A child of ours that ended during a job is still there for the code that waits for it."""
    child = subprocess.Popen(["false"])
    wait_until(lambda: read_process(child.pid).zombie)
    run(shell("setsid sleep 300 & sleep 0.01", tmp_path))
    assert child.wait() == 1


def test_dead_orphans_are_reaped_when_a_job_runs_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long job that leaves many dead daemons does not fill the process table."""
    monkeypatch.setattr(host_module, "_SWEEP_S", 0.02)
    before = ours()

    async def body(host: Host) -> None:
        async with asyncio.TaskGroup() as group:
            script = f"for i in 1 2 3; do (setsid true &); done; {WAITS}"
            group.create_task(host.run(shell(script, tmp_path), Stop()))
            await eventually(lambda: filled(tmp_path / "leader"))
            leader = pid_in(tmp_path / "leader")
            await eventually(lambda: [pid for pid in ours() - before if pid > leader] == [])
            await asyncio.to_thread((tmp_path / "fifo").write_text, "go\n")

    os.mkfifo(tmp_path / "fifo")
    hosted(body)


def test_whole_table_is_read_when_a_job_was_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a long job the order of pids proves nothing, and strays are found without it."""
    monkeypatch.setattr(strays_module, "_LONG_S", 0.0)
    assert run(shell("setsid sleep 300 & sleep 300 &", tmp_path)).strays == 2


def test_group_is_ended_when_there_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a job is only its group, nothing of the group is left."""
    monkeypatch.setattr(host_module, "usable", lambda: False)
    end = run(shell("sleep 300 & echo $! >pid; exit 3", tmp_path))
    assert (end.exit_status, end.strays) == (3, 1)
    wait_until(lambda: not alive(pid_in(tmp_path / "pid")))
    assert run(shell("true", tmp_path)).strays == 0


@pytest.mark.parametrize(
    ("pid", "newest", "expected"),
    [(10, 10, []), (10, 12, [11, 12]), (10, 5000, [11, 4000, 5000]), (4000, 11, [3, 10, 11, 5000])],
)
def test_only_younger_pids_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, pid: int, newest: int, expected: list[int]
) -> None:
    """Pids are given out in turn, and start again from below."""
    monkeypatch.setattr("gitlimmat.runner.processes.all_pids", lambda: [3, 10, 11, 4000, 5000])
    assert list(pids_after(pid, newest)) == expected


def test_newest_pid_is_that_of_the_newest_process() -> None:
    """The kernel's last pid is the one that was given out last."""
    child = subprocess.Popen(["true"])
    newest = parse_newest(Path("/proc/loadavg").read_bytes())
    assert newest >= child.pid or newest < 1000
    child.wait()
    assert parse_newest(b"") == 0
    assert parse_newest(b"0.1 0.2 0.3 1/2 x") == 0


def test_a_process_is_read_whatever_its_name(tmp_path: Path) -> None:
    """Parentheses, blanks and newlines in a name do not confuse us."""
    program = tmp_path / ") R 1 (\n x"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([program, "300"])
    try:
        process = read_process(child.pid)
        assert process is not None
        assert (process.parent, process.group, process.zombie) == (os.getpid(), os.getpgrp(), False)
        assert not is_thread(child.pid)
    finally:
        child.kill()
        child.wait()
    assert read_process(child.pid) is None


def test_environment_is_read_when_the_program_was_only_just_executed() -> None:
    """For a moment after an exec the kernel shows no environment; nobody is judged by that."""
    for _ in range(200):
        child = subprocess.Popen(["sleep", "300"], env={"LIMMAT_TRY": "1"})
        seen = read_environment(child.pid)
        child.kill()
        child.wait()
        assert b"LIMMAT_TRY=1" in seen
    assert read_environment(child.pid) == ()
