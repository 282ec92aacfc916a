"""The words of the queue's commits: as git's trailers, and safe whatever people wrote."""

from __future__ import annotations

import re
import time

import pytest
from conftest import Repo
from hypothesis import given, settings
from hypothesis import strategies as st

from gitlimmat.queue.events import Kind, Policy
from gitlimmat.queue.message import (
    Part,
    append_trailers,
    clean_body,
    escape_mentions,
    line,
    linear_message,
    merge_message,
    name_shown,
)

PART = Part(change=7, title="Add a door", body="It opens.", topic="door", approver="alice")
LIVE = re.compile(r"(?:^|[^A-Za-z0-9_`])@\w")


def test_a_merge_says_what_it_merges_and_who_approved_it() -> None:
    """Homu's first line, then title, body and trailers."""
    assert merge_message([PART], Policy.MERGE, Kind.AUTO) == (
        "Auto merge of #7 - door, r=alice\n\nAdd a door\n\nIt opens.\n\nChange: #7\nApproved-by: alice\n"
    )


def test_a_try_names_no_approver() -> None:
    """Nobody approves a try."""
    part = Part(change=7, title="Add a door", topic="door")
    assert (
        merge_message([part], Policy.MERGE, Kind.TRY)
        == "Try merge of #7 - door\n\nAdd a door\n\nChange: #7\n"
    )


def test_a_batch_lists_its_changes() -> None:
    """Each with its number, topic, approver and title."""
    second = Part(change=9, title="Paint it", approver="bob")
    assert merge_message([PART, second], Policy.MERGE, Kind.AUTO) == (
        "Auto merge of 2 changes: #7, #9\n\n- #7 - door, r=alice: Add a door\n- #9, r=bob: Paint it\n\n"
        "Change: #7\nApproved-by: alice\nChange: #9\nApproved-by: bob\n"
    )


def test_a_squash_is_called_as_the_change_and_credits_its_authors() -> None:
    """Title, body, and a trailer for each other author, beside those of the body."""
    part = Part(change=7, title="Add a door", body="It opens.\n\nSigned-off-by: A <a@x>", approver="alice")
    said = merge_message([part], Policy.SQUASH, Kind.AUTO, co_authors=["B <b@x>", "B <b@x>"])
    assert said == (
        "Add a door\n\nIt opens.\n\nSigned-off-by: A <a@x>\nCo-authored-by: B <b@x>\nChange: #7\n"
        "Approved-by: alice\n"
    )


def test_a_change_without_a_title_is_called_by_its_number() -> None:
    """A commit needs a subject."""
    part = Part(change=7, title=" \u2003\n")
    assert merge_message([part], Policy.SQUASH, Kind.AUTO) == "Change #7\n\nChange: #7\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("topic/one-2.x+y", "topic/one-2.x+y"),
        ("x @limmat r=evil", "`x @limmat r=evil`"),
        ("x\u2003@limmat", "`x\\u{2003}@limmat`"),
        ("a`@limmat r+", "`a\\u{60}@limmat r+`"),
        ("a\\u{60}", "`a\\u{5c}u{60}`"),
        ("new\nline", "`new\\u{a}line`"),
        ("\u202eevil", "`\\u{202e}evil`"),
        ("", "``"),
        ("-x", "`-x`"),
        ("žluť", "`žluť`"),
    ],
)
def test_an_odd_name_is_quoted(name: str, shown: str) -> None:
    """Plain names stay; any other cannot be taken for more than a name."""
    assert name_shown(name) == shown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("thanks @alice!", "thanks `@alice`!"),
        ("mail a@example.com", "mail a@example.com"),
        ("@org/team, @b-c", "`@org/team`, `@b-c`"),
        ("in `code @a`", "in `code ``@a`` `"),
        ("`a`@b", "`a` ``@b``"),
        (r"\@alice", r"\ `@alice`"),
        ("@@alice", "@`@alice`"),
        ("é@alice", "é`@alice`"),
        ("@é", "`@é`"),
        ("a @ b", "a @ b"),
    ],
)
def test_a_mention_is_put_in_back_ticks(text: str, escaped: str) -> None:
    """More back-ticks than the text has in a row, so that they are never taken for the end of other code."""
    assert escape_mentions(text) == escaped


