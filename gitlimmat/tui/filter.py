"""Which commits and tests are shown: what a user types to see less.

Layer: tui. Pure.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from gitlimmat.git.graph import Described
from gitlimmat.model import Outcome
from gitlimmat.service.board import Board, Cell, CellState
from gitlimmat.tui.facts import slot_of

STATES = (*(outcome.value for outcome in Outcome), "running", "waiting", "unknown")
_FINE = (Outcome.PASSED, Outcome.SKIPPED)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Words that all must hold.

    `states`: some cell that is shown is in one of them. `tests`: patterns, only these tests are shown.
    `texts`: each is somewhere in subject, author, refs, or at the start of the id.
    `open_only`: commits on which everything passed are left out.
    """

    states: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    open_only: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether all commits are shown."""
        return not (self.states or self.texts or self.open_only)

    def shown_tests(self, tests: tuple[str, ...]) -> tuple[str, ...]:
        """Return the tests that are shown; all when none matches."""
        if not self.tests:
            return tests
        return tuple(test for test in tests if any(_like(test, wanted) for wanted in self.tests)) or tests

    def shows(self, board: Board, commit: Described, tests: tuple[str, ...]) -> bool:
        """Whether a commit is shown."""
        if not all(contains(commit, text) for text in self.texts):
            return False
        if not (self.states or self.open_only):
            return True
        cells = [board.cell(commit.id, test) for test in tests]
        if self.open_only and all(map(_is_fine, cells)):
            return False
        return not self.states or any(slot_of(cell) in self.states for cell in cells)


def parse_filter(text: str, *, open_only: bool = False) -> Filter:
    """Return what `text` means: words for states, `test:<pattern>`, anything else is looked for in texts."""
    states, tests, texts = [], [], []
    for word in text.split():
        if word.startswith("test:"):
            tests += [word.removeprefix("test:")] if word != "test:" else []
        elif word.lower() in STATES:
            states.append(word.lower())
        else:
            texts.append(word)
    return Filter(states=tuple(states), tests=tuple(tests), texts=tuple(texts), open_only=open_only)


def contains(commit: Described, text: str) -> bool:
    """Whether a commit has `text` in its subject, author or refs, or an id that starts so.

    Case counts only when `text` has upper case, as in git's and vim's smart case.
    """
    if text.islower():
        return any(text in each.lower() for each in _texts(commit)) or commit.id.startswith(text)
    return any(text in each for each in _texts(commit)) or commit.id.startswith(text.lower())


def _texts(commit: Described) -> tuple[str, ...]:
    return (commit.subject, commit.author, *commit.refs)


def _like(test: str, wanted: str) -> bool:
    return fnmatchcase(test, wanted) if set("*?[") & set(wanted) else wanted in test


def _is_fine(cell: Cell) -> bool:
    return cell.state is CellState.DONE and cell.outcome in _FINE
