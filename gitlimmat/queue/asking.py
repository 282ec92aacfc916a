"""What an answer is made from, and what it is.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

import msgspec

from gitlimmat.queue.events import ChangeEvent, QueueEvent
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.state import Change, Forge, Queue


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be appended, all of it or nothing, and what is said. `is_refused` means no events.

    An answer without events need not be a refusal: what was asked for may be so already.
    """

    events: tuple[ChangeEvent, ...] = ()
    queue_events: tuple[QueueEvent, ...] = ()
    reply: str
    is_refused: bool = False


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, when and through what, and how things stand. `name` has every right that is needed."""

    name: str
    change: Change | None
    queue: Queue
    rules: Rules
    at: float
    via: str
    tip: str


def refused(reply: str) -> Answer:
    """Return an answer that does nothing."""
    return Answer(reply=reply, is_refused=True)


def nothing(reply: str) -> Answer:
    """Return an answer for what is so already."""
    return Answer(reply=reply)


def ended(change: Change) -> str:
    """Return why nothing more is done to a change that is not open."""
    state = "has landed" if change.forge is Forge.LANDED else f"is {change.forge}"
    return f"change {change.id} {state}"
