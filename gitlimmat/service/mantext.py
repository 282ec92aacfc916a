"""Manual pages as plain text, for machines without a program that shows them.

Layer: service. Pure: text in, text out. Knows the part of man(7) that our pages are written in, no more.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable

_INDENT = 7
_ESCAPES = {"-": "-", "e": "\\", "&": "", "~": " ", " ": " ", "|": "", "%": "", ":": "", "0": " ", "/": ""}
_NAMED = {"aq": "'", "dq": '"', "lq": "“", "rq": "”", "bu": "•", "em": "—", "en": "–", "oq": "'", "cq": "'"}
_ESCAPE = re.compile(r"\\(?:f[A-Z]|f\([A-Z]{2}|\((..)|(.))")
_WORD = re.compile(r'"((?:[^"]|"")*)"|(\S+)')
_FONTS = ("B", "I", "BI", "BR", "IR", "RB", "RI", "IB", "SM")


def man_to_text(source: str, width: int) -> str:
    """Return a manual page as plain text of at most `width` columns, where words are not longer."""
    page = _Page(max(width, 40))
    for line in re.sub(r"\\\n", "", source).splitlines():
        if line.startswith((".", "'")) and not line.startswith((".\\", "'\\")):
            name, _, rest = line[1:].strip().partition(" ")
            page.request(name, [_plain(quoted or word) for quoted, word in _WORD.findall(rest)])
        else:
            page.text(_plain(line))
    return page.finish()


def _plain(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        named, single = match.groups()
        if named is not None:
            return _NAMED.get(named, "?")
        return _ESCAPES.get(single, single) if single is not None else ""

    return _ESCAPE.sub(character, text)


class _Page:
    """What was set so far, and what is being gathered."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._lines: list[str] = []
        self._words: list[str] = []
        self._margin = _INDENT
        self._indent = 0
        self._verbatim = False
        self._tag: str | None = None
        self._wants_tag = False
        self._headed = False

    def text(self, line: str) -> None:
        """Take in a line of text."""
        if self._wants_tag:
            self._tag, self._wants_tag, self._indent = line, False, _INDENT
        elif self._verbatim:
            self._lines.append((" " * (self._margin + self._indent) + line).rstrip())
        elif not line.strip():
            self._paragraph()
        else:
            self._words.append(line.strip())

    def request(self, name: str, words: list[str]) -> None:
        """Obey a request."""
        act: dict[str, Callable[[list[str]], None]] = {
            "SH": self._section,
            "SS": self._subsection,
            "TP": self._tagged,
            "IP": self._item,
            "RS": lambda _: self._move(_INDENT),
            "RE": lambda _: self._move(-_INDENT),
        }
        if name in act:
            act[name](words)
        elif name in ("PP", "P", "LP"):
            self._paragraph()
            self._indent = 0
        elif name in ("EX", "nf", "EE", "fi"):
            self._flush()
            self._verbatim = name in ("EX", "nf")
        elif name in _FONTS:
            self.text((" " if len(name) == 1 else "").join(words))
        elif name == "br":
            self._flush()

    def finish(self) -> str:
        """Return the page."""
        self._flush()
        text = "\n".join(self._lines).strip("\n")
        return re.sub(r"\n{3,}", "\n\n", text) + "\n"

    def _section(self, words: list[str]) -> None:
        self._paragraph()
        self._margin, self._indent = _INDENT, 0
        self._lines.append(" ".join(words))
        self._headed = True

    def _subsection(self, words: list[str]) -> None:
        self._paragraph()
        self._indent = 0
        self._lines.append("   " + " ".join(words))
        self._headed = True

    def _tagged(self, words: list[str]) -> None:
        self._paragraph()
        self._wants_tag = True

    def _item(self, words: list[str]) -> None:
        self._paragraph()
        self._wants_tag = False
        self._indent = int(words[1]) + 2 if words[1:] and words[1].isdecimal() else _INDENT
        self._tag = words[0] if words else ""

    def _move(self, by: int) -> None:
        self._flush()
        self._margin = max(self._margin + by, _INDENT)
        self._indent = 0

    def _paragraph(self) -> None:
        self._flush()
        if self._lines and not self._headed:
            self._lines.append("")
        self._headed = False

    def _flush(self) -> None:
        """Set what was gathered as a paragraph, after its tag if it has one."""
        left = self._margin + self._indent
        first = " " * left
        if self._tag is not None:
            first = " " * self._margin + self._tag
            if len(first) < left:
                first = first.ljust(left)
            else:
                self._lines.append(first)
                first = " " * left
            self._tag = None
        elif not self._words:
            return
        self._lines += textwrap.wrap(
            " ".join(self._words) or " ",
            self._width,
            initial_indent=first,
            subsequent_indent=" " * left,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first.rstrip()]
        self._words = []
