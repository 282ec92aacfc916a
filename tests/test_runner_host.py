"""Jobs as real processes: how they start, what they see, and how their end is reported."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runner_words import alive, command, eventually, filled, hosted, pid_in, run, shell

from gitlimmat.runner.host import Host, Stop
from gitlimmat.runner.job import JobEnd
from gitlimmat.runner.processes import all_pids, read_process


def zombies() -> list[int]:
    """Our children that have ended and were not reaped."""
    table = [read_process(pid) for pid in all_pids()]
    return [p.pid for p in table if p is not None and p.parent == os.getpid() and p.zombie]


def descriptors() -> set[str]:
    """Our open descriptors with what they are open on."""
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{fd.name} {fd.readlink()}")
        except OSError:
            continue  # the one of the listing itself
    return found


@pytest.mark.parametrize(
    ("script", "status", "number"),
    [("true", 0, None), ("exit 3", 3, None), ("exit 255", 255, None), ("kill -9 $$", None, 9)],
)
def test_end_has_status_or_signal(
    tmp_path: Path, script: str, status: int | None, number: int | None
) -> None:
    """An end by exit and an end by signal exclude each other."""
    end = run(shell(script, tmp_path))
    assert (end.exit_status, end.signal, end.error, end.strays) == (status, number, "", 0)
    assert not end.cancelled
    assert not end.timed_out


def test_times_are_those_of_the_first_process(tmp_path: Path) -> None:
    """A job's time starts before its process does, and ends with it."""
    end = run(shell("date +%s.%N; read -t 0.05 <><(:); date +%s.%N", tmp_path))
    first, last = (float(line) for line in (tmp_path / "out").read_text().split())
    assert end.started <= first
    assert end.elapsed >= last - first


def test_streams_keep_their_order_when_merged(tmp_path: Path) -> None:
    """Both streams in one file are as they would be on a terminal."""
    run(shell("for i in $(seq 100); do echo $i; echo $i >&2; done", tmp_path))
    assert (tmp_path / "out").read_text().split() == [str(i) for i in range(1, 101) for _ in "12"]


def test_merged_file_keeps_everything_when_it_is_opened_again(tmp_path: Path) -> None:
    """A job that opens /dev/stderr anew appends to the file and does not write over it."""
    run(shell("echo 1; bash -c 'echo 2 >>/proc/self/fd/2'; echo 3", tmp_path))
    assert (tmp_path / "out").read_text() == "1\n2\n3\n"


def test_streams_are_apart_when_there_are_two_files(tmp_path: Path) -> None:
    """With a file for each, no stream is in the other's file."""
    run(shell("echo to stdout; echo to stderr >&2", tmp_path, stderr=tmp_path / "err"))
    assert (tmp_path / "out").read_text() == "to stdout\n"
    assert (tmp_path / "err").read_text() == "to stderr\n"


def test_output_file_is_emptied_when_a_job_starts(tmp_path: Path) -> None:
    """Nothing of an earlier attempt is left in the output."""
    (tmp_path / "out").write_text("old\n")
    run(shell("true", tmp_path))
    assert (tmp_path / "out").read_bytes() == b""


