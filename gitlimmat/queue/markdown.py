"""Lines of a Markdown text that a reader takes for plain words.

Layer:  pure. May import model and errors.
Source: CommonMark 0.31. Block quotes, code of any kind, HTML and its comments, headings, links, images and
        definitions of links are no plain words; nor is a line that lazily goes on with a quote.

Where Markdown leaves a doubt, a line is not plain: a command that is not run can be said again.
Time is linear in the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator

import msgspec

from gitlimmat.queue.inline import plain_lines

_DEEPEST = 20
"""Lists in lists beyond this are not read: nobody writes them, and they would cost time."""
_LINE = re.compile(r"\r\n|\n|\r")
_BLANKS = re.compile(r"[ \t]*")
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_HEADING = re.compile(r"#{1,6}(?=[ \t]|$)")
_UNDERLINE = re.compile(r"(?:=+|-+)[ \t]*$")
_RULE = re.compile(r"([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_ITEM = re.compile(r"([-+*]|[0-9]{1,9}[.)])(?=[ \t]|$)")
_DEFINITION = re.compile(r"\[[^\]]{1,999}\]:")
_RAW = re.compile(r"<(script|pre|style|textarea)(?=[\s>]|$)", re.IGNORECASE)
_BLOCK = re.compile(
    r"</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog"
    r"|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe"
    r"|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table"
    r"|tbody|td|tfoot|th|thead|title|tr|track|ul)(?=[\s/>]|$)",
    re.IGNORECASE,
)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>[ \t]*$")


class _Open(msgspec.Struct):
    """What the lines so far have left open."""

    paragraph: list[tuple[int, str]] = []
    items: list[int] = []  # columns where the content of list items begins, outermost first
    fence: str = ""
    html_end: str | None = None  # what ends a block of HTML; empty for a blank line
    column: int = 0  # where the fence or the HTML begins: what is before ends it
    is_quote: bool = False  # a paragraph inside a block quote may go on


def plain_words(text: str, mention: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of paragraphs that contain `mention`, each with its number (from 1).

    What is in the middle of such a line without being plain is replaced by `inline.REMOVED`.
    """
    state = _Open()
    number, start = 1, 0
    for end in _LINE.finditer(text):
        yield from _having(mention, _read(state, number, text[start : end.start()]))
        number, start = number + 1, end.end()
    yield from _having(mention, _read(state, number, text[start:]))
    yield from _having(mention, state.paragraph)


def _having(mention: str, paragraph: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    return plain_lines(paragraph, mention) if any(mention in each for _, each in paragraph) else iter(())


def _read(state: _Open, number: int, line: str) -> list[tuple[int, str]]:
    """Take one line; return a paragraph that has ended before it, or nothing."""
    at = _end(_BLANKS, line, 0)
    is_blank = at == len(line)
    indent = _column(line, at)
    if not is_blank and indent < state.column:
        state.fence, state.html_end = "", None
    if state.fence:
        if not is_blank and indent - state.column <= 3 and _closes(state.fence, line[at:]):
            state.fence = ""
        return []
    if state.html_end is not None:
        if is_blank if not state.html_end else state.html_end in line.lower():
            state.html_end = None
        return []
    if is_blank:
        state.is_quote = False
        return _flush(state)
    return _read_block(state, number, line, at, indent)


def _read_block(state: _Open, number: int, line: str, at: int, indent: int) -> list[tuple[int, str]]:
    done: list[tuple[int, str]] = []
    while True:
        depth = bisect(state.items, indent)
        column = state.items[depth - 1] if depth else 0
        is_open = bool(state.paragraph)
        if indent - column >= 4:
            if is_open:
                state.paragraph.append((number, line[at:]))
            return done
        if depth >= _DEEPEST:
            return done or _flush(state)
        item = None if _RULE.match(line, at) else _item(line, at, is_open=is_open)
        if item is None:
            ended = _read_leaf(state, number, line, at, depth)
            return done or ended
        del state.items[depth:]
        done = done or _flush(state)
        state.is_quote = False
        indent, at = _content(line, indent, item)
        state.items.append(indent)
        if at == len(line):
            return done
        indent = _column(line, at)


def _read_leaf(state: _Open, number: int, line: str, at: int, depth: int) -> list[tuple[int, str]]:
    if state.paragraph and depth == len(state.items) and _UNDERLINE.match(line, at):
        state.paragraph = []
        return []
    if not _starts_block(state, line, at):
        if state.is_quote:
            return []
        if not state.paragraph:
            del state.items[depth:]
            if _DEFINITION.match(line, at):
                return []
        state.paragraph.append((number, line[at:]))
        return []
    del state.items[depth:]
    state.column = state.items[-1] if state.items else 0
    return _flush(state)


def _starts_block(state: _Open, line: str, at: int) -> bool:
    """Return whether something other than a paragraph begins here, and remember what."""
    if found := _FENCE.match(line, at):
        state.fence = found[1] or found[2]
    elif line[at] == ">":
        inner = _end(_BLANKS, line, at + 1)
        others = (_FENCE, _HEADING, _RULE)
        state.is_quote = inner < len(line) and not any(each.match(line, inner) for each in others)
        return True
    elif line[at] == "<":
        if (end := _html_end(line, at, is_open=bool(state.paragraph))) is None:
            return False
        if not (end and end in line[at + 2 :].lower()):
            state.html_end = end
    elif not (_HEADING.match(line, at) or _RULE.match(line, at)):
        return False
    state.is_quote = False
    return True


def _html_end(line: str, at: int, *, is_open: bool) -> str | None:
    """Return what ends the block of HTML that begins here; None when none does."""
    for opening, end in (("<!--", "-->"), ("<?", "?>"), ("<![CDATA[", "]]>")):
        if line.startswith(opening, at):
            return end
    if line.startswith("<!", at) and line[at + 2 : at + 3].isalpha():
        return ">"
    if raw := _RAW.match(line, at):
        return f"</{raw[1].lower()}>"
    if _BLOCK.match(line, at) or (not is_open and _TAG.match(line, at)):
        return ""
    return None


def _item(line: str, at: int, *, is_open: bool) -> int | None:
    """Return where the marker of a list item ends; None when there is none."""
    found = _ITEM.match(line, at)
    if found is None:
        return None
    is_empty = _end(_BLANKS, line, found.end()) == len(line)
    may_interrupt = not is_empty and found[1] in ("-", "+", "*", "1.", "1)")
    return found.end() if may_interrupt or not is_open else None


def _content(line: str, indent: int, marker_end: int) -> tuple[int, int]:
    """Return the column and the place where the content of a list item begins."""
    at = _end(_BLANKS, line, marker_end)
    width = _column(line, at) - _column(line, marker_end)
    if at == len(line) or width > 4:
        return _column(line, marker_end) + 1, at
    return _column(line, at), at


def _closes(fence: str, rest: str) -> bool:
    rest = rest.rstrip(" \t")
    return len(rest) >= len(fence) and not rest.strip(fence[0])


def _flush(state: _Open) -> list[tuple[int, str]]:
    done, state.paragraph = state.paragraph, []
    return done


def _column(line: str, at: int) -> int:
    """Return the column of a place, with tabs every four."""
    return len(line[:at].expandtabs(4))


def _end(pattern: re.Pattern[str], line: str, at: int) -> int:
    found = pattern.match(line, at)
    return found.end() if found else at
