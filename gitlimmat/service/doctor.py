"""Check that everything git limmat stands on is sound, and mend what may be mended.

Layer: service.

Without mending nothing is written. What is mended is only ever ours: leftovers, registrations of our
worktrees, lock files of our refs, results that lead to nothing, and notes, which are made anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from gitlimmat.config.colorbool import ColorSetting, has_colors, read_color
from gitlimmat.errors import ConfigError, LimmatError
from gitlimmat.git.colors import Palette
from gitlimmat.service import checks_machine, checks_repository, checks_store
from gitlimmat.service.diagnosis import Check, Finding, Level, Place, error
from gitlimmat.service.queue import checks as checks_queue
from gitlimmat.service.request import Request

_MEND = "git limmat doctor --fix mends this"
_OF_REPOSITORY = (
    *checks_machine.LIMITS,
    *checks_repository.CHECKS,
    *checks_store.CHECKS,
    *checks_queue.CHECKS,
)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the examination: what was looked at, how it is, and what to do about it."""

    check: str
    level: Level
    detail: str
    hint: str | None = None


def examine(request: Request, *, fix: bool) -> Iterator[Report]:
    """Yield a report for each thing looked at, as soon as it is known; with `fix`, mend between.

    Raises: LimmatError when there is no repository to look at; the machine has been reported on by then.
    """
    place = Place(request)
    yield from _examine(place, checks_machine.CHECKS, fix=False)
    place.find()
    yield from _examine(place, _OF_REPOSITORY, fix=fix)


def _examine(place: Place, checks: tuple[Check, ...], *, fix: bool) -> Iterator[Report]:
    """Yield the reports of some checks. A setting that keeps many from being made is named once."""
    told: set[str] = set()
    missed: dict[tuple[str, ...], list[str]] = {}
    for check in checks:
        try:
            for report in _reports(check, place, fix=fix):
                told.add(report.detail)
                yield report
        except ConfigError as problem:
            missed.setdefault(problem.faults or (problem.message,), []).append(check.name)
    for faults, names in missed.items():
        why = "" if told.issuperset(faults) else f": {'; '.join(faults)}"
        yield Report(
            check="config",
            level=Level.WARNING,
            detail=f"not checked: {', '.join(names)}{why}",
            hint="mend the settings, then run this again",
        )


def _reports(check: Check, place: Place, *, fix: bool) -> Iterator[Report]:
    """Yield the reports of a check. Raises: ConfigError when it needs settings that cannot be used."""
    found = _look(check, place)
    trouble: Finding | None = None
    if fix and check.mend is not None and any(finding.mendable for finding in found):
        try:
            for done in check.mend(place):
                yield Report(check=check.name, level=Level.MENDED, detail=done)
        except Exception as problem:  # whatever is broken, the other checks go on
            trouble = error(f"cannot mend: {_said(problem)}", _hint(problem))
        place.reopen()
        found = _look(check, place)
    for finding in (*found, *([trouble] if trouble is not None else [])):
        hint = finding.hint or (_MEND if finding.mendable and not fix else None)
        yield Report(check=check.name, level=finding.level, detail=finding.detail, hint=hint)


def _look(check: Check, place: Place) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check.look(place))
    except ConfigError:
        raise
    except Exception as problem:  # a check that fails is itself something to report
        found.append(error(f"cannot check: {_said(problem)}", _hint(problem)))
    return found


def _said(problem: Exception) -> str:
    if isinstance(problem, LimmatError):
        return problem.message
    if isinstance(problem, OSError) and problem.filename is not None:
        return f"'{problem.filename}': {problem.strerror or problem}"
    text = " ".join(str(problem).split())
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


def _hint(problem: Exception) -> str | None:
    return problem.hint if isinstance(problem, LimmatError) else None


def colors(request: Request) -> tuple[ColorSetting, Palette | None]:
    """Return what git says on whether there are colors and which; the defaults where it cannot be asked.

    Nor can it where the setting is wrong, which a check tells.
    """
    try:
        project = Place(request).project
        has_colors(project.color, terminal=True, environment=os.environ)
    except LimmatError:
        return read_color((), request.color), None
    return project.color, project.palette
