"""Serve a queue until the n-th time that something is reached, and die there as if by `kill -9`.

Run as a program: `queuecrash.py REPOSITORY POINT NTH`. A point is the name of a function below, before or
after which it happens, or `partly`: then the n-th transaction of refs moves its first one only, and leaves
the locks of the others, as a git does that is killed meanwhile.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gitlimmat.git import refs
from gitlimmat.git.process import Git
from gitlimmat.git.refs import RefUpdate
from gitlimmat.service.logfile import Log
from gitlimmat.service.project import open_server
from gitlimmat.service.queue.daemon import Daemon
from gitlimmat.service.request import Request
from gitlimmat.service.session import run_loop

FUNCTIONS = {
    "merge": ("gitlimmat.service.queue.execute", "make_merge"),
    "append": ("gitlimmat.store.timeline", "Timelines.append"),
    "transaction": ("gitlimmat.store.timeline", "update_refs"),
    "result": ("gitlimmat.store.store", "Store.publish"),
    "report": ("gitlimmat.service.queue.passes", "Passes.report"),
    "land": ("gitlimmat.service.queue.execute", "Executor._land"),
    "announce": ("gitlimmat.service.queue.execute", "Executor.announce"),
    "notify": ("gitlimmat.service.queue.notices", "Herald._tell"),
    "drop": ("gitlimmat.service.queue.outbox", "Outbox.drop"),
}
KILLED = -signal.SIGKILL


def die() -> None:
    """End at once, with nothing tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, nth: int) -> None:
    """Die at the n-th time that a point is reached."""
    when, _, name = point.partition("-")
    if when == "partly":
        _replace("gitlimmat.store.timeline", "update_refs", _counted(nth, _move_first, refs.update_refs))
        return
    module, function = FUNCTIONS[name]
    real = _find(module, function)

    def dying(*arguments: object, **options: object) -> object:
        if when == "after":
            real(*arguments, **options)
        die()
        return None

    _replace(module, function, _counted(nth, dying, real))


def _counted(nth: int, dying: Callable[..., object], real: Callable[..., object]) -> Callable[..., object]:
    calls = 0

    def counting(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        return (dying if calls == nth else real)(*arguments, **options)

    return counting


def _move_first(git: Git, updates: Sequence[RefUpdate], reason: str) -> None:
    """Do what a git has done that was killed after it had moved the first ref."""
    refs.update_refs(git, updates[:1], reason)
    for update in updates[1:]:
        lock = git.directory / f"{update.name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text("")
        os.utime(lock, (1, 1))
    die()


def _find(module: str, name: str) -> Callable[..., object]:
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)
    return found


def _replace(module: str, name: str, new: Callable[..., object]) -> None:
    place: object = importlib.import_module(module)
    *parts, last = name.split(".")
    for part in parts:
        place = getattr(place, part)
    setattr(place, last, new)


def serve(repository: Path) -> None:
    """Serve once."""
    project = open_server(Request(repo=[repository]), _tell)
    log = Log(repository / "daemon.log", _tell)
    run_loop(Daemon(project, say=_tell, warn=_tell, log=log).serve(once=True))


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    arm(sys.argv[2], int(sys.argv[3]))
    serve(Path(sys.argv[1]))
