"""`git limmat artifacts`.

Layer: cli.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gitlimmat.cli.lookup import found, run_status
from gitlimmat.cli.main import warn
from gitlimmat.cli.output import stdout_printer
from gitlimmat.service.project import ConfigUse, open_project
from gitlimmat.service.request import Request


def command(
    options: Request,
    name: Annotated[str, typer.Argument(metavar="<test>", help="Name of the test.")],
    revision: Annotated[str, typer.Argument(metavar="<rev>", help="The commit.")],
    run: Annotated[bool, typer.Option("--run", help="Run the test if no result is stored.")] = False,
) -> int:
    """Print the path of the artifacts of a test.

    It is a directory with what the test kept on a commit. Exits 50 when no result is stored. The
    directory is empty when the test kept nothing.
    """
    project = open_project(options, warn, config=ConfigUse.REQUIRED if run else ConfigUse.OPTIONAL)
    result, ran = found(project, name, revision, run=run)
    oid = result.artifacts.oid if result.artifacts else None
    stdout_printer(None).line(str(project.artifacts_directory(oid)))
    return run_status(result) if ran else 0
