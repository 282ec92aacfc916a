"""What is plain inside a paragraph of Markdown: without code, links, images, HTML and comments.

Layer:  pure. May import model and errors.

Time is linear in the length of the paragraph.
"""

from __future__ import annotations

import re
from bisect import bisect, bisect_right
from collections.abc import Iterator

import msgspec

REMOVED = "\ufffc"
"""Stands for what was taken out. It is no blank, so it makes a word that no command knows."""

_SPECIAL = re.compile(r"\\.|`+|<!--|<|!?\[|\]", re.DOTALL)
_TAG = re.compile(r"<[A-Za-z/!?][^<>]*>")
_INLINE_LINK = re.compile(r"\([^()]*(?:\([^()]*\)[^()]*)?\)")


class _Cut(msgspec.Struct, frozen=True):
    start: int
    end: int
    filling: str


class _Reading(msgspec.Struct):
    """A paragraph being read; `cuts` are in order and apart."""

    text: str
    mentions: list[int]
    runs: dict[int, list[int]]  # by length, where runs of back-ticks begin
    cuts: list[_Cut] = []
    brackets: list[int] = []
    has_comment_end: bool = True


def plain_lines(paragraph: list[tuple[int, str]], mention: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a paragraph with `REMOVED` in place of what is not plain."""
    text = "\n".join(line for _, line in paragraph)
    state = _Reading(text, [each.start() for each in re.finditer(re.escape(mention), text)], {})
    for run in re.finditer("`+", text):
        state.runs.setdefault(run.end() - run.start(), []).append(run.start())
    at = 0
    while found := _SPECIAL.search(text, at):
        at = _take(state, found)
    for (number, _), line in zip(paragraph, _without(state).split("\n"), strict=True):
        yield number, line


def _take(state: _Reading, found: re.Match[str]) -> int:
    """Deal with what begins here; return where to go on."""
    start, end = found.span()
    match found[0][0]:
        case "`":
            return _code(state, start, end)
        case "<":
            return _html(state, start, end)
        case "[" | "!":
            state.brackets.append(start)
        case "]" if state.brackets:
            return _link(state, state.brackets.pop(), end)
    return end


def _code(state: _Reading, start: int, end: int) -> int:
    same = state.runs.get(end - start, [])
    closing = bisect_right(same, start)
    if closing == len(same):
        return end
    return _cut(state, start, same[closing] + end - start)


def _html(state: _Reading, start: int, end: int) -> int:
    if end - start > 1:
        closing = state.text.find("-->", start + 2) if state.has_comment_end else -1
        state.has_comment_end = closing >= 0
        return _cut(state, start, closing + 3, " ") if closing >= 0 else end
    tag = _TAG.match(state.text, start)
    return _cut(state, start, tag.end()) if tag else end


def _link(state: _Reading, start: int, end: int) -> int:
    """A bracket has ended: with a target it is a link, and with a mention inside it may be one."""
    following = state.text[end : end + 1]
    if following == "(" and (found := _INLINE_LINK.match(state.text, end)):
        return _cut(state, start, found.end())
    if following == "[" and (closing := state.text.find("]", end)) >= 0:
        return _cut(state, start, closing + 1)
    inside = bisect(state.mentions, start)
    if inside < len(state.mentions) and state.mentions[inside] < end:
        return _cut(state, start, end)
    return end


def _cut(state: _Reading, start: int, end: int, filling: str = REMOVED) -> int:
    while state.cuts and state.cuts[-1].start >= start:
        state.cuts.pop()
    state.cuts.append(_Cut(start, end, filling))
    return end


def _without(state: _Reading) -> str:
    """Return the text with its cuts filled, as many lines as before."""
    parts, at = [], 0
    for cut in state.cuts:
        lines = state.text.count("\n", cut.start, cut.end)
        parts += [state.text[at : cut.start], "\n".join([cut.filling] * (lines + 1))]
        at = cut.end
    return "".join([*parts, state.text[at:]])
