"""The commits of a range as `git log --graph` draws them, with what people want to see of each.

Layer: git.
"""

from __future__ import annotations

import msgspec

from gitlimmat.git.repository import Repository


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A commit as it is shown. Texts have no control characters.

    `abbreviated` is as short as `core.abbrev` wants it, `refs` are the names that point at it as
    `git log --decorate=short` writes them, HEAD first (`HEAD -> topic`, `tag: v1`), `committed` is seconds
    since the epoch.
    """

    id: str
    tree: str
    abbreviated: str
    subject: str
    refs: tuple[str, ...]
    author: str
    committed: int


class GraphLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the graph: the art at its left, such as `* ` or `|\\ `, and the commit on it, if any."""

    art: str
    commit: Described | None


def read_graph(
    repository: Repository, base: str | None, head: str, *, include_base: bool = False
) -> tuple[GraphLine, ...]:
    """Return the graph of `base..head`, both full object ids, newest first; all of `head` without a base.

    Spawns one process. Raises: GitError when a commit cannot be read, for example because history has moved
    and it is gone.
    """
    raise NotImplementedError
