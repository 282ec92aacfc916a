"""Where the range that is watched begins and ends now.

Layer: git.
"""

from __future__ import annotations

import msgspec

from gitlimmat.git.repository import Repository


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """The ends of the range. Ids are full object ids of commits, None for what cannot be resolved now.

    `head_name` and `base_name` are what people call them (`topic`, `HEAD` when detached, `origin/main`).
    `problem` says what is wrong when one is None: an unborn branch, a base that is gone, no repository.
    """

    head: str | None
    head_name: str
    base: str | None
    base_name: str
    problem: str | None = None


class EndsReader:
    """Reads the ends again and again. Costs no process when nothing relevant changed.

    `base` is what the user gave, or None to find it as `revision.find_base` does, with `configured`
    (`limmat.base`). A base that was found is found again when HEAD is on another branch.
    """

    def __init__(self, repository: Repository, base: str | None, configured: str | None) -> None:
        raise NotImplementedError

    def read(self) -> Ends:
        """Return the ends as they are. Never raises for what the repository is like; `problem` says it."""
        raise NotImplementedError
