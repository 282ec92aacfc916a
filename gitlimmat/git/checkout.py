"""Bring one linked worktree to a commit, exactly, and cheaply when little has changed.

Layer: git.

From one switch to the next we remember how every tracked file and directory looked. A switch compares the
two trees, looks for what a job has touched, writes the files that differ either way, and removes what is
neither tracked nor ignored. Whatever is not plain enough for that is left to git (`porcelain`).
"""

# ruff: noqa: PTH118, PTH208
# Names are bytes here: a file name need not be text.

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from gitlimmat.git.entryfiles import (
    CONVERSION,
    read_file,
    read_head,
    read_tail,
    tidy,
    write_head,
    write_index,
)
from gitlimmat.git.folders import Folders
from gitlimmat.git.index import Index, parse_index
from gitlimmat.git.porcelain import PorcelainCheckout, git_in
from gitlimmat.git.process import Git
from gitlimmat.git.removal import remove, remove_file
from gitlimmat.git.repository import Repository
from gitlimmat.git.rules import Rules, Stamp, converts_nothing, read_rules, stamps
from gitlimmat.git.snapshot import Snapshot
from gitlimmat.git.trees import Entry, Trees, UnusualTreeError
from gitlimmat.git.witness import Budget, Witness, make_witness
from gitlimmat.model import Commit

_ATTRIBUTES = b".gitattributes"
_IGNORE = b".gitignore"
_MANY = 500  # files of a worktree without any: git is faster, with its workers
_CHECKSUM = 20  # bytes at the end of an index file
_SECONDS_NS = 2_000_000_000  # git may be built to compare whole seconds only (USE_NSEC)
_MOST_LOSSES = 6
_LARGE = 1_500  # tracked files: a git of its own looks at them faster than we do

Wanted = dict[bytes, Entry | None]


class Known(msgspec.Struct):
    """What a finished switch leaves for the next one.

    `checksum` is that of the index file as we wrote it, at `finished_ns` since the epoch. `witness` watches
    the files once two switches in a row have been cheap; it is believed (`armed`) from the next look at all
    files on. `pause` is how many switches to wait before another one is tried, `losses` how many were lost.
    """

    snapshot: Snapshot
    folders: Folders
    tree: bytes
    ignore_stamps: tuple[Stamp, ...]
    checksum: bytes = b""
    finished_ns: int = 0
    witness: Witness | None = None
    armed: bool = False
    pause: int = 1
    losses: int = 0


