"""`git limmat test`.

Layer: cli.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.errors import InterruptedRunError
from gitlimmat.model import Outcome
from gitlimmat.service.inplace import InPlace, test_in_place
from gitlimmat.service.project import open_project
from gitlimmat.service.request import Request


def command(
    options: Request,
    name: Annotated[str, typer.Argument(metavar="<test>", help="Name of the test.")],
) -> int:
    """Run one test in your worktree as it is.

    Uncommitted changes are included.

    What it depends on runs on HEAD in worktrees of our own and is stored; the test itself is not. Only
    what the test prints comes out on standard output. Exits 0 when it passed, 1 when it did not.
    """
    project = open_project(options, warn)
    ended = test_in_place(project, name, _say)
    match ended:
        case InPlace(outcome=Outcome.PASSED):
            _say("Finished: exit code 0")
            return 0
        case InPlace(outcome=Outcome.CANCELLED):
            raise InterruptedRunError(f"test '{name}' was cancelled")
        case InPlace(exit_status=int(status)):
            _say(f"Finished: exit code {status}")
    sys.stderr.write(f"error: test '{name}' {ended.outcome.value} ({ended.reason})\n")
    return 1


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
