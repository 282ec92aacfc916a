"""`git limmat queue serve`.

Layer: cli.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.service.logfile import open_log
from gitlimmat.service.project import open_server
from gitlimmat.service.queue.daemon import Daemon, run_daemon
from gitlimmat.service.request import Request


def command(
    options: Request,
    once: Annotated[
        bool, typer.Option("--once", help="End when nothing more can be done now, instead of waiting.")
    ] = False,
) -> int:
    """Test approved changes merged with their target, and move the target to what has passed.

    It works until it is stopped by a signal; the first one lets jobs end, the second kills them. What was
    under way goes on when it is started again, also after a crash.
    """
    project = open_server(options, warn)
    log = open_log("queue", project.repository.name, warn)
    run_daemon(Daemon(project, say=_say, warn=warn, log=log), log, once=once)
    return 0


def _say(line: str) -> None:
    """Print a line; that nobody reads it any more is no reason to stop."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
