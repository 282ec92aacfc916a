"""Deadlines that wait for us while we are stopped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gitlimmat.runner.deadline import Deadline


class Clock:
    """A loop with a clock of its own, which runs on time or, in `sleep_through`, too late."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, action: Callable[[], None]) -> Timer:
        timer = Timer(self.now + delay, action)
        self.timers.append(timer)
        return timer

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.when <= end and not timer.cancelled]:
            first = min(due, key=lambda timer: timer.when)
            self.timers.remove(first)
            self.now = max(self.now, first.when)
            first.action()
        self.now = end

    def sleep_through(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self.timers if timer.when <= self.now and not timer.cancelled]:
            self.timers.remove(timer)
            timer.action()


class Timer:
    def __init__(self, when: float, action: Callable[[], None]) -> None:
        self.when = when
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0, 2.5, 60.0])
def test_action_is_called_once_when_the_time_is_over(seconds: float) -> None:
    """Nothing happens before, and nothing twice."""
    clock, called = Clock(), []
    Deadline(clock, seconds, lambda: called.append(clock.now))
    clock.pass_time(seconds - 0.01)
    assert called == []
    clock.pass_time(10)
    assert called == [pytest.approx(100 + seconds)]


def test_action_is_never_called_when_cancelled() -> None:
    """A cancelled deadline is over."""
    clock, called = Clock(), []
    deadline = Deadline(clock, 5, lambda: called.append(clock.now))
    clock.pass_time(2)
    deadline.cancel()
    clock.pass_time(10)
    assert called == []


@pytest.mark.parametrize("left", [0.3, 1.0, 4.0])
def test_deadline_is_extended_when_we_were_stopped(left: float) -> None:
    """An hour in which we were stopped is not taken from a job's time, but for half a second at most."""
    clock, called = Clock(), []
    Deadline(clock, 10, lambda: called.append(clock.now))
    clock.pass_time(10 - left)
    clock.sleep_through(3600)
    assert called == []
    clock.pass_time(left - min(left, 1.0) / 2 - 0.01)
    assert called == []
    clock.pass_time(0.5)
    assert len(called) == 1


def test_deadline_comes_when_we_are_always_late() -> None:
    """A program too busy to look at its clock in time still ends its jobs some day."""
    clock, called = Clock(), []
    Deadline(clock, 3, lambda: called.append(clock.now))
    for _ in range(20):
        clock.sleep_through(5)
    assert len(called) == 1