class Checkout:
    """What we know of the files of one worktree. For one thread at a time."""

    def __init__(self, repository: Repository, path: Path, entry: Path, budget: Budget) -> None:
        self.entry = entry
        self._root = os.fsencode(path)
        self._entry = os.fsencode(entry)
        self._common_dir = repository.common_dir
        self._git = git_in(repository.git, path)
        self._trees = Trees(msgspec.structs.replace(repository))  # with a libgit2 handle of its own
        self._budget = budget
        self._rules: Rules | None = None
        self._known: Known | None = None
        self._plain_attributes: dict[bytes, bool] = {}

    def switch(self, commit: Commit, *, dirty: bool, permissions: int) -> str | None:
        """Make files, index and HEAD those of `commit`; return the commit that HEAD named before.

        With `dirty` nothing is taken for granted and every file is compared by content. `permissions` are
        those that the umask leaves to a new executable file.

        Raises: OSError or GitError; the next switch has to be told that the worktree is dirty.
        """
        tidy(self._entry)
        previous = read_head(self._entry)
        if previous is None:
            write_head(self._entry, commit.id)  # without a sound HEAD, git sees no repository here
        known, self._known = self._known, None
        self._trees.refresh()
        if dirty:
            known = None
        if self._rules is None or not self._rules.is_current():
            self._rules = read_rules(self._git, self._common_dir)
            known = None
        try:
            self._known = self._switch_plainly(bytes.fromhex(commit.tree), known, permissions, dirty=dirty)
        except UnusualTreeError:
            self._known = None
        if self._known is None:
            by_git = PorcelainCheckout(self._git, self._root, self._entry)
            by_git.switch(commit, self._rules, dirty=dirty, permissions=permissions)
        else:
            write_head(self._entry, commit.id)
        return previous

    def _switch_plainly(
        self, tree: bytes, known: Known | None, permissions: int, *, dirty: bool
    ) -> Known | None:
        """Make files and index those of `tree` and return what we know then; None when git has to do it.

        Raises: UnusualTreeError when git has to do it, too.
        """
        if not self._current_rules.exact:
            return None
        if known is None:
            return self._start(tree, permissions, dirty=dirty)
        known.snapshot.permissions = known.folders.permissions = permissions
        self._update(known, tree)
        return known

    def _update(self, known: Known, tree: bytes) -> None:
        """Go from the known state to `tree`."""
        snapshot, folders = known.snapshot, known.folders
        wanted = self._trees.compare(known.tree, tree)
        self._check_attributes(wanted)
        broken = folders.inspect()
        suspects = self._suspects(known)
        for path in broken:
            below = path + b"/"
            suspects.update(found for found in snapshot.files if found.startswith(below))
        for path in suspects:
            if path in wanted:
                continue
            entry = snapshot.entry(path)
            if entry is None or not snapshot.is_intact(path, entry):
                wanted[path] = entry
            elif known.witness is not None:
                known.witness.watch(path, snapshot.files[path][0])  # it may be another file by now
        now = stamps(self._current_rules.ignore_sources)
        distrusted = now != known.ignore_stamps
        self._finish(known, wanted, distrusted=distrusted)
        known.tree = tree
        known.ignore_stamps = now
        self._watch(known)

    def _start(self, tree: bytes, permissions: int, *, dirty: bool) -> Known:
        """Go from whatever is there to `tree`, trusting the index file as far as git does."""
        target = self._trees.list(tree)
        wanted: Wanted = dict(target)
        self._check_attributes(wanted)
        index, written_ns = self._read_index()
        if len(target) > _MANY and not len(index) and os.listdir(self._root) == [b".git"]:
            raise UnusualTreeError("git writes many files faster")
        ignore_stamps = stamps(self._current_rules.ignore_sources)
        snapshot, folders = Snapshot(self._root, index), Folders(self._root)
        snapshot.permissions = folders.permissions = permissions
        marker = os.path.join(self._entry, CONVERSION)
        for path, _ in index:
            folders.add_file(path)
        folders.inspect()
        if not dirty and not os.path.lexists(marker):
            snapshot.adopt_index(written_ns)
        for path in [path for path, _ in index if path not in target]:
            _remove_file(snapshot, folders, path)
        for path, entry in target.items():
            trusted = path in snapshot.files and path not in snapshot.unsettled
            if trusted and snapshot.entry(path) == entry:
                del wanted[path]
                continue
            folders.make_parent(path)
            if snapshot.is_intact(path, entry):
                folders.add_file(path)
                del wanted[path]
        known = Known(snapshot, folders, tree, ignore_stamps)
        self._finish(known, wanted, distrusted=False)
        remove(marker)
        return known

    def _finish(self, known: Known, wanted: Wanted, *, distrusted: bool) -> None:
        """Remove and write the files that differ, write the index, and look after untracked files."""
        snapshot, folders = known.snapshot, known.folders
        for path, entry in wanted.items():
            if entry is None:
                _remove_file(snapshot, folders, path)
                if known.witness is not None:
                    known.witness.forget(path)
        for path, entry in wanted.items():
            if entry is not None:
                self._write(known, path, entry)
        data = snapshot.index.serialize()
        write_index(self._entry, data)
        known.checksum = data[-_CHECKSUM:]
        known.finished_ns = time.time_ns()
        if distrusted or any(path.endswith(_IGNORE) for path in wanted):
            folders.distrust()
        folders.settle(self._git)

    def _write(self, known: Known, path: bytes, entry: Entry) -> None:
        folders, snapshot = known.folders, known.snapshot
        folders.make_parent(path)
        if not snapshot.can_overwrite(path, entry):
            folders.touch_parent(path)
        data = self._trees.blob(entry[1])
        if known.witness is not None:
            known.witness.forget(path)
        if not snapshot.write(path, entry, data):
            folders.clear(path)
            snapshot.write(path, entry, data)
        folders.add_file(path)
        if known.witness is not None:
            known.witness.watch(path, snapshot.files[path][0])

    def _suspects(self, known: Known) -> set[bytes]:
        """Return the files that may not be what they were, by the witness or by looking at all of them."""
        snapshot = known.snapshot
        touched = known.witness.touched() if known.witness is not None else None
        if known.witness is not None and touched is None:
            known.witness.close()
            known.witness = None
            known.armed = False
            known.losses += 1
            known.pause = 2**known.losses
        if known.armed and touched is not None:
            return touched.union(snapshot.changed_files(known.folders.tracked_in_changed()))
        known.armed = touched is not None
        return set(self._changed_files(known)).union(snapshot.unsettled, touched or ())

    def _watch(self, known: Known) -> None:
        """Have the files watched, if that has not failed too often."""
        known.pause -= 1
        if known.witness is not None or known.pause > 0 or known.losses > _MOST_LOSSES:
            return
        files = known.snapshot.files
        known.witness = make_witness(self._root, len(files), self._budget)
        if known.witness is None:
            known.losses = _MOST_LOSSES + 1
            return
        for path, seen in files.items():
            known.witness.watch(path, seen[0])

    def _changed_files(self, known: Known) -> list[bytes]:
        """Return the files that do not look as they did."""
        if len(known.snapshot.files) < _LARGE:
            return known.snapshot.changed_files()
        path = os.path.join(self._entry, b"index")
        if read_tail(path, _CHECKSUM) != known.checksum:
            write_index(self._entry, known.snapshot.index.serialize())
        fresh = known.snapshot.changed_since(known.finished_ns - _SECONDS_NS)
        return [*known.snapshot.changed_files(fresh), *_changed_says_git(self._git)]

    def _read_index(self) -> tuple[Index, int]:
        """Return the index file, and when it was written; an empty one when it cannot be used."""
        try:
            data, written_ns = read_file(os.path.join(self._entry, b"index"))
        except OSError:
            return Index(), 0
        return parse_index(data) or Index(), written_ns

    def _check_attributes(self, wanted: Wanted) -> None:
        """Raises: UnusualTreeError when a commit's attributes ask git to convert files."""
        for path, entry in wanted.items():
            if entry is None or not path.endswith(_ATTRIBUTES):
                continue
            oid = entry[1]
            plain = self._plain_attributes.get(oid)
            if plain is None:
                plain = self._plain_attributes[oid] = converts_nothing(self._trees.blob(oid))
            if not plain:
                raise UnusualTreeError(f"'{os.fsdecode(path)}' asks for more than writing blobs")

    @property
    def _current_rules(self) -> Rules:
        assert self._rules is not None  # read by `switch`
        return self._rules


def _remove_file(snapshot: Snapshot, folders: Folders, path: bytes) -> None:
    """Remove a tracked file; a directory that a job put there is left to `folders`, as untracked."""
    snapshot.forget(path)
    folders.drop_file(path)
    if path.rpartition(b"/")[0] in folders:
        remove_file(os.path.join(snapshot.root, path))


def _changed_says_git(git: Git) -> list[bytes]:
    """Return the files whose stat data is not that of the index file."""
    options = (
        *("-c", "core.preloadIndex=true", "-c", "core.trustctime=true", "-c", "core.checkStat=default"),
        *("-c", "core.ignoreStat=false", "-c", "core.untrackedCache=false"),
    )
    return (
        git.with_options(*options).call("diff-files", "-z", "--name-only", "--no-ext-diff").split(b"\0")[:-1]
    )
