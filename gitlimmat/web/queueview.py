"""What the pages of a queue show: its timelines as they are now, and the commits that are being tested.

Layer: web. Looks, and writes nothing; the daemon may be in this process, in another one, or not run at all.

Looking is cheap, so each page looks before it answers. Between pages, the queue is looked at only while some
browser follows it, and when somebody wakes the daemon.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.follow import Follower, News
from gitlimmat.git.graph import Described, read_graph
from gitlimmat.queue.estimate import estimate
from gitlimmat.queue.events import CancelRequested, RetryRequested, RunEnded, RunOutcome
from gitlimmat.queue.explain import explain_all
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Facts, Snapshot
from gitlimmat.queue.state import Change, Forge
from gitlimmat.service.board import Board
from gitlimmat.service.project import Project
from gitlimmat.service.queue.facts import FactReader, Findings
from gitlimmat.service.queue.session import QueueSession, read_rules, wake_file
from gitlimmat.service.queue.suite import Suites
from gitlimmat.service.queue.turn import server
from gitlimmat.store.folded import States
from gitlimmat.store.runs import RunningJob, running_jobs
from gitlimmat.store.timeline import Entry, Loaded
from gitlimmat.web.queuelist import open_runs
from gitlimmat.web.queuetested import Shown, Tested, usual_times

_ID = re.compile(r"[0-9a-f]{40}")
_OFTEN_S = 0.5  # while someone watches
_MOST_COMMITS = 200
_MOMENT_S = 0.2  # so long may other pages wait
_NO_QUEUE = Loaded(changes=States({}), queue=Snapshot(changes={}).queue, tips={}, queue_tip=None)


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """That a run was ended, or is not to count any more, before or after it came to an end by itself."""

    change: int
    at: float
    actor: str
    run: str
    what: str
    reason: str


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to show at one moment."""

    loaded: Loaded
    facts: Facts
    jobs: Mapping[Path, RunningJob]
    shown: Shown
    served: bool = False


