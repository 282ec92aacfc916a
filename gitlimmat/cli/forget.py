"""`git limmat forget`.

Layer: cli.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import stdout_printer
from gitlimmat.service.forget import forget
from gitlimmat.service.project import ConfigUse, open_project
from gitlimmat.service.request import Request
from gitlimmat.service.span import commits_of


def command(
    options: Request,
    span: Annotated[str, typer.Argument(metavar="<rev>|<range>", help="Commits to forget results of.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[<test>]...", help="Only these tests.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be forgotten.")] = False,
) -> int:
    """Remove stored results of commits.

    All results of the tests go, whatever the definition they were made with. The space is free after
    'git limmat gc' and 'git gc'.
    """
    project = open_project(options, warn, config=ConfigUse.NONE)
    commits = commits_of(project, (span,))
    printer = stdout_printer(project.color, project.palette)
    gone = forget(project, commits, tuple(names or ()), dry_run=dry)
    for subject, result in gone:
        verb = "would forget" if dry else "forgot"
        word = printer.outcome(result.outcome)
        printer.line(f"{verb} {result.test} {word} of {subject[:10]}, run on {result.commit[:10]}")
    if not gone:
        sys.stderr.write("nothing is stored about these commits\n")
    return 0
