"""`git limmat run`.

Layer: cli.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.options import Execute, IncludeBase, Jobs
from gitlimmat.cli.progress import Progress
from gitlimmat.errors import UsageError
from gitlimmat.service.project import open_project
from gitlimmat.service.request import Request
from gitlimmat.service.run import Rerun, RunRequest
from gitlimmat.service.session import dry_run, run_to_end
from gitlimmat.service.span import commits_of


def command(
    options: Request,
    revisions: Annotated[
        list[str] | None, typer.Argument(metavar="[<rev>|<range>]...", help="Commits to test.")
    ] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read more revisions from standard input.")] = False,
    execute: Execute = None,
    jobs: Jobs = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")] = False,
    rerun: Annotated[
        Rerun | None,
        typer.Option("--rerun", metavar="[=failed|errored|all]", help="Do not trust these known results."),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither use nor store results.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would run.")] = False,
    include_base: IncludeBase = False,
) -> int:
    """Run the selected tests on each commit.

    Without a revision the range is BASE..HEAD, where BASE is limmat.base, the upstream of the branch,
    the default branch of origin, main or master. A revision alone means just that commit.
    """
    lines = _read_revisions() if stdin else ()
    project = open_project(options.running(jobs=jobs, commands=tuple(execute or ())), warn)
    commits = commits_of(project, tuple(revisions or ()), stdin=lines, include_base=include_base, given=stdin)
    request = RunRequest(
        commits=commits,
        tests=project.tests,
        rerun=rerun or Rerun.ERRORED,
        fail_fast=fail_fast,
        record=not no_cache,
    )
    progress = Progress(project, commits)
    summary = dry_run(project, request, progress.show) if dry else run_to_end(project, request, progress.show)
    progress.summarize(summary, dry=dry)
    return summary.exit_status


def _read_revisions() -> tuple[str, ...]:
    if sys.stdin.isatty():
        raise UsageError("--stdin given, but standard input is a terminal", hint="pipe revisions into it")
    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    return tuple(sys.stdin.read().splitlines())
