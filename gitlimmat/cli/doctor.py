"""`git limmat doctor`.

Layer: cli.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from gitlimmat.cli.output import Printer, stdout_printer
from gitlimmat.git.colors import Slot
from gitlimmat.service.diagnosis import Level
from gitlimmat.service.doctor import Report, colors, examine
from gitlimmat.service.request import Request

_SLOTS = {
    Level.OK: Slot.PASSED,
    Level.MENDED: Slot.SKIPPED,
    Level.WARNING: Slot.CANCELLED,
    Level.ERROR: Slot.PROBLEM,
}
_WIDTH = max(len(level) for level in Level)
_PROBLEMS = 1


def command(
    options: Request,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what may be mended.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Check that everything git limmat needs is sound.

    Programs, limits of the system, worktrees, locks, settings, results and notes are looked at. Without
    '--fix', nothing is written.
    """
    printer = stdout_printer(*colors(options))
    reports: list[Report] = []
    try:
        for report in examine(options, fix=fix):
            reports.append(report)
            if not json:
                _print(printer, report)
    finally:
        if json:
            document = {"version": 1, "checks": reports}
            printer.line(msgspec.json.format(msgspec.json.encode(document), indent=1).decode())
    return _PROBLEMS if any(report.level is Level.ERROR for report in reports) else 0


def _print(printer: Printer, report: Report) -> None:
    word = printer.paint(f"{report.level:<{_WIDTH}}", _SLOTS[report.level])
    first, *rest = _lines(f"{report.check} – {report.detail}")
    printer.line(f"{word}  {first}")
    hints = [f"hint: {line}" for line in _lines(report.hint or "")]
    for line in (*rest, *hints):
        printer.line(f"{'':{_WIDTH}}  {line}")
    printer.stream.flush()


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield "".join(character if character.isprintable() else "\ufffd" for character in line)
