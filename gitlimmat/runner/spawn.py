"""Starting the first process of a job, as cheaply as the system allows.

Layer: runner.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from gitlimmat.runner.job import JobSpec

MARK = "LIMMAT_JOB"


class SpawnError(Exception):
    """A job cannot be started; the text is the reason to show. Nothing is left behind."""


def spawn(spec: JobSpec, *, mark: str, null: int) -> subprocess.Popen[bytes]:
    """Start a job in a group of its own, with nothing of ours but its output files and `keep_fds`.

    Shape: `mark` becomes the value of `MARK` in its environment, after that of an outer job; `null` is
    an open /dev/null. Output files are emptied, then appended to: two streams in one file keep their order.
    Raises: SpawnError.
    """
    opened: list[int] = []
    try:
        stdout = _open(spec.stdout, opened)
        stderr = _open(spec.stderr, opened)
        if stderr is None and stdout is not None:
            stderr = subprocess.STDOUT
        with _no_blocked_signals():
            return subprocess.Popen(
                spec.argv,
                executable=_executable(spec),
                cwd=spec.cwd,
                env=_environment(spec, mark),
                stdin=null,
                stdout=stdout,
                stderr=stderr,
                pass_fds=spec.keep_fds,
                process_group=0,
            )
    except OSError as error:
        raise SpawnError(_reason(spec, error)) from error
    except (ValueError, IndexError) as error:  # a NUL in a word, a `=` in a name, no words at all
        raise SpawnError(f"cannot start '{_program(spec)}': {error}") from error
    finally:
        for fd in opened:
            os.close(fd)


def _executable(spec: JobSpec) -> str | None:
    """Return the path of the program, so that not each new process has to try all of PATH; None if unsure."""
    program, path = _program(spec), spec.environment.get("PATH")
    if not program or "/" in program or path is None:
        return None
    found = _search(program, path)
    return found if found is not None and os.access(found, os.X_OK) else None


@lru_cache(maxsize=64)
def _search(program: str, path: str) -> str | None:
    found = shutil.which(program, path=path)
    return found if found is not None and found.startswith("/") else None


def _environment(spec: JobSpec, mark: str) -> Mapping[str, str]:
    environment = dict(spec.environment)
    environment.pop("OLDPWD", None)
    environment["PWD"] = str(spec.cwd)
    outer = environment.get(MARK)
    environment[MARK] = f"{outer}/{mark}" if outer else mark
    return environment


def _open(path: Path | None, opened: list[int]) -> int | None:
    if path is None:
        return None
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise SpawnError(f"cannot write '{path}': {error.strerror}") from error
    opened.append(fd)
    return fd


@contextmanager
def _no_blocked_signals() -> Iterator[None]:
    """Empty the signal mask, which a child inherits, for as long as the context lasts."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if not blocked:
        yield
        return
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _program(spec: JobSpec) -> str:
    return spec.argv[0] if spec.argv else ""


def _reason(spec: JobSpec, error: OSError) -> str:
    program = _program(spec)
    if not spec.cwd.is_dir():
        return f"cannot start '{program}': no such directory '{spec.cwd}'"
    if error.errno == errno.ENOENT and _found(spec, program):
        return f"cannot start '{program}': the interpreter in its first line does not exist"
    return f"cannot start '{program}': {error.strerror}"


def _found(spec: JobSpec, program: str) -> bool:
    if "/" in program:
        return (spec.cwd / program).exists()
    return shutil.which(program, path=spec.environment.get("PATH", os.defpath)) is not None
