"""Results kept in the tree of one ref: read them, add to them, remove some.

Layer:  store. May import git, model, errors; may not spawn jobs, print or wait for them.
Owns:   refs/limmat/results. No other module spells this name; for what others have sent see share.py.
Format: 1, see DESIGN.md section 4 and gitlimmat-format(5). Lines are added, never edited, so joining two
        writers is a union.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from gitlimmat.errors import GitError, LimmatError, RefMovedError, StoreError
from gitlimmat.git.database import database_of, find_database, make_database
from gitlimmat.git.objects import DamagedObjectError, ObjectBatch, read_blob
from gitlimmat.git.refs import (
    BrokenRefError,
    RefUpdate,
    delete_broken_ref,
    is_locked,
    read_ref,
    remove_stale_lock,
    update_refs,
)
from gitlimmat.git.repository import Repository
from gitlimmat.git.stored import EMPTY_TREE
from gitlimmat.model import Result, counted
from gitlimmat.store.edit import Edit
from gitlimmat.store.forget import forget_results, select_results
from gitlimmat.store.locks import update_lock
from gitlimmat.store.memory import Memory
from gitlimmat.store.packing import note_packs
from gitlimmat.store.publish import add_results, prepare, put_format
from gitlimmat.store.record import Record
from gitlimmat.store.view import FORMAT_NUMBER, View

__all__ = ["RESULTS_REF", "Record", "Store", "View"]

RESULTS_REF = "refs/limmat/results"
_UPDATE_WITHIN_S = 10.0
_HINTS = {
    errno.ENOSPC: "free some space; what was stored before is safe",
    errno.EDQUOT: "free some space; what was stored before is safe",
    errno.EROFS: "make the repository writable, or name another place with --result-db",
    errno.EACCES: "make the repository writable, or name another place with --result-db",
}


class Store:
    """The stored results of a repository, or of the bare repository `result_db`; in a tree below `ref`.

    Reading writes nothing and makes nothing. Thread-safe: one thread may publish while another reads.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        result_db: Path | None = None,
        notes_ref: str | None = "refs/notes/limmat",
        ref: str = RESULTS_REF,
        warn: Callable[[str], None],
    ) -> None:
        self.repository = repository
        self.notes_ref = notes_ref
        self._ref = ref
        self._warn = warn
        self._told: set[str] = set()
        self._directory = result_db.absolute() if result_db is not None else None
        self.state_dir = repository.state_dir if self._directory is None else self._directory / "limmat"
        self._found: Repository | None = None
        self._view: View | None = None

    @property
    def database(self) -> Repository:
        """The repository that holds the results, made if it does not exist yet.

        Raises: GitError when it cannot be used.
        """
        if self._found is None:
            self._found = self._find_database()
        if self._found is None and self._directory is not None:
            self._found = make_database(self.repository.git, self._directory)
        return self._found or self.repository

    def existing_database(self) -> Repository | None:
        """Return the repository that holds the results, None when there is none yet. Makes nothing.

        Raises: GitError when it cannot be used.
        """
        return self._found if self._exists() else None

    def warn_once(self, message: str) -> None:
        """Pass on a warning the first time it is given."""
        if message not in self._told:
            self._told.add(message)
            self._warn(message)

    def view(self) -> View:
        """Return the results as they are now: the same object as before while nothing has changed.

        A ref that cannot be read stands for no results, with a warning.
        """
        root = self._read_root() if self._exists() else None
        view = self._view
        if view is None or view.root != root:
            memory = self._memory if self._exists() else Memory(self.repository, self.warn_once)
            view = self._view = View(memory, root)
        return view

    def publish(self, records: Sequence[Record]) -> tuple[Result, ...]:
        """Store finished jobs for good, and return their results as stored, in the same order.

        On return they survive a crash of the machine, whoever else has stored results meanwhile.
        Raises: StoreError when that failed. None of `records` is stored then.
        """
        if not records:
            return ()
        try:
            batch = ObjectBatch(self.database)
            prepared = [prepare(record, batch) for record in records]
            results: tuple[Result, ...] = ()

            def add(top: Edit, memory: Memory) -> None:
                nonlocal results
                results = add_results(top, prepared, batch, memory)

            self.change(add, batch, f"limmat: add {counted(len(records), 'result')}")
        except (LimmatError, OSError) as error:
            names = ", ".join(f"'{name}'" for name in dict.fromkeys(record.result.test for record in records))
            raise _store_error(f"cannot store {counted(len(records), 'result')} of {names}", error) from error
        return results

    def forget(
        self, wanted: Callable[[str, Result], bool], subjects: Sequence[str], *, dry_run: bool
    ) -> tuple[tuple[str, Result], ...]:
        """Remove the results about `subjects` that are `wanted`, with their files, and return them.

        Raises: StoreError when that failed. Nothing is removed then.
        """
        view = self.view()
        gone = tuple(select_results(view, wanted, subjects))
        if dry_run or not gone:
            return gone
        try:
            batch = ObjectBatch(self.database)

            def remove(top: Edit, memory: Memory) -> None:
                nonlocal gone
                gone = forget_results(top, wanted, subjects, batch, memory)

            self.change(remove, batch, f"limmat: forget {counted(len(gone), 'result')}")
        except (LimmatError, OSError) as error:
            raise _store_error(f"cannot forget {counted(len(gone), 'result')}", error) from error
        return gone

    def read_blob(self, oid: str) -> bytes:
        """Return the content of a stored output.

        Raises: StoreError when it is missing or damaged.
        """
        try:
            return read_blob(self.database.objects, oid)
        except DamagedObjectError as error:
            raise StoreError(f"cannot read stored output: {error}", hint="run the test again") from error

    @staticmethod
    def empty_tree() -> str:
        """Return the id that stands for artifacts without any file."""
        return EMPTY_TREE

    def change(self, apply: Callable[[Edit, Memory], None], batch: ObjectBatch, reason: str) -> None:
        """Let `apply` edit the newest tree and make the outcome the new one; again if someone was faster.

        Everything in `batch`, to which `apply` may add, is written before.
        Raises: GitError, OSError, or StoreError for a format that only newer versions may write.
        """
        memory = self._memory
        end = time.monotonic() + _UPDATE_WITHIN_S
        with update_lock(self.state_dir):
            try:
                while True:
                    memory.suspects.clear()
                    old = self._root_to_replace()
                    _check_format(View(memory, old), self._ref)
                    top = Edit(memory.tree, old)
                    apply(top, memory)
                    put_format(top, batch, memory)
                    new = top.write(batch)
                    _check_reach(memory)
                    batch.write()
                    if new == old or self._move(RefUpdate(self._ref, new, old), reason, end):
                        break
                batch.confirm()
            finally:
                batch.release()
            if batch.packs:
                note_packs(self.database, self.state_dir, batch.packs)

    def _move(self, update: RefUpdate, reason: str, end: float) -> bool:
        """Move the ref; return False when that is worth another try."""
        directory = self.database.common_dir
        try:
            update_refs(self.database.git, [update], reason)
        except RefMovedError:
            if time.monotonic() > end:
                raise
            return False
        except GitError:
            # We are the only one of ours who updates refs now: an old lock file is a dead process's.
            if remove_stale_lock(directory, update.name):
                return False
            if time.monotonic() > end or not is_locked(directory, update.name):
                raise
            return False
        return True

    @cached_property
    def _memory(self) -> Memory:
        return Memory(self.database, self.warn_once)

    def _exists(self) -> bool:
        """Whether there is a database yet."""
        if self._found is None:
            self._found = self._find_database()
        return self._found is not None

    def _find_database(self) -> Repository | None:
        if self._directory is None:
            return database_of(self.repository)
        return find_database(self.repository.git, self._directory)

    def _read_root(self) -> str | None:
        try:
            return read_ref(self._memory.objects, self._ref)
        except GitError as error:
            self.warn_once(f"stored results are ignored: {error}")
            return None

    def _root_to_replace(self) -> str | None:
        """Return the value of the ref, after removing one that says nothing."""
        memory = self._memory
        try:
            root = read_ref(memory.objects, self._ref)
        except BrokenRefError as error:
            self.warn_once(f"all stored results are lost: {error}")
            delete_broken_ref(self.database.common_dir, self._ref)
            return None
        if root is not None and not memory.is_readable(root):
            self.warn_once(f"stored results are replaced: tree '{root}' of '{self._ref}' cannot be read")
        return root


def _check_format(view: View, ref: str) -> None:
    if view.format != FORMAT_NUMBER:
        raise StoreError(
            f"'{ref}' has format {view.format or 'unknown'}, this git-limmat writes {FORMAT_NUMBER}",
            hint="update git-limmat; it can read these results, but not add to them",
        )


def _check_reach(memory: Memory) -> None:
    """Refuse to replace what only seems to be lost."""
    if memory.suspects and memory.is_out_of_reach():
        raise StoreError(
            "some stored results cannot be read now, and would be lost",
            hint="nothing is lost yet: try again, or see what 'git limmat doctor' says",
        )


def _store_error(what: str, error: LimmatError | OSError) -> StoreError:
    if isinstance(error, LimmatError):
        return StoreError(f"{what}: {error.message}", hint=error.hint)
    place = f" '{error.filename}'" if error.filename else ""
    return StoreError(f"{what}:{place} {error.strerror or error}", hint=_HINTS.get(error.errno or 0))
