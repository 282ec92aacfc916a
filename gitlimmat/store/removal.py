"""Remove a directory that a job may have filled with anything.

Layer: store.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def remove_tree(path: Path) -> bool:
    """Remove `path` and all below it, never following a symbolic link; say whether it is gone.

    Directories without write permission are given it. What still cannot be removed stays.
    """
    if path.is_symlink() or not path.is_dir():
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return False
        return True
    shutil.rmtree(path, ignore_errors=True)
    if path.is_dir():
        _make_writable(path)
        shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def _make_writable(top: Path) -> None:
    waiting = [os.fspath(top)]
    while waiting:
        folder = waiting.pop()
        try:
            Path(folder).chmod(0o700)
            with os.scandir(folder) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
