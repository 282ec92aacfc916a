"""Take changes that are pushed: open one, or give one that is open a new head, and do what options ask for.

Layer:  service.
Source: git-limmat-queue(1), PUSHING; proc-receive in githooks(5).

Each ref is taken wholly or not at all: its events, its head and what its options ask for are one transaction.
git has stored the pushed objects before, in a pack that is kept until the push ends (receive.unpackLimit).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from gitlimmat.errors import LimmatError, RefMovedError
from gitlimmat.git.procreceive import Push, Refused, Taken, Told
from gitlimmat.git.proposed import is_ancestor, is_continued, written
from gitlimmat.git.reffiles import shared_refs
from gitlimmat.git.refs import RefUpdate
from gitlimmat.queue.auth import Denied, Principal, Right, authorize
from gitlimmat.queue.events import ChangeEvent, HeadMoved, Opened
from gitlimmat.queue.fold import fold_change
from gitlimmat.queue.quoting import quote
from gitlimmat.queue.state import Change, Forge, Queue
from gitlimmat.service.queue.place import Place
from gitlimmat.service.queue.session import QueueSession, poke
from gitlimmat.service.queue.wish import ABSENT, RefusedError, Wish, check_new, understand
from gitlimmat.store.locks import update_lock
from gitlimmat.store.names import SHARE
from gitlimmat.store.timeline import Addition, Loaded, head_ref

_WITHIN_S = 30.0
_MOST_COMPARED = 50
_VIA = "push"


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a change: its state before, None for a new one, and after; and what is said."""

    before: Change | None
    after: Change
    replies: tuple[str, ...]
    is_forced: bool = False


def receive(
    session: QueueSession, told: Told, person: Principal, say: Callable[[str], None]
) -> tuple[Taken | Refused, ...]:
    """Take what was pushed to refs/for, and results; `say` gets lines for the one who pushes.

    Nothing is raised for one ref that would keep another one from being taken.
    """
    if told.is_atomic and len(told.pushes) > 1:
        reason = "several changes cannot be pushed with --atomic: push them one by one"
        return tuple(Refused(ref=push.ref, reason=reason) for push in told.pushes)
    answers: list[Taken | Refused] = []
    for push in told.pushes:
        try:
            answers.append(_receive_one(session, push, told, person, say))
        except LimmatError as error:
            say(f"error: {error.message}")
            if error.hint:
                say(f"hint: {error.hint}")
            answers.append(Refused(ref=push.ref, reason=error.message))
        except OSError as error:
            place = f" '{error.filename}'" if error.filename else ""
            reason = f"cannot write{place}: {error.strerror or error}"
            say(f"error: {reason}")
            answers.append(Refused(ref=push.ref, reason=reason))
    if any(isinstance(each, Taken) for each in answers):
        poke(session)
    return tuple(answers)


def _receive_one(
    session: QueueSession, push: Push, told: Told, person: Principal, say: Callable[[str], None]
) -> Taken:
    if push.ref == SHARE:
        from gitlimmat.service.queue.share import take_results  # takes a while, and is seldom needed

        return take_results(session, told, push, person, say)
    wish = understand(session, push, told.options)
    with update_lock(session.repository.state_dir / "queue" / "push"):  # two at once must not both open one
        outcome = _until_stored(session, wish, person)
    for line in _lines(session, outcome):
        say(line)
    return _taken(push, outcome)


def _until_stored(session: QueueSession, wish: Wish, person: Principal) -> _Outcome:
    end = time.monotonic() + _WITHIN_S
    while True:
        loaded = session.timelines.load()
        try:
            change = _find(session, loaded, wish, person)
            if change is None:
                return _open(session, loaded.queue, wish, person)
            return _update(session, loaded, change, wish, person)
        except RefMovedError:
            if time.monotonic() > end:
                raise


