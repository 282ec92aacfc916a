"""What people say, as commands: one a line in a comment, one in a push option.

Layer:  pure. May import model and errors.
Source: git-limmat-queue(1), COMMANDS.

A line is one command or one fault, never half of one. Only ASCII blanks separate words, so nothing that a
branch or a file is called can make words of its own. Time is linear in the text; the answers are few.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gitlimmat.queue.grammar import words_to_command
from gitlimmat.queue.inline import REMOVED
from gitlimmat.queue.markdown import plain_words
from gitlimmat.queue.quoting import quote
from gitlimmat.queue.requests import (
    Approve,
    Cancel,
    Close,
    CloseTree,
    Command,
    Comment,
    Delegate,
    Fault,
    Help,
    Info,
    OpenTree,
    Parsed,
    Pause,
    Ping,
    Prioritize,
    Reopen,
    Resume,
    Retarget,
    Retitle,
    Retry,
    SetDraft,
    SetRollup,
    Try,
    TryCancel,
    Unapprove,
    Undelegate,
    Unroll,
)

__all__ = [
    "Approve",
    "Cancel",
    "Close",
    "CloseTree",
    "Command",
    "Comment",
    "Delegate",
    "Fault",
    "Help",
    "Info",
    "OpenTree",
    "Parsed",
    "Pause",
    "Ping",
    "Prioritize",
    "Reopen",
    "Resume",
    "Retarget",
    "Retitle",
    "Retry",
    "SetDraft",
    "SetRollup",
    "Try",
    "TryCancel",
    "Unapprove",
    "Undelegate",
    "Unroll",
    "parse_comment",
    "parse_option",
    "parse_words",
    "split_words",
]

LONGEST_TEXT = 1 << 20
"""Characters of a comment that is read for commands; a longer one is refused as a whole."""
MOST_LINES = 32
"""Commands of one comment that are answered."""

_BLANK = " \t\v\f"
_QUOTED = re.compile(r'([^ \t\v\f="]+=)"((?:[^"\\]|\\.)*+)"(?=[ \t\v\f]|$)', re.DOTALL)
_OPEN_QUOTE = re.compile(r'[^ \t\v\f="]+="')
_WORD = re.compile(r"[^ \t\v\f]+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_OTHER = re.compile(r"(?<=[ \t\v\f])@(?=\w)")


def parse_comment(text: str, mention: str) -> tuple[Parsed, ...]:
    """Return what the lines of a Markdown text that name the queue ask for, in order.

    `mention` is the name without its at sign. Lines that are no plain words (see `markdown`) say nothing.
    After `MOST_LINES` commands one fault says that the rest was not read.
    """
    if not mention or f"@{mention}" not in text:
        return ()
    if len(text) > LONGEST_TEXT:
        return (Parsed(line=1, command=Fault(message="a text as long as this is not read for commands")),)
    named = re.compile(rf"(?:^|(?<=[{_BLANK}]))@{re.escape(mention)}:?(?=[{_BLANK}]|$)")
    found: list[Parsed] = []
    for number, line in plain_words(text, f"@{mention}"):
        if (at := named.search(line)) is None:
            continue
        if len(found) == MOST_LINES:
            fault = Fault(message=f"only the first {MOST_LINES} commands of a comment are read")
            return (*found, Parsed(line=number, command=fault))
        found.append(Parsed(line=number, command=_command(line[at.end() :], named)))
    return tuple(found)


def parse_option(text: str) -> Command | Fault:
    """Return what one push option, or one line of words, asks for; `comment=` takes the rest as it is."""
    name, has_value, value = text.partition("=")
    if has_value and name == "comment":
        return Comment(text=value) if value.strip() else Fault(message="'comment=' needs a text")
    words = split_words(text)
    return words if isinstance(words, Fault) else parse_words(words)


def parse_words(words: Sequence[str]) -> Command | Fault:
    """Return what the words of one command ask for; quotes are taken off already."""
    return words_to_command(tuple(words))


def split_words(text: str) -> tuple[str, ...] | Fault:
    """Return the words of a line. `name="a value"` is one word, with `\\"` and `\\\\` inside."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in _BLANK:
            at += 1
        elif quoted := _QUOTED.match(text, at):
            words.append(quoted[1] + _ESCAPE.sub(r"\1", quoted[2]))
            at = quoted.end()
        elif unclosed := _OPEN_QUOTE.match(text, at):
            return Fault(message=f"the quote after {quote(unclosed[0][:-1])} does not end")
        else:
            word = _WORD.match(text, at)
            assert word is not None
            words.append(word[0])
            at = word.end()
    return tuple(words)


def _command(rest: str, named: re.Pattern[str]) -> Command | Fault:
    """Return the command after a mention; another mention ends it."""
    if named.search(rest):
        return Fault(message="there is more than one command on this line", hint="give each its own line")
    if other := _OTHER.search(rest):
        rest = rest[: other.start()]
    if REMOVED in rest:
        return Fault(
            message="code, a link or HTML cannot be part of a command", hint="write it as plain words"
        )
    words = split_words(rest)
    command = words if isinstance(words, Fault) else parse_words(words)
    if isinstance(command, Comment):
        return Fault(message="'comment' is no command here: the text is one")
    return command
