"""Remove files and whole directories, also those a job has made hard to remove.

Layer: git.
"""

# ruff: noqa: PTH (names are bytes, which pathlib cannot hold)

from __future__ import annotations

import os
import stat

_DIRECTORY_MODE = 0o700


def remove(path: bytes) -> None:
    """Remove whatever is at `path`, a directory with all it holds; symbolic links are not followed.

    Raises: OSError when something cannot be removed. That nothing is there is fine.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        return
    except IsADirectoryError:
        _remove_directory(path)
    except PermissionError:
        if stat.S_ISDIR(os.lstat(path).st_mode):  # what unlink(2) says of directories on some systems
            _remove_directory(path)
            return
        os.chmod(os.path.dirname(path), _DIRECTORY_MODE)
        os.unlink(path)


def _remove_directory(path: bytes) -> None:
    try:
        names = os.listdir(path)
    except PermissionError:
        os.chmod(path, _DIRECTORY_MODE)
        names = os.listdir(path)
    for name in names:
        remove(os.path.join(path, name))
    try:
        os.rmdir(path)
    except PermissionError:
        os.chmod(os.path.dirname(path), _DIRECTORY_MODE)
        os.rmdir(path)
