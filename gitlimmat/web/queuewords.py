"""How the pages of a queue put things: states and outcomes, and what people have written.

Layer: web. Pure.

What people have written is shown as text. Characters that move or turn others are shown as their escapes, so
nobody can make a title look like something else.
"""

from __future__ import annotations

from gitlimmat.model import Outcome
from gitlimmat.queue.events import RunOutcome
from gitlimmat.queue.state import Status
from gitlimmat.web.words import LOOKS, Look

STATUSES: dict[Status, Look] = {
    Status.TESTING: Look("running", "◐"),
    Status.READY: Look("passed", "✓"),
    Status.APPROVED: Look("approved", "●"),
    Status.FAILED: Look("failed", "✗"),
    Status.ERRORED: Look("errored", "!"),
    Status.TIMED_OUT: Look("errored", "!"),
    Status.CONFLICT: Look("errored", "≠"),
    Status.TRYING: Look("running", "◐"),
    Status.TRY_FAILED: Look("failed", "✗"),
    Status.TRY_ERRORED: Look("errored", "!"),
    Status.TRY_TIMED_OUT: Look("errored", "!"),
    Status.TRY_PASSED: Look("passed", "✓"),
    Status.OPEN: Look("unknown", "○"),
    Status.DRAFT: Look("skipped", "–"),
    Status.LANDED: Look("passed", "⇥"),
    Status.CLOSED: Look("cancelled", "⊘"),
}
"""Class and glyph of each status, in the order in which they matter."""

_RUNS: dict[RunOutcome | None, Look] = {
    None: Look("running", "◐"),
    RunOutcome.PASSED: Look("passed", "✓"),
    RunOutcome.FAILED: Look("failed", "✗"),
    RunOutcome.ERRORED: Look("errored", "!"),
    RunOutcome.TIMED_OUT: Look("errored", "!"),
    RunOutcome.CANCELLED: Look("cancelled", "⊘"),
    RunOutcome.SUPERSEDED: Look("skipped", "–"),
}

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # scripts and emoji need them
_BRANCHES = "refs/heads/"
_SHORT = 12


def visible(text: str, most: int = 0) -> str:
    """Return a text of one line with escapes for all that cannot be seen; cut after `most` characters."""
    return _escaped(text.strip(" \n"), most, "")


def visible_lines(text: str, most: int = 0) -> str:
    """Return a text of many lines with escapes for all that cannot be seen; cut after `most` characters."""
    return _escaped(text.replace("\r\n", "\n").strip("\n"), most, "\n\t")


def _escaped(text: str, most: int, kept: str) -> str:
    if most and len(text) > most:
        text = text[:most] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS or c in kept else ascii(c)[1:-1] for c in text)


def branch(ref: str) -> str:
    """Return the short name of a target."""
    return visible(ref.removeprefix(_BRANCHES))


def short(oid: str) -> str:
    """Return the beginning of an object id."""
    return oid[:_SHORT]


def status_look(status: Status) -> Look:
    """Return how the status of a change looks."""
    return STATUSES[status]


def run_look(outcome: RunOutcome | None) -> Look:
    """Return how a run looks; without an outcome it is at work."""
    return _RUNS[outcome]


def job_look(outcome: Outcome) -> Look:
    """Return how a job of a run looks."""
    return LOOKS[outcome]
