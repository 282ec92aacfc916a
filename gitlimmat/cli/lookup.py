"""What `get` and `artifacts` share: the stored result, after a run if asked for.

Layer: cli.
"""

from __future__ import annotations

import sys

from gitlimmat.errors import InterruptedRunError, NoResultError
from gitlimmat.model import Outcome, Result, counted
from gitlimmat.service.lookup import find_result, run_one
from gitlimmat.service.project import Project


def found(project: Project, name: str, revision: str, *, run: bool) -> tuple[Result, bool]:
    """Return the result of test `name` on `revision`, and whether it was looked up by a run.

    Raises: NoResultError when nothing is stored and nothing came of running it.
    """
    if not run:
        return find_result(project, name, revision)[1], False
    count = len(project.closure(name))
    sys.stderr.write(f"Running {counted(count, 'test')}…\n")
    _, result, summary = run_one(project, name, revision)
    if summary.interrupted:
        raise InterruptedRunError("interrupted")
    sys.stderr.write("Tests complete\n")
    if result is None:
        raise NoResultError(
            f"running test '{name}' on '{revision}' left no result: a dependency did not pass"
        )
    return result, True


def run_status(result: Result) -> int:
    """Return the exit status after `--run`: 0 passed or skipped, else 1, as in Limmat."""
    return 0 if result.outcome in (Outcome.PASSED, Outcome.SKIPPED) else 1
