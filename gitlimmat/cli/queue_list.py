"""`git limmat queue list` and `git limmat queue info`.

Layer: cli.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import Printer
from gitlimmat.cli.queue_print import STATUS_SLOT, closing_lines, hint_of_server, paged, plain
from gitlimmat.cli.queue_words import Remote, number_of
from gitlimmat.errors import UsageError
from gitlimmat.git.colors import Slot
from gitlimmat.model import counted, duration
from gitlimmat.queue.estimate import estimate
from gitlimmat.queue.phrase import branch
from gitlimmat.queue.state import Change, Status
from gitlimmat.service.project import open_server
from gitlimmat.service.queue.told import tell_queue, totals
from gitlimmat.service.queue.view import Filter, QueueView, list_changes, open_view
from gitlimmat.service.request import Request

_NONE = 1


def list_(
    options: Request,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATUS", help="Only those that are so (repeatable)."),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", metavar="BRANCH", help="Only those for it (repeatable).")
    ] = None,
    author: Annotated[
        list[str] | None, typer.Option("--author", metavar="NAME", help="Only those of NAME (repeatable).")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", "-a", help="Also those that landed or were closed.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    remote: Remote = None,
) -> int:
    """List the changes of the queue, in the order in which it takes them."""
    wanted = Filter(
        statuses=tuple(map(_status, status or ())),
        targets=tuple(name.removeprefix("refs/heads/") for name in target or ()),
        authors=tuple(author or ()),
        every=every,
    )
    project = open_server(options, warn)
    view = open_view(project.repository, warn, time.time(), remote)
    _check_targets(view, wanted.targets)
    changes = list_changes(view, wanted)
    with paged(project) as printer:
        if json:
            printer.line(
                msgspec.json.format(msgspec.json.encode(tell_queue(view, changes)), indent=2).decode()
            )
            return 0
        for line in closing_lines(view):
            printer.line(printer.paint(line, Slot.PROBLEM))
        _warn_of_damage(view)
        _print(printer, changes)
    return 0 if changes else _NONE


def info(
    options: Request,
    change: Annotated[
        str | None, typer.Argument(metavar="[<change>]", help="The change; the queue, if not given.")
    ] = None,
    remote: Remote = None,
) -> int:
    """Say in a line how a change stands, or the whole queue."""
    number = number_of(change) if change is not None else None
    project = open_server(options, warn)
    view = open_view(project.repository, warn, time.time(), remote)
    with paged(project) as printer:
        if number is not None:
            _print(printer, [view.change(number)])
            return 0
        counts = totals(view)
        parts = [f"{count} {name}" for name, count in counts.items() if name != "open"]
        printer.line(f"{counted(counts['open'], 'change')} open" + (f": {', '.join(parts)}" if parts else ""))
        for line in closing_lines(view):
            printer.line(line)
        _warn_of_damage(view)
        if view.snapshot.queue.paused is None:
            _print_estimate(printer, estimate(view.snapshot, view.rules, view.now))
    hint_of_server(project, view, list_changes(view, Filter()), remote)
    return 0


def _print_estimate(printer: Printer, left: float | None) -> None:
    """Say when the queue will be empty, to whole seconds: it is a guess."""
    if left is None:
        printer.line("nobody knows yet how long a run takes")
    elif left:
        printer.line(f"about {duration(math.ceil(left))} until all that is approved has been tested")


def _status(word: str) -> Status:
    """Return a status; blanks in it may be written as dashes."""
    words = {status.value.replace(" ", "-"): status for status in Status}
    found = words.get(word.replace(" ", "-").lower())
    if found is None:
        raise UsageError(f"'{word}' is no status", hint=f"it is one of {', '.join(words)}")
    return found


def _warn_of_damage(view: QueueView) -> None:
    for number, fault in sorted(view.loaded.damaged.items()):
        warn(f"change {number} cannot be read: {fault}")


def _check_targets(view: QueueView, names: Sequence[str]) -> None:
    """Refuse what no change can be for. A target that the queue has given up may still have some."""
    known = sorted({branch(each) for each in (*view.rules.targets, *view.targets)})
    for name in names:
        if name not in known:
            hint = f"it is one of {', '.join(known)}" if known else "no change has been opened yet"
            raise UsageError(f"'{name}' is no target of the queue", hint=hint)


def _print(printer: Printer, changes: Sequence[Change]) -> None:
    """Print a line a change, in columns."""
    rows = [
        (f"#{each.id}", each.status.value, branch(each.target), _marks(each), each.author) for each in changes
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    for change, row in zip(changes, rows, strict=True):
        cells = [plain(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = printer.paint(cells[0], Slot.HASH)
        cells[1] = printer.paint(cells[1], STATUS_SLOT[change.status])
        cells[2] = printer.paint(cells[2], Slot.REFS)
        printer.line(
            "  ".join(
                [*(cell for cell, width in zip(cells, widths, strict=True) if width), plain(change.title)]
            )
        )


def _marks(change: Change) -> str:
    """Return what is unusual about where a change stands."""
    marks = [f"p={change.priority}"] if change.priority else []
    if change.rollup != "maybe":
        marks.append(f"rollup={change.rollup}")
    return " ".join(marks)
