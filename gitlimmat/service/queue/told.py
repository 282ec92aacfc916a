"""What the command line tells of a queue, as records that are printed or written as JSON.

Layer:  service. Pure.
Format: 1, described in git-limmat-queue(1). Fields are added, and do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gitlimmat.queue.estimate import estimate
from gitlimmat.queue.events import AnyEvent, Rollup, Unknown
from gitlimmat.queue.state import Change, Closing, Forge, Status
from gitlimmat.service.queue.view import QueueView
from gitlimmat.store.timeline import Entry

FORMAT = 1


class ToldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change in a list. `opened` and `updated` are seconds since the epoch."""

    number: int
    title: str
    status: Status
    author: str
    approved_by: str | None
    priority: int
    rollup: Rollup
    rollup_note: str
    target: str
    topic: str
    head: str
    draft: bool
    opened: float
    updated: float
    explanation: str


class ToldQueue(msgspec.Struct, frozen=True, kw_only=True):
    """The queue. `totals` has how many changes are open and of which status; `estimate` is seconds.

    `closed` has closed trees by target, an empty one being every target. `damaged` says by number which
    timelines cannot be read, and why.
    """

    format: int = FORMAT
    totals: dict[str, int]
    estimate: float | None
    paused: Closing | None
    closed: Mapping[str, Closing]
    damaged: Mapping[int, str]
    changes: list[ToldChange]


class ToldState(msgspec.Struct, frozen=True, kw_only=True):
    """A change with all that is known of it."""

    format: int = FORMAT
    change: ToldChange
    state: Change


class ToldEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event, and the commit of the timeline that it is in. Of an unknown one, `event` is its text."""

    commit: str
    event: AnyEvent | str


class ToldHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A timeline, oldest first."""

    format: int = FORMAT
    events: list[ToldEvent]


def tell_queue(view: QueueView, changes: Iterable[Change]) -> ToldQueue:
    """Return the queue with some of its changes."""
    why = view.explanations()
    return ToldQueue(
        totals=totals(view),
        estimate=estimate(view.snapshot, view.rules, view.now),
        paused=view.snapshot.queue.paused,
        closed=view.snapshot.queue.closed,
        damaged=view.loaded.damaged,
        changes=[told_change(change, why.get(change.id, "")) for change in changes],
    )


def tell_change(view: QueueView, change: Change) -> ToldState:
    """Return a change."""
    return ToldState(change=told_change(change, view.explanations().get(change.id, "")), state=change)


def tell_history(entries: Iterable[Entry]) -> ToldHistory:
    """Return a timeline."""
    return ToldHistory(events=tell_events(entries))


def tell_events(entries: Iterable[Entry]) -> list[ToldEvent]:
    """Return the events of a timeline."""
    return [
        ToldEvent(
            commit=entry.oid,
            event=event.raw.decode(errors="replace") if isinstance(event, Unknown) else event,
        )
        for entry in entries
        for event in entry.events
    ]


def totals(view: QueueView) -> dict[str, int]:
    """Return how many changes are open, and how many of them have each status."""
    counts = {"open": 0}
    for change in view.snapshot.changes.values():
        if change.is_opened and change.forge is Forge.OPEN:
            counts["open"] += 1
            if change.status is not Status.OPEN:
                counts[change.status.value] = counts.get(change.status.value, 0) + 1
    return counts


def told_change(change: Change, explanation: str) -> ToldChange:
    """Return a change as it stands in a list."""
    return ToldChange(
        number=change.id,
        title=change.title,
        status=change.status,
        author=change.author,
        approved_by=change.approval.by if change.approval is not None else None,
        priority=change.priority,
        rollup=change.rollup,
        rollup_note=change.rollup_note,
        target=change.target,
        topic=change.topic,
        head=change.head,
        draft=change.is_draft,
        opened=change.opened,
        updated=change.updated,
        explanation=explanation,
    )
