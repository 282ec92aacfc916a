"""The jobs that a set of cases asks for, and how they depend on each other.

Layer: plan. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from enum import IntEnum
from graphlib import TopologicalSorter
from operator import attrgetter

import msgspec

from gitlimmat.model import Outcome, Test
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
    def is_settled(self) -> bool:
        """Whether all there is to know of it is its outcome, which lasts: nothing is linked to it."""
        return (
            self.state is State.DONE
            and self.cause is None
            and (self.outcome is not Outcome.CANCELLED or self.cancelled)
            and not self.dependencies
            and not self.dependents
        )

    @property
    def obstacle(self) -> Job | None:
        """A dependency that is done and did not pass; the one named before, as long as that is true."""
        obstacles = [
            job for job in self.dependencies if job.state is State.DONE and job.outcome is not Outcome.PASSED
        ]
        return next((job for job in obstacles if job.key.test == self.cause), next(iter(obstacles), None))


def jobs_for(
    cases: Iterable[Case], before: Mapping[JobKey, Job], outdated: Set[JobKey], groups: Iterable[Group]
) -> dict[JobKey, Job]:
    """Return the jobs that answer `cases`, linked to what they depend on.

    A job that several commits share runs on the one of best rank and depends on the jobs of that commit.
    Settled jobs of `before` about the same cases are taken as they are, unless they are `outdated`; other
    jobs are new. Those with the needs of one of `groups` belong to it.

    Shape: in order of rank, which their ordinals do not say yet.
    Raises: ValueError when a dependency is not among the cases; nothing given has changed then.
    """
    wanted: dict[JobKey, list[Case]] = {}
    for case in sorted(cases, key=attrgetter("rank")):
        wanted.setdefault(case.key, []).append(case)
    tests = {id(some[0].test): some[0].test for some in wanted.values()}
    linked = {name for test in tests.values() for name in (*test.depends_on, test.name) if test.depends_on}
    place = _places(tests.values(), groups)
    jobs: dict[JobKey, Job] = {}
    for key, some in wanted.items():
        was = before.get(key)
        if (
            was is not None
            and was.cases == some
            and was.is_settled
            and key.test not in linked
            and key not in outdated
        ):
            jobs[key] = was
        else:
            group = place[key.test]
            jobs[key] = Job(key, some, 0, group, some[0], group.needs)
    if linked:
        _link([job for job in jobs.values() if job.key.test in linked])
    return jobs


def _places(tests: Iterable[Test], groups: Iterable[Group]) -> dict[str, Group]:
    """Return the group of each test, new where there is none with such needs."""
    there = {group.needs: group for group in groups}
    found: dict[str, Group] = {}
    for test in tests:
        if test.name not in found:
            needs = needs_of(test)
            found[test.name] = there.setdefault(needs, Group(needs, []))
    return found


def _link(jobs: Iterable[Job]) -> None:
    there = {(case.commit.id, job.key.test): job for job in jobs for case in job.cases}
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


def dependents_last(jobs: Mapping[JobKey, Job]) -> list[Job]:
    """Return the jobs that depend on others, each after all it depends on, and by rank within a test.

    Raises: ValueError when tests depend on each other in a circle.
    """
    by_test: dict[str, list[Job]] = {}
    for job in jobs.values():
        if job.dependencies:
            by_test.setdefault(job.key.test, []).append(job)
    order = TopologicalSorter({name: some[0].cases[0].test.depends_on for name, some in by_test.items()})
    return [job for name in order.static_order() for job in by_test.get(name, ())]
