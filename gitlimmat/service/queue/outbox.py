"""What the command of `limmat.queue.notify` has yet to be told, kept while nobody is at work.

Layer:  service.
Owns:   `limmat/queue/untold/` in the repository, with a file for each letter. One daemon at a time uses it.
Format: JSON, as `Letter`. Names sort by time.

A letter is kept before its notice is in the timeline, and dropped when the command has ended. So what was
said and not told is told by the next daemon; what was just being told perhaps twice, with the same key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

import msgspec

from gitlimmat.git.modes import make_directory, share
from gitlimmat.git.repository import Repository

_MOST = 1_000  # so many letters are kept; more are told by this daemon or not at all


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What the command is told once: `variables` are for its environment.

    `change` and `key` are those of the notice. `name` is that of its file.
    """

    name: str
    change: int
    key: str
    variables: dict[str, str]


class Outbox:
    """Keeps letters. What fails here is a warning, given once: then a crash may lose what was not told."""

    def __init__(self, repository: Repository, warn: Callable[[str], None]) -> None:
        self._directory = repository.state_dir / "queue" / "untold"
        self._warn = warn
        self._warned = False

    def keep(self, letters: Sequence[Letter]) -> None:
        """Keep letters, so that not even a loss of power takes them away."""
        if not letters:
            return
        try:
            make_directory(self._directory)
            room = max(0, _MOST - len(self._names()))
            for letter in letters[:room]:
                self._put(letter)
            _sync(self._directory)
        except OSError as error:
            self._complain(error)

    def drop(self, letters: Iterable[Letter]) -> None:
        """Forget letters: they were told, or are not to be."""
        for letter in letters:
            self._remove(letter.name)

    def left(self) -> list[Letter]:
        """Return what a former daemon has kept and not dropped, the oldest first. What is cut short goes."""
        found = []
        for name in sorted(self._names()):
            try:
                letter = msgspec.json.decode((self._directory / name).read_bytes(), type=Letter)
            except msgspec.MsgspecError:
                self._remove(name)
            except OSError as error:
                self._complain(error)
            else:
                found.append(msgspec.structs.replace(letter, name=name))
        return found

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._directory)  # noqa: PTH208
        except OSError:
            return []

    def _put(self, letter: Letter) -> None:
        path = self._directory / letter.name
        with path.open("wb") as file:
            share(file.fileno(), path)  # a daemon of another account may have to read it
            file.write(msgspec.json.encode(letter))
            file.flush()
            os.fsync(file.fileno())

    def _remove(self, name: str) -> None:
        try:
            (self._directory / name).unlink(missing_ok=True)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"cannot keep what 'limmat.queue.notify' is to be told: {error}")


def _sync(directory: os.PathLike[str]) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