def test_output_goes_where_ours_goes_when_no_file_is_named(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without files a job writes to our own standard streams."""
    run(shell("echo one; echo two >&2", tmp_path, stdout=None))
    assert capfd.readouterr() == ("one\n", "two\n")


def test_job_reads_nothing_from_us(tmp_path: Path) -> None:
    """The standard input of a job is /dev/null."""
    run(shell("readlink /proc/self/fd/0; cat", tmp_path))
    assert (tmp_path / "out").read_text() == "/dev/null\n"


def test_job_leads_a_group_in_our_session(tmp_path: Path) -> None:
    """Terminal signals do not reach a job, but it keeps its terminal."""
    run(shell("cut -d' ' -f1,5,6 /proc/$$/stat", tmp_path))
    pid, group, session = (int(field) for field in (tmp_path / "out").read_text().split())
    assert group == pid
    assert session == os.getsid(0)


def test_job_has_default_signals_when_ours_are_blocked_and_ignored(tmp_path: Path) -> None:
    """No mask of ours and no ignored SIGPIPE reach a job."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
    try:
        run(command("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", directory=tmp_path))
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= {signal.SIGUSR1, signal.SIGTERM}
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
    blocked, ignored = (int(line.split()[1], 16) for line in (tmp_path / "out").read_text().splitlines())
    assert blocked == 0
    assert not ignored & 1 << (signal.SIGPIPE - 1)


def test_job_knows_where_it_is(tmp_path: Path) -> None:
    """PWD is the job's directory, also through a symbolic link, and our own past is not told."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    given = {"PATH": os.environ["PATH"], "PWD": "/ours", "OLDPWD": "/before"}
    run(command("env", directory=tmp_path, cwd=tmp_path / "link", environment=given))
    seen = dict(line.split("=", 1) for line in (tmp_path / "out").read_text().splitlines())
    assert seen["PWD"] == str(tmp_path / "link")
    assert seen.keys() == {"PATH", "PWD", "LIMMAT_JOB"}


def test_mark_of_an_outer_job_is_kept(tmp_path: Path) -> None:
    """A job in a job carries both marks, so that both hosts know it as theirs."""
    given = {"PATH": os.environ["PATH"], "LIMMAT_JOB": "abcd.1"}
    run(shell("echo $LIMMAT_JOB", tmp_path, environment=given))
    assert (tmp_path / "out").read_text().startswith("abcd.1/")


def test_job_has_no_descriptor_but_what_it_is_given(tmp_path: Path) -> None:
    """A job sees its three streams and the descriptors to keep, whatever else we have open."""
    with (tmp_path / "kept").open("w") as kept, (tmp_path / "other").open("w") as other:
        os.set_inheritable(other.fileno(), True)
        script = "for fd in {0..99}; do [ -e /proc/$$/fd/$fd ] && echo $fd; done"
        run(shell(script, tmp_path, keep_fds=(kept.fileno(),)))
        seen = {int(fd) for fd in (tmp_path / "out").read_text().split()}
        assert seen == {0, 1, 2, kept.fileno()}


def test_descriptors_are_the_same_after_many_jobs(tmp_path: Path) -> None:
    """Nothing is left open by jobs that passed, failed, did not start or left strays."""
    before = descriptors()

    async def body(host: Host) -> None:
        await host.run(shell("true", tmp_path), Stop())
        during = descriptors()
        for i in range(50):
            script = ("true", "exit 1", "sleep 100 &")[i % 3]
            await host.run(shell(script, tmp_path), Stop())
            await host.run(command("nosuch", directory=tmp_path), Stop())
        assert descriptors() == during

    hosted(body)
    assert descriptors() == before


def test_200_jobs_leave_no_zombie_and_no_stray(tmp_path: Path) -> None:
    """Many jobs, 8 at a time, all pass and are all gone."""

    async def body(host: Host) -> list[JobEnd]:
        gate = asyncio.Semaphore(8)

        async def one() -> JobEnd:
            async with gate:
                return await host.run(command("true", directory=tmp_path), Stop())

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(200)]
        assert zombies() == []
        return [task.result() for task in tasks]

    ends = hosted(body)
    assert {(end.exit_status, end.strays) for end in ends} == {(0, 0)}
    assert zombies() == []


def test_a_flood_of_output_does_not_reach_our_memory(tmp_path: Path) -> None:
    """100 MB of output go to the file and nowhere else."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(shell("head -c 100000000 /dev/zero", tmp_path))
    assert (tmp_path / "out").stat().st_size == 100_000_000
    (tmp_path / "out").unlink()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000


def test_start_fails_when_the_program_is_missing(tmp_path: Path) -> None:
    """What cannot start is an end with an error that names the program."""
    end = run(command("nosuch", directory=tmp_path))
    assert end.error == "cannot start 'nosuch': No such file or directory"
    assert end.exit_status is None
    assert end.signal is None


def script_file(directory: Path, content: str, mode: int) -> str:
    path = directory / "script"
    path.write_text(content)
    path.chmod(mode)
    return str(path)


def test_start_fails_when_the_program_is_not_executable(tmp_path: Path) -> None:
    """A file without the executable bit is not a program."""
    path = script_file(tmp_path, "#!/bin/sh\n", 0o644)
    assert run(command(path, directory=tmp_path)).error == f"cannot start '{path}': Permission denied"


def test_start_fails_when_the_interpreter_is_missing(tmp_path: Path) -> None:
    """The error does not claim that the script is missing when its interpreter is."""
    path = script_file(tmp_path, "#!/no/such/sh\n", 0o755)
    assert "interpreter" in run(command(path, directory=tmp_path)).error
    path_only = {"PATH": str(tmp_path)}
    assert "interpreter" in run(command("script", directory=tmp_path, environment=path_only)).error


def test_start_fails_when_the_script_has_no_first_line(tmp_path: Path) -> None:
    """The kernel's refusal is passed on."""
    path = script_file(tmp_path, "echo\n", 0o755)
    assert run(command(path, directory=tmp_path)).error == f"cannot start '{path}': Exec format error"


def test_start_fails_when_the_directory_is_gone(tmp_path: Path) -> None:
    """A worktree that was deleted meanwhile is an error that names it."""
    gone = tmp_path / "gone"
    end = run(shell("true", tmp_path, cwd=gone))
    assert end.error == f"cannot start 'bash': no such directory '{gone}'"


def test_start_fails_when_the_environment_is_too_large(tmp_path: Path) -> None:
    """E2BIG is an end like any other."""
    large = {"PATH": os.environ["PATH"], "LARGE": "x" * 3_000_000}
    assert (
        run(shell("true", tmp_path, environment=large)).error
        == f"cannot start 'bash': {os.strerror(errno.E2BIG)}"
    )


def test_start_fails_when_a_word_holds_nul(tmp_path: Path) -> None:
    """What no program can be given is an error, not a bug."""
    assert run(command("echo", "a\0b", directory=tmp_path)).error.startswith("cannot start 'echo': ")


def test_start_fails_when_the_output_cannot_be_written(tmp_path: Path) -> None:
    """Nothing runs when its output would be lost."""
    end = run(shell("touch ran", tmp_path, stdout=tmp_path / "no" / "out"))
    assert end.error == f"cannot write '{tmp_path}/no/out': No such file or directory"
    assert not (tmp_path / "ran").exists()


def test_start_fails_when_no_process_can_be_made(tmp_path: Path) -> None:
    """EAGAIN is an end like any other."""
    script = """
import asyncio, ctypes, os, resource
from pathlib import Path
from runner_words import command, hosted
from gitlimmat.runner.host import Stop
os.setgid(65534); os.setuid(65534)
async def body(host):
    spec = command("true", directory=Path("/"), stdout=None)
    first = await host.run(spec, Stop())
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    return first, await host.run(spec, Stop())
first, second = hosted(body)
print(first.exit_status, second.error)
"""
    if os.getuid() != 0:
        pytest.skip("needs to become a user without processes")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        cwd="/",
        env=environment,
    )
    assert (done.stdout, done.stderr) == (f"0 cannot start 'true': {os.strerror(errno.EAGAIN)}\n", "")


