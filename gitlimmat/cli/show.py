"""`git limmat show`.

Layer: cli.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import Printer, age, stdout_printer
from gitlimmat.errors import UsageError
from gitlimmat.git.colors import Slot
from gitlimmat.model import Outcome, duration, size
from gitlimmat.service.project import ConfigUse, Project, open_project
from gitlimmat.service.quickfix import path_from, quickfix
from gitlimmat.service.request import Request
from gitlimmat.service.show import Shown, read_output, show

_EDGE_LINES = 5


def command(
    options: Request,
    revision: Annotated[
        str, typer.Argument(metavar="[<rev>]", help="The commit.", show_default=False)
    ] = "HEAD",
    name: Annotated[str | None, typer.Argument(metavar="[<test>]", help="Only this test.")] = None,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            show_default=False,
            help="Show the ends of the output; twice: all of it.",
        ),
    ] = 0,
    history: Annotated[
        bool, typer.Option("--all", "-a", help="Show each stored result, not just the newest.")
    ] = False,
    places: Annotated[
        bool, typer.Option("--quickfix", "-q", help="Show the places in files that failed tests have named.")
    ] = False,
) -> int:
    """Show all that is stored about a commit.

    That is, for each test: outcome, reason, times, definition, output and artifacts.
    """
    project = open_project(options, warn, config=ConfigUse.OPTIONAL)
    if places:
        if history or verbose:
            raise UsageError("--quickfix cannot be used with --all or --verbose")
        return _print_places(project, revision, name)
    printer = stdout_printer(project.color, project.palette)
    commit, title, shown = show(project, revision, name, history=history)
    printer.line(f"{printer.paint(commit.id, Slot.HASH)} {title}")
    for entry in shown:
        printer.line("")
        _print_entry(printer, entry, commit.id, time.time())
        if entry.result is not None and verbose:
            for stream, stored in entry.result.outputs.items():
                if not stored.size:
                    continue
                printer.line(f"  {stream}:")
                printer.stream.flush()
                _print_output(read_output(project, stored.oid), whole=verbose > 1)
    return 0


def _print_places(project: Project, revision: str, name: str | None) -> int:
    here = Path.cwd()
    for each in quickfix(project, revision, name):
        place = f"{path_from(project, each.path, here)}:{each.line}:{each.column}: {each.text}\n"
        sys.stdout.buffer.write(place.encode(errors="surrogateescape"))
    return 0


def _print_entry(printer: Printer, entry: Shown, commit: str, now: float) -> None:
    result = entry.result
    if result is None:
        printer.line(f"{entry.test}  {'no result' if entry.configured else 'not configured'}")
        return
    reason = f" ({result.reason})" if result.reason and result.outcome is not Outcome.CANCELLED else ""
    printer.line(f"{entry.test}  {printer.outcome(result.outcome)}{reason}")
    for label, text in _facts(entry, commit, now):
        first, *rest = text.splitlines() or [""]
        printer.line(f"  {label + ':':<12}{first}")
        for line in rest:
            printer.line(f"  {'':<12}{line}")


def _facts(entry: Shown, commit: str, now: float) -> Iterator[tuple[str, str]]:
    result = entry.result
    assert result is not None
    if not entry.configured:
        yield "note", "this test is not configured now"
    elif entry.stale:
        yield "note", "made with another definition of this test; it does not count any more"
    elif not result.reusable:
        yield "note", "only shown; the next run tests this commit again"
    if result.commit != commit:
        yield "known from", f"{result.commit}, which has the same tree"
    when = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(result.started))
    yield "started", f"{when} ({age(now - result.started)})"
    yield "took", duration(result.elapsed) + (f", attempt {result.attempts}" if result.attempts > 1 else "")
    if result.host:
        yield "host", f"{result.host}, git-limmat {result.version}"
    yield "command", entry.command
    yield "definition", result.digest
    for stream, stored in result.outputs.items():
        yield stream, f"{size(stored.size)}, blob {stored.oid[:10]}"
    if result.artifacts is not None:
        told = f"{size(result.artifacts.size)}, tree {result.artifacts.oid[:10]}"
        yield "artifacts", "\n".join((told, *entry.artifacts))
    for text in result.dropped:
        yield "not kept", text


def _print_output(data: bytes, *, whole: bool) -> None:
    """Write output as it is, or its first and last lines with the number of those between."""
    lines = data.splitlines(keepends=True)
    hidden = len(lines) - 2 * _EDGE_LINES
    out = sys.stdout.buffer
    if whole or hidden <= 1:
        out.write(data)
    else:
        out.write(b"".join(lines[:_EDGE_LINES]))
        out.write(f"… {hidden} lines …\n".encode())
        out.write(b"".join(lines[-_EDGE_LINES:]))
    if data and not data.endswith(b"\n"):
        out.write(b"\n")
    out.flush()
