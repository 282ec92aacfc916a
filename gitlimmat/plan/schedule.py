"""What to run, in what order, with what is free: the state of a run without its processes.

Layer: plan. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from heapq import heapify, heappop, heappush
from typing import NamedTuple

import msgspec

from gitlimmat.model import Outcome, Resource
from gitlimmat.plan.capacity import Capacity, Limits, Outside
from gitlimmat.plan.cases import Case, JobKey
from gitlimmat.plan.jobs import Job, State, dependents_last, jobs_for
from gitlimmat.plan.progress import Progress


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Start a job on `case` now. `tokens` are the values it holds until it ends, by resource."""

    case: Case
    tokens: dict[str, tuple[str, ...]]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`case` will not be run: a dependency is in the way, or it was cancelled before it started."""

    case: Case
    outcome: Outcome
    reason: str


class Retargeted(msgspec.Struct, frozen=True, kw_only=True):
    """What a new set of cases asks of the caller.

    `stop` are cases whose jobs are to be ended: each is named once, and `finished` must follow. `abandon` are
    those waited for in someone else's hands: wait no more, and report nothing. `verdicts` are all cases of
    the new set that a dependency keeps from running, also those known before.
    """

    stop: tuple[Case, ...]
    abandon: tuple[Case, ...]
    verdicts: tuple[Verdict, ...]


class Counts(NamedTuple):
    """How many jobs are in each state. A running job that nobody wants any more is counted too."""

    waiting: int
    ready: int
    running: int
    busy: int
    done: int


class Schedule:
    """The jobs of a set of cases on their way from waiting to done.

    News of a job that is not known, or is done, is late and changes nothing.

    A running job that nobody wants any more leaves: others may have its slot and its worktree's place at
    once, its tokens only when it has ended. As many jobs as there are slots may be on their way out like
    that, in the order in which they were told to; the next ones keep what they hold until one of these has
    ended, so that jobs that do not heed their signal cannot pile up. So the caller has up to twice as many
    processes and worktrees. A leaving job that is wanted again does not get back what it gave: it runs to
    its end beside the others, and its successor of the same key starts after that, when it fits. A job that
    is only to be run anew keeps its slot for that.

    Raises: ConfigError when a test needs more than there is; ValueError when a dependency is not among the
    cases or in a circle.
    """

    def __init__(
        self,
        cases: Iterable[Case],
        *,
        jobs: int,
        worktrees: int,
        resources: Sequence[Resource],
        outside: Outside | None = None,
    ) -> None:
        limits = Limits(jobs=jobs, worktrees=worktrees, resources=tuple(resources))
        self._capacity = Capacity(limits, outside)
        self._wanted = Progress()
        self._leaving: dict[JobKey, Job] = {}
        self._stopping: deque[JobKey] = deque()  # may still hold their slots, though nobody wants them
        self._freed = 0
        self.retarget(cases)

    @property
    def done(self) -> bool:
        """Whether nothing runs and nothing is left to run."""
        return not self._leaving and self._wanted.counts[State.DONE] == len(self._wanted.jobs)

    @property
    def starved(self) -> bool:
        """Whether more could have started the last time, but for what is shared beyond this schedule."""
        return self._capacity.refused

    @property
    def running(self) -> int:
        """How many jobs run, with those that nobody wants any more."""
        return self._wanted.counts[State.RUNNING] + len(self._leaving)

    @property
    def counts(self) -> Counts:
        """How many jobs are in each state."""
        waiting, ready, running, busy, done = self._wanted.counts
        return Counts(waiting, ready, running + len(self._leaving), busy, done)

    @property
    def jobs(self) -> Mapping[JobKey, Job]:
        """The wanted jobs by rank, to be looked at; another mapping after `retarget`."""
        return self._wanted.jobs

    def state(self, key: JobKey) -> State | None:
        """Return where a job is; None when it is not wanted."""
        job = self._wanted.jobs.get(key)
        return None if job is None else job.state

    def outcome(self, key: JobKey) -> tuple[Outcome, str] | None:
        """Return the outcome and reason of a job that is done."""
        job = self._wanted.jobs.get(key)
        return None if job is None or job.state is not State.DONE else (job.outcome, job.reason)

    def start(self) -> list[Start]:
        """Return all that can start now, best rank first, and take what it holds.

        Jobs whose needs are refused from outside are passed over; see `starved`.
        """
        self._capacity.look()
        started = []
        tops = [(top, group) for group in self._wanted.groups if (top := self._wanted.top(group)) is not None]
        heads = [(top, place) for place, (top, _) in enumerate(tops)]
        heapify(heads)
        while heads and self._capacity.slots > 0 and not self._capacity.no_slot:
            _, place = heappop(heads)
            group = tops[place][1]
            tokens = self._capacity.take(group.needs) if self._capacity.fits(group.needs) else None
            if tokens is None:
                continue  # and will not before something is given back
            started.append(self._start(self._wanted.order[heappop(group.ready)], tokens))
            top = self._wanted.top(group)
            if top is not None:
                heappush(heads, (top, place))
        self._capacity.looked()
        return started

    def learn(self, key: JobKey, outcome: Outcome) -> list[Verdict]:
        """Note an outcome found without running, and return the dependents that can never run now.

        A job that runs is not affected: it will say for itself.
        """
        return self.learn_all({key: outcome})

    def learn_all(self, outcomes: Mapping[JobKey, Outcome]) -> list[Verdict]:
        """Note several outcomes at once: what is known of a dependent counts more than its dependencies."""
        ended = []
        for key, outcome in outcomes.items():
            job = self._wanted.jobs.get(key)
            if job is not None and job.state is not State.DONE and job.state is not State.RUNNING:
                self._wanted.end(job, outcome)
                ended.append(job)
        return _verdicts(self._wanted.spread(ended))

    def finished(self, key: JobKey, outcome: Outcome) -> list[Verdict]:
        """Note how a job ended that was started or busy, and return the dependents that can never run now.

        A job told to stop and wanted again since is ready again, unless it still came to a verdict.
        """
        job = self._leaving.pop(key, None)
        if job is not None:
            self._give_back(job)
            return []
        job = self._wanted.jobs.get(key)
        if job is None or job.state is not State.RUNNING:
            return self.learn_all({key: outcome})
        return self._finish(job, outcome)

    def busy(self, key: JobKey) -> list[Verdict]:
        """Note that someone else runs a job we had started: what it held is given back.

        A job that was told to stop is over with that, as if cancelled; the cases this ends are returned.
        """
        job = self._leaving.pop(key, None)
        if job is not None:
            self._give_back(job)
            return []
        job = self._wanted.jobs.get(key)
        if job is None or job.state is not State.RUNNING:
            return []
        if job.told_to_stop:
            wanted = job.wanted_again
            verdicts = self._finish(job, Outcome.CANCELLED)
            return verdicts if wanted else [*_verdicts([job]), *verdicts]
        self._give_back(job)
        self._wanted.move(job, State.BUSY)
        return []

    def retry(self, key: JobKey) -> list[Verdict]:
        """Note that nobody runs a busy job any more; it has its turn again, if nothing is in its way."""
        job = self._wanted.jobs.get(key)
        return _verdicts(self._wanted.place(job)) if job is not None and job.state is State.BUSY else []

    def rerun(self, keys: Iterable[JobKey]) -> list[Verdict]:
        """Run jobs that are done again, whatever came of them, and return what never can, by rank.

        What ended only because of them waits for them again, as does what had all it depends on and was
        about to start. A job that was told to stop runs again after that. Others are not affected.
        """
        done = []
        for key in keys:
            job = self._wanted.jobs.get(key)
            if job is None:
                continue
            if job.state is State.DONE:
                done.append(job)
            elif job.told_to_stop:
                job.wanted_again = True
                job.cancelled = False
                self._queue_stopping()
        return _ranked(self._wanted.reopen(done))

    def cancel(self, key: JobKey) -> tuple[bool, list[Verdict]]:
        """End a job for a user: it stays so until `rerun`, or `retarget` says that it is outdated.

        Return whether the caller is to end its process now, and then say so with `finished`, and else the
        cases this ends, its own first; one that someone else runs is not to be waited for any more. A job
        that still comes to a verdict keeps it. One that is done is not affected.
        """
        job = self._wanted.jobs.get(key)
        if job is None or job.state is State.DONE:
            return False, []
        if job.state is not State.RUNNING:
            self._wanted.end(job, Outcome.CANCELLED)
            job.cancelled = True
            return False, _verdicts([job, *self._wanted.spread([job])])
        running_on = not job.told_to_stop
        job.told_to_stop = job.cancelled = True
        job.wanted_again = False
        self._stopping.append(key)
        self._free_stopping()
        return running_on, []

    def cancel_all(self) -> list[Verdict]:
        """Cancel all that does not run, and return it by rank. What runs is to be ended, then `finished`."""
        ended = []
        for job in self._wanted.order:
            if job.state is State.RUNNING:
                job.told_to_stop = True
                job.wanted_again = False
            elif job.state is not State.DONE:
                self._wanted.end(job, Outcome.CANCELLED)
                ended.append(job)
        return _ranked(ended)

    def retarget(
        self,
        cases: Iterable[Case],
        *,
        outdated: Callable[[JobKey], bool] | None = None,
        limits: Limits | None = None,
    ) -> Retargeted:
        """Want `cases` from now on, and nothing else; have `limits` from now on, unless None.

        Jobs still wanted stay as they are, with their outcomes, unless `outdated` says that what is known or
        being found out about them no longer counts. Those that `cancel_all` ended are to be run after all,
        those that `cancel` ended are not. Jobs no longer wanted are forgotten. Those that run hold what
        they hold, even where new limits have less of it, or nothing by that name.

        Raises: as the class does; then nothing has changed.
        """
        was_wanted, leaving = self._wanted.jobs, self._leaving
        stale = {key for key in (*was_wanted, *leaving) if outdated(key)} if outdated is not None else set()
        jobs = jobs_for(cases, was_wanted, stale, self._wanted.groups)
        order = dependents_last(jobs)
        for job in {id(job.group): job for job in jobs.values()}.values():
            (limits or self._capacity.limits).check(job.key.test, job.group.needs)
        dropped = stale | (was_wanted.keys() - jobs.keys()) | (leaving.keys() - jobs.keys())
        stop, abandon = [], []
        for was in (*was_wanted.values(), *leaving.values()) if dropped else ():
            if was.key in dropped:
                if was.state is State.RUNNING and not was.told_to_stop:
                    stop.append(was.started)
                    was.told_to_stop = True
                elif was.state is State.BUSY:
                    abandon.append(was.started)
        if limits is not None:
            self._capacity.change(limits)
        self._hand_over(jobs, dropped)
        blocked = self._wanted.take_over(jobs, order)
        self._queue_stopping()
        self._free_stopping()
        return Retargeted(stop=tuple(stop), abandon=tuple(abandon), verdicts=tuple(_ranked(blocked)))

    def _hand_over(self, jobs: dict[JobKey, Job], dropped: Set[JobKey]) -> None:
        """Give `jobs` what still holds of the jobs before."""
        leaving = {}
        for was in (*self._wanted.jobs.values(), *self._leaving.values()):
            job = jobs.get(was.key)
            if job is was:
                continue
            if was.state is State.RUNNING:
                if job is None:
                    was.leave()
                    leaving[was.key] = was
                else:
                    job.take_over(was, outdated=was.key in dropped)
            elif job is not None and was.key not in dropped:
                job.inherit(was)
        self._leaving = leaving

    def _start(self, job: Job, tokens: dict[str, tuple[str, ...]]) -> Start:
        job.started, job.held, job.tokens = job.cases[0], job.group.needs, tokens
        self._wanted.move(job, State.RUNNING)
        return Start(case=job.started, tokens=job.tokens)

    def _finish(self, job: Job, outcome: Outcome) -> list[Verdict]:
        if job.outdated:
            outcome = Outcome.CANCELLED
        again = job.wanted_again and not outcome.is_verdict
        cancelled = job.cancelled and not outcome.is_verdict
        job.told_to_stop = job.wanted_again = job.outdated = False
        self._give_back(job)
        if again:
            return _verdicts(self._wanted.place(job))
        self._wanted.end(job, Outcome.CANCELLED if cancelled else outcome)
        job.cancelled = cancelled
        return _verdicts(self._wanted.spread([job]))

    def _give_back(self, job: Job) -> None:
        self._capacity.give_tokens(job.tokens)
        job.tokens = {}
        if job.freed:
            job.freed = False
            self._freed -= 1
            self._free_stopping()
        else:
            self._capacity.give_place(job.held)

    def _queue_stopping(self) -> None:
        """Forget who is wanted again, and remember all that left."""
        queued = dict.fromkeys((*self._stopping, *self._leaving))
        self._stopping = deque(key for key in queued if self._could_free(key) is not None)

    def _free_stopping(self) -> None:
        """Give back slots and worktrees of jobs that nobody wants any more, but not of too many."""
        while self._stopping and self._freed < self._capacity.limits.jobs:
            job = self._could_free(self._stopping.popleft())
            if job is not None:
                job.freed = True
                self._freed += 1
                self._capacity.give_place(job.held)

    def _could_free(self, key: JobKey) -> Job | None:
        """Return the job if nobody wants it any more and it still has its slot."""
        job = self._leaving.get(key) or self._wanted.jobs.get(key)
        return job if job is not None and job.is_unwanted and not job.freed else None


def _verdicts(jobs: Iterable[Job]) -> list[Verdict]:
    return [Verdict(case=case, outcome=job.outcome, reason=job.reason) for job in jobs for case in job.cases]


def _ranked(jobs: Iterable[Job]) -> list[Verdict]:
    return sorted(_verdicts(jobs), key=lambda verdict: verdict.case.rank)
