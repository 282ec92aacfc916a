"""One daemon at a time serves a queue.

Layer:  service.
Owns:   `limmat/queue/daemon.lock` in the repository, locked while a daemon works; it names the process.
"""

from __future__ import annotations

import os
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.git.modes import make_directory, open_lock
from gitlimmat.git.repository import Repository
from gitlimmat.store.bytelocks import try_flock


class Turn:
    """The right to be the one that serves a queue, until it is ended or the process is dead."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def end(self) -> None:
        """Let another one serve."""
        os.ftruncate(self._handle, 0)
        os.close(self._handle)


def take_turn(repository: Repository) -> Turn | None:
    """Be the one that serves the queue; None when another one does. Never waits.

    Raises: LimmatError when there can be no lock.
    """
    path = _path(repository)
    try:
        make_directory(path.parent)
        handle = open_lock(path)
    except OSError as error:
        raise LimmatError(f"cannot lock '{path}': {error.strerror}") from error
    if not try_flock(handle):
        os.close(handle)
        return None
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)
    except OSError:
        pass  # the disk is full: nobody can read who we are
    return Turn(handle)


def server(repository: Repository) -> int | None:
    """Return the process that serves the queue, None when there is none; 0 for one that is not known."""
    try:
        handle = os.open(_path(repository), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if try_flock(handle, shared=True):
            return None
        said = os.pread(handle, 32, 0).strip()
    except OSError:
        return None
    finally:
        os.close(handle)
    return int(said) if said.isdigit() else 0


def _path(repository: Repository) -> Path:
    return repository.state_dir / "queue" / "daemon.lock"
