"""Find one stored result, running the test first if asked to.

Layer: service.
"""

from __future__ import annotations

import shlex

from gitlimmat.errors import NoResultError
from gitlimmat.git.revision import resolve
from gitlimmat.model import CachePolicy, Commit, Outcome, Result, Test, subject_of
from gitlimmat.service.events import Ended, Event
from gitlimmat.service.newest import newest_results
from gitlimmat.service.project import Project
from gitlimmat.service.run import RunRequest, Summary
from gitlimmat.service.session import run_to_end


def find_result(project: Project, name: str, revision: str) -> tuple[Commit, Result]:
    """Return the stored result of test `name` on `revision` that stands for it.

    A test that is never reused has its newest verdict here: it may be looked at. Without a config file it is
    the newest verdict of whatever was called `name`, such as a command of `run --exec`.
    Raises: NoResultError when there is none.
    """
    commit = resolve(project.repository, revision)
    if project.all_tests:
        result = stored_result(project, project.test(name), commit)
    else:
        found = newest_results(project.store.view(), commit).get(name)
        result = found.result if found is not None and found.result.outcome.is_verdict else None
    if result is None:
        raise NoResultError(
            f"no result of test '{name}' on '{revision}' is stored",
            hint=f"git limmat get --run {shlex.quote(name)} {shlex.quote(revision)}",
        )
    return commit, result


def stored_result(project: Project, test: Test, commit: Commit) -> Result | None:
    """Return the result that stands for `test` on `commit`, if there is one."""
    view, subject = project.store.view(), subject_of(test, commit)
    definition = project.definitions[test.name]
    if test.cache is not CachePolicy.NO_CACHING:
        return view.known(subject, definition)
    latest = view.latest(subject, definition)
    return latest if latest is not None and latest.outcome.is_verdict else None


def run_one(project: Project, name: str, revision: str) -> tuple[Commit, Result | None, Summary]:
    """Run test `name` on `revision` with all it depends on, unless it is known; return its result.

    The result is None when there is none to show: the job could not even start, or was not stored.
    """
    test = project.test(name)
    commit = resolve(project.repository, revision)
    seen: list[Result] = []
    request = RunRequest(commits=(commit,), tests=project.closure(name))

    def listen(event: Event) -> None:
        if isinstance(event, Ended) and event.case.test.name == name and event.result is not None:
            seen.append(event.result)

    summary = run_to_end(project, request, listen)
    return commit, (seen[-1] if seen else stored_result(project, test, commit)), summary


EXIT_STATUS = {
    Outcome.PASSED: 0,
    Outcome.FAILED: 1,
    Outcome.SKIPPED: 77,
    Outcome.ERRORED: 125,
    Outcome.CANCELLED: 125,
}
"""The exit status of `get --exit-code` for each outcome; 50 stands for no result."""
