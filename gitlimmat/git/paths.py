"""The names of the files of a commit.

Layer: git.
"""

from __future__ import annotations

import os

from gitlimmat.git.repository import Repository


def tracked_paths(repository: Repository, tree: str) -> frozenset[str]:
    """Return the paths of all files of a tree or commit, relative to its top.

    Shape: as `os.fsdecode` reads them; links are among them, submodules are their directory.
    Raises: GitError when a tree cannot be read.
    """
    out = repository.git.call("ls-tree", "-r", "-z", "--name-only", "--full-tree", tree)
    return frozenset(map(os.fsdecode, out.split(b"\0")[:-1]))
