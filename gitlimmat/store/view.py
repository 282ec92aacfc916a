"""Results as they were at one moment: lookups that never write, wait or spawn.

Layer: store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gitlimmat.git.objects import MODE_TREE, Entry, has_object
from gitlimmat.model import Definition, Result
from gitlimmat.store.memory import Memory
from gitlimmat.store.names import DEFINITIONS, FORMAT, RESULTS, split_subject

FORMAT_NUMBER = 1

_LONGEST_NUMBER = 10


class View:
    """The stored results at one moment. `root` is the id of the tree, None for an empty store."""

    def __init__(self, memory: Memory, root: str | None) -> None:
        self.root = root
        self._memory = memory
        self._top: Mapping[bytes, Entry] = memory.tree(root) if root is not None else {}
        self._slots: dict[bytes, str | None] = {}
        # Callers ask for test after test of one subject; in one attribute, so that threads see it whole.
        self._last: tuple[str, tuple[Result, ...]] = ("", ())

    @property
    def format(self) -> int | None:
        """The number of the format this is stored in, None when it cannot be read."""
        entry = self._top.get(FORMAT)
        content = self._memory.blob(entry.oid) if entry is not None else None
        if content is None:
            return FORMAT_NUMBER
        text = content.strip()
        return int(text) if text.isdigit() and len(text) < _LONGEST_NUMBER else None

    def history(self, subject: str) -> tuple[Result, ...]:
        """Return all results about a subject, in the order they were stored: oldest first."""
        last, history = self._last
        if subject == last:
            return history
        entry = self._subject_tree(subject).get(RESULTS)
        history = () if entry is None or entry.mode == MODE_TREE else self._memory.results(entry.oid)
        self._last = subject, history
        return history

    def scan(self, subject: str) -> tuple[Result, ...]:
        """Return what `history` does, for a walk over all subjects: nothing is remembered."""
        entry = self._subject_tree(subject).get(RESULTS)
        return self._memory.decode(entry.oid) if entry is not None and entry.mode != MODE_TREE else ()

    def known(self, subject: str, definition: Definition) -> Result | None:
        """Return the newest result of this very definition that stands for a run, None when there is none.

        A result whose artifacts are gone does not.
        """
        for result in self._matching(subject, definition):
            if result.reusable and self._is_whole(result):
                return result
        return None

    def latest(self, subject: str, definition: Definition) -> Result | None:
        """Return the newest result of this very definition whatever its outcome."""
        return next(self._matching(subject, definition), None)

    def definition(self, digest: str) -> bytes | None:
        """Return the text of the definition stored under a name, as results give it."""
        entry = self._definitions.get(digest.encode())
        return self._memory.blob(entry.oid) if entry is not None else None

    def changed_since(self, before: View, subjects: Iterable[str]) -> set[str]:
        """Return those of `subjects` about which `before` does not say the same."""
        if self.root == before.root:
            return set()
        tops = (self._top, before._top)
        changed = set()
        for subject in subjects:
            first, rest = split_subject(subject)
            now, then = (top.get(first) for top in tops)
            if now != then:
                now, then = (self._directory(top, first).get(rest) for top in tops)
                if now != then:
                    changed.add(subject)
        return changed

    def subjects(self) -> Iterator[str]:
        """Yield every subject that has something stored, in order of its id."""
        for first, entry in self._top.items():
            if len(first) == 2 and entry.mode == MODE_TREE:
                for rest in self._memory.tree(entry.oid):
                    yield (first + rest).decode(errors="replace")

    @property
    def _definitions(self) -> Mapping[bytes, Entry]:
        return self._directory(self._top, DEFINITIONS)

    def _subject_tree(self, subject: str) -> Mapping[bytes, Entry]:
        first, rest = split_subject(subject)
        return self._directory(self._directory(self._top, first), rest)

    def _directory(self, place: Mapping[bytes, Entry], name: bytes) -> Mapping[bytes, Entry]:
        entry = place.get(name)
        return self._memory.tree(entry.oid) if entry is not None and entry.mode == MODE_TREE else {}

    def _matching(self, subject: str, definition: Definition) -> Iterator[Result]:
        history = self.history(subject)
        if history and (slot := self._slot(definition)) is not None:
            for result in reversed(history):
                if result.digest == slot and result.test == definition.test:
                    yield result

    def _slot(self, definition: Definition) -> str | None:
        """Return the name this definition is stored under: its bytes decide, the digest only guides."""
        if definition.text in self._slots:
            return self._slots[definition.text]
        found = None
        for slot in slots(definition.digest):
            if slot.encode() not in self._definitions:
                break
            if self.definition(slot) == definition.text:
                found = slot
                break
        self._slots[definition.text] = found
        return found

    def _is_whole(self, result: Result) -> bool:
        return result.artifacts is None or has_object(self._memory.objects, result.artifacts.oid)


def slots(digest: str) -> Iterator[str]:
    """Yield the names a definition with this digest may be stored under, in the order they are tried."""
    yield digest
    number = 1
    while True:
        yield f"{digest}-{number}"
        number += 1
