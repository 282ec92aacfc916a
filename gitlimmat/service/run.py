"""Run every selected test on every commit of a range, and store what was learned.

Layer:  service. Decides nothing about order or reuse: `plan.schedule` and the store do.

One `Run` owns one schedule. A job is one task: it takes the case's lock, looks once more whether someone
else has the answer, takes a worktree, runs, hands the record over and gives everything back.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.model import Commit, Outcome, Result, Test
from gitlimmat.plan.cases import Case, JobKey, plan_cases
from gitlimmat.plan.schedule import Schedule, Start, Verdict
from gitlimmat.runner.host import Host, Stop
from gitlimmat.service.events import Ended, Event, Finished, Planned, Started, Stopping
from gitlimmat.service.job import Attempt, DependencyArtifacts, Workshop, blocked_record
from gitlimmat.service.notes import refresh_notes
from gitlimmat.service.project import Project
from gitlimmat.service.recorder import Recorder
from gitlimmat.store.locks import CaseLock
from gitlimmat.store.view import View

_POLL_FIRST_S = 0.01
_POLL_LAST_S = 0.2


class Rerun(StrEnum):
    """Which known results a run does not trust."""

    ERRORED = "errored"  # those that never count anyway: the default
    FAILED = "failed"
    ALL = "all"


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `record` false means: read no results and store none."""

    commits: tuple[Commit, ...]
    tests: tuple[Test, ...]
    rerun: Rerun = Rerun.ERRORED
    fail_fast: bool = False
    record: bool = True


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended: cases by outcome, how many of them no job ran for, and cases never started."""

    outcomes: dict[Outcome, int]
    known: int
    unfinished: int
    elapsed: float
    interrupted: bool

    @property
    def exit_status(self) -> int:
        """130 interrupted, 1 a test failed, 125 no verdict for some, 0 all passed or skipped."""
        if self.interrupted:
            return 130
        if self.outcomes.get(Outcome.FAILED):
            return 1
        without = self.outcomes.get(Outcome.ERRORED, 0) + self.outcomes.get(Outcome.CANCELLED, 0)
        return 125 if without or self.unfinished else 0


class Unlocked:
    """Stands for the lock of a case where locks cannot be had."""

    def release(self) -> None:
        """Do nothing."""


class Run:
    """One execution of a `RunRequest`; `listen` is called in the loop with each event.

    Events of a job come when its result is stored, so that what the user has seen is never lost.
    """

    def __init__(self, project: Project, request: RunRequest, listen: Callable[[Event], None]) -> None:
        self._project = project
        self._request = request
        self._listen = listen
        self._began = time.time()
        self._clock = time.monotonic()
        cases = plan_cases(request.commits, request.tests)
        self._total = len(cases)
        self._schedule = Schedule(
            cases,
            jobs=project.settings.jobs,
            worktrees=project.settings.num_worktrees,
            resources=project.resources,
        )
        self._cases: defaultdict[JobKey, list[Case]] = defaultdict(list)
        for case in cases:
            self._cases[case.key].append(case)
        self._needed = {name for test in request.tests for name in test.depends_on}
        self._artifacts = DependencyArtifacts(project)
        self._recorder = Recorder(project.store, project.warn)
        self._storing = False
        self._stops: dict[JobKey, tuple[Case, Stop]] = {}
        self._outcomes: Counter[Outcome] = Counter()
        self._known = 0
        self._host: Host | None = None
        self._over = asyncio.Event()
        self._signals = 0
        self._ending = False

    def preview(self) -> Summary:
        """Tell what is known, run nothing and store nothing."""
        self._learn_known()
        return self._summary()

    async def execute(self) -> Summary:
        """Run until every case is done or the run was stopped; return what came of it."""
        async with Host() as host:
            self._host = host
            self._workshop = Workshop(self._project, host, self._artifacts, keep=not self._request.record)
            try:
                await self._work()
            finally:
                await self._workshop.close()
                if self._request.record:
                    refresh_notes(self._project, self._request.commits)
        summary = self._summary()
        self._listen(Finished(elapsed=summary.elapsed, interrupted=summary.interrupted))
        return summary

    def stop(self) -> None:
        """End the run: the first call asks the jobs to stop, a second one kills them."""
        self._signals += 1
        self._end_jobs(Stopping(running=self._running(), forced=self._signals > 1))

    def suspend(self) -> None:
        """Stop the jobs and this program, as Ctrl-Z asks; go on with them when it is continued."""
        if self._host is None:
            return
        self._host.forward(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._host.forward(signal.SIGCONT)

    def _summary(self) -> Summary:
        return Summary(
            outcomes=dict(self._outcomes),
            known=self._known,
            unfinished=self._total - self._outcomes.total(),
            elapsed=time.monotonic() - self._clock,
            interrupted=self._signals > 0,
        )

    def _running(self) -> tuple[Case, ...]:
        return tuple(case for case, _ in self._stops.values())

    def _end_jobs(self, how: Stopping) -> None:
        self._ending = True
        self._schedule.cancel_all()
        for _, stop in self._stops.values():
            if how.forced:
                stop.kill()
            else:
                stop.cancel()
        self._listen(how)
        self._advance()

    async def _work(self) -> None:
        self._storing = self._request.record
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._recorder.serve())
            self._learn_known()
            self._advance()
            await self._over.wait()
            self._recorder.close()

    def _learn_known(self) -> None:
        """Look up every job in the store, and tell what needs no run."""
        view = self._project.store.view()
        known = {
            key: result for key, cases in self._cases.items() if (result := self._lookup(cases[0], view))
        }
        cases = sum(len(self._cases[key]) for key in known)
        self._listen(Planned(commits=len(self._request.commits), cases=self._total, known=cases))
        verdicts = self._schedule.learn_all({key: result.outcome for key, result in known.items()})
        for key, result in known.items():
            self._artifacts.learn(key, result)
            self._tell(key, result, known=True)
        self._tell_verdicts(verdicts)
        if self._request.fail_fast and self._outcomes[Outcome.FAILED]:
            self._ending = True
            self._schedule.cancel_all()

    def _lookup(self, case: Case, view: View | None = None) -> Result | None:
        """Return the stored result that stands for `case` in this run."""
        if not self._request.record:
            return None
        view = view or self._project.store.view()
        result = view.known(case.subject, self._project.definitions[case.test.name])
        if result is None or result.started >= self._began:
            return result
        match self._request.rerun:
            case Rerun.ALL:
                return None
            case Rerun.FAILED if result.outcome is Outcome.FAILED:
                return None
        return result

    def _advance(self) -> None:
        """Start what can start now, and notice when nothing is left."""
        for start in self._schedule.start():
            self._tasks.create_task(self._job(start))
        if not self._schedule.running:
            self._recorder.hurry()
        if self._schedule.done:
            self._over.set()

    async def _job(self, start: Start) -> None:
        case = start.case
        lock = None
        if self._is_our_own(case):
            blocked = [
                Verdict(case=case, outcome=Outcome.ERRORED, reason="this run is part of that very job")
            ]
            self._tell_verdicts(blocked)
            self._finish(case, Outcome.ERRORED)
            return
        if self._request.record:
            lock = self._try_lock(case)
            if lock is None:
                self._tell_verdicts(self._schedule.busy(case.key))
                self._advance()
                await self._await_other(case)
                return
            if result := self._lookup(case):
                lock.release()
                self._take_known(case, result)
                return
        stop = Stop()
        self._stops[case.key] = (case, stop)
        if self._ending:
            stop.cancel()
        self._listen(Started(case=case))
        try:
            attempt = await self._workshop.attempt(case, start.tokens, stop)
        finally:
            del self._stops[case.key]
        await self._hand_over(case, attempt, lock)

    def _try_lock(self, case: Case) -> CaseLock | Unlocked | None:
        """Return the lock of a case, None when someone else has it.

        Where locks cannot be had (a read-only repository, a full disk) the case is run all the same.
        """
        try:
            return self._project.locks.try_lock(self._project.key(case))
        except (LimmatError, OSError) as error:
            self._project.store.warn_once(f"other processes may run the same tests: {error}")
            return Unlocked()

    @staticmethod
    def _is_our_own(case: Case) -> bool:
        """Whether a job of this very case has started us: to wait for it would be to wait for ever."""
        return (os.environ.get("LIMMAT_TEST"), os.environ.get("LIMMAT_COMMIT")) == (
            case.test.name,
            case.commit.id,
        )

    async def _await_other(self, case: Case) -> None:
        """Wait until the process that runs `case` is done with it, then take its answer or our turn."""
        pause = _POLL_FIRST_S
        while not self._ending:
            try:
                async with asyncio.timeout(pause):
                    await self._over.wait()
                return
            except TimeoutError:
                pause = min(pause * 1.5, _POLL_LAST_S)
            if result := self._lookup(case):
                self._take_known(case, result)
                return
            if not self._project.locks.is_locked(self._project.key(case)):
                self._tell_verdicts(self._schedule.retry(case.key))
                self._advance()
                return

    def _take_known(self, case: Case, result: Result) -> None:
        """Use what another process has found out."""
        self._artifacts.learn(case.key, result)
        self._tell(case.key, result, known=True)
        self._finish(case, result.outcome)

    async def _hand_over(self, case: Case, attempt: Attempt, lock: CaseLock | Unlocked | None) -> None:
        """Give the record to the recorder; dependents may start once they can have its artifacts."""
        record = attempt.record
        blocked: list[Verdict] = []  # told after what blocks them

        def stored(result: Result, saved: bool) -> None:
            if saved:
                if attempt.directory is not None:
                    self._project.runs.give_back(attempt.directory)
                self._artifacts.learn(case.key, result)
            elif record.artifacts is not None:
                self._artifacts.keep(case.key, record.artifacts)
            if lock is not None:
                lock.release()
            self._tell(case.key, result, known=False, unsaved=() if saved else tuple(record.outputs.values()))
            self._tell_verdicts(blocked)

        if self._request.record and record.artifacts is not None and case.test.name in self._needed:
            stored(*await self._recorder.add_and_wait(record))
            self._finish(case, record.result.outcome)
            return
        blocked += self._schedule.finished(case.key, record.result.outcome)
        if self._request.record:
            self._recorder.add(record, stored)
        else:
            self._tell(case.key, record.result, known=False, unsaved=tuple(record.outputs.values()))
            self._tell_verdicts(blocked)
        self._go_on(record.result.outcome)

    def _finish(self, case: Case, outcome: Outcome) -> None:
        """Note the outcome of a job in the schedule, with what follows from it."""
        self._tell_verdicts(self._schedule.finished(case.key, outcome))
        self._go_on(outcome)

    def _go_on(self, outcome: Outcome) -> None:
        if outcome is Outcome.FAILED and self._request.fail_fast and not self._ending:
            self._end_jobs(Stopping(running=self._running(), after_failure=True))
        self._advance()

    def _tell(
        self, key: JobKey, result: Result, *, known: bool, unsaved: tuple[Path | bytes, ...] = ()
    ) -> None:
        for case in self._cases[key]:
            self._known += known
            self._count(
                Ended(
                    case=case,
                    outcome=result.outcome,
                    reason=result.reason,
                    known=known,
                    result=result,
                    unsaved=unsaved,
                )
            )

    def _tell_verdicts(self, verdicts: Sequence[Verdict]) -> None:
        """Tell about cases that will not be run, and store it; those only cancelled have no outcome."""
        for each in verdicts:
            if each.outcome is Outcome.CANCELLED:
                continue
            self._count(Ended(case=each.case, outcome=each.outcome, reason=each.reason, known=False))
            if self._storing and not self._is_stored(each):
                record = blocked_record(self._project, each.case, each.outcome, each.reason)
                self._recorder.add(record, lambda result, saved: None)

    def _is_stored(self, verdict: Verdict) -> bool:
        """Whether the newest result says the same already."""
        case = verdict.case
        definition = self._project.definitions[case.test.name]
        latest = self._project.store.view().latest(case.subject, definition)
        return latest is not None and (latest.outcome, latest.reason) == (verdict.outcome, verdict.reason)

    def _count(self, event: Ended) -> None:
        self._outcomes[event.outcome] += 1
        self._listen(event)
