"""Which commits a branch has, asked again and again while it moves on.

Layer: git.
"""

from __future__ import annotations

from gitlimmat.git.objects import has_object
from gitlimmat.git.repository import Repository

_MOST_KNOWN = 100_000


class Ancestry:
    """The history of one branch. What was asked once is remembered; a branch that moves on adds to it.

    An object that is missing or damaged is in no history. For one thread at a time.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._tip = ""
        self._known: dict[str, bool] = {}

    def move(self, tip: str) -> None:
        """Let `tip` be where the branch is now."""
        if tip == self._tip:
            return
        before, self._tip = self._tip, tip
        added = self._added(before, tip) if before and self._known else None
        if added is None or len(self._known) > _MOST_KNOWN:
            self._known.clear()
            return
        for oid in self._known.keys() & added:
            self._known[oid] = True

    def has(self, oid: str) -> bool:
        """Whether the branch has this commit."""
        known = self._known.get(oid)
        if known is None:
            known = self._asked(oid)
            self._known[oid] = known
        return known

    def _asked(self, oid: str) -> bool:
        import pygit2

        if oid == self._tip:
            return True
        try:
            return self._repository.objects.descendant_of(self._tip, oid)
        except (KeyError, ValueError, pygit2.GitError):
            if not has_object(self._repository.objects, oid):
                return False
            # git reads commits that libgit2 1.9.7 does not, such as one with a date of twenty digits
            return self._repository.git.succeeds("merge-base", "--is-ancestor", oid, self._tip)

    def _added(self, before: str, tip: str) -> set[str] | None:
        """Return the commits that `tip` has and `before` has not; None when it does not descend from it."""
        import pygit2

        objects = self._repository.objects
        try:
            if not objects.descendant_of(tip, before):
                return None
            walk = objects.walk(tip, pygit2.enums.SortMode.NONE)
            walk.hide(before)
            return {str(commit.id) for commit in walk}
        except (KeyError, ValueError, pygit2.GitError):
            return None
