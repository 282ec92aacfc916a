"""`git limmat web`.

Layer: cli.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.options import Hostname, HttpSockaddr
from gitlimmat.service.logfile import open_log
from gitlimmat.service.project import ConfigUse, Project, open_project
from gitlimmat.service.request import Request


def command(
    options: Request,
    base: Annotated[
        str | None, typer.Argument(metavar="[<base>]", help="Show the commits after this one.")
    ] = None,
    http_sockaddr: HttpSockaddr = None,
    hostname: Hostname = None,
) -> int:
    """Show what is known in a browser.

    Pages are served until Ctrl-C, and their URL is printed. Nothing is run. Where other machines can connect,
    the URL has a token that is needed to see anything.
    """
    from gitlimmat.service.observe import Observer, serve_observed
    from gitlimmat.web.pages import Pages, parse_address

    options = options.serving(http_sockaddr=http_sockaddr, hostname=hostname)
    projects = [open_project(each, warn, config=ConfigUse.OPTIONAL) for each in options.each()]
    observers = [Observer(project, base, _open_again) for project in projects]
    settings = projects[0].settings
    pages = Pages([observer.board for observer in observers], read_only=True)
    pages.bind(parse_address(settings.http_sockaddr), settings.hostname)
    log = open_log("web", projects[0].repository.name, warn)
    serve_observed(observers, pages.serve, log, lambda: _print(pages.url))
    return 0


def _print(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


def _open_again(before: Project) -> Project:
    return open_project(before.request, warn, config=ConfigUse.OPTIONAL, before=before)
