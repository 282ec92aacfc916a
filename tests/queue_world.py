"""A world for the planner of a queue: git, tests, people and crashes, each as simple as can be.

It keeps its own books (who approved what, what each commit contains, what was tested) in plain dictionaries,
and checks each landing against these, never against the planner's view.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Sequence

from gitlimmat.queue.events import (
    QUEUE,
    Approved,
    CancelRequested,
    ChangeEvent,
    Closed,
    Conflicted,
    DraftSet,
    HeadMoved,
    Kind,
    Landed,
    Member,
    Opened,
    Paused,
    Prioritized,
    QueueEvent,
    Reopened,
    Resumed,
    RetryRequested,
    Rollup,
    RollupSet,
    RunEnded,
    RunOutcome,
    RunStarted,
    TargetChanged,
    TreeClosed,
    TreeOpened,
    TryRequested,
    Unapproved,
)
from gitlimmat.queue.fold import fold_change, fold_queue
from gitlimmat.queue.plan import plan
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Action, Broken, End, Facts, Lack, Land, Note, Snapshot, Start
from gitlimmat.queue.state import UNROLLED, Change, Forge, Queue, Status

MAIN = "refs/heads/main"
STABLE = "refs/heads/stable"
LIMIT_S = 100.0


def oid(*what: object) -> str:
    """Return the name of a commit made of `what`."""
    return hashlib.sha1(repr(what).encode(), usedforsecurity=False).hexdigest()


class World:
    """Everything the planner cannot see but through timelines and facts."""

    def __init__(self, rules: Rules | None = None, seed: int = 0) -> None:
        self.rules = rules or Rules(targets=(MAIN, STABLE))
        self.random = random.Random(seed)
        self.now = 1000.0
        self.tips = {target: oid("root", target) for target in self.rules.targets}
        self.parent: dict[str, str] = dict.fromkeys(self.tips.values(), "")
        self.contents: dict[str, frozenset[str]] = {tip: frozenset() for tip in self.tips.values()}
        self.changes: dict[int, Change] = {}
        self.queue = Queue()
        self.histories: dict[int, list[ChangeEvent]] = {}
        self.approved: dict[int, str] = {}
        self.named: dict[str, set[tuple[int, str]]] = {}  # by run, who has approved what its merge says
        self.bad: set[str] = set()
        self.bad_together: set[frozenset[str]] = set()
        self.conflicts: set[frozenset[str]] = set()
        self.ahead: set[tuple[str, str]] = set()
        self.brought: set[tuple[str, str]] = set()
        self.broken: dict[str, str] = {}
        self.starts: dict[str, Start] = {}
        self.merges: dict[str, str] = {}
        self.verdicts: dict[str, RunOutcome] = {}
        self.due: dict[str, float] = {}
        self.passed_merges: set[tuple[str, str]] = set()
        self.landings: list[Land] = []
        self.run_count = 0
        self.flaky = 0.0

    # What the planner sees.

    def snapshot(self) -> Snapshot:
        """Return all state, with facts looked up in this world."""
        open_changes = [each for each in self.changes.values() if each.forge is Forge.OPEN]
        facts = Facts(
            tips=dict(self.tips),
            contained=frozenset(
                each.id
                for each in open_changes
                if each.target in self.tips and each.head in self.contents[self.tips[each.target]]
            ),
            merged=frozenset(
                run
                for run, merge in self.merges.items()
                if self.starts[run].target in self.tips
                and merge in self.ancestors(self.tips[self.starts[run].target])
            ),
            conflicts=frozenset(
                {(each.conflict.head, each.conflict.base) for each in open_changes if each.conflict}
                | {pair for pair in self.ahead if pair[1] not in self.tips.values()}
            ),
            brought=frozenset(self.brought),
            broken={place: Broken(lack=Lack.SENSE, said=said) for place, said in self.broken.items()},
        )
        return Snapshot(changes=dict(self.changes), queue=self.queue, facts=facts)

    def plan(self) -> tuple[Action, ...]:
        """Return what the planner wants; twice the same for the same state."""
        snapshot = self.snapshot()
        actions = plan(snapshot, self.rules, self.now)
        assert actions == plan(snapshot, self.rules, self.now)
        return actions

    def ancestors(self, commit: str) -> set[str]:
        """Return a commit and all before it on its target."""
        found = set()
        while commit:
            found.add(commit)
            commit = self.parent[commit]
        return found

    def clashes(self, head: str, base: str) -> bool:
        """Return whether `head` cannot be merged onto `base`."""
        return any(frozenset((head, other)) in self.conflicts for other in self.contents[base])

    def is_bad(self, merge: str) -> bool:
        """Return whether the tests fail on a merge."""
        inside = self.contents[merge]
        return bool(inside & self.bad) or any(pair <= inside for pair in self.bad_together)

    # What people do.

    def tell(self, number: int, *events: ChangeEvent) -> None:
        """Add events to a change's timeline."""
        self.histories.setdefault(number, []).extend(events)
        before = self.changes.get(number, Change(id=number))
        self.changes[number] = fold_change(before, events)

    def tell_queue(self, event: QueueEvent) -> None:
        """Add an event to the queue's own timeline."""
        self.queue = fold_queue(self.queue, (event,))

    def open(self, target: str = MAIN, **fields: object) -> int:
        """Open a change and return its number."""
        number = len(self.changes) + 1
        head = oid("head", number, 0)
        self.tell(
            number, Opened(actor="ann", at=self.now, target=target, head=head, title=f"change {number}")
        )
        return number

    def approve(self, number: int, *, repair: bool = False) -> int:
        """Approve a change as it is, now."""
        change = self.changes[number]
        if change.forge is Forge.OPEN and not change.is_draft:
            self.approved[number] = change.head
        self.now += 1
        by = self.random.choice(("rita", "sue"))
        self.tell(number, Approved(actor=by, at=self.now, head=change.head, by=by, repair=repair))
        return number

    def unapprove(self, number: int) -> None:
        """Withdraw the approval."""
        self.approved.pop(number, None)
        self.tell(number, Unapproved(actor="rita", at=self.now))

    def push(self, number: int) -> None:
        """Give a change another head."""
        self.approved.pop(number, None)
        change = self.changes[number]
        new = oid("head", number, len(change.heads))
        self.tell(number, HeadMoved(actor="ann", at=self.now, old=change.head, new=new, title="again"))

    def close(self, number: int) -> None:
        """Close a change."""
        self.approved.pop(number, None)
        self.tell(number, Closed(actor="ann", at=self.now))

    def retarget(self, number: int, target: str) -> None:
        """Let a change go elsewhere."""
        self.approved.pop(number, None)
        self.tell(number, TargetChanged(actor="ann", at=self.now, target=target))

    def draft(self, number: int, *, draft: bool) -> None:
        """Make a change a draft, or none."""
        if draft:
            self.approved.pop(number, None)
        self.tell(number, DraftSet(actor="ann", at=self.now, draft=draft))

    def cancel(self, number: int, *, yielding: bool = False, reason: str = "") -> None:
        """Cancel the auto run of a change, if it is at work."""
        auto = self.changes[number].auto
        if auto is not None and auto.is_open:
            self.tell(
                number,
                CancelRequested(actor="rita", at=self.now, run=auto.run, yielding=yielding, reason=reason),
            )

    def retry(self, number: int) -> None:
        """Let the last auto run of a change count no more."""
        auto = self.changes[number].auto
        if auto is not None:
            self.tell(number, RetryRequested(actor="rita", at=self.now, run=auto.run))

    def want_try(self, number: int, *, tests: tuple[str, ...] = (), parent: str = "") -> None:
        """Ask for a try."""
        head = self.changes[number].head
        self.tell(
            number,
            TryRequested(actor="ann", at=self.now, head=head, tests=tests, parent=parent),
        )

    def pause(self, reason: str = "") -> None:
        """Pause the queue."""
        self.tell_queue(Paused(actor="alice", at=self.now, reason=reason))

    def resume(self) -> None:
        """Resume it."""
        self.tell_queue(Resumed(actor="alice", at=self.now))

    def close_tree(self, below: int, reason: str = "", target: str = "") -> None:
        """Close trees."""
        self.tell_queue(TreeClosed(actor="alice", at=self.now, below=below, reason=reason, target=target))

    def open_tree(self) -> None:
        """Open all trees."""
        self.tell_queue(TreeOpened(actor="alice", at=self.now))

    def prioritize(self, number: int, priority: int) -> None:
        """Set a priority."""
        self.tell(number, Prioritized(actor="rita", at=self.now, priority=priority))

    def roll_up(self, number: int, mode: Rollup) -> None:
        """Set a rollup mode."""
        self.tell(number, RollupSet(actor="rita", at=self.now, mode=mode))

    def move_target(self, target: str = MAIN, *heads: str) -> None:
        """Let someone else move a target, and bring `heads` there."""
        self.run_count += 1
        self.tips[target] = self._commit(self.tips[target], heads, "others", self.run_count)

    def _commit(self, base: str, heads: Sequence[str], *what: object) -> str:
        made = oid(base, tuple(heads), *what)
        self.parent[made] = base
        self.contents[made] = self.contents[base] | set(heads)
        return made

    # What the daemon does.

    def execute(self, action: Action, *, writes: int = 1_000_000) -> None:
        """Do what the planner wants; a crash leaves only the first `writes` of it done."""
        todo: list[Callable[[], None]] = []
        match action:
            case Start():
                self._start(action, todo)
            case End():
                self._check_end(action)
                for number in action.changes:
                    ended = RunEnded(
                        actor=QUEUE, at=self.now, run=action.run, outcome=action.outcome, reason=action.reason
                    )
                    todo.append(lambda number=number, ended=ended: self.tell(number, ended))  # type: ignore[misc]
            case Land():
                self._check_landing(action)
                todo.append(lambda: self._move(action))
                for number in action.changes:
                    landed = Landed(
                        actor=QUEUE,
                        at=self.now,
                        run=action.run,
                        target=action.target,
                        old=action.old,
                        new=action.new,
                    )
                    todo.append(lambda number=number, landed=landed: self.tell(number, landed))  # type: ignore[misc]
            case Note():
                assert action.new in self.ancestors(self.tips[action.target])
                noted = Landed(
                    actor=QUEUE, at=self.now, run=action.run, target=action.target, old="", new=action.new
                )
                todo.append(lambda: self.tell(action.change, noted))
        for write in todo[:writes]:
            write()

    def _start(self, action: Start, todo: list[Callable[[], None]]) -> None:
        self._check_start(action)
        merge = action.base
        kept: list[Member] = []
        for member in action.members:
            if self.clashes(member.head, action.base) and action.after:
                self.ahead.add((member.head, action.base))
            elif self.clashes(member.head, action.base):
                conflict = Conflicted(actor=QUEUE, at=self.now, head=member.head, base=action.base)
                todo.append(lambda number=member.change, event=conflict: self.tell(number, event))  # type: ignore[misc]
            elif not self.clashes(member.head, merge):
                self.run_count += 1
                merge = self._commit(merge, [member.head], action.base)
                self.parent[merge] = action.base
                kept.append(member)
        if not kept:
            return
        self.run_count += 1
        run = f"{merge[:12]}-{self.run_count}"
        self.starts[run], self.merges[run] = action, merge
        self.named[run] = self._approvers(member.change for member in kept)
        self.due[run] = self.now + self.random.choice((10.0, 20.0, 30.0))
        if self.random.random() < self.flaky:
            self.due[run] = self.random.choice((LIMIT_S * 2, 5.0))
        started = RunStarted(
            actor=QUEUE,
            at=self.now,
            run=run,
            kind=action.kind,
            target=action.target,
            members=tuple(kept),
            base=action.base,
            merge=merge,
            after=action.after,
            commits=(merge,),
            tests=("unit",),
            deadline=self.now + LIMIT_S,
            policy=self.rules.policy,
            chosen=self.rules.tests,
            every_commit=self.rules.every_commit,
            repair=action.repair,
        )
        todo += [lambda number=each.change: self.tell(number, started) for each in kept]  # type: ignore[misc]

    def _approvers(self, numbers: Iterable[int]) -> set[tuple[int, str]]:
        approvals = {number: self.changes[number].approval for number in numbers}
        return {(number, found.by) for number, found in approvals.items() if found is not None}

    def _check_start(self, action: Start) -> None:
        """The rules of a start, from this world's own books."""
        assert self.queue.paused is None
        assert len({member.change for member in action.members}) == len(action.members) > 0
        for member in action.members:
            change = self.changes[member.change]
            assert change.head == member.head
            assert change.forge is Forge.OPEN
            assert change.target == action.target
            if action.kind is Kind.AUTO:
                assert self.approved[member.change] == member.head
                closing = self.queue.closing(action.target)
                assert closing is None or change.priority >= closing.below
                assert not any(run.is_open for run in change.runs if run.kind is Kind.AUTO)
        if action.kind is Kind.AUTO:
            assert len(action.members) <= self.rules.batch
            assert action.base in (self.tips[action.target], self.merges.get(action.after))

    def _check_end(self, action: End) -> None:
        """What has passed, and would land now, is not ended."""
        run = next(known for each in self.changes.values() if (known := each.run(action.run)) is not None)
        members = [(self.changes[each.change], each.head) for each in run.members]
        told = [change.run(action.run) for change, _ in members]
        if run.kind is Kind.AUTO and all(
            each is not None and each.outcome is RunOutcome.PASSED for each in told
        ):
            is_distrusted = any(job.by and job.by not in self.rules.trusted for job in run.jobs)
            assert (
                is_distrusted
                or self.named[run.run] != self._approvers(change.id for change, _ in members)
                or run.base != self.tips[run.target]
                or any(
                    self.approved.get(change.id) != head
                    or change.target != run.target
                    or change.auto is None
                    or change.auto.run != run.run
                    for change, head in members
                )
            )

    def _check_ready(self) -> None:
        """What is said to be ready has passed on the tip, or on what may still land before it."""
        for change in self.changes.values():
            if change.status is not Status.READY:
                continue
            assert change.auto is not None
            before = self.starts[change.auto.run]
            while before.base != self.tips[before.target]:
                assert before.after, f"#{change.id} cannot land, and is said to be ready"
                ends = [each.run(before.after) for each in self.changes.values()]
                assert all(run is None or run.outcome in (None, RunOutcome.PASSED) for run in ends)
                before = self.starts[before.after]

    def _check_landing(self, action: Land) -> None:
        """Nothing lands unapproved, untested, or with another head or base than was tested."""
        start = self.starts[action.run]
        merge = self.merges[action.run]
        assert start.kind is Kind.AUTO
        assert action.new == merge
        assert action.old == start.base == self.tips[action.target] == self.parent[merge]
        assert self.verdicts[action.run] is RunOutcome.PASSED
        assert not self.is_bad(merge)
        assert self.named[action.run] >= self._approvers(action.changes)
        heads = {self.approved[number] for number in action.changes}
        assert self.contents[merge] == self.contents[action.old] | heads
        for number in action.changes:
            change = self.changes[number]
            assert change.forge is Forge.OPEN
            assert (change.head, change.target) == (self.approved[number], action.target)
        assert self.queue.paused is None

    def _move(self, action: Land) -> None:
        self.tips[action.target] = action.new
        self.landings.append(action)

    def settle(self, *, limit: int = 400) -> None:
        """Do what is wanted until nothing is."""
        for _ in range(limit):
            actions = self.plan()
            if not actions:
                self._check_ready()
                return
            self.execute(actions[0])
        raise AssertionError(f"the planner never comes to rest: {self.plan()}")

    def at_work(self) -> list[str]:
        """Return the runs that are open for all of their members."""
        return [run for run in self.starts if self._is_open(run)]

    def _is_open(self, run: str) -> bool:
        told = [change.run(run) for change in self.changes.values()]
        known = [each for each in told if each is not None]
        return bool(known) and len(known) == len(known[0].members) and all(each.is_open for each in known)

    def report(self, run: str, outcome: RunOutcome | None = None, *, writes: int = 1_000_000) -> None:
        """Let a run have its verdict; a crash tells only the first `writes` members."""
        if outcome is None:
            outcome = RunOutcome.FAILED if self.is_bad(self.merges[run]) else RunOutcome.PASSED
        self.verdicts[run] = outcome
        told = [change for change in self.changes.values() if change.run(run) is not None]
        for change in told[:writes]:
            self.tell(change.id, RunEnded(actor=QUEUE, at=self.now, run=run, outcome=outcome))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and runs end that are due."""
        self.now += seconds
        for run in self.at_work():
            if self.due[run] <= self.now and run not in self.verdicts:
                odd = self.random.random() < self.flaky
                self.report(run, RunOutcome.ERRORED if odd else None)

    def finish(self, *, limit: int = 400) -> None:
        """Go on until nothing is at work and nothing is wanted."""
        for _ in range(limit):
            self.settle()
            if not self.at_work():
                return
            self.pass_time(10)
        raise AssertionError("the queue never comes to rest")


def reopen(world: World, number: int) -> None:
    """Let a change be wanted again."""
    world.tell(number, Reopened(actor="ann", at=world.now))


def storm(world: World, steps: int, look: Callable[[World], None] = lambda world: None) -> None:
    """Let people, others, time, and a daemon that may crash anywhere, do `steps` things at random."""
    random_ = world.random
    for _ in range(steps):
        world.now += random_.random()
        if len(world.changes) < 10 and random_.random() < 0.15:
            _open(world)
        elif world.changes and random_.random() < 0.3:
            _person(world, random_.choice(list(world.changes)))
        elif random_.random() < 0.08:
            _others(world)
        elif random_.random() < 0.25:
            world.pass_time(random_.choice((3, 10, 40)))
        else:
            _daemon(world)
        look(world)


def _open(world: World) -> None:
    number = world.open(world.random.choice(world.rules.targets))
    head = world.changes[number].head
    if world.random.random() < 0.2:
        world.bad.add(head)
    others = [each.head for each in world.changes.values() if each.id != number]
    if others and world.random.random() < 0.15:
        world.bad_together.add(frozenset((head, world.random.choice(others))))
    if others and world.random.random() < 0.2:
        world.conflicts.add(frozenset((head, world.random.choice(others))))
    world.approve(number)


def _person(world: World, number: int) -> None:
    pick = world.random.choice
    acts: list[Callable[[], object]] = [
        lambda: world.approve(number),
        lambda: world.approve(number),
        lambda: world.unapprove(number),
        lambda: world.push(number),
        lambda: world.close(number),
        lambda: reopen(world, number),
        lambda: world.retarget(number, pick(world.rules.targets)),
        lambda: world.draft(number, draft=pick((True, False))),
        lambda: world.cancel(number),
        lambda: world.cancel(number, yielding=True),
        lambda: world.cancel(number, reason=UNROLLED),
        lambda: world.retry(number),
        lambda: world.want_try(number),
        lambda: world.prioritize(number, pick((0, 0, 5, -1))),
        lambda: world.roll_up(number, pick(list(Rollup))),
    ]
    if world.changes[number].forge is not Forge.LANDED:
        pick(acts)()


def _others(world: World) -> None:
    target = world.random.choice(world.rules.targets)
    acts: list[Callable[[], object]] = [
        lambda: world.move_target(target),
        lambda: world.move_target(target),
        lambda: world.pause(),
        lambda: world.resume(),
        lambda: world.close_tree(5),
        lambda: world.open_tree(),
        lambda: world.broken.update({target: "line 1: nonsense"}),
        lambda: world.broken.clear(),
    ]
    world.random.choice(acts)()


def _daemon(world: World) -> None:
    actions = world.plan()
    if not actions:
        return
    writes = world.random.choice((0, 1, 2)) if world.random.random() < 0.25 else 1_000_000
    world.execute(world.random.choice(actions) if world.random.random() < 0.2 else actions[0], writes=writes)
    for run in world.at_work():
        if world.random.random() < 0.05 and run not in world.verdicts:
            world.report(run, writes=world.random.choice((1, 1_000_000)))


def _check_waits_for_people(world: World, change: Change) -> None:
    """A queue at rest has nothing left that could be done without someone's word."""
    is_approved = world.approved.get(change.id) == change.head
    if (
        change.forge is not Forge.OPEN
        or not is_approved
        or world.clashes(change.head, world.tips[change.target])
    ):
        return
    auto = change.auto
    assert auto is not None
    is_blamed = auto.outcome in (RunOutcome.FAILED, RunOutcome.ERRORED, RunOutcome.TIMED_OUT)
    is_cancelled = auto.outcome is RunOutcome.CANCELLED and bool(auto.cancelled_by) and not auto.is_yielding
    assert (is_blamed and len(auto.members) == 1) or is_cancelled, f"#{change.id} is stuck: {auto}"


def calm(world: World) -> None:
    """Take away what keeps the queue from working, and give every open change another chance."""
    world.flaky = 0.0
    world.resume()
    world.open_tree()
    world.broken.clear()
    world.finish()
    for change in world.changes.values():
        _check_waits_for_people(world, change)
    for number, change in world.changes.items():
        if change.forge is Forge.OPEN:
            world.draft(number, draft=False)
            world.retry(number)
            world.approve(number)
    world.finish()
