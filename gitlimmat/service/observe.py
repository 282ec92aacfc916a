"""A board for those who only look: what git and the store say now, without running anything.

Layer: service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.ends import Ends, EndsReader
from gitlimmat.git.graph import Described, GraphLine, read_graph
from gitlimmat.model import Commit, Result, subject_of
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.service.newest import newest_results, standing_result
from gitlimmat.service.project import Project
from gitlimmat.store.runs import running_jobs

_ESTIMATED_FROM = 9
_POLL_S = 1.0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to show at one moment. `elapsed` has the durations of verdicts, the latest last."""

    base: str
    head: str
    lines: tuple[GraphLine, ...]
    tests: tuple[str, ...]
    cells: Mapping[Place, Cell]
    elapsed: Mapping[str, Sequence[float]]
    problem: str | None


class Observer:
    """Keeps the board of one project as new as it is told to. `base` is the user's, None to find it."""

    def __init__(self, project: Project, base: str | None) -> None:
        self.board = Board(project.repository.name, project)
        self._project = project
        self._ends = EndsReader(project.repository, base, project.settings.base)
        self._drawn: tuple[Ends | None, tuple[GraphLine, ...]] = (None, ())

    async def refresh(self) -> None:
        """Show what is true now. What cannot be read is a problem on the board."""
        facts = await asyncio.to_thread(self.read)
        board = self.board
        board.say("range", facts.problem)
        for test, elapsed in facts.elapsed.items():
            if board.estimate(test) is None:
                board.learn_elapsed(test, elapsed)
        board.show(base=facts.base, head=facts.head, lines=facts.lines, tests=facts.tests, cells=facts.cells)

    async def run(self) -> None:
        """Refresh until cancelled, once a second."""
        while True:
            await self.refresh()
            await asyncio.sleep(_POLL_S)

    def read(self) -> Facts:
        """Return what is true now."""
        ends = self._ends.read()
        problem = ends.problem
        lines = self._drawn[1]
        if ends != self._drawn[0]:
            try:
                lines = self._graph(ends)
                self._drawn = (ends, lines)
            except LimmatError as error:
                problem = error.message
        commits = [line.commit for line in lines if line.commit is not None]
        cells, tests = known_cells(self._project, commits)
        return Facts(
            base=ends.base_name,
            head=ends.head_name,
            lines=lines,
            tests=tests,
            cells=cells | running_cells(self._project, commits, cells),
            elapsed=_elapsed(cells, commits, tests),
            problem=problem,
        )

    def _graph(self, ends: Ends) -> tuple[GraphLine, ...]:
        if ends.head is None or ends.base is None:
            return ()
        return read_graph(self._project.repository, ends.base, ends.head)


def known_cells(project: Project, commits: Sequence[Described]) -> tuple[dict[Place, Cell], tuple[str, ...]]:
    """Return a cell for each result that stands on one of `commits`, and the names of all tests.

    Without a config file the tests are all that have results there, such as those of `run --exec`.
    """
    view = project.store.view()
    cells: dict[Place, Cell] = {}
    if project.tests:
        for commit in commits:
            plain = Commit(id=commit.id, tree=commit.tree)
            for test in project.tests:
                found = standing_result(view, subject_of(test, plain), project.definitions[test.name])
                if found is not None:
                    cells[Place(commit.id, test.name)] = known_cell(found)
        return cells, tuple(test.name for test in project.tests)
    for commit in commits:
        for name, newest in newest_results(view, Commit(id=commit.id, tree=commit.tree)).items():
            cells[Place(commit.id, name)] = known_cell(newest.result)
    return cells, tuple(sorted({place.test for place in cells}))


def known_cell(result: Result) -> Cell:
    """Return the cell of a result that was there before."""
    return Cell(state=CellState.DONE, outcome=result.outcome, reason=result.reason, result=result, known=True)


def running_cells(
    project: Project, commits: Sequence[Described], known: Mapping[Place, Cell]
) -> dict[Place, Cell]:
    """Return a cell for each place whose job some process is running now."""
    jobs = running_jobs(project.store.state_dir)
    if not jobs:
        return {}
    places: dict[tuple[str, str], list[Place]] = {}
    for commit in commits:
        for test in project.tests:
            subject = subject_of(test, Commit(id=commit.id, tree=commit.tree))
            places.setdefault((subject, test.name), []).append(Place(commit.id, test.name))
    cells = {}
    for path, job in jobs.items():
        for place in places.get((job.subject, job.test), ()):
            before = known.get(place)
            cells[place] = Cell(
                state=CellState.RUNNING,
                result=before.result if before is not None else None,
                since=job.started,
                directory=path,
                elsewhere=True,
            )
    return cells


def _elapsed(
    cells: Mapping[Place, Cell], commits: Sequence[Described], tests: Sequence[str]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for test in tests:
        for commit in commits:
            cell = cells.get(Place(commit.id, test))
            if cell is not None and cell.result is not None and cell.result.outcome.is_verdict:
                found.setdefault(test, []).append(cell.result.elapsed)
                if len(found[test]) == _ESTIMATED_FROM:
                    break
    return {test: elapsed[::-1] for test, elapsed in found.items()}
