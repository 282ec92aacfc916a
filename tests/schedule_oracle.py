"""A schedule that is slow and simple: it looks at everything anew each time, without heaps and counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gitlimmat.model import Outcome, Resource
from gitlimmat.plan.capacity import Limits, Token
from gitlimmat.plan.cases import Case, JobKey
from gitlimmat.plan.schedule import Retargeted, Start, Verdict

Told = tuple[str, Outcome, str]


class World:
    """What a schedule shares with others: `slots` in all, and the tokens of "db", which `others` may have.

    It checks that nothing is taken twice, and given only by who has it.
    """

    def __init__(self) -> None:
        self.slots = 100
        self.others: set[Token] = set()
        self.used = 0
        self.held: set[Token] = set()
        self.awaited: tuple[bool, Token | None] = (False, None)

    def take_slot(self) -> bool:
        if self.used >= self.slots:
            return False
        self.used += 1
        return True

    def give_slot(self) -> None:
        assert self.used > 0
        self.used -= 1

    def shares(self, resource: str) -> bool:
        return resource == "db"

    def take_token(self, token: Token) -> bool:
        assert token not in self.held
        if token in self.others:
            return False
        self.held.add(token)
        return True

    def give_token(self, token: Token) -> None:
        self.held.remove(token)

    def waits_for(self, *, slot: bool, token: Token | None) -> None:
        assert not slot or token is None
        self.awaited = (slot, token)


class Oracle:
    """Follows a `Schedule` step by step, says what it must answer, and checks what it did answer."""

    def __init__(
        self, cases: Sequence[Case], jobs: int, worktrees: int, resources: Sequence[Resource]
    ) -> None:
        self.limit(Limits(jobs=jobs, worktrees=worktrees, resources=tuple(resources)))
        self.world = World()
        self.awaited: tuple[bool, Token | None] = (False, None)
        self.own: dict[JobKey, Outcome] = {}
        self.derived: dict[JobKey, tuple[Outcome, str]] = {}
        self.running: dict[JobKey, Start] = {}
        self.busy: dict[JobKey, Case] = {}
        self.told: set[JobKey] = set()
        self.again: set[JobKey] = set()
        self.outdated: set[JobKey] = set()
        self.by_user: set[JobKey] = set()
        self.leaving: list[JobKey] = []
        self.freed: set[JobKey] = set()
        self.cases: dict[JobKey, list[Case]] = {}
        self.want(cases)

    def limit(self, limits: Limits) -> None:
        self.limits = (limits.jobs, limits.worktrees)
        self.values = {resource.name: resource.tokens for resource in limits.resources}

    def want(self, cases: Sequence[Case]) -> None:
        self.cases = {}
        for case in sorted(cases, key=lambda case: case.rank):
            self.cases.setdefault(case.key, []).append(case)
        self.commits = {(case.commit.id, case.test.name): case.key for case in cases}

    def dependencies(self, key: JobKey) -> dict[str, JobKey]:
        case = self.cases[key][0]
        return {name: self.commits[case.commit.id, name] for name in case.test.depends_on}

    def outcome(self, key: JobKey) -> Outcome | None:
        return self.own.get(key) or self.derived.get(key, (None, ""))[0]

    def idle(self) -> list[JobKey]:
        """Jobs that are neither over nor in anyone's hands, by rank."""
        held = self.running.keys() | self.busy.keys()
        return [key for key in self.cases if key not in held and self.outcome(key) is None]

    def state(self, key: JobKey) -> str:
        if key in self.running or key in self.busy:
            return "RUNNING" if key in self.running else "BUSY"
        if self.outcome(key) is not None:
            return "DONE"
        passed = all(self.outcome(each) is Outcome.PASSED for each in self.dependencies(key).values())
        return "READY" if passed else "WAITING"

    def starts(self) -> list[tuple[Case, dict[str, tuple[str, ...]]]]:
        """Go through all by rank, and start what fits in what is left."""
        placed = [start.case.test for key, start in self.running.items() if key not in self.freed]
        slots = self.limits[0] - len(placed)
        worktrees = self.limits[1] - sum(test.requires_worktree for test in placed)
        used = [(n, v) for start in self.running.values() for n, vs in start.tokens.items() for v in vs]
        expected = []
        outside = self.world.slots - len(placed)
        self.awaited = (False, None)
        for key in self.idle():
            test = self.cases[key][0].test
            free = {n: [v for v in self.values[n] if (n, v) not in used] for n in self.values}
            fits = all(need.count <= len(free[need.name]) for need in test.resources)
            room = slots > 0 and (worktrees > 0 or not test.requires_worktree)
            if self.state(key) != "READY" or not room or not fits:
                continue
            missing = None
            for need in sorted(test.resources, key=lambda need: need.name):
                refused = [v for v in free[need.name] if (need.name, v) in self.world.others]
                free[need.name] = [v for v in free[need.name] if v not in refused]
                if need.count > len(free[need.name]) and missing is None:
                    missing = Token(need.name, refused[0])
            if outside < 1 or missing is not None:
                if self.awaited == (False, None):
                    self.awaited = (outside < 1, None if outside < 1 else missing)
                continue
            tokens = {need.name: tuple(free[need.name][: need.count]) for need in test.resources}
            used += [(n, v) for n, values in tokens.items() for v in values]
            slots, worktrees, outside = slots - 1, worktrees - test.requires_worktree, outside - 1
            expected.append((self.cases[key][0], tokens))
        return expected

    def check_world(self) -> None:
        """Check that the others see as taken what is held, and nothing else."""
        assert self.world.used == len(self.running.keys() - self.freed)
        starts = self.running.values()
        assert self.world.held == {
            Token(name, value)
            for start in starts
            for name, values in start.tokens.items()
            for value in values
            if name == "db"
        }

    def started(self, starts: Sequence[Start]) -> None:
        assert [(start.case, start.tokens) for start in starts] == self.starts()
        self.running |= {start.case.key: start for start in starts}
        assert self.world.awaited == self.awaited

    def finished(self, key: JobKey, outcome: Outcome) -> None:
        if key not in self.running:
            self.learned({key: outcome})
            return
        del self.running[key]
        self.freed.discard(key)
        self.leave()
        if key in self.outdated:
            outcome = Outcome.CANCELLED
        runs_again = key in self.again and not outcome.is_verdict
        if outcome.is_verdict:
            self.by_user.discard(key)
        elif key in self.by_user:
            outcome = Outcome.CANCELLED
        for flags in (self.told, self.again, self.outdated):
            flags.discard(key)
        if key in self.cases and not runs_again:
            self.own[key] = outcome

    def leave(self) -> None:
        """Let the first of those that nobody wants give back their places, but not too many."""
        self.leaving = [key for key in self.leaving if key in self.running and key not in self.freed]
        room = max(self.limits[0] - len(self.freed), 0)
        self.freed |= set(self.leaving[:room])
        self.leaving = self.leaving[room:]

    def learned(self, outcomes: dict[JobKey, Outcome]) -> None:
        for key, outcome in outcomes.items():
            if key in self.cases and key not in self.running and self.outcome(key) is None:
                self.busy.pop(key, None)
                self.own[key] = outcome

    def became_busy(self, key: JobKey) -> list[Told]:
        """Return the verdicts about the job itself."""
        if key not in self.running:
            return []
        if key in self.told:
            self.finished(key, Outcome.CANCELLED)
            return self.verdicts_of(key, Outcome.CANCELLED, "") if key in self.own else []
        self.busy[key] = self.running.pop(key).case
        return []

    def run_again(self, keys: Sequence[JobKey]) -> None:
        for key in keys:
            if key in self.running and key in self.told and key in self.cases:
                self.again.add(key)
                self.leaving = [each for each in self.leaving if each != key]
            if key not in self.running or key in self.told:
                self.by_user.discard(key)
            self.own.pop(key, None)
            self.derived.pop(key, None)
        while gone := [key for key in self.derived if self.outcome(self._cause(key)) is None]:
            for key in gone:
                del self.derived[key]

    def cancelled_one(self, key: JobKey) -> tuple[bool, list[Told]]:
        if key not in self.cases or (key not in self.running and self.outcome(key) is not None):
            return False, []
        self.by_user.add(key)
        if key not in self.running:
            self.busy.pop(key, None)
            self.own[key] = Outcome.CANCELLED
            return False, self.verdicts_of(key, Outcome.CANCELLED, "")
        new = key not in self.told
        self.told.add(key)
        self.again.discard(key)
        self.leaving += [key] if key not in self.leaving else []
        self.leave()
        return new, []

    def _cause(self, key: JobKey) -> JobKey:
        return self.dependencies(key)[self.derived[key][1].split("'")[1]]

    def cancelled(self) -> list[Told]:
        ended = [*self.idle(), *self.busy]
        self.busy = {}
        self.own |= dict.fromkeys(ended, Outcome.CANCELLED)
        self.told |= self.running.keys()
        self.again.clear()
        return [told for key in ended for told in self.verdicts_of(key, Outcome.CANCELLED, "")]

    def retargeted(
        self, cases: Sequence[Case], outdated: Callable[[JobKey], bool], answer: Retargeted
    ) -> list[Told]:
        """Check what is to be stopped; return the verdicts known before that still hold."""
        wanted = {case.key for case in cases}
        dropped = {key for key in (*self.cases, *self.running) if key not in wanted or outdated(key)}
        stop = [start.case for key, start in self.running.items() if key in dropped - self.told]
        abandon = [case for key, case in self.busy.items() if key in dropped]
        assert sorted(c.rank for c in answer.stop) == sorted(c.rank for c in stop)
        assert {c.key for c in answer.stop} == {c.key for c in stop}
        assert {c.key for c in answer.abandon} == {c.key for c in abandon}
        before, self.derived = self.derived, {}
        self.told |= {case.key for case in stop}
        self.by_user -= dropped
        self.again = (self.told & self.running.keys() & wanted) - self.by_user
        self.outdated |= self.running.keys() & wanted & dropped
        self.busy = {key: case for key, case in self.busy.items() if key not in dropped}
        self.own = {
            key: outcome
            for key, outcome in self.own.items()
            if key not in dropped and (outcome is not Outcome.CANCELLED or key in self.by_user)
        }
        for key in self.cases:
            if key in self.running and key not in self.leaving and key not in wanted:
                self.leaving.append(key)
        self.leaving = [key for key in self.leaving if key not in wanted or key in self.by_user]
        self.leave()
        self.want(cases)
        self.check([(v.case.commit.id + v.case.test.name, v.outcome, v.reason) for v in answer.verdicts])
        for key, (_, reason) in before.items():
            if key in self.derived and key not in dropped:
                name = reason.split("'")[1]
                still = name in self.dependencies(key) and self.outcome(self.dependencies(key)[name])
                if still not in (None, False, Outcome.PASSED):
                    assert self.derived[key][1].split("'")[1] == name
        return []

    def verdicts_of(self, key: JobKey, outcome: Outcome, reason: str) -> list[Told]:
        return [(case.commit.id + key.test, outcome, reason) for case in self.cases[key]]

    def check_verdicts(self, verdicts: Sequence[Verdict], others: Sequence[Told] = ()) -> None:
        """Check what a step told beside `others`: all that can now never run, once, with a true reason."""
        told = [(v.case.commit.id + v.case.test.name, v.outcome, v.reason) for v in verdicts]
        for each in others:
            told.remove(each)
        self.check(told)

    def check(self, told: list[Told]) -> None:
        told = list(told)
        while blocked := [key for key in self.idle() if self._obstacles(key)]:
            before = len(told)
            for key in blocked:
                for verdict in self._obstacles(key):
                    lines = self.verdicts_of(key, *verdict)
                    if lines[0] in told:
                        self.derived[key] = verdict
                        for line in lines:
                            told.remove(line)
                        break
            assert len(told) < before, f"nobody was told about {blocked}, only {told}"
        assert not told, "someone was told what is not so"

    def _obstacles(self, key: JobKey) -> list[tuple[Outcome, str]]:
        found = []
        for name, dependency in self.dependencies(key).items():
            match self.outcome(dependency):
                case None | Outcome.PASSED:
                    continue
                case Outcome.SKIPPED:
                    found.append((Outcome.SKIPPED, f"dependency '{name}' skipped"))
                case outcome:
                    found.append((Outcome.ERRORED, f"dependency '{name}' {outcome.value}"))
        return found
