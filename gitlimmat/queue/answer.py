"""What a command of somebody does: events and a reply, or a refusal and no event.

Layer:  pure. May import model and errors.

The one way from words to events, for pushes, the command line, pages and comments alike. Replies never
mention anybody (see `quoting`), so they are no commands even where they come back.
"""

from __future__ import annotations

import msgspec

from gitlimmat.queue import answer_change, answer_queue, answer_run
from gitlimmat.queue.asking import Answer, Asking, refused
from gitlimmat.queue.auth import Denied, Principal, authorize_command
from gitlimmat.queue.commands import parse_comment
from gitlimmat.queue.events import Commented
from gitlimmat.queue.fold import fold_change, fold_queue
from gitlimmat.queue.requests import (
    Approve,
    Cancel,
    Command,
    Comment,
    Fault,
    Info,
    OfQueue,
    Retry,
    Try,
    TryCancel,
    Unroll,
)
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.state import Change, Queue

__all__ = ["Answer", "answer"]

_MOST = {"text": 1 << 16, "body": 1 << 16, "reason": 1000, "note": 1000}
"""Characters of what people write, by its name."""


def answer(
    command: Command | Fault,
    principal: Principal,
    change: Change | None,
    queue: Queue,
    rules: Rules,
    *,
    at: float,
    via: str,
    tip: str = "",
) -> Answer:
    """Return what `command` does to `change` as it is, or to the queue.

    `tip` is the target's commit where it is known: a change that conflicts with it is not approved.
    *Units*: `at` is seconds since the epoch.
    """
    if isinstance(command, Fault):
        return refused(command.message + (f"; {command.hint}" if command.hint else ""))
    name = principal.name
    asking = Asking(name=name, change=change, queue=queue, rules=rules, at=at, via=via, tip=tip)
    if isinstance(denied := authorize_command(principal, command, change, rules), Denied):
        return refused(denied.reason)
    if why := _too_long(command):
        return refused(why)
    if isinstance(command, OfQueue):
        return answer_queue.answer(command, asking)
    if change is None or not change.is_opened:
        return refused("no change is named")
    if isinstance(command, Comment):
        return _comment(command, principal, asking, change)
    if isinstance(command, Approve):
        return answer_change.approve(command, asking, change)
    if isinstance(command, Try | TryCancel | Retry | Cancel | Unroll):
        return answer_run.answer(command, asking, change)
    if isinstance(command, Info):
        return answer_queue.info(asking, change)
    return answer_change.answer(command, asking, change)


def _too_long(command: Command) -> str:
    """Return what of a command is longer than a timeline is to keep; empty when nothing is."""
    for field, most in _MOST.items():
        text = getattr(command, field, None)
        if isinstance(text, str) and len(text) > most:
            return f"a {field} has at most {most} characters"
    return ""


def _comment(command: Comment, principal: Principal, asking: Asking, change: Change) -> Answer:
    """Keep what was said, and do what its lines ask for, each as if those before it were done."""
    if not command.text.strip():
        return refused("the comment is empty")
    said = Commented(actor=asking.name, at=asking.at, via=asking.via, text=command.text)
    done = Answer(events=(said,), reply="")
    queue = asking.queue
    replies: list[str] = []
    change = fold_change(change, done.events)
    for parsed in parse_comment(command.text, asking.rules.mention):
        if isinstance(parsed.command, Comment):
            continue
        each = answer(
            parsed.command,
            principal,
            change,
            queue,
            asking.rules,
            at=asking.at,
            via=asking.via,
            tip=asking.tip,
        )
        change, queue = fold_change(change, each.events), fold_queue(queue, each.queue_events)
        replies.append(each.reply)
        done = msgspec.structs.replace(
            done, events=done.events + each.events, queue_events=done.queue_events + each.queue_events
        )
    return msgspec.structs.replace(done, reply="\n".join(dict.fromkeys(replies)) or "noted")
