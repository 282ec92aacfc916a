"""Run the jobs that a schedule asks for, one task each, and hand their results to the store.

Layer: service. Decides nothing: order is the schedule's, what is known or wanted is the owner's.

A job takes the lock of its case, looks once more whether someone else has the answer, takes a worktree, runs,
hands its record over and gives everything back.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from gitlimmat.errors import LimmatError
from gitlimmat.model import Outcome, Result
from gitlimmat.plan.cases import Case, JobKey
from gitlimmat.plan.schedule import Schedule, Start, Verdict
from gitlimmat.runner.host import Host, Stop
from gitlimmat.service.job import Attempt, DependencyArtifacts, Workshop, blocked_record
from gitlimmat.service.project import Project
from gitlimmat.service.recorder import Recorder
from gitlimmat.store.locks import CaseLock

_POLL_FIRST_S = 0.01
_POLL_LAST_S = 0.2
_STARVED_S = 0.15


class Owner(Protocol):
    """Who wants the jobs. All calls come in the loop; those about a job when its result is stored."""

    def lookup(self, project: Project, case: Case) -> Result | None:
        """Return the stored result that makes a job of `case` needless."""

    def started(self, case: Case, directory: Path) -> None:
        """A job has started; what it prints goes to files in `directory`."""

    def elsewhere(self, case: Case) -> None:
        """Another process runs `case`; its answer will be ours."""

    def waiting(self, case: Case) -> None:
        """Nobody else runs `case` any more, and there is no answer: it waits for its turn."""

    def ended(self, case: Case, result: Result, *, known: bool, unsaved: tuple[Path | bytes, ...]) -> None:
        """The job of `case`, or of another process, has left `result`; `unsaved` is output not stored."""

    def blocked(self, verdicts: Sequence[Verdict]) -> None:
        """These cases will not be run."""

    def finished(self, case: Case, outcome: Outcome) -> None:
        """A job is over; its result may not be stored yet. More jobs start after this."""

    def advanced(self) -> None:
        """All that can start now has started."""

    def keeps(self, case: Case, result: Result) -> bool:
        """Whether a result of ours is to be stored."""


class Unlocked:
    """Stands for the lock of a case where locks cannot be had."""

    def release(self) -> None:
        """Do nothing."""


class Engine:
    """The jobs of one schedule. `project` is the one that new jobs use; a running one keeps its own.

    `ending` says that no job is started any more. `needed` says of a test whether others use its artifacts.
    With `record` false nothing is read or stored.
    """

    def __init__(
        self,
        project: Project,
        schedule: Schedule,
        host: Host,
        owner: Owner,
        *,
        needed: Callable[[str], bool],
        recorder: Recorder,
        record: bool = True,
    ) -> None:
        self.project = project
        self.schedule = schedule
        self.artifacts = DependencyArtifacts()
        self.recorder = recorder
        self._owner = owner
        self._needed = needed
        self._record = record
        self._workshop = Workshop(project, host, self.artifacts, keep=not record)
        self._stops: dict[JobKey, tuple[Case, Stop]] = {}
        self._waits: dict[JobKey, asyncio.Event] = {}
        self._closed = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self.ending = False
        self._again: asyncio.TimerHandle | None = None

    @property
    def running(self) -> tuple[Case, ...]:
        """The cases whose jobs run now, also those that nobody wants any more."""
        return tuple(case for case, _ in self._stops.values())

    async def serve(self, begin: Callable[[], None]) -> None:
        """Call `begin`, and run jobs until `close` was called and all of them are over."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                recorder = tasks.create_task(self.recorder.serve())
                begin()
                await self._closed.wait()
                self.recorder.close()
                await recorder
        finally:
            if self._again is not None:
                self._again.cancel()
            await self._workshop.close()

    def close(self) -> None:
        """Let `serve` end; all jobs must be over."""
        self._closed.set()

    def advance(self) -> None:
        """Start what can start now."""
        if self._tasks is None or self._closed.is_set():
            return
        for start in self.schedule.start():
            stop = Stop()
            self._stops[start.case.key] = (start.case, stop)
            self._tasks.create_task(self._job(self.project, start, stop))
        if not self.schedule.running:
            self.recorder.hurry()
        if self.schedule.starved and self._again is None:
            self._again = asyncio.get_running_loop().call_later(_STARVED_S, self._advance_again)
        self._owner.advanced()

    def stop(self, cases: Sequence[Case]) -> None:
        """Ask the jobs of these cases to end."""
        for case in cases:
            if case.key in self._stops:
                self._stops[case.key][1].cancel()

    def abandon(self, cases: Sequence[Case]) -> None:
        """Wait no more for what other processes find out about these cases."""
        for case in cases:
            if case.key in self._waits:
                self._waits[case.key].set()

    def end(self, *, forced: bool) -> None:
        """End all jobs and start none any more; kill them when `forced`."""
        self.ending = True
        self.schedule.cancel_all()
        for _, stop in self._stops.values():
            if forced:
                stop.kill()
            else:
                stop.cancel()
        for over in self._waits.values():
            over.set()

    def tell_blocked(self, verdicts: Sequence[Verdict]) -> None:
        """Tell about cases that will not be run, and store it; those only cancelled leave no record."""
        if not verdicts:
            return
        self._owner.blocked(verdicts)
        if not self._record or self._tasks is None:
            return
        for each in verdicts:
            if each.outcome is not Outcome.CANCELLED and not self._is_stored(each):
                record = blocked_record(self.project, each.case, each.outcome, each.reason)
                self.recorder.add(record, lambda result, saved: None)

    def _advance_again(self) -> None:
        self._again = None
        self.advance()

    async def _job(self, project: Project, start: Start, stop: Stop) -> None:
        case = start.case
        if stop.cancelled or _is_our_own(case):
            del self._stops[case.key]
            self._refuse(case, stop)
            return
        lock = self._try_lock(project, case) if self._record else Unlocked()
        if lock is None:
            del self._stops[case.key]
            self.tell_blocked(self.schedule.busy(case.key))
            self.advance()
            await self._await_other(project, case)
            return
        if self._record and (result := self._owner.lookup(project, case)):
            del self._stops[case.key]
            lock.release()
            self._take_known(case, result)
            return
        try:
            attempt = await self._workshop.attempt(
                project, case, start.tokens, stop, lambda directory: self._owner.started(case, directory)
            )
        finally:
            del self._stops[case.key]
        await self._hand_over(project, case, attempt, lock)

    def _refuse(self, case: Case, stop: Stop) -> None:
        """End a case that cannot be run, or that nobody wants any more."""
        if stop.cancelled:
            self._finish(case, Outcome.CANCELLED)
            return
        reason = "this run is part of that very job"
        self.tell_blocked([Verdict(case=case, outcome=Outcome.ERRORED, reason=reason)])
        self._finish(case, Outcome.ERRORED)

    def _try_lock(self, project: Project, case: Case) -> CaseLock | Unlocked | None:
        """Return the lock of a case, None when someone else has it.

        Where locks cannot be had (a read-only repository, a full disk) the case is run all the same.
        """
        try:
            return project.locks.try_lock(project.key(case))
        except (LimmatError, OSError) as error:
            project.store.warn_once(f"other processes may run the same tests: {error}")
            return Unlocked()

    async def _await_other(self, project: Project, case: Case) -> None:
        """Wait until the process that runs `case` is done with it, then take its answer or our turn."""
        over = self._waits[case.key] = asyncio.Event()
        pause = _POLL_FIRST_S
        self._owner.elsewhere(case)
        try:
            while not self.ending:
                try:
                    async with asyncio.timeout(pause):
                        await over.wait()
                    return
                except TimeoutError:
                    pause = min(pause * 1.5, _POLL_LAST_S)
                if result := self._owner.lookup(project, case):
                    self._take_known(case, result)
                    return
                if not project.locks.is_locked(project.key(case)):
                    self.tell_blocked(self.schedule.retry(case.key))
                    self._owner.waiting(case)
                    self.advance()
                    return
        finally:
            if self._waits.get(case.key) is over:
                del self._waits[case.key]

    def _take_known(self, case: Case, result: Result) -> None:
        """Use what another process has found out."""
        self.artifacts.learn(case.key, result)
        self._owner.ended(case, result, known=True, unsaved=())
        self._finish(case, result.outcome)

    async def _hand_over(
        self, project: Project, case: Case, attempt: Attempt, lock: CaseLock | Unlocked
    ) -> None:
        """Give the record to the recorder; dependents may start once they can have its artifacts."""
        record = attempt.record
        outcome = record.result.outcome
        blocked: list[Verdict] = []  # told after what blocks them

        def stored(result: Result, saved: bool) -> None:
            if attempt.directory is not None and (saved or not kept):
                project.runs.give_back(attempt.directory)
            if saved:
                self.artifacts.learn(case.key, result)
            elif record.artifacts is not None and kept:
                self.artifacts.keep(case.key, record.artifacts)
            lock.release()
            unsaved = () if saved else tuple(record.outputs.values())
            self._owner.ended(case, result, known=False, unsaved=unsaved)
            self.tell_blocked(blocked)

        kept = self._owner.keeps(case, record.result)
        if self._record and kept and record.artifacts is not None and self._needed(case.test.name):
            stored(*await self.recorder.add_and_wait(record))
            self._finish(case, outcome)
            return
        blocked += self.schedule.finished(case.key, outcome)
        if self._record and kept:
            self.recorder.add(record, stored)
        else:
            stored(record.result, False)
        self._owner.finished(case, outcome)
        self.advance()

    def _finish(self, case: Case, outcome: Outcome) -> None:
        """Note the outcome of a job in the schedule, with what follows from it."""
        self.tell_blocked(self.schedule.finished(case.key, outcome))
        self._owner.finished(case, outcome)
        self.advance()

    def _is_stored(self, verdict: Verdict) -> bool:
        """Whether the newest result says the same already."""
        case = verdict.case
        definition = self.project.definitions[case.test.name]
        latest = self.project.store.view().latest(case.subject, definition)
        return latest is not None and (latest.outcome, latest.reason) == (verdict.outcome, verdict.reason)


def _is_our_own(case: Case) -> bool:
    """Whether a job of this very case has started us: to wait for it would be to wait for ever."""
    started_by = (os.environ.get("LIMMAT_TEST"), os.environ.get("LIMMAT_COMMIT"))
    return started_by == (case.test.name, case.commit.id)
