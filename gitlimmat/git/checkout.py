"""Bring one linked worktree to a commit, exactly.

Layer: git.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from gitlimmat.git.entry import MARK, restore_settings
from gitlimmat.git.process import Git
from gitlimmat.git.removal import remove
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit

# What an entry may hold between two switches; all else is left over from a job (a merge, a rebase, a lock).
_KEPT = frozenset(
    {"HEAD", "commondir", "gitdir", "index", "locked", "config.worktree", "info", "modules", MARK}
)
_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.logAllRefUpdates=false",
    "advice.detachedHead=false",
    "submodule.recurse=false",
    "index.version=2",
    "index.sparse=false",
    "checkout.defaultRemote=",
)


class Checkout:
    """What we know about the files of one worktree, from one switch to the next."""

    def __init__(self, repository: Repository, path: Path, entry: Path) -> None:
        self._path = path
        self._entry = entry
        self._git = _git_in(repository.git, path)

    def switch(self, commit: Commit) -> str | None:
        """Make files, index and HEAD those of `commit`; return the commit that HEAD named before."""
        restore_settings(self._entry)
        previous = self._clean_entry()
        remove(os.fsencode(self._entry / "index"))
        self._git.call("checkout", "--detach", "--force", "--no-recurse-submodules", "-q", commit.id, "--")
        self._git.call("clean", "-ffdq")
        return previous

    def _clean_entry(self) -> str | None:
        for name in [found.name for found in self._entry.iterdir()]:
            if name not in _KEPT:
                remove(os.fsencode(self._entry / name))
        head = self._entry / "HEAD"
        try:
            text = head.read_text(errors="replace").strip()
        except OSError:
            text = ""
        if len(text) == 40 and not head.is_symlink():
            return text
        remove(os.fsencode(head))
        head.write_text("0" * 40 + "\n")
        return None


def _git_in(git: Git, path: Path) -> Git:
    """Return a git for the worktree at `path`, and for no repository above it."""
    environment = dict(git.environment) | {"GIT_CEILING_DIRECTORIES": str(path.parent)}
    options = [word for option in _OPTIONS for word in ("-c", option)]
    return msgspec.structs.replace(git, directory=path, environment=environment).with_options(*options)
