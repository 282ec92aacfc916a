"""The cell of each wanted job, shown at every commit that it answers for.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set

import msgspec

from gitlimmat.git.graph import GraphLine
from gitlimmat.model import Commit, Outcome, Result, Test
from gitlimmat.plan.cases import Case, JobKey, Row, plan_rows
from gitlimmat.plan.jobs import Job
from gitlimmat.plan.schedule import Verdict
from gitlimmat.service.board import Board, Cell, CellState


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """The commits to be tested as a graph, and what people call its ends."""

    base: str
    head: str
    lines: tuple[GraphLine, ...]

    @property
    def commits(self) -> list[Commit]:
        """The commits of the graph, newest first."""
        return [line.commit.plain for line in self.lines if line.commit]


class Cells:
    """What is true of each job now. `noted` is told commits about which something was found out."""

    def __init__(self, board: Board, noted: Callable[[Iterable[Commit]], None]) -> None:
        self._jobs: Mapping[JobKey, Job] = {}
        self._rows: Mapping[str, Row] = {}
        self._board = board
        self._noted = noted
        self._cells: dict[JobKey, Cell] = {}
        self._tests: tuple[Test, ...] = ()

    def __contains__(self, key: JobKey) -> bool:
        return key in self._cells

    def __getitem__(self, key: JobKey) -> Cell:
        return self._cells[key]

    def __iter__(self) -> Iterator[JobKey]:
        return iter(self._cells)

    @property
    def subjects(self) -> set[str]:
        """What the jobs are about."""
        return {key.subject for row in self._rows.values() for key in row.keys}

    def case(self, key: JobKey) -> Case:
        """Return the case of a job that comes first."""
        return self._jobs[key].cases[0]

    def plan(self, wanted: Range, tests: tuple[Test, ...]) -> dict[str, Row]:
        """Return all tests on all commits, as they were planned before where that still holds."""
        return plan_rows(wanted.commits, tests, self._rows if tests == self._tests else {})

    def want(
        self,
        jobs: Mapping[JobKey, Job],
        rows: Mapping[str, Row],
        tests: tuple[Test, ...],
        outdated: Set[JobKey],
    ) -> list[JobKey]:
        """Have cells for these jobs, and return those that have none yet: new ones, and what is outdated."""
        before, self._jobs, self._rows, self._tests = self._rows, jobs, rows, tests
        self._noted(row.cases[0].commit for oid, row in rows.items() if oid not in before and row.cases)
        for key in (self._cells.keys() - jobs.keys()) | outdated:
            self._cells.pop(key, None)
        return [key for key in jobs if key not in self._cells]

    def begin(self, cells: Mapping[JobKey, Cell]) -> None:
        """Give jobs their first cells; `show` makes them visible."""
        self._cells.update(cells)
        self._noted(case.commit for key in cells for case in self._jobs[key].cases)

    def put(self, key: JobKey, cell: Cell) -> None:
        """Give a job another cell, and show it."""
        self._cells[key] = cell
        commits = [case.commit for case in self._jobs[key].cases]
        self._board.put([commit.id for commit in commits], key.test, cell)
        if cell.state is CellState.DONE:
            self._noted(commits)

    def wait(self, key: JobKey) -> None:
        """Show that a job waits for its turn, with what is known from before."""
        self.put(key, Cell(state=CellState.WAITING, result=self._cells[key].result))

    def learn(self, key: JobKey, result: Result, *, known: bool) -> None:
        """Remember the result of a job whose cell is to follow."""
        self._cells[key] = msgspec.structs.replace(self._cells[key], result=result, known=known)

    def is_news(self, verdict: Verdict) -> bool:
        """Whether a verdict says something else than the cell of its job."""
        cell = self._cells.get(verdict.case.key)
        said = (CellState.DONE, verdict.outcome, verdict.reason)
        return cell is None or (cell.state, cell.outcome, cell.reason) != said

    def errored(self) -> set[JobKey]:
        """Return the jobs that came to no verdict."""
        return {
            key
            for key, cell in self._cells.items()
            if cell.state is CellState.DONE and cell.outcome is Outcome.ERRORED
        }

    def show(self, shown: Range) -> None:
        """Show all of it."""
        self._board.show_rows(
            base=shown.base,
            head=shown.head,
            lines=shown.lines,
            tests=tuple(test.name for test in self._tests),
            rows={oid: [self._cells[key] for key in row.keys] for oid, row in self._rows.items()},
        )


def done(result: Result, *, known: bool) -> Cell:
    """Return the cell of a job that has left a result."""
    return Cell(
        state=CellState.DONE, outcome=result.outcome, reason=result.reason, result=result, known=known
    )
