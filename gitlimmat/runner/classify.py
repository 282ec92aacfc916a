"""What the end of a job says about its commit.

Layer: runner. Pure.
"""

from __future__ import annotations

import signal

from gitlimmat.model import Outcome, Test
from gitlimmat.runner.job import JobEnd


def classify(test: Test, end: JobEnd) -> tuple[Outcome, str]:
    """Return the outcome of a job of `test` that ended like `end`, and the reason in a few words.

    Shape: the reason is empty for PASSED and for nothing else.
    Source: reference/limmat.md section 3. What we caused comes first: a job that we stopped may exit
    with any status while it cleans up, and none of them is a verdict.
    """
    if end.cancelled:
        return Outcome.CANCELLED, "cancelled"
    if end.error:
        return Outcome.ERRORED, end.error
    if end.timed_out:
        return Outcome.ERRORED, _timed_out(test)
    if end.signal is not None:
        return Outcome.ERRORED, f"signal {signal_name(end.signal)}"
    if end.exit_status is None:
        return Outcome.ERRORED, "its exit status is not known"
    return _by_status(test, end.exit_status)


def signal_name(number: int) -> str:
    """Return a signal as people read it: `9 (SIGKILL)`, or the bare number of a real-time signal."""
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _timed_out(test: Test) -> str:
    return "timed out" if test.timeout_s is None else f"timed out after {test.timeout_s:g} s"


def _by_status(test: Test, status: int) -> tuple[Outcome, str]:
    if status == 0:
        return Outcome.PASSED, ""
    reason = f"exit {status}"
    if status in test.error_exit_codes:
        return Outcome.ERRORED, reason
    if status in test.skip_exit_codes:
        return Outcome.SKIPPED, reason
    return Outcome.FAILED, reason
