"""What the end of a job says about its commit."""

from __future__ import annotations

import pytest

from gitlimmat.model import Outcome, Test
from gitlimmat.runner.classify import classify
from gitlimmat.runner.job import JobEnd

TEST = Test(name="unit", command="x", error_exit_codes=(3,), skip_exit_codes=(77,), timeout_s=5.0)


def end(**fields: object) -> JobEnd:
    return JobEnd(started=0.0, elapsed=0.0, **fields)


@pytest.mark.parametrize(
    ("ended", "outcome", "reason"),
    [
        (end(exit_status=0), Outcome.PASSED, ""),
        (end(exit_status=1), Outcome.FAILED, "exit 1"),
        (end(exit_status=137), Outcome.FAILED, "exit 137"),
        (end(exit_status=3), Outcome.ERRORED, "exit 3"),
        (end(exit_status=77), Outcome.SKIPPED, "exit 77"),
        (end(signal=9), Outcome.ERRORED, "signal 9 (SIGKILL)"),
        (end(signal=40), Outcome.ERRORED, "signal 40"),
        (end(error="cannot start 'x': no"), Outcome.ERRORED, "cannot start 'x': no"),
        (end(timed_out=True, exit_status=0), Outcome.ERRORED, "timed out after 5 s"),
        (end(timed_out=True, signal=15), Outcome.ERRORED, "timed out after 5 s"),
        (end(cancelled=True), Outcome.CANCELLED, "cancelled"),
        (end(cancelled=True, exit_status=0), Outcome.CANCELLED, "cancelled"),
        (end(cancelled=True, exit_status=1), Outcome.CANCELLED, "cancelled"),
        (end(cancelled=True, timed_out=True, signal=9), Outcome.CANCELLED, "cancelled"),
        (end(), Outcome.ERRORED, "its exit status is not known"),
    ],
)
def test_outcome_and_reason_follow_the_table(ended: JobEnd, outcome: Outcome, reason: str) -> None:
    """Each way to end has one outcome, and a reason unless it passed."""
    assert classify(TEST, ended) == (outcome, reason)


def test_timeout_is_shown_without_needless_digits() -> None:
    """A timeout is shown as it was configured."""
    test = Test(name="unit", command="x", timeout_s=0.25)
    assert classify(test, end(timed_out=True))[1] == "timed out after 0.25 s"
