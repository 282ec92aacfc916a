"""Estimate when a queue will be empty.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

import math

from gitlimmat.queue.events import Kind, Policy, RunOutcome
from gitlimmat.queue.explain import Outlook, outlook
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Snapshot

_LOOK_BACK = 10


def estimate(snapshot: Snapshot, rules: Rules, now: float) -> float | None:
    """Return the seconds until all that may land has been tested, if all pass; 0 when nothing may.

    None when no run has passed yet, so that nobody knows. A run takes what the last 10 that passed took on
    average. Units: `now` and the result are seconds.
    """
    ahead = outlook(snapshot, rules, now)
    targets = [target for target in rules.targets if _is_busy(target, ahead)]
    if not targets:
        return 0.0
    usual = usual_span(snapshot)
    if usual is None:
        return None
    return max(_left(target, ahead, usual, now) for target in targets)


def usual_span(snapshot: Snapshot) -> float | None:
    """Return how many seconds an auto run takes; None when none has passed."""
    passed = {
        run.run: (run.ended, run.ended - run.started)
        for change in snapshot.changes.values()
        for run in change.runs
        if run.kind is Kind.AUTO and run.outcome is RunOutcome.PASSED and run.ended is not None
    }
    spans = [max(0.0, span) for _, span in sorted(passed.values(), reverse=True)[:_LOOK_BACK]]
    return sum(spans) / len(spans) if spans else None


def _is_busy(target: str, ahead: Outlook) -> bool:
    return bool(ahead.line.get(target)) or any(work.is_open for work in ahead.at_work.lane(target).stack)


def _left(target: str, ahead: Outlook, usual: float, now: float) -> float:
    """Return the seconds until a target's line is empty: what is at work, then the others in turn."""
    opened = [work.run for work in ahead.at_work.lane(target).stack if work.is_open]
    rest = max((max(0.0, run.started + usual - now) for run in opened), default=0.0)
    size = max(1, ahead.rules.batch) if ahead.rules.policy is Policy.MERGE else 1
    runs = math.ceil(len(ahead.line.get(target, ())) / size)
    return rest + usual * math.ceil(runs / max(1, ahead.rules.depth))