class QueueView:
    """Keeps what is shown of one queue true. `project` is its repository as the pages of results want it.

    `findings` are those of the daemon, where that is in this process.
    """

    def __init__(self, session: QueueSession, project: Project, findings: Findings | None = None) -> None:
        self.session = session
        self.rules: Rules = session.rules
        self.board = Board(project.repository.name, project)
        self.snapshot = Snapshot(changes={})
        self._seen = _Seen(loaded=_NO_QUEUE, facts=Facts(), jobs={}, shown=Shown())
        self._looked = 0.0
        self._lock = asyncio.Lock()
        self._watched = 0
        self._woken = asyncio.Event()
        self._rules_are_old = False
        self._fault: str | None = None
        self._tested = Tested(project)
        suites = Suites(project.repository)
        self._facts = FactReader(project.repository, suites, session.warn, findings)
        self._retries: dict[int, tuple[str, tuple[Retry, ...]]] = {}
        self._told: tuple[tuple[int, int], dict[int, str]] = ((-1, 0), {})

    @property
    def damaged(self) -> Mapping[int, str]:
        """What is wrong with changes that cannot be read, by number."""
        return self._seen.loaded.damaged

    @property
    def served(self) -> bool:
        """Whether a daemon was at work at the last look."""
        return self._seen.served

    async def refresh(self) -> None:
        """Show what is true now. What cannot be read is a problem on the page."""
        asked = time.monotonic()
        async with self._lock:
            if self._looked > asked:  # someone else has begun to look since
                return
            self._looked = time.monotonic()
            try:
                seen = await asyncio.to_thread(self._look)
            except (LimmatError, OSError) as error:
                self.board.say("queue", str(error))
                return
            self._show(seen)
            await asyncio.sleep(0)  # the board tells, and has another version, before anything is rendered

    async def run(self) -> None:
        """Follow the queue until cancelled."""
        project = self.board.project
        follower = Follower(project.repository, project.store.state_dir.parent, self._tell)
        follower.set_files([wake_file(project.repository)])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run())
            while True:
                await self.refresh()
                try:
                    async with asyncio.timeout(_OFTEN_S if self._watched else None):
                        await self._woken.wait()
                except TimeoutError:
                    continue
                self._woken.clear()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look often while this is entered: somebody follows."""
        self._watched += 1
        self._woken.set()
        try:
            yield
        finally:
            self._watched -= 1

    @asynccontextmanager
    async def held(self, *, to_write: bool = False) -> AsyncIterator[QueueSession]:
        """Have the timelines for oneself: they are not for two threads at once. The next page looks anew.

        With `to_write` the rules are read before: who has a right may stand in a file that is included, which
        nobody follows.
        """
        async with self._lock:
            if to_write:
                await asyncio.to_thread(self._read_rules)
            yield self.session
            self._looked = 0.0

    def explanation(self, change: Change) -> str:
        """Return one sentence about why a change is not landing, without its subject."""
        moment = (self.board.version, int(time.time()))
        if self._told[0] != moment:
            self._told = (moment, explain_all(self.snapshot, self.rules, time.time()))
        return self._told[1].get(change.id, "")

    def estimate(self) -> float | None:
        """Return the seconds until the queue is empty, None when nobody knows."""
        return estimate(self.snapshot, self.rules, time.time())

    def entries(self, change: int | None) -> tuple[Entry, ...]:
        """Return a timeline, oldest first. Blocks; the caller has the timelines for himself."""
        return self.session.timelines.entries(change)

    def commits_of(self, change: Change) -> tuple[Described, ...]:
        """Return the commits that a change brings, newest first; those of its present head. Blocks."""
        base = self.snapshot.facts.tips.get(change.target)
        landed = change.run(change.landed_by) if change.landed_by else None
        if change.forge is Forge.LANDED:
            base = landed.base if landed is not None else change.head
        if not base or not _ID.fullmatch(change.head):
            return ()
        repository = self.board.project.repository
        try:
            lines = read_graph(repository, base, change.head, most=_MOST_COMMITS)
        except LimmatError:
            return ()
        return tuple(line.commit for line in lines if line.commit is not None)

    def learn_retries(self) -> bool:
        """Read timelines with retries for a moment; return whether all have been read. Blocks.

        Only those that have any are read, and again only when they have grown.
        """
        loaded, end = self._seen.loaded, time.monotonic() + _MOMENT_S
        for number, change in loaded.changes.items():
            tip = loaded.tips[number]
            if self._retries.get(number, ("",))[0] == tip:
                continue
            if time.monotonic() > end:
                return False
            has_any = any(run.is_retired or run.outcome in _ENDED_EARLY for run in change.runs)
            self._retries[number] = tip, tuple(_retries(number, self.entries(number))) if has_any else ()
        return True

    def retries(self) -> list[Retry]:
        """Return all retries and cancellations that have been read, the newest first."""
        found = [each for _, of_change in self._retries.values() for each in of_change]
        return sorted(found, key=lambda each: (-each.at, each.change))

    def _tell(self, news: News) -> None:
        self._rules_are_old |= bool(news & News.CONFIG)
        self._woken.set()

    def _look(self) -> _Seen:
        project = self.board.project
        if self._rules_are_old:
            self._rules_are_old = False
            self._read_rules()
        loaded = self.session.timelines.load()
        jobs = running_jobs(project.store.state_dir)
        before = self._seen
        shown = before.shown
        if (loaded.tips, jobs) != (before.loaded.tips, before.jobs):
            shown = self._tested.look(open_runs(loaded.changes.values()).values(), jobs)
        facts = self._facts.read(loaded, self.rules)
        served = server(project.repository) is not None
        return _Seen(loaded=loaded, facts=facts, jobs=jobs, shown=shown, served=served)

    def _read_rules(self) -> None:
        """Read the rules again; those from before hold while they cannot be used."""
        try:
            self.rules = read_rules(self.board.project.repository)
        except LimmatError as error:
            self._fault = error.message
            return
        self._fault = None
        self.session = msgspec.structs.replace(self.session, rules=self.rules)

    def _show(self, seen: _Seen) -> None:
        before, self._seen = self._seen, seen
        self.board.say("queue", None)
        self.board.say("config", self._fault)
        for number in {**before.loaded.damaged, **seen.loaded.damaged}:
            self.board.say(f"change {number}", seen.loaded.damaged.get(number))
        was = (before.loaded.tips, before.loaded.queue_tip, before.facts)
        if was != (seen.loaded.tips, seen.loaded.queue_tip, seen.facts) or before.loaded is _NO_QUEUE:
            self.snapshot = Snapshot(changes=seen.loaded.changes, queue=seen.loaded.queue, facts=seen.facts)
            self.board.touch()
        elif before.served is not seen.served:
            self.board.touch()
        unknown = [test for test in seen.shown.tests if self.board.estimate(test) is None]
        for test, elapsed in usual_times(seen.loaded.changes.values(), unknown).items() if unknown else ():
            self.board.learn_elapsed(test, elapsed)
        seen.shown.put(self.board)


_ENDED_EARLY = (RunOutcome.CANCELLED, RunOutcome.SUPERSEDED)


def _retries(number: int, entries: tuple[Entry, ...]) -> Iterator[Retry]:
    for event in (event for entry in entries for event in entry.events):
        match event:
            case RetryRequested():
                what, reason = "retry", ""
            case CancelRequested():
                what, reason = "yield" if event.yielding else "cancel", event.reason
            case RunEnded() if event.outcome in _ENDED_EARLY:
                what, reason = event.outcome.value, event.reason
            case _:
                continue
        yield Retry(change=number, at=event.at, actor=event.actor, run=event.run, what=what, reason=reason)
