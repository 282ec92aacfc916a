"""A tree of trees being changed in memory, loaded where it is touched.

Layer: store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gitlimmat.git.objects import MODE_FILE, MODE_TREE, Entry, ObjectBatch

Reader = Callable[[str], Mapping[bytes, Entry]]


class Edit:
    """One directory under change. What is not touched is never read. `oid` is its id as read or written."""

    def __init__(self, read: Reader, oid: str | None) -> None:
        self._read = read
        self.oid = oid
        self.entries: dict[bytes, Entry] = dict(read(oid)) if oid else {}
        self._children: dict[bytes, Edit] = {}
        self._changed = not self.entries  # a damaged tree is replaced by what is put here

    def child(self, *path: bytes) -> Edit:
        """Return the directory at `path` below this one; what is not there, or no directory, is empty."""
        place = self
        for name in path:
            place = place._child(name)
        return place

    def has_child(self, name: bytes) -> bool:
        """Whether the directory `name` has been asked for before."""
        return name in self._children

    def blob(self, name: bytes) -> str | None:
        """Return the id of the file `name`, None when there is none."""
        entry = self.entries.get(name)
        return entry.oid if entry is not None and entry.mode != MODE_TREE else None

    def set_blob(self, name: bytes, oid: str) -> None:
        """Put a file here, in place of whatever has its name."""
        self.set(name, Entry(MODE_FILE, oid))

    def set(self, name: bytes, entry: Entry | None) -> None:
        """Put an entry here, in place of whatever has its name; None removes it."""
        self._children.pop(name, None)
        if entry == self.entries.get(name):
            return
        self._changed = True
        if entry is None:
            del self.entries[name]
        else:
            self.entries[name] = entry

    def write(self, batch: ObjectBatch) -> str | None:
        """Add all changed trees to `batch` and return the id of this one, None when it is empty."""
        for name, child in list(self._children.items()):
            oid = child.write(batch)
            self.set(name, Entry(MODE_TREE, oid) if oid is not None else None)
        if not self.entries:
            return None
        if self._changed or self.oid is None:
            self.oid = batch.tree(self.entries)
            self._changed = False
        return self.oid

    def _child(self, name: bytes) -> Edit:
        child = self._children.get(name)
        if child is None:
            entry = self.entries.get(name)
            oid = entry.oid if entry is not None and entry.mode == MODE_TREE else None
            child = self._children[name] = Edit(self._read, oid)
        return child
