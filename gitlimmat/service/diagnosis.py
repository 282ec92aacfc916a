"""What a check of `git limmat doctor` works on, and what it finds.

Layer: service. What is opened here is opened at first use, so that a check fails alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.pool import WorktreePool
from gitlimmat.git.process import Git, git_at
from gitlimmat.git.repository import Repository
from gitlimmat.service.project import ConfigUse, Project, asked_repository, open_project
from gitlimmat.service.request import Request


class Level(StrEnum):
    """How a check came out. MENDED tells of something that was done."""

    OK = "ok"
    MENDED = "mended"
    WARNING = "warning"  # it works, but not as well as it might
    ERROR = "error"  # something cannot work, or is lost


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found. `mendable` says that the check's own cure is meant for it."""

    level: Level
    detail: str
    hint: str | None = None
    mendable: bool = False


class Place:
    """A repository, perhaps half broken, and what belongs to it.

    What cannot be opened raises LimmatError at each use. `warnings` are those of the parts that were used.
    """

    def __init__(self, request: Request, environment: Mapping[str, str] | None = None) -> None:
        self.request = request
        self.environment = os.environ if environment is None else environment
        self.warnings: list[str] = []

    @cached_property
    def git(self) -> Git:
        """git, whatever the repository is like."""
        binary = self.request.git_binary or "git"
        return git_at(Path.cwd(), binary=binary, environment=self.environment)

    @cached_property
    def repository(self) -> Repository:
        """The repository."""
        return asked_repository(self.request)

    @cached_property
    def project(self) -> Project:
        """Settings and store, and tests if the config file can be read."""
        return open_project(self.request, self.warnings.append, config=ConfigUse.NONE)

    @cached_property
    def pool(self) -> WorktreePool:
        """The worktrees. None is made by looking."""
        settings = self.project.settings
        return WorktreePool(
            self.repository,
            directory=settings.worktree_dir,
            temporary=settings.worktree_dir is not None,
            prefix=settings.worktree_prefix,
        )

    def find(self) -> Repository:
        """Return the repository. Raises: LimmatError when there is none that can be looked at."""
        return self.repository

    def jobs(self) -> int:
        """Return how many jobs run at once, or would if all settings could be read."""
        with suppress(LimmatError):
            return self.project.settings.jobs
        return os.cpu_count() or 1

    def reopen(self) -> None:
        """Forget what was opened: something has been mended."""
        for name in ("repository", "project", "pool"):
            self.__dict__.pop(name, None)


class Check(NamedTuple):
    """One check. `mend` cures what `look` has called mendable and yields what it has done."""

    name: str
    look: Callable[[Place], Iterable[Finding]]
    mend: Callable[[Place], Iterable[str]] | None = None


def fine(detail: str) -> Finding:
    """Say that all is well."""
    return Finding(level=Level.OK, detail=detail)


def warning(detail: str, hint: str | None = None, *, mendable: bool = False) -> Finding:
    """Say what does not work as well as it might."""
    return Finding(level=Level.WARNING, detail=detail, hint=hint, mendable=mendable)


def error(detail: str, hint: str | None = None, *, mendable: bool = False) -> Finding:
    """Say what cannot work."""
    return Finding(level=Level.ERROR, detail=detail, hint=hint, mendable=mendable)


def some(names: Iterable[object], most: int = 3) -> str:
    """Return the first of many names, quoted, and how many more there are."""
    listed = [f"'{name}'" for name in names]
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