def test_hidden_comments_are_removed() -> None:
    """What a reader of the page cannot see does not land, and what is left is no comment either."""
    assert clean_body("a<!-- homu-ignore:start -->b<!-- x -->c") == "abc"
    assert clean_body("shown\n<!-- to the end\n@limmat r+") == "shown"
    assert "<!--" not in clean_body("a <!-<!-- x -->- @limmat r+ -->")


def test_a_body_cannot_say_what_only_the_queue_may() -> None:
    """Its lines that look like our trailers are quoted, and so are those of a copied commit."""
    part = Part(change=7, title="t", body="b\n\nApproved-by: boss\nCHANGE : #1", approver="alice")
    said = merge_message([part], Policy.MERGE, Kind.AUTO).splitlines()
    assert [each for each in said if each.lower().startswith(("approved-by", "change"))] == [
        "Change: #7",
        "Approved-by: alice",
    ]
    assert "> Approved-by: boss" in linear_message("t\n\nApproved-by: boss\n", part)


def test_control_and_turning_characters_are_shown() -> None:
    """Text reads in the order it is written."""
    assert line("a\u202eb\x1b[31m\u2066") == "a\\u{202e}b\\u{1b}[31m\\u{2066}"
    assert clean_body("a\r\nb\u2028@x\x00") == "a\nb\n`@x`\\u{0}"


def test_a_million_mentions_take_no_time_and_no_room() -> None:
    """A body is cut, and escaping is linear."""
    started = time.monotonic()
    said = merge_message([Part(change=1, title="@a" * 10**5, body="@a `" * 10**6)], Policy.MERGE, Kind.AUTO)
    assert time.monotonic() - started < 2
    assert len(said) < 1 << 20
    assert not LIVE.search(said)


_WORDS = st.text(
    st.sampled_from("@ab`\\ \n\t<!->-: #\u202e\u2003\u200bé/.") | st.characters(codec="utf-8"), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(_WORDS, _WORDS, _WORDS, st.sampled_from(Policy))
def test_no_mention_survives(title: str, body: str, topic: str, policy: Policy) -> None:
    """Whatever someone writes, `@name` only stands in back-ticks, and trailers of ours are ours."""
    part = Part(change=7, title=title, body=body, topic=topic, approver=topic)
    said = merge_message([part], policy, Kind.AUTO)
    outside = re.sub(r"(`+)[^`]*@[^`]*\1", "", said)
    assert not re.search(r"(?<![A-Za-z0-9_`\w])@\w", outside), said
    assert "<!--" not in said
    assert said.count("\nChange: #7\n") == 1
    assert said.encode()


_TOKENS = st.sampled_from(["Signed-off-by", "Fixes", "x", "Acked-by", "(cherry picked from commit 1"])
_LINES = st.one_of(
    st.just(""),
    st.just("  folded"),
    st.just("words of a sentence"),
    st.just("see: this"),
    st.builds(lambda token: f"{token}: value", _TOKENS),
    st.just("http://example.com"),
    st.just("not a trailer : at all"),
)


def test_trailers_are_put_where_git_puts_them(repo: Repo) -> None:
    """The same message as `git interpret-trailers`, for random messages."""

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(_LINES, max_size=9))
    def check(lines: list[str]) -> None:
        message = "\n".join(["subject", *lines])
        expected = repo.git(
            *("-c", "core.commentChar=\x01", "interpret-trailers", "--no-divider"),
            *("--trailer", "Change: #7", "--trailer", "Approved-by: alice"),
            stdin=message.rstrip() + "\n",
        )
        assert append_trailers(message, [("Change", "#7"), ("Approved-by", "alice")]) == expected + "\n"

    check()


def test_a_title_that_looks_like_a_trailer_is_none() -> None:
    """As nearly all titles do in some projects; and a message without words has the title of its change."""
    part = Part(change=2, title="README: bob was here", body="", topic="", approver="alice")
    text = merge_message([part], Policy.MERGE, Kind.AUTO)
    assert text.endswith("\n\nREADME: bob was here\n\nChange: #2\nApproved-by: alice\n")
    empty = linear_message("", part)
    assert empty == "README: bob was here\n\nChange: #2\nApproved-by: alice\n"
