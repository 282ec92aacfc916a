"""Measurements of the merge queue: what lands an hour, and what a look at many changes costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from queue_simulation import ALONE, FAILING, WAYS, simulated
from sandbox import CommandError, git, limmat, tell
from table import Budget, Row, Unit
from timing import medians, seconds
from workshop import Workshop

if TYPE_CHECKING:
    from gitlimmat.queue.events import ChangeEvent

_TARGET = "refs/heads/main"
_OPEN = 1_000
_EVENTS = 100
_LONG = 10_000
_TURNS = 9
_COLD_TURNS = 3
_PUSHES = 4
_ADDED = Budget(0.15, of_peer=False)
_CONFIG = '[[tests]]\nname = "unit"\ncommand = "true"\n'


def throughput(shop: Workshop) -> list[Row]:
    """Changes landed an hour when a test takes a minute, each way to work against one at a time."""
    rows = []
    for failing in FAILING:
        alone = simulated(ALONE, failing).landed
        for way in WAYS[1:]:
            what = f"queue, {way}, {failing} % fail: changes landed an hour, simulated"
            ours = simulated(way, failing).landed
            rows.append(Row(what, ours, str(ALONE), alone, unit=Unit.COUNT))
    return rows


def looking(shop: Workshop) -> list[Row]:
    """What it costs to fold very many timelines, to plan, and to do a whole pass of the daemon."""
    from gitlimmat.git.repository import find_repository
    from gitlimmat.queue.events import Commented
    from gitlimmat.queue.explain import explain_all
    from gitlimmat.queue.plan import plan
    from gitlimmat.queue.rules import Rules
    from gitlimmat.queue.snapshot import Facts, Snapshot
    from gitlimmat.service.logfile import Log
    from gitlimmat.service.queue.facts import Findings
    from gitlimmat.service.queue.passes import Passes
    from gitlimmat.store.timeline import Addition, Timelines

    place = _make_queue(shop.root / "queue")
    repository = find_repository(place)
    cold = [
        seconds(lambda: Timelines(find_repository(place)).load(use_kept=False)) for _ in range(_COLD_TURNS)
    ]
    writer = Timelines(repository)
    loaded = writer.load()
    tip = git(place, "rev-parse", _TARGET).strip()
    snapshot = Snapshot(changes=loaded.changes, queue=loaded.queue, facts=Facts(tips={_TARGET: tip}))
    rules = Rules(targets=(_TARGET,), depth=2, batch=4)
    plans = [seconds(lambda: plan(snapshot, rules, 1e9)) for _ in range(_TURNS)]
    words = [seconds(lambda: explain_all(snapshot, rules, 1e9)) for _ in range(_TURNS)]
    warnings: list[str] = []
    log = Log(place / "bench.log", tell)
    passes = Passes(repository, Findings(), say=_ignore, warn=warnings.append, log=log)
    passes.step()
    spans = []
    for number in range(1, _TURNS + 1):
        said = Commented(actor="ann", at=1e9, text="anything new?")
        expected = writer.load().tips[number]
        writer.append([Addition(change=number, events=(said,), expected=expected)], reason="bench")
        spans.append(seconds(passes.step))
    if warnings:
        raise CommandError(warnings[0])
    many = f"{_OPEN:,} open changes"
    return [
        Row(f"queue: fold {many} × {_EVENTS} events, cold", median(cold), budget=Budget(2, of_peer=False)),
        Row(f"queue: fold {_LONG:,} events of one change", _fold_time(), budget=Budget(0.5, of_peer=False)),
        Row(f"queue: plan with {many}", median(plans), budget=Budget(0.02, of_peer=False)),
        Row(f"queue: explain each of {many}", median(words)),
        Row(f"queue: a whole pass, {many}, one has moved", median(spans), budget=Budget(0.1, of_peer=False)),
    ]


def pushing(shop: Workshop) -> list[Row]:
    """What whoever pushes waits for because there is a queue."""
    plain = shop.root / "plain.git"
    git(shop.root, "init", "-q", "--bare", str(plain))
    guarded = {"no other change": _make_queue(shop.root / "small.git", 0)}
    guarded[f"{_OPEN:,} open changes"] = _make_queue(shop.root / "large.git", _OPEN)
    for place in guarded.values():
        limmat(place, "queue", "init", "--yes")
    clone = shop.root / "clone"
    git(shop.root, "clone", "-q", str(guarded["no other change"]), str(clone))
    git(clone, "push", "-q", str(plain), "HEAD:main")
    numbers = count()

    def push(place: Path, ref: str) -> None:
        git(clone, "push", "-q", str(place), f"HEAD:{ref}{next(numbers)}")

    turns = {"": partial(push, plain, "refs/heads/topic")}
    for name, place in guarded.items():
        turns[f"to refs/for/main, {name}"] = partial(push, place, "refs/for/main/topic")
        turns[f"to any branch, {name}"] = partial(push, place, "refs/heads/topic")
    fresh = partial(git, clone, "commit", "-q", "--allow-empty", "-m", "subject")
    times = medians(turns, rounds=_PUSHES * shop.sizes.rounds, before=dict.fromkeys(turns, fresh))
    alone = times.pop("")
    return [
        Row(f"added to `git push` {name}", each - alone, "git push alone", alone, _ADDED)
        for name, each in times.items()
    ]


def _fold_time() -> float:
    """How long the events of a change take that was tried again and again."""
    from gitlimmat.queue.fold import fold_change
    from gitlimmat.queue.state import Change

    events = list(_history(1, "a" * 40, _LONG))
    return median(seconds(lambda: fold_change(Change(id=1), events)) for _ in range(_TURNS))


def _ignore(message: str) -> None:
    """Say nothing."""


def _make_queue(place: Path, changes: int = _OPEN) -> Path:
    """Make a bare repository with the timelines of approved changes, and a tree that is closed to them."""
    tell(f"making a queue of {changes:,} changes")
    place.mkdir(parents=True)
    git(place, "init", "-q", "--bare")
    git(place, "config", "limmat.queue.target", "main")
    git(place, "fast-import", "--quiet", stdin=b"".join(_commits(changes)))
    heads = git(place, "for-each-ref", "--format=%(objectname)", "refs/limmat/queue/changes").split()
    git(place, "fast-import", "--quiet", stdin=b"".join(_timelines(heads)))
    git(place, "pack-refs", "--all")
    return place


def _commits(changes: int) -> Iterator[bytes]:
    """Yield a target, and a head for each change that is not in it."""
    yield _commit(_TARGET, b"base") + b"M 100644 inline limmat.toml\n" + _data(_CONFIG.encode())
    for number in range(1, changes + 1):
        head = _commit(f"refs/limmat/queue/changes/{number}/heads/1", b"change %d" % number)
        yield head + f"from {_TARGET}\nM 100644 inline file{number}\n".encode() + _data(b"new\n")


def _timelines(heads: Sequence[str]) -> Iterator[bytes]:
    """Yield the timeline of the queue and those of its changes, one commit for each event."""
    from gitlimmat.queue.eventlines import encode_events
    from gitlimmat.queue.events import TreeClosed

    closed = TreeClosed(actor="alice", at=1.0, below=5, reason="bench")
    yield _commit("refs/limmat/queue/tree/meta", b"closed\n\n" + encode_events((closed,)))
    for number, head in enumerate(heads, 1):
        for event in _history(number, head):
            message = b"something happened\n\n" + encode_events((event,))
            yield _commit(f"refs/limmat/queue/changes/{number}/meta", message)


def _history(number: int, head: str, count: int = _EVENTS) -> Iterator[ChangeEvent]:
    """Yield the events of a change that was approved and whose runs have been superseded again and again."""
    from gitlimmat.model import Outcome
    from gitlimmat.queue import events

    queue = events.QUEUE
    yield events.Opened(actor="ann", at=1.0, target=_TARGET, head=head, title=f"change {number}")
    yield events.Approved(actor="rita", at=2.0 + number, head=head, by="rita")
    for at in range(3, count, 7):
        run = f"{head[:12]}-{at}"
        yield events.RunStarted(
            actor=queue,
            at=at,
            run=run,
            kind=events.Kind.AUTO,
            target=_TARGET,
            members=(events.Member(change=number, head=head),),
            base=head,
            merge=head[::-1],
            commits=(head[::-1],),
            tests=("unit", "lint", "docs"),
            deadline=at + 3600,
        )
        for test in ("unit", "lint", "docs"):
            yield events.JobEnded(
                actor=queue, at=at, run=run, test=test, commit=head[::-1], outcome=Outcome.PASSED, elapsed=1.5
            )
        yield events.RunEnded(actor=queue, at=at, run=run, outcome=events.RunOutcome.SUPERSEDED)
        yield events.Commented(actor="ann", at=at, text="how is it going?")
        yield events.Prioritized(actor="rita", at=at, priority=at % 5)


def _commit(ref: str, message: bytes) -> bytes:
    who = b"A U Thor <author@example.com> 1750000000 +0000"
    return b"commit %s\ncommitter %s\n" % (ref.encode(), who) + _data(message)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
