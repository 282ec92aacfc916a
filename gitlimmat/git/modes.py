"""The modes of what is made in a repository that several accounts write to.

Layer: git.

In a shared repository, git gives what it makes the modes that `core.sharedRepository` asks for, whatever the
umask is. The mode of `objects/` shows them without asking git, for which a push would have to wait. To widen
the umask instead would be to widen that of every job.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_GROUP_WRITES = 0o020
_INHERITED = 0o2777
_NEW_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def make_directory(directory: Path, *, parents: bool = True) -> None:
    """Make a directory, and with `parents` what is missing above it, for all who may write to the one above.

    One that is there is left as it is.
    Raises: OSError when it cannot be made.
    """
    if directory.is_dir():
        return
    try:
        directory.mkdir()
    except FileNotFoundError:
        if not parents:
            raise
        make_directory(directory.parent)
        directory.mkdir(exist_ok=True)
    except FileExistsError:
        if not directory.is_dir():
            raise
        return
    mode = _above(directory)
    if mode & _GROUP_WRITES and directory.stat().st_mode & _INHERITED != mode:
        with suppress(OSError):  # the file system has no such modes
            directory.chmod(mode)


def open_lock(path: Path) -> int:
    """Open a file to lock it, and make it for all who may write to its directory.

    Raises: OSError when that is impossible.
    """
    handle = os.open(path, _NEW_LOCK, 0o666)
    share(handle, path)
    return handle


def share(handle: int, path: Path) -> None:
    """Let all who may write to the directory of an open file use the file; that of someone else is left."""
    with suppress(OSError):
        status = os.fstat(handle)
        if status.st_mode & _GROUP_WRITES or status.st_uid != os.geteuid():
            return
        mode = _above(path)
        if mode & _GROUP_WRITES:
            os.fchmod(handle, mode & 0o666)


def _above(path: Path) -> int:
    """Return the mode of the directory above; that of `objects/` where this is the top of a repository."""
    objects = path.parent / "objects"
    return (objects if objects.is_dir() else path.parent).stat().st_mode & _INHERITED
