"""`git limmat queue follow`.

Layer: cli.
"""

from __future__ import annotations

import time
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import Printer, stdout_printer
from gitlimmat.cli.queue_print import STATUS_SLOT
from gitlimmat.model import counted
from gitlimmat.queue.phrase import one_line
from gitlimmat.service.project import open_server
from gitlimmat.service.queue.follow import Follower, News, follow
from gitlimmat.service.request import Request


def command(
    options: Request,
    remote: Annotated[str | None, typer.Argument(metavar="[<remote>]", help="A remote, or its URL.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    interval: Annotated[
        float,
        typer.Option("--interval", metavar="SECONDS", min=0.1, help="How long to wait between two looks."),
    ] = 10.0,
) -> int:
    """Tell what happens in the queue of another repository, without a part in it.

    Its timelines are fetched to refs/limmat/remotes/<remote>/queue/ and folded here. The first time, it lists
    the changes that are open; later, each event that is new. Without <remote> it is origin, or the only
    remote there is.
    """
    project = open_server(options, warn)
    printer = stdout_printer(project.color, project.palette)
    teller = _Teller(printer)
    follower = Follower(project.repository, remote)
    if once:
        teller.tell(follower.look())
        return 0
    follow(follower, teller.tell, warn, interval)
    return 0


class _Teller:
    """Prints news, and each damage once."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._warned: set[str] = set()

    def tell(self, news: News) -> None:
        """Print what is new."""
        for number, fault in sorted(news.loaded.damaged.items()):
            if fault not in self._warned:
                self._warned.add(fault)
                warn(f"change {number} cannot be read: {fault}")
        for changed in news.rewritten:
            warn(f"the timeline of {'the queue' if changed is None else f'change {changed}'} was rewritten")
        if news.is_first:
            self._list(news)
        for each in news.told:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.at))
            who = "queue" if each.change is None else f"#{each.change}"
            self._printer.line(f"{when} {who} {each.text}")
        self._printer.stream.flush()

    def _list(self, news: News) -> None:
        for change in news.open_changes:
            status = self._printer.paint(change.status.value, STATUS_SLOT[change.status])
            self._printer.line(f"#{change.id} {status}  {one_line(change.title)}")
        total = counted(len(news.loaded.changes), "change")
        count = f"{total}, {len(news.open_changes)} of them open"
        self._printer.line(
            count if news.loaded.changes or news.loaded.damaged else "no change has been opened there yet"
        )