def test_end_is_seen_when_there_is_no_pidfd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pidfds, as on older kernels or without free descriptors, a thread waits."""

    def refuse(pid: int) -> int:
        raise OSError(errno.ENOSYS, "no")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    end = run(shell("setsid sleep 300 & exit 3", tmp_path))
    assert (end.exit_status, end.strays) == (3, 1)


def test_end_is_seen_when_we_inherited_an_ignored_sigchld(tmp_path: Path) -> None:
    """A parent that ignores SIGCHLD must not make failures look like successes."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run(shell("exit 3", tmp_path)).exit_status == 3
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_status_is_unknown_when_someone_else_reaps(tmp_path: Path) -> None:
    """A lost exit status is never taken for success."""

    async def body(host: Host) -> JobEnd:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(host.run(shell("echo $$ >pid; read <fifo", tmp_path), Stop()))
            await eventually(lambda: filled(tmp_path / "pid"))
            (tmp_path / "fifo").write_text("go\n")
            os.waitpid(pid_in(tmp_path / "pid"), 0)
        return task.result()

    os.mkfifo(tmp_path / "fifo")
    end = hosted(body)
    assert end.exit_status is None
    assert end.signal is None


def test_job_is_dead_when_its_task_is_cancelled(tmp_path: Path) -> None:
    """A job does not outlive the task that runs it."""

    async def body(host: Host) -> None:
        task = asyncio.ensure_future(
            host.run(shell("trap '' TERM; echo $$ >pid; sleep 300", tmp_path), Stop())
        )
        await eventually(lambda: filled(tmp_path / "pid"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not alive(pid_in(tmp_path / "pid"))
        assert zombies() == []

    hosted(body)


def test_job_is_dead_when_its_host_is_left(tmp_path: Path) -> None:
    """Leaving the host ends what still runs, whoever waits for it."""

    async def main() -> None:
        async with Host() as host:
            task = asyncio.ensure_future(host.run(shell("echo $$ >pid; sleep 300", tmp_path), Stop()))
            await eventually(lambda: filled(tmp_path / "pid"))
        assert not alive(pid_in(tmp_path / "pid"))
        assert (await task).signal == signal.SIGKILL

    asyncio.run(main())
    assert zombies() == []


def test_signals_reach_all_jobs_when_forwarded(tmp_path: Path) -> None:
    """A program that is about to stop can stop its jobs first, and wake them up later."""

    async def body(host: Host) -> None:
        script = "trap 'exit 7' USR1; echo $$ >pid; while :; do read -t 1 <>fifo; done"
        async with asyncio.TaskGroup() as group:
            task = group.create_task(host.run(shell(script, tmp_path), Stop()))
            await eventually(lambda: filled(tmp_path / "pid"))
            host.forward(signal.SIGUSR1)
        assert task.result().exit_status == 7

    os.mkfifo(tmp_path / "fifo")
    hosted(body)
