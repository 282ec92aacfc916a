"""Tell the user what a watch has found out: the first failure, that all is well, that nothing moves.

Layer: service. `decide` says what is worth a notice and does nothing; `Notices` listens to boards and has
an `Announcer` send what was decided.

A failure that only follows from that of another test is not told: the other one is. Neither is what was
known before the watch began.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from logging import Logger
from typing import NamedTuple, assert_never

import msgspec

from gitlimmat.config.sources import Notify
from gitlimmat.model import Outcome, duration
from gitlimmat.service.announce import Announcer, Message
from gitlimmat.service.board import Board, Cell, CellState, Change, Place

_BAD = (Outcome.FAILED, Outcome.ERRORED)
_REMEMBERED = 20_000

Link = Callable[[Board, str | None, str | None], str | None]
"""Returns the page of a test on a commit (full id), of a commit, or of all."""


class Event(StrEnum):
    """What a notice is about."""

    FAILED = "failed"
    PASSED = "passed"
    STUCK = "stuck"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of a board, and new since the last look.

    `failures` are places where a job has just failed, the one to name first; `ran` says whether jobs have
    passed since the last notice. `well`: tests have passed, and none has failed, waits or runs.

    Units: `still` is for how many seconds nothing has finished, None while nothing waits or runs.
    """

    commits: frozenset[str] = frozenset()
    failures: tuple[Place, ...] = ()
    ran: bool = False
    well: bool = False
    still: float | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What has been told: that nothing moves, and a failure, after which those of `covered` are no news."""

    covered: frozenset[str] = frozenset()
    stuck: bool = False


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something worth telling. A failure has a place, nothing else has one."""

    event: Event
    place: Place | None = None


def decide(before: Memory, now: Facts, *, idle_after_s: float) -> tuple[Memory, Notice | None]:
    """Return what to tell, if anything, and what has been told then.

    After a failure, others of the same commits are no news until all is well again.
    Units: `idle_after_s` is seconds; 0 means that nobody wants to know.
    """
    stuck = now.still is not None and 0 < idle_after_s <= now.still
    covered = frozenset[str]() if now.well else before.covered
    for place in now.failures:
        if place.commit not in covered:
            told = Memory(covered=now.commits, stuck=stuck and before.stuck)
            return told, Notice(event=Event.FAILED, place=place)
    memory = Memory(covered=covered, stuck=stuck)
    if now.well and now.ran:
        return memory, Notice(event=Event.PASSED)
    if stuck and not before.stuck:
        return memory, Notice(event=Event.STUCK)
    return memory, None


