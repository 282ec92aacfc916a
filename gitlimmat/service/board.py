"""What a watch shows of one repository: its commits, its tests, and a cell for each pair.

Layer: service. The engine writes it, every surface reads it: a terminal, a page and a pipe show the same
facts because there is one place that holds them. Nothing here waits, reads files or starts anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import NamedTuple, Protocol

import msgspec

from gitlimmat.git.graph import Described, GraphLine
from gitlimmat.model import Outcome, Result
from gitlimmat.service.project import Project

_ESTIMATED_FROM = 9


class CellState(StrEnum):
    """Where a case is. UNKNOWN: there is no result, and nobody is going to make one."""

    UNKNOWN = "unknown"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


class Place(NamedTuple):
    """One test on one commit: a full commit id and the name of the test."""

    commit: str
    test: str


class Cell(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is true of one place now.

    While RUNNING, `since` is when the job started (seconds since the epoch), `directory` where its output is
    being written (`<stream>.txt`, see `store.runs`), None when not known, and `elsewhere` whether another
    process runs it. While DONE, `outcome` and `reason` say how it went; `result` is the stored record, None
    when the job never started or nothing could be stored. `known` is true when no job of ours ran for it.
    While WAITING or RUNNING, `result` is what was known before, if anything.
    """

    state: CellState
    outcome: Outcome | None = None
    reason: str = ""
    result: Result | None = None
    known: bool = False
    since: float | None = None
    directory: Path | None = None
    elsewhere: bool = False


NOTHING = Cell(state=CellState.UNKNOWN)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many places are in which state; `outcomes` counts those that are DONE."""

    outcomes: Mapping[Outcome, int]
    waiting: int
    running: int
    unknown: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is new on a board since its listeners were last told.

    `layout`: commits, tests, range or graph. `cells`: these places. `problems`: what is wrong.
    """

    layout: bool
    cells: frozenset[Place]
    problems: bool


class Control(Protocol):
    """What a user may ask of the engine behind a board. Raises: LimmatError saying why it cannot be."""

    def rerun(self, commit: str, test: str | None) -> None:
        """Run a test on a commit again whatever is known; without a test, all that did not pass there."""

    def cancel(self, commit: str, test: str | None) -> None:
        """End the job, or do not start it; without a test, all on that commit."""


class Board:
    """The present facts of one repository. Only the engine calls the methods that change it.

    `name` is the repository's for people. `base` and `head` are the names of the ends of the range as people
    say them, empty while unknown. `lines` is the graph as `git log --graph` draws it, `commits` those in it,
    newest first. `tests` are names in file order. `problems` maps a part (such as "base", "config", "store")
    to what is wrong with it now. `control` is None when the board can only be looked at. `version` counts
    changes.
    """

    def __init__(self, name: str, project: Project) -> None:
        self.name = name
        self.project = project
        self.base = ""
        self.head = ""
        self.lines: tuple[GraphLine, ...] = ()
        self.commits: tuple[Described, ...] = ()
        self.tests: tuple[str, ...] = ()
        self.problems: dict[str, str] = {}
        self.control: Control | None = None
        self.version = 0
        self._by_id: dict[str, Described] = {}
        self._cells: dict[Place, Cell] = {}
        self._tally: dict[CellState | Outcome, int] = {}
        self._elapsed: dict[str, list[float]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._layout = self._told_problems = False
        self._changed: set[Place] = set()
        self._due: asyncio.Handle | None = None

    def cell(self, commit: str, test: str) -> Cell:
        """Return what is true of one place; UNKNOWN for one that is not on the board."""
        return self._cells.get(Place(commit, test), NOTHING)

    def row(self, commit: str) -> tuple[Cell, ...]:
        """Return the cells of a commit, in the order of `tests`."""
        return tuple(self._cells.get(Place(commit, test), NOTHING) for test in self.tests)

    def described(self, commit: str) -> Described | None:
        """Return the commit of this id (full) if it is in the range."""
        return self._by_id.get(commit)

    def running(self) -> dict[Place, Cell]:
        """Return the cells whose jobs run now, the one that has run longest first."""
        if not self._tally.get(CellState.RUNNING):
            return {}
        found = [(place, cell) for place, cell in self._cells.items() if cell.state is CellState.RUNNING]
        return dict(sorted(found, key=lambda item: item[1].since or 0.0))

    def counts(self) -> Counts:
        """Return how many places are in which state."""
        return Counts(
            outcomes={outcome: count for outcome in Outcome if (count := self._tally.get(outcome, 0))},
            waiting=self._tally.get(CellState.WAITING, 0),
            running=self._tally.get(CellState.RUNNING, 0),
            unknown=self._tally.get(CellState.UNKNOWN, 0),
        )

    def estimate(self, test: str) -> float | None:
        """Return how many seconds a job of `test` takes, from the latest verdicts, if there are any."""
        elapsed = self._elapsed.get(test)
        return median(elapsed) if elapsed else None

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` in the loop with what changed in one moment; return what ends that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    # What the engine says.

    def show(
        self,
        *,
        base: str,
        head: str,
        lines: Sequence[GraphLine],
        tests: Sequence[str],
        cells: Mapping[Place, Cell],
    ) -> None:
        """Show this range from now on; `cells` has every place that is not UNKNOWN."""
        lines, tests = tuple(lines), tuple(tests)
        if (base, head, lines, tests) != (self.base, self.head, self.lines, self.tests):
            self.base, self.head, self.lines, self.tests = base, head, lines, tests
            self.commits = tuple(line.commit for line in lines if line.commit is not None)
            self._by_id = {commit.id: commit for commit in self.commits}
            self._layout = True
        fresh = {
            place: cells.get(place, NOTHING)
            for commit in self.commits
            for place in [Place(commit.id, test) for test in self.tests]
        }
        self._changed.update(place for place, cell in fresh.items() if self._cells.get(place) != cell)
        self._cells = fresh
        self._tally = {}
        for cell in fresh.values():
            self._count(cell, 1)
        self._tell_soon()

    def put(self, commits: Iterable[str], test: str, cell: Cell) -> None:
        """Set the cells of a test on some commits; those that are not on the board are left out."""
        for commit in commits:
            place = Place(commit, test)
            before = self._cells.get(place)
            if before is None or before == cell:
                continue
            self._cells[place] = cell
            self._count(before, -1)
            self._count(cell, 1)
            self._changed.add(place)
        self._tell_soon()

    def learn_elapsed(self, test: str, elapsed: Iterable[float]) -> None:
        """Remember how long jobs of `test` took, the latest last."""
        known = self._elapsed.setdefault(test, [])
        known += elapsed
        del known[:-_ESTIMATED_FROM]

    def say(self, part: str, problem: str | None) -> None:
        """Show what is wrong with a part; None when it works again."""
        if self.problems.get(part) == problem:
            return
        if problem is None:
            del self.problems[part]
        else:
            self.problems[part] = problem
        self._told_problems = True
        self._tell_soon()

    def _count(self, cell: Cell, by: int) -> None:
        key = cell.outcome if cell.state is CellState.DONE and cell.outcome is not None else cell.state
        self._tally[key] = self._tally.get(key, 0) + by

    def _tell_soon(self) -> None:
        if not (self._layout or self._changed or self._told_problems):
            return
        if self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._due = None
        change = Change(layout=self._layout, cells=frozenset(self._changed), problems=self._told_problems)
        self._layout = self._told_problems = False
        self._changed.clear()
        self.version += 1
        for listener in tuple(self._listeners):
            listener(change)
