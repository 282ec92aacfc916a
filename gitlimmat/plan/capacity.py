"""What jobs hold while they run: a slot, a worktree, named tokens.

Layer: plan. Pure.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from typing import NamedTuple

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


class Capacity:
    """What is free. Needs are met all at once or not at all, with the first free values of each resource.

    After a change of limits more may be in use than there is: then `slots` is negative until enough has
    been given back.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.slots = limits.jobs
        self._worktrees = limits.worktrees
        self._held: set[tuple[str, str]] = set()
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

    def take(self, needs: Needs) -> dict[str, tuple[str, ...]]:
        """Take what `fits` and return the values of the tokens, by resource."""
        self.slots -= 1
        self._worktrees -= needs.worktree
        tokens = {}
        for name, count in needs.tokens:
            places, self._free[name] = self._free[name][:count], self._free[name][count:]
            tokens[name] = tuple(self._values[name][place] for place in places)
        self._held.update((name, value) for name, values in tokens.items() for value in values)
        return tokens

    def give_place(self, needs: Needs) -> None:
        """Give back the slot and the worktree that `take` took for the same needs."""
        self.slots += 1
        self._worktrees += needs.worktree

    def give_tokens(self, tokens: Mapping[str, tuple[str, ...]]) -> None:
        """Give back the tokens that `take` returned."""
        for name, values in tokens.items():
            for value in values:
                self._held.discard((name, value))
                place = self._places.get(name, {}).get(value)
                if place is not None:
                    insort(self._free[name], place)

    def _count_tokens(self) -> None:
        """Find what is free of the resources there are, in the order of their values."""
        self._values = {resource.name: resource.tokens for resource in self.limits.resources}
        self._places = {
            name: {value: place for place, value in enumerate(values)}
            for name, values in self._values.items()
        }
        self._free = {
            name: [place for value, place in places.items() if (name, value) not in self._held]
            for name, places in self._places.items()
        }
