"""Commands of the merge queue: what words mean, and which lines of a text are commands at all."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gitlimmat.queue.commands import (
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
    parse_comment,
    parse_option,
    parse_words,
)
from gitlimmat.queue.events import Level, Rollup
from gitlimmat.queue.inline import REMOVED
from gitlimmat.queue.markdown import plain_words

OID = "0123456789abcdef0123456789abcdef01234567"

MEANINGS: dict[str, Command] = {
    "r+": Approve(),
    "approve": Approve(),
    "merge": Approve(),
    "r=me": Approve(),
    "r+ ABCDEF0": Approve(head="abcdef0"),
    f"r+ {OID}": Approve(head=OID),
    "r=alice": Approve(by="alice"),
    "r=@alice": Approve(by="alice"),
    "r=alice,bob@example.org 1234567": Approve(by="alice,bob@example.org", head="1234567"),
    'r+ p=5 rollup=never note="it is big"': Approve(priority=5, rollup=Rollup.NEVER, note="it is big"),
    "r+ priority=-3 rollup": Approve(priority=-3, rollup=Rollup.ALWAYS),
    "r+ rollup-": Approve(rollup=Rollup.MAYBE),
    "r+ repair": Approve(repair=True),
    "r-": Unapprove(),
    "unapprove": Unapprove(),
    "merge-": Unapprove(),
    "try": Try(),
    "try tests=a,b*": Try(tests=("a", "b*")),
    "try=linux,mac*": Try(tests=("linux", "mac*")),
    'try jobs="a b,c"': Try(tests=("a b", "c")),
    "try job=a,a": Try(tests=("a",)),
    f"try parent={OID.upper()} tests=x": Try(tests=("x",), parent=OID),
    "try parent=last": Try(parent="last"),
    "try cancel": TryCancel(),
    "try-": TryCancel(),
    "retry": Retry(),
    "clean": Retry(),
    "cancel": Cancel(),
    "yield": Cancel(yielding=True),
    "p=5": Prioritize(priority=5),
    "p=-5": Prioritize(priority=-5),
    "priority=+9001": Prioritize(priority=9001),
    "rollup": SetRollup(mode=Rollup.ALWAYS),
    "rollup-": SetRollup(mode=Rollup.MAYBE),
    "rollup=iffy": SetRollup(mode=Rollup.IFFY),
    "rollup=never note=perf": SetRollup(mode=Rollup.NEVER, note="perf"),
    "unroll": Unroll(),
    "unroll 0123-1": Unroll(run="0123-1"),
    "delegate+": Delegate(),
    "delegate": Delegate(),
    "d+ try": Delegate(level=Level.TRY),
    "delegate=@bob": Delegate(to="bob"),
    "d=bob review": Delegate(to="bob", level=Level.REVIEW),
    "delegate-": Undelegate(),
    "undelegate": Undelegate(),
    "d-": Undelegate(),
    "close": Close(),
    "close not wanted any more": Close(reason="not wanted any more"),
    'close reason="not wanted"': Close(reason="not wanted"),
    "reopen": Reopen(),
    "draft": SetDraft(draft=True),
    "draft-": SetDraft(draft=False),
    "ready": SetDraft(draft=False),
    'title="better words"': Retitle(title="better words"),
    "retitle=better words": Retitle(title="better words"),
    "target=release": Retarget(target="release"),
    "treeclosed=10 the tests are red": CloseTree(below=10, reason="the tests are red"),
    "tree-close=10 target=main red": CloseTree(below=10, target="main", reason="red"),
    "treeclosed-": OpenTree(),
    "treeopen target=main": OpenTree(target="main"),
    "pause for a release": Pause(reason="for a release"),
    "resume": Resume(),
    "ping": Ping(),
    "hello?": Ping(),
    "are you still there?": Ping(),
    "help": Help(),
    "info": Info(),
}

FAULTS = {
    "": "a command is missing",
    "r+ please": "unknown word 'please'",
    "please": "unknown word 'please'",
    "r+, p=1": "unknown word 'r+,'",
    "R+": "unknown word 'R+'",
    "r+ 123456": "'123456' is no commit",
    f"r+ {OID}{OID}": "is no commit",
    "r=": "'r=' needs a value",
    "r=a,,b": "'r=' needs a name",
    "r=ev`il": r"'ev\140il' is no name",
    "r=-->": "is no name",
    "r+ p=x": "'p=x' is no number",
    "r+ p=": "'p=' needs a value",
    "r+ p=1 priority=2": "'priority' is said twice",
    "r+ retry": "'retry' is another command",
    "p": "'p=' needs a value",
    "p=٣": "is no number",
    "p=1_0": "is no number",
    "p=99999999999": "is no number",
    "p=1 p=2": "'p=2' is another command",
    "rollup=foo": "unknown mode 'foo'",
    "retry now": "unknown word 'now'",
    "try parent=abc": "is no full commit id",
    "try tests=,": "'tests=' needs a name",
    "delegate=try": "names nobody",
    "delegate=review": "names nobody",
    "delegate=a,b": "is no name",
    "delegate=bob all": "unknown word 'all'",
    "treeclosed=soon": "'treeclosed=soon' is no number",
    "squash": "settings",
    "force": "not needed",
    'r+ note="open': "the quote after 'note=' does not end",
    "comment=": "'comment=' needs a text",
}


@pytest.mark.parametrize("words", MEANINGS)
def test_words_have_their_meaning(words: str) -> None:
    """Every command of Homu, of bors and of ours, in an option and in a comment alike."""
    assert parse_option(words) == MEANINGS[words]
    (parsed,) = parse_comment(f"@limmat {words}", "limmat")
    assert parsed.command == MEANINGS[words]
    assert parse_comment(f"thanks! @limmat: \t{words} ", "limmat") == (parsed,)


@pytest.mark.parametrize("words", FAULTS)
def test_a_wrong_line_does_nothing_and_says_why(words: str) -> None:
    """No half of a line is a command."""
    fault = parse_option(words)
    assert isinstance(fault, Fault)
    assert FAULTS[words] in fault.message


def test_a_typing_error_is_answered_with_what_may_be_meant() -> None:
    """The hint names the nearest word."""
    meant = {
        "aprove": "approve",
        "+r": "r+",
        "rety": "retry",
        "delgate=bob": "delegate",
        "r+ rolup": "rollup",
    }
    for typed, word in meant.items():
        fault = parse_option(typed)
        assert isinstance(fault, Fault)
        assert fault.hint == f"did you mean '{word}'?"


def test_a_comment_in_a_push_option_is_taken_as_it_is() -> None:
    """Its blanks and lines stay."""
    assert parse_option("comment=two  words\n@limmat r+") == Comment(text="two  words\n@limmat r+")
    assert parse_words(["note"]) != parse_words(["r+"])


# Which lines are commands.

NONE = (
    "> @limmat r+",
    "> quoted\n@limmat r+ lazily goes on",
    "```\n@limmat r+\n```",
    "~~~\n@limmat r+\n```\n@limmat r+",
    "````\n```\n@limmat r+\n````",
    "- ```\n  @limmat r+\n  ```",
    "1. > @limmat r+",
    "    @limmat r+",
    "\t@limmat r+",
    "`@limmat r+`",
    "``a ` @limmat\n@limmat r+``",
    "# @limmat r+",
    "@limmat r+\n===",
    "<!-- @limmat r+ -->",
    "<!--\n@limmat r+\n\n@limmat r+\n-->",
    "a <!-- \n@limmat r+ -->",
    "<div>\n@limmat r+\n</div>",
    "<pre>\n\n@limmat r+</pre>",
    "[x]: /url '@limmat r+'",
    "[see @limmat r+](url)",
    "![see @limmat r+][ref]",
    "[see @limmat r+]",
    "<https://example.org/ @limmat r+>",
    "\\@limmat r+",
    "x@limmat r+",
    "(@limmat r+)",
    "@limmat-servo r+",
    "@Limmat r+",
    "@limmatr+",
    "@other r+",
    "\u2003@limmat r+",
    "a\u2028@limmat r+",
    "a\x85@limmat r+",
    "@limmat\u00a0r+",
    "@limmat\u200br+",
)
SOME = {
    "a\n@limmat r+\nb": [2],
    "a\r@limmat r+\r\n@limmat r+": [2, 3],
    "> quoted\n\n@limmat r+": [3],
    "> # quoted\n@limmat r+": [2],
    "```\n```\n@limmat r+": [3],
    "- ```\n@limmat r+": [2],
    "* @limmat r+\n  - @limmat r+\n    1) @limmat r+": [1, 2, 3],
    "a\n    @limmat r+": [2],
    "<!-- hidden --> \n\n@limmat r+": [3],
    "a <!-- hidden --> @limmat r+ <!-- too -->": [1],
    "<b>\n\n@limmat r+": [3],
    "a <b>bold</b> @limmat r+": [1],
    "a ` b\n@limmat r+": [2],
    "`code` @limmat r+": [1],
    "[link](url) @limmat r+": [1],
    "a [ ] @limmat r+": [1],
    "***\n@limmat r+\n- - -": [2],
    "@limmat r+ @alice, thanks": [1],
}


@pytest.mark.parametrize("text", NONE)
def test_what_is_not_plain_is_no_command(text: str) -> None:
    """Quotes, code, hidden text, links and names that only look like ours say nothing."""
    assert parse_comment(text, "limmat") == ()


@pytest.mark.parametrize("text", SOME)
def test_plain_lines_are_commands(text: str) -> None:
    """One command a line, wherever the line begins."""
    found = parse_comment(text, "limmat")
    assert [parsed.line for parsed in found] == SOME[text]
    assert {type(parsed.command) for parsed in found} == {Approve}


def test_each_line_stands_alone() -> None:
    """A wrong line is answered and does not keep the others from being done."""
    first, second, third = parse_comment("@limmat r+\n@limmat frobnicate\n@limmat p=3", "limmat")
    assert first.command == Approve()
    assert isinstance(second.command, Fault)
    assert third.command == Prioritize(priority=3)


@pytest.mark.parametrize(
    "text", ["@limmat r+ @limmat p=3", "@limmat r+ `code`", "@limmat r+ [x](y)", "@limmat comment=x"]
)
def test_what_cannot_be_part_of_a_command_spoils_its_line(text: str) -> None:
    """Neither half is done."""
    (parsed,) = parse_comment(text, "limmat")
    assert isinstance(parsed.command, Fault)


HUGE = {
    "mentions": "@limmat " * 130_000,
    "commands": "@limmat r+\n" * 95_000,
    "brackets": "[" * 400_000 + "]" * 400_000 + "@limmat r+",
    "links": "[a](" * 200_000 + " @limmat r+",
    "ticks": " ".join("`" * (i % 300 + 1) for i in range(6000)) + " @limmat r+",
    "comments": "<!-- " * 200_000 + " @limmat r+",
    "lists": "- " * 500_000 + "@limmat r+",
    "tags": "<a\"'" * 250_000 + " @limmat r+",
    "escapes": '@limmat r+ note="' + "\\a" * 500_000,
    "keys": "@limmat r+ " + "a=" * 500_000 + '"',
    "lines": "\n" * 1_000_000 + "@limmat r+",
    "rules": "* " * 500_000 + "x @limmat r+",
    "long": "@limmat r+ please\n" * 600_000,
}


@pytest.mark.parametrize("what", HUGE)
def test_a_huge_text_is_read_in_linear_time_and_answered_briefly(what: str) -> None:
    """Ten megabytes, a million mentions: a few answers, each short."""
    start = time.process_time()
    found = parse_comment(HUGE[what], "limmat")
    assert time.process_time() - start < 8
    assert len(found) <= 33
    assert all(len(str(parsed.command)) < 1000 for parsed in found)


# Random texts, against a parser of Markdown that others wrote.

_PARSER = MarkdownIt("commonmark").disable(["escape", "entity", "emphasis", "autolink"])
_PIECES = (
    *("@limmat r+", "@limmat r+", "@limmat", "words", "\n", "\n", "\n", "\n\n", " ", "  ", "    ", "\t"),
    *("> ", "- ", "1. ", "* ", "+ ", "10) ", "```", "~~~", "`", "``", "<!--", "-->", "# ", "===", "---"),
    *("<div>", "</div>", "<b>", "[x](y)", "[", "]", "![", "](z)", "[z]: y", "<pre>", "</pre>", "\r\n"),
    *("***", "[@limmat r+]", "<?", "?>", "<", ">"),
)
TEXTS = st.lists(st.sampled_from(_PIECES), max_size=14).map("".join)


def visible(text: str) -> list[str]:
    """Return the lines of paragraphs outside of quotes as the other parser sees them."""
    lines: list[str] = []
    quotes = 0
    kind = ""
    for token in _PARSER.parse(text):
        quotes += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        if token.type == "inline" and kind == "paragraph_open" and not quotes:
            lines += inline(token.children or []).split("\n")
        kind = token.type
    return lines


def inline(children: list[Token]) -> str:
    """Return the text of a paragraph with what is not plain taken out."""
    parts: list[str] = []
    links = 0
    for token in children:
        links += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif token.type == "html_inline" and token.content.startswith("<!--"):
            parts.append("\n".join(" " for _ in token.content.split("\n")))
        elif token.type == "text" and not links:
            parts.append(token.content)
        else:
            parts.append(REMOVED)
    return "".join(parts)


_ALONE = re.compile(r"(?:^|[ \t])@limmat r\+[ \t]*$")


def approvals(lines: Iterable[str]) -> int:
    """Return how many lines are our command and nothing after it."""
    return sum(_ALONE.search(line) is not None for line in lines)


@settings(max_examples=600, deadline=None)
@given(TEXTS)
def test_nothing_is_a_command_that_a_reader_does_not_see_as_words(text: str) -> None:
    """Whatever we find plain the other parser finds plain as well."""
    ours = [line for _, line in plain_words(text, "@limmat")]
    assert approvals(ours) <= approvals(visible(text))


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.sampled_from('@limatr+-=p5 \t\n>`<!-[]()"\\\u2003\u0000🦀,*#~'), max_size=80),
    st.text(max_size=5),
)
def test_no_text_is_too_odd_to_be_read(text: str, mention: str) -> None:
    """Any text gives commands or faults, and never an error."""
    for parsed in (*parse_comment(text, mention), *parse_comment(text, "limmat")):
        assert 1 <= parsed.line <= text.count("\n") + text.count("\r") + 1
    assert isinstance(parse_option(text), Fault | Command)
