"""One pass of the daemon: load, find facts, plan, execute. All of it waits for git and the disk.

Layer: service.

What fails is told once, and tried again later and later; meanwhile the rest goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from gitlimmat.errors import GitError, LimmatError, RefMovedError
from gitlimmat.git.repository import Repository
from gitlimmat.queue.events import Notice
from gitlimmat.queue.hold import Ground
from gitlimmat.queue.plan import plan
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Action, Facts, Snapshot, Start
from gitlimmat.queue.state import Change, Job, Queue, Run
from gitlimmat.service.logfile import Log
from gitlimmat.service.queue.clock import SteadyClock
from gitlimmat.service.queue.execute import Executor
from gitlimmat.service.queue.facts import FactReader, Findings
from gitlimmat.service.queue.mergeability import unknown
from gitlimmat.service.queue.notices import is_told_later, letters_of, wanted_notices
from gitlimmat.service.queue.outbox import Letter, Outbox
from gitlimmat.service.queue.runs import Ended
from gitlimmat.service.queue.settings import read_rules
from gitlimmat.service.queue.suite import Suites, explain
from gitlimmat.store.folded import States
from gitlimmat.store.timeline import Loaded, Timelines

_FIRST_S = 0.5
_LAST_S = 60.0
_TIDY_S = 600.0
_PATIENCE = 3  # failures after which nobody waits for success who has something else to do
_FOR_EVER_S = 1e9
_AT_ONCE_S = 0.05
_TURNS = 50
_MOST_OVERTAKEN = 5


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """How things are after a pass. `open` are the runs to be at work, None when that cannot be known now.

    `is_busy` says that there may be more to do at once, `is_failing` that something could not be done, and
    `is_hoping` that it is tried again soon. `letters` are for the command of the rules.
    Units: `next_s` is in how many seconds there is something to do by the clock alone.
    """

    open: dict[str, Run] | None
    rules: Rules
    is_busy: bool = False
    is_failing: bool = False
    is_hoping: bool = False
    next_s: float = _FOR_EVER_S
    letters: tuple[Letter, ...] = ()


class _Trouble:
    """Something that has failed: how often, and when it is tried again."""

    def __init__(self) -> None:
        self.count = 0
        self.due = 0.0

    def failed(self) -> None:
        self.due = time.monotonic() + min(_FIRST_S * 2**self.count, _LAST_S)
        self.count += 1


class Passes:
    """Does passes. For one thread at a time."""

    def __init__(
        self,
        repository: Repository,
        findings: Findings,
        *,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        log: Log,
    ) -> None:
        self._repository = repository
        self._warn = warn
        self._told: set[str] = set()
        self._rules = read_rules(repository, self._warn_once)
        if not self._rules.targets:
            warn("there is no branch to land on: 'limmat.queue.target' names none, and neither does HEAD")
        self._log = log
        self._timelines = Timelines(repository)
        suites = Suites(repository)
        self._facts = FactReader(repository, suites, warn, findings)
        self._clock = SteadyClock()
        self._is_first = True
        self._executor = Executor(repository, self._timelines, suites, findings, self._clock, say)
        self._troubles: dict[object, _Trouble] = {}
        self._overtaken: dict[Action, int] = {}  # how often, for what is still to be done
        self._announced: dict[int, str] = {}
        self._outbox = Outbox(repository, warn)
        self._left: list[Letter] | None = None  # until we are the one that serves
        self._tidied = time.monotonic()
        self._findings = findings
        self._unknown: Iterator[tuple[Change, str]] = iter(())
        self._seen = Loaded(changes=States({}), queue=Queue(), tips={}, queue_tip=None)

    @property
    def rules(self) -> Rules:
        """The rules as they were at the last pass."""
        return self._rules

    def step(self) -> Outlook:
        """Do what is to be done now, as far as it can be."""
        try:
            self._read_rules()
            loaded = self._timelines.load()
            outlook = self._act(loaded)
        except (LimmatError, OSError) as error:
            self._fail("the queue", error)
            hope = self._troubles["the queue"].count < _PATIENCE
            due = self._due_s()
            return Outlook(open=None, rules=self._rules, is_failing=True, is_hoping=hope, next_s=due)
        self._troubles.pop("the queue", None)
        return outlook

    def report(self, run: Run, jobs: Sequence[Job], end: Ended | None) -> bool:
        """Say how jobs, or a whole run, have ended; False when that could not be written yet."""
        key = f"the timeline of run {run.run}"
        if self._is_waiting(key):
            return False
        try:
            self._report(run, jobs, end)
        except (LimmatError, OSError) as error:
            self._fail(key, error)
            return False
        self._troubles.pop(key, None)
        return True

    def look_ahead(self) -> bool:
        """Find out of one more change whether it merges with its target; False when all is known.

        Things are taken to be as they were at the last pass.
        """
        found = next(self._unknown, None)
        if found is None:
            return False
        change, tip = found
        try:
            self._executor.look(change, tip, self._seen, self._rules)
        except (LimmatError, OSError):  # others were faster, or nothing can be written: the next pass says so
            return False
        return True

    def _report(self, run: Run, jobs: Sequence[Job], end: Ended | None) -> None:
        """Say it, however often others say something meanwhile; a run that is over needs no more words."""
        for _ in range(_TURNS):
            loaded = self._timelines.load()
            if run.run not in _open_runs(loaded):
                return
            try:
                self._executor.report(run, jobs, end, loaded)
                return
            except RefMovedError as error:
                moved = error
        raise moved

    def _read_rules(self) -> None:
        """Read the rules anew: files that the configuration includes are followed by nobody."""
        try:
            self._rules = read_rules(self._repository, self._warn_once)
        except LimmatError as error:
            self._warn_once(f"{explain(error)}; going on with the settings as they were")

    def _act(self, loaded: Loaded) -> Outlook:
        for number, why in loaded.damaged.items():
            self._warn_once(f"change {number} is left out: {why}")
        if self._is_first:
            self._is_first = False
            self._go_on(loaded)
        now = self._clock.now()
        self._unknown = iter(())
        facts = self._facts.read(loaded, self._rules, self._blocked())
        self._findings.keep(frozenset(facts.tips.values()))
        snapshot = Snapshot(changes=loaded.changes, queue=loaded.queue, facts=facts)
        actions = plan(snapshot, self._rules, now)
        self._forget_troubles(actions)
        done = [self._do(action, loaded) for action in actions]
        if any(done):
            return Outlook(open=None, rules=self._rules, is_busy=True)
        letters = self._leftover(loaded)
        is_busy = self._announce(loaded, facts, letters)
        self._seen, self._unknown = loaded, unknown(snapshot, self._rules, self._findings)
        runs = _open_runs(loaded)
        if not runs:
            self._clock.set()
            self._tidy()
        deadlines = [run.deadline - now for run in runs.values()]
        return Outlook(
            open=runs,
            rules=self._rules,
            is_busy=is_busy,
            is_failing=bool(self._troubles),
            is_hoping=any(trouble.count < _PATIENCE for trouble in self._troubles.values()),
            next_s=min((*deadlines, self._due_s())),
            letters=tuple(letters),
        )

    def _go_on(self, loaded: Loaded) -> None:
        """Give the newest run that a former daemon has begun all of its time: its tests begin again, too."""
        if runs := _open_runs(loaded).values():
            self._clock.set(max(run.deadline - run.limit for run in runs))

    def _do(self, action: Action, loaded: Loaded) -> bool:
        """Do one action; return whether all is to be looked at anew."""
        if self._is_waiting(action):
            return False
        try:
            self._executor.execute(action, loaded, self._rules)
        except RefMovedError as error:
            self._overtaken[action] = self._overtaken.get(action, 0) + 1
            if self._overtaken[action] < _MOST_OVERTAKEN:
                return True
            self._fail(action, error)  # nobody is so fast: our own attempt fails half done
            return isinstance(action, Start)
        except Exception as error:  # one action that fails must not keep others from theirs
            self._fail(action, error)
            return isinstance(action, Start)  # others may go instead
        self._troubles.pop(action, None)
        return True

    def _leftover(self, loaded: Loaded) -> list[Letter]:
        """Return what was said before and has yet to be told; what was not said after all is forgotten."""
        found, damaged = [], []
        for letter in self._outbox.left() if self._left is None else self._left:
            change = loaded.changes.get(letter.change)
            if change is None:
                damaged.append(letter)
            elif self._rules.notify and letter.key in change.notices:
                found.append(letter)
            else:
                self._outbox.drop((letter,))
        self._left = damaged
        return found

    def _announce(self, loaded: Loaded, facts: Facts, letters: list[Letter]) -> bool:
        """Say what is new about changes, and add letters about it; return whether timelines have moved."""
        is_moved = False
        landed = facts.merged.union(change.landed_by for change in loaded.changes.values())
        ground = Ground(landed=landed)
        together: dict[str, list[int]] = {}
        for change in loaded.changes.values():
            if change.landed_by:
                together.setdefault(change.landed_by, []).append(change.id)
        for number, change in loaded.changes.items():
            tip = loaded.tips[number]
            if self._announced.get(number) == tip:
                continue
            notices = wanted_notices(change, time.time(), ground, together.get(change.came_with, ()))
            key = f"notices of change {number}"
            if notices and not self._is_waiting(key):
                try:
                    letters += self._say(change, notices, loaded)
                except RefMovedError:
                    pass
                except (LimmatError, OSError) as error:
                    self._fail(key, error)
                    continue
                else:
                    self._troubles.pop(key, None)
                is_moved = True
            elif not notices and not is_told_later(change, ground):
                self._announced[number] = tip
        return is_moved

    def _say(self, change: Change, notices: Sequence[Notice], loaded: Loaded) -> list[Letter]:
        """Add notices to the timeline of a change; return what the command is to be told, if there is one.

        Raises: what adding events raises. The next pass looks whether they are there nevertheless.
        """
        if not self._rules.notify:
            self._executor.announce(change.id, notices, loaded)
            return []
        letters = letters_of(change, notices, self._rules.url, self._repository.common_dir)
        self._outbox.keep(letters)
        try:
            self._executor.announce(change.id, notices, loaded)
        except (LimmatError, OSError):
            self._left = [*(self._left or ()), *letters]
            raise
        return letters

    def _blocked(self) -> set[tuple[str, str]]:
        """Return what has failed to start and is not to be tried again yet."""
        now = time.monotonic()
        return {
            (member.head, action.base)
            for action, trouble in self._troubles.items()
            if isinstance(action, Start) and trouble.due > now
            for member in action.members
        }

    def _forget_troubles(self, actions: Sequence[Action]) -> None:
        """Forget what is not to be done any more."""
        now = time.monotonic()
        self._overtaken = {action: count for action, count in self._overtaken.items() if action in actions}
        for key, trouble in tuple(self._troubles.items()):
            is_wanted = now < trouble.due + _FIRST_S if isinstance(key, str) else key in actions
            if trouble.due <= now and not is_wanted:
                del self._troubles[key]

    def _is_waiting(self, key: object) -> bool:
        trouble = self._troubles.get(key)
        return trouble is not None and trouble.due > time.monotonic()

    def _fail(self, key: object, error: Exception) -> None:
        self._troubles.setdefault(key, _Trouble()).failed()
        what = key if isinstance(key, str) else _name(key)
        if isinstance(error, LimmatError | OSError):
            why = explain(error) if isinstance(error, LimmatError) else str(error)
            if isinstance(error, RefMovedError) and isinstance(error.__cause__, GitError):
                why += f" ({error.__cause__})"
            self._warn_once(f"cannot go on with {what}: {why}; trying again")
        else:
            self._warn_once(self._log.report(what, error))

    def _due_s(self) -> float:
        now = time.monotonic()
        return min((max(_AT_ONCE_S, each.due - now) for each in self._troubles.values()), default=_FOR_EVER_S)

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied < _TIDY_S:
            return
        self._tidied = time.monotonic()
        try:
            self._timelines.tidy()
        except (LimmatError, OSError) as error:
            self._warn_once(f"cannot tidy the repository: {error}")

    def _warn_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._warn(message)


def _open_runs(loaded: Loaded) -> dict[str, Run]:
    """Return the runs that are open for all of their members, the oldest first."""
    found: dict[str, Run] = {}
    for change in loaded.changes.values():
        for run in change.runs:
            if run.is_open and run.run not in found and _is_open_everywhere(run, loaded):
                found[run.run] = run
    return dict(sorted(found.items(), key=lambda item: (item[1].started, item[0])))


def _is_open_everywhere(run: Run, loaded: Loaded) -> bool:
    told = [
        change.run(run.run) if (change := loaded.changes.get(member.change)) is not None else None
        for member in run.members
    ]
    return all(each is not None and each.is_open for each in told)


def _name(action: object) -> str:
    if isinstance(action, Start):
        return "a run of " + ", ".join(f"#{member.change}" for member in action.members)
    run = getattr(action, "run", "")
    return f"run {run}" if run else f"change {getattr(action, 'change', '')}"
