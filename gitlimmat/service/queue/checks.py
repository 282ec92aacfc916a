"""Checks of a merge queue for `git limmat doctor`: its settings, its server, its targets, its timelines.

Layer: service. Writes nothing. A repository without a queue is not reported on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gitlimmat.errors import ConfigError, LimmatError
from gitlimmat.git.census import git_version, parse_version
from gitlimmat.git.configuration import read_settings
from gitlimmat.git.repository import Repository
from gitlimmat.git.scratch import OLDEST_GIT
from gitlimmat.model import counted
from gitlimmat.queue.phrase import branch
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Lack
from gitlimmat.queue.state import Forge
from gitlimmat.service.diagnosis import Check, Finding, Place, error, fine, warning
from gitlimmat.service.queue.guard import final_name
from gitlimmat.service.queue.session import target_tip
from gitlimmat.service.queue.settings import has_queue, read_rules
from gitlimmat.service.queue.setup import Wanted, plan_setup
from gitlimmat.service.queue.suite import Suites
from gitlimmat.service.queue.turn import server
from gitlimmat.store.timeline import Timelines

_PROGRAM = "limmat.program"
_NO_ADMIN = "an admin of the queue can push it, and there is none: git limmat queue init --admin <name>"
_NAME_IT = "name that in limmat.queue.target in place of it"


def _queue(place: Place) -> Iterator[Finding]:
    repository = place.repository
    if not has_queue(repository):
        return
    yield from _of_git(place)
    said: list[str] = []
    try:
        rules = read_rules(repository, said.append)
    except ConfigError as problem:
        yield from (error(fault, problem.hint) for fault in problem.faults or (problem.message,))
    else:
        yield from (warning(each, "see CONFIGURATION in git-limmat-queue(1)") for each in said)
        yield from _set_up(repository)
        yield from _people(rules)
        yield from _targets(repository, rules)
        yield from _worktrees(repository, rules)
    yield from _timelines(repository)
    pid = server(repository)
    if pid is None:
        yield warning("no daemon serves it, so nothing is tested and nothing lands", "git limmat queue serve")
    else:
        yield fine(f"served by process {pid}" if pid else "served by another process")


def _of_git(place: Place) -> Iterator[Finding]:
    found = git_version(place.git)
    if parse_version(found) < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        yield error(f"git {found} is too old to merge for a queue", f"install git {oldest} or newer")


def _set_up(repository: Repository) -> Iterator[Finding]:
    """Say what a push would lack: hooks, settings of git, the program that hooks call."""
    try:
        plan = plan_setup(repository, Wanted())
    except LimmatError as problem:
        yield error(problem.message, problem.hint)
        return
    missing = [each for act in plan.acts for each in act.said if _PROGRAM not in each]
    yield from (
        error(f"not set up: {each}", "'git limmat queue init' in this repository does it") for each in missing
    )
    for value in read_settings(repository, asked=False):
        if value.key == _PROGRAM and value.value and not os.access(Path(value.value).expanduser(), os.X_OK):
            yield warning(
                f"hooks are to call '{value.value}', which cannot be run",
                f"git config {_PROGRAM} <path>; until then git-limmat has to be in PATH of each push",
            )
    if not missing:
        yield fine("hooks and settings for pushes are in place")


def _people(rules: Rules) -> Iterator[Finding]:
    if not {*rules.admins, *rules.reviewers}:
        yield warning("nobody can approve a change", "git limmat queue init --reviewer <name>")


def _targets(repository: Repository, rules: Rules) -> Iterator[Finding]:
    if not rules.targets:
        yield error("it has no target", "git limmat queue init --target <branch>")
    suites = Suites(repository)
    for target in rules.targets:
        name = branch(target)
        other = final_name(repository, target)
        tip = target_tip(repository, target)
        if other != target:
            yield error(f"'{name}' is a symbolic ref to '{other}', so nothing can land there", _NAME_IT)
        elif not tip:
            cure = "an admin of the queue can push it" if rules.admins else _NO_ADMIN
            yield warning(f"'{name}' does not exist yet", cure)
        elif broken := suites.broken(tip, rules.tests):
            hint = "a change that mends it lands with 'git limmat queue approve --repair' by an admin"
            if broken.lack is Lack.MATCH:
                hint = "limmat.queue.test asks for it"
            yield error(f"nothing can be tested for '{name}': {broken.said}", hint)
        else:
            tests = suites.at(tip).choose(rules.tests)
            yield fine(f"{counted(len(tests), 'test')} for what is to land in '{name}'")


def _worktrees(repository: Repository, rules: Rules) -> Iterator[Finding]:
    """Say which worktrees have a target checked out: git keeps others from moving it there, we do not."""
    listed = repository.git.run(["worktree", "list", "--porcelain", "-z"]).stdout  # none of an old git
    for record in os.fsdecode(listed).split("\0\0"):
        about = dict(line.partition(" ")[::2] for line in record.split("\0"))
        target = about.get("branch", "")
        if target in rules.targets and "prunable" not in about:
            path = about["worktree"]
            yield warning(
                f"'{branch(target)}' is checked out in '{path}', and moves without the files there",
                f"git -C '{path}' checkout --detach",
            )


def _timelines(repository: Repository) -> Iterator[Finding]:
    loaded = Timelines(repository).load()
    hint = "see DAMAGE in gitlimmat-format(5)"
    if loaded.queue_fault:
        yield error(f"the queue stands still: {loaded.queue_fault}", hint)
    yield from (
        error(f"change {number} stands still: {fault}", hint)
        for number, fault in sorted(loaded.damaged.items())
    )
    still = sum(each.forge is Forge.OPEN for each in loaded.changes.outlines())
    yield fine(f"{counted(len(loaded.changes), 'change')}, {still} of them open")


CHECKS = (Check("queue", _queue),)
