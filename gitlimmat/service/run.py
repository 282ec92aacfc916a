"""Run every selected test on every commit of a range, and store what was learned.

Layer:  service. Decides nothing about order or reuse: `plan.schedule` and the store do.

A `Run` wants a fixed set of cases from an engine until all of them are done.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from gitlimmat.model import Commit, Outcome, Result, Test
from gitlimmat.plan.cases import Case, JobKey, plan_cases
from gitlimmat.plan.schedule import Schedule, Verdict
from gitlimmat.runner.host import Host
from gitlimmat.service.engine import Engine
from gitlimmat.service.events import Ended, Event, Finished, Planned, Started, Stopping
from gitlimmat.service.notes import refresh_notes
from gitlimmat.service.project import Project
from gitlimmat.service.prompt import write_prompt
from gitlimmat.service.recorder import Recorder
from gitlimmat.service.sharing import open_sharing
from gitlimmat.store.view import View


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
        settings = project.settings
        self._share = open_sharing(settings, project.warn).share(
            jobs=settings.shared_jobs, resources=settings.shared_resources
        )
        self._schedule = Schedule(
            cases,
            jobs=settings.jobs,
            worktrees=settings.num_worktrees,
            resources=project.resources,
            outside=self._share if settings.shared_jobs or settings.shared_resources else None,
        )
        self._cases: defaultdict[JobKey, list[Case]] = defaultdict(list)
        for case in cases:
            self._cases[case.key].append(case)
        self._outcomes: Counter[Outcome] = Counter()
        self._known = 0
        self._host: Host | None = None
        self._engine: Engine | None = None
        self._signals = 0
        self._ending = False

    def preview(self) -> Summary:
        """Tell what is known, run nothing and store nothing."""
        self._learn_known()
        return self._summary()

    async def execute(self) -> Summary:
        """Run until every case is done or the run was stopped; return what came of it."""
        needed = {name for test in self._request.tests for name in test.depends_on}
        async with Host() as host:
            self._host = host
            self._engine = Engine(
                self._project,
                self._schedule,
                host,
                self,
                needed=needed.__contains__,
                recorder=Recorder(self._project.store, self._warn),
                record=self._request.record,
            )
            try:
                await self._engine.serve(self._begin)
            finally:
                self._share.close()
                if self._request.record:
                    refresh_notes(self._project, self._request.commits)
                    write_prompt(self._project, self._request.commits)
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

    # What the engine asks and tells.

    def lookup(self, project: Project, case: Case, view: View | None = None) -> Result | None:
        """Return the stored result that stands for `case` in this run."""
        if not self._request.record:
            return None
        view = view or project.store.view()
        result = view.known(case.subject, project.definitions[case.test.name])
        if result is None or result.started >= self._began:
            return result
        match self._request.rerun:
            case Rerun.ALL:
                return None
            case Rerun.FAILED if result.outcome is Outcome.FAILED:
                return None
        return result

    def started(self, case: Case, directory: Path) -> None:
        """Tell that a job has started."""
        self._listen(Started(case=case))

    def elsewhere(self, case: Case) -> None:
        """Say nothing: what another process does is told when it is known."""

    def waiting(self, case: Case) -> None:
        """Say nothing: it has its turn now."""

    def ended(self, case: Case, result: Result, *, known: bool, unsaved: tuple[Path | bytes, ...]) -> None:
        """Tell how the cases of a job ended."""
        for each in self._cases[case.key]:
            self._known += known
            self._count(
                Ended(
                    case=each,
                    outcome=result.outcome,
                    reason=result.reason,
                    known=known,
                    result=result,
                    unsaved=unsaved,
                )
            )

    def blocked(self, verdicts: Sequence[Verdict]) -> None:
        """Tell about cases that will not be run; those only cancelled have no outcome."""
        for each in verdicts:
            if each.outcome is not Outcome.CANCELLED:
                self._count(Ended(case=each.case, outcome=each.outcome, reason=each.reason, known=False))

    def finished(self, case: Case, outcome: Outcome) -> None:
        """Stop after the first failure, if that is what the user wants."""
        if outcome is Outcome.FAILED and self._request.fail_fast and not self._ending:
            self._end_jobs(Stopping(running=self._running(), after_failure=True))

    def advanced(self) -> None:
        """Notice when nothing is left."""
        if self._schedule.done and self._engine is not None:
            self._engine.close()

    def keeps(self, case: Case, result: Result) -> bool:
        """Keep all results."""
        return True

    def _warn(self, problem: str | None) -> None:
        if problem is not None:
            self._project.warn(problem)

    def _begin(self) -> None:
        assert self._engine is not None
        self._learn_known()
        self._engine.advance()

    def _summary(self) -> Summary:
        return Summary(
            outcomes=dict(self._outcomes),
            known=self._known,
            unfinished=self._total - self._outcomes.total(),
            elapsed=time.monotonic() - self._clock,
            interrupted=self._signals > 0,
        )

    def _running(self) -> tuple[Case, ...]:
        return self._engine.running if self._engine is not None else ()

    def _end_jobs(self, how: Stopping) -> None:
        self._ending = True
        if self._engine is not None:
            self._engine.end(forced=how.forced)
        self._listen(how)
        if self._engine is not None:
            self._engine.advance()

    def _learn_known(self) -> None:
        """Look up every job in the store, and tell what needs no run."""
        view = self._project.store.view()
        known = {
            key: result
            for key, cases in self._cases.items()
            if (result := self.lookup(self._project, cases[0], view))
        }
        cases = sum(len(self._cases[key]) for key in known)
        self._listen(Planned(commits=len(self._request.commits), cases=self._total, known=cases))
        verdicts = self._schedule.learn_all({key: result.outcome for key, result in known.items()})
        for key, result in known.items():
            if self._engine is not None:
                self._engine.artifacts.learn(key, result)
            self.ended(self._cases[key][0], result, known=True, unsaved=())
        if self._engine is not None:
            self._engine.tell_blocked(verdicts)
        else:
            self.blocked(verdicts)
        if self._request.fail_fast and self._outcomes[Outcome.FAILED]:
            self._ending = True
            self._schedule.cancel_all()

    def _count(self, event: Ended) -> None:
        self._outcomes[event.outcome] += 1
        self._listen(event)
