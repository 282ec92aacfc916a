"""A merge queue by simulation: what lands an hour when a test takes a minute, and how many runs that takes.

Usage: python bench/queue_simulation.py, which prints the table of git-limmat-queue(1). The rows of the README
are the same figures.

The planner and the folding of timelines are the real ones; tests, people and the clock are made up.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping
from typing import NamedTuple

from gitlimmat.queue.events import (
    QUEUE,
    Approved,
    Landed,
    Opened,
    RunEnded,
    RunOutcome,
    RunStarted,
)
from gitlimmat.queue.fold import fold_change
from gitlimmat.queue.plan import plan
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Action, End, Facts, Land, Snapshot, Start
from gitlimmat.queue.state import Change, Forge

_TARGET = "refs/heads/main"
_TEST_S = 60.0
_HOUR_S = 3600.0
_WAITING = 40


class Way(NamedTuple):
    """How a queue works: runs at work on top of each other, changes in each."""

    depth: int
    batch: int

    def __str__(self) -> str:
        if self == ALONE:
            return "one at a time"
        words = [
            f"depth {self.depth}" if self.depth > 1 else "",
            f"batch {self.batch}" if self.batch > 1 else "",
        ]
        return ", ".join(word for word in words if word)


class Outcome(NamedTuple):
    """What came of it: changes landed an hour, and runs for each of them."""

    landed: float
    runs: float


ALONE = Way(1, 1)
WAYS = (ALONE, Way(2, 1), Way(4, 1), Way(1, 4), Way(1, 8), Way(2, 4))
FAILING = (0, 5, 20)  # in 100 changes
HOURS = 6.0
_SEED = 1


class Simulation:
    """A queue that always has changes waiting, some of which fail. Nothing but tests takes time."""

    def __init__(self, way: Way, failing: int, seed: int) -> None:
        self._rules = Rules(targets=(_TARGET,), depth=way.depth, batch=way.batch)
        self._random = random.Random(seed)
        self._failing = failing / 100
        self._now = 0.0
        self._tip = "0"
        self._changes: dict[int, Change] = {}
        self._bad: set[int] = set()
        self._inside: dict[str, frozenset[int]] = {"0": frozenset()}
        self._due: list[tuple[float, str]] = []
        self._number = 0
        self._runs = 0
        self._landed = 0

    def run(self, hours: float) -> Outcome:
        """Return what comes of so many hours."""
        self._top_up()
        while self._now < hours * _HOUR_S:
            actions = self._plan()
            if actions:
                self._do(actions[0])
                continue
            self._now, run = heapq.heappop(self._due)
            self._report(run)
        return Outcome(self._landed / hours, self._runs / max(1, self._landed))

    def _plan(self) -> tuple[Action, ...]:
        facts = Facts(tips={_TARGET: self._tip})
        return plan(Snapshot(changes=self._changes, facts=facts), self._rules, self._now)

    def _do(self, action: Action) -> None:
        match action:
            case Start():
                self._start(action)
            case End():
                for number in action.changes:
                    self._tell(number, action.run, action.outcome)
            case Land():
                self._tip = action.new
                self._landed += len(action.changes)
                for number in action.changes:
                    event = Landed(
                        actor=QUEUE,
                        at=self._now,
                        run=action.run,
                        target=_TARGET,
                        old=action.old,
                        new=action.new,
                    )
                    self._changes[number] = fold_change(self._changes[number], (event,))
                self._top_up()

    def _start(self, start: Start) -> None:
        self._runs += 1
        run = merge = f"run-{self._runs}"
        members = frozenset(member.change for member in start.members)
        self._inside[merge] = self._inside[start.base] | (members & self._bad)
        event = RunStarted(
            actor=QUEUE,
            at=self._now,
            run=run,
            kind=start.kind,
            target=_TARGET,
            members=start.members,
            base=start.base,
            merge=merge,
            after=start.after,
            commits=(merge,),
            tests=("unit",),
            deadline=self._now + _HOUR_S,
        )
        for number in members:
            self._changes[number] = fold_change(self._changes[number], (event,))
        heapq.heappush(self._due, (self._now + _TEST_S, run))

    def _report(self, run: str) -> None:
        outcome = RunOutcome.FAILED if self._inside[run] else RunOutcome.PASSED
        for change in list(self._changes.values()):
            known = change.run(run)
            if known is not None and known.is_open:
                self._tell(change.id, run, outcome)
        self._top_up()

    def _tell(self, number: int, run: str, outcome: RunOutcome) -> None:
        event = RunEnded(actor=QUEUE, at=self._now, run=run, outcome=outcome)
        self._changes[number] = fold_change(self._changes[number], (event,))

    def _top_up(self) -> None:
        """Let those go that are over for long, and come as many that wait."""
        # Those that are over stay for a while: what becomes of their batch depends on them, and the blame of
        # one on the landing of what it was built on.
        over = [each for each in self._changes.values() if _is_over(each)]
        for change in over:
            keep_s = _HOUR_S / 2 if change.forge is Forge.LANDED else _HOUR_S / 4
            if change.auto is None or self._now - (change.auto.ended or 0.0) > keep_s:
                del self._changes[change.id]
        missing = _WAITING - (len(self._changes) - len(over))
        for _ in range(missing):
            self._number += 1
            head = f"head-{self._number}"
            opened = Opened(actor="ann", at=self._number, target=_TARGET, head=head, title="")
            approved = Approved(actor="rita", at=self._number, head=head, by="rita")
            self._changes[self._number] = fold_change(Change(id=self._number), (opened, approved))
            if self._random.random() < self._failing:
                self._bad.add(self._number)


def _is_over(change: Change) -> bool:
    """Return whether it has landed or was found to fail."""
    auto = change.auto
    is_blamed = auto is not None and auto.outcome is RunOutcome.FAILED and len(auto.members) == 1
    return is_blamed or change.forge is Forge.LANDED


def simulated(way: Way, failing: int) -> Outcome:
    """Return what comes of a way to work when so many in 100 changes fail; the same each time."""
    return Simulation(way, failing, _SEED).run(HOURS)


def table(found: Mapping[tuple[Way, int], Outcome]) -> str:
    """Return the lines of the manual page: changes landed an hour, and in brackets runs for each of them."""
    lines = [f"{'':<16}" + "".join(f"{head:>13}" for head in ("none fails", "5% fail", "20% fail"))]
    for way in WAYS:
        lines.append(f"{way!s:<16}" + "".join(f"{_cell(found[way, failing]):>13}" for failing in FAILING))
    return "\n".join(lines)


def _cell(outcome: Outcome) -> str:
    return f"{outcome.landed:.0f} ({outcome.runs:.2f})"


if __name__ == "__main__":
    print(table({(way, failing): simulated(way, failing) for way in WAYS for failing in FAILING}))
