"""`git limmat queue serve`.

Layer: cli.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.options import Hostname, HttpSockaddr
from gitlimmat.git.scratch import check_can_merge
from gitlimmat.service.logfile import open_log
from gitlimmat.service.project import Project, open_server
from gitlimmat.service.queue.daemon import Daemon, run_daemon
from gitlimmat.service.queue.facts import Findings
from gitlimmat.service.request import Request

if TYPE_CHECKING:
    from gitlimmat.web.queueserve import QueuePages


def command(
    options: Request,
    once: Annotated[
        bool, typer.Option("--once", help="End when nothing more can be done now, instead of waiting.")
    ] = False,
    http_sockaddr: HttpSockaddr = None,
    hostname: Hostname = None,
) -> int:
    """Test approved changes merged with their target, and move the target to what has passed.

    It works until it is stopped by a signal; the first one lets jobs end, the second kills them. What was
    under way goes on when it is started again, also after a crash. With --http-sockaddr it also serves the
    pages of 'git limmat queue web', and prints their URL.
    """
    project = open_server(options.serving(http_sockaddr=http_sockaddr, hostname=hostname), warn)
    check_can_merge(project.repository.git)
    log = open_log("queue", project.repository.name, warn)
    findings = Findings()
    pages = _bind(project, findings) if http_sockaddr is not None else None
    serve = pages.serve if pages is not None else None
    daemon = Daemon(project, say=_say, warn=warn, log=log, pages=serve, findings=findings)
    run_daemon(daemon, log, once=once)
    return 0


def _bind(project: Project, findings: Findings) -> QueuePages:
    """Take the address before anything starts."""
    from gitlimmat.web.pages import parse_address
    from gitlimmat.web.queueserve import open_pages

    pages = open_pages(project, findings)
    pages.bind(parse_address(project.settings.http_sockaddr), project.settings.hostname)
    _say(pages.url)
    return pages


def _say(line: str) -> None:
    """Print a line; that nobody reads it any more is no reason to stop."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
