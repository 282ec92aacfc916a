"""Who may do what in a merge queue."""

from __future__ import annotations

import typing

import pytest

from gitlimmat.queue.auth import (
    Allowed,
    Denied,
    Principal,
    Right,
    authorize,
    authorize_command,
    right_for,
)
from gitlimmat.queue.commands import Approve, Command, Delegate, Info, Pause, Retry, Try, Unapprove
from gitlimmat.queue.events import QUEUE, Level
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.state import Change

RULES = Rules(admins=("ada",), reviewers=("rita",), tryers=("tom",))
CHANGE = Change(
    id=1,
    is_opened=True,
    author="anna",
    delegates={"dora": Level.REVIEW, "dirk": Level.TRY, "Rita": Level.TRY},
)
ALL = set(Right)
MAY = {
    "ada": ALL,
    "rita": ALL - {Right.ADMIN},
    "tom": {Right.SPEAK, Right.TRY, Right.RETRY},
    "anna": {Right.SPEAK, Right.OWN},
    "dora": ALL - {Right.ADMIN},
    "dirk": {Right.SPEAK, Right.TRY, Right.RETRY},
    "nobody": {Right.SPEAK},
    "Ada": {Right.SPEAK},
    "*": set(),
    "": set(),
    QUEUE: set(),
    "rita ": set(),
    "ri\nta": set(),
}


@pytest.mark.parametrize("name", MAY)
def test_rights_are_those_of_the_lists_the_author_and_the_delegates(name: str) -> None:
    """Names compare exactly; the queue itself and names that cannot be are nobody."""
    for right in Right:
        found = authorize(Principal(name=name), right, CHANGE, RULES)
        assert isinstance(found, Allowed) == (right in MAY[name]), right


def test_delegates_and_authors_have_no_say_in_the_queue() -> None:
    """Where no change is meant only the settings count."""
    for name in ("dora", "dirk", "anna"):
        for right in ALL - {Right.SPEAK}:
            assert isinstance(authorize(Principal(name=name), right, None, RULES), Denied)


def test_a_delegate_cannot_pass_it_on() -> None:
    """Who delegates is a reviewer by the settings."""
    assert isinstance(authorize_command(Principal(name="dora"), Approve(), CHANGE, RULES), Allowed)
    assert isinstance(authorize_command(Principal(name="dora"), Delegate(to="x"), CHANGE, RULES), Denied)
    assert isinstance(authorize_command(Principal(name="rita"), Delegate(to="x"), CHANGE, RULES), Allowed)


def test_a_star_stands_for_anyone_who_is_known() -> None:
    """Not for nobody, and not for the queue."""
    rules = Rules(tryers=("*",))
    assert isinstance(authorize(Principal(name="x"), Right.TRY, CHANGE, rules), Allowed)
    assert isinstance(authorize(Principal(name=""), Right.TRY, CHANGE, rules), Denied)
    assert isinstance(authorize(Principal(name=QUEUE), Right.TRY, CHANGE, rules), Denied)
    assert isinstance(authorize(Principal(name="x"), Right.REVIEW, CHANGE, rules), Denied)


def test_no_one_may_review_their_own_change_for_being_its_author() -> None:
    """An author approves only as a reviewer."""
    assert isinstance(authorize(Principal(name="anna"), Right.REVIEW, CHANGE, RULES), Denied)
    rules = Rules(reviewers=("anna",))
    assert isinstance(authorize(Principal(name="anna"), Right.REVIEW, CHANGE, rules), Allowed)


def test_every_command_needs_a_right() -> None:
    """One right each; to take tests from a change itself is for admins."""
    assert {right_for(each) for each in (Approve(), Try(), Retry(), Unapprove(), Pause(), Info())} == ALL
    assert right_for(Approve(repair=True)) is Right.ADMIN
    assert len(typing.get_args(Command)) == 24


def test_a_denial_is_safe_to_show() -> None:
    """It names who was denied, and mentions nobody."""
    denied = authorize(Principal(name="x@limmat"), Right.REVIEW, CHANGE, RULES)
    assert denied == Denied(reason="'x@limmat' is no reviewer; ask 'rita'")
