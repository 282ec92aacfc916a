"""The log of a program that runs for long: what went wrong in which part, with its traceback.

Layer:  service.
Owns:   `$LIMMAT_LOGFILE`, or `<command>-<repository>.log` in `$XDG_STATE_HOME/limmat`, with `.1` (newest) to
        `.5` behind the names of older ones.
Format: `<UTC time> <pid> <level> <part>: <message>`. Lines that begin with a space belong to the one before:
        more of the message, or a traceback.

Several processes share a file: a line is one appending write, so none is cut or lost, and nobody waits. Who
finds the file too big, and gets its lock at once, moves it aside; others see that the name leads elsewhere
and open it anew. A line written in that moment is in the file that was moved.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
import stat
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.store.bytelocks import is_file_at

LOGFILE_VARIABLE = "LIMMAT_LOGFILE"
KEPT = 5  # older files beside the one that is written
_MOST_BYTES = 4 << 20
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_SETTLED_S = 10.0  # a part that has lived so long is well again
_MANY = 5
_WITHIN_S = 60.0
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_OPEN = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_LIBRARIES = ("asyncio", "aiohttp", "gitlimmat")


class PartFailedError(LimmatError):
    """A part of the program fails again and again. It was not started anew."""


def log_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory of all logs, whether or not it exists."""
    stated = Path(environment.get("XDG_STATE_HOME", ""))
    if stated.is_absolute():  # the XDG specification says to ignore anything else
        return stated / "limmat"
    home = environment.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "state" / "limmat"


def log_path(command: str, repository: str, environment: Mapping[str, str]) -> Path:
    """Return the file that `command` logs to for a repository of this name."""
    if stated := environment.get(LOGFILE_VARIABLE):
        return Path(stated).absolute()
    name = re.sub(r"[^\w.-]+", "-", repository).strip(".-") or "repository"
    return log_directory(environment) / f"{command}-{name}.log"


class Log:
    """Lines about the parts of one program. The file is made when the first one is written.

    A file that cannot be written is a warning, given once; nothing here ever raises. Thread-safe.
    """

    def __init__(self, path: Path, warn: Callable[[str], None], *, most_bytes: int = _MOST_BYTES) -> None:
        self.path = path
        self._file = _File(path, warn, most_bytes)

    def part(self, name: str) -> logging.Logger:
        """Return the standard library's logger for a part, known to nobody else by its name."""
        logger = logging.Logger(name, logging.INFO)
        logger.addHandler(self._file)
        return logger

    def report(self, part: str, error: BaseException) -> str:
        """Log an error with its traceback, and return a line about it that names the file."""
        said = _told(error)
        self.part(part).error("%s", said, exc_info=error)
        where = f"see '{self.path}'" if self._file.works else f"'{self.path}' cannot be written"
        return f"{part} failed: {said} ({where})"

    @contextmanager
    def of_libraries(self) -> Iterator[None]:
        """Let what asyncio, the web server and our pages log go here, and not across the screen."""
        before = []
        for name in _LIBRARIES:
            logger = logging.getLogger(name)
            before.append((logger, logger.propagate))
            logger.propagate = False
            logger.addHandler(self._file)
        try:
            yield
        finally:
            for logger, propagate in before:
                logger.removeHandler(self._file)
                logger.propagate = propagate

    def close(self) -> None:
        """Close the file; another line opens it again."""
        self._file.close()


