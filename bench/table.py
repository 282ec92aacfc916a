"""The table: rows of figures, what they are held against, and the file they are written into."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple, assert_never

from sandbox import git

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
_HEAD = "| what | ours | peer | ratio | budget | met? |\n|---|---:|---:|---:|---:|:-:|"


class Unit(Enum):
    """What figures count."""

    SECONDS = auto()
    BYTES = auto()
    COUNT = auto()


class Budget(NamedTuple):
    """What is allowed: at most `limit` times the peer, or `limit` itself when `of_peer` is false."""

    limit: float
    of_peer: bool = True


class Row(NamedTuple):
    """One line of the table.

    Units: `ours` and `theirs` are in `unit`. `theirs` is None when there is nothing
    to compare with; `peer` then says why, or is empty. `ours` is None when only the peer is missing.
    """

    what: str
    ours: float | None
    peer: str = ""
    theirs: float | None = None
    budget: Budget | None = None
    unit: Unit = Unit.SECONDS

    @property
    def ratio(self) -> float | None:
        """How many times the peer's figure ours is."""
        return self.ours / self.theirs if self.ours is not None and self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the budget is kept, None when there is none or nothing to hold against it."""
        if self.budget is None:
            return None
        figure = self.ratio if self.budget.of_peer else self.ours
        return None if figure is None else figure <= self.budget.limit


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as one Markdown table."""
    return "\n".join((_HEAD, *(_line(row) for row in rows)))


def replace_in(path: Path, text: str) -> None:
    """Put `text` between the two marks in the file at `path`.

    Raises: ValueError when the marks are not there, once each and in order; the file is left alone.
    """
    content = path.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        raise ValueError(f"'{path}' must have '{BEGIN}' and then '{END}', once each")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def machine(*, quick: bool) -> str:
    """Return a sentence on where and when this was measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = platform.uname()
    version = git(Path.cwd(), "--version").removeprefix("git version ")
    day = datetime.now(UTC).date().isoformat()
    how = "`python bench/run.py --quick`, smaller sizes" if quick else "`python bench/run.py`"
    return (
        f"Measured by {how} on {day}: {cores} cores ({system.machine}), {system.system} {system.release}, "
        f"git {version}, Python {platform.python_version()}. "
        "Medians of runs by turns in one go, caches warm."
    )


def _line(row: Row) -> str:
    peer = row.peer if row.theirs is None else f"{row.peer}: {_figure(row.theirs, row)}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} ×"
    met = {None: "", True: "yes", False: "**no**"}[row.met]
    return f"| {row.what} | {_figure(row.ours, row)} | {peer} | {ratio} | {_allowed(row)} | {met} |"


def _allowed(row: Row) -> str:
    if row.budget is None:
        return ""
    if row.budget.of_peer:
        return f"≤ {row.budget.limit:g} ×"
    if row.unit is Unit.SECONDS:
        return f"≤ {row.budget.limit:g} s"
    return f"≤ {_figure(row.budget.limit, row)}"


def _figure(value: float | None, row: Row) -> str:
    if value is None:
        return ""
    match row.unit:
        case Unit.COUNT:
            return f"{value:,.0f}"
        case Unit.BYTES:
            return f"{value / 1e6:.0f} MB" if value >= 1e6 else f"{value:.0f} B"
        case Unit.SECONDS:
            return f"{value:.2f} s" if abs(value) >= 0.1 else f"{value * 1000:.2f} ms"
    assert_never(row.unit)
