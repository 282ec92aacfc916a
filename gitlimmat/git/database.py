"""A repository used only for its objects and refs: opened or made, and driven without the user's hooks.

Layer: git.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from gitlimmat.errors import GitError
from gitlimmat.git.process import Git
from gitlimmat.git.repository import Repository

# What git writes for us is flushed whatever the user's settings are; our refs get no reflog, which would
# keep replaced trees alive; and no hook or background gc of the user's runs for them.
_OPTIONS = (
    *("-c", "core.fsync=all"),
    *("-c", "core.fsyncMethod=fsync"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.logAllRefUpdates=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
)


def database_of(repository: Repository) -> Repository:
    """Return `repository` as a database: bound to its directory, wherever the user stands."""
    return _database(repository.git, repository.common_dir)


def find_database(git: Git, directory: Path) -> Repository | None:
    """Return the bare repository in `directory`, None when there is none yet.

    Raises: GitError when what is there cannot be one.
    """
    if (directory / "HEAD").is_file() and (directory / "objects").is_dir():
        return _database(git, directory)
    if directory.exists() and not directory.is_dir():
        raise GitError(f"cannot use '{directory}' for results: it is not a directory")
    if (directory / ".git").exists():
        raise GitError(
            f"cannot use '{directory}' for results: it is a worktree of a repository",
            hint="name a directory that is empty or does not exist yet",
        )
    return None


def make_database(git: Git, directory: Path) -> Repository:
    """Make a bare repository in `directory` and return it; an existing one is kept.

    Raises: GitError when it cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GitError(f"cannot make '{directory}': {error.strerror}") from error
    # git 2.39 does not know --ref-format yet; newer ones let this variable win over the configuration.
    environment = {**git.environment, "GIT_DEFAULT_REF_FORMAT": "files"}
    msgspec.structs.replace(git, directory=directory, environment=environment).call(
        *("-c", "safe.bareRepository=all", "init", "-q", "--bare", "--template="),
        *("--object-format=sha1", "--", os.fspath(directory)),
    )
    return _database(git, directory)


def _database(git: Git, directory: Path) -> Repository:
    prefix = (f"--git-dir={directory}", *_OPTIONS)
    bound = msgspec.structs.replace(git, directory=directory, prefix=prefix)
    return Repository(worktree=None, git_dir=directory, common_dir=directory, git=bound, asked=bound)
