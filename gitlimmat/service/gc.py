"""Drop stored results by limits, and tidy up what can be made again.

Layer: service.
"""

from __future__ import annotations

import time

import msgspec

from gitlimmat.config.values import parse_int
from gitlimmat.errors import UsageError
from gitlimmat.service.notes import refresh_changed
from gitlimmat.service.project import Project
from gitlimmat.service.prompt import clear_prompt
from gitlimmat.store.gc import Limits, Removal, collect_garbage, reachable_subjects

_DAY = 86400.0
_DIGITS = 9
_UNITS = {"s": 1.0, "h": 3600.0, "d": _DAY, "w": 7 * _DAY, "m": 30 * _DAY, "y": 365 * _DAY}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants to keep, as given on the command line; None means no limit."""

    size: str | None = None
    age: str | None = None
    count: int | None = None
    unreachable: bool = False


def collect(project: Project, wanted: Wanted, *, dry_run: bool) -> Removal:
    """Remove what is beyond the limits, oldest first; results in use stay.

    Raises: UsageError for a limit that cannot be read, StoreError when nothing could be removed.
    """
    limits = Limits(
        size=None if wanted.size is None else _size(wanted.size),
        since=None if wanted.age is None else time.time() - _age(wanted.age),
        count=wanted.count,
        subjects=reachable_subjects(project.store) if wanted.unreachable else None,
    )
    removal = collect_garbage(project.store, limits, project.locks, dry_run=dry_run)
    if not dry_run:
        project.cache.evict()
        refresh_changed(project, {each.subject for each in removal.removed})
        if removal.removed:
            clear_prompt(project.repository)
    return removal


def _size(text: str) -> int:
    try:
        number = parse_int(text.upper().removesuffix("IB").removesuffix("B").lower() or text, limit=1 << 62)
    except ValueError as error:
        raise UsageError(f"bad size '{text}' for '--size': {error}", hint="such as 500m or 10g") from error
    if number < 0:
        raise UsageError(f"bad size '{text}' for '--size': it is negative")
    return number


def _age(text: str) -> float:
    """Return seconds: a number of days, or one with a unit."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "d")
    if not number.isdecimal() or len(number) > _DIGITS:
        raise UsageError(
            f"bad age '{text}' for '--age'", hint="a number and s, h, d, w, m or y, such as 12h or 90d"
        )
    return int(number) * _UNITS[unit]
