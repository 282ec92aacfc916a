"""Say where two folds of a queue disagree, by change and field.

Layer:  service. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from gitlimmat.errors import GitError, UsageError
from gitlimmat.git.repository import Repository, find_repository
from gitlimmat.queue.state import Change, Queue, Run
from gitlimmat.service.queue.follow import remote_name
from gitlimmat.store.timeline import OWN, Loaded, Timelines, remote_refs

_MOST = 60
_HERE = "."


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """The timelines of a queue, folded. `label` is what the user calls it."""

    label: str
    timelines: Timelines
    loaded: Loaded


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing two folds disagree about; `change` None is the queue itself."""

    change: int | None
    field: str
    first: str
    second: str


def open_fold(repository: Repository, name: str, *, use_kept: bool = False) -> Fold:
    """Fold the queue `name`: `.` is this repository's own, a remote is what was last fetched by `follow`,
    and a directory is another repository's own.

    With `use_kept` it goes on from what was kept, otherwise everything is folded anew.
    Raises: UsageError when there is no such queue.
    """
    timelines = _find(repository, name)
    loaded = timelines.load(use_kept=use_kept)
    if not (loaded.tips or loaded.damaged or loaded.queue_tip):
        raise UsageError(
            f"no queue '{name}'",
            hint="'.' is the queue of this repository; 'git limmat queue follow' fetches that of a remote",
        )
    return Fold(label=name, timelines=timelines, loaded=loaded)


def differences(first: Fold, second: Fold) -> tuple[Difference, ...]:
    """Return everything they disagree about: the queue itself first, then changes by number."""
    found = [*_of_queue(first.loaded.queue, second.loaded.queue)]
    numbers = {*first.loaded.changes, *second.loaded.changes, *first.loaded.damaged, *second.loaded.damaged}
    for number in sorted(numbers):
        found += _of_number(number, first, second)
    return tuple(found)


def _find(repository: Repository, name: str) -> Timelines:
    if name == _HERE:
        return Timelines(repository)
    copy = Timelines(repository, below=remote_refs(remote_name(repository, name)))
    loaded = copy.load(use_kept=False)
    if loaded.tips or loaded.damaged or loaded.queue_tip:
        return Timelines(repository, below=copy.below)
    if Path(name).is_dir():
        try:
            other = find_repository(Path(name), binary=repository.git.binary)
        except GitError as error:
            raise UsageError(error.message) from error
        return Timelines(other, below=OWN)
    return copy


def _of_number(number: int, first: Fold, second: Fold) -> Iterator[Difference]:
    one, two = (fold.loaded.changes.get(number) for fold in (first, second))
    if one is None or two is None:
        yield Difference(
            change=number, field="there", first=_there(first, number), second=_there(second, number)
        )
        return
    tips = [fold.loaded.tips[number] for fold in (first, second)]
    if tips[0] != tips[1]:
        yield Difference(
            change=number,
            field="timeline",
            first=_place(first, number, tips[1]),
            second=_place(second, number, tips[0]),
        )
    yield from _of_change(one, two)


def _there(fold: Fold, number: int) -> str:
    if number in fold.loaded.damaged:
        return f"damaged: {fold.loaded.damaged[number]}"
    return "yes" if number in fold.loaded.changes else "no"


def _place(fold: Fold, number: int, other: str) -> str:
    """Return how many commits a timeline has, and whether it has the end of the other one."""
    oids = [entry.oid for entry in fold.timelines.entries(number)]
    ahead = f", {len(oids) - oids.index(other) - 1} more" if other in oids else ""
    return f"{len(oids)} commits{ahead}"


def _of_change(one: Change, two: Change) -> Iterator[Difference]:
    for field in one.__struct_fields__:
        left, right = getattr(one, field), getattr(two, field)
        if left == right:
            continue
        if field != "runs":
            yield Difference(change=one.id, field=field, first=_text(left), second=_text(right))
            continue
        names = dict.fromkeys(run.run for run in (*one.runs, *two.runs))
        for name in names:
            yield from _of_run(one.id, name, one.run(name), two.run(name))
        orders = [",".join(run.run for run in each.runs) for each in (one, two)]
        if orders[0] != orders[1]:
            yield Difference(change=one.id, field="order of runs", first=orders[0], second=orders[1])


def _of_run(change: int, name: str, one: Run | None, two: Run | None) -> Iterator[Difference]:
    if one is None or two is None:
        sides = ("no" if one is None else "yes", "no" if two is None else "yes")
        yield Difference(change=change, field=f"run {name}", first=sides[0], second=sides[1])
        return
    for field in one.__struct_fields__:
        left, right = getattr(one, field), getattr(two, field)
        if left != right:
            yield Difference(
                change=change, field=f"run {name} {field}", first=_text(left), second=_text(right)
            )


def _of_queue(one: Queue, two: Queue) -> Iterator[Difference]:
    for field in one.__struct_fields__:
        left, right = getattr(one, field), getattr(two, field)
        if left != right:
            yield Difference(change=None, field=field, first=_text(left), second=_text(right))


def _text(value: object) -> str:
    text = msgspec.json.encode(value, order="deterministic").decode()
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"
