"""`git limmat log`.

Layer: cli.
"""

from __future__ import annotations

import os
import sys
from typing import IO, Annotated

import msgspec
import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import Printer
from gitlimmat.cli.pager import Pager, find_pager
from gitlimmat.config.colorbool import has_colors
from gitlimmat.git.log import Annotator, Shown, other_notes, plan_log, read_log, said_color, start_log
from gitlimmat.service.logview import LogView
from gitlimmat.service.project import ConfigUse, Project, open_project
from gitlimmat.service.request import Request


def command(
    options: Request,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[<option>]... [<rev>|<range>]... [[--] <path>...]", help="As for 'git log'."),
    ] = None,
) -> int:
    """Show the log of git with the results of each commit.

    Everything after 'log' is for 'git log'; options of 'git limmat' itself go before it. In '--format',
    '%(limmat)' stands for all results and '%(limmat:TEST)' for the outcome of one test.
    """
    project = open_project(options, warn, config=ConfigUse.OPTIONAL)
    words = list(arguments or ())
    if options.color is not None:
        words.insert(0, f"--color={options.color}")
    pager = find_pager(project, "log")
    try:
        return _show(project, words, pager)
    finally:
        if pager is not None:
            pager.close()


def _show(project: Project, words: list[str], pager: Pager | None) -> int:
    """Pass on what git log says, with results in it; return its exit status."""
    call = plan_log(words, project.values)
    view = LogView(project, _printer(project, words, pager).outcome)
    annotator = Annotator(project.repository, call, view.render)
    shown = None if not sys.stdout.isatty() else Shown.TERMINAL if pager is None else Shown.PAGER
    notes = other_notes(project.repository, project.values, project.store.notes_ref)
    with start_log(project.repository, call, shown, notes=notes) as process:
        try:
            for chunk, is_error in read_log(process):
                if is_error:
                    _write(_errors(pager), chunk)
                else:
                    _write(_output(pager), annotator.feed(chunk))
            if rest := annotator.end():
                _write(_output(pager), rest)
        except BaseException:
            process.terminate()
            raise
        status = process.wait()
    return status if status >= 0 else 128 - status


def _output(pager: Pager | None) -> IO[bytes]:
    return sys.stdout.buffer if pager is None else pager.start()


def _errors(pager: Pager | None) -> IO[bytes]:
    """Return where errors of git log go: into the pager once that is there."""
    return sys.stderr.buffer if pager is None or pager.output is None else pager.output


def _write(out: IO[bytes], text: bytes) -> None:
    out.write(text)
    out.flush()


def _printer(project: Project, words: list[str], pager: Pager | None) -> Printer:
    """Return what knows our colors, which are there when those of git log are."""
    setting, asked = project.color, said_color(words)
    if asked is not None:
        setting = msgspec.structs.replace(setting, key="--color", value=asked)
    environment = dict(os.environ) | ({"GIT_PAGER_IN_USE": "1"} if pager is not None else {})
    terminal = sys.stdout.isatty() and pager is None
    colored = has_colors(setting, terminal=terminal, environment=environment)
    return Printer(sys.stdout, colored=colored, palette=project.palette)
