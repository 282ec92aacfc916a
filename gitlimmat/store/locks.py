"""Locks between processes. The kernel holds them, so they vanish with the process that has them.

Layer:  store.
Owns:   `<state>/locks` (bytes of one file are the locks of cases), `<state>/update.lock` and
        `<state>/maintenance.lock` (flock(2) on the whole file).
Format: The name of a case's lock is `<subject>\\0<test>\\0<digest>`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitlimmat.git.modes import make_directory, open_lock
from gitlimmat.model import Key
from gitlimmat.store.bytelocks import (
    HAVE_RANGES,
    LAST_BYTE,
    ByteLock,
    ByteLocks,
    lock_range,
    range_is_taken,
    try_flock,
)

_UPDATE_WAIT_S = 10.0
_UPDATE_POLL_S = 0.002


CaseLock = ByteLock
"""The right to run one case, until released."""


class CaseLocks(ByteLocks):
    """The locks of one store's cases."""

    def try_lock(self, key: Key) -> CaseLock | None:
        """Take the lock of `key`, or return None when anyone has it. Never waits.

        Raises: StoreError when locks cannot be kept here at all.
        """
        return self.try_take(_name(key))

    def is_locked(self, key: Key) -> bool:
        """Whether anyone, here or elsewhere, has the lock of `key`. Creates nothing."""
        return self.is_taken(_name(key))


@contextmanager
def update_lock(state_dir: Path) -> Iterator[None]:
    """Be the only process of ours that updates refs of this store.

    It spares lost races and shows that a lock file of git's is nobody's; the refs do not depend on it. So
    a holder that does not move for ten seconds (it may be stopped) is not waited for.
    Raises: OSError when the lock file cannot be made.
    """
    make_directory(state_dir)
    handle = open_lock(state_dir / "update.lock")
    try:
        end = time.monotonic() + _UPDATE_WAIT_S
        while not try_flock(handle) and time.monotonic() < end:
            time.sleep(_UPDATE_POLL_S)
        yield
    finally:
        os.close(handle)


@contextmanager
def free_update_lock(state_dir: Path) -> Iterator[bool]:
    """Be the only process that updates refs of this store; yields False when another one is. Never waits.

    Raises: OSError when the lock file cannot be made.
    """
    with _held(state_dir / "update.lock") as held:
        yield held


@contextmanager
def maintenance_lock(state_dir: Path) -> Iterator[bool]:
    """Be the only process that cleans up this store; yields False when another one is at it. Never waits.

    Raises: OSError when the lock file cannot be made.
    """
    with _held(state_dir / "maintenance.lock") as held:
        yield held


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    make_directory(path.parent)
    handle = open_lock(path)
    try:
        yield try_flock(handle)
    finally:
        os.close(handle)


def locks_work(file: Path) -> bool:
    """Whether both kinds of locks exclude a second holder on the file system of `file`. Writes nothing.

    Raises: OSError when there are no such locks there at all.
    """
    first = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    second = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not try_flock(first, shared=True) or try_flock(second):
            return False
        return not HAVE_RANGES or (
            lock_range(first, fcntl.F_RDLCK, LAST_BYTE) and range_is_taken(second, LAST_BYTE)
        )
    finally:
        os.close(second)
        os.close(first)


def _name(key: Key) -> bytes:
    return "\0".join((key.subject, key.test, key.digest)).encode(errors="surrogateescape")
