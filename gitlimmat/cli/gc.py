"""`git limmat gc`.

Layer: cli.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import stdout_printer
from gitlimmat.model import size
from gitlimmat.service.gc import Wanted, collect
from gitlimmat.service.project import ConfigUse, open_project
from gitlimmat.service.request import Request


def command(
    options: Request,
    max_size: Annotated[
        str | None, typer.Option("--size", metavar="SIZE", help="Keep at most SIZE of outputs and artifacts.")
    ] = None,
    max_age: Annotated[
        str | None, typer.Option("--age", metavar="AGE", help="Drop results older than AGE, such as 90d.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, help="Keep the newest N results of a test on a subject."),
    ] = None,
    unreachable: Annotated[
        bool, typer.Option("--unreachable", help="Drop results of commits no branch, tag or reflog reaches.")
    ] = False,
    dry: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be freed.")] = False,
) -> int:
    """Drop old results and tidy up.

    Results go by size, age, number and reachability. Without a limit only caches and leftovers of dead
    processes are removed and loose objects packed. Oldest results go first; what a running process uses
    stays. 'git gc' then frees the space.
    """
    wanted = Wanted(size=max_size, age=max_age, count=count, unreachable=unreachable)
    project = open_project(options, warn, config=ConfigUse.NONE)
    removal = collect(project, wanted, dry_run=dry)
    verb = "would drop" if dry else "dropped"
    stdout_printer(project.color, project.palette).line(
        f"{verb} {len(removal.removed)} of {removal.total} results, {size(removal.bytes_freed)}"
    )
    if removal.kept_in_use:
        sys.stderr.write(f"{removal.kept_in_use} results are in use and stay\n")
    return 0