class Notices:
    """Sends notices about boards while `run` runs.

    `log` gets the output of commands, `bell` is rung where the desktop cannot be reached.
    Units: `idle_after_s` is seconds, 0 for never.
    """

    def __init__(
        self,
        boards: Sequence[Board],
        notify: Notify,
        idle_after_s: float,
        warn: Callable[[str], None],
        *,
        log: Logger | None = None,
        link: Link | None = None,
        bell: Callable[[], None] | None = None,
    ) -> None:
        self._announcer = Announcer(notify, warn, log=log, bell=bell)
        self._wanted = notify is not False
        self._idle_after_s = idle_after_s
        self._link = link
        self._ears = [_Ear(board, time.time()) for board in boards]
        self._due: dict[Event, dict[Board, Message]] = {event: {} for event in Event}

    async def run(self) -> None:
        """Listen and send until cancelled; ends at once when no notices are wanted."""
        if not self._wanted:
            return
        heard = asyncio.Event()
        heard.set()
        ends = [ear.listen(heard.set) for ear in self._ears]
        try:
            async with asyncio.TaskGroup() as group:
                bells = {event: asyncio.Event() for event in Event}
                for event, rung in bells.items():
                    group.create_task(self._send(event, rung))
                group.create_task(self._decide(heard, bells))
        finally:
            for end in ends:
                end()

    async def _decide(self, heard: asyncio.Event, bells: dict[Event, asyncio.Event]) -> None:
        """Decide whenever a board has changed, and when nothing has for too long."""
        clock = asyncio.get_running_loop().time
        finished = clock()
        while True:
            try:
                async with asyncio.timeout_at(self._deadline(finished)):
                    await heard.wait()
            except TimeoutError:
                pass
            heard.clear()
            now = clock()
            ends = [ear.catch_up(now) for ear in self._ears]
            finished = now if any(ends) else finished
            for ear in self._ears:
                facts = ear.facts(now, finished)
                notice = ear.decide(facts, self._idle_after_s)
                if notice is not None:
                    message = describe(ear.board, notice, facts.still or 0.0, self._link)
                    self._due[notice.event][ear.board] = message
                    bells[notice.event].set()

    async def _send(self, event: Event, rung: asyncio.Event) -> None:
        """Send one kind of notices, one after the other; of several about a board only the newest."""
        due = self._due[event]
        while True:
            await rung.wait()
            rung.clear()
            while due:
                await self._announcer.send(due.pop(next(iter(due))))

    def _deadline(self, finished: float) -> float | None:
        """Return when it has to be told, by the loop's clock, that nothing moves."""
        begins = [ear.busy_since for ear in self._ears if not ear.memory.stuck]
        times = [max(begin, finished) + self._idle_after_s for begin in begins if begin is not None]
        return min(times, default=None) if self._idle_after_s else None


class Ran(NamedTuple):
    """Names one finished job, whatever commits it speaks for. `mark` tells it from earlier ones."""

    test: str
    commit: str
    mark: float | str


