"""What a run tells the surface that shows it.

Layer: service. Records only; the surface decides how they look.
"""

from __future__ import annotations

from pathlib import Path

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

    `result` is what is known about it, None when the job never started. `known` is true when no job ran for
    it now. `unsaved` are the files with its output, or their content, when that is not stored.
    """

    case: Case
    outcome: Outcome
    reason: str
    known: bool
    result: Result | None = None
    unsaved: tuple[Path | bytes, ...] = ()


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """The run ends early. `running` are the cases whose jobs are still being ended.

    `forced` means that they are killed, `after_failure` that nobody asked but `fail_fast`.
    """

    running: tuple[Case, ...]
    forced: bool = False
    after_failure: bool = False


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The run is over. `elapsed` is seconds. All that was reported before is stored."""

    elapsed: float
    interrupted: bool


Event = Planned | Started | Ended | Stopping | Finished
