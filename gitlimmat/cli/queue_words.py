"""What commands of the queue have in common: whom they are about, and how an answer is shown.

Layer: cli.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.errors import UsageError
from gitlimmat.queue.requests import Approve, Command, Fault, Retry, Try
from gitlimmat.service.project import asked_repository
from gitlimmat.service.queue.ask import ask
from gitlimmat.service.queue.turn import server
from gitlimmat.service.request import Request

REFUSED = 1
UNSERVED = "no daemon is at work here now; 'git limmat queue serve' starts one"

ChangeNumber = Annotated[str, typer.Argument(metavar="<change>", help="The number of the change.")]
Message = Annotated[
    list[str] | None,
    typer.Option("--message", "-m", metavar="TEXT", help="Say why (repeatable: a paragraph each)."),
]
Remote = Annotated[
    str | None,
    typer.Option("--remote", metavar="NAME", help="Show what was fetched of the queue of that remote."),
]

_NUMBER = re.compile(r"#?([1-9][0-9]{0,8})", re.ASCII)


def number_of(text: str) -> int:
    """Return the number of a change. Raises: UsageError when it is none."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise UsageError(
            f"'{text}' is no number of a change", hint="'git limmat queue list' shows the numbers"
        )
    return int(found[1])


def tell(options: Request, change: str | None, command: Command | Fault) -> int:
    """Give a command to the queue, print its answer, and return the exit status."""
    if isinstance(command, Fault):
        raise UsageError(command.message, hint=command.hint or None)
    number = number_of(change) if change is not None else None
    repository = asked_repository(options)
    answer = ask(repository, number, command, os.environ, warn)
    if answer.is_refused:
        sys.stderr.write(f"error: {answer.reply}\n")
        return REFUSED
    sys.stdout.write(f"{answer.reply}\n")
    if isinstance(command, Approve | Retry | Try) and server(repository) is None:
        hint(UNSERVED)
    return 0


def hint(text: str) -> None:
    """Say on standard error what may be done next."""
    sys.stderr.write(f"hint: {text}\n")


def text_of(messages: list[str] | None) -> str:
    """Return paragraphs as one text."""
    return "\n\n".join(messages or ())
