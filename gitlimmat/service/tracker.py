"""Keep the jobs and the board of one repository in step with what is wanted and what is known.

Layer: service.

Level-triggered: `target` says what is wanted now, `look_again` compares with the store as it is now, and the
engine tells how jobs go. Each computes cells from the schedule and the results, never from what was before.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from pathlib import Path

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.model import Commit, Outcome, Result
from gitlimmat.plan.capacity import Limits, Outside
from gitlimmat.plan.cases import Case, JobKey
from gitlimmat.plan.jobs import State
from gitlimmat.plan.schedule import Schedule, Verdict
from gitlimmat.runner.host import Host
from gitlimmat.service.board import ESTIMATED_FROM, Board, Cell, CellState
from gitlimmat.service.cells import Cells, Range, done
from gitlimmat.service.engine import Engine
from gitlimmat.service.project import Project
from gitlimmat.service.recorder import Recorder
from gitlimmat.store.runs import running_jobs
from gitlimmat.store.view import View

_RUNNING = (State.RUNNING, State.BUSY)


class Tracker:
    """Owns the engine of one repository and writes its board. `noted` is told commits with news."""

    def __init__(
        self,
        project: Project,
        board: Board,
        host: Host,
        *,
        outside: Outside | None,
        noted: Callable[[Iterable[Commit]], None],
        say: Callable[[str, str | None], None],
    ) -> None:
        self._board = board
        schedule = Schedule(
            (),
            jobs=project.settings.jobs,
            worktrees=project.settings.num_worktrees,
            resources=project.resources,
            outside=outside,
        )
        recorder = Recorder(project.store, lambda problem: say("store", problem), patient=True)
        self.engine = Engine(project, schedule, host, self, needed=self._is_needed, recorder=recorder)
        self._schedule = schedule
        self._range = Range(base="", head="", lines=())
        self._cells = Cells(board, noted)
        self._noted = noted
        self._live: dict[JobKey, Cell] = {}
        self._early: set[JobKey] = set()
        self._fresh: dict[JobKey, float] = {}
        self._unwanted: set[JobKey] = set()
        self._view = project.store.view()

    # What the one who follows the repository says.

    def target(self, wanted: Range, project: Project) -> None:
        """Want the tests of `project` on these commits from now on, and nothing else.

        Raises: ConfigError when a test needs more than there is; nothing has changed then.
        """
        before = self.engine.project
        rows = self._cells.plan(wanted, project.tests)
        outdated = self._outdated(before, project) if project is not before else frozenset()
        retargeted = self._schedule.retarget(
            (case for row in rows.values() for case in row.cases),
            outdated=outdated.__contains__ if outdated else None,
            limits=_limits(project) if project is not before else None,
        )
        self.engine.project = self._board.project = project
        self._range = wanted
        jobs = self._schedule.jobs
        unknown = self._cells.want(jobs, rows, project.tests, outdated)
        self._fresh = {key: moment for key, moment in self._fresh.items() if key in jobs}
        self._unwanted = {key for key in self._unwanted if key in jobs}
        self.engine.artifacts.forget(jobs.keys())
        self.engine.stop(retargeted.stop)
        self.engine.abandon(retargeted.abandon)
        verdicts = self._learn(unknown)
        self._show()
        self._tell_blocked([*retargeted.verdicts, *verdicts])
        self.engine.advance()

    def redraw(self, wanted: Range) -> None:
        """Show the same commits with other names or art."""
        if wanted != self._range:
            self._range = wanted
            self._show()

    def look_again(self) -> None:
        """Take over what the store says now, whoever has written or removed it."""
        view = self.engine.project.store.view()
        before, self._view = self._view, view
        changed = view.changed_since(before, self._cells.subjects)
        if not changed:
            return
        names = [test.name for test in self.engine.project.tests]
        for subject in changed:
            for name in names:
                key = JobKey(subject, name)
                if key in self._cells:
                    self._look_again(key, before, view)
        self.engine.advance()

    def stop(self, *, forced: bool) -> None:
        """End all jobs; `engine.serve` ends when they are gone."""
        self.engine.end(forced=forced)
        self.engine.advance()

    # What users ask.

    def rerun(self, commit: str, test: str | None) -> None:
        """Run a test on a commit again whatever is known; without a test, all that did not pass there."""
        keys = self._keys(commit, test)
        if test is None:
            keys = [key for key in keys if self._wants_rerun(self._cells[key])]
        if not keys:
            raise LimmatError("nothing to run again: all tests of this commit passed or are under way")
        for key in keys:
            if self._cells[key].state is not CellState.DONE:
                raise LimmatError(f"'{key.test}' is {self._cells[key].state.value} already")
        for key in keys:
            self._fresh[key] = time.time()
            self._unwanted.discard(key)
        verdicts = self._schedule.rerun(keys)
        for key in self._cells:
            if self._cells[key].state is CellState.DONE and self._schedule.state(key) is not State.DONE:
                self._cells.wait(key)
        self._tell_blocked(verdicts)
        self.engine.advance()

    def cancel(self, commit: str, test: str | None) -> None:
        """End the job, or do not start it; without a test, all on that commit."""
        under_way = (CellState.WAITING, CellState.RUNNING)
        keys = [key for key in self._keys(commit, test) if self._cells[key].state in under_way]
        if not keys:
            raise LimmatError("nothing to cancel: no test of this commit waits or runs")
        for key in keys:
            if self._cells[key].elsewhere:
                raise LimmatError(f"'{key.test}' is run by another process")
        for key in keys:
            self._unwanted.add(key)
            runs, verdicts = self._schedule.cancel(key)
            if runs:
                self.engine.stop([self._cells.case(key)])
            self._tell_blocked(verdicts)
        self.engine.advance()

    # What the engine asks and tells.

    def lookup(self, project: Project, case: Case, view: View | None = None) -> Result | None:
        """Return the stored result that makes a job of `case` needless."""
        view = view or project.store.view()
        result = view.known(case.subject, project.definitions[case.test.name])
        if result is not None and result.started < self._fresh.get(case.key, 0.0):
            return None
        return result

    def started(self, case: Case, directory: Path) -> None:
        """Show that a job runs."""
        self._show_running(case, Cell(state=CellState.RUNNING, since=time.time(), directory=directory))

    def elsewhere(self, case: Case) -> None:
        """Show that another process runs it, with its output."""
        found = [
            (directory, job)
            for directory, job in running_jobs(self.engine.project.store.state_dir).items()
            if (job.subject, job.test) == case.key
        ]
        directory, since = (found[-1][0], found[-1][1].started) if found else (None, time.time())
        cell = Cell(state=CellState.RUNNING, since=since, directory=directory, elsewhere=True)
        self._show_running(case, cell)

    def waiting(self, case: Case) -> None:
        """Show that nobody runs it any more and that it waits for its turn."""
        self._live.pop(case.key, None)
        if case.key in self._cells:
            self._cells.wait(case.key)

    def ended(self, case: Case, result: Result, *, known: bool, unsaved: tuple[Path | bytes, ...]) -> None:
        """Show how a job ended, when its result is stored."""
        key = case.key
        self._live.pop(key, None)
        if key not in self._cells:
            if not known and self.keeps(case, result):
                self._noted([case.commit])  # it was wanted when the job ended
            return
        if result.outcome.is_verdict:
            self._board.learn_elapsed(key.test, () if known else (result.elapsed,))
        self._cells.learn(key, result, known=known)
        if self._schedule.state(key) in _RUNNING:
            self._early.add(key)  # `finished` follows
        else:
            self._settle(key)

    def finished(self, case: Case, outcome: Outcome) -> None:
        """Show that a job is over; unless its result is here already, it is being stored."""
        key = case.key
        self._live.pop(key, None)
        if key not in self._cells:
            return
        cell = self._cells[key]
        if key in self._early or self._schedule.state(key) is not State.DONE:
            self._early.discard(key)
            self._settle(key)
        elif cell.state is CellState.RUNNING and cell.directory is not None:
            self._cells.put(key, msgspec.structs.replace(cell, directory=None))
        elif cell.state is CellState.WAITING:  # ended before it began: nothing is being stored
            outcome, reason = self._schedule.outcome(key) or (outcome, "")
            self._cells.put(key, Cell(state=CellState.DONE, outcome=outcome, reason=reason))

    def blocked(self, verdicts: Sequence[Verdict]) -> None:
        """Show cases that will not be run."""
        for each in verdicts:
            if each.case.key in self._cells:
                cell = Cell(state=CellState.DONE, outcome=each.outcome, reason=each.reason)
                self._cells.put(each.case.key, cell)

    def advanced(self) -> None:
        """Let the engine go when it is to end and nothing runs."""
        if self.engine.ending and not self._schedule.running:
            self.engine.close()

    def keeps(self, case: Case, result: Result) -> bool:
        """Keep what says something, and what the user has ended; not what only vanished."""
        return result.outcome is not Outcome.CANCELLED or case.key in self._unwanted

    def _is_needed(self, name: str) -> bool:
        return any(name in test.depends_on for test in self.engine.project.tests)

    def _keys(self, commit: str, test: str | None) -> list[JobKey]:
        found = [
            key
            for name in (self._board.tests if test is None else (test,))
            if (key := self._key(commit, name)) is not None
        ]
        if not found:
            raise LimmatError(
                f"'{test}' on {commit[:12]} is not watched" if test else f"{commit[:12]} is not watched"
            )
        return found

    def _key(self, commit: str, name: str) -> JobKey | None:
        described = self._board.described(commit)
        if described is None or name not in self._board.tests:
            return None
        key = self.engine.project.job_key(name, described.plain)
        return key if key in self._cells else None

    @staticmethod
    def _wants_rerun(cell: Cell) -> bool:
        return cell.state is CellState.DONE and cell.outcome not in (Outcome.PASSED, Outcome.SKIPPED)

    def _outdated(self, before: Project, project: Project) -> Set[JobKey]:
        """Return the jobs about which what was known no longer counts: defined anew, or worth another try."""
        changed = {
            name
            for name, definition in before.definitions.items()
            if name not in project.definitions or project.definitions[name].text != definition.text
        }
        return {key for key in self._cells if key.test in changed} | self._cells.errored()

    def _learn(self, keys: Sequence[JobKey]) -> list[Verdict]:
        """Look these jobs up, and give each its cell; return what can never run now."""
        project, view = self.engine.project, self.engine.project.store.view()
        known = {key: result for key in keys if (result := self.lookup(project, self._cells.case(key), view))}
        verdicts = self._schedule.learn_all({key: result.outcome for key, result in known.items()})
        elapsed: defaultdict[str, list[float]] = defaultdict(list)
        self._cells.begin({key: self._first_cell(key, known.get(key), view) for key in keys})
        for key, result in known.items():
            self.engine.artifacts.learn(key, result)
            if len(elapsed[key.test]) < ESTIMATED_FROM:
                elapsed[key.test].append(result.elapsed)
        for name, seconds in elapsed.items():
            self._board.learn_elapsed(name, reversed(seconds))
        return verdicts

    def _first_cell(self, key: JobKey, result: Result | None, view: View) -> Cell:
        state = self._schedule.state(key)
        if result is not None and state is State.DONE:
            return done(result, known=True)
        if state in _RUNNING:
            return self._live.get(key, Cell(state=CellState.RUNNING))
        case = self._cells.case(key)
        latest = view.latest(case.subject, self.engine.project.definitions[case.test.name])
        return Cell(state=CellState.WAITING, result=latest)

    def _look_again(self, key: JobKey, before: View, view: View) -> None:
        """Compare one cell with the store."""
        project, case, cell = self.engine.project, self._cells.case(key), self._cells[key]
        result = self.lookup(project, case, view)
        state = self._schedule.state(key)
        if cell.state is CellState.RUNNING or (result is None and state is not State.DONE):
            return  # one that runs, or is being stored, says for itself
        if result is None:
            if self.lookup(project, case, before) is not None:  # it was there, and someone has removed it
                verdicts = self._schedule.rerun([key])
                self._cells.put(key, Cell(state=CellState.WAITING))
                self._tell_blocked(verdicts)
            return
        if result == cell.result:
            return
        if state is State.DONE and result.outcome is not cell.outcome:
            self._tell_blocked(self._schedule.rerun([key]))
        verdicts = self._schedule.learn(key, result.outcome)
        self.engine.artifacts.learn(key, result)
        self._cells.put(key, done(result, known=True))
        self._tell_blocked(verdicts)

    def _settle(self, key: JobKey) -> None:
        """Give a job that is not running its cell, from the schedule and its last result."""
        cell = self._cells[key]
        state = self._schedule.state(key)
        if state in _RUNNING:
            return
        if state is not State.DONE:
            self._cells.wait(key)
        elif cell.result is not None:
            self._cells.put(key, done(cell.result, known=cell.known))
        else:
            outcome, reason = self._schedule.outcome(key) or (Outcome.CANCELLED, "")
            self._cells.put(key, Cell(state=CellState.DONE, outcome=outcome, reason=reason))

    def _show_running(self, case: Case, cell: Cell) -> None:
        self._live[case.key] = cell
        if case.key in self._cells:
            before = self._cells[case.key]
            self._cells.put(case.key, msgspec.structs.replace(cell, result=before.result))

    def _tell_blocked(self, verdicts: Iterable[Verdict]) -> None:
        """Tell what is new among these."""
        self.engine.tell_blocked([each for each in verdicts if self._cells.is_news(each)])

    def _show(self) -> None:
        self._cells.show(self._range)


def _limits(project: Project) -> Limits:
    return Limits(
        jobs=project.settings.jobs,
        worktrees=project.settings.num_worktrees,
        resources=project.resources,
    )
