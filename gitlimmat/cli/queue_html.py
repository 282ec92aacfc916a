"""`git limmat queue html`.

Layer: cli.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.model import counted
from gitlimmat.service.project import open_server
from gitlimmat.service.request import Request


def command(
    options: Request,
    directory: Annotated[Path, typer.Argument(metavar="<directory>", help="Write the pages there.")],
    every: Annotated[
        bool, typer.Option("--all", help="Also write pages of changes that are closed or have landed.")
    ] = False,
) -> int:
    """Write the pages of the queue as files.

    They have neither scripts nor buttons, and show the queue as it is now; any web server can show them, or a
    browser without one. A directory that has other files is left alone.
    """
    from gitlimmat.web.queuehtml import write_pages

    project = open_server(options, warn)
    count = write_pages(project, directory, every=every)
    sys.stdout.write(f"{counted(count, 'page')} in '{directory}'\n")
    return 0
