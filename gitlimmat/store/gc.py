"""Which results to let go by size, age, number and reachability, and letting them go.

Layer: store. `plan_removal` is pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from gitlimmat.errors import LimmatError, StoreError
from gitlimmat.git.objects import ObjectBatch
from gitlimmat.git.reach import reachable_ids
from gitlimmat.model import Key, Result
from gitlimmat.store.edit import Edit
from gitlimmat.store.forget import forget_results
from gitlimmat.store.locks import CaseLocks, maintenance_lock
from gitlimmat.store.memory import Memory
from gitlimmat.store.names import DEFINITIONS
from gitlimmat.store.packing import tidy
from gitlimmat.store.record import encode_line
from gitlimmat.store.repair import repair
from gitlimmat.store.runs import sweep
from gitlimmat.store.store import Store
from gitlimmat.store.view import View


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What may stay; None means no limit. Without any limit, nothing goes.

    Units: `size` is bytes of outputs and artifacts before compression, `since` seconds since the epoch:
    results started before it go. `count` is the results that stay of one test on one subject.
    `subjects` are the only ones that stay.
    """

    size: int | None = None
    since: float | None = None
    count: int | None = None
    subjects: frozenset[str] | None = None

    @property
    def is_any(self) -> bool:
        """Whether anything is limited."""
        return any(value is not None for value in (self.size, self.since, self.count, self.subjects))


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A stored result and what it is about."""

    subject: str
    result: Result


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """What was, or would be, removed. `total` are the results before, `kept_in_use` those a job stands by.

    Units: `bytes_freed` is bytes of outputs and artifacts before compression that no other result has.
    """

    total: int
    removed: tuple[Found, ...] = ()
    bytes_freed: int = 0
    kept_in_use: int = 0


def plan_removal(found: Sequence[Found], limits: Limits) -> list[Found]:
    """Return which results go. `found` has, for each subject, oldest results first."""
    doomed = {
        index
        for index, each in enumerate(found)
        if (limits.subjects is not None and each.subject not in limits.subjects)
        or (limits.since is not None and each.result.started < limits.since)
    }
    if limits.count is not None:
        doomed |= _beyond_count(found, doomed, limits.count)
    if limits.size is not None:
        doomed |= _beyond_size(found, doomed, limits.size)
    return [found[index] for index in sorted(doomed)]


def bytes_of(found: Iterable[Found]) -> dict[str, int]:
    """Return the size of each object that the results hold, by id. Equal ones count once."""
    held: dict[str, int] = {}
    for each in found:
        held.update(_sizes(each.result))
    return held


def collect_garbage(store: Store, limits: Limits, locks: CaseLocks, *, dry_run: bool) -> Removal:
    """Remove what is beyond the limits and what is damaged, and tidy up packs and run directories.

    Results of a case that some process has locked stay. A second process doing this at once does nothing.
    Raises: StoreError when that failed. Nothing is removed then.
    """
    try:
        if dry_run:
            return _plan(store, limits, locks)
        with maintenance_lock(store.state_dir) as ours:
            if not ours:
                raise StoreError(
                    "cannot clean up: another git-limmat is doing so", hint="wait for it, or stop it"
                )
            removal = _plan(store, limits, locks)
            _remove(store, removal)
            tidy(store.database, store.state_dir)
            sweep(store.state_dir)
            return removal
    except StoreError:
        raise
    except (LimmatError, OSError) as error:
        raise StoreError(f"cannot clean up stored results: {error}") from error


def reachable_subjects(store: Store) -> frozenset[str]:
    """Return the subjects that results may be about, for anything the user's repository still leads to.

    Raises: StoreError when the results are kept elsewhere, where other repositories may have theirs too.
    """
    if store.database.common_dir != store.repository.common_dir:
        raise StoreError(
            f"cannot tell which results in '{store.database.common_dir}' are unreachable",
            hint="repositories share it; limit its size or the age of results instead",
        )
    return reachable_ids(store.database)


def _plan(store: Store, limits: Limits, locks: CaseLocks) -> Removal:
    view = store.view()
    found = [
        Found(subject=subject, result=result) for subject in view.subjects() for result in view.scan(subject)
    ]
    if not limits.is_any:
        return Removal(total=len(found))
    planned = plan_removal(found, limits)
    removed = [each for each in planned if not locks.is_locked(_key(each))]
    lines = {_line(each) for each in removed}
    rest = bytes_of(each for each in found if _line(each) not in lines)
    freed = sum(size for oid, size in bytes_of(removed).items() if oid not in rest)
    return Removal(
        total=len(found),
        removed=tuple(removed),
        bytes_freed=freed,
        kept_in_use=len(planned) - len(removed),
    )


def _remove(store: Store, removal: Removal) -> None:
    doomed = {_line(each) for each in removal.removed}
    subjects = list(dict.fromkeys(each.subject for each in removal.removed))
    batch = ObjectBatch(store.database)

    def wanted(subject: str, result: Result) -> bool:
        return (subject, encode_line(result)) in doomed

    def change(top: Edit, memory: Memory) -> None:
        repair(top, memory)
        if subjects:
            forget_results(top, wanted, subjects, batch, memory)
            _drop_definitions(top, View(memory, top.oid), wanted)

    if store.view().root is not None:
        store.change(change, batch, f"limmat: drop {len(removal.removed)} results")


def _drop_definitions(top: Edit, before: View, gone: Callable[[str, Result], bool]) -> None:
    """Remove the definitions that no result has any more."""
    used = {
        result.digest.encode()
        for subject in before.subjects()
        for result in before.scan(subject)
        if not gone(subject, result)
    }
    definitions = top.child(DEFINITIONS)
    for name in list(definitions.entries):
        if name not in used:
            definitions.set(name, None)


def _beyond_count(found: Sequence[Found], doomed: set[int], count: int) -> set[int]:
    """Return all but the newest `count` of each test on each subject; the newest usable one counts first."""
    kept: dict[tuple[str, str], list[int]] = {}
    for index, each in enumerate(found):
        if index not in doomed:
            kept.setdefault((each.subject, each.result.test), []).append(index)
    beyond: set[int] = set()
    for indexes in kept.values():
        newest = indexes[::-1]
        usable = next((index for index in newest if found[index].result.reusable), None)
        newest.sort(key=lambda index: index != usable)
        beyond.update(newest[count:])
    return beyond


def _beyond_size(found: Sequence[Found], doomed: set[int], size: int) -> set[int]:
    """Return the oldest results that have to go until the rest holds no more than `size` bytes."""
    users: Counter[str] = Counter()
    held: dict[str, int] = {}
    stay = [index for index in range(len(found)) if index not in doomed]
    for index in stay:
        sizes = _sizes(found[index].result)
        users.update(sizes)
        held.update(sizes)
    total = sum(held.values())
    beyond: set[int] = set()
    for index in sorted(stay, key=lambda index: found[index].result.started):
        if total <= size:
            break
        sizes = _sizes(found[index].result)
        if not sizes:
            continue
        beyond.add(index)
        users.subtract(sizes)
        total -= sum(held[oid] for oid in sizes if users[oid] == 0)
    return beyond


def _sizes(result: Result) -> dict[str, int]:
    stored = [*result.outputs.values(), *((result.artifacts,) if result.artifacts is not None else ())]
    return {each.oid: each.size for each in stored}


def _key(found: Found) -> Key:
    return Key(subject=found.subject, test=found.result.test, digest=found.result.digest.partition("-")[0])


def _line(found: Found) -> tuple[str, bytes]:
    return found.subject, encode_line(found.result)
