"""Run the tests of the queue's open runs through the ordinary engine.

Layer: service.

A run at work writes nothing to timelines: it collects what is to be told there, and the daemon tells it. What
is known is not run again, whoever found it out; but a failure counts only if it is of this very run, so that
a retry is one.

Live output: each job has a directory like the jobs of any other command; `store.runs.running_jobs` finds it
by commit and test, for pages and other processes. When a job is over its output is in the store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.objects import read_commit
from gitlimmat.model import CachePolicy, Commit, Outcome, Result
from gitlimmat.plan.cases import Case, JobKey, plan_cases
from gitlimmat.plan.schedule import Schedule, Verdict
from gitlimmat.queue.events import RunOutcome
from gitlimmat.queue.state import Job, Run
from gitlimmat.runner.host import Host
from gitlimmat.service.engine import Engine
from gitlimmat.service.notes import refresh_notes
from gitlimmat.service.project import Project, with_tests
from gitlimmat.service.queue.share import Trust
from gitlimmat.service.queue.suite import Suites, explain, write_suite
from gitlimmat.service.recorder import Recorder
from gitlimmat.service.sharing import Share, Sharing

_RETRY_FIRST_S = 1.0
_RETRY_LAST_S = 60.0


class Ended(NamedTuple):
    """How a run came to its end."""

    outcome: RunOutcome
    reason: str


class Place(NamedTuple):
    """A test on one of the commits of a run."""

    test: str
    commit: str


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs at work share. `writing` keeps them from writing results at the same time."""

    project: Project
    host: Host
    sharing: Sharing
    trust: Trust
    writing: asyncio.Lock
    warn: Callable[[str], None]


