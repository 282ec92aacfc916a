"""Remove files and whole directories, also those a job has made hard to remove.

Layer: git.
"""

# Names are bytes here, which pathlib cannot hold.
# ruff: noqa: PTH101, PTH108, PTH118, PTH120, PTH106, PTH208

from __future__ import annotations

import os
import stat

_DIRECTORY_MODE = 0o700


def remove(path: bytes) -> None:
    """Remove whatever is at `path`, a directory with all it holds; symbolic links are not followed.

    Raises: OSError when something cannot be removed. That nothing is there is fine.
    """
    if not remove_file(path):
        _remove_directory(path)


def remove_file(path: bytes) -> bool:
    """Remove the file at `path` and return True; False when it is a directory, which is left alone.

    Raises: OSError when it cannot be removed. That nothing is there is fine.
    """
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except IsADirectoryError:
        return False
    except PermissionError:
        if stat.S_ISDIR(os.lstat(path).st_mode):  # what unlink(2) says of directories on some systems
            return False
        os.chmod(os.path.dirname(path), _DIRECTORY_MODE)
        os.unlink(path)
    return True


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
