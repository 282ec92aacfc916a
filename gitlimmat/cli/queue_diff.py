"""`git limmat queue diff`.

Layer: cli.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.queue_print import paged
from gitlimmat.service.project import open_server
from gitlimmat.service.queue.difference import differences, open_fold
from gitlimmat.service.request import Request

_DIFFERENT = 1


def command(
    options: Request,
    first: Annotated[
        str,
        typer.Argument(metavar="<queue>", help="'.' (this repository), a remote that was followed, a path."),
    ],
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="[<queue>]", help="Another one. Default: <queue> as it was kept when last folded."
        ),
    ] = None,
) -> int:
    """Say where two folds of a queue disagree, by change and field.

    Both are folded anew from all their events; with one <queue>, that is compared with a fold that goes on
    from the state that was kept. The exit status is 1 when there is any difference.
    """
    project = open_server(options, warn)
    one = open_fold(project.repository, first)
    two = open_fold(project.repository, second or first, use_kept=second is None)
    found = differences(one, two)
    with paged(project) as printer:
        for each in found:
            who = "queue" if each.change is None else f"#{each.change}"
            printer.line(f"{who} {each.field}: {each.first} | {each.second}")
    return _DIFFERENT if found else 0
