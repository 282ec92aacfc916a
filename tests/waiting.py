"""Wait for something that another process does, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

_DEADLINE_S = 30


def wait_until(condition: Callable[[], bool], what: str = "condition", *, every: float = 0.005) -> None:
    """Return as soon as `condition()` holds, looking `every` so many seconds; fail after half a minute."""
    end = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(every)


def wait_for_file(path: Path) -> str:
    """Return the content of `path` once it exists and is not empty."""
    wait_until(lambda: path.exists() and path.stat().st_size > 0, f"file {path}")
    return path.read_text()


def is_alive(pid: int) -> bool:
    """Whether a process runs, zombies not counted."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
