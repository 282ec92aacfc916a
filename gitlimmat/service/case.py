"""Everything that is stored about one test on one commit, for those who look closely.

Layer: service. Reads only.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gitlimmat.git.commit import FullCommit, read_full_commit
from gitlimmat.model import Result, subject_of
from gitlimmat.service.newest import newest_results, standing_result
from gitlimmat.service.project import Project
from gitlimmat.store.view import View

_WALKED = 400


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A result of a test in the history of a branch, and the commit on which it stands."""

    commit: str
    result: Result


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored about a test on a commit.

    `standing` is the result to show, `attempts` all of them, the newest first, `current` those made with the
    test as it is configured now. `configured` says whether the test is.
    """

    commit: FullCommit
    test: str
    configured: bool
    standing: Result | None
    attempts: tuple[Result, ...]
    current: frozenset[str]

    def is_stale(self, result: Result) -> bool:
        """Whether the test has changed since."""
        return result.digest not in self.current


def read_case(project: Project, commit: FullCommit, test: str) -> Case | None:
    """Return what is stored about `test` on `commit`; None for a test that nobody has heard of there."""
    view = project.store.view()
    attempts = tuple(sorted(_attempts(view, commit, test), key=lambda result: result.started, reverse=True))
    definition = project.definitions.get(test)
    if definition is None and not attempts:
        return None
    digests = {result.digest for result in attempts}
    current = {each for each in digests if definition and view.definition(each) == definition.text}
    return Case(
        commit=commit,
        test=test,
        configured=definition is not None,
        standing=standing(project, view, commit, test),
        attempts=attempts,
        current=frozenset(current),
    )


def standing(project: Project, view: View, commit: FullCommit, test: str) -> Result | None:
    """Return the result to show of a test on a commit.

    It is the one that a run would use, or else the newest one of the test as configured; of a test that is
    not configured, the newest of all.
    """
    if test in project.definitions:
        return standing_result(view, subject_of(project.test(test), commit.plain), project.definitions[test])
    found = newest_results(view, commit.plain).get(test)
    return found.result if found is not None else None


def tests_of(project: Project, commit: FullCommit) -> tuple[str, ...]:
    """Return the names of all tests that are configured or have results on a commit."""
    stored = newest_results(project.store.view(), commit.plain)
    return tuple(dict.fromkeys([*(test.name for test in project.all_tests), *sorted(stored)]))


def read_past(project: Project, start: str, test: str, most: int) -> tuple[Past, ...]:
    """Return the newest result of a test on each of the commits `start`, its first parent and so on.

    Shape: at most `most`, the newest commit first. A result that stands on several commits is there once.
    """
    view = project.store.view()
    found: list[Past] = []
    seen: set[tuple[str, float]] = set()
    for commit in _line(project, start):
        newest = max(_attempts(view, commit, test), key=lambda result: result.started, default=None)
        if newest is not None and (newest.digest, newest.started) not in seen:
            seen.add((newest.digest, newest.started))
            found.append(Past(commit=commit.id, result=newest))
            if len(found) == most:
                break
    return tuple(found)


def definition_text(project: Project, result: Result | None, test: str) -> bytes | None:
    """Return the text of what a result was made with; without one, of the test as it is configured."""
    if result is not None:
        return project.store.view().definition(result.digest)
    definition = project.definitions.get(test)
    return definition.text if definition is not None else None


def _attempts(view: View, commit: FullCommit, test: str) -> Iterator[Result]:
    for subject in (commit.id, commit.tree):
        for result in view.history(subject):
            if result.test == test:
                yield result


def _line(project: Project, start: str) -> Iterator[FullCommit]:
    oid: str | None = start
    for _ in range(_WALKED):
        commit = read_full_commit(project.repository, oid) if oid is not None else None
        if commit is None:
            return
        yield commit
        oid = commit.parents[0] if commit.parents else None