def open_log(
    command: str, repository: str, warn: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> Log:
    """Return the log of `command` for the repository of this name. Nothing is made yet."""
    return Log(log_path(command, repository, os.environ if environment is None else environment), warn)


async def guarded(
    part: str,
    work: Callable[[], Coroutine[object, object, None]],
    *,
    log: Log,
    say: Callable[[str | None], None],
    restart_s: float = _FIRST_PAUSE_S,
    settled_s: float = _SETTLED_S,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Run a part of a program until it ends by itself, again after each failure.

    A failure is logged and said; once the part has lived for `settled_s` again, None is said. The pause
    before it starts anew is `restart_s` at first and doubles up to a minute, until the part has lived that
    long.

    Units: seconds of `clock`.
    Raises: PartFailedError when it has failed five times within a minute, and BrokenPipeError at once.
    Cancelling ends it as usual.
    """
    loop = asyncio.get_running_loop()
    failures: deque[float] = deque(maxlen=_MANY)
    length, ill = restart_s, False
    while True:
        began = clock()
        well = loop.call_later(settled_s, say, None) if ill else None
        try:
            await work()
        except BrokenPipeError:  # who read what we write has gone: that is not a failure of ours
            raise
        except Exception as error:
            problem = log.report(part, error)
            failures.append(clock())
            if len(failures) == _MANY and failures[-1] - failures[0] <= _WITHIN_S:
                raise PartFailedError(
                    f"{part} failed {_MANY} times within a minute: {_told(error)}",
                    hint=f"'{log.path}' has the details",
                ) from error
        else:
            say(None)
            return
        finally:
            if well is not None:
                well.cancel()
        ill = True
        say(problem)
        if clock() - began >= _LONGEST_PAUSE_S:
            length = restart_s
        await pause(length)
        length = min(2 * length, _LONGEST_PAUSE_S)


class _File(logging.Handler):
    """Appends records to a file that other processes append to as well."""

    def __init__(self, path: Path, warn: Callable[[str], None], most_bytes: int) -> None:
        super().__init__()
        self.works = True
        self._path = path
        self._warn = warn
        self._most_bytes = most_bytes
        self._handle: int | None = None
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Called by logging, under the handler's lock."""
        try:
            self._write(_formatted(record))
            self.works = True
        except OSError as error:
            self.works = False
            if not self._told:
                self._told = True
                self._warn(f"cannot write the log '{self._path}': {error.strerror or error}")

    def close(self) -> None:
        """Give the descriptor back."""
        self.acquire()
        try:
            self._forget()
        finally:
            self.release()
        super().close()

    def _write(self, data: bytes) -> None:
        handle = self._opened()
        status = os.fstat(handle)
        if stat.S_ISREG(status.st_mode) and status.st_size and status.st_size + len(data) > self._most_bytes:
            self._rotate(handle)
            handle = self._opened()
        done = os.write(handle, data)
        while done < len(data):  # a disk that is nearly full takes a part
            done += os.write(handle, data[done:])

    def _opened(self) -> int:
        """Return a descriptor of the file that has the name now."""
        if self._handle is not None and not is_file_at(self._handle, self._path):
            self._forget()
        if self._handle is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(self._path, _OPEN, 0o600)
        return self._handle

    def _rotate(self, handle: int) -> None:
        """Move the file aside, unless another process is just doing that or has done it.

        One that cannot be moved grows. It is moved last: until then, nobody makes a new one.
        """
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_file_at(handle, self._path):
                return
            older = [self._path.with_name(f"{self._path.name}.{n}") for n in range(KEPT, 0, -1)]
            for source, target in zip((*older[1:], self._path), older, strict=True):
                if source.exists():
                    source.replace(target)
        except OSError:
            return

    def _forget(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _told(error: BaseException) -> str:
    """Return what an error says, in one line; of a group, the first that is in it."""
    count = 0
    while isinstance(error, BaseExceptionGroup):
        count += len(error.exceptions) - 1
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    if not isinstance(error, LimmatError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{text} (and {count} more)" if count else text


def _formatted(record: logging.LogRecord) -> bytes:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    lines = [_message(record)]
    if record.exc_info and record.exc_info[1] is not None:
        lines += [
            "    " + line for line in "".join(traceback.format_exception(record.exc_info[1])).split("\n")
        ]
    head = f"{moment}.{int(record.msecs):03}Z {os.getpid()} {record.levelname.lower()} {record.name}: "
    text = "\n".join(line.rstrip() for line in lines if line.strip())
    return (_CONTROL.sub(_escaped, head + text) + "\n").encode(errors="backslashreplace")


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except (TypeError, ValueError):
        text = f"{record.msg} {record.args}"
    return text.strip("\n").replace("\n", "\n    ")


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
