"""What stands around the table: header, problems, what is under the cursor, and the last line.

Layer: tui.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from gitlimmat.model import Outcome
from gitlimmat.service.board import Board
from gitlimmat.tui.facts import cell_facts, counted, moment, range_text, slot_of
from gitlimmat.tui.host import Links
from gitlimmat.tui.keys import Key, footer_keys
from gitlimmat.tui.look import Look
from gitlimmat.tui.screenlines import Lines
from gitlimmat.tui.text import BOLD, DIM, PLAIN, REVERSE, Line, clean, fit
from gitlimmat.tui.view import View

_MOST_PROBLEMS = 4


class Header(Lines):
    """Repository, range, counts, and the address of the pages."""

    def __init__(self, look: Look, boards: Sequence[Board], view: View, links: Links | None) -> None:
        super().__init__()
        self._look, self._boards, self.view, self._links = look, boards, view, links

    def wanted_height(self, width: int) -> int:
        """Return how many lines are needed to show the address, too."""
        return 2 if self._links is not None and self._left_width() + len(self._links.url) + 2 > width else 1

    def line(self, y: int, width: int) -> Strip:
        """Draw the header, or the address below it."""
        line, board = self._look.line(width), self.view.board
        url = self._links.url if self._links is not None else ""
        link = Style(link=url, underline=True) if url else PLAIN
        if y == 1:
            return line.add("  ").add(url, link).strip()
        for each in self._boards:
            line.add("  " if each is self._boards[0] else " | ", DIM)
            line.add(clean(each.name), (BOLD if each is board else DIM))
            bad = each.counts().outcomes.get(Outcome.FAILED, 0)
            if each is not board and bad:
                line.add(f" {self._look.glyph('failed')} {bad:,}", self._look.style("failed"))
        for text, style in self._facts(board, line.left):
            line.add("  ").add(text, style)
        if url and line.left >= len(url) + 2 and self.size.height == 1:
            line.add(" " * (line.left - len(url))).add(url, link)
        return line.strip()

    def _facts(self, board: Board, width: int | None = None) -> list[tuple[str, Style]]:
        """Return what there is to say; where `width` is too little for all, what matters most first."""
        look, counts = self._look, board.counts()
        facts = [(clean(range_text(board)), PLAIN)] if board.head else []
        shown = sum(line.commit is not None for line in self.view.rows)
        total = len(board.commits)
        text = counted(total, "commit") if shown == total else f"{shown:,} of {counted(total, 'commit')}"
        facts.append((text, PLAIN))
        numbers = [(outcome.value, counts.outcomes.get(outcome, 0)) for outcome in Outcome]
        told = [
            (f"{look.glyph(slot)} {number:,}", look.style(slot))
            for slot, number in [*numbers, ("running", counts.running), ("waiting", counts.waiting)]
            if number
        ]
        everything = [*facts, *told]
        return everything if width is None or _width(everything) <= width else [*told, *facts]

    def _left_width(self) -> int:
        names = sum(cell_len(board.name) + 3 for board in self._boards)
        return names + _width(self._facts(self.view.board))


def _width(facts: Sequence[tuple[str, Style]]) -> int:
    return sum(cell_len(text) + 2 for text, _ in facts)


class Problems(Lines):
    """What is wrong, one line each."""

    def __init__(self, look: Look, view: View) -> None:
        super().__init__()
        self._look, self.view = look, view

    def wanted_height(self) -> int:
        """Return how many lines there are."""
        return min(len(self.view.board.problems), _MOST_PROBLEMS)

    def line(self, y: int, width: int) -> Strip:
        """Draw a problem; the last line tells of those that do not fit."""
        problems = list(self.view.board.problems.items())
        line = self._look.line(width)
        hidden = len(problems) - _MOST_PROBLEMS
        if hidden > 0 and y == _MOST_PROBLEMS - 1:
            return line.add(f"  and {hidden + 1} more problems", self._look.style("problem")).strip()
        if y < len(problems):
            part, text = problems[y]
            line.add(self._look.mark("▲ ", "! "), self._look.style("problem"))
            line.add(f"{clean(part)}: ", self._look.style("problem")).add(clean(text))
        return line.strip()


class Facts(Lines):
    """What is under the cursor: a rule with names, what is known of the cell, and the commit."""

    HEIGHT = 3
    DEFAULT_CSS = "Facts { height: 3; }"

    def __init__(self, look: Look, view: View) -> None:
        super().__init__()
        self._look, self.view = look, view

    def line(self, y: int, width: int) -> Strip:
        """Draw one of the three lines."""
        view, line = self.view, self._look.line(width)
        commit, place, cell = view.commit, view.place, view.cell
        if y == 0:
            return self._rule(line)
        if commit is None:
            return line.strip()
        if y == 1 and place is not None and cell is not None:
            slot = slot_of(cell)
            style = self._look.style(slot)
            text = clean(cell_facts(view.board, place, cell, time.time()))
            word, comma, rest = text.partition(",")
            return line.add(f"  {self._look.glyph(slot)} {word}", style).add(comma + rest).strip()
        if y == 2:
            tail = f"  {clean(commit.author)} {moment(commit.committed, time.time())}"
            room = max(width - 2 - cell_len(tail), width // 2)
            subject = clean(commit.subject)
            line.add("  ").add(
                subject if cell_len(subject) <= room else fit(subject, room, more=self._look.mark("…", "~"))
            )
            line.add(tail, DIM)
        return line.strip()

    def _rule(self, line: Line) -> Strip:
        view, dash = self.view, self._look.mark("─", "-")
        line.add(dash, DIM)
        if view.place is not None and view.commit is not None:
            line.add(f" {clean(view.place.test)}", BOLD).add(" on ", DIM)
            line.add(f"{view.commit.abbreviated} ", self._look.style("hash"))
        number = self._position()
        line.add(dash * max(line.left - len(number) - 1, 0), DIM)
        return line.add(number, DIM).add(dash, DIM).strip()

    def _position(self) -> str:
        view = self.view
        commits = [n for n, row in enumerate(view.rows) if row.commit is not None]
        if not commits:
            return ""
        tests = len(view.tests)
        column = f", test {view.column + 1} of {tests}" if tests > 1 else ""
        return (
            f" commit {commits.index(view.row) + 1 if view.row in commits else 0} of {len(commits)}{column} "
        )


class Foot(Lines):
    """The last line: what is being typed, else what was just said, else what delays the end, else keys."""

    def __init__(self, look: Look, view: View) -> None:
        super().__init__()
        self._look, self.view = look, view
        self.typed: tuple[str, str] | None = None
        self.notice = ""
        self.notice_link = ""
        self.stopping = ""
        self.keys: Sequence[Key] = ()
        self.in_pane = self.has_streams = False

    def line(self, y: int, width: int) -> Strip:
        """Draw it."""
        line = self._look.line(width)
        if self.typed is not None:
            sign, text = self.typed
            room = max(width - len(sign) - 2, 1)
            while cell_len(text) > room:
                text = text[1:]
            return line.add(sign, BOLD).add(text).add(" ", REVERSE).strip()
        if self.notice:
            link = Style(link=self.notice_link) if self.notice_link else PLAIN
            return line.add(clean(self.notice), BOLD + link).strip()
        if self.stopping:
            return line.add(clean(self.stopping), self._look.style("problem")).strip()
        keys = [key for key in self.keys if self.has_streams or key.action != "stream"]
        for key, label in footer_keys(keys, width, pane=self.in_pane):
            line.add(key, BOLD).add(f" {label}  ", DIM)
        return line.strip()
