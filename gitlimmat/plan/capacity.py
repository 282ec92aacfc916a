"""What jobs hold while they run: a slot, a worktree, named tokens.

Layer: plan. Pure.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from gitlimmat.errors import ConfigError
from gitlimmat.model import Resource, Test


class Needs(NamedTuple):
    """What a job of some test holds, beside its slot. Tests with equal needs compete as one group."""

    worktree: bool
    tokens: tuple[tuple[str, int], ...]


def needs_of(test: Test) -> Needs:
    """Return what a job of `test` must hold to run."""
    counts: dict[str, int] = {}
    for need in test.resources:
        counts[need.name] = counts.get(need.name, 0) + need.count
    return Needs(test.requires_worktree, tuple(sorted(counts.items())))


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is: slots for jobs, worktrees, and the tokens of each resource.

    Raises: ValueError when `jobs` is less than 1.
    """

    jobs: int
    worktrees: int
    resources: tuple[Resource, ...]

    def __post_init__(self) -> None:
        """Refuse what could never finish anything."""
        if self.jobs < 1:
            raise ValueError(f"{self.jobs} jobs can never finish anything")

    def check(self, test: str, needs: Needs) -> None:
        """Refuse needs that could never be met, whoever gives back what.

        Raises: ConfigError naming the test and what there is too little of.
        """
        if needs.worktree and self.worktrees < 1:
            raise ConfigError(
                f"cannot run '{test}': it needs a worktree and there are none",
                hint="raise num_worktrees, or set requires_worktree = false",
            )
        counts = {resource.name: len(resource.tokens) for resource in self.resources}
        for name, count in needs.tokens:
            there = counts.get(name, 0)
            if count > there:
                raise ConfigError(
                    f"cannot run '{test}': it needs {count} of resource '{name}', there are {there}"
                )


class Token(NamedTuple):
    """One value of a resource."""

    resource: str
    value: str


class Outside(Protocol):
    """What is shared beyond one schedule: it has the last word on what seems to be free. Never waits."""

    def take_slot(self) -> bool:
        """Take a slot, unless there is none."""

    def give_slot(self) -> None:
        """Give a slot back."""

    def shares(self, resource: str) -> bool:
        """Whether to ask about the tokens of this resource."""

    def take_token(self, token: Token) -> bool:
        """Take a token, unless someone else has it."""

    def give_token(self, token: Token) -> None:
        """Give a token back."""

    def waits_for(self, *, slot: bool, token: Token | None) -> None:
        """Note what was refused to the best job that could not start for that, each time after a look.

        At most one of both, and neither when nothing was refused to anyone who needed it: what was waited
        for before is not any more.
        """


class Capacity:
    """What is free. Needs are met all at once or not at all, with the first free values of each resource.

    `refused` is whether `outside` has kept a job from starting since `look`, `no_slot` whether it will keep
    all of them.

    After a change of limits more may be in use than there is: then `slots` is negative until enough has
    been given back.
    """

    def __init__(self, limits: Limits, outside: Outside | None = None) -> None:
        self.limits = limits
        self.slots = limits.jobs
        self._worktrees = limits.worktrees
        self.refused = False
        self.no_slot = False
        self._missing: Token | None = None
        self._outside = outside
        self._held: set[Token] = set()
        self._borrowed: set[Token] = set()
        self._count_tokens()

    def change(self, limits: Limits) -> None:
        """Have so much from now on. Held tokens stay held; those that are no more are gone when given."""
        self.slots += limits.jobs - self.limits.jobs
        self._worktrees += limits.worktrees - self.limits.worktrees
        self.limits = limits
        self._count_tokens()

    def fits(self, needs: Needs) -> bool:
        """Whether a job with these needs could start now."""
        if self.slots < 1 or (needs.worktree and self._worktrees < 1):
            return False
        return all(len(self._free[name]) >= count for name, count in needs.tokens)

    def look(self) -> None:
        """Begin to look for what can start."""
        self.refused = self.no_slot = False
        self._missing = None

    def looked(self) -> None:
        """Say what was refused, if anything, now that all is taken that could be had."""
        if self._outside is not None:
            self._outside.waits_for(slot=self.no_slot and self._missing is None, token=self._missing)

    def take(self, needs: Needs) -> dict[str, tuple[str, ...]] | None:
        """Take what `fits` and return the values of the tokens, by resource; None when outside refuses."""
        if self._outside is not None and not self._outside.take_slot():
            self.refused = self.no_slot = True
            return None
        self.slots -= 1
        self._worktrees -= needs.worktree
        tokens = {}
        for name, count in needs.tokens:
            tokens[name], missing = self._take_tokens(name, count)
            if len(tokens[name]) < count:
                self.refused = True
                self._missing = self._missing or missing
                self.give_tokens(tokens)
                self.give_place(needs)
                return None
        return tokens

    def give_place(self, needs: Needs) -> None:
        """Give back the slot and the worktree that `take` took for the same needs."""
        self.slots += 1
        self._worktrees += needs.worktree
        if self._outside is not None:
            self._outside.give_slot()

    def give_tokens(self, tokens: Mapping[str, tuple[str, ...]]) -> None:
        """Give back the tokens that `take` returned."""
        for token in [Token(name, value) for name, values in tokens.items() for value in values]:
            self._held.discard(token)
            place = self._places.get(token.resource, {}).get(token.value)
            if place is not None:
                insort(self._free[token.resource], place)
            if self._outside is not None and token in self._borrowed:
                self._borrowed.discard(token)
                self._outside.give_token(token)

    def _take_tokens(self, name: str, count: int) -> tuple[tuple[str, ...], Token | None]:
        """Take as many as can be had of what is free, up to `count`; say what was refused first."""
        taken: list[Token] = []
        refused = None
        asked = self._outside if self._outside is not None and self._outside.shares(name) else None
        for token in [Token(name, self._values[name][place]) for place in self._free[name]]:
            if len(taken) == count:
                break
            if asked is None or asked.take_token(token):
                taken.append(token)
                self._free[name].remove(self._places[name][token.value])
            else:
                refused = refused or token
        self._held.update(taken)
        if asked is not None:
            self._borrowed.update(taken)
        return tuple(token.value for token in taken), refused

    def _count_tokens(self) -> None:
        """Find what is free of the resources there are, in the order of their values."""
        self._values = {resource.name: resource.tokens for resource in self.limits.resources}
        self._places = {
            name: {value: place for place, value in enumerate(values)}
            for name, values in self._values.items()
        }
        self._free = {
            name: [place for value, place in places.items() if Token(name, value) not in self._held]
            for name, places in self._places.items()
        }
