"""`git limmat queue web`.

Layer: cli.
"""

from __future__ import annotations

import sys

from gitlimmat.cli.main import warn
from gitlimmat.cli.options import Hostname, HttpSockaddr
from gitlimmat.service.logfile import open_log
from gitlimmat.service.project import open_server
from gitlimmat.service.request import Request


def command(options: Request, http_sockaddr: HttpSockaddr = None, hostname: Hostname = None) -> int:
    """Show the queue in a browser.

    Pages are served until Ctrl-C, and their URL is printed; 'git limmat queue serve --http-sockaddr' serves
    the same ones. Nothing is run. Where other machines can connect, the URL has a token that is needed to see
    anything.
    """
    from gitlimmat.service.observe import serve_observed
    from gitlimmat.web.pages import parse_address
    from gitlimmat.web.queueserve import open_pages

    project = open_server(options.serving(http_sockaddr=http_sockaddr, hostname=hostname), warn)
    pages = open_pages(project)
    pages.bind(parse_address(project.settings.http_sockaddr), project.settings.hostname)
    log = open_log("web", project.repository.name, warn)
    serve_observed([], pages.serve, log, lambda: _print(pages.url))
    return 0


def _print(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
