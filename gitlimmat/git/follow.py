"""Be told when refs, HEAD, configuration or given files may have changed.

Layer: git.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Flag, auto
from pathlib import Path

from gitlimmat.git.repository import Repository


class News(Flag):
    """What may have changed. Being told for nothing is harmless."""

    REFS = auto()  # HEAD, a branch, a remote's branch, a tag, packed-refs, the state of a rebase
    RESULTS = auto()  # refs/limmat/ of the repository, or of the one that holds the results
    CONFIG = auto()  # one of the files given, or git's configuration
    GONE = auto()  # the repository's directory itself was removed, replaced or has come back


class Follower:
    """Calls `tell(news)` in the running loop whenever something below may have changed.

    Uses inotify(7) through the loop on Linux: no thread, no timer, no process while nothing happens.
    Elsewhere watchfiles. A slow poll is the net where notification does not work. Never tells about objects,
    indexes, logs, our own worktrees, or notes.
    """

    def __init__(self, repository: Repository, results: Path, tell: Callable[[News], None]) -> None:
        """`results` is the git directory that has refs/limmat/results (the common dir, or `--result-db`)."""
        self.problem: str | None = None
        raise NotImplementedError

    def set_files(self, files: Iterable[Path]) -> None:
        """Follow these files (they need not exist) from now on: the config and its inputs."""
        raise NotImplementedError

    @property
    def is_settling(self) -> bool:
        """Whether a rebase, or someone holding HEAD.lock or packed-refs.lock, is in progress."""
        raise NotImplementedError

    async def run(self) -> None:
        """Follow until cancelled."""
        raise NotImplementedError
