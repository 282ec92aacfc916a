"""Ending jobs that run: politely, at once, and when their time is over."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from runner_words import alive, eventually, filled, hosted, pid_in, run, shell

from gitlimmat.runner.host import Host, Stop
from gitlimmat.runner.job import JobEnd, JobSpec
from gitlimmat.runner.processes import read_process

NAPS = "while :; do read -t 0.1 <>fifo; done"  # bash misses a signal that comes just before a long read
DEAF = "trap '' TERM; echo $$ >pid; while :; do sleep 0.01; done"


def stopped(spec: JobSpec, *requests: str) -> JobEnd:
    """Run a job, make the requests as soon as it has written its pid, and return its end."""

    async def body(host: Host) -> JobEnd:
        stop = Stop()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(host.run(spec, stop))
            await eventually(lambda: filled(spec.cwd / "pid"))
            for request in requests:
                getattr(stop, request)()
        return task.result()

    return hosted(body)


def test_job_ends_by_sigterm_when_cancelled(tmp_path: Path) -> None:
    """A cancelled job that does not care about SIGTERM is gone at once."""
    end = stopped(shell("echo $$ >pid; exec sleep 300", tmp_path), "cancel")
    assert (end.cancelled, end.signal, end.timed_out) == (True, signal.SIGTERM, False)


def test_job_may_clean_up_when_cancelled(tmp_path: Path) -> None:
    """An exit within the grace period is still that of a cancelled job, whatever its status."""
    script = "trap 'echo once >>cleaned; exit 0' TERM; echo $$ >pid; while :; do read -t 1 <>fifo; done"
    os.mkfifo(tmp_path / "fifo")
    end = stopped(shell(script, tmp_path), "cancel")
    assert (end.cancelled, end.exit_status) == (True, 0)
    assert (tmp_path / "cleaned").read_text() == "once\n"


def test_deaf_job_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    """SIGKILL comes after the grace period, and not before."""
    before = time.monotonic()
    end = stopped(shell(DEAF, tmp_path, grace_s=0.3), "cancel")
    assert (end.cancelled, end.signal) == (True, signal.SIGKILL)
    assert time.monotonic() - before >= 0.3


def test_deaf_job_is_killed_at_once_when_asked_twice(tmp_path: Path) -> None:
    """A second request does not wait for the grace period."""
    before = time.monotonic()
    end = stopped(shell(DEAF, tmp_path, grace_s=60.0), "cancel", "kill")
    assert (end.cancelled, end.signal) == (True, signal.SIGKILL)
    assert time.monotonic() - before < 10


def test_job_has_no_chance_when_killed(tmp_path: Path) -> None:
    """SIGKILL alone leaves no time to clean up."""
    end = stopped(shell("trap 'touch cleaned' TERM EXIT; " + DEAF.partition("; ")[2], tmp_path), "kill")
    assert end.signal == signal.SIGKILL
    assert not (tmp_path / "cleaned").exists()


def test_the_whole_group_is_asked_when_cancelled(tmp_path: Path) -> None:
    """SIGTERM goes to children as well, and they have the same grace period to end by themselves."""
    child = "trap 'read -t 0.05 <>fifo; touch cleaned; exit' TERM; echo $$ >pid; " + NAPS
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "child").write_text(child)
    end = stopped(shell("bash child & wait", tmp_path), "cancel")
    assert end.signal == signal.SIGTERM
    assert (tmp_path / "cleaned").exists()


def test_children_in_their_own_session_are_asked_when_cancelled(tmp_path: Path) -> None:
    """A daemon of a job may clean up like the job itself."""
    child = "trap 'touch cleaned; exit' TERM; echo $$ >pid; while :; do read -t 1 <>fifo; done"
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "child").write_text(child)
    end = stopped(shell("setsid bash child & wait", tmp_path), "cancel")
    assert end.cancelled
    assert (tmp_path / "cleaned").exists()


def test_deaf_children_are_killed_when_the_grace_is_over(tmp_path: Path) -> None:
    """The rest of a job is not spared because its first process obeyed."""
    (tmp_path / "child").write_text(DEAF)
    end = stopped(shell("setsid bash child & wait", tmp_path, grace_s=0.3), "cancel")
    assert end.signal == signal.SIGTERM
    assert end.strays >= 1
    assert not alive(pid_in(tmp_path / "pid"))


def test_deaf_children_are_killed_at_once_when_asked_twice(tmp_path: Path) -> None:
    """A second request reaches a job of which only a daemon is left."""

    async def body(host: Host) -> JobEnd:
        stop = Stop()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(
                host.run(shell("echo $$ >leader; setsid bash child & wait", tmp_path), stop)
            )
            await eventually(lambda: filled(tmp_path / "pid"))
            stop.cancel()
            leader = pid_in(tmp_path / "leader")
            await eventually(lambda: (process := read_process(leader)) is None or process.zombie)
            stop.kill()
        return task.result()

    (tmp_path / "child").write_text(DEAF)
    before = time.monotonic()
    assert hosted(body).cancelled
    assert not alive(pid_in(tmp_path / "pid"))
    assert time.monotonic() - before < 8  # the grace period is 10


def test_stopped_job_ends_when_cancelled(tmp_path: Path) -> None:
    """A job that was stopped by SIGSTOP is woken up to see its SIGTERM."""
    end = stopped(shell("echo $$ >pid; kill -STOP $$; exec sleep 300", tmp_path), "cancel")
    assert end.signal == signal.SIGTERM


def test_job_is_asked_to_end_when_its_time_is_over(tmp_path: Path) -> None:
    """A timeout is SIGTERM first."""
    end = run(shell("exec sleep 300", tmp_path, timeout_s=0.1))
    assert (end.timed_out, end.signal, end.cancelled) == (True, signal.SIGTERM, False)
    assert end.elapsed >= 0.1


def test_deaf_job_is_killed_when_its_time_and_grace_are_over(tmp_path: Path) -> None:
    """After a timeout the grace period counts as after a request."""
    end = run(shell(DEAF, tmp_path, timeout_s=0.1, grace_s=0.2))
    assert (end.timed_out, end.signal) == (True, signal.SIGKILL)
    assert end.elapsed >= 0.3


def test_job_in_time_is_not_timed_out(tmp_path: Path) -> None:
    """A timeout says nothing about a job that was faster."""
    end = run(shell("true", tmp_path, timeout_s=5.0))
    assert (end.timed_out, end.exit_status) == (False, 0)


def test_job_is_cancelled_too_when_asked_after_its_time_was_over(tmp_path: Path) -> None:
    """A request during the grace period of a timeout is remembered."""

    async def body(host: Host) -> JobEnd:
        stop = Stop()
        spec = shell("trap 'touch told' TERM; while :; do read -t 1 <>fifo; done", tmp_path, timeout_s=0.2)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(host.run(spec, stop))
            await eventually(lambda: (tmp_path / "told").exists())
            stop.kill()
        return task.result()

    os.mkfifo(tmp_path / "fifo")
    end = hosted(body)
    assert end.cancelled
    assert end.timed_out
    assert end.signal == signal.SIGKILL


def test_job_does_not_start_when_already_cancelled(tmp_path: Path) -> None:
    """A stop that was made before holds for jobs that come later."""
    stop = Stop()
    stop.cancel()
    end = run(shell("touch ran", tmp_path), stop)
    assert (end.cancelled, end.exit_status, end.signal, end.error) == (True, None, None, "")
    assert not (tmp_path / "ran").exists()


def test_one_stop_ends_many_jobs(tmp_path: Path) -> None:
    """Jobs that share a stop end together; one with a stop of its own goes on."""

    async def body(host: Host) -> tuple[list[JobEnd], JobEnd]:
        shared, own = Stop(), Stop()
        os.mkfifo(tmp_path / "fifo")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(host.run(shell(f"echo $$ >{i}; exec sleep 300", tmp_path), shared))
                for i in range(3)
            ]
            other = group.create_task(host.run(shell("read <fifo; exit 4", tmp_path), own))
            await eventually(lambda: all(filled(tmp_path / str(i)) for i in range(3)))
            shared.cancel()
            await asyncio.wait(tasks)
            assert not other.done()
            await asyncio.to_thread((tmp_path / "fifo").write_text, "go\n")
        return [task.result() for task in tasks], other.result()

    ends, other = hosted(body)
    assert [end.signal for end in ends] == [signal.SIGTERM] * 3
    assert (other.exit_status, other.cancelled) == (4, False)
