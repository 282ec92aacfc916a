"""How the pages put things: glyphs, words, ages and sizes.

Layer: web. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from gitlimmat.model import Outcome, duration
from gitlimmat.service.board import Board, Cell, CellState, Counts


class Look(NamedTuple):
    """How a state looks: a word, also its class in the style sheet, and a glyph that needs no color."""

    word: str
    glyph: str


LOOKS: dict[Outcome | CellState, Look] = {
    Outcome.FAILED: Look("failed", "✗"),
    Outcome.ERRORED: Look("errored", "!"),
    CellState.RUNNING: Look("running", "◐"),
    CellState.WAITING: Look("waiting", "○"),
    Outcome.PASSED: Look("passed", "✓"),
    Outcome.SKIPPED: Look("skipped", "–"),
    Outcome.CANCELLED: Look("cancelled", "⊘"),
    CellState.UNKNOWN: Look("unknown", "·"),
}
"""In the order of importance."""

_SPANS = ((31_536_000, "y"), (2_592_000, "mo"), (604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "min"))


def look(cell: Cell) -> Look:
    """Return how a cell looks."""
    return LOOKS[cell.standing]


def details(cell: Cell, commit: str) -> str:
    """Return what a cell has to tell besides its state: why, how long, and where it is known from."""
    if cell.state is CellState.RUNNING:
        return "in another process" if cell.elsewhere else ""
    result = cell.result
    if cell.state is not CellState.DONE:
        return f"was {result.outcome.value} before" if result is not None else ""
    parts = [cell.reason] if cell.reason else []
    if result is not None:
        if result.elapsed:
            parts.append(duration(result.elapsed))
        if result.commit != commit:
            parts.append(f"known from {result.commit[:10]}")
    return ", ".join(parts)


def age(seconds: float) -> str:
    """Return a time span as shortly as possible: `now`, `5 min`, `3 d`."""
    for size, unit in _SPANS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def moment(stamp: float) -> str:
    """Return a time as HTML wants it in `datetime`: UTC, to the second."""
    return datetime.fromtimestamp(_bounded(stamp), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def date(stamp: float) -> str:
    """Return a time for people: local, to the second, with the offset."""
    return datetime.fromtimestamp(_bounded(stamp), UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def _bounded(stamp: float) -> float:
    return min(max(stamp, 0.0), 253_402_000_000.0)  # what datetime can hold; a commit may say anything


def tally(counts: Counts) -> list[tuple[Look, int]]:
    """Return how many cells look how, the most important first; those that nobody has are left out."""
    numbers: dict[Outcome | CellState, int] = {outcome: count for outcome, count in counts.outcomes.items()}  # noqa: C416
    numbers |= {CellState.RUNNING: counts.running, CellState.WAITING: counts.waiting}
    numbers[CellState.UNKNOWN] = counts.unknown
    return [(LOOKS[state], numbers[state]) for state in LOOKS if numbers.get(state)]


def summary(board: Board) -> tuple[str, str]:
    """Return the state of a whole board as a class for the icon, and in few words for the title."""
    state, told = _of_cells(tally(board.counts()))
    if not board.problems:
        return state, told
    return "failed" if state == "failed" else "errored", f"problem, {told}"


def _of_cells(found: list[tuple[Look, int]]) -> tuple[str, str]:
    if not found:
        return "unknown", "nothing to test"
    numbers = {each.word: number for each, number in found}
    bad = [f"{numbers[word]} {word}" for word in ("failed", "errored") if word in numbers]
    busy = [f"{numbers[word]} {word}" for word in ("running", "waiting") if word in numbers]
    if bad:
        return "failed" if "failed" in numbers else "errored", ", ".join([*bad, *busy[:1]])
    if busy:
        return "running", busy[0]
    if "passed" in numbers and not numbers.get("unknown") and not numbers.get("cancelled"):
        return "passed", "all passed"
    word = next(
        (each.word for each, _ in found if each.word in ("passed", "skipped", "cancelled")), "unknown"
    )
    return word if word != "cancelled" else "unknown", f"{numbers[word]} {word}"


def title(board: Board) -> str:
    """Return the title of a board's overview: state, branch, repository."""
    return " · ".join(part for part in (summary(board)[1], board.head, board.name) if part)


def slug(name: str) -> str:
    """Return a name as one segment of a path that needs no escapes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "repository"
