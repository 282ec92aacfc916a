"""`git limmat watch`.

Layer: cli.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.options import Execute, Hostname, HttpSockaddr, IncludeBase, Jobs
from gitlimmat.cli.output import stdout_printer, wants_color
from gitlimmat.cli.plain import PlainLines
from gitlimmat.service.logfile import Log, open_log
from gitlimmat.service.notice import Notices
from gitlimmat.service.project import Project, open_project
from gitlimmat.service.request import Request
from gitlimmat.service.sharing import open_sharing
from gitlimmat.service.watch import Surface, Watch, run_watch
from gitlimmat.service.watched import WatchRequest

if TYPE_CHECKING:
    from gitlimmat.web.pages import Pages


def command(
    options: Request,
    base: Annotated[
        str | None, typer.Argument(metavar="[<base>]", help="Test the commits after this one.")
    ] = None,
    execute: Execute = None,
    jobs: Jobs = None,
    include_base: IncludeBase = False,
    plain: Annotated[bool, typer.Option("--plain", help="Append lines, also on a terminal.")] = False,
    notify: Annotated[
        str | None,
        typer.Option("--notify", metavar="[=COMMAND]", help="Notify the desktop, or run COMMAND."),
    ] = None,
    no_http: Annotated[bool, typer.Option("--no-http", help="Serve no pages.")] = False,
    http_sockaddr: HttpSockaddr = None,
    hostname: Hostname = None,
) -> int:
    """Test new commits as they are written, and show it live.

    The commits are those from the base to HEAD, whatever HEAD is at the moment. Without a base it is found as
    'git limmat run' finds it.
    """
    options = options.running(jobs=jobs, commands=tuple(execute or ())).notifying(notify)
    options = options.serving(http_sockaddr=http_sockaddr, hostname=hostname)
    talk = _Talk()
    projects = [open_project(each, talk) for each in options.each()]
    log = open_log("watch", projects[0].repository.name, warn)
    request = WatchRequest(base=base, include_base=include_base)
    watch = Watch(projects, request, sharing=open_sharing(projects[0].settings, talk), log=log)
    surfaces: dict[str, Surface] = {}
    pages = None
    if not no_http:
        pages = _bind(watch, projects[0])
        surfaces["pages"] = pages.serve
    surfaces["notices"] = _notices(watch, projects[0], pages, log, talk).run
    if plain or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        lines = PlainLines(watch, pages, stdout_printer(projects[0].color, projects[0].palette))
        surfaces["lines"] = lines.serve
    else:
        surfaces["screen"] = _screen(watch, projects[0], pages)
    talk.to_boards(watch)
    run_watch(watch, surfaces, log)
    return 0


class _Talk:
    """Warnings: lines on standard error until something is shown, then on the boards and in the log."""

    def __init__(self) -> None:
        self._watch: Watch | None = None

    def __call__(self, message: str) -> None:
        if self._watch is None:
            warn(message)
        else:
            self._watch.warn(message)

    def to_boards(self, watch: Watch) -> None:
        """Show warnings there from now on."""
        self._watch = watch


def _bind(watch: Watch, project: Project) -> Pages:
    """Take the address before anything starts."""
    from gitlimmat.web.pages import Pages, parse_address

    pages = Pages(watch.boards, read_only=False)
    pages.bind(parse_address(project.settings.http_sockaddr), project.settings.hostname)
    return pages


def _notices(watch: Watch, project: Project, pages: Pages | None, log: Log, talk: _Talk) -> Notices:
    return Notices(
        watch.boards,
        project.settings.notify,
        60.0 * project.settings.notify_idle,
        talk,
        log=log.part("notices"),
        link=pages.url_of if pages is not None else None,
    )


def _screen(watch: Watch, project: Project, pages: Pages | None) -> Surface:
    from gitlimmat.tui.show import Look, show_live

    look = Look(
        glyphs=project.settings.glyphs.value,
        colored=wants_color(project.color, sys.stdout),
        styles={slot.value: project.palette.color(slot).rich() for slot in project.palette.stated},
    )
    return lambda: show_live(watch, pages, look=look)