def _find(session: QueueSession, loaded: Loaded, wish: Wish, person: Principal) -> Change | None:
    """Return the change that is pushed, None for a new one.

    A number names it. A topic names the one of this person with that topic. Without one it is the one
    without a topic that is continued or rewritten, else the one with a topic that has this very head.
    Only changes that are open count.
    """
    place = wish.place
    if place.number is not None:
        return _numbered(loaded, place)
    wanted = (Forge.OPEN, person.name, place.target)
    mine = [
        loaded.changes[each.id]
        for each in loaded.changes.outlines()
        if (each.forge, each.author, each.target) == wanted
    ]
    named = [each for each in mine if each.topic == place.topic]
    if place.topic:
        mine = named
    else:
        mine = _continued(session, named, wish) or [each for each in mine if each.head == wish.head]
    if len(mine) > 1:
        numbers = " or ".join(
            f"refs/for/{place.target.removeprefix('refs/heads/')}/{each.id}" for each in mine
        )
        raise RefusedError("several of your changes are meant by this", hint=f"push to {numbers}")
    return mine[0] if mine else None


def _numbered(loaded: Loaded, place: Place) -> Change:
    assert place.number is not None
    if place.number in loaded.damaged:
        raise RefusedError(loaded.damaged[place.number])
    change = loaded.changes.get(place.number)
    if change is None:
        raise RefusedError(
            f"there is no change {place.number}", hint="a number stands for a change, so no topic can be one"
        )
    if change.target != place.target:
        right = change.target.removeprefix("refs/heads/")
        raise RefusedError(
            f"change {change.id} is for {quote(right)}", hint=f"push to refs/for/{right}/{change.id}"
        )
    return change


def _continued(session: QueueSession, changes: Sequence[Change], wish: Wish) -> list[Change]:
    if same := [each for each in changes if each.head == wish.head]:
        return same
    changes = changes[-_MOST_COMPARED:]
    if not changes:
        return []
    known = [each for each in changes if _is_kept(session, each)]
    commits = written(session.repository, [wish.head, *(each.head for each in known)], wish.tip)
    return [each for each in known if is_continued(commits, each.head, wish.head)]


def _is_kept(session: QueueSession, change: Change) -> bool:
    ordinal = change.heads.index(change.head) + 1
    return _commit_of(session, head_ref(change.id, ordinal)) is not None


def _commit_of(session: QueueSession, ref: str) -> str | None:
    return shared_refs(session.repository).direct(ref)


def _open(session: QueueSession, queue: Queue, wish: Wish, person: Principal) -> _Outcome:
    if isinstance(denied := authorize(person, Right.SPEAK, None, session.rules), Denied):
        raise RefusedError(denied.reason)
    check_new(wish)
    done: list[_Outcome] = []

    def first(number: int) -> tuple[ChangeEvent, ...]:
        opened = Opened(
            actor=person.name,
            at=time.time(),
            via=_VIA,
            target=wish.place.target,
            head=wish.head,
            title=wish.title,
            body=wish.body,
            topic=wish.place.topic,
        )
        events, after, replies = _with_commands(session, Change(id=number), (opened,), wish, queue, person)
        done.append(_Outcome(before=None, after=after, replies=replies))
        return events

    session.timelines.open_change(
        first,
        lambda number: [RefUpdate(head_ref(number, 1), wish.head, None)],
        reason=f"limmat queue: opened by {person.name}",
    )
    return done[-1]


def _update(session: QueueSession, loaded: Loaded, change: Change, wish: Wish, person: Principal) -> _Outcome:
    moved: tuple[HeadMoved, ...] = ()
    refs: list[RefUpdate] = []
    if change.head != wish.head:
        _check_move(session, change, wish, person)
        moved = (_moved(session, change, wish, person),)
        refs = _keep_head(session, change, wish.head)
    events, after, replies = _with_commands(session, change, moved, wish, loaded.queue, person)
    addition = Addition(change=change.id, events=events, expected=loaded.tips[change.id])
    if events:
        reason = f"limmat queue: pushed by {person.name}"
        session.timelines.append([addition], refs=refs, reason=reason)
    is_forced = any(each.forced for each in moved)
    return _Outcome(before=change, after=after, replies=replies, is_forced=is_forced)


