"""What commands about a change do: approve it, withdraw it, say how and where it is to land.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

import re
from typing import assert_never

from gitlimmat.queue.answer_queue import full_target, known_target, short_target, standing
from gitlimmat.queue.answer_run import cancellation, is_stuck
from gitlimmat.queue.asking import Answer, Asking, ended, nothing, refused
from gitlimmat.queue.auth import Right, may
from gitlimmat.queue.events import (
    Approved,
    CancelRequested,
    ChangeEvent,
    Closed,
    Delegated,
    DraftSet,
    Policy,
    Prioritized,
    Reopened,
    Retitled,
    RollupSet,
    TargetChanged,
    Unapproved,
    Undelegated,
)
from gitlimmat.queue.phrase import short
from gitlimmat.queue.quoting import quote
from gitlimmat.queue.requests import (
    Approve,
    Close,
    Delegate,
    Prioritize,
    Reopen,
    Retarget,
    Retitle,
    SetDraft,
    SetRollup,
    Unapprove,
    Undelegate,
)
from gitlimmat.queue.state import Change, Forge

OfChange = (
    Unapprove
    | Prioritize
    | SetRollup
    | Delegate
    | Undelegate
    | Close
    | Reopen
    | Retitle
    | SetDraft
    | Retarget
)

LONGEST_TITLE = 500
"""Characters."""

_UNFINISHED = re.compile(r"(?:WIP|TODO)(?!\w)|\[(?:WIP|TODO|DO NOT MERGE)\]", re.IGNORECASE)
_FIXUP = re.compile(r"(?:fixup|squash|amend)! ")


def is_fixup(title: str) -> bool:
    """Whether a commit of that title is to be folded into another one."""
    return _FIXUP.match(title) is not None


def approve(command: Approve, asking: Asking, change: Change) -> Answer:
    """Return what an approval does: it is of the head that the change has now, and of no other."""
    if (why := _unfit(command, asking, change)) is not None:
        return refused(why)
    by = command.by or asking.name
    events = _wishes(command, asking, change)
    given = change.approval
    is_new = given is None or not change.is_approved or is_stuck(change.auto)
    if given is not None and not is_new and not (command.repair and not given.repair):
        known = f"change {change.id} is approved already, by {quote(given.by)}; its status is {change.status}"
        return Answer(events=events, reply="; ".join([known, *_said(events)]))
    approved = Approved(
        actor=asking.name, at=asking.at, via=asking.via, head=change.head, by=by, repair=command.repair
    )
    reply = f"{short(change.head)} of change {change.id} is approved by {quote(by)}"
    events = (*events, approved)
    return Answer(events=events, reply="; ".join([reply, *_said(events), *standing(asking, change)]))


def _unfit(command: Approve, asking: Asking, change: Change) -> str | None:
    """Return why a change cannot be approved, None when it can."""
    if change.forge is not Forge.OPEN:
        return ended(change)
    if change.is_draft:
        return f"change {change.id} is a draft; say 'ready' first"
    if _UNFINISHED.match(change.title.strip()):
        return f"the title of change {change.id} says that it is in progress: {quote(change.title)}"
    if asking.rules.policy not in (Policy.AUTOSQUASH, Policy.SQUASH) and is_fixup(change.title):
        return f"change {change.id} is to be squashed by its author first: {quote(change.title)}"
    if not change.head.startswith(command.head):
        return f"{quote(command.head)} is not the head of change {change.id}, which is {change.head}"
    if command.priority is not None and command.priority > asking.rules.max_priority:
        return _too_high(command.priority, asking)
    for name in command.by.split(",") if command.by else ():
        if not may(name, Right.REVIEW, change, asking.rules):
            return f"{quote(name)} is no reviewer"
    conflict = change.conflict
    if conflict is not None and (conflict.head, conflict.base) == (change.head, asking.tip):
        if conflict.is_of_its_own:
            return f"change {change.id} cannot be merged: {quote(conflict.reason)}"
        where = ", ".join(quote(path) for path in conflict.paths[:3])
        why = f", in {where}" if where else ""
        return f"change {change.id} conflicts with its target{why}"
    return None


def _wishes(command: Approve, asking: Asking, change: Change) -> tuple[ChangeEvent, ...]:
    """Return the events of what is said beside an approval, as far as it is new."""
    events: list[ChangeEvent] = []
    if command.priority not in (None, change.priority):
        events.append(_prioritized(asking, command.priority or 0))
    mode = command.rollup or change.rollup
    note = command.note or change.rollup_note
    if (mode, note) != (change.rollup, change.rollup_note):
        events.append(_rolled(asking, SetRollup(mode=mode, note=note)))
    return tuple(events)


def _said(events: tuple[ChangeEvent, ...]) -> list[str]:
    said = []
    for event in events:
        match event:
            case Prioritized():
                said.append(f"its priority is {event.priority}")
            case RollupSet():
                said.append(f"its rollup is {event.mode}")
    return said


def answer(command: OfChange, asking: Asking, change: Change) -> Answer:
    """Return what any other command about a change does."""
    if change.forge is Forge.LANDED:
        return refused(ended(change))
    match command:
        case Unapprove():
            return _unapprove(asking, change)
        case Prioritize():
            return _prioritize(command, asking, change)
        case SetRollup():
            return Answer(events=(_rolled(asking, command),), reply=f"its rollup is {command.mode}")
        case Delegate() | Undelegate():
            return _delegate(command, asking, change)
        case Close() | Reopen():
            return _wanted(command, asking, change)
        case Retitle() | SetDraft() | Retarget():
            return _reword(command, asking, change)
    assert_never(command)


def _unapprove(asking: Asking, change: Change) -> Answer:
    if change.approval is None:
        return refused(f"change {change.id} is not approved")
    withdrawn = Unapproved(actor=asking.name, at=asking.at, via=asking.via)
    stops = _stops(change, asking, "the approval was withdrawn", tries=False)
    reply = f"change {change.id} is not approved any more" + ("; its run stops" if stops else "")
    return Answer(events=(*stops, withdrawn), reply=reply)


def _prioritize(command: Prioritize, asking: Asking, change: Change) -> Answer:
    if command.priority > asking.rules.max_priority:
        return refused(_too_high(command.priority, asking))
    reply = f"its priority is {command.priority}"
    if command.priority == change.priority:
        return nothing(reply)
    return Answer(events=(_prioritized(asking, command.priority),), reply=reply)


def _delegate(command: Delegate | Undelegate, asking: Asking, change: Change) -> Answer:
    if isinstance(command, Undelegate):
        if not change.delegates:
            return refused(f"change {change.id} is delegated to nobody")
        taken = Undelegated(actor=asking.name, at=asking.at, via=asking.via)
        return Answer(events=(taken,), reply=f"change {change.id} is delegated to nobody any more")
    to = command.to or change.author
    given = Delegated(actor=asking.name, at=asking.at, via=asking.via, to=to, level=command.level)
    what = "approve" if command.level == "review" else "try"
    return Answer(events=(given,), reply=f"{quote(to)} can now {what} change {change.id}")


def _wanted(command: Close | Reopen, asking: Asking, change: Change) -> Answer:
    if isinstance(command, Reopen):
        if change.forge is Forge.OPEN:
            return nothing(f"change {change.id} is open already")
        reopened = Reopened(actor=asking.name, at=asking.at, via=asking.via)
        return Answer(events=(reopened,), reply=f"change {change.id} is open again; it needs a new approval")
    if change.forge is Forge.CLOSED:
        return nothing(f"change {change.id} is closed already")
    closed = Closed(actor=asking.name, at=asking.at, via=asking.via, reason=command.reason)
    stops = _stops(change, asking, "the change was closed")
    return Answer(events=(*stops, closed), reply=f"change {change.id} is closed")


def _reword(command: Retitle | SetDraft | Retarget, asking: Asking, change: Change) -> Answer:
    match command:
        case Retitle():
            title = " ".join(command.title.split())
            if not title.isprintable() or not 0 < len(title) <= LONGEST_TITLE:
                return refused(f"a title has 1 to {LONGEST_TITLE} characters that can be seen")
            retitled = Retitled(
                actor=asking.name, at=asking.at, via=asking.via, title=title, body=command.body
            )
            return Answer(events=(retitled,), reply=f"change {change.id} is called {quote(title)}")
        case SetDraft():
            what = "a draft" if command.draft else "ready"
            if command.draft == change.is_draft:
                return nothing(f"change {change.id} is {what} already")
            set_ = DraftSet(actor=asking.name, at=asking.at, via=asking.via, draft=command.draft)
            stops = _stops(change, asking, "the change became a draft", tries=False) if command.draft else ()
            return Answer(events=(*stops, set_), reply=f"change {change.id} is {what}")
        case Retarget():
            return _retarget(command, asking, change)
    assert_never(command)


def _retarget(command: Retarget, asking: Asking, change: Change) -> Answer:
    target = full_target(command.target)
    if not known_target(target, asking):
        return refused(f"{quote(command.target)} is no target of this queue")
    if target == change.target:
        return nothing(f"change {change.id} is for {quote(short_target(target))} already")
    moved = TargetChanged(actor=asking.name, at=asking.at, via=asking.via, target=target)
    stops = _stops(change, asking, "the change is for another target")
    reply = f"change {change.id} is for {quote(short_target(target))} now; it needs a new approval"
    return Answer(events=(*stops, moved), reply=reply)


def _stops(change: Change, asking: Asking, reason: str, *, tries: bool = True) -> tuple[CancelRequested, ...]:
    """Return the events that stop the runs at work: what is not wanted any more is not tested."""
    runs = (change.auto, change.last_try if tries else None)
    return tuple(cancellation(asking, run.run, reason) for run in runs if run is not None and run.is_open)


def _prioritized(asking: Asking, priority: int) -> Prioritized:
    return Prioritized(actor=asking.name, at=asking.at, via=asking.via, priority=priority)


def _rolled(asking: Asking, command: SetRollup) -> RollupSet:
    return RollupSet(actor=asking.name, at=asking.at, via=asking.via, mode=command.mode, note=command.note)


def _too_high(priority: int, asking: Asking) -> str:
    return f"priority {priority} is above {asking.rules.max_priority}, the highest of this queue"
