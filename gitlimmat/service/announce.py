"""Send a message to the user's desktop, or to a command of theirs.

Layer: service.
Source: notify-send(1), osascript(1); https://specifications.freedesktop.org/notification-spec for the markup.

Nothing that goes wrong here changes anything else: the first time is a warning, all times are logged.
"""

from __future__ import annotations

import asyncio
import html
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from logging import Logger, NullHandler
from pathlib import Path

import msgspec

from gitlimmat.config.sources import Notify
from gitlimmat.git.environment import OWN_MARK, scrubbed

LIMIT_S = 30.0
_MOST_OUTPUT = 16 << 10
_SCRIPT = ("on run argv", "display notification (item 3 of argv) with title (item 2 of argv)", "end run")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A notice in words. What does not apply is empty; `commit` is a full id."""

    event: str
    title: str
    body: str
    directory: Path
    commit: str = ""
    test: str = ""
    outcome: str = ""
    reason: str = ""
    url: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """What a command finds in its environment."""
        return {
            "LIMMAT_EVENT": self.event,
            "LIMMAT_REPOSITORY": str(self.directory),
            "LIMMAT_COMMIT": self.commit,
            "LIMMAT_TEST": self.test,
            "LIMMAT_OUTCOME": self.outcome,
            "LIMMAT_REASON": self.reason,
            "LIMMAT_MESSAGE": f"{self.title}: {self.body}" if self.body else self.title,
            "LIMMAT_URL": self.url,
        }


class Announcer:
    """Sends messages the way the user wants: `notify` is true for the desktop, or a command for `sh -c`."""

    def __init__(
        self,
        notify: Notify,
        warn: Callable[[str], None],
        *,
        log: Logger | None = None,
        bell: Callable[[], None] | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._notify = notify
        self._warn = warn
        self._warned = False
        self._log = log or _silent()
        self._bell = bell or ring
        self._limit_s = limit_s

    async def send(self, message: Message) -> None:
        """Send a message, and wait until that is done; never raises because it could not be sent."""
        if self._notify is False:
            return
        if isinstance(self._notify, str):
            await self._run(("sh", "-c", self._notify), message, "command of 'limmat.notify'")
            return
        argv = desktop(message)
        if argv is None:
            self._complain("cannot notify the desktop, the bell rings instead: no 'notify-send' found")
            self._bell()
        elif not await self._run(argv, message, f"'{argv[0]}'"):
            self._bell()

    async def _run(self, argv: Sequence[str], message: Message, what: str) -> bool:
        environment = scrubbed(os.environ) | message.variables | {OWN_MARK: "1"}
        try:
            status, said = await run_limited(argv, message.directory, environment, self._limit_s)
        except (OSError, ValueError) as error:
            self._complain(f"cannot start the {what}: {error}")
            return False
        output = f"\n{said.decode(errors='replace')}" if said else ""
        if status == 0:
            self._log.info("%s: sent by %s%s", message.title, what, output)
            return True
        ended = (
            f"exited with {status}" if status is not None and status > 0 else f"got signal {-(status or 0)}"
        )
        if status is None:
            ended = f"took longer than {self._limit_s:g} s"
        self._complain(f"the {what} {ended}", output)
        return False

    def _complain(self, problem: str, output: str = "") -> None:
        self._log.warning("%s%s", problem, output)
        if not self._warned:
            self._warned = True
            self._warn(problem)


def _silent() -> Logger:
    logger = Logger("notices")
    logger.addHandler(NullHandler())
    return logger


def desktop(message: Message, platform: str = sys.platform) -> tuple[str, ...] | None:
    """Return the command line that shows a message on the desktop, None when there is no program for that."""
    if platform == "darwin":
        lines = [word for line in _SCRIPT for word in ("-e", line)]
        return ("osascript", *lines, "git limmat", message.title, message.body)
    if shutil.which("notify-send") is None:
        return None
    urgency = "normal" if message.event == "failed" else "low"
    # The body is markup, and notify-send itself reads backslashes in it.
    body = html.escape(message.body, quote=False).replace("\\", "\\\\")
    return ("notify-send", "--app-name=git limmat", f"--urgency={urgency}", "--", message.title, body)


def ring() -> None:
    """Ring the bell of the terminal, if there is one, without minding who draws on it."""
    if os.isatty(2):
        os.write(2, b"\a")


async def run_limited(
    argv: Sequence[str], directory: Path, environment: Mapping[str, str], limit_s: float
) -> tuple[int | None, bytes]:
    """Run a program to its end, and return its exit status and the first of what it printed.

    The status is negative for a signal, None when it took longer than `limit_s` and was killed with all that
    is in its session. It is killed, too, when the task is cancelled. What it leaves in the background after a
    normal end is left alone.

    Raises: OSError when it cannot be started.
    """
    output, inlet = os.pipe()
    said = bytearray()
    loop = asyncio.get_running_loop()
    try:
        try:
            process = subprocess.Popen(
                argv,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=inlet,
                stderr=inlet,
                start_new_session=True,
            )
        finally:
            os.close(inlet)
        os.set_blocking(output, False)
        loop.add_reader(output, _read, loop, output, said)
        status = await _wait(process, limit_s)
        while len(said) < _MOST_OUTPUT and _read(loop, output, said):
            pass
        return status, bytes(said)
    finally:
        loop.remove_reader(output)
        os.close(output)


async def _wait(process: subprocess.Popen[bytes], limit_s: float) -> int | None:
    """Return the status of a process, None when it had to be killed.

    A thread waits for it: asyncio would have a child watcher do that, which complains when someone else, such
    as the host of the jobs, has been faster.
    """
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    def wait() -> None:
        process.wait()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait, name="notice", daemon=True).start()
    try:
        async with asyncio.timeout(limit_s):
            await over.wait()
    except TimeoutError:
        return None
    finally:
        if not over.is_set():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
            await over.wait()
    return process.returncode


def _read(loop: asyncio.AbstractEventLoop, output: int, said: bytearray) -> bool:
    """Take some of what is there, and keep the beginning of all; return whether there may be more."""
    try:
        piece = os.read(output, 1 << 16)
    except BlockingIOError:
        return False
    said += piece[: _MOST_OUTPUT - len(said)]
    if not piece:
        loop.remove_reader(output)
    return bool(piece)
