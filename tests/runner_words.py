"""Words that tests of the runner are built from: specs in few words, waiting with a deadline, processes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from gitlimmat.runner.host import Host, Stop
from gitlimmat.runner.job import JobEnd, JobSpec
from gitlimmat.runner.processes import read_process

PATIENCE_S = 20.0
T = TypeVar("T")


def shell(script: str, directory: Path, **options: object) -> JobSpec:
    """Return the spec of a job that runs `script` with bash in `directory`, output to `directory/out`."""
    return command("bash", "-c", script, directory=directory, **options)


def command(*argv: str, directory: Path, **options: object) -> JobSpec:
    """Return the spec of a job that runs `argv` in `directory`, output to `directory/out`."""
    given = {
        "argv": argv,
        "cwd": directory,
        "environment": {"PATH": os.environ["PATH"]},
        "stdout": directory / "out",
        "grace_s": 10.0,
        "timeout_s": PATIENCE_S,
    }
    return JobSpec(**(given | options))


def run(spec: JobSpec, stop: Stop | None = None) -> JobEnd:
    """Run one job in a host of its own."""

    async def body(host: Host) -> JobEnd:
        return await host.run(spec, stop or Stop())

    return hosted(body)


def hosted(body: Callable[[Host], Awaitable[T]]) -> T:
    """Run `body` with a host, and return what it returns."""

    async def main() -> T:
        async with Host() as host:
            return await body(host)

    return asyncio.run(main())


async def eventually(condition: Callable[[], object]) -> None:
    """Return as soon as `condition` holds; fail when it never does."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


def wait_until(condition: Callable[[], object]) -> None:
    """Return as soon as `condition` holds; fail when it never does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def filled(path: Path) -> bool:
    """Whether a file exists and its last line is complete."""
    return path.exists() and path.read_bytes().endswith(b"\n")


def pid_in(path: Path) -> int:
    """Return the number that a job has written to a file."""
    return int(path.read_text())


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    process = read_process(pid)
    return process is not None and not process.zombie
