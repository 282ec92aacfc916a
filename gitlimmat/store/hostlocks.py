"""Slots and tokens that all processes of one user on one host share.

Layer:  store.
Owns:   `$XDG_RUNTIME_DIR/limmat/locks`, or where that is not set `$XDG_STATE_HOME/limmat/locks`.
Format: Names of locks are `slot`, a number from 0; `token`, a resource, a value; and `turn`, followed by the
        name of a lock that its holder waits for, or by `slot`. Parts end with NUL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.store.bytelocks import ByteLock, ByteLocks


class HostLock:
    """Something taken of what a host has, until given back."""

    def __init__(self, lock: ByteLock | None) -> None:
        self._lock = lock

    def release(self) -> None:
        """Give it back; a second call does nothing."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class HostLocks:
    """What one process has of it. A process that is killed gives all back.

    Where no locks can be had nothing is shared: that is a warning, given once, and all is granted.
    """

    def __init__(self, directory: Path, warn: Callable[[str], None]) -> None:
        self._locks = ByteLocks(directory)
        self._warn = warn
        self._works = True

    def try_slot(self, jobs: int) -> HostLock | None:
        """Take one of so many slots; None when all are taken."""
        for number in range(jobs):
            lock = self._try("slot", str(number))
            if lock is not None:
                return lock
        return None

    def try_token(self, token: tuple[str, str]) -> HostLock | None:
        """Take a token, which is a resource and a value; None when someone has it."""
        return self._try("token", *token)

    def try_turn(self, token: tuple[str, str] | None) -> HostLock | None:
        """Be the next who gets a token, or a slot when None; None when someone else is."""
        return self._try("turn", *_item(token))

    def has_next(self, token: tuple[str, str] | None) -> bool:
        """Whether anyone is the next for this."""
        try:
            return self._works and self._locks.is_taken(_name("turn", *_item(token)))
        except OSError as error:
            self._give_up(error)
            return False

    def _try(self, *parts: str) -> HostLock | None:
        if not self._works:
            return HostLock(None)
        try:
            lock = self._locks.try_take(_name(*parts))
        except LimmatError as error:
            self._give_up(error)
            return HostLock(None)
        return None if lock is None else HostLock(lock)

    def _give_up(self, error: Exception) -> None:
        self._works = False
        self._warn(f"jobs and resources are not shared with other processes: {error}")


def host_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory of the locks of this user's processes, whether or not it exists."""
    for variable in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        stated = Path(environment.get(variable, ""))
        if stated.is_absolute():  # the XDG specification says to ignore anything else
            return stated / "limmat"
    home = environment.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "state" / "limmat"


def _item(token: tuple[str, str] | None) -> tuple[str, ...]:
    return ("slot",) if token is None else ("token", *token)


def _name(*parts: str) -> bytes:
    return b"".join(part.encode(errors="surrogateescape") + b"\0" for part in parts)
