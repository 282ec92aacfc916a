"""Which commits of a range have which results.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from gitlimmat.model import Commit, Outcome, Result, subject_of
from gitlimmat.service.newest import newest_results, standing_result
from gitlimmat.service.project import Project
from gitlimmat.store.view import View


class State(StrEnum):
    """What may be known of a test on a commit. FLAKY comes on top of what came of it last."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    FLAKY = "flaky"


_GOOD = frozenset((State.PASSED, State.SKIPPED))
_OF_OUTCOME = {
    Outcome.PASSED: State.PASSED,
    Outcome.FAILED: State.FAILED,
    Outcome.SKIPPED: State.SKIPPED,
    Outcome.ERRORED: State.ERRORED,
    Outcome.CANCELLED: State.UNKNOWN,
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The commits wanted: those with one of `states` on any test of `names`, or on `every` one.

    No names stand for the selected tests; `every` None means every test when only good states are wanted.
    """

    states: frozenset[State]
    names: tuple[str, ...] = ()
    every: bool | None = None

    def matches(self, tests: Sequence[frozenset[State]]) -> bool:
        """Whether a commit is wanted that has these states, a set for each test."""
        every = self.states <= _GOOD if self.every is None else self.every
        found = [bool(states & self.states) for states in tests]
        return all(found) if every else any(found)


def select_commits(project: Project, commits: Sequence[Commit], wanted: Wanted) -> tuple[Commit, ...]:
    """Return those of `commits` that are wanted, in their order.

    Raises: UsageError for the name of a test that there is not.
    """
    found = (
        _by_definition(project, commits, wanted) if project.all_tests else _by_name(project, commits, wanted)
    )
    return tuple(commit for commit, states in zip(commits, found, strict=True) if wanted.matches(states))


def _by_definition(
    project: Project, commits: Sequence[Commit], wanted: Wanted
) -> Iterator[list[frozenset[State]]]:
    """Yield, for each commit, what is known of each test as it is defined now."""
    view = project.store.view()
    tests = tuple(project.test(name) for name in wanted.names) or project.tests
    for commit in commits:
        subjects = [(subject_of(test, commit), project.definitions[test.name]) for test in tests]
        yield [
            _states(view, subject, standing_result(view, subject, definition))
            for subject, definition in subjects
        ]


def _by_name(project: Project, commits: Sequence[Commit], wanted: Wanted) -> list[list[frozenset[State]]]:
    """Return, for each commit, what is known of each test that has a result on any of them."""
    view = project.store.view()
    newest = [newest_results(view, commit) for commit in commits]
    names = wanted.names or tuple(sorted({name for results in newest for name in results})) or ("",)
    return [
        [
            _states(view, results[name].subject, results[name].result)
            if name in results
            else _states(view, "", None)
            for name in names
        ]
        for results in newest
    ]


def _states(view: View, subject: str, result: Result | None) -> frozenset[State]:
    """Return what is known of a test whose standing result about `subject` is `result`."""
    if result is None:
        return frozenset((State.UNKNOWN,))
    outcomes = {
        each.outcome
        for each in view.history(subject)
        if each.test == result.test and each.digest == result.digest
    }
    flaky = {Outcome.PASSED, Outcome.FAILED} <= outcomes
    return frozenset((_OF_OUTCOME[result.outcome], *((State.FLAKY,) if flaky else ())))
