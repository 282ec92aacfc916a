"""`git limmat get`.

Layer: cli.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from gitlimmat.cli.lookup import found, run_status
from gitlimmat.cli.main import warn
from gitlimmat.cli.output import stdout_printer
from gitlimmat.errors import NoResultError, UsageError
from gitlimmat.service.lookup import EXIT_STATUS
from gitlimmat.service.project import ConfigUse, open_project
from gitlimmat.service.request import Request


class Output(StrEnum):
    """What a test printed where."""

    STDOUT = "stdout"
    STDERR = "stderr"
    OUTPUT = "output"


def command(
    options: Request,
    name: Annotated[str, typer.Argument(metavar="<test>", help="Name of the test.")],
    revision: Annotated[str, typer.Argument(metavar="<rev>", help="The commit.")],
    output: Annotated[
        Output, typer.Argument(metavar="[stdout|stderr|output]", help="Which output.")
    ] = Output.STDOUT,
    run: Annotated[bool, typer.Option("--run", help="Run the test if no result is stored.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Tell the outcome by the exit status.")
    ] = False,
) -> int:
    """Print the path of the output of a test.

    It is a file with what the test printed on a commit. Exits 50 when no result is stored. A test that
    does not keep its outputs apart has one file for both.
    """
    project = open_project(options, warn, config=ConfigUse.REQUIRED if run else ConfigUse.OPTIONAL)
    result, ran = found(project, name, revision, run=run)
    if output is Output.OUTPUT and "stdout" in result.outputs:
        raise UsageError(f"test '{name}' keeps its outputs apart", hint="ask for stdout or stderr")
    stored = result.outputs.get(output.value) or result.outputs.get("output")
    if stored is None:
        raise NoResultError(
            f"the result of test '{name}' on '{revision}' has no {output.value}",
            hint=f"git limmat show {revision} {name}",
        )
    stream = output.value if output.value in result.outputs else "output"
    stdout_printer(None).line(str(project.cache.output(stored.oid, f"{stream}.txt")))
    sys.stdout.flush()
    if exit_code:
        return EXIT_STATUS[result.outcome]
    return run_status(result) if ran else 0
