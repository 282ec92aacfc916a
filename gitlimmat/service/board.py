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

WARNING = "warning"
"""The part of `problems` that is none: what was said once, and is shown for some time."""
ESTIMATED_FROM = 9
"""How many of the latest durations of a test `estimate` goes by."""


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

    @property
    def standing(self) -> CellState | Outcome:
        """The one thing to show: the outcome of one that is DONE, else the state."""
        return self.outcome if self.state is CellState.DONE and self.outcome is not None else self.state


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
        self._rows: dict[str, list[Cell]] = {}
        self._columns: dict[str, int] = {}
        self._tally: dict[CellState | Outcome, int] = {}
        self._elapsed: dict[str, list[float]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._layout = self._told_problems = False
        self._changed: set[Place] = set()
        self._due: asyncio.Handle | None = None

    def cell(self, commit: str, test: str) -> Cell:
        """Return what is true of one place; UNKNOWN for one that is not on the board."""
        row, column = self._rows.get(commit), self._columns.get(test)
        return NOTHING if row is None or column is None else row[column]

    def row(self, commit: str) -> tuple[Cell, ...]:
        """Return the cells of a commit, in the order of `tests`."""
        row = self._rows.get(commit)
        return (NOTHING,) * len(self.tests) if row is None else tuple(row)

    def described(self, commit: str) -> Described | None:
        """Return the commit of this id (full) if it is in the range."""
        return self._by_id.get(commit)

    def running(self) -> dict[Place, Cell]:
        """Return the cells whose jobs run now, the one that has run longest first."""
        if not self._tally.get(CellState.RUNNING):
            return {}
        found = [
            (Place(commit, test), cell)
            for commit, row in self._rows.items()
            for test, cell in zip(self.tests, row, strict=True)
            if cell.state is CellState.RUNNING
        ]
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
        rows = {
            line.commit.id: [cells.get(Place(line.commit.id, test), NOTHING) for test in tests]
            for line in lines
            if line.commit is not None
        }
        self.show_rows(base=base, head=head, lines=lines, tests=tests, rows=rows)

    def show_rows(
        self,
        *,
        base: str,
        head: str,
        lines: Sequence[GraphLine],
        tests: Sequence[str],
        rows: dict[str, list[Cell]],
    ) -> None:
        """Do what `show` does; `rows` has the cells of each commit in the order of `tests`, and is kept."""
        lines, tests = tuple(lines), tuple(tests)
        before, columns = self._rows, self._columns
        same_tests = tests == self.tests
        if not same_tests or (base, head, lines) != (self.base, self.head, self.lines):
            self.base, self.head, self.lines, self.tests = base, head, lines, tests
            self.commits = tuple(line.commit for line in lines if line.commit is not None)
            self._by_id = {commit.id: commit for commit in self.commits}
            self._columns = {test: column for column, test in enumerate(tests)}
            self._layout = True
        for gone in before.keys() - rows.keys():
            self._count_row(before[gone], -1)
        for commit, row in rows.items():
            was = before.get(commit, [])
            if was == row and same_tests:
                continue
            self._count_row(was, -1)
            self._count_row(row, 1)
            for test, cell in zip(tests, row, strict=True):
                if not was or test not in columns or was[columns[test]] != cell:
                    self._changed.add(Place(commit, test))
        self._rows = rows
        self._tell_soon()

    def put(self, commits: Iterable[str], test: str, cell: Cell) -> None:
        """Set the cells of a test on some commits; those that are not on the board are left out."""
        column = self._columns.get(test)
        if column is None:
            return
        for commit in commits:
            row = self._rows.get(commit)
            if row is None or row[column] == cell:
                continue
            self._count_row((row[column],), -1)
            self._count_row((cell,), 1)
            row[column] = cell
            self._changed.add(Place(commit, test))
        self._tell_soon()

    def learn_elapsed(self, test: str, elapsed: Iterable[float]) -> None:
        """Remember how long jobs of `test` took, the latest last."""
        known = self._elapsed.setdefault(test, [])
        known += elapsed
        del known[:-ESTIMATED_FROM]

    def touch(self) -> None:
        """Tell that something has changed that is shown beside the cells."""
        self._layout = True
        self._tell_soon()

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

    def _count_row(self, cells: Iterable[Cell], by: int) -> None:
        for cell in cells:
            key = cell.standing
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
