"""The jobs that a set of cases asks for, and how they depend on each other.

Layer: plan. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from graphlib import TopologicalSorter
from operator import attrgetter

import msgspec

from gitlimmat.model import Outcome
from gitlimmat.plan.capacity import Needs, needs_of
from gitlimmat.plan.cases import Case, JobKey


class State(IntEnum):
    """Where a job is on its way."""

    WAITING = 0  # for its dependencies
    READY = 1  # for something to hold
    RUNNING = 2  # and holding
    BUSY = 3  # someone else runs it
    DONE = 4


class Group(msgspec.Struct, eq=False):
    """The jobs with the same needs. `ready` is a heap of their ordinals; some may be ready no longer."""

    needs: Needs
    ready: list[int]


class Job(msgspec.Struct, eq=False):
    """The work that answers one or more cases. `cases` are in order of rank, `ordinal` counts all jobs so.

    `waiting` is how many of `dependencies` are not done. `outcome` and `reason` mean something once it is
    done; `cause` is the dependency that ended it. While it runs, or someone else runs it, `started` is the
    case it was started on; while it runs, it holds `tokens`, and unless `freed` a slot and what else `held`
    needs.
    """

    key: JobKey
    cases: list[Case]
    ordinal: int
    group: Group
    started: Case
    held: Needs
    tokens: dict[str, tuple[str, ...]] = {}
    state: State = State.WAITING
    waiting: int = 0
    dependencies: tuple[Job, ...] = ()
    dependents: list[Job] = []
    outcome: Outcome = Outcome.CANCELLED
    reason: str = ""
    cause: str | None = None
    told_to_stop: bool = False  # the caller was asked to end it
    wanted_again: bool = False  # since then it was asked for anew: without a verdict it runs again
    freed: bool = False  # its slot and worktree were given back before it ended
    cancelled: bool = False  # a user wants it to be over, until the user says otherwise
    outdated: bool = False  # what it finds out is about something else by now

    def end(self, outcome: Outcome, reason: str = "", cause: str | None = None) -> None:
        """Note how it ended. Those who depend on it are not told."""
        self.state = State.DONE
        self.outcome = outcome
        self.reason = reason
        self.cause = cause
        self.cancelled = False

    def end_for(self, dependency: Job) -> None:
        """Note that it can never run, because `dependency` is done and did not pass."""
        name = dependency.key.test
        skipped = dependency.outcome is Outcome.SKIPPED
        outcome = Outcome.SKIPPED if skipped else Outcome.ERRORED
        self.end(outcome, f"dependency '{name}' {dependency.outcome}", name)

    def take_over(self, was: Job, *, outdated: bool) -> None:
        """Be the running job that `was` is."""
        self.state = State.RUNNING
        self.started, self.held, self.tokens, self.freed = was.started, was.held, was.tokens, was.freed
        self.outdated = was.outdated or outdated
        self.cancelled = was.cancelled and not outdated
        self.told_to_stop = was.told_to_stop
        self.wanted_again = self.told_to_stop and not self.cancelled

    def inherit(self, was: Job) -> None:
        """Keep what is known of a job that does not run, unless it only followed from something else.

        Being cancelled lasts when a user wanted it; at the end of a run it does not.
        """
        self.cause = was.cause
        if was.state is State.BUSY:
            self.state = State.BUSY
            self.started = was.started
        lasts = was.outcome is not Outcome.CANCELLED or was.cancelled
        if was.state is State.DONE and was.cause is None and lasts:
            self.end(was.outcome, was.reason)
            self.cancelled = was.cancelled

    def leave(self) -> None:
        """Be a job that is in no set of cases any more: what was asked of it is over."""
        self.wanted_again = self.cancelled = False

    @property
    def is_unwanted(self) -> bool:
        """Whether it runs, was told to stop, and is over with that."""
        return self.state is State.RUNNING and self.told_to_stop and not self.wanted_again

    @property
    def obstacle(self) -> Job | None:
        """A dependency that is done and did not pass; the one named before, as long as that is true."""
        obstacles = [
            job for job in self.dependencies if job.state is State.DONE and job.outcome is not Outcome.PASSED
        ]
        return next((job for job in obstacles if job.key.test == self.cause), next(iter(obstacles), None))


def jobs_for(cases: Iterable[Case]) -> dict[JobKey, Job]:
    """Return the jobs that answer `cases`, linked to what they depend on.

    A job that several commits share runs on the one of best rank and depends on the jobs of that commit.

    Shape: in order of rank.
    Raises: ValueError when a dependency is not among the cases.
    """
    jobs: dict[JobKey, Job] = {}
    groups: dict[Needs, Group] = {}
    by_test: dict[str, Group] = {}
    for case in sorted(cases, key=attrgetter("rank")):
        key = case.key
        job = jobs.get(key)
        if job is not None:
            job.cases.append(case)
            continue
        group = by_test.get(key.test)
        if group is None:
            needs = needs_of(case.test)
            group = by_test[key.test] = groups.setdefault(needs, Group(needs, []))
        jobs[key] = Job(key, [case], len(jobs), group, case, group.needs)
    _link(jobs.values())
    return jobs


def _link(jobs: Iterable[Job]) -> None:
    needed = {name for job in jobs for name in job.cases[0].test.depends_on}
    if not needed:
        return
    there = {
        (case.commit.id, job.key.test): job for job in jobs if job.key.test in needed for case in job.cases
    }
    for job in jobs:
        first = job.cases[0]
        if not first.test.depends_on:
            continue
        names = dict.fromkeys(first.test.depends_on)
        found = [there.get((first.commit.id, name)) for name in names]
        job.dependencies = tuple(dependency for dependency in found if dependency is not None)
        if len(job.dependencies) < len(names):
            missing = [name for name, dependency in zip(names, found, strict=True) if dependency is None]
            raise ValueError(f"'{job.key.test}' depends on {missing}, not planned for {first.commit.id}")
        for dependency in job.dependencies:
            dependency.dependents.append(job)


def dependencies_first(jobs: Mapping[JobKey, Job]) -> list[Job]:
    """Return the jobs, each after all it depends on, and by rank within a test.

    Raises: ValueError when tests depend on each other in a circle.
    """
    by_test: dict[str, list[Job]] = {}
    for job in jobs.values():
        by_test.setdefault(job.key.test, []).append(job)
    order = TopologicalSorter({name: some[0].cases[0].test.depends_on for name, some in by_test.items()})
    return [job for name in order.static_order() for job in by_test[name]]
