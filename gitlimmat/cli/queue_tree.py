"""`git limmat queue pause`, and other commands about the whole queue.

Layer: cli. Nothing is decided here: see queue/answer.py.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gitlimmat.cli.queue_words import Message, tell, text_of
from gitlimmat.queue.answer_queue import HELP
from gitlimmat.queue.requests import CloseTree, OpenTree, Pause, Resume
from gitlimmat.service.request import Request

_Target = Annotated[
    str, typer.Option("--target", metavar="BRANCH", help="Only for this branch, not for all of them.")
]


def pause(options: Request, message: Message = None) -> int:
    """Start nothing and land nothing, until 'resume'."""
    return tell(options, None, Pause(reason=text_of(message)))


def resume(options: Request) -> int:
    """Go on after 'pause'."""
    return tell(options, None, Resume())


def tree_close(
    options: Request,
    priority: Annotated[int, typer.Argument(metavar="<priority>", help="The least that still starts.")],
    target: _Target = "",
    message: Message = None,
) -> int:
    """Start only changes of a certain priority or more."""
    return tell(options, None, CloseTree(below=priority, target=target, reason=text_of(message)))


def tree_open(options: Request, target: _Target = "") -> int:
    """Start changes of every priority again."""
    return tell(options, None, OpenTree(target=target))


def help_(options: Request) -> int:
    """Show what can be said in comments and push options."""
    sys.stdout.write(f"{HELP}\n")
    return 0
