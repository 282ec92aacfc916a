"""`git limmat queue try`, and other commands about the runs of a change.

Layer: cli. Nothing is decided here: see queue/answer.py.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gitlimmat.cli.queue_words import ChangeNumber, tell
from gitlimmat.errors import UsageError
from gitlimmat.queue.commands import parse_words
from gitlimmat.queue.requests import Cancel, Retry, TryCancel, Unroll
from gitlimmat.service.request import Request


def try_(
    options: Request,
    change: ChangeNumber,
    test: Annotated[
        list[str] | None,
        typer.Option("--test", "-t", metavar="NAME", help="Only this test, or glob (repeatable)."),
    ] = None,
    parent: Annotated[
        str, typer.Option("--parent", metavar="COMMIT", help="Merge with this commit, not with the tip.")
    ] = "",
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop the try instead.")] = False,
) -> int:
    """Test a change merged with its target, without landing it.

    Tries run beside what is to land. A new one stops the older one. For --parent give a full commit id, or
    'last' for that of the last try.
    """
    if cancel:
        if test or parent:
            raise UsageError("--cancel goes with no other option")
        return tell(options, change, TryCancel())
    words = ["try", *([f"tests={','.join(test)}"] if test else []), *([f"parent={parent}"] if parent else [])]
    return tell(options, change, parse_words(words))


def retry(options: Request, change: ChangeNumber) -> int:
    """Test a change again whose run did not pass, or was stopped."""
    return tell(options, change, Retry())


def cancel(options: Request, change: ChangeNumber) -> int:
    """Stop the run of a change.

    It stays approved, and waits for 'retry' or another approval.
    """
    return tell(options, change, Cancel())


def yield_(options: Request, change: ChangeNumber) -> int:
    """Stop the run of a change and let others go first."""
    return tell(options, change, Cancel(yielding=True))


def unroll(
    options: Request,
    change: ChangeNumber,
    run: Annotated[
        str, typer.Argument(metavar="[<run>]", help="The run that it must be in.", show_default=False)
    ] = "",
) -> int:
    """Test the changes that are in a run together one by one instead."""
    return tell(options, change, Unroll(run=run))
