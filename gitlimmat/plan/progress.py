"""Where each of the wanted jobs is, and what follows for others when one has ended.

Layer: plan. Pure.

Jobs that are ready wait in one heap for each kind of need, so a job that waits for a scarce token stands in
nobody's way: the best of those groups that fit starts next.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from operator import attrgetter

from gitlimmat.model import Outcome
from gitlimmat.plan.cases import JobKey
from gitlimmat.plan.jobs import Group, Job, State


class Progress:
    """The jobs that are wanted, by rank, and how many of them are in each state.

    Methods that may keep other jobs from running return these, each after what keeps it.
    """

    def __init__(self) -> None:
        self.jobs: dict[JobKey, Job] = {}
        self.order: list[Job] = []
        self.groups: list[Group] = []
        self.counts = [0] * len(State)

    def take_over(self, jobs: dict[JobKey, Job], dependents: Iterable[Job]) -> list[Job]:
        """Want these jobs, and find for each whether it waits, is ready or can never run.

        `dependents` are those that depend on others, after these. Those running, busy or done stay so.
        """
        self.jobs = jobs
        self.order = list(jobs.values())
        self.groups = list({id(job.group): job.group for job in self.order}.values())
        for group in self.groups:
            group.ready.clear()
        ended = []
        for ordinal, job in enumerate(self.order):
            job.ordinal = ordinal
            if job.state is State.WAITING and not job.dependencies:
                job.state = State.READY
                job.group.ready.append(ordinal)
        for job in dependents:
            job.waiting = sum(dependency.state is not State.DONE for dependency in job.dependencies)
            if job.state is State.WAITING:
                obstacle = job.obstacle
                if obstacle is not None:
                    job.end_for(obstacle)
                    ended.append(job)
                elif not job.waiting:
                    job.state = State.READY
                    job.group.ready.append(job.ordinal)
        states = Counter(map(attrgetter("state"), self.order))
        self.counts = [states[state] for state in State]
        for group in self.groups:
            heapify(group.ready)
        return ended

    def top(self, group: Group) -> int | None:
        """Return the best ordinal of a group that is still ready."""
        while group.ready:
            if self.order[group.ready[0]].state is State.READY:
                return group.ready[0]
            heappop(group.ready)
        return None

    def move(self, job: Job, state: State) -> None:
        """Put a job into another state than done."""
        self.counts[job.state] -= 1
        self.counts[state] += 1
        job.state = state

    def end(self, job: Job, outcome: Outcome) -> None:
        """Note how a job ended; `spread` tells those who depend on it."""
        self.counts[job.state] -= 1
        self.counts[State.DONE] += 1
        job.end(outcome)

    def place(self, job: Job) -> list[Job]:
        """Put a job that is in nobody's hands any more where it belongs; it may be the first that ends."""
        obstacle = job.obstacle
        if obstacle is not None:
            self._end_for(job, obstacle)
            return [job, *self.spread([job])]
        if job.waiting:
            self.move(job, State.WAITING)
        else:
            self._make_ready(job)
        return []

    def spread(self, ended: Iterable[Job]) -> list[Job]:
        """Tell dependents, and theirs, what the jobs that just ended mean for them."""
        blocked = []
        news = deque(ended)
        while news:
            dependency = news.popleft()
            for job in dependency.dependents:
                job.waiting -= 1
                if job.state is not State.WAITING:
                    continue
                if dependency.outcome is not Outcome.PASSED:
                    self._end_for(job, dependency)
                    blocked.append(job)
                    news.append(job)
                elif not job.waiting:
                    self._make_ready(job)
        return blocked

    def reopen(self, jobs: Iterable[Job]) -> list[Job]:
        """Take back how these jobs ended, and others because of them; return those that end again at once.

        Jobs that were ready, and depend on one of these, wait for it again. Those that know their outcome
        without it keep that.
        """
        reopened = []
        news = deque(jobs)
        while news:
            job = news.popleft()
            if job.state is not State.DONE:
                continue
            self.move(job, State.WAITING)
            job.cancelled = False
            reopened.append(job)
            for dependent in job.dependents:
                dependent.waiting += 1
                if dependent.state is State.READY:
                    self.move(dependent, State.WAITING)
                elif dependent.state is State.DONE and dependent.cause == job.key.test:
                    news.append(dependent)
        return [ended for job in reopened if job.state is State.WAITING for ended in self.place(job)]

    def _end_for(self, job: Job, dependency: Job) -> None:
        self.counts[job.state] -= 1
        self.counts[State.DONE] += 1
        job.end_for(dependency)

    def _make_ready(self, job: Job) -> None:
        self.move(job, State.READY)
        heappush(job.group.ready, job.ordinal)
