"""`git limmat queue init`.

Layer: cli.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gitlimmat.cli.init import do
from gitlimmat.cli.main import warn
from gitlimmat.errors import UsageError
from gitlimmat.queue.events import Policy
from gitlimmat.queue.rules import Identity
from gitlimmat.service.project import ConfigUse, open_project
from gitlimmat.service.queue.setup import Wanted, plan_removal, plan_setup
from gitlimmat.service.request import Request

_Names = list[str] | None


def command(
    options: Request,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be done.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what was done; timelines stay.")] = False,
    target: Annotated[
        _Names, typer.Option("--target", metavar="BRANCH", help="Land changes there (repeatable).")
    ] = None,
    policy: Annotated[
        Policy | None, typer.Option("--policy", metavar="POLICY", help="How a change becomes commits.")
    ] = None,
    identity: Annotated[
        Identity | None,
        typer.Option("--identity", metavar="SOURCE", help="How the server knows people."),
    ] = None,
    reviewer: Annotated[
        _Names, typer.Option("--reviewer", metavar="NAME", help="Let NAME approve changes (repeatable).")
    ] = None,
    admin: Annotated[
        _Names, typer.Option("--admin", metavar="NAME", help="Let NAME do everything (repeatable).")
    ] = None,
    tryer: Annotated[
        _Names, typer.Option("--tryer", metavar="NAME", help="Let NAME ask for tries (repeatable).")
    ] = None,
    url: Annotated[str, typer.Option("--url", metavar="URL", help="Where the pages are.")] = "",
) -> int:
    """Set a bare repository up to have a merge queue, or take that back.

    Installs hooks, before which those that are there still run, and makes settings. All is shown first. When
    run again, it mends what is missing, and adds what is given.
    """
    given = (target, policy, identity, reviewer, admin, tryer, url)
    if undo and any(given):
        raise UsageError("--undo takes back everything, so it goes with no setting")
    if dry and yes:
        raise UsageError("--dry-run and --yes exclude each other")
    repository = open_project(options, warn, config=ConfigUse.NONE).repository
    wanted = Wanted(
        targets=tuple(target or ()),
        policy=policy,
        identity=identity,
        reviewers=tuple(reviewer or ()),
        admins=tuple(admin or ()),
        tryers=tuple(tryer or ()),
        url=url,
    )
    plan = plan_removal(repository) if undo else plan_setup(repository, wanted)
    return do(plan, "git limmat queue init --yes", yes=yes, dry=dry, undo=undo)
