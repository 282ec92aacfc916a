"""`git limmat queue close`, and other commands about what a change is.

Layer: cli. Nothing is decided here: see queue/answer.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gitlimmat.cli.queue_words import ChangeNumber, Message, tell, text_of
from gitlimmat.errors import LimmatError, UsageError
from gitlimmat.queue.requests import Close, Comment, Reopen, Retarget, Retitle, SetDraft
from gitlimmat.service.request import Request


def close(options: Request, change: ChangeNumber, message: Message = None) -> int:
    """Give a change up, and stop its runs."""
    return tell(options, change, Close(reason=text_of(message)))


def reopen(options: Request, change: ChangeNumber) -> int:
    """Take a closed change up again; it needs a new approval."""
    return tell(options, change, Reopen())


def retitle(
    options: Request,
    change: ChangeNumber,
    title: Annotated[str, typer.Argument(metavar="<title>", help="One line.")],
    body: Annotated[
        str | None, typer.Option("--body", metavar="TEXT", help="What more is to be said of it.")
    ] = None,
) -> int:
    """Give a change other words, which its merge will have, too."""
    return tell(options, change, Retitle(title=title, body=body))


def draft(options: Request, change: ChangeNumber) -> int:
    """Make a change a draft, which cannot be approved, and stop its run."""
    return tell(options, change, SetDraft(draft=True))


def ready(options: Request, change: ChangeNumber) -> int:
    """Say that a change is no draft any more."""
    return tell(options, change, SetDraft(draft=False))


def retarget(
    options: Request,
    change: ChangeNumber,
    branch: Annotated[str, typer.Argument(metavar="<branch>", help="One of the targets of the queue.")],
) -> int:
    """Let a change land on another branch; it needs a new approval."""
    return tell(options, change, Retarget(target=branch))


def comment(
    options: Request,
    change: ChangeNumber,
    message: Message = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-F", metavar="FILE", help="Read it from FILE, - for stdin.")
    ] = None,
) -> int:
    """Say something about a change.

    A line that begins with the name of the queue, such as '@limmat r+', is a command; see COMMENTS in
    git-limmat-queue(1).
    """
    if bool(message) == (file is not None):
        raise UsageError("give either --message or --file")
    return tell(options, change, Comment(text=text_of(message) if file is None else _read(file)))


def _read(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"'{file}' is not UTF-8") from error
    except OSError as error:
        raise LimmatError(f"cannot read '{file}': {error.strerror}") from error
