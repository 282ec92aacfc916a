"""What `git limmat init` does to files: small steps that can all be taken back.

Layer: service.

A file is made aside and renamed, and what it takes the place of is kept until all steps have been taken. So
there is either all of it or nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, assert_never

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.modes import make_directory


class Write(msgspec.Struct, frozen=True, tag=True):
    """Make a file, or put other content into its place."""

    path: Path
    content: bytes
    mode: int


class WriteConfig(msgspec.Struct, frozen=True, tag=True):
    """Replace a file of git's configuration under git's own lock, if it still has the content `before`."""

    path: Path
    before: bytes
    content: bytes


class Move(msgspec.Struct, frozen=True, tag=True):
    """Give a file, link or directory another name, under which nothing is."""

    path: Path
    to: Path


class Remove(msgspec.Struct, frozen=True, tag=True):
    """Remove a file or link."""

    path: Path


class Link(msgspec.Struct, frozen=True, tag=True):
    """Make a symbolic link."""

    path: Path
    to: str


class MakeDirectory(msgspec.Struct, frozen=True, tag=True):
    """Make a directory, if it is not there."""

    path: Path


class RemoveDirectory(msgspec.Struct, frozen=True, tag=True):
    """Remove a directory, if it is there and empty when all else is done."""

    path: Path


class Touch(msgspec.Struct, frozen=True, tag=True):
    """Give a directory back its time, in nanoseconds, when all else is done."""

    path: Path
    time: int


Step: TypeAlias = Write | WriteConfig | Move | Remove | Link | MakeDirectory | RemoveDirectory | Touch


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done: what is said about it, a line each, and the steps it takes."""

    said: tuple[str, ...]
    steps: tuple[Step, ...]


class Transaction:
    """Steps taken so far, with what takes them back."""

    def __init__(self) -> None:
        self._back: list[Callable[[], object]] = []
        self._spare: list[Path] = []
        self._last: list[RemoveDirectory | Touch] = []  # what waits until nothing is aside any more

    def take(self, step: Step) -> None:
        """Take one step.

        Raises: LimmatError when it cannot be taken; nothing of it remains then.
        """
        try:
            self._take(step)
        except OSError as error:
            what = "remove" if isinstance(step, Remove | RemoveDirectory) else "write"
            raise LimmatError(f"cannot {what} '{step.path}': {error.strerror or error}") from error

    def finish(self) -> None:
        """Forget what was there before."""
        for path in self._spare:
            with suppress(OSError):
                path.unlink()
        for step in self._last:
            with suppress(OSError):
                if isinstance(step, RemoveDirectory):
                    step.path.rmdir()
                else:
                    os.utime(step.path, ns=(step.path.stat().st_atime_ns, step.time))

    def undo(self) -> list[Path]:
        """Take all steps back, the last one first; return what could not be brought back."""
        for back in reversed(self._back):
            with suppress(OSError, LimmatError):
                back()
        return [path for path in self._spare if path.exists() or path.is_symlink()]

    def _take(self, step: Step) -> None:
        path = step.path
        match step:
            case Write():
                self._write(step)
            case WriteConfig(_, before, content):
                write_config(path, before, content)
                self._back.append(lambda: write_config(path, content, before))
            case Move(_, to):
                if to.exists() or to.is_symlink():
                    raise LimmatError(f"cannot move '{path}' to '{to}': it exists")
                path.rename(to)
                self._back.append(lambda: to.rename(path))
            case Remove():
                self._put_aside(path)
            case Link(_, target):
                path.symlink_to(target)
                self._back.append(path.unlink)
            case MakeDirectory():
                if not path.is_dir():
                    make_directory(path, parents=False)
                    self._back.append(path.rmdir)
            case RemoveDirectory() | Touch():
                self._last.append(step)
            case _:
                assert_never(step)

    def _write(self, step: Write) -> None:
        new = _aside(step.path, "new")
        try:
            with new.open("xb") as file:
                file.write(step.content)
                file.flush()
                os.fsync(file.fileno())
            new.chmod(step.mode)
            if step.path.exists() or step.path.is_symlink():
                self._put_aside(step.path)
            new.rename(step.path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        self._back.append(step.path.unlink)

    def _put_aside(self, path: Path) -> None:
        spare = _aside(path, f"old{len(self._spare)}")
        path.rename(spare)
        self._spare.append(spare)
        self._back.append(lambda: spare.rename(path))


def write_config(path: Path, before: bytes, content: bytes) -> None:
    """Replace `before`, the content of a file of git's configuration, as git does it.

    Raises: LimmatError when somebody else changes the file; OSError when it cannot be written.
    """
    path = path.resolve()
    lock = path.with_name(f"{path.name}.lock")
    try:
        file = os.fdopen(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), "wb")
    except FileExistsError as error:
        raise LimmatError(
            f"cannot lock '{path}': '{lock}' exists", hint="if no git is running, remove it"
        ) from error
    try:
        with file:
            if path.read_bytes() != before:
                raise LimmatError(f"cannot change '{path}': it has just been changed", hint="try again")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        lock.chmod(path.stat().st_mode & 0o7777)
        lock.rename(path)
    except BaseException:
        lock.unlink(missing_ok=True)
        raise


def _aside(path: Path, word: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{word}")
