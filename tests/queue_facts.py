"""An oracle for the fold of a change: each fact is a question to the whole list of its events.

Nothing here goes from state to state. "Is it approved" is: was there an approval that counted when it was
given, and has nothing after it taken it away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from gitlimmat.queue.events import (
    QUEUE,
    AnyEvent,
    Approved,
    CancelRequested,
    Closed,
    Commented,
    Conflicted,
    Delegated,
    DraftSet,
    HeadMoved,
    JobEnded,
    Kind,
    Landed,
    Notice,
    Opened,
    Prioritized,
    Reopened,
    Retitled,
    RetryRequested,
    RollupSet,
    RunEnded,
    RunOutcome,
    RunStarted,
    TargetChanged,
    TryRequested,
    Unapproved,
    Undelegated,
    Unknown,
)

AFTER_LANDING = (Commented, Notice, RunEnded, JobEnded)


class Facts:
    """What the events of change `number` amount to, asked one question at a time."""

    def __init__(self, number: int, events: Sequence[AnyEvent | Unknown]) -> None:
        self.number = number
        known = [event for event in events if not isinstance(event, Unknown)]
        first = next((i for i, event in enumerate(known) if isinstance(event, Opened)), len(known))
        rest = [event for event in known[first + 1 :] if not isinstance(event, Opened)]
        land = next((i for i, event in enumerate(rest) if isinstance(event, Landed)), len(rest))
        later = [event for event in rest[land + 1 :] if isinstance(event, AFTER_LANDING)]
        self.events = [*known[first : first + 1], *rest[: land + 1], *later]
        self.count = len(events)
        self._outcomes: dict[tuple[str, int], RunOutcome | None] = {}
        self._retired: dict[tuple[str, int], bool] = {}

    # What holds before event number `at`; len(events) is now.

    def head(self, at: int) -> str:
        """The head: what opened it or moved it last."""
        return self._last(at, lambda e: e.new if isinstance(e, HeadMoved) else e.head, Opened, HeadMoved)

    def target(self, at: int) -> str:
        """Where it is to land."""
        return self._last(at, lambda e: e.target, Opened, TargetChanged)

    def is_draft(self, at: int) -> bool:
        """Whether it is a draft."""
        return bool(self._last(at, lambda e: e.draft, Opened, DraftSet))

    def is_open(self, at: int) -> bool:
        """Whether it is wanted, and has not landed."""
        before = self.events[:at]
        ends = [e for e in before if isinstance(e, Closed | Reopened)]
        return not any(isinstance(e, Landed) for e in before) and not (ends and isinstance(ends[-1], Closed))

    def approval(self, at: int) -> tuple[str, str, bool] | None:
        """Head, approver and whether it is a repair."""
        found = self._approvals(at)
        if not found:
            return None
        event = self.events[found[-1]]
        assert isinstance(event, Approved)
        return event.head, event.by, event.repair

    def _approvals(self, at: int) -> list[int]:
        """The approvals since the last event that takes one away which said something new."""
        takers = (TargetChanged, Unapproved, Closed)
        gone = -1
        for i, e in enumerate(self.events[:at]):
            moved = isinstance(e, HeadMoved) and e.new != self.head(i)
            if moved or isinstance(e, takers) or (isinstance(e, DraftSet) and e.draft):
                gone = i
        found: list[int] = []
        for i in range(gone + 1, at):
            e = self.events[i]
            if (
                not isinstance(e, Approved)
                or e.head != self.head(i)
                or self.is_draft(i)
                or not self.is_open(i)
            ):
                continue
            before = self.events[found[-1]] if found else None
            is_same = isinstance(before, Approved) and before.repair == e.repair
            if not is_same or self._has_failed(i):
                found.append(i)
        return found

    def _has_failed(self, at: int) -> bool:
        run = self.current(Kind.AUTO, at)
        return run is not None and self.outcome(run, at) not in (
            None,
            RunOutcome.PASSED,
            RunOutcome.SUPERSEDED,
        )

    def current(self, kind: Kind, at: int) -> str | None:
        """The newest run of a kind, if it is about the present head and target and still counts."""
        of_kind = [i for i in self.starts if i < at and self._start(i).kind is kind]
        if not of_kind:
            return None
        start = self._start(of_kind[-1])
        is_present = (self._member(start), start.target) == (self.head(at), self.target(at))
        return start.run if is_present and not self.is_retired(start.run, at) else None

    @cached_property
    def starts(self) -> list[int]:
        """Where runs start: by the queue, with this change, each name once."""
        found: dict[str, int] = {}
        for i, e in enumerate(self.events):
            if isinstance(e, RunStarted) and e.actor == QUEUE and self._member(e):
                found.setdefault(e.run, i)
        return sorted(found.values())

    def outcome(self, run: str, at: int) -> RunOutcome | None:
        """How a run ended: by the first event that ends it."""
        if (run, at) not in self._outcomes:
            self._outcomes[run, at] = self._outcome(run, at)
        return self._outcomes[run, at]

    def _outcome(self, run: str, at: int) -> RunOutcome | None:
        begin = next(i for i in self.starts if self._start(i).run == run)
        for i in range(begin + 1, at):
            e = self.events[i]
            if isinstance(e, RunEnded) and e.run == run:
                is_late = e.outcome is RunOutcome.PASSED and self._is_overtaken(begin, i + 1, at)
                return RunOutcome.SUPERSEDED if is_late else e.outcome
            if isinstance(e, CancelRequested | RetryRequested) and e.run == run:
                return RunOutcome.CANCELLED
            if self._is_try_request(i) and self.current(Kind.TRY, i) == run:
                return RunOutcome.CANCELLED
        return None

    def _is_overtaken(self, begin: int, first: int, at: int) -> bool:
        """Whether a run that was to land was superseded after it had passed."""
        start = self._start(begin)
        return start.kind is Kind.AUTO and any(
            isinstance(e, RunEnded)
            and (e.run, e.outcome) == (start.run, RunOutcome.SUPERSEDED)
            and self.is_open(first + i)
            for i, e in enumerate(self.events[first:at])
        )

    def is_retired(self, run: str, at: int) -> bool:
        """Whether a retry, or an approval after its failure, made it count no more."""
        if (run, at) not in self._retired:
            self._retired[run, at] = self._is_retired(run, at)
        return self._retired[run, at]

    def _is_retired(self, run: str, at: int) -> bool:
        begin = next(i for i in self.starts if self._start(i).run == run)
        for i in range(begin + 1, at):
            e = self.events[i]
            if isinstance(e, RetryRequested) and e.run == run:
                return True
            counts = isinstance(e, Approved) and e.head == self.head(i) and self.is_open(i)
            if counts and not self.is_draft(i) and self.current(Kind.AUTO, i) == run and self._has_failed(i):
                return True
        return False

    def wants_try(self, at: int) -> bool:
        """Whether a try was asked for that nothing has answered or made void."""
        for i in reversed(range(at)):
            e = self.events[i]
            if self._is_try_request(i) or self._asks_again(i):
                return True
            started = i in self.starts and self._start(i).kind is Kind.TRY
            conflicted = isinstance(e, Conflicted) and e.head == self.head(i)
            moved = isinstance(e, HeadMoved) and e.new != self.head(i)
            if started or conflicted or moved or isinstance(e, Landed | Closed):
                return False
        return False

    def _asks_again(self, i: int) -> bool:
        e = self.events[i]
        if not isinstance(e, RetryRequested) or not self.is_open(i):
            return False
        of = next((self._start(j) for j in self.starts if j < i and self._start(j).run == e.run), None)
        if of is None or of.kind is not Kind.TRY or self.is_retired(e.run, i):
            return False
        return self._member(of) == self.head(i)

    def _is_try_request(self, i: int) -> bool:
        e = self.events[i]
        return isinstance(e, TryRequested) and e.head == self.head(i) and self.is_open(i)

    def has_conflict(self, at: int) -> bool:
        """Whether the present head is known not to merge."""
        for i in reversed(range(at)):
            e = self.events[i]
            if isinstance(e, Conflicted) and e.head == self.head(i):
                return True
            moved = isinstance(e, HeadMoved) and e.new != self.head(i)
            if moved or isinstance(e, TargetChanged):
                return False
            if i in self.starts and self._start(i).kind is Kind.AUTO:
                return False
        return False

    @property
    def status(self) -> str:
        """The word that is shown, from a list of questions in order."""
        now = len(self.events)
        if any(isinstance(e, Landed) for e in self.events):
            return "landed"
        if not self.is_open(now):
            return "closed"
        approved = self.approval(now) is not None
        auto, tried = self.current(Kind.AUTO, now), self.current(Kind.TRY, now)
        auto_is = self.outcome(auto, now) if auto else "none"
        try_is = self.outcome(tried, now) if tried else "none"
        words = [
            (auto_is is None, "testing"),
            (auto_is is RunOutcome.PASSED and approved, "ready"),
            (auto_is is RunOutcome.FAILED, "failed"),
            (auto_is is RunOutcome.ERRORED, "errored"),
            (auto_is is RunOutcome.TIMED_OUT, "timed-out"),
            (approved and self.has_conflict(now), "conflict"),
            (approved, "approved"),
            (self.wants_try(now) or try_is is None, "trying"),
            (try_is is RunOutcome.PASSED, "try passed"),
            (try_is is RunOutcome.FAILED, "try failed"),
            (try_is is RunOutcome.ERRORED, "try errored"),
            (try_is is RunOutcome.TIMED_OUT, "try timed-out"),
            (self.is_draft(now), "draft"),
        ]
        return next((word for holds, word in words if holds), "open")

    def all(self) -> dict[str, object]:
        """All facts, by the names the tests compare them under."""
        if not self.events:
            return {"opened": False, "events": self.count}
        now = len(self.events)
        runs = [self._start(i).run for i in self.starts]
        return {
            "opened": True,
            "events": self.count,
            "head": self.head(now),
            "target": self.target(now),
            "draft": self.is_draft(now),
            "approval": self.approval(now),
            "status": self.status,
            "priority": self._last(now, lambda e: e.priority, Prioritized, default=0),
            "rollup": self._last(now, lambda e: e.mode.value, RollupSet, default="maybe"),
            "delegates": self._delegates(now),
            "title": self._title(now),
            "heads": list(dict.fromkeys(self.head(i + 1) for i in range(now))),
            "runs": [(run, self.outcome(run, now), self.is_retired(run, now)) for run in runs],
            "jobs": [self._jobs(run) for run in runs],
            "wants try": self.wants_try(now),
            "comments": self._comments(),
            "landed": next((e.new for e in self.events if isinstance(e, Landed)), ""),
        }

    def _delegates(self, now: int) -> dict[str, str]:
        cut = max((i for i in range(now) if isinstance(self.events[i], Undelegated)), default=-1)
        return {e.to: e.level.value for e in self.events[cut + 1 :] if isinstance(e, Delegated)}

    def _title(self, now: int) -> object:
        said = [e.title for e in self.events if isinstance(e, Retitled)]
        pushed = [
            e.title
            for i, e in enumerate(self.events[:now])
            if isinstance(e, Opened) or (isinstance(e, HeadMoved) and e.new != self.head(i))
        ]
        return said[-1] if said else pushed[-1]

    def _jobs(self, run: str) -> list[tuple[str, str, str]]:
        begin = next(i for i in self.starts if self._start(i).run == run)
        found: dict[tuple[str, str], str] = {}
        for e in self.events[begin:]:
            if isinstance(e, JobEnded) and e.run == run:
                found.setdefault((e.test, e.commit), e.outcome.value)
        return [(*which, outcome) for which, outcome in found.items()]

    def _comments(self) -> list[str]:
        found, keys = [], set()
        for e in self.events:
            if isinstance(e, Commented):
                found.append(e.text)
            elif isinstance(e, Notice) and e.key not in keys:
                keys.add(e.key)
                found.append(e.text)
        return found

    def _member(self, start: RunStarted) -> str:
        return next((each.head for each in start.members if each.change == self.number), "")

    def _start(self, i: int) -> RunStarted:
        event = self.events[i]
        assert isinstance(event, RunStarted)
        return event

    def _last(
        self, at: int, ask: Callable[[Any], object], *kinds: type[AnyEvent], default: object = None
    ) -> Any:  # noqa: ANN401 - what a field of any event may be
        return next((ask(e) for e in reversed(self.events[:at]) if isinstance(e, kinds)), default)
