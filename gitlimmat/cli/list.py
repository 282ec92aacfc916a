"""`git limmat list`.

Layer: cli.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.errors import UsageError
from gitlimmat.git.revision import abbreviations
from gitlimmat.service.listing import State, Wanted, select_commits
from gitlimmat.service.project import ConfigUse, open_project
from gitlimmat.service.request import Request
from gitlimmat.service.span import commits_of

_NONE = 1


def command(
    options: Request,
    revisions: Annotated[
        list[str] | None, typer.Argument(metavar="[<rev>|<range>]...", help="Commits to look at.")
    ] = None,
    passed: Annotated[bool, typer.Option("--passed", help="A test passed.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="A test failed.")] = False,
    errored: Annotated[bool, typer.Option("--errored", help="A test ended without a verdict.")] = False,
    skipped: Annotated[bool, typer.Option("--skipped", help="A test was skipped.")] = False,
    unknown: Annotated[bool, typer.Option("--unknown", help="Nothing is known of a test.")] = False,
    flaky: Annotated[bool, typer.Option("--flaky", help="A test has both passed and failed.")] = False,
    test: Annotated[
        list[str] | None, typer.Option("--test", metavar="NAME", help="Look at this test (repeatable).")
    ] = None,
    any_test: Annotated[bool, typer.Option("--any", help="It is so for any of the tests.")] = False,
    every_test: Annotated[bool, typer.Option("--all", help="It is so for all of the tests.")] = False,
    zero: Annotated[bool, typer.Option("-z", help="End each id with a NUL, not with a newline.")] = False,
    abbrev: Annotated[bool, typer.Option("--abbrev", help="Print ids as short as git does.")] = False,
) -> int:
    """Print the ids of commits that have certain results.

    Nothing is run. Without a revision the range is the one that 'git limmat run' would test.
    """
    asked = {
        State.PASSED: passed,
        State.FAILED: failed,
        State.ERRORED: errored,
        State.SKIPPED: skipped,
        State.UNKNOWN: unknown,
        State.FLAKY: flaky,
    }
    states = frozenset(state for state, is_asked in asked.items() if is_asked)
    if not states:
        choice = ", ".join(f"'--{state}'" for state in asked)
        raise UsageError("nothing to look for is given", hint=f"give one or more of {choice}")
    if any_test and every_test:
        raise UsageError("options '--any' and '--all' cannot be used together")
    every = every_test if any_test or every_test else None
    project = open_project(options, warn, config=ConfigUse.OPTIONAL)
    commits = commits_of(project, tuple(revisions or ()))
    wanted = Wanted(states=states, names=tuple(test or ()), every=every)
    ids = [commit.id for commit in select_commits(project, commits, wanted)]
    shown = abbreviations(project.repository, ids) if abbrev else {}
    end = "\0" if zero else "\n"
    for oid in ids:
        sys.stdout.write(f"{shown.get(oid, oid)}{end}")
    return 0 if ids else _NONE
