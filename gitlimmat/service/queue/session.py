"""A queue as its users find it: open it, tell it something, wake its daemon.

Layer:  service.
Owns:   `limmat/queue/wake` in the repository, which is written to wake the daemon. Its content says nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gitlimmat.errors import GitError, RefMovedError, StoreError, UsageError
from gitlimmat.git.modes import make_directory
from gitlimmat.git.reffiles import shared_refs
from gitlimmat.git.repository import Repository
from gitlimmat.queue.rules import Rules
from gitlimmat.service.queue.settings import read_rules
from gitlimmat.store.timeline import Addition, Timelines

if TYPE_CHECKING:
    from gitlimmat.queue.answer import Answer
    from gitlimmat.queue.auth import Principal
    from gitlimmat.queue.requests import Command
    from gitlimmat.queue.state import Change
    from gitlimmat.store.timeline import Loaded

__all__ = [
    "QueueSession",
    "find_change",
    "open_queue",
    "poke",
    "read_rules",
    "submit",
    "target_tip",
    "wake_file",
]

_WITHIN_S = 30.0
_ANYONE_WRITES = 0o666


class QueueSession(msgspec.Struct, frozen=True, kw_only=True):
    """A repository with a queue: its rules as they were when it was opened, and its timelines."""

    repository: Repository
    rules: Rules
    timelines: Timelines
    warn: Callable[[str], None]


def open_queue(repository: Repository, warn: Callable[[str], None]) -> QueueSession:
    """Open the queue of a repository. Nothing is made, and a queue without changes is none the worse.

    Raises: ConfigError with all faults of `limmat.queue.*`, GitError when git cannot be asked.
    """
    return QueueSession(
        repository=repository,
        rules=read_rules(repository, warn),
        timelines=Timelines(repository),
        warn=warn,
    )


def find_change(loaded: Loaded, number: int) -> Change:
    """Return a change. Raises: UsageError when there is none of that number, StoreError for a damaged one."""
    if number in loaded.damaged:
        raise StoreError(f"cannot read change {number}: {loaded.damaged[number]}")
    change = loaded.changes.get(number)
    if change is None:
        raise UsageError(f"no change {number}", hint="'git limmat queue list --all' shows every change")
    return change


def submit(
    session: QueueSession,
    number: int | None,
    command: Command,
    principal: Principal,
    *,
    via: str,
) -> Answer:
    """Do what a command asks of a change, or of the queue itself when `number` is None, if it is allowed.

    What is decided is decided from the timelines as they are when its events are added to them; the daemon
    is woken then. A command that is refused leaves nothing.
    Raises: UsageError when there is no such change, RefMovedError when others are always faster, and
    LimmatError when nothing can be written.
    """
    from gitlimmat.service.queue.mergeability import answered

    end = time.monotonic() + _WITHIN_S
    while True:
        loaded = session.timelines.load()
        change = None if number is None else find_change(loaded, number)
        found = answered(session.repository, command, principal, change, loaded.queue, session.rules, via=via)
        additions = _additions(found, number, loaded)
        if found.is_refused or not additions:
            return found
        try:
            session.timelines.append(additions, reason=f"limmat queue: by {principal.name}")
        except RefMovedError:
            if time.monotonic() > end:
                raise
            continue
        poke(session)
        return found


def _additions(found: Answer, number: int | None, loaded: Loaded) -> list[Addition]:
    additions = []
    if number is not None and found.events:
        additions.append(Addition(change=number, events=found.events, expected=loaded.tips[number]))
    if found.queue_events and loaded.queue_fault:
        raise StoreError(loaded.queue_fault)
    if found.queue_events:
        additions.append(Addition(change=None, events=found.queue_events, expected=loaded.queue_tip))
    return additions


def target_tip(repository: Repository, target: str) -> str:
    """Return the commit that a target is at; empty when there is none, or when it leads to another branch."""
    try:
        return shared_refs(repository).direct(target) or ""
    except (GitError, OSError):
        return ""


def wake_file(repository: Repository) -> Path:
    """Return the file that the daemon follows."""
    return repository.state_dir / "queue" / "wake"


def poke(session: QueueSession) -> None:
    """Wake the daemon, if there is one. Where that cannot be done it looks by itself before long."""
    wake(session.repository)


def wake(repository: Repository) -> None:
    """Wake the daemon of a repository. The daemon calls it, too, so that others find a file to write to."""
    path = wake_file(repository)
    with contextlib.suppress(OSError):
        make_directory(path.parent)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _ANYONE_WRITES)
        try:
            os.write(handle, b"%d\n" % time.time_ns())
            if os.fstat(handle).st_uid == os.geteuid():
                os.fchmod(handle, _ANYONE_WRITES)  # whoever may push may wake: a umask is not to forbid it
        finally:
            os.close(handle)
