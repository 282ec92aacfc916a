"""Do what was planned: each action is one ref transaction that expects what it replaces, or nothing at all.

Layer: service.

A transaction names the target or the run first and the timelines after it. What a killed git leaves half done
is then a fact without its event, which the next plan sees.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import assert_never

from gitlimmat.errors import GitError, LimmatError
from gitlimmat.git.ancestry import Ancestry
from gitlimmat.git.merge import AlreadyMerged, Conflict, Merged, make_merge
from gitlimmat.git.objects import DamagedObjectError, ObjectBatch, read_commit
from gitlimmat.git.refs import RefUpdate
from gitlimmat.git.repository import Repository
from gitlimmat.queue.events import (
    QUEUE,
    ChangeEvent,
    Conflicted,
    JobEnded,
    Kind,
    Landed,
    Notice,
    RunEnded,
    RunOutcome,
)
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.sentence import sentence
from gitlimmat.queue.snapshot import Action, End, Land, Note, Start
from gitlimmat.queue.state import Change, Job, Run
from gitlimmat.service.queue.clock import SteadyClock
from gitlimmat.service.queue.facts import Findings
from gitlimmat.service.queue.mergeability import conflict_of
from gitlimmat.service.queue.starting import Beginning, merge_spec, missing_heads, run_started
from gitlimmat.service.queue.suite import Suites
from gitlimmat.store.timeline import TREE_REF, Addition, Loaded, Timelines, run_ref

_SHORT = 12


class Executor:
    """Does what was planned in one repository, and says so in lines for people. For one thread at a time.

    Raises from each action: RefMovedError when something is not as it was when it was planned, and other
    LimmatErrors or OSError when git or the disk fails. Nothing was changed then.
    """

    def __init__(
        self,
        repository: Repository,
        timelines: Timelines,
        suites: Suites,
        findings: Findings,
        clock: SteadyClock,
        say: Callable[[str], None],
    ) -> None:
        self._repository = repository
        self._timelines = timelines
        self._suites = suites
        self._findings = findings
        self._clock = clock
        self._say = say

    def execute(self, action: Action, loaded: Loaded, rules: Rules) -> None:
        """Do one action of a plan that was made from `loaded`."""
        match action:
            case Start():
                self._start(action, loaded, rules)
            case End():
                self._end(action, loaded)
            case Land():
                self._land(action, loaded)
            case Note():
                self._note(action, loaded)
            case _:
                assert_never(action)

    def report(
        self, run: Run, jobs: Sequence[Job], ended: tuple[RunOutcome, str] | None, loaded: Loaded
    ) -> None:
        """Say in the timelines of a run how jobs of it ended, and the run itself if it has."""
        at = time.time()
        events: list[ChangeEvent] = [
            JobEnded(
                actor=QUEUE,
                at=at,
                run=run.run,
                test=job.test,
                commit=job.commit,
                outcome=job.outcome,
                reason=job.reason,
                elapsed=job.elapsed,
                known=job.known,
                by=job.by,
            )
            for job in jobs
        ]
        if ended is not None:
            events.append(RunEnded(actor=QUEUE, at=at, run=run.run, outcome=ended[0], reason=ended[1]))
        known = [each.change for each in run.members if each.change in loaded.tips]
        self._append(loaded, known, *events, reason=f"run {run.run}")

    def announce(self, change: int, notices: Sequence[Notice], loaded: Loaded) -> None:
        """Add what the queue says about a change."""
        additions = [Addition(change=change, events=tuple(notices), expected=loaded.tips[change])]
        self._timelines.append(additions, reason="limmat queue: a notice")

    def look(self, change: Change, tip: str, loaded: Loaded, rules: Rules) -> None:
        """Find out whether a change merges with its target, of which nobody knows, and say if it does not.

        One that nobody wants to land is told once and not again while the target moves on.
        """
        pair = (change.head, tip)
        try:
            found = conflict_of(self._repository, change, tip, rules)
        except (LimmatError, OSError):  # it is met again, and told, when somebody wants it merged
            self._findings.unclean |= {pair}
            return
        if found is None:
            self._findings.clean |= {pair}
            return
        if change.is_approved or not change.is_conflicting:
            self._tell_conflict(change.id, found, tip, loaded)
        self._findings.unclean |= {pair}

    # The four actions.

    def _start(self, action: Start, loaded: Loaded, rules: Rules) -> None:
        members = [loaded.changes[member.change] for member in action.members]
        if action.kind is Kind.TRY and (missing := self._missing_base(action)) is not None:
            self._conflict(action, missing, loaded)
            return
        batch = ObjectBatch(self._repository)
        try:
            spec = merge_spec(action, members, rules)
            made = make_merge(self._repository, spec, batch)
            match made:
                case Merged():
                    self._begin(action, made, loaded, rules)
                    batch.confirm()
                    self._left_out(action, made, loaded)
                case Conflict():
                    self._conflict(action, made, loaded)
                case AlreadyMerged():
                    self._already_merged(action, loaded, rules)
                case _:
                    assert_never(made)
        finally:
            batch.release()

    def _begin(self, action: Start, made: Merged, loaded: Loaded, rules: Rules) -> None:
        """Publish a merge and the run that tests it; one that cannot be tested has ended with that."""
        beginning = Beginning(action=action, merge=made.oid, heads=made.heads)
        deadline = self._clock.now() + rules.timeout_s
        started, fault = run_started(
            self._repository, self._suites, beginning, loaded, rules, deadline=deadline
        )
        events: list[ChangeEvent] = [started]
        if fault is not None:
            outcome, reason = fault
            events.append(
                RunEnded(actor=QUEUE, at=started.at, run=started.run, outcome=outcome, reason=reason)
            )
        numbers = [member.change for member in started.members]
        refs = [RefUpdate(run_ref(started.run), started.merge, None)]
        refs += missing_heads(self._repository, started.members, loaded)
        self._append(loaded, numbers, *events, refs=refs, reason=f"start run {started.run}")

    def _missing_base(self, action: Start) -> Conflict | None:
        """Return why nothing can be merged onto what someone has asked for."""
        try:
            read_commit(self._repository.objects, action.base)
        except DamagedObjectError:
            reason = f"there is no commit {action.base[:_SHORT]}"
            return Conflict(head=action.members[0].head, reason=reason)
        return None

    def _left_out(self, action: Start, made: Merged, loaded: Loaded) -> None:
        """Say of those before the first that was merged that they conflict with the base alone."""
        order = [member.head for member in action.members]
        for each in made.left_out:
            if isinstance(each, Conflict) and order.index(each.head) < order.index(made.heads[0]):
                self._conflict(action, each, loaded)

    def _conflict(self, action: Start, made: Conflict, loaded: Loaded) -> None:
        """Say that a head does not merge; that it does not with what has yet to land is only remembered."""
        member = next((each for each in action.members if each.head == made.head), action.members[0])
        if action.kind is Kind.AUTO and action.after:
            self._findings.ahead |= {(made.head, action.base)}
            return
        self._tell_conflict(member.change, made, action.base, loaded)

    def _tell_conflict(self, change: int, made: Conflict, base: str, loaded: Loaded) -> None:
        event = Conflicted(
            actor=QUEUE,
            at=time.time(),
            head=made.head,
            base=base,
            paths=made.paths,
            reason=made.reason,
        )
        self._append(loaded, [change], event, reason=f"change {change} conflicts")

    def _already_merged(self, action: Start, loaded: Loaded, rules: Rules) -> None:
        """A try tests what it changes nothing of; else it has landed, or waits for what it is built on."""
        if action.kind is Kind.TRY:
            made = Merged(
                oid=action.base,
                tree="",
                commits=(action.base,),
                heads=tuple(member.head for member in action.members),
            )
            self._begin(action, made, loaded, rules)
            return
        for member in action.members:
            if action.after:
                self._findings.brought |= {(member.head, action.base)}
                continue
            note = Note(change=member.change, run="", target=action.target, new=action.base)
            self._note(note, loaded)
            return

    def _end(self, action: End, loaded: Loaded) -> None:
        event = RunEnded(
            actor=QUEUE, at=time.time(), run=action.run, outcome=action.outcome, reason=action.reason
        )
        self._append(loaded, action.changes, event, reason=f"end run {action.run}")

    def _land(self, action: Land, loaded: Loaded) -> None:
        history = Ancestry(self._repository)
        history.move(action.new)
        if not history.has(action.old):
            raise GitError(f"cannot land run '{action.run}': '{action.new}' does not descend from the target")
        event = Landed(
            actor=QUEUE,
            at=time.time(),
            run=action.run,
            target=action.target,
            old=action.old,
            new=action.new,
        )
        refs = [
            RefUpdate(action.target, action.new, action.old),
            RefUpdate(TREE_REF, loaded.queue_tip, loaded.queue_tip),  # whoever pauses meanwhile is heard
        ]
        self._append(loaded, action.changes, event, refs=refs, reason=f"land run {action.run}")

    def _note(self, action: Note, loaded: Loaded) -> None:
        run = loaded.changes[action.change].run(action.run)
        old = run.base if run is not None else action.new
        event = Landed(
            actor=QUEUE,
            at=time.time(),
            run=action.run,
            target=action.target,
            old=old,
            new=action.new,
            came_with=action.came_with,
        )
        self._append(loaded, [action.change], event, reason=f"change {action.change} has landed")

    def _append(
        self,
        loaded: Loaded,
        changes: Iterable[int],
        *events: ChangeEvent,
        refs: Sequence[RefUpdate] = (),
        reason: str,
    ) -> None:
        """Add the same events to the timelines of several changes."""
        numbers = list(dict.fromkeys(changes))
        additions = [
            Addition(change=number, events=events, expected=loaded.tips[number]) for number in numbers
        ]
        self._timelines.append(additions, refs=refs, reason=f"limmat queue: {reason}")
        named = ", ".join(f"#{number}" for number in numbers)
        for event in events:
            self._say(f"{named}: {sentence(event)}")