class _Ear:
    """Hears what happens on one board. `began` is when the watch did, in seconds since the epoch."""

    def __init__(self, board: Board, began: float) -> None:
        self.board = board
        self.memory = Memory()
        self.busy_since: float | None = None
        self.ran: dict[Place, Ran] = {}  # what has passed since the last notice, and is still to be seen
        self._began = began
        self._changed: set[Place] = set()
        self._layout = True
        self._seen: dict[Ran, None] = {}
        self._failures: list[Place] = []
        self._commits: frozenset[str] = frozenset()

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` when there is something to catch up with, until what is returned is called."""

        def hear(change: Change) -> None:
            self._changed |= change.cells
            self._layout |= change.layout
            heard()

        self._changed.update(
            Place(commit.id, test) for commit in self.board.commits for test in self.board.tests
        )
        return self.board.subscribe(hear)

    def catch_up(self, now: float) -> bool:
        """Look at what has changed, and return whether a job has finished."""
        changed, self._changed = self._changed, set()
        if self._layout:
            self._layout = False
            self._commits = frozenset(commit.id for commit in self.board.commits)
            for place in [place for place in self.ran if not self._shows(place)]:
                self._seen.pop(self.ran.pop(place), None)
        self._failures = []
        finished = self._take(changed)
        counts = self.board.counts()
        if not counts.waiting and not counts.running:
            self.busy_since = None
        elif self.busy_since is None:
            self.busy_since = now
        return finished

    def facts(self, now: float, finished: float) -> Facts:
        """Return what is true; `finished` is when a job has last finished, by the clock of `now`."""
        counts = self.board.counts()
        busy = counts.waiting + counts.running > 0
        bad = sum(counts.outcomes.get(outcome, 0) for outcome in _BAD)
        return Facts(
            commits=self._commits,
            failures=tuple(self._failures),
            ran=bool(self.ran),
            well=not busy and not bad and bool(counts.outcomes.get(Outcome.PASSED)),
            still=None if self.busy_since is None else now - max(self.busy_since, finished),
        )

    def decide(self, facts: Facts, idle_after_s: float) -> Notice | None:
        """Return what to tell, if anything; it is told once."""
        self.memory, notice = decide(self.memory, facts, idle_after_s=idle_after_s)
        if notice is not None and notice.event is not Event.STUCK:
            self.ran.clear()
        return notice

    def _take(self, changed: Iterable[Place]) -> bool:
        """Sort out the new ends of jobs; return whether there are any."""
        fresh: dict[Ran, list[Place]] = {}
        for place in changed:
            cell = self.board.cell(*place)
            ran = _ran(place, cell, self._began)
            if ran is None or ran in self._seen:
                continue
            if cell.outcome is Outcome.PASSED:
                self.ran[place] = ran
            elif cell.outcome in _BAD and not self._follows(place):
                self._failures.append(place)
            fresh.setdefault(ran, []).append(place)
        self._seen.update(dict.fromkeys(fresh))
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if len(self._failures) > 1:
            self._failures.sort(key=self._rank())
        return bool(fresh)

    def _shows(self, place: Place) -> bool:
        return place.commit in self._commits and place.test in self.board.tests

    def _follows(self, place: Place) -> bool:
        """Whether a test that this one depends on has not passed either."""
        depends_on = {test.name: test.depends_on for test in self.board.project.all_tests}
        return any(
            self.board.cell(place.commit, name).outcome in _BAD for name in depends_on.get(place.test, ())
        )

    def _rank(self) -> Callable[[Place], tuple[int, int]]:
        """Return the key that sorts places as the board shows them: newest commit, then first test."""
        commits = {commit.id: index for index, commit in enumerate(self.board.commits)}
        tests = {name: index for index, name in enumerate(self.board.tests)}
        return lambda place: (commits.get(place.commit, 0), tests.get(place.test, 0))


def _ran(place: Place, cell: Cell, began: float) -> Ran | None:
    """Return which job a cell tells of, None when it has not finished since `began`."""
    if cell.state is not CellState.DONE:
        return None
    result = cell.result
    if result is None:
        return None if cell.known else Ran(place.test, place.commit, f"{cell.outcome} {cell.reason}")
    if cell.known and result.started + result.elapsed < began:
        return None
    return Ran(place.test, result.commit, result.started)


def describe(board: Board, notice: Notice, still: float, link: Link | None = None) -> Message:
    """Return a notice in words. Units: `still` is for how many seconds nothing has finished."""
    outcome, reason = Outcome.PASSED.value, ""
    commit = board.commits[0].id if board.commits else None
    test = None
    match notice.event:
        case Event.FAILED:
            assert notice.place is not None
            commit, test = notice.place
            cell = board.cell(commit, test)
            outcome, reason = str(cell.outcome or Outcome.FAILED), cell.reason
            title = f"{test} {outcome}"
            body = _commit(board, commit) + (f" ({reason})" if reason not in ("", outcome) else "")
        case Event.PASSED:
            title, body = _passed(board)
        case Event.STUCK:
            commit, test = next(iter(board.running()), (None, None))
            outcome = ""
            title = f"nothing has finished for {_minutes(still)}"
            body = f"{board.counts().waiting} to go"
            if commit:
                body = f"{test} runs on {_commit(board, commit)}, {body}"
        case _:
            assert_never(notice.event)
    return Message(
        event=notice.event.value,
        title=f"{board.name}: {title}",
        body=body,
        directory=board.project.origin,
        commit=commit or "",
        test=test or "",
        outcome=outcome,
        reason=reason,
        url=(link(board, commit if test else None, test) or "") if link else "",
    )


def _passed(board: Board) -> tuple[str, str]:
    counts = board.counts().outcomes
    title = "all tests passed" if counts.keys() <= {Outcome.PASSED, Outcome.SKIPPED} else "no test failed"
    ends = "..".join(end for end in (board.base, board.head) if end)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    return title, f"{ends}: {told}" if ends else told


def _commit(board: Board, commit: str) -> str:
    found = board.described(commit)
    return f"{found.abbreviated} {found.subject}" if found else commit[:12]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else duration(seconds)
