"""Which tests on which commits, and what shares one job.

Layer: plan. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gitlimmat.model import Commit, Test, subject_of


class JobKey(NamedTuple):
    """What one job answers: a subject (commit or tree id) and the name of a test."""

    subject: str
    test: str


class Case(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One test on one commit.

    `rank` is commit index, negative priority, place in the file: the smaller, the sooner it is started.
    """

    commit: Commit
    test: Test
    subject: str
    rank: tuple[int, int, int]

    @property
    def key(self) -> JobKey:
        """The job that answers this case; cases with equal keys share it."""
        return JobKey(self.subject, self.test.name)


def plan_cases(commits: Sequence[Commit], tests: Sequence[Test]) -> tuple[Case, ...]:
    """Return a case for each of `tests` on each of `commits`.

    Shape: in order of rank; `tests` are in file order, a commit given twice counts once, where it is first.
    """
    ordered = sorted(((-test.priority, place, test) for place, test in enumerate(tests)), key=_by_rank)
    distinct = {commit.id: commit for commit in commits}
    return tuple(
        Case(commit=commit, test=test, subject=subject_of(test, commit), rank=(index, urgency, place))
        for index, commit in enumerate(distinct.values())
        for urgency, place, test in ordered
    )


def _by_rank(entry: tuple[int, int, Test]) -> tuple[int, int]:
    return entry[:2]
