"""What is in the directories of a worktree beside tracked files, and which of it has to go.

Layer: git.

A directory whose lstat(2) is what it was holds the same names as before, so only changed ones are listed.
Names that are not tracked are asked of `git check-ignore` once: ignored ones stay and are remembered, all
others are removed. An untracked directory that is not ignored itself stays while ignored files are in it.
"""

# ruff: noqa: PTH101, PTH102, PTH118
# Names are bytes here: a file name need not be text.

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator

from gitlimmat.errors import GitError
from gitlimmat.git.process import Git
from gitlimmat.git.removal import remove
from gitlimmat.git.snapshot import is_settled

_GIT = b".git"
_RULES = b".gitignore"

Key = tuple[int, int, int, int]  # mtime_ns, ctime_ns, inode, mode


class Folder:
    """One directory: names of tracked files and directories in it, and of untracked ones that stay.

    `kept` says of each whether it is a directory. `key` tells it from its changed self, and `rules` does so
    for a `.gitignore` that no commit knows of.
    """

    __slots__ = ("kept", "key", "rules", "tracked", "where")

    def __init__(self, where: bytes) -> None:
        self.where = where
        self.key: Key | None = None
        self.rules: Key | None = None
        self.tracked: set[bytes] = set()
        self.kept: dict[bytes, bool] = {}