class RunAtWork:
    """The tests of one open run. `wake` is called in the loop when there is something to tell.

    `end` says how it ended; None while it is at work, and for ever if it was stopped.
    """

    def __init__(self, run: Run, shop: Shop, wake: Callable[[], None]) -> None:
        self.run = run
        self.end: Ended | None = None
        self._shop = shop
        self._wake = wake
        self._told = {Place(job.test, job.commit): job for job in run.jobs}
        self._news: dict[Place, Job] = {}
        self._cases: dict[JobKey, list[Case]] = {}
        self._trusted: dict[JobKey, str] = {}
        self._engine: Engine | None = None
        self._schedule: Schedule | None = None
        self._stopped = asyncio.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether nobody wants to know its outcome any more."""
        return self._stopped.is_set()

    async def until_stopped(self) -> None:
        """Wait until nobody wants to know its outcome any more."""
        await self._stopped.wait()

    def news(self) -> tuple[Job, ...]:
        """Return the ends of jobs that no timeline has yet, oldest first."""
        return tuple(self._news.values())

    def told(self, jobs: Sequence[Job]) -> None:
        """Note that these are in the timelines."""
        for job in jobs:
            place = Place(job.test, job.commit)
            self._told[place] = job
            self._news.pop(place, None)

    def advance(self) -> None:
        """Start what can start now: something shared was given back."""
        if self._engine is not None:
            self._engine.advance()

    def stop(self, *, forced: bool = False) -> None:
        """End all jobs, and with the last of them `serve`; `forced` kills them."""
        self._stopped.set()
        if self._engine is not None:
            self._engine.end(forced=forced)
            self._engine.advance()

    async def serve(self) -> None:
        """Run the tests until all have ended, or until stopped. Trouble that may pass is waited for."""
        pause = _RETRY_FIRST_S
        while not self.is_stopped:
            try:
                await self._run()
                return
            except OSError as error:
                self._shop.warn(f"run {self.run.run} cannot go on: {error}; trying again")
            except LimmatError as error:
                self._end(RunOutcome.ERRORED, explain(error))
                return
            try:
                async with asyncio.timeout(pause):
                    await self._stopped.wait()
            except TimeoutError:
                pause = min(2 * pause, _RETRY_LAST_S)

    async def _run(self) -> None:
        project, commits = await asyncio.to_thread(self._prepare)
        shop = self._shop
        share = shop.sharing.share(
            jobs=project.settings.shared_jobs, resources=project.settings.shared_resources
        )
        try:
            await self._engage(project, commits, share)
        finally:
            self._engine = self._schedule = None
            share.close()
        self._conclude()
        async with shop.writing:
            await asyncio.to_thread(refresh_notes, project, commits)

    def _prepare(self) -> tuple[Project, tuple[Commit, ...]]:
        """Return the tests and the commits. Runs in a thread of its own."""
        run = self.run
        repository = msgspec.structs.replace(self._shop.project.repository)  # with a handle of its own
        suite = Suites(repository).at(run.merge if run.repair else run.base)
        missing = set(run.tests) - {test.name for test in suite.config.tests}
        if missing or not run.tests:
            names = ", ".join(f"'{name}'" for name in sorted(missing)) or "any"
            raise LimmatError(f"there is no test {names} in '{suite.name}'")
        project = with_tests(self._shop.project, write_suite(repository, suite), run.tests)
        objects = repository.objects
        newest_first = reversed(run.commits)
        return project, tuple(Commit(id=oid, tree=read_commit(objects, oid).tree) for oid in newest_first)

    async def _engage(self, project: Project, commits: tuple[Commit, ...], share: Share) -> None:
        cases = plan_cases(commits, project.tests)
        self._cases = {}
        for case in cases:
            self._cases.setdefault(case.key, []).append(case)
        self._schedule = Schedule(
            cases,
            jobs=project.settings.jobs,
            worktrees=project.settings.num_worktrees,
            resources=project.resources,
            outside=share,
        )
        recorder = Recorder(project.store, self._say, patient=True)
        recorder.writing = self._shop.writing
        needed = {name for test in project.tests for name in test.depends_on}
        self._engine = Engine(
            project, self._schedule, self._shop.host, self, needed=needed.__contains__, recorder=recorder
        )
        await self._engine.serve(lambda: self._begin(project, needed))

    def _begin(self, project: Project, needed: set[str]) -> None:
        """Take over what is known, from the store or, where a crash came between, from the timeline."""
        assert self._engine is not None
        assert self._schedule is not None
        if self.is_stopped:
            self._engine.end(forced=False)
            self._engine.advance()
            return
        outcomes: dict[JobKey, Outcome] = {}
        self._trusted.clear()
        for key, cases in self._cases.items():
            result = self.lookup(project, cases[0])
            if result is not None:
                self._engine.artifacts.learn(key, result)
                self.ended(cases[0], result, known=True, unsaved=())
                outcomes[key] = result.outcome
            elif key.test not in needed and (job := self._told_of(cases)) is not None:
                outcomes[key] = job.outcome
        self._engine.tell_blocked(self._schedule.learn_all(outcomes))
        self._engine.advance()

    def _told_of(self, cases: Sequence[Case]) -> Job | None:
        places = (Place(case.test.name, case.commit.id) for case in cases)
        return next((job for place in places if (job := self._told.get(place)) is not None), None)

    def _conclude(self) -> None:
        """Say how the run ended: with the worst that is known of its tests, the first of that kind named."""
        jobs = list((self._told | self._news).values())
        for outcome, of_run in _VERDICTS:
            bad = next((job for job in jobs if job.outcome is outcome), None)
            if bad is not None:
                self._end(of_run, _about(bad, self.run))
                return
        wanted = {Place(case.test.name, case.commit.id) for cases in self._cases.values() for case in cases}
        missing = sorted(wanted - (self._told.keys() | self._news.keys()))
        if missing:
            self._end(RunOutcome.ERRORED, f"test '{missing[0].test}' has no outcome")
        else:
            self._end(RunOutcome.PASSED, "")

    def _end(self, outcome: RunOutcome, reason: str) -> None:
        if not self.is_stopped:
            self.end = Ended(outcome, reason)
            self._wake()

    def _note(self, case: Case, job: Job) -> None:
        place = Place(case.test.name, case.commit.id)
        if place not in self._told and not self.is_stopped:
            self._news[place] = job
            self._wake()

    def _say(self, problem: str | None) -> None:
        if problem is not None:
            self._shop.warn(problem)

    # What the engine asks and tells.

    def lookup(self, project: Project, case: Case) -> Result | None:
        """Return what stands for a case: what did not fail, or failed in this very run.

        Where nobody has tried it here, it is what somebody says whose results are trusted.
        """
        definition, view = project.definitions[case.test.name], project.store.view()
        result = view.known(case.subject, definition)
        if result is not None:
            is_of_this_run = self.run.started <= result.started <= time.time()  # who sets the clock back
            return None if result.outcome is Outcome.FAILED and not is_of_this_run else result
        if case.test.cache is CachePolicy.NO_CACHING or view.latest(case.subject, definition) is not None:
            return None
        found = self._shop.trust.known(case.subject, definition)
        if found is None:
            return None
        self._trusted[case.key] = found.person
        return found.result

    def started(self, case: Case, directory: Path) -> None:
        """Say nothing: `running_jobs` shows it."""

    def elsewhere(self, case: Case) -> None:
        """Say nothing: what another process finds out is told when it is known."""

    def waiting(self, case: Case) -> None:
        """Say nothing: it has its turn now."""

    def ended(self, case: Case, result: Result, *, known: bool, unsaved: tuple[Path | bytes, ...]) -> None:
        """Note how the cases of a job ended."""
        for each in self._cases.get(case.key, ()):
            job = Job(
                test=each.test.name,
                commit=each.commit.id,
                outcome=result.outcome,
                reason=result.reason,
                elapsed=round(result.elapsed, 3),
                known=known,
                by=self._trusted.get(case.key, "") if known else "",
            )
            self._note(each, job)

    def blocked(self, verdicts: Sequence[Verdict]) -> None:
        """Note what will not be run because of something else."""
        for each in verdicts:
            if each.outcome is not Outcome.CANCELLED:
                case = each.case
                job = Job(
                    test=case.test.name, commit=case.commit.id, outcome=each.outcome, reason=each.reason
                )
                self._note(case, job)

    def finished(self, case: Case, outcome: Outcome) -> None:
        """Say nothing: its result is to be stored first."""

    def advanced(self) -> None:
        """Notice when nothing is left."""
        if self._engine is not None and self._schedule is not None and self._schedule.done:
            self._engine.close()

    def keeps(self, case: Case, result: Result) -> bool:
        """Keep all results but those of jobs that we have ended ourselves."""
        return result.outcome is not Outcome.CANCELLED


_VERDICTS = (
    (Outcome.FAILED, RunOutcome.FAILED),
    (Outcome.ERRORED, RunOutcome.ERRORED),
    (Outcome.CANCELLED, RunOutcome.ERRORED),
)


def _about(job: Job, run: Run) -> str:
    """Return a bad end of a job in words."""
    where = f" on {job.commit[:12]}" if len(run.commits) > 1 else ""
    why = f" ({job.reason})" if job.reason and job.reason != job.outcome else ""
    return f"test '{job.test}' {job.outcome}{where}{why}"