def _check_move(session: QueueSession, change: Change, wish: Wish, person: Principal) -> None:
    if isinstance(denied := authorize(person, Right.OWN, change, session.rules), Denied):
        raise RefusedError(f"change {change.id}: {denied.reason}")
    if change.forge is Forge.LANDED:
        raise RefusedError(
            f"change {change.id} has landed", hint="push without its number to open another one"
        )
    if change.forge is Forge.CLOSED:
        raise RefusedError(
            f"change {change.id} is closed", hint=f"'git limmat queue reopen {change.id}' opens it again"
        )
    check_new(wish)


def _moved(session: QueueSession, change: Change, wish: Wish, person: Principal) -> HeadMoved:
    return HeadMoved(
        actor=person.name,
        at=time.time(),
        via=_VIA,
        old=change.head,
        new=wish.head,
        title=wish.title,
        body=wish.body,
        forced=not is_ancestor(session.repository, change.head, wish.head),
    )


def _keep_head(session: QueueSession, change: Change, head: str) -> list[RefUpdate]:
    """Return what keeps a head; a git that was killed may have left its ref without the event."""
    if head in change.heads:
        return []
    name = head_ref(change.id, len(change.heads) + 1)
    return [RefUpdate(name, head, _commit_of(session, name))]


def _with_commands(
    session: QueueSession,
    change: Change,
    events: tuple[ChangeEvent, ...],
    wish: Wish,
    queue: Queue,
    person: Principal,
) -> tuple[tuple[ChangeEvent, ...], Change, tuple[str, ...]]:
    """Return `events` and those of the options, the change after them all, and the replies.

    Raises: RefusedError when one of the options is refused, and then none of it is to be done.
    """
    after = fold_change(change, events)
    if not wish.commands:
        return events, after, ()
    from gitlimmat.service.queue.mergeability import answered  # takes a while, and most say nothing

    replies: list[str] = []
    for option, command in wish.commands:
        found = answered(session.repository, command, person, after, queue, session.rules, via=_VIA)
        if found.is_refused or found.queue_events:
            reason = (
                found.reply if found.is_refused else "what is not about a change cannot be said by a push"
            )
            raise RefusedError(f"push option {quote(option)}: {reason}", hint=_nothing_done(change, events))
        after = fold_change(after, found.events)
        events += found.events
        replies.append(found.reply)
    return events, after, tuple(replies)


def _nothing_done(change: Change, events: tuple[ChangeEvent, ...]) -> str:
    if not change.is_opened:
        return "no change was opened: push again without the option to open it"
    if events:
        return f"change {change.id} is as it was: push again without the option to move it"
    return f"change {change.id} is as it was"


def _lines(session: QueueSession, outcome: _Outcome) -> list[str]:
    """Return what the one who pushed is told."""
    before, after = outcome.before, outcome.after
    if before is None:
        what = "is new"
    elif before.head == after.head:
        what = "has this head already"
    else:
        what = f"has a new head, {after.head[:12]}"
    lines = [f"change {after.id} {what}: {after.title}"]
    if session.rules.url:
        lines.append(f"  {session.rules.url}/changes/{after.id}")
    return lines + [f"  {line}" for reply in outcome.replies for line in reply.split("\n") if line]


def _taken(push: Push, outcome: _Outcome) -> Taken:
    before, after = outcome.before, outcome.after
    name = head_ref(after.id, after.heads.index(after.head) + 1)
    old = ABSENT if before is None else before.head
    return Taken(ref=push.ref, name=name, old=old, new=after.head, is_forced=outcome.is_forced)
