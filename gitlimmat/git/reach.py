"""Which commits and trees anything of the user's still leads to.

Layer: git.
"""

from __future__ import annotations

from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit


def reachable_ids(repository: Repository) -> frozenset[str]:
    """Return the ids of all commits that refs, reflogs or the HEAD of any worktree reach, and of their trees.

    Raises: GitError when git cannot walk them.
    """
    listed = repository.git.call(
        *("rev-list", "--all", "--reflog", "--ignore-missing", "--no-commit-header", "--format=%H%n%T")
    )
    return frozenset(listed.decode().split())


def reachable_commits(repository: Repository) -> tuple[Commit, ...]:
    """Return all commits that refs of the user's or the HEAD of any worktree reach.

    Raises: GitError when git cannot walk them.
    """
    listed = repository.git.call(
        *("rev-list", "--exclude=refs/notes/*", "--exclude=refs/limmat/*", "--all", "--ignore-missing"),
        *("--no-commit-header", "--format=%H %T"),
    )
    pairs = (line.split(" ") for line in listed.decode().splitlines())
    return tuple(Commit(id=oid, tree=tree) for oid, tree in pairs)
