"""`git limmat prepush`.

Layer: cli. What git calls as its pre-push hook; githooks(5).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from gitlimmat.cli.main import report, warn
from gitlimmat.cli.output import Printer, first_names, wants_color
from gitlimmat.config.sources import PrePush
from gitlimmat.errors import LimmatError, UsageError
from gitlimmat.git.colors import Slot
from gitlimmat.git.outgoing import Update, parse_updates
from gitlimmat.service.prepush import Doubt, Outlook, look_ahead
from gitlimmat.service.project import ConfigUse, Project, open_project
from gitlimmat.service.request import Request

_REFUSED = 1
_UNKNOWN = "unknown"
_ANYWAY = "to push all the same: git push --no-verify, or git -c limmat.prePush=off push"
_WIDTH = max(len(_UNKNOWN), len("errored"))


def command(
    options: Request,
    remote: Annotated[str, typer.Argument(metavar="<remote>", help="Name of the remote, or its address.")],
    address: Annotated[str | None, typer.Argument(metavar="[<url>]", help="Address of the remote.")] = None,
) -> int:
    """Warn of commits about to be pushed that have not passed, or refuse.

    It is git's pre-push hook, and reads from standard input what that is told. See limmat.prePush.
    """
    if sys.stdin.isatty():
        raise UsageError(
            "standard input is a terminal, not what git tells a pre-push hook",
            hint="this is called by 'git push'; see git-limmat-prepush(1)",
        )
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    updates = parse_updates(sys.stdin.read())
    if all(update.deletes for update in updates):
        return 0
    name = remote if address is not None and remote != address else None
    try:
        return _judge(options, name, updates)
    except LimmatError as error:
        return _cannot_judge(options, error)


def _judge(options: Request, remote: str | None, updates: tuple[Update, ...]) -> int:
    project = open_project(options, warn, config=ConfigUse.OPTIONAL)
    mode = project.settings.pre_push
    if mode is PrePush.OFF or not project.tests:
        return 0
    outlook = look_ahead(project, remote, updates)
    if not outlook.doubtful:
        return 0
    blocks = mode is PrePush.BLOCK
    sys.stderr.write(f"{'error: refused: ' if blocks else 'warning: '}{_sentence(outlook, remote)}\n")
    _list(project, outlook)
    for hint in _hints(outlook, blocks=blocks):
        sys.stderr.write(f"hint: {hint}\n")
    return _REFUSED if blocks else 0


def _cannot_judge(options: Request, error: LimmatError) -> int:
    """Say why nothing is known. Only where pushes are blocked, that is a reason to refuse."""
    try:
        blocks = open_project(options, lambda _: None, config=ConfigUse.NONE).settings.pre_push
    except LimmatError:
        blocks = PrePush.WARN
    if blocks is PrePush.OFF:
        return 0
    if blocks is PrePush.BLOCK:
        report(error)
        sys.stderr.write("error: refused: what is known about these commits cannot be read\n")
        sys.stderr.write(f"hint: {_ANYWAY}\n")
        return _REFUSED
    warn(f"nothing is known about what is pushed: {error.message}")
    return 0


def _sentence(outlook: Outlook, remote: str | None) -> str:
    one = outlook.commits == 1
    what = "the commit" if one else f"{outlook.doubtful} of {outlook.commits} commits"
    where = f" to '{remote}'" if remote is not None else ""
    return f"{what} about to be pushed{where} {'has' if outlook.doubtful == 1 else 'have'} not passed"


def _list(project: Project, outlook: Outlook) -> None:
    printer = Printer(sys.stderr, colored=wants_color(project.color, sys.stderr), palette=project.palette)
    width = max(len(first_names(doubt.tests)) for doubt in outlook.doubts)
    for doubt in outlook.doubts:
        printer.line(_line(printer, doubt, width))
    if outlook.more:
        printer.line(f"  and {outlook.more} more")


def _line(printer: Printer, doubt: Doubt, width: int) -> str:
    outcome = doubt.outcome
    word = _UNKNOWN if outcome is None else outcome.value
    slot = Slot.UNKNOWN if outcome is None else Slot(outcome.value)
    short = printer.paint(doubt.abbreviated, Slot.HASH)
    state = printer.paint(word, slot) + " " * (_WIDTH - len(word))
    return f"  {short}  {state}  {first_names(doubt.tests):{width}}  {doubt.subject}".rstrip()


def _hints(outlook: Outlook, *, blocks: bool) -> Iterator[str]:
    first = outlook.doubts[0]
    if first.outcome is not None:
        yield f"to see more: git limmat show {first.abbreviated}"
    if outlook.untested:
        yield f"to test what is unknown: git limmat run {shlex.join(outlook.untested)}"
    if blocks:
        yield _ANYWAY
