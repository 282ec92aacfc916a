"""What the queue says about a change, once for each thing that has happened to it.

Layer: service. `wanted_notices` is pure; `Herald` runs the user's command.

Notices are derived from state, and each has a key: whatever crashed between, each is said once and none is
forgotten. A run that landed is announced when it has landed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gitlimmat.git.environment import OWN_MARK, scrubbed
from gitlimmat.git.repository import Repository
from gitlimmat.queue.events import QUEUE, Kind, Notice, RunOutcome
from gitlimmat.queue.hold import Ground
from gitlimmat.queue.phrase import numbers
from gitlimmat.queue.state import Change, Forge, Run
from gitlimmat.service.announce import LIMIT_S, run_limited
from gitlimmat.service.logfile import Log
from gitlimmat.service.queue.outbox import Letter, Outbox

_SHORT = 12
_BAD = (RunOutcome.FAILED, RunOutcome.ERRORED, RunOutcome.TIMED_OUT)
_OUTCOMES = {Kind.AUTO: _BAD, Kind.TRY: (RunOutcome.PASSED, *_BAD)}


def wanted_notices(
    change: Change, at: float, ground: Ground, beside: Sequence[int] = ()
) -> tuple[Notice, ...]:
    """Return what is to be said about a change and was not yet, in the order in which it happened.

    `beside` has the changes, by number, with whose landing it came to its target.
    """
    return tuple(
        Notice(actor=QUEUE, at=at, key=key, text=text)
        for key, text in dict(_said(change, ground, beside)).items()
        if key not in change.notices
    )


def is_told_later(change: Change, ground: Ground) -> bool:
    """Whether something may have to be said once what a run was built on has landed."""
    return any(run.outcome in _OUTCOMES[run.kind] and not ground.is_firm(run) for run in change.runs)


def _said(change: Change, ground: Ground, beside: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Yield keys and texts. A run that did not pass on what has not landed says nothing about its members."""
    for run in change.runs:
        if run.outcome in _OUTCOMES[run.kind] and ground.is_firm(run):
            yield f"{run.outcome}:{run.run}", _about(run)
    conflict = change.conflict
    if conflict is not None:
        where = f": {', '.join(conflict.paths)}" if conflict.paths else ""
        reason = f" ({conflict.reason})" if conflict.reason else ""
        text = f"{conflict.head[:_SHORT]} cannot be merged onto {conflict.base[:_SHORT]}{reason}{where}"
        yield f"conflict:{conflict.head[:_SHORT]}:{conflict.first[:_SHORT]}", text
    if change.forge is Forge.LANDED:
        branch = change.target.removeprefix("refs/heads/")
        commit = change.landed_as[:_SHORT]
        if change.landed_by:
            text = f"landed on {branch} by run {change.landed_by}, as {commit}"
        elif beside:
            text = f"came to {branch} with {numbers(beside)}, as of {commit}"
        else:
            text = f"is in {branch} already, as of {commit}"
        yield f"landed:{change.landed_by}", text


def _about(run: Run) -> str:
    kind = "try" if run.kind is Kind.TRY else "run"
    why = f": {run.reason}" if run.reason else ""
    if len(run.members) == 1:
        return f"{kind} {run.run} {run.outcome}{why}"
    return (
        f"{kind} {run.run} of {len(run.members)} changes {run.outcome}{why}; they are tested again in parts"
    )


def letters_of(change: Change, notices: Sequence[Notice], url: str, directory: Path) -> list[Letter]:
    """Return what the command of `limmat.queue.notify` is told of notices about a change."""
    now = time.time_ns()
    return [
        Letter(
            name=f"{now:020}-{change.id}-{place}",
            change=change.id,
            key=notice.key,
            variables=_variables(change, notice, url, directory),
        )
        for place, notice in enumerate(notices)
    ]


def _variables(change: Change, notice: Notice, url: str, directory: Path) -> dict[str, str]:
    words = {
        "LIMMAT_QUEUE_EVENT": notice.key.partition(":")[0],
        "LIMMAT_QUEUE_KEY": notice.key,
        "LIMMAT_QUEUE_CHANGE": str(change.id),
        "LIMMAT_QUEUE_TITLE": change.title,
        "LIMMAT_QUEUE_AUTHOR": change.author,
        "LIMMAT_QUEUE_TARGET": change.target,
        "LIMMAT_QUEUE_HEAD": change.head,
        "LIMMAT_QUEUE_STATUS": str(change.status),
        "LIMMAT_QUEUE_MESSAGE": notice.text,
        "LIMMAT_QUEUE_REPOSITORY": str(directory),
        "LIMMAT_QUEUE_URL": f"{url}/changes/{change.id}" if url else "",
    }
    return {name: _passable(text) for name, text in words.items()}


class Herald:
    """Runs the command of `limmat.queue.notify` for letters, one after the other. `count` are yet to be told.

    Nothing that goes wrong here changes anything else: the first time is a warning, all times are logged.
    """

    def __init__(self, repository: Repository, warn: Callable[[str], None], log: Log) -> None:
        self.count = 0
        self._directory = repository.common_dir
        self._outbox = Outbox(repository, warn)
        self._warn = warn
        self._log = log.part("notify")
        self._due: asyncio.Queue[tuple[str, Letter]] = asyncio.Queue()
        self._end: float | None = None
        self._finishing: asyncio.Timeout | None = None
        self._warned = False

    def tell(self, command: str, letter: Letter) -> None:
        """Have something told."""
        self.count += 1
        self._due.put_nowait((command, letter))

    async def run(self) -> None:
        """Tell what is due, until cancelled. What is cut short stays in the outbox."""
        while True:
            command, letter = await self._due.get()
            try:
                await self._tell(command, letter.variables)
                self._outbox.drop((letter,))
                self.count -= 1
            finally:
                self._due.task_done()

    async def finish(self) -> None:
        """Wait until all that is due was told, or the time is over."""
        try:
            async with asyncio.timeout_at(self._end) as self._finishing:
                await self._due.join()
        except TimeoutError:
            pass
        finally:
            self._finishing = None

    def limit(self, seconds: float) -> None:
        """Have `finish` wait for so long, from now on."""
        self._end = asyncio.get_running_loop().time() + seconds
        if self._finishing is not None:
            self._finishing.reschedule(self._end)

    async def _tell(self, command: str, variables: dict[str, str]) -> None:
        environment = scrubbed(os.environ) | variables | {OWN_MARK: "1"}
        try:
            status, said = await run_limited(("sh", "-c", command), self._directory, environment, LIMIT_S)
        except (OSError, ValueError) as error:
            self._complain(f"cannot start the command of 'limmat.queue.notify': {error}")
            return
        if status != 0:
            how = "took too long" if status is None else f"ended with {status}"
            self._complain(f"the command of 'limmat.queue.notify' {how}", said.decode(errors="replace"))

    def _complain(self, problem: str, output: str = "") -> None:
        self._log.warning("%s\n%s", problem, output)
        if not self._warned:
            self._warned = True
            self._warn(problem)


def _passable(text: str) -> str:
    """Return text that can be in an environment."""
    return text.replace("\0", "").encode(errors="replace").decode()
