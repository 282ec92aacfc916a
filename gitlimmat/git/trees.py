"""Trees as plain mappings: list one, or compare two, without a worktree.

Layer: git.
"""

from __future__ import annotations

from gitlimmat.errors import GitError
from gitlimmat.git.repository import Repository

TREE = 0o040000
LINK = 0o120000
GITLINK = 0o160000
REGULAR = 0o100644
EXECUTABLE = 0o100755

Entry = tuple[int, bytes]  # git's mode, and the 20 bytes of the object id

_REMEMBERED = 20_000  # entries, about 2 MB; of large directories at least the latest few
_AT_LEAST = 8  # trees


class UnusualTreeError(GitError):
    """A tree holds what only git itself should check out, or objects are missing. Nothing was done."""


class Trees:
    """Reads trees of one repository and remembers the latest ones. For one thread at a time."""

    def __init__(self, repository: Repository) -> None:
        import pygit2

        self._repository = repository
        self._oid = pygit2.Oid
        self.refresh()
        self._known: dict[bytes, dict[bytes, Entry]] = {}
        self._count = 0  # entries in all of `_known`

    def refresh(self) -> None:
        """Let go of packs that are gone."""
        self._read = self._repository.objects.read

    def list(self, tree: bytes) -> dict[bytes, Entry]:
        """Return every file below `tree` by its path.

        Raises: UnusualTreeError.
        """
        found: dict[bytes, Entry] = {}
        self._collect(b"", tree, found)
        return found

    def compare(self, old: bytes, new: bytes) -> dict[bytes, Entry | None]:
        """Return the files of `new` that differ from `old`, and None for those that `new` has not.

        Raises: UnusualTreeError.
        """
        changed: dict[bytes, Entry | None] = {}
        self._compare(b"", old, new, changed)
        return changed

    def blob(self, oid: bytes) -> bytes:
        """Return the content of a blob.

        Raises: UnusualTreeError when it is missing.
        """
        try:
            return bytes(self._read(self._oid(raw=oid))[1])
        except (KeyError, ValueError, OSError) as error:
            raise UnusualTreeError(f"cannot read object '{oid.hex()}'") from error

    def _compare(self, prefix: bytes, old: bytes, new: bytes, changed: dict[bytes, Entry | None]) -> None:
        if old == new:
            return
        before, after = self._entries(old), self._entries(new)
        for name, (mode, oid) in before.items() - after.items():
            now = after.get(name)
            path = prefix + name
            if mode != TREE:
                changed.setdefault(path, None)
            elif now is not None and now[0] == TREE:
                self._compare(path + b"/", oid, now[1], changed)
            else:
                gone: dict[bytes, Entry] = {}
                self._collect(path + b"/", oid, gone)
                changed.update(dict.fromkeys(gone))
        for name, entry in after.items() - before.items():
            path = prefix + name
            was = before.get(name)
            if entry[0] != TREE:
                changed[path] = entry
            elif was is None or was[0] != TREE:
                added: dict[bytes, Entry] = {}
                self._collect(path + b"/", entry[1], added)
                changed.update(added)

    def _collect(self, prefix: bytes, tree: bytes, found: dict[bytes, Entry]) -> None:
        for name, entry in self._entries(tree).items():
            if entry[0] == TREE:
                self._collect(prefix + name + b"/", entry[1], found)
            else:
                found[prefix + name] = entry

    def _entries(self, tree: bytes) -> dict[bytes, Entry]:
        known = self._known.pop(tree, None)
        if known is None:
            known = parse_tree(self.blob(tree))
            self._count += len(known)
            while self._count > _REMEMBERED and len(self._known) >= _AT_LEAST:
                self._count -= len(self._known.pop(next(iter(self._known))))
        self._known[tree] = known
        return known


def parse_tree(data: bytes) -> dict[bytes, Entry]:
    """Return the entries of a tree object by name.

    Raises: UnusualTreeError when a name is one that git refuses to check out, or an entry is a submodule.
    """
    entries: dict[bytes, Entry] = {}
    place = 0
    while place < len(data):
        space = data.index(b" ", place)
        end = data.index(b"\0", space)
        name = data[space + 1 : end]
        mode = _MODES.get(data[place:space])
        if mode is None or not name or b"/" in name or _is_forbidden(name) or name in entries:
            raise UnusualTreeError(f"cannot check out '{name.decode(errors='replace')}' in process")
        entries[name] = (mode, data[end + 1 : end + 21])
        place = end + 21
    return entries


_MODES = {
    b"100644": REGULAR,
    b"100664": REGULAR,
    b"100755": EXECUTABLE,
    b"120000": LINK,
    b"40000": TREE,
}


def _is_forbidden(name: bytes) -> bool:
    return name.startswith(b".") and (name in (b".", b"..") or name.lower() == b".git")
