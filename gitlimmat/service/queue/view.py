"""A queue as it is read: that of this repository, or the copy of another one's that was fetched.

Layer:  service. Nothing is written, started or waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import msgspec

from gitlimmat.errors import GitError, LimmatError, UsageError
from gitlimmat.git.reffiles import shared_refs
from gitlimmat.git.repository import Repository
from gitlimmat.queue.explain import explain_all
from gitlimmat.queue.order import queue_order
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Facts, Snapshot
from gitlimmat.queue.state import Change, Forge, Status
from gitlimmat.service.queue.ask import NoQueueError
from gitlimmat.service.queue.facts import FactReader
from gitlimmat.service.queue.session import find_change
from gitlimmat.service.queue.settings import has_queue, read_rules
from gitlimmat.service.queue.suite import Suites
from gitlimmat.service.queue.turn import server
from gitlimmat.store.timeline import Entry, Loaded, Timelines, remote_refs

_HEADS = "refs/heads/"


class QueueView:
    """What a repository knows of a queue at one moment."""

    def __init__(self, timelines: Timelines, loaded: Loaded, rules: Rules, facts: Facts, now: float) -> None:
        self.loaded = loaded
        self.rules = rules
        self.snapshot = Snapshot(changes=loaded.changes, queue=loaded.queue, facts=facts)
        self.now = now
        self._timelines = timelines

    def change(self, number: int) -> Change:
        """Return a change. Raises: UsageError when there is none, LimmatError when it cannot be read."""
        if (fault := self.loaded.damaged.get(number)) is not None:
            raise LimmatError(f"cannot read change {number}: {fault}")
        return find_change(self.loaded, number)

    @property
    def targets(self) -> frozenset[str]:
        """The branches that changes are for, or were."""
        return frozenset(each.target for each in self.loaded.changes.outlines())

    def entries(self, number: int | None) -> tuple[Entry, ...]:
        """Return the timeline of a change, or of the queue, oldest first."""
        return self._timelines.entries(number)

    def explanations(self) -> dict[int, str]:
        """Return by number why each change is not landing."""
        return explain_all(self.snapshot, self.rules, self.now)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes are wanted: those of any of the words in each group; an empty group is all of them.

    Without `every` and without a status that says so, only open ones.
    """

    statuses: tuple[Status, ...] = ()
    targets: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    every: bool = False

    def accepts(self, change: Change) -> bool:
        """Return whether a change is wanted."""
        is_wanted = self.every or change.forge is Forge.OPEN or change.status in self.statuses
        return (
            is_wanted
            and (not self.statuses or change.status in self.statuses)
            and (not self.targets or change.target.removeprefix(_HEADS) in self.targets)
            and (not self.authors or change.author in self.authors)
        )


def open_view(
    repository: Repository, warn: Callable[[str], None], now: float, remote: str | None = None
) -> QueueView:
    """Look at a queue: the copy of that of `remote`, else this repository's own, else the one copy there is.

    Raises: UsageError when there is no such copy, NoQueueError when there is nothing of any queue, and
    ConfigError for bad settings of the queue.
    """
    copies = [remote] if remote is not None else []
    is_own = remote is None and (has_queue(repository) or _has_own_refs(repository))
    if not is_own and remote is None:
        copies = _copies(repository)
    if len(copies) > 1:
        names = ", ".join(f"'{name}'" for name in copies)
        raise UsageError(f"there are queues of several remotes: {names}", hint="say which with --remote")
    if copies:
        return _copy_of(repository, copies[0], now)
    if not is_own:
        raise NoQueueError(
            f"'{repository.name}' has no merge queue, and nothing of another one has been fetched",
            hint="'git limmat queue follow' fetches that of a remote, 'git limmat queue init' makes one",
        )
    timelines = Timelines(repository)
    loaded = timelines.load()
    if not has_queue(repository):
        return QueueView(timelines, loaded, _rules_of(loaded), _facts_of(repository, loaded, "origin"), now)
    rules = read_rules(repository, warn)
    facts = FactReader(repository, Suites(repository), warn).read(loaded, rules)
    return QueueView(timelines, loaded, rules, facts, now)


def lacks_server(repository: Repository, view: QueueView, numbers: Collection[int]) -> bool:
    """Return whether any of these changes waits for a daemon, and none serves this repository's queue."""
    waiting = (
        change.forge is Forge.OPEN and (change.approval is not None or change.wanted_try is not None)
        for change in map(view.change, numbers)
    )
    return any(waiting) and has_queue(repository) and server(repository) is None


def list_changes(view: QueueView, wanted: Filter) -> list[Change]:
    """Return open changes as the queue takes them, target by target, then the others, newest first."""
    opened = [change for change in view.snapshot.changes.values() if change.is_opened]
    targets = sorted({change.target for change in opened if change.forge is Forge.OPEN})
    found = [change for target in targets for change in queue_order(view.snapshot, target)]
    rest = (change for change in opened if change.forge is not Forge.OPEN)
    found += sorted(rest, key=lambda change: -change.id)
    return [change for change in found if wanted.accepts(change)]


def _copy_of(repository: Repository, remote: str, now: float) -> QueueView:
    timelines = Timelines(repository, below=remote_refs(remote))
    loaded = timelines.load()
    if not loaded.changes and loaded.queue_tip is None and remote not in _copies(repository):
        raise UsageError(
            f"nothing of the queue of '{remote}' has been fetched",
            hint="'git limmat queue follow' does that",
        )
    return QueueView(timelines, loaded, _rules_of(loaded), _facts_of(repository, loaded, remote), now)


def _rules_of(loaded: Loaded) -> Rules:
    """Return what can be known of another repository's rules: the targets."""
    targets = {change.target for change in loaded.changes.values() if change.forge is Forge.OPEN}
    return Rules(are_known=False, targets=tuple(sorted(targets)))


def _facts_of(repository: Repository, loaded: Loaded, remote: str) -> Facts:
    """Return what can be known of another repository's branches: where they were when last fetched."""
    tips = {}
    changes = list(loaded.changes.values())
    for target in {change.target for change in changes}:
        name = f"refs/remotes/{remote}/{target.removeprefix(_HEADS)}"
        try:
            tip = shared_refs(repository).read(name)
        except (GitError, OSError):
            tip = None
        if tip is not None:
            tips[target] = tip
    conflicts = {(each.head, each.base) for change in changes if (each := change.conflict) is not None}
    return Facts(tips=tips, conflicts=frozenset(conflicts))


def _has_own_refs(repository: Repository) -> bool:
    timelines = Timelines(repository)
    loaded = timelines.load()
    return bool(loaded.changes or loaded.queue_tip or loaded.damaged)


def _copies(repository: Repository) -> list[str]:
    """Return the remotes of whose queues there are copies."""
    return list(dict.fromkeys(_copied(repository)))


def _copied(repository: Repository) -> Iterator[str]:
    begin, end = remote_refs("\n").split("\n")
    text = repository.git.text("for-each-ref", "--format=%(refname)", begin)
    for name in text.splitlines():
        remote, has_queue_in_it, _ = name.removeprefix(begin).partition(f"{end}/")
        if has_queue_in_it:
            yield remote
