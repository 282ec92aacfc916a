"""What is known about a cell or a board, in words.

Layer: tui. Pure: the clock comes as an argument. Imports nothing of a terminal: plain lines are said so, too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gitlimmat.model import Outcome, Result, duration
from gitlimmat.service.board import Board, Cell, CellState, Place

if TYPE_CHECKING:
    from gitlimmat.tui.filter import Filter

_NAMED = 4


def slot_of(cell: Cell) -> str:
    """Return the word for what a cell says, which is also the slot of its color and glyph."""
    if cell.state is CellState.DONE:
        return (cell.outcome or Outcome.ERRORED).value
    return cell.state.value


def cell_facts(board: Board, place: Place, cell: Cell, now: float) -> str:
    """Return state, reason, times and origin of a cell."""
    estimate = board.estimate(place.test)
    match cell.state:
        case CellState.UNKNOWN:
            return "no result"
        case CellState.WAITING:
            about = f", takes about {_rough(estimate)}" if estimate is not None else ""
            return f"waiting{about}{_before(cell)}"
        case CellState.RUNNING:
            time = f" for {_seconds(now - cell.since)}" if cell.since is not None else ""
            about = f", usually {_rough(estimate)}" if estimate is not None and time else ""
            where = " in another process" if cell.elsewhere else ""
            return f"running{time}{where}{about}{_before(cell)}"
        case CellState.DONE:
            return _done_facts(place, cell, estimate, now)


def _done_facts(place: Place, cell: Cell, estimate: float | None, now: float) -> str:
    word = cell.outcome.value if cell.outcome is not None else "done"
    result = cell.result
    parts = [cell.reason] if cell.reason and cell.reason != word else []
    if result is not None:
        if result.elapsed:
            usual = "" if estimate is None else f" (usually {_rough(estimate)})"
            parts.append(f"took {duration(result.elapsed)}{usual}")
        if result.attempts > 1:
            parts.append(f"{result.attempts} attempts")
        if cell.known:
            parts.append(known_from(result, place.commit))
        parts.append(moment(result.started, now))
    elif cell.known:
        parts.append("known")
    return ", ".join((word, *parts))


def known_from(result: Result, commit: str) -> str:
    """Return where a result that was not made now comes from."""
    return "known" if result.commit == commit else f"known from {result.commit[: len('0123456')]}"


def moment(then: float, now: float) -> str:
    """Return when something was: time of day, before today with the date. It stays true while time passes."""
    at = time.localtime(then)
    today = time.localtime(now)
    if (at.tm_year, at.tm_yday) == (today.tm_year, today.tm_yday):
        return time.strftime("at %H:%M:%S", at)
    return time.strftime("on %Y-%m-%d at %H:%M", at)


def range_text(board: Board) -> str:
    """Return the range as people say it."""
    if not board.head:
        return ""
    return f"{board.base}..{board.head}" if board.base else board.head


def window_title(boards: Sequence[Board]) -> str:
    """Return what a window is called: names of repositories, and how they are."""
    return ", ".join(f"{board.name}: {_state_text(board)}" for board in boards)


def _state_text(board: Board) -> str:
    counts = board.counts()
    bad = counts.outcomes.get(Outcome.FAILED, 0) + counts.outcomes.get(Outcome.ERRORED, 0)
    words = [f"{bad} failed"] if bad else []
    words += [f"{counts.running} running"] if counts.running else []
    if board.problems:
        words.insert(0, "problem")
    return ", ".join(words) or ("passed" if counts.outcomes else "nothing known")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def empty_text(board: Board, chosen: Filter, text: str) -> str:
    """Return why no commit is shown."""
    if board.commits and not chosen.is_empty:
        if text:
            return f"no commit matches '{text}'"
        return "everything passed, and what passed is not shown (p shows it)"
    if board.problems and not board.head:
        return "nothing to show"
    if not board.head:
        return "reading the repository"
    if board.base:
        return f"nothing between {board.base} and {board.head}"
    return f"no commits on {board.head}"


def stopping_text(
    stopping: Sequence[tuple[Board, Place]], *, several: bool, killing: bool, again: str = "q again kills"
) -> str:
    """Return what is still being ended, by name; what matters most stands first."""
    verb = "killing" if killing else "stopping"
    hint = "" if killing else f" ({again})"
    shown = [f"{name} on {short(board, commit)}{_of(board, several)}" for board, (commit, name) in stopping]
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return f"{verb} {counted(len(shown), 'job')}{hint}: {', '.join(shown[:_NAMED])}{more}"


def short(board: Board, commit: str) -> str:
    """Return the abbreviated id of a commit, also when it has left the board."""
    described = board.described(commit)
    return described.abbreviated if described is not None else commit[: len("0123456")]


def _of(board: Board, several: bool) -> str:
    return f" of {board.name}" if several else ""


def _before(cell: Cell) -> str:
    if cell.result is None:
        return ""
    reason = f" ({cell.result.reason})" if cell.result.reason else ""
    return f", before: {cell.result.outcome.value}{reason}"


def _rough(seconds: float) -> str:
    return duration(seconds) if seconds < 10 else duration(round(seconds)).replace(".0 s", " s")


def _seconds(seconds: float) -> str:
    return duration(int(seconds)).replace(".0 s", " s") if seconds >= 1 else "0 s"
