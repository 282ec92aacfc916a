"""`git limmat queue show`, `explain` and `history`.

Layer: cli.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import Printer, age
from gitlimmat.cli.queue_print import STATUS_SLOT, hint_of_server, paged, plain
from gitlimmat.cli.queue_words import ChangeNumber, Remote, hint, number_of
from gitlimmat.errors import UsageError
from gitlimmat.git.colors import Slot
from gitlimmat.model import Outcome
from gitlimmat.queue.events import QUEUE, Unknown
from gitlimmat.queue.phrase import because, branch, short, span
from gitlimmat.queue.sentence import sentence
from gitlimmat.queue.state import Change, Run
from gitlimmat.service.project import Project, open_server
from gitlimmat.service.queue.output import failed_jobs, printed
from gitlimmat.service.queue.told import tell_change, tell_history
from gitlimmat.service.queue.view import Filter, QueueView, list_changes, open_view
from gitlimmat.service.request import Request
from gitlimmat.store.timeline import Entry

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_Optional = Annotated[
    str | None, typer.Argument(metavar="[<change>]", help="The change.", show_default=False)
]
_COLOR = re.compile(r"\x1b\[[0-9;:]*[mK]")
_OUTCOME_SLOT = {
    "passed": Slot.PASSED,
    "failed": Slot.FAILED,
    "errored": Slot.ERRORED,
    "timed-out": Slot.ERRORED,
    "cancelled": Slot.CANCELLED,
    "superseded": Slot.SKIPPED,
}


def show(
    options: Request,
    change: ChangeNumber,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the ends of what failed tests have printed, too.")
    ] = False,
    json: _Json = False,
    remote: Remote = None,
) -> int:
    """Show all that is known of a change: its state, its runs with their jobs, and what was said."""
    if verbose and json:
        raise UsageError("--verbose cannot be used with --json")
    number = number_of(change)
    project, view = _open(options, remote)
    found = view.change(number)
    with paged(project) as printer:
        if json:
            printer.line(_json(tell_change(view, found)))
        else:
            _print_change(printer, view, found)
        if verbose:
            _print_output(printer, project, found)
    if not json:
        hint_of_server(project, view, [found], remote)
        if failed_jobs(found) and not verbose:
            hint(f"'git limmat queue show {number} --verbose' shows what failed tests have printed")
    return 0


def explain(options: Request, change: _Optional = None, remote: Remote = None) -> int:
    """Say why a change is not landing, or that it has; without a number, of every open one."""
    number = number_of(change) if change is not None else None
    project, view = _open(options, remote)
    why = view.explanations()
    wanted = [view.change(number)] if number is not None else list_changes(view, Filter())
    with paged(project) as printer:
        for each in wanted:
            printer.line(_why(each, why))
    hint_of_server(project, view, wanted, remote)
    return 0


def history(options: Request, change: _Optional = None, json: _Json = False, remote: Remote = None) -> int:
    """Show what has happened to a change, newest first; without a number, to the queue itself."""
    number = number_of(change) if change is not None else None
    project, view = _open(options, remote)
    if number is not None:
        view.change(number)
    entries = view.entries(number)
    with paged(project) as printer:
        if json:
            printer.line(_json(tell_history(entries)))
            return 0
        for entry in reversed(entries):
            for line in _lines(printer, entry, view.now):
                printer.line(line)
    return 0


def _open(options: Request, remote: str | None) -> tuple[Project, QueueView]:
    project = open_server(options, warn)
    return project, open_view(project.repository, warn, time.time(), remote)


def _json(record: msgspec.Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(record), indent=2).decode()


def _lines(printer: Printer, entry: Entry, now: float) -> Iterator[str]:
    """Return the lines of a commit of a timeline, its last event first."""
    for event in reversed(entry.events):
        commit = printer.paint(short(entry.oid), Slot.HASH)
        if isinstance(event, Unknown):
            yield f"{commit} {sentence(event)}"
            continue
        via = f" ({event.via})" if event.actor != QUEUE else ""
        yield f"{commit} {age(now - event.at)}{plain(via)}: {plain(sentence(event))}"


def _why(change: Change, why: dict[int, str]) -> str:
    return plain(f"change {change.id} {why[change.id]}")


def _print_change(printer: Printer, view: QueueView, change: Change) -> None:
    status = printer.paint(change.status.value, STATUS_SLOT[change.status])
    printer.line(f"{printer.paint(f'change {change.id}', Slot.HASH)}  {status}")
    for label, text in _facts(change, view.now):
        printer.line(f"{label + ':':<11}{plain(text)}")
    printer.line("")
    for text in (change.title, *change.body.strip().splitlines()):
        printer.line(f"    {plain(text)}".rstrip() if text else "")
        if text is change.title and change.body.strip():
            printer.line("")
    printer.line("")
    printer.line(_why(change, view.explanations()))
    for run in reversed(change.runs):
        printer.line("")
        _print_run(printer, run, view.now)
    for said in change.comments:
        printer.line("")
        printer.line(f"{plain(said.actor)}, {age(view.now - said.at)}:")
        for line in said.text.splitlines():
            printer.line(f"    {plain(line)}".rstrip())


def _print_output(printer: Printer, project: Project, change: Change) -> None:
    """Print the ends of what the failed tests of the newest run that has any have printed."""
    for job in failed_jobs(change):
        streams = printed(project, job)
        about = f"{short(job.commit)}  {plain(job.test)}"
        printer.line("")
        if not streams:
            printer.line(f"{about} has printed nothing, or it is not stored here")
        for each in streams:
            printer.line(f"{about}, {'the end of ' if each.is_cut else ''}{plain(each.stream)}:")
            for line in each.lines:
                printer.line(f"    {plain(_COLOR.sub('', line).expandtabs())}".rstrip())


def _facts(change: Change, now: float) -> Iterator[tuple[str, str]]:
    yield "Author", change.author
    yield "Target", branch(change.target) + (f" (topic {change.topic})" if change.topic else "")
    yield "Head", change.head
    yield "Opened", age(now - change.opened)
    approval = change.approval
    if approval is not None:
        through = f", said by {approval.actor}" if approval.actor != approval.by else ""
        repair = ", with its own tests" if approval.repair else ""
        yield "Approved", f"by {approval.by}{through}, {age(now - approval.at)}{repair}"
    yield "Priority", str(change.priority)
    yield "Rollup", change.rollup + (f" ({change.rollup_note})" if change.rollup_note else "")
    if change.delegates:
        yield "Delegates", ", ".join(f"{name} ({level})" for name, level in sorted(change.delegates.items()))
    if change.landed_as:
        yield "Landed", change.landed_as


def _print_run(printer: Printer, run: Run, now: float) -> None:
    if run.outcome is None:
        state = printer.paint("running", Slot.RUNNING) + f" ({span(now - run.started)})"
    else:
        took = f" ({span(run.ended - run.started)})" if run.ended is not None else ""
        state = printer.paint(run.outcome.value, _OUTCOME_SLOT[run.outcome.value]) + took
    retired = ", does not count any more" if run.is_retired else ""
    printer.line(f"{run.kind} run {plain(run.run)}  {state}{retired}{plain(because(run.reason))}")
    members = ", ".join(f"#{member.change} at {short(member.head)}" for member in run.members)
    printer.line(f"  merge {short(run.merge)} of {plain(members)} with {short(run.base)}")
    for job in run.jobs:
        reason = f" ({plain(job.reason)})" if job.reason and job.outcome is not Outcome.PASSED else ""
        how = "known" if job.known else span(job.elapsed)
        how += f" from {plain(job.by)}" if job.by else ""
        printer.line(
            f"  {short(job.commit)}  {plain(job.test)}  {printer.outcome(job.outcome)}{reason}  {how}"
        )
