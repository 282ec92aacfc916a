"""What a plan is made from, and what it may ask for.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from gitlimmat.queue.events import Kind, Member, RunOutcome
from gitlimmat.queue.state import Change, Queue


class Lack(StrEnum):
    """Why nobody can say which tests a commit has."""

    FILE = "file"  # there is no limmat.toml
    SENSE = "sense"  # it cannot be used
    DEFAULT = "default"  # none of its tests runs by default
    MATCH = "match"  # none is what the settings of the queue ask for
    OBJECT = "object"  # git cannot read it


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the tests of a commit, and how that is said where it was found."""

    lack: Lack
    said: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What git says now, beside the timelines.

    `tips` has the commit of each target that exists. `contained` names changes whose head, not by us, is in
    their target already; `merged` names runs whose merge is. `conflicts` has (head, base) that do not merge.
    `blocked` has (head, base) that could not be merged for a reason that is not theirs, and wait for another
    attempt; `clean` those that are known to merge, and `brought` those where the base has the head already.
    `came_with` has the runs of others that have brought what is contained, by change, where it were these.
    `broken` has by target, or by the commit that a run would be built on, what is wrong with its tests.
    `lost` has the merges of runs that still count, and that are not there any more.
    """

    tips: Mapping[str, str] = {}
    contained: frozenset[int] = frozenset()
    merged: frozenset[str] = frozenset()
    conflicts: frozenset[tuple[str, str]] = frozenset()
    blocked: frozenset[tuple[str, str]] = frozenset()
    clean: frozenset[tuple[str, str]] = frozenset()
    brought: frozenset[tuple[str, str]] = frozenset()
    broken: Mapping[str, Broken] = {}
    came_with: Mapping[int, str] = {}
    lost: frozenset[str] = frozenset()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All state at one moment. `changes` by number."""

    changes: Mapping[int, Change]
    queue: Queue = Queue()
    facts: Facts = Facts()


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Merge `members`, in this order, onto `base` and test that.

    `after` is the open run whose merge `base` is.
    """

    kind: Kind
    target: str
    members: tuple[Member, ...]
    base: str
    after: str = ""
    tests: tuple[str, ...] = ()
    repair: bool = False


class End(msgspec.Struct, frozen=True, kw_only=True):
    """Say in the timelines of `changes` that a run is over."""

    run: str
    changes: tuple[int, ...]
    outcome: RunOutcome
    reason: str = ""


class Land(msgspec.Struct, frozen=True, kw_only=True):
    """Move the target from `old` to `new`, the merge of a run that has passed."""

    run: str
    target: str
    changes: tuple[int, ...]
    old: str
    new: str


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Say that a change is in its target already: by a run of ours (after a crash), or by others (empty).

    `came_with` is the run of other changes that has brought it, if it was one.
    """

    change: int
    run: str
    target: str
    new: str
    came_with: str = ""


Action = Start | End | Land | Note
