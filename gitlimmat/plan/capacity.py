"""What jobs hold while they run: a slot, a worktree, named tokens.

Layer: plan. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

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


class Capacity:
    """What is free. Needs are met all at once or not at all, with the first free values of each resource.

    Raises: ValueError when `jobs` is less than 1.
    """

    def __init__(self, *, jobs: int, worktrees: int, resources: Sequence[Resource]) -> None:
        if jobs < 1:
            raise ValueError(f"{jobs} jobs can never finish anything")
        self.slots = jobs
        self._worktrees = worktrees
        self._all_worktrees = worktrees
        self._values = {resource.name: resource.tokens for resource in resources}
        self._places = {
            resource.name: {value: place for place, value in enumerate(resource.tokens)}
            for resource in resources
        }
        self._free = {resource.name: list(range(len(resource.tokens))) for resource in resources}
        for free in self._free.values():
            heapify(free)

    def check(self, test: str, needs: Needs) -> None:
        """Refuse needs that could never be met, whoever gives back what.

        Raises: ConfigError naming the test and what there is too little of.
        """
        if needs.worktree and self._all_worktrees < 1:
            raise ConfigError(
                f"cannot run '{test}': it needs a worktree and there are none",
                hint="raise num_worktrees, or set requires_worktree = false",
            )
        for name, count in needs.tokens:
            there = len(self._values.get(name, ()))
            if count > there:
                raise ConfigError(
                    f"cannot run '{test}': it needs {count} of resource '{name}', there are {there}"
                )

    def fits(self, needs: Needs) -> bool:
        """Whether a job with these needs could start now."""
        if not self.slots or (needs.worktree and not self._worktrees):
            return False
        return all(len(self._free[name]) >= count for name, count in needs.tokens)

    def take(self, needs: Needs) -> dict[str, tuple[str, ...]]:
        """Take what `fits` and return the values of the tokens, by resource."""
        self.slots -= 1
        self._worktrees -= needs.worktree
        return {
            name: tuple(self._values[name][heappop(self._free[name])] for _ in range(count))
            for name, count in needs.tokens
        }

    def give(self, needs: Needs, tokens: dict[str, tuple[str, ...]]) -> None:
        """Give back what `take` returned for the same needs."""
        self.slots += 1
        self._worktrees += needs.worktree
        for name, values in tokens.items():
            for value in values:
                heappush(self._free[name], self._places[name][value])
