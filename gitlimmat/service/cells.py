"""The cell of each wanted job, shown at every commit that it answers for.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set

import msgspec

from gitlimmat.git.graph import GraphLine
from gitlimmat.model import Commit, Outcome, Result
from gitlimmat.plan.cases import Case, JobKey, plan_cases
from gitlimmat.plan.schedule import Verdict
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.service.project import Project


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """The commits to be tested as a graph, and what people call its ends."""

    base: str
    head: str
    lines: tuple[GraphLine, ...]

    def jobs(self, project: Project) -> dict[JobKey, list[Case]]:
        """Return the cases of all tests on all commits, by the job that answers them."""
        commits = [Commit(id=line.commit.id, tree=line.commit.tree) for line in self.lines if line.commit]
        found: dict[JobKey, list[Case]] = {}
        for case in plan_cases(commits, project.tests):
            found.setdefault(case.key, []).append(case)
        return found


class Cells:
    """What is true of each job now. `noted` is told commits about which something was found out."""

    def __init__(self, board: Board, noted: Callable[[Iterable[Commit]], None]) -> None:
        self.cases: Mapping[JobKey, list[Case]] = {}
        self._board = board
        self._noted = noted
        self._cells: dict[JobKey, Cell] = {}
        self._commits: dict[str, Commit] = {}

    def __contains__(self, key: JobKey) -> bool:
        return key in self._cells

    def __getitem__(self, key: JobKey) -> Cell:
        return self._cells[key]

    def __iter__(self) -> Iterator[JobKey]:
        return iter(self._cells)

    def case(self, key: JobKey) -> Case:
        """Return the case of a job that comes first."""
        return self.cases[key][0]

    def want(self, cases: Mapping[JobKey, list[Case]], outdated: Set[JobKey]) -> list[JobKey]:
        """Have cells for these jobs, and return those that have none yet: new ones, and what is outdated."""
        commits = {case.commit.id: case.commit for group in cases.values() for case in group}
        self._noted(commit for oid, commit in commits.items() if oid not in self._commits)
        self.cases, self._commits = cases, commits
        self._cells = {k: cell for k, cell in self._cells.items() if k in cases and k not in outdated}
        return [key for key in cases if key not in self._cells]

    def begin(self, cells: Mapping[JobKey, Cell]) -> None:
        """Give jobs their first cells; `show` makes them visible."""
        self._cells.update(cells)
        self._noted(case.commit for key in cells for case in self.cases[key])

    def put(self, key: JobKey, cell: Cell) -> None:
        """Give a job another cell, and show it."""
        self._cells[key] = cell
        commits = [case.commit for case in self.cases[key]]
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

    def show(self, shown: Range, tests: Collection[str]) -> None:
        """Show all of it."""
        self._board.show(
            base=shown.base,
            head=shown.head,
            lines=shown.lines,
            tests=tuple(tests),
            cells={
                Place(case.commit.id, key.test): self._cells[key]
                for key, cases in self.cases.items()
                for case in cases
            },
        )


def done(result: Result, *, known: bool) -> Cell:
    """Return the cell of a job that has left a result."""
    return Cell(
        state=CellState.DONE, outcome=result.outcome, reason=result.reason, result=result, known=known
    )
