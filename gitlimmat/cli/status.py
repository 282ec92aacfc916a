"""`git limmat status`.

Layer: cli.
"""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import Printer, stdout_printer
from gitlimmat.errors import UsageError
from gitlimmat.git.colors import Slot
from gitlimmat.service.project import ConfigUse, open_project
from gitlimmat.service.request import Request
from gitlimmat.service.span import commits_of
from gitlimmat.service.status import Cell, Row, Status, read_status, status_schema

_UNKNOWN = "-"


def command(
    options: Request,
    revisions: Annotated[
        list[str] | None, typer.Argument(metavar="[<rev>|<range>]...", help="Commits to show.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    porcelain: Annotated[
        bool, typer.Option("--porcelain", help="Print a stable line for each commit and test.")
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of --json.")] = False,
    include_base: Annotated[bool, typer.Option("--include-base", help="Show the base, too.")] = False,
) -> int:
    """Show what is known about commits.

    Nothing is run. Without a revision the range is the one that 'git limmat run' would test.
    """
    if json and porcelain:
        raise UsageError("options '--json' and '--porcelain' cannot be used together")
    if schema:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(status_schema()), indent=2).decode() + "\n")
        return 0
    project = open_project(options, warn, config=ConfigUse.OPTIONAL)
    commits = commits_of(project, tuple(revisions or ()), include_base=include_base)
    status = read_status(project, commits)
    printer = stdout_printer(project.color, project.palette)
    if json:
        printer.line(msgspec.json.format(msgspec.json.encode(status), indent=1).decode())
    elif porcelain:
        _print_porcelain(printer, status)
    else:
        _print_table(printer, status)
    return 0


def _print_porcelain(printer: Printer, status: Status) -> None:
    for row in status.commits:
        for test, cell in row.results.items():
            printer.line("\t".join((row.id, test, *_porcelain(cell))))


def _porcelain(cell: Cell | None) -> tuple[str, ...]:
    """Return outcome, exit status, signal, start and elapsed time, and commit that was run."""
    if cell is None:
        return ("unknown", _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN)
    status = _UNKNOWN if cell.exit_status is None else str(cell.exit_status)
    signal = _UNKNOWN if cell.signal is None else str(cell.signal)
    return (cell.outcome.value, status, signal, f"{cell.started:.3f}", f"{cell.elapsed:.3f}", cell.commit)


def _print_table(printer: Printer, status: Status) -> None:
    if not status.commits:
        sys.stderr.write("no commits in this range\n")
        return
    widths = {test: max(len(test), len("cancelled")) for test in status.tests}
    left = max(len(row.abbreviated) for row in status.commits)
    header = "  ".join(test.ljust(width) for test, width in widths.items())
    printer.line(f"{'':{left}}  {header}".rstrip())
    for row in status.commits:
        printer.line(_table_line(printer, row, left, widths))


def _table_line(printer: Printer, row: Row, left: int, widths: dict[str, int]) -> str:
    cells = []
    for test, cell in row.results.items():
        word = _UNKNOWN if cell is None else cell.outcome.value
        padding = " " * (widths[test] - len(word))
        cells.append((word if cell is None else printer.outcome(cell.outcome)) + padding)
    short = printer.paint(row.abbreviated.ljust(left), Slot.HASH)
    return f"{short}  {'  '.join(cells)}  {printer.paint(row.subject, Slot.SUBJECT)}"
