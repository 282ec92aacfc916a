"""Show what there is of a queue: a pager as git has it, colors, and words of others without controls.

Layer: cli.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from gitlimmat.cli.output import Printer, stdout_printer
from gitlimmat.cli.pager import find_pager
from gitlimmat.cli.queue_words import UNSERVED, hint
from gitlimmat.git.colors import Slot
from gitlimmat.queue.phrase import because, branch
from gitlimmat.queue.state import Change, Status
from gitlimmat.service.project import Project
from gitlimmat.service.queue.view import QueueView, lacks_server

STATUS_SLOT = {
    Status.LANDED: Slot.PASSED,
    Status.CLOSED: Slot.SKIPPED,
    Status.DRAFT: Slot.SKIPPED,
    Status.TESTING: Slot.RUNNING,
    Status.READY: Slot.PASSED,
    Status.FAILED: Slot.FAILED,
    Status.ERRORED: Slot.ERRORED,
    Status.TIMED_OUT: Slot.ERRORED,
    Status.CONFLICT: Slot.PROBLEM,
    Status.APPROVED: Slot.WAITING,
    Status.TRYING: Slot.RUNNING,
    Status.TRY_PASSED: Slot.PASSED,
    Status.TRY_FAILED: Slot.FAILED,
    Status.TRY_ERRORED: Slot.ERRORED,
    Status.TRY_TIMED_OUT: Slot.ERRORED,
    Status.OPEN: Slot.UNKNOWN,
}


@contextmanager
def paged(project: Project) -> Iterator[Printer]:
    """Yield a printer into the pager that git would use (`pager.limmat-queue`), or to standard output."""
    printer = stdout_printer(project.color, project.palette)
    pager = find_pager(project, "limmat-queue")
    if pager is None:
        yield printer
        return
    stream = io.TextIOWrapper(
        cast("BinaryIO", pager.start()), encoding="utf-8", errors="surrogateescape", write_through=True
    )
    try:
        yield Printer(stream, colored=printer.colored, palette=project.palette)
    finally:
        stream.detach()
        pager.close()


def closing_lines(view: QueueView) -> list[str]:
    """Return what keeps changes from being started, a line each."""
    queue = view.snapshot.queue
    lines = []
    if queue.paused is not None:
        lines.append(f"PAUSED by {plain(queue.paused.by)}{plain(because(queue.paused.reason))}")
    for target, closing in sorted(queue.closed.items()):
        which = f"TREE OF {branch(target)}" if target else "TREE"
        said = f"{which} CLOSED below priority {closing.below} by {closing.by}{because(closing.reason)}"
        lines.append(plain(said))
    return lines


def hint_of_server(project: Project, view: QueueView, changes: Iterable[Change], remote: str | None) -> None:
    """Say what is missing when one of these changes waits, and nobody serves the queue."""
    if remote is None and lacks_server(project.repository, view, [change.id for change in changes]):
        hint(UNSERVED)


def plain(text: str) -> str:
    """Return one line without anything that a terminal would act on."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
