"""Which tests on which commits, and what shares one job.

Layer: plan. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from gitlimmat.model import Commit, Test, subject_of


class JobKey(NamedTuple):
    """What one job answers: a subject (commit or tree id) and the name of a test."""

    subject: str
    test: str


class Case(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One test on one commit. `key` is the job that answers it; cases with equal keys share it.

    `rank` is commit index, negative priority, place in the file: the smaller, the sooner it is started.
    """

    commit: Commit
    test: Test
    key: JobKey
    rank: tuple[int, int, int]

    @property
    def subject(self) -> str:
        """The object id that a result is about."""
        return self.key.subject


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """All tests on one commit: `cases` in order of rank, `keys` of their jobs in file order."""

    cases: tuple[Case, ...]
    keys: tuple[JobKey, ...]


def plan_cases(commits: Sequence[Commit], tests: Sequence[Test]) -> tuple[Case, ...]:
    """Return a case for each of `tests` on each of `commits`.

    Shape: in order of rank; `tests` are in file order, a commit given twice counts once, where it is first.
    """
    rows = plan_rows(commits, tests, {})
    return tuple(case for row in rows.values() for case in row.cases)


def plan_rows(commits: Sequence[Commit], tests: Sequence[Test], before: Mapping[str, Row]) -> dict[str, Row]:
    """Return what `plan_cases` does, by the id of the commit.

    Rows in `before`, which were planned with the same tests, are taken as they are where their ranks fit.
    Commits are counted so that the first one that was there before keeps its rank, and with it all that
    follow as they did.
    """
    ordered = sorted(((-test.priority, place, test) for place, test in enumerate(tests)), key=_by_rank)
    distinct = {commit.id: commit for commit in commits}
    rows = {}
    for index, commit in enumerate(distinct.values(), _first_index(distinct, before)):
        row = before.get(commit.id)
        if row is None or (row.cases and row.cases[0].rank[0] != index):
            row = _row(commit, index, ordered)
        rows[commit.id] = row
    return rows


def _first_index(commits: Iterable[str], before: Mapping[str, Row]) -> int:
    for place, commit in enumerate(commits):
        row = before.get(commit)
        if row is not None and row.cases:
            return row.cases[0].rank[0] - place
    return 0


def _row(commit: Commit, index: int, ordered: Sequence[tuple[int, int, Test]]) -> Row:
    cases = tuple(
        Case(
            commit=commit,
            test=test,
            key=JobKey(subject_of(test, commit), test.name),
            rank=(index, urgency, place),
        )
        for urgency, place, test in ordered
    )
    in_file = sorted(cases, key=lambda case: case.rank[2])
    return Row(cases=cases, keys=tuple(case.key for case in in_file))


def _by_rank(entry: tuple[int, int, Test]) -> tuple[int, int]:
    return entry[:2]
