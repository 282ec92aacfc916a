"""The commits that the runs of a queue test now, as the pages of commits and results want them.

Layer: web.

A board has cells for a range; here the range is what is tested. Of runs that are over, everything is in the
store, and needs no cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from gitlimmat.git.commit import FullCommit, read_full_commit
from gitlimmat.git.graph import Described, GraphLine
from gitlimmat.queue.state import Change, Job, Run
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.service.cells import done
from gitlimmat.service.newest import Newest, newest_results
from gitlimmat.service.project import Project
from gitlimmat.store.runs import RunningJob

_WAITING = Cell(state=CellState.WAITING)
_Jobs = Mapping[tuple[str, str], tuple[Path, RunningJob]]


class Shown(NamedTuple):
    """What a board is to show."""

    lines: tuple[GraphLine, ...] = ()
    tests: tuple[str, ...] = ()
    cells: Mapping[Place, Cell] = {}

    def put(self, board: Board) -> None:
        """Show it on a board."""
        board.show(base="", head="", lines=self.lines, tests=self.tests, cells=self.cells)


class Tested:
    """Finds out how it is with the tests of runs at work. Remembers commits, which do not change."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._commits: dict[str, FullCommit | None] = {}

    def look(self, runs: Iterable[Run], jobs: Mapping[Path, RunningJob]) -> Shown:
        """Return the commits of `runs`, with a cell for each of their tests."""
        runs = list(runs)
        running = {(job.subject, job.test): (path, job) for path, job in jobs.items()}
        self._commits = {oid: self._commit(oid) for run in runs for oid in run.commits}
        cells: dict[Place, Cell] = {}
        for run in runs:
            ended = {(job.commit, job.test): job for job in run.jobs}
            for oid in run.commits:
                commit = self._commits[oid]
                if commit is not None:
                    newest = newest_results(self._project.store.view(), commit.plain) if ended else {}
                    for test in run.tests:
                        cells[Place(oid, test)] = _cell(commit, test, ended.get((oid, test)), newest, running)
        found = [commit for commit in self._commits.values() if commit is not None]
        return Shown(
            tuple(GraphLine(art="* ", commit=_described(commit)) for commit in found),
            tuple(dict.fromkeys(test for run in runs for test in run.tests)),
            cells,
        )

    def _commit(self, oid: str) -> FullCommit | None:
        return self._commits.get(oid) or read_full_commit(self._project.repository, oid)


def usual_times(changes: Iterable[Change], tests: Iterable[str]) -> dict[str, list[float]]:
    """Return how many seconds the last jobs of each test took that had to run, the latest last."""
    wanted = set(tests)
    runs = {run.run: run for change in changes for run in change.runs}
    found: dict[str, list[float]] = {}
    for run in sorted(runs.values(), key=lambda run: run.started):
        for job in run.jobs:
            if job.test in wanted and not job.known and job.outcome.is_verdict:
                found.setdefault(job.test, []).append(job.elapsed)
    return found


def _cell(
    commit: FullCommit, test: str, ended: Job | None, newest: Mapping[str, Newest], running: _Jobs
) -> Cell:
    if ended is not None:
        found = newest.get(test)
        if found is not None and found.result.outcome is ended.outcome:
            return done(found.result, known=ended.known)
        return Cell(state=CellState.DONE, outcome=ended.outcome, reason=ended.reason, known=ended.known)
    busy = running.get((commit.id, test)) or running.get((commit.tree, test))
    if busy is None:
        return _WAITING
    path, job = busy
    return Cell(state=CellState.RUNNING, since=job.started, directory=path)


def _described(commit: FullCommit) -> Described:
    return Described(
        id=commit.id,
        tree=commit.tree,
        abbreviated=commit.abbreviated,
        subject=commit.subject,
        refs=(),
        author=commit.author.name,
        committed=commit.committer.time,
    )
