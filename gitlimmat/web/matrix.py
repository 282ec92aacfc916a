"""The table of the overview: a row for each commit, a cell for each test.

Layer: web. Pure.

Written by hand and not with a template: 1,000 commits with 10 tests are 10,000 cells, and each has to be
there in a fraction of a second.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup, escape

from gitlimmat.git.graph import Described
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.web.graph import draw, is_drawn
from gitlimmat.web.urls import place
from gitlimmat.web.words import LOOKS, age, date, details, look, moment


class Filter(NamedTuple):
    """Which rows to show: those with this text, and with a cell in this state. Empty: all."""

    text: str = ""
    only: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it may leave out any row."""
        return bool(self.text or self.only)

    def accepts(self, board: Board, commit: Described) -> bool:
        """Whether a commit is to be shown."""
        if self.text:
            words = (commit.subject, commit.id, commit.author, *commit.refs)
            if not any(self.text.casefold() in word.casefold() for word in words):
                return False
        return not self.only or any(look(cell).word == self.only for cell in board.row(commit.id))


def read_filter(text: str, only: str) -> Filter:
    """Return the filter that a query asks for; states that do not exist are ignored."""
    return Filter(text.strip()[:200], only if only in {each.word for each in LOOKS.values()} else "")


class Matrix:
    """Writes the table of one board. `prefix` is the path of the board's pages."""

    def __init__(self, board: Board, prefix: str) -> None:
        self._board = board
        self._prefix = prefix
        self._tests: tuple[str, ...] = ()
        self._names: dict[str, tuple[str, str]] = {}

    def rows(self, wanted: Filter, now: float) -> Markup:
        """Return the rows of the commits that are wanted, with lines that only draw when all are."""
        board = self._board
        drawn = is_drawn(board.lines) and not wanted.is_active
        parts: list[str] = []
        arts = ["", *(line.art for line in board.lines), ""]
        for index, line in enumerate(board.lines):
            graph = draw(*arts[index : index + 3]) if drawn else None
            if line.commit is not None and wanted.accepts(board, line.commit):
                parts.append(self._row(graph, line.commit, now))
            elif line.commit is None and graph is not None:
                parts.append(_art_row(graph, len(board.tests)))
        return Markup("\n".join(parts))  # noqa: S704

    def cell(self, where: Place, cell: Cell) -> str:
        """Return the HTML of one cell."""
        return self._cell(self._base(where.commit), where.commit, where.test, cell)

    def _row(self, picture: Markup | None, commit: Described, now: float) -> str:
        base = self._base(commit.id)
        row = self._board.row(commit.id)
        cells = "".join(
            self._cell(base, commit.id, test, cell) for test, cell in zip(self._board.tests, row, strict=True)
        )
        graph = f"<td class=graph aria-hidden=true>{picture}</td>" if picture is not None else ""
        refs = "".join(f"<span class={_kind(ref)}>{escape(ref)}</span> " for ref in commit.refs)
        return (
            f"<tr id=r{commit.id}>{graph}"
            f'<td class=id><a href="{base}" tabindex=-1>{escape(commit.abbreviated)}</a></td>'
            f"<th scope=row class=subject><span class=refs>{refs}</span>"
            f'<a href="{base}">{escape(commit.subject) or "(no subject)"}</a></th>'
            f"<td class=author>{escape(commit.author)}</td>"
            f"<td class=age>{stamp(commit.committed, now)}</td>"
            f"{cells}</tr>"
        )

    def _cell(self, base: str, commit: str, test: str, cell: Cell) -> str:
        word, glyph = look(cell)
        quoted, label = self._name(test)
        told = details(cell, commit) if cell.state is not CellState.UNKNOWN else ""
        title = f' title="{escape(told)}"' if told else ""
        return (
            f'<td class="t {word}" data-t="{label}"><a href="{base}/{quoted}"{title}>'
            f"{glyph}<i> {word}</i></a></td>"
        )

    def _base(self, commit: str) -> str:
        return place(self._prefix, commit)

    def _name(self, test: str) -> tuple[str, str]:
        """Return a test's name for a URL and for an attribute."""
        if self._tests != self._board.tests:
            self._tests = self._board.tests
            self._names = {}
        if test not in self._names:
            self._names[test] = quote(test, safe=""), str(escape(test))
        return self._names[test]


def stamp(seconds: float, now: float) -> Markup:
    """Return a time as its age, with the full date as title."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment(seconds), date(seconds), age(now - seconds)
    )


def _art_row(picture: Markup, tests: int) -> str:
    return f"<tr class=art aria-hidden=true><td class=graph>{picture}</td><td colspan={tests + 4}></td></tr>"


def _kind(ref: str) -> str:
    if ref.startswith("tag: "):
        return "ref-tag"
    if ref.startswith("HEAD"):
        return "ref-head"
    return "ref"