class Folders:
    """The directories below `root` that we look into, by path; the root itself is `b""`.

    Those are the ones with tracked files in them, and untracked ones that stay without being ignored.
    `permissions` are those that the umask leaves to a new directory.
    """

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.permissions = 0o755
        self._table = {b"": Folder(root)}
        self._table[b""].tracked.add(_GIT)
        self._changed = {b""}  # to be listed at the end of this switch

    def __contains__(self, path: object) -> bool:
        return path in self._table

    def add_file(self, path: bytes) -> None:
        """Note that a tracked file is, or is soon to be, at `path`."""
        parent, _, name = path.rpartition(b"/")
        folder = self._table.get(parent)
        if folder is None:
            folder = self._add_tracked(parent)
        folder.tracked.add(name)
        folder.kept.pop(name, None)

    def drop_file(self, path: bytes) -> None:
        """Note that the tracked file at `path` is gone; its directory goes in `settle` if it is empty."""
        parent, _, name = path.rpartition(b"/")
        folder = self._table.get(parent)
        if folder is not None:
            folder.tracked.discard(name)
            self._changed.add(parent)

    def touch_parent(self, path: bytes) -> None:
        """Note that we change the directory of `path`."""
        self._changed.add(path.rpartition(b"/")[0])

    def make_parent(self, path: bytes) -> None:
        """Make the directory for the file at `path`; what is in its way is removed.

        Raises: OSError.
        """
        parent = path.rpartition(b"/")[0]
        folder = self._table.get(parent)
        if folder is None or not folder.tracked:
            self._make(parent)

    def clear(self, path: bytes) -> None:
        """Remove whatever is at `path`, for a file to be put there.

        Raises: OSError.
        """
        remove(os.path.join(self.root, path))
        self._forget(path)

    def inspect(self) -> list[bytes]:
        """Find the directories that are not what they were.

        Shape: those that are gone or no directories any more. They are forgotten with all below them, and
        whatever took their place is removed.

        Raises: OSError.
        """
        lstat = os.lstat
        broken = []
        distrusted = False
        for path, folder in self._table.items():
            try:
                status = lstat(folder.where)
            except OSError:
                broken.append(path)
                continue
            if folder.key != (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode):
                if not stat.S_ISDIR(status.st_mode):
                    broken.append(path)
                    continue
                self._changed.add(path)
                if folder.tracked and status.st_mode & 0o777 != self.permissions:
                    os.chmod(folder.where, self.permissions)
            if folder.rules is not None and _key(os.path.join(folder.where, _RULES)) != folder.rules:
                distrusted = True
        for path in broken:
            self._give_up(path)
        if distrusted:
            self.distrust()
        return broken

    def _give_up(self, path: bytes) -> None:
        """Forget a directory that is none any more; what took the place of a tracked one is removed."""
        folder = self._table.get(path)
        if folder is None:
            return
        if folder.tracked:
            self.clear(path)
        self._forget(path)
        parent, _, name = path.rpartition(b"/")
        if parent in self._table:
            self._table[parent].tracked.discard(name)
            self._table[parent].kept.pop(name, None)
            self._changed.add(parent)

    def tracked_in_changed(self) -> Iterator[bytes]:
        """Yield the paths of what is tracked right in the directories that are not what they were."""
        for path in self._changed:
            prefix = path + b"/" if path else b""
            for name in self._table[path].tracked:
                yield prefix + name

    def distrust(self) -> None:
        """Look at every untracked name anew, since other files may be ignored than before."""
        for path in [path for path, folder in self._table.items() if path and not folder.tracked]:
            self._forget(path)
            parent, _, name = path.rpartition(b"/")
            if parent in self._table:
                self._table[parent].tracked.discard(name)
        for folder in self._table.values():
            folder.kept.clear()
        self._changed.update(self._table)

    def settle(self, git: Git) -> None:
        """List what has changed and remove what is neither tracked nor ignored; remember the rest.

        Raises: OSError when something cannot be listed or removed, GitError when git does not say what is
        ignored.
        """
        while not self._sort_out(git):
            self.distrust()  # rules that only a job knew of are gone, and what they made us keep
        for path in sorted(self._changed, reverse=True):
            self._close(path)
        self._record()

    def _sort_out(self, git: Git) -> bool:
        """Decide about all untracked names in changed directories; False when one of them held rules."""
        unknown: list[bytes] = []
        for path in list(self._changed):
            unknown.extend(self._list(path))
        sound = True
        while unknown:
            ignored = _ask_ignored(git, unknown)
            following: list[bytes] = []
            for path in unknown:
                if path in ignored:
                    self._keep(path)
                elif self._is_plain_directory(path):
                    self._table[path] = Folder(os.path.join(self.root, path))
                    self._changed.add(path)
                    following.extend(self._list(path))
                else:
                    remove(os.path.join(self.root, path))
                    sound = sound and path.rpartition(b"/")[2] != _RULES
            unknown = following
        return sound

    def _list(self, path: bytes) -> list[bytes]:
        """Return the paths in the directory at `path` that nothing is known about."""
        folder = self._table.get(path)
        if folder is None:
            return []
        names = self._names(folder)
        folder.kept = {name: kind for name, kind in folder.kept.items() if names.get(name) is kind}
        unknown = names.keys() - folder.tracked - folder.kept.keys()
        if folder.tracked:  # rules of a job, and its repositories, say nothing about the commit's files
            for name in unknown & {_GIT, _RULES}:
                remove(os.path.join(folder.where, name))
                unknown.discard(name)
        prefix = path + b"/" if path else b""
        return [prefix + name for name in unknown]

    def _names(self, folder: Folder) -> dict[bytes, bool]:
        """Return the names in a directory, and whether each is a directory."""
        try:
            listing = os.scandir(folder.where)
        except PermissionError:
            os.chmod(folder.where, self.permissions | 0o700)
            listing = os.scandir(folder.where)
        with listing:
            return {found.name: found.is_dir(follow_symlinks=False) for found in listing}

    def _close(self, path: bytes) -> None:
        """Remove the directory if it is untracked and empty; if only untracked, its parent keeps it."""
        folder = self._table.get(path)
        if folder is None or folder.tracked:
            return
        parent, _, name = path.rpartition(b"/")
        above = self._table.get(parent)
        if folder.kept:
            self._keep(path)
        else:
            remove(folder.where)
            del self._table[path]
            if above is not None:
                above.kept.pop(name, None)
        if above is not None:
            above.tracked.discard(name)
            if parent not in self._changed:
                self._changed.add(parent)
        if above is not None and not above.tracked and parent:
            self._close(parent)

    def _record(self) -> None:
        """Note how the listed directories look; those still too fresh to tell are listed next time too."""
        now = time.time_ns()
        again = set()
        for path in self._changed:
            folder = self._table.get(path)
            if folder is None:
                continue
            folder.key = _key(folder.where)
            folder.rules = None if folder.tracked else _key(os.path.join(folder.where, _RULES))
            if folder.key is None or not is_settled(folder.key[1], now):
                again.add(path)
        self._changed = again

    def _keep(self, path: bytes) -> None:
        parent, _, name = path.rpartition(b"/")
        if parent in self._table:
            self._table[parent].kept[name] = self._is_directory(path)

    def _make(self, path: bytes) -> Folder:
        """Return the tracked folder at `path`, made if need be, with its parents."""
        folder = self._table.get(path)
        if folder is not None and (folder.tracked or not path):
            return folder
        parent = path.rpartition(b"/")[0]
        self._make(parent)
        where = os.path.join(self.root, path)
        self._changed.add(parent)
        try:
            os.mkdir(where, 0o777)
        except FileExistsError:
            status = os.lstat(where)
            if not stat.S_ISDIR(status.st_mode):
                self.clear(path)
                os.mkdir(where, 0o777)
            elif status.st_mode & 0o777 != self.permissions:
                os.chmod(where, self.permissions)
        return self._add_tracked(path)

    def _add_tracked(self, path: bytes) -> Folder:
        """Return the folder at `path`, entered as one that its parent tracks."""
        self.add_file(path)  # parents come first in the table: `inspect` relies on it
        folder = self._table.get(path)
        if folder is None:
            folder = self._table[path] = Folder(os.path.join(self.root, path))
        folder.kept.clear()
        self._changed.add(path)
        return folder

    def _forget(self, path: bytes) -> None:
        """Forget the directory at `path` and all below it."""
        self._table.pop(path, None)
        self._changed.discard(path)
        below = path + b"/"
        for found in [found for found in self._table if found.startswith(below)]:
            del self._table[found]
            self._changed.discard(found)

    def _is_directory(self, path: bytes) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(os.path.join(self.root, path)).st_mode)
        except OSError:
            return False

    def _is_plain_directory(self, path: bytes) -> bool:
        """Whether it is a directory, and not of another repository."""
        return self._is_directory(path) and not os.path.lexists(os.path.join(self.root, path, _GIT))


def _ask_ignored(git: Git, paths: list[bytes]) -> set[bytes]:
    """Return those of `paths` that git ignores. The `./` keeps a leading colon from being magic."""
    done = git.run(
        ["check-ignore", "-z", "--stdin", "--no-index"], stdin=b"".join(b"./%s\0" % path for path in paths)
    )
    if done.returncode not in (0, 1):
        said = done.stderr.decode(errors="replace").strip()
        raise GitError(f"git check-ignore failed with status {done.returncode}", stderr=said)
    return {path[2:] for path in done.stdout.split(b"\0")[:-1]}


def _key(where: bytes) -> Key | None:
    try:
        status = os.lstat(where)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode)
