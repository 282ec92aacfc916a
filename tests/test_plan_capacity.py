"""Capacity: what is free, and what others beyond the schedule say about it."""

from __future__ import annotations

import pytest
from schedule_oracle import World

from gitlimmat.model import Resource
from gitlimmat.plan.capacity import Capacity, Limits, Needs, Token

P, Q, R = (Token("db", value) for value in "pqr")
LIMITS = Limits(
    jobs=2,
    worktrees=2,
    resources=(Resource(name="db", tokens=("p", "q", "r")), Resource(name="gpu", tokens=("0",))),
)


@pytest.fixture
def world() -> World:
    """Others, who have nothing yet."""
    return World()


@pytest.fixture
def capacity(world: World) -> Capacity:
    """Two of each thing and three databases, which are shared."""
    return Capacity(LIMITS, world)


def test_other_values_are_tried_when_the_first_is_refused(world: World, capacity: Capacity) -> None:
    """Any value will do; the first ones that can be had are taken, and nobody is waited for."""
    world.others = {P}

    assert capacity.take(Needs(True, (("db", 2),))) == {"db": ("q", "r")}

    assert world.held == {Q, R}
    assert not capacity.refused
    capacity.looked()
    assert world.awaited == (False, None)


def test_all_is_given_back_when_one_thing_is_refused(world: World, capacity: Capacity) -> None:
    """It is all or nothing, also for the others."""
    world.others = {P, R}

    assert capacity.take(Needs(True, (("db", 2), ("gpu", 1)))) is None

    assert (world.used, world.held) == (0, set())
    assert capacity.refused
    assert not capacity.no_slot
    capacity.looked()
    assert world.awaited == (False, P)
    world.others = set()
    assert capacity.take(Needs(True, (("db", 3), ("gpu", 1)))) == {"db": ("p", "q", "r"), "gpu": ("0",)}


def test_a_slot_is_asked_for_first(world: World, capacity: Capacity) -> None:
    """Without a slot nothing can start, whatever it needs."""
    world.slots = 0

    assert capacity.take(Needs(False, (("db", 1),))) is None

    assert capacity.no_slot
    assert world.held == set()
    capacity.looked()
    assert world.awaited == (True, None)
    capacity.look()
    assert not capacity.refused
    assert not capacity.no_slot


def test_only_what_is_shared_is_asked_for(world: World, capacity: Capacity) -> None:
    """A resource of our own is nobody else's business."""
    world.others = {Token("gpu", "0")}

    assert capacity.take(Needs(False, (("gpu", 1),))) == {"gpu": ("0",)}
    assert world.held == set()


def test_a_token_that_is_no_more_is_given_back_to_the_others(world: World, capacity: Capacity) -> None:
    """New limits change nothing about what was taken from outside."""
    tokens = capacity.take(Needs(False, (("db", 2),)))
    assert tokens is not None

    capacity.change(Limits(jobs=1, worktrees=0, resources=(Resource(name="db", tokens=("q", "x")),)))
    assert capacity.fits(Needs(False, (("db", 1),))) is False
    capacity.give_place(Needs(False, ()))
    capacity.give_tokens(tokens)

    assert (world.used, world.held) == (0, set())
    assert capacity.take(Needs(False, (("db", 2),))) == {"db": ("q", "x")}


def test_no_jobs_at_all_are_refused() -> None:
    """Without a slot nothing could ever end."""
    with pytest.raises(ValueError, match="0 jobs"):
        Limits(jobs=0, worktrees=1, resources=())
