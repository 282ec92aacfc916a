"""`git limmat queue share`.

Layer: cli.
"""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.queue_print import plain
from gitlimmat.errors import UsageError
from gitlimmat.model import counted
from gitlimmat.service.project import open_project
from gitlimmat.service.queue.follow import default_remote
from gitlimmat.service.queue.share import checked_remote, send
from gitlimmat.service.request import Request
from gitlimmat.service.span import commits_of


def command(
    options: Request,
    remote: Annotated[
        str | None, typer.Argument(metavar="[<remote>]", help="A remote with a queue, or its URL.")
    ] = None,
    revisions: Annotated[
        list[str] | None, typer.Argument(metavar="[<rev>|<range>]...", help="Commits it is about.")
    ] = None,
) -> int:
    """Send what is known of commits to a queue, so that it need not find it out again.

    It counts where limmat.queue.trust on the server names you. Results with artifacts are not sent, nor is
    what was printed; one that failed takes back what was sent before. Without a revision they are about
    the commits that 'git limmat run' would test; without <remote> they go to origin, or the only remote.
    """
    project = open_project(options, warn)
    remote = checked_remote(project.repository, remote) if remote else default_remote(project.repository)
    commits = commits_of(project, tuple(revisions or ()))
    if not commits:
        raise UsageError(
            "no commits in this range", hint=f"git limmat queue share {shlex.quote(remote)} HEAD"
        )
    sent = send(project, commits, remote)
    results, about = counted(sent.results, "result"), counted(sent.commits, "commit")
    bad = f"; {sent.failures} failed, and count for nothing there" if sent.failures else ""
    sys.stdout.write(f"shared {results} of {about} with '{plain(remote)}'{bad}\n")
    for line in sent.said:
        sys.stdout.write(f"  {plain(line)}\n")
    return 0
