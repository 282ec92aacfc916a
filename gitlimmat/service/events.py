"""What a run tells the surface that shows it.

Layer: service. Records only; the surface decides how they look.
"""

from __future__ import annotations

import msgspec

from gitlimmat.model import Outcome, Result
from gitlimmat.plan.cases import Case


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The run is about to start: how many cases there are, how many are known, how many jobs are needed."""

    commits: int
    cases: int
    known: int


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A job has started on `case`."""

    case: Case


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A case has an outcome.

    `result` is what is stored about it, None when nothing is: the job never started, or was not recorded.
    `known` is true when no job ran for it now.
    """

    case: Case
    outcome: Outcome
    reason: str
    known: bool
    result: Result | None = None


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """The run was told to stop. `running` are the cases whose jobs are still being ended."""

    running: tuple[Case, ...]
    forced: bool


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The run is over. `elapsed` is seconds. All that was reported before is stored."""

    elapsed: float
    interrupted: bool


Event = Planned | Started | Ended | Stopping | Finished
