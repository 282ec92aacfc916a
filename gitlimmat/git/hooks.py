"""Where git looks for hooks, and which hooks there are.

Layer:  git.
Source: githooks(5); git-config(1), `core.hooksPath`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gitlimmat.git.repository import Repository
from gitlimmat.model import ConfigValue

OF_ALL_WORKTREES, OF_ONE_WORKTREE = "limmat-hooks", "limmat-hooks.worktree"
"""Names of the directories that take the place of a `core.hooksPath` of the user, by where that is set."""

READING_STDIN = frozenset(
    {"pre-push", "post-rewrite", "pre-receive", "post-receive", "reference-transaction"}
)
"""Hooks that git tells something on standard input."""

HARMLESS = (
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit"),
    *("prepare-commit-msg", "commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge"),
    *("pre-push", "pre-receive", "update", "post-receive", "post-update", "pre-auto-gc", "post-rewrite"),
    *("sendemail-validate",),
)
"""Hooks whose mere existence changes nothing."""

TELLING = (
    *("push-to-checkout", "proc-receive", "reference-transaction", "post-index-change"),
    *("fsmonitor-watchman",),
)
"""Hooks whose existence makes git do something else, or start them very often."""

HOOKS = frozenset({*HARMLESS, *TELLING})


class HooksPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the user's hooks are.

    `stated` is the path as hooks have to follow it: perhaps relative to the directory they are run in. `own`
    says that `directory` is a real directory of this repository, nobody else's. `scope` is git's word for
    where `core.hooksPath` is set, None where it is not.
    """

    directory: Path
    stated: str
    own: bool
    scope: str | None = None
    origin: str | None = None


def find_hooks(repository: Repository, values: Sequence[ConfigValue], home: str | None) -> HooksPlace:
    """Return where git would look for hooks if it was not told to look at ours.

    What the user says for one command only (`git -c`) does not count.
    """
    default = repository.common_dir / "hooks"
    ours = our_directories(repository)
    stated = [
        value
        for value in values
        if value.key == "core.hookspath" and value.scope != "command" and Path(value.value or "") not in ours
    ]
    if not stated or not stated[-1].value:
        return HooksPlace(
            directory=default, stated=os.fspath(default), own=not default.is_symlink(), origin=None
        )
    last = stated[-1]
    path = _expanded(last.value or "", home)
    directory = Path(os.path.normpath((repository.worktree or repository.common_dir) / path))
    return HooksPlace(
        directory=directory,
        stated=path,
        own=not default.is_symlink() and _is_same(directory, default),
        scope=last.scope,
        origin=last.origin,
    )


def our_directories(repository: Repository) -> tuple[Path, Path]:
    """Return the directories that may stand in for a `core.hooksPath`: of all worktrees, and of this one."""
    return repository.common_dir / OF_ALL_WORKTREES, repository.git_dir / OF_ONE_WORKTREE


def _expanded(path: str, home: str | None) -> str:
    return f"{home}{path[1:]}" if home and path.startswith("~/") else path


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other
