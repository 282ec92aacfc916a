"""What a job is started with, and what is known when it has ended.

Layer: runner.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that starting one job takes.

    Shape: `stdout` None means our own. `stderr` None means wherever `stdout` goes when that is a file,
    else our own. `keep_fds` are open in every process of the job: a lock on one lasts as long as they do.
    Units: `grace_s` is the time from SIGTERM to SIGKILL, `timeout_s` the time until SIGTERM, both in
    seconds of the monotonic clock during which this program was running.
    """

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    stdout: Path | None = None
    stderr: Path | None = None
    grace_s: float = 60.0
    timeout_s: float | None = None
    keep_fds: tuple[int, ...] = ()


class JobEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended. None of its processes is left.

    Shape: `exit_status` and `signal` exclude each other; both are None when `error` says why nothing ran,
    or when the job was cancelled before it started. `strays` counts the processes that were still there
    when the first one had ended, and had to be told to go.
    Units: `started` is seconds since the epoch in UTC, `elapsed` seconds of the monotonic clock until the
    first process ended.
    """

    started: float
    elapsed: float
    exit_status: int | None = None
    signal: int | None = None
    error: str = ""
    timed_out: bool = False
    cancelled: bool = False
    strays: int = 0
