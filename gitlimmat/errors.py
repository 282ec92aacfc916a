"""Errors a user can act on.

Layer:  base. Imports nothing of ours.

Anything that is not a `LimmatError` is a bug and keeps its traceback. One place
(`cli.main`) turns these into `fatal:` and `hint:` lines and an exit status.
"""

from __future__ import annotations


class LimmatError(Exception):
    """Something failed, and the user can do something about it.

    `message` says what failed, then its subject in single quotes, lower case, no full stop.
    `hint` says what to do next. `status` is the exit status of the program.
    """

    status = 128

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LimmatError):
    """The command line does not make sense. Nothing was done."""

    status = 129


class ConfigError(LimmatError):
    """The configuration is unusable. `faults` has one line a fault, each naming its place."""

    def __init__(self, message: str, *, faults: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.faults = faults


class NoResultError(LimmatError):
    """There is no stored result for what was asked. Limmat's exit status for it is kept."""

    status = 50


class GitError(LimmatError):
    """git could not do what was asked. `stderr` is what it said, stripped."""

    def __init__(self, message: str, *, stderr: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.stderr = stderr


class RevisionError(LimmatError):
    """A revision or range does not name commits of this repository."""


class RefMovedError(LimmatError):
    """Someone else updated a ref first. Nothing was written; safe to retry."""


class StoreError(LimmatError):
    """Results cannot be read or written. What was stored before is untouched."""


class WorktreeError(LimmatError):
    """A worktree cannot be made, locked or brought to a commit."""


class InterruptedRunError(LimmatError):
    """The user stopped the program. What had finished before is stored."""

    status = 130
