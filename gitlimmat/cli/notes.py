"""`git limmat notes`.

Layer: cli.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import Printer, stdout_printer
from gitlimmat.errors import UsageError
from gitlimmat.git.colors import Slot
from gitlimmat.git.revision import abbreviations
from gitlimmat.model import counted
from gitlimmat.service.notes import Rebuilt, check_notes, rebuild_notes
from gitlimmat.service.project import ConfigUse, Project, open_project
from gitlimmat.service.request import Request

_OUT_OF_STEP = 1
_NOT_WRITTEN = 128


def command(
    options: Request,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make all notes anew.")] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", "-n", help="With --rebuild: only show what would be changed.")
    ] = False,
) -> int:
    """Compare the notes that 'git log' shows with the results.

    Nothing is written, unless '--rebuild' asks for it. Notes of somebody else are left alone.
    """
    if dry and not rebuild:
        raise UsageError("option '--dry-run' needs '--rebuild'")
    project = open_project(options, warn, config=ConfigUse.NONE)
    printer = stdout_printer(project.color, project.palette)
    if project.store.notes_ref is None:
        sys.stderr.write("no notes are wanted: limmat.notesRef is off\n")
        return 0
    if rebuild:
        return _rebuild(project, printer, dry=dry)
    return _compare(project, printer)


def _compare(project: Project, printer: Printer) -> int:
    state = check_notes(project)
    _tell_foreign(project, state.foreign)
    where = f"in '{project.store.notes_ref}'"
    if not state.stale:
        printer.line(f"{counted(state.total - state.foreign, 'note')} {where}, as the results are")
        return 0
    _name(project, printer, "out of step", Slot.PROBLEM, [commit.id for commit in state.stale])
    printer.line(f"{counted(len(state.stale), 'note')} {where} not as the results are")
    sys.stderr.write("hint: git limmat notes --rebuild\n")
    return _OUT_OF_STEP


def _rebuild(project: Project, printer: Printer, *, dry: bool) -> int:
    rebuilt = rebuild_notes(project, dry_run=dry)
    _tell_foreign(project, rebuilt.foreign)
    if dry:
        _name(project, printer, "would write", Slot.HASH, rebuilt.written)
        _name(project, printer, "would remove", Slot.HASH, rebuilt.removed)
    if not rebuilt.done:
        return _NOT_WRITTEN
    printer.line(_summary(rebuilt, project.store.notes_ref or "", dry=dry))
    return 0


def _summary(rebuilt: Rebuilt, ref: str, *, dry: bool) -> str:
    if not rebuilt.written and not rebuilt.removed:
        return f"{counted(rebuilt.total, 'note')} in '{ref}', all as the results are"
    verbs = ("would write", "remove") if dry else ("wrote", "removed")
    written, removed = len(rebuilt.written), len(rebuilt.removed)
    return f"{verbs[0]} {counted(written, 'note')} and {verbs[1]} {removed} in '{ref}'"


def _name(project: Project, printer: Printer, verb: str, slot: Slot, ids: Sequence[str]) -> None:
    short = abbreviations(project.repository, ids)
    for oid in ids:
        printer.line(f"{verb} {printer.paint(short[oid], slot)}")


def _tell_foreign(project: Project, count: int) -> None:
    if count:
        warn(f"{counted(count, 'note')} in '{project.store.notes_ref}' from somebody else, left alone")
