"""What a push to refs/for means, and whether that can be at all, whatever changes there are.

Layer:  service.
Source: git-limmat-queue(1), PUSHING.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.procreceive import Push
from gitlimmat.git.proposed import joint, message, messages
from gitlimmat.git.reffiles import shared_refs
from gitlimmat.git.stored import kinds
from gitlimmat.queue.answer_change import is_fixup
from gitlimmat.queue.commands import parse_option
from gitlimmat.queue.events import Policy
from gitlimmat.queue.quoting import quote
from gitlimmat.queue.requests import Command, Fault
from gitlimmat.service.queue.place import Misplaced, Place, find_place
from gitlimmat.service.queue.session import QueueSession

_TITLE = 200
_BODY = 1 << 16
ABSENT = "0" * 40


class RefusedError(LimmatError):
    """A push that is not taken. Nothing was done."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A push that makes sense: where it goes, the target's `tip`, and what is to be done beside.

    `is_contained` says that the target has the head already.
    """

    place: Place
    head: str
    tip: str
    is_contained: bool
    title: str
    body: str
    commands: tuple[tuple[str, Command | Fault], ...]


def understand(session: QueueSession, push: Push, options: Sequence[str]) -> Wish:
    """Return what a push means. Raises: RefusedError when it cannot be taken, whatever the queue has."""
    for option in options:
        if not option.isprintable() and not option.startswith("comment="):
            raise RefusedError(f"{quote(option)} is no option: it has characters that cannot be seen")
        if any("\ud800" <= char <= "\udfff" for char in option):
            raise RefusedError(f"{quote(option)} is no option: it is not UTF-8")
    topics = tuple(each.removeprefix("topic=") for each in options if each.startswith("topic="))
    place = find_place(push.ref, topics, session.rules)
    if isinstance(place, Misplaced):
        raise RefusedError(place.reason)
    if push.new == ABSENT:
        raise RefusedError(
            f"{quote(push.ref)} cannot be deleted: it is where changes are pushed to",
            hint="'git limmat queue close <change>' gives one up, and so does the push option 'close'",
        )
    tip, common = _check_history(session, push.new, place)
    title, body = _words(session, push.new, tip)
    commands = tuple((each, parse_option(each)) for each in options if not each.startswith("topic="))
    return Wish(
        place=place,
        head=push.new,
        tip=tip,
        is_contained=common == push.new,
        title=_seen(" ".join(title.split()))[:_TITLE] or f"commit {push.new[:12]}",
        body="\n".join(_seen(line) for line in body.split("\n"))[:_BODY],
        commands=commands,
    )


def _words(session: QueueSession, head: str, tip: str) -> tuple[str, str]:
    """Return title and body of a change: those of its newest commit.

    Where the policy folds commits into others, one that is to be folded says nothing about the change.
    Elsewhere its title keeps the change from being approved.
    """
    title, body = message(session.repository, head)
    if session.rules.policy not in (Policy.AUTOSQUASH, Policy.SQUASH) or not is_fixup(title):
        return title, body
    found = (each for each in messages(session.repository, head, tip) if not is_fixup(each[0]))
    return next(found, (title, body))


def _check_history(session: QueueSession, head: str, place: Place) -> tuple[str, str]:
    """Return the target's commit, and the newest that it has in common with a head.

    Raises: RefusedError when the head cannot come to land there.
    """
    branch = quote(place.target.removeprefix("refs/heads/"))
    tip = shared_refs(session.repository).direct(place.target)
    (_, kind), (_, kind_of_tip) = kinds(session.repository, [head, tip or ABSENT])
    if not kind:
        raise RefusedError(
            "what is pushed has not arrived",
            hint="a 'git gc --prune=now' on the server removes what is just coming in; push again",
        )
    if kind != "commit":
        hint = (
            "git push origin '<tag>^{commit}:refs/for/<branch>' pushes its commit" if kind == "tag" else None
        )
        raise RefusedError(f"what is pushed is no commit but a {kind}", hint=hint)
    if tip is None or kind_of_tip != "commit":
        raise RefusedError(
            f"{branch} does not exist yet, so nothing can be merged into it",
            hint="an administrator of the queue can push its first commit",
        )
    common = joint(session.repository, tip, head)
    if common is None:
        raise RefusedError(
            f"{branch} and what is pushed have no commit in common",
            hint="if this is the right repository, fetch it and rebase onto its branch",
        )
    return tip, common


def check_new(wish: Wish) -> None:
    """Raises: RefusedError when the target has all of it."""
    if wish.is_contained:
        branch = quote(wish.place.target.removeprefix("refs/heads/"))
        raise RefusedError(f"there is nothing to land: {branch} has all of it already")


def _seen(line: str) -> str:
    """Return a line without characters that cannot be seen, or that move what is around them."""
    return "".join(char for char in line if char.isprintable() or char == "\t")
