"""Share slots and tokens out among the schedules of this process, and with other processes of the host.

Layer: service.

What is asked for is given in turns. A schedule stands in line for the first thing that was refused to it,
and for that alone, so that nobody keeps a free thing from others while waiting for a second one. Between
processes there is no line, but one place before it, which the kernel keeps: who has waited for a moment
tries to be the next there, and the others leave a free thing to that one. As the next one may be stopped,
they do so for a second, and then take no notice for a while.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection
from enum import Enum

from gitlimmat.config.settings import Settings
from gitlimmat.plan.capacity import Token
from gitlimmat.store.hostlocks import HostLock, HostLocks, host_directory

_BEFORE_TURN_S = 0.1  # whoever has just had something gives others the chance to be the next
_COURTESY_S = 1.0
_IGNORED_S = 30.0


class Slot(Enum):
    """The two kinds of slots. A schedule may take part in the second or not; it needs one of each."""

    HERE = "here"
    HOST = "host"


Item = Token | Slot


class Share:
    """What one schedule has of it: an `Outside`. `jobs` and `resources` may be set at any time.

    `jobs` is how many jobs all processes of the host that say so may run at once, None for any number;
    `resources` are the names of those whose tokens are each held once.
    """

    def __init__(self, sharing: Sharing, jobs: int | None, resources: Collection[str]) -> None:
        self.jobs = jobs
        self.resources = resources
        self._sharing = sharing
        self._slots = 0
        self._host_slots: list[HostLock] = []
        self._tokens: dict[Token, HostLock | None] = {}
        self._looking = False
        self._missing = Slot.HERE

    def take_slot(self) -> bool:
        """Take a slot, unless there is none, or others are before us."""
        self._looking = True
        if self._sharing.free_slots <= self._sharing.ahead_of(self, Slot.HERE):
            return self._refused_slot(Slot.HERE)
        jobs = self.jobs
        if jobs is not None and self._sharing.host is not None:
            ahead = self._sharing.ahead_of(self, Slot.HOST)
            lock = None if ahead else self._sharing.try_host(Slot.HOST, lambda host: host.try_slot(jobs))
            if lock is None:
                return self._refused_slot(Slot.HOST)
            self._host_slots.append(lock)
        self._slots += 1
        self._sharing.granted_slot()
        return True

    def give_slot(self) -> None:
        """Give a slot back."""
        self._slots -= 1
        while len(self._host_slots) > self._slots:
            self._host_slots.pop().release()
        self._sharing.given_slot(rollback=self._looking)

    def _refused_slot(self, kind: Slot) -> bool:
        self._missing = kind
        return self._sharing.refuse(kind)

    def shares(self, resource: str) -> bool:
        """Whether the tokens of this resource are shared."""
        return resource in self.resources

    def is_on_host(self, item: Item) -> bool:
        """Whether other processes take part in this."""
        return self.shares(item.resource) if isinstance(item, Token) else item is Slot.HOST

    def take_token(self, token: Token) -> bool:
        """Take a token, unless someone else has it, or is before us."""
        self._looking = True
        if self._sharing.is_held(token) or self._sharing.ahead_of(self, token):
            return self._sharing.refuse(token)
        lock = None
        if self._sharing.host is not None:
            lock = self._sharing.try_host(token, lambda host: host.try_token(token))
            if lock is None:
                return self._sharing.refuse(token)
        self._tokens[token] = lock
        self._sharing.granted_token(token)
        return True

    def give_token(self, token: Token) -> None:
        """Give a token back."""
        lock = self._tokens.pop(token)
        if lock is not None:
            lock.release()
        self._sharing.given_token(token, rollback=self._looking)

    def waits_for(self, *, slot: bool, token: Token | None) -> None:
        """Stand in line for this, and for nothing else."""
        self._looking = False
        self._sharing.line_up(self, self._missing if slot else token)

    def close(self) -> None:
        """Give back all there is, and wait for nothing any more."""
        for token in tuple(self._tokens):
            self.give_token(token)
        while self._slots:
            self.give_slot()
        self._sharing.line_up(self, None)


class Sharing:
    """What all schedules of one process have together: `jobs` slots, and each token of a name once.

    `jobs` may be set at any time. Without `host`, nothing is shared with other processes.
    """

    def __init__(
        self, jobs: int, host: HostLocks | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.jobs = jobs
        self.host = host
        self._clock = clock
        self._used = 0
        self._held: set[Token] = set()
        self._refused: set[Item] = set()
        self._lines: dict[Item, dict[Share, float]] = {}  # since when each share waits, the first one first
        self._turns: dict[Item, HostLock] = {}
        self._left_since: dict[Item, float] = {}
        self._ignored_until: dict[Item, float] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._due: asyncio.Handle | None = None

    def share(self, *, jobs: int | None = None, resources: Collection[str] = ()) -> Share:
        """Return the share of one more schedule; `jobs` is `limmat.sharedJobs`."""
        return Share(self, jobs, resources)

    def on_release(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back soon when something is free here that was refused to someone; return what ends that."""
        self._callbacks.append(callback)

        def end() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return end

    # What shares say and ask.

    @property
    def free_slots(self) -> int:
        """How many slots of this process are free; less than none after `jobs` was lowered."""
        return self.jobs - self._used

    def is_held(self, token: Token) -> bool:
        """Whether a share of this process has the token."""
        return token in self._held

    def ahead_of(self, share: Share, item: Item) -> int:
        """Return how many others of this process are to get `item` first."""
        line = self._lines.get(item, {})
        return next((place for place, other in enumerate(line) if other is share), len(line))

    def refuse(self, item: Item) -> bool:
        """Remember that someone did not get `item`."""
        self._refused.add(item)
        return False

    def try_host(self, item: Item, take: Callable[[HostLocks], HostLock | None]) -> HostLock | None:
        """Take `item` of the host, unless another process has it or is to get it first."""
        if self.host is None:
            return None
        now = self._clock()
        if (
            now < self._ignored_until.get(item, now)
            or item in self._turns
            or not self.host.has_next(_of_host(item))
        ):
            self._left_since.pop(item, None)
        elif now - self._left_since.setdefault(item, now) < _COURTESY_S:
            return None
        else:
            self._ignored_until[item] = now + _IGNORED_S
        return take(self.host)

    def granted_slot(self) -> None:
        """Count a slot that was taken."""
        self._used += 1
        self._end_turn(Slot.HOST)

    def given_slot(self, *, rollback: bool) -> None:
        """Count a slot that was given back."""
        self._used -= 1
        for kind in Slot:
            self._given(kind, rollback=rollback)

    def granted_token(self, token: Token) -> None:
        """Note that a token was taken."""
        self._held.add(token)
        self._end_turn(token)

    def given_token(self, token: Token, *, rollback: bool) -> None:
        """Note that a token was given back."""
        self._held.discard(token)
        self._given(token, rollback=rollback)

    def line_up(self, share: Share, wanted: Item | None) -> None:
        """Let a share stand in line for this only, at its place where it stands there already."""
        for item in [item for item, line in self._lines.items() if share in line and item != wanted]:
            del self._lines[item][share]
            if self._lines[item]:
                self._wake()
            else:
                del self._lines[item]
                self._end_turn(item)
        if wanted is not None:
            since = self._lines.setdefault(wanted, {}).setdefault(share, self._clock())
            if share.is_on_host(wanted) and self._clock() - since >= _BEFORE_TURN_S:
                self._try_turn(wanted)

    def _try_turn(self, item: Item) -> None:
        if self.host is not None and item not in self._turns:
            turn = self.host.try_turn(_of_host(item))
            if turn is not None:
                self._turns[item] = turn

    def _end_turn(self, item: Item) -> None:
        turn = self._turns.pop(item, None)
        if turn is not None:
            turn.release()

    def _given(self, item: Item, *, rollback: bool) -> None:
        if rollback:  # within one look, so that nobody was refused because of it
            return
        self._left_since.pop(item, None)
        if item in self._refused:
            self._refused.discard(item)
            self._wake()

    def _wake(self) -> None:
        if self._due is None and self._callbacks:
            self._due = asyncio.get_running_loop().call_soon(self._call_back)

    def _call_back(self) -> None:
        self._due = None
        for callback in tuple(self._callbacks):
            callback()


def open_sharing(settings: Settings, warn: Callable[[str], None]) -> Sharing:
    """Return what the schedules of this process share, among them and with others, as settings say."""
    return Sharing(settings.jobs, HostLocks(host_directory(os.environ), warn))


def _of_host(item: Item) -> Token | None:
    return item if isinstance(item, Token) else None
