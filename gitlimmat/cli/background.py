"""`git limmat background`.

Layer: cli. Hooks call it; nobody is there to read what it prints.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.errors import LimmatError
from gitlimmat.service.background import run_background, settle, stand_aside, stop_background
from gitlimmat.service.logfile import open_log
from gitlimmat.service.request import Request

_NONE = 1


def command(
    options: Request,
    stop: Annotated[bool, typer.Option("--stop", help="End the one that runs.")] = False,
) -> int:
    """Test new commits in the background until all is known.

    Hooks start it after each commit, when nothing else watches the worktree. It runs at the lowest priority
    and shows nothing; see limmat.background.
    """
    request, repository = settle(options)
    if stop:
        if stop_background(repository):
            return 0
        sys.stderr.write("nothing runs in the background\n")
        return _NONE
    log = open_log("background", repository.name, warn)
    stand_aside()
    try:
        run_background(request, log)
    except LimmatError as error:
        log.part("background").error("%s", error)
        raise
    return 0
