"""What was read from the store, remembered by object id, with damage told of.

Layer: store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gitlimmat.git.objects import DamagedObjectError, Entry, read_blob, read_tree
from gitlimmat.git.repository import Repository
from gitlimmat.git.stored import is_out_of_reach
from gitlimmat.model import Result
from gitlimmat.store.record import decode_lines

if TYPE_CHECKING:
    import pygit2

_MOST_ENTRIES = 50_000  # about 15 MB
_MOST_RESULTS = 20_000  # about 20 MB
_MOST_ASKED = 8  # one trouble, such as too many open files, makes many unreadable


class Memory:
    """Objects read through one repository. Missing and damaged ones are absent, with a warning.

    What is remembered serves every later view as well, because an id always means the same content.
    """

    def __init__(self, repository: Repository, warn: Callable[[str], None]) -> None:
        self._repository = repository
        self._warn = warn
        self._trees: dict[str, Mapping[bytes, Entry]] = {}
        self._entries = 0
        self._results: dict[str, tuple[Result, ...]] = {}
        self._lines = 0
        self.suspects: set[tuple[str, str]] = set()  # kind and id of what could not be read

    @property
    def objects(self) -> pygit2.Repository:
        """The libgit2 handle to read with now."""
        return self._repository.objects

    def tree(self, oid: str) -> Mapping[bytes, Entry]:
        """Return the entries of a tree; a damaged one has none."""
        found = self._trees.get(oid)
        if found is None:
            try:
                found = read_tree(self.objects, oid)
            except DamagedObjectError as error:
                self.suspects.add(("tree", oid))
                self._warn(f"some results are lost: {error}")
                return {}
            self._entries += len(found)
            if self._entries > _MOST_ENTRIES:
                self._trees = {}
                self._entries = len(found)
            self._trees[oid] = found
        return found

    def is_readable(self, oid: str) -> bool:
        """Whether a tree can be read."""
        try:
            read_tree(self.objects, oid)
        except DamagedObjectError:
            return False
        return True

    def blob(self, oid: str) -> bytes | None:
        """Return the content of a blob, None for a damaged one."""
        try:
            return read_blob(self.objects, oid)
        except DamagedObjectError as error:
            self.suspects.add(("blob", oid))
            self._warn(f"some results are lost: {error}")
            return None

    def is_out_of_reach(self) -> bool:
        """Whether any of the `suspects` is there after all: git can read it.

        Raises: GitError when git cannot be asked.
        """
        some = sorted(self.suspects)[:_MOST_ASKED]
        return any(is_out_of_reach(self._repository, kind, oid) for kind, oid in some)

    def results(self, oid: str) -> tuple[Result, ...]:
        """Return the results in a blob of lines, oldest first; lines that cannot be read are left out."""
        found = self._results.get(oid)
        if found is None:
            found = self.decode(oid)
            self._lines += len(found)
            if self._lines > _MOST_RESULTS:
                self._results = {}
                self._lines = len(found)
            self._results[oid] = found
        return found

    def decode(self, oid: str) -> tuple[Result, ...]:
        """Return what `results` does, without remembering it."""
        results, complete = decode_lines(self.blob(oid) or b"")
        if not complete:
            self._warn(
                "some stored results cannot be read and are ignored: "
                "they are damaged, or a newer git-limmat wrote them"
            )
        return results
