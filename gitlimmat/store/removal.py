"""Remove a directory that a job may have filled with anything.

Layer: store.
"""

# One directory is removed for each job, so these are calls and strings and not objects.
# ruff: noqa: PTH106, PTH101, PTH108

from __future__ import annotations

import os
from pathlib import Path


def remove_tree(path: Path) -> bool:
    """Remove `path` and all below it, never following a symbolic link; say whether it is gone.

    Directories without permissions are given them. What still cannot be removed stays.
    """
    waiting = [os.fspath(path)]
    try:
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
            return True
        while waiting:
            if inner := _empty(waiting[-1]):
                waiting += inner
            else:
                os.rmdir(waiting.pop())
    except OSError:
        return False
    return True


def _empty(folder: str) -> list[str]:
    """Remove what is directly in `folder`, and return the directories in it, which are left."""
    try:
        return _remove_files(folder)
    except PermissionError:
        os.chmod(folder, 0o700)
        return _remove_files(folder)


def _remove_files(folder: str) -> list[str]:
    inner = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.path)
            else:
                os.unlink(entry.path)
    return inner
