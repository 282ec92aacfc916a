"""`git limmat queue approve`, and other commands about what is to land and when.

Layer: cli. Nothing is decided here: see queue/answer.py.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gitlimmat.cli.queue_words import ChangeNumber, tell
from gitlimmat.errors import UsageError
from gitlimmat.queue.commands import parse_words
from gitlimmat.queue.events import Level, Rollup
from gitlimmat.queue.requests import Delegate, Prioritize, SetRollup, Unapprove, Undelegate
from gitlimmat.service.request import Request

_Mode = Annotated[
    Rollup | None,
    typer.Option("--rollup", metavar="MODE", help="Whether it is tested together with others."),
]
_Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why it has that mode.")]


def approve(
    options: Request,
    change: ChangeNumber,
    commit: Annotated[
        str, typer.Argument(metavar="[<commit>]", help="The head that was reviewed.", show_default=False)
    ] = "",
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Approve in the name of others.")] = "",
    priority: Annotated[
        int | None, typer.Option("--priority", "-p", metavar="N", help="Set its priority, too.")
    ] = None,
    rollup: _Mode = None,
    note: _Note = "",
    repair: Annotated[
        bool, typer.Option("--repair", help="Take its tests from the change itself (for admins).")
    ] = False,
) -> int:
    """Let a change land with the head that it has.

    Another head needs another approval. Give the first seven or more digits of the commit that you have
    reviewed, and nothing else will be approved.
    """
    words = [f"r={by}" if by else "r+"]
    words += [commit] if commit else []
    words += [f"p={priority}"] if priority is not None else []
    words += [f"rollup={rollup}"] if rollup is not None else []
    words += [f"note={note}"] if note else []
    return tell(options, change, parse_words([*words, *(["repair"] if repair else [])]))


def unapprove(options: Request, change: ChangeNumber) -> int:
    """Withdraw the approval of a change, and stop its run."""
    return tell(options, change, Unapprove())


def priority(
    options: Request,
    change: ChangeNumber,
    number: Annotated[int, typer.Argument(metavar="<number>", help="Higher goes first; 0 is usual.")],
) -> int:
    """Say how urgent a change is."""
    return tell(options, change, Prioritize(priority=number))


def rollup(
    options: Request,
    change: ChangeNumber,
    mode: Annotated[
        Rollup, typer.Argument(metavar="[always|maybe|iffy|never]", help="The mode.", show_default=False)
    ] = Rollup.ALWAYS,
    note: _Note = "",
) -> int:
    """Say whether a change may be tested together with others.

    'always' and 'maybe' let it; 'iffy' and 'never' keep it alone.
    """
    return tell(options, change, SetRollup(mode=mode, note=note))


def delegate(
    options: Request,
    change: ChangeNumber,
    name: Annotated[
        str | None, typer.Argument(metavar="[<name>]", help="Who: its author, if not given.")
    ] = None,
    level: Annotated[
        Level, typer.Option("--level", metavar="LEVEL", help="What is allowed: review, or try.")
    ] = Level.REVIEW,
) -> int:
    """Let somebody else approve or try a change."""
    if name is None:
        return tell(options, change, Delegate(level=level))
    if not name:
        raise UsageError("nobody is called ''", hint="leave the name out for the author of the change")
    return tell(options, change, parse_words([f"delegate={name}", level.value]))


def undelegate(options: Request, change: ChangeNumber) -> int:
    """Take all delegations of a change back."""
    return tell(options, change, Undelegate())
