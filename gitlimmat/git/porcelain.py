"""Check out a commit with git itself, for repositories that are more than plain files.

Layer:  git.
Format: `limmat-conversion` in the entry says by which settings and attributes files were converted.

Git writes a file again only when its content or its stat data differ. We want more: files that a job has
touched, and all files when attributes have changed, go through filters again. So those are removed first.
Submodules are checked out from the user's own clones of them, without network; others stay empty.
"""

# ruff: noqa: PTH101, PTH118
# Names are bytes here: a file name need not be text.

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import msgspec

from gitlimmat.errors import GitError
from gitlimmat.git.entryfiles import CONVERSION, read_file, write_file, write_index
from gitlimmat.git.index import Index, mode_of, parse_index, stat_data
from gitlimmat.git.process import Git
from gitlimmat.git.removal import remove
from gitlimmat.git.rules import Rules
from gitlimmat.git.snapshot import is_settled
from gitlimmat.git.trees import GITLINK
from gitlimmat.model import Commit

_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.logAllRefUpdates=false",
    "advice.detachedHead=false",
    "submodule.recurse=false",
    "index.version=2",
    "index.sparse=false",
    "index.skipHash=false",
)


def git_in(git: Git, path: Path) -> Git:
    """Return a git for the worktree at `path`, and for no repository above it."""
    environment = dict(git.environment) | {"GIT_CEILING_DIRECTORIES": str(path.parent)}
    options = [word for option in _OPTIONS for word in ("-c", option)]
    return msgspec.structs.replace(git, directory=path, environment=environment).with_options(*options)


class PorcelainCheckout:
    """Switches one worktree by running git in it."""

    def __init__(self, git: Git, root: bytes, entry: bytes) -> None:
        self._git = git
        self._root = root
        self._entry = entry
        self._index = os.path.join(entry, b"index")

    def switch(self, commit: Commit, rules: Rules, *, dirty: bool, permissions: int) -> None:
        """Make files, index and HEAD those of `commit`.

        Raises: OSError or GitError.
        """
        conversion = self._conversion(commit, rules)
        marker = os.path.join(self._entry, CONVERSION)
        if dirty or not _holds(marker, conversion):
            remove(self._index)
        remove(marker)
        self._prepare(permissions)
        git = self._git.with_options(*rules.options)
        git.call("checkout", "--detach", "--force", "--no-recurse-submodules", "-q", commit.id, "--")
        if os.path.lexists(os.path.join(self._root, b".gitmodules")):
            update_submodules(self._git, Path(os.fsdecode(self._common_dir())) / "modules")
        self._clean()
        write_file(marker, conversion)

    def _prepare(self, permissions: int) -> None:
        """Remove files that are not what the index saw, and clear its bits that hide files from git."""
        try:
            data, written_ns = read_file(self._index)
            index = parse_index(data)
        except OSError:
            index = None
        if index is None:
            remove(self._index)
            return
        self._open_directories(index, permissions)
        for path, entry in index:
            where = os.path.join(self._root, path)
            if mode_of(entry) != GITLINK and not _is_as_seen(where, entry, written_ns):
                remove(where)
        write_index(self._entry, index.serialize())

    def _open_directories(self, index: Index, permissions: int) -> None:
        """Make every directory of a tracked file a real one that can be written to."""
        for path in sorted({path.rpartition(b"/")[0] for path, _ in index}):
            place = b""
            for name in path.split(b"/"):
                place = os.path.join(place, name)
                where = os.path.join(self._root, place)
                try:
                    status = os.lstat(where)
                except OSError:
                    break
                if not stat.S_ISDIR(status.st_mode):
                    remove(where)
                    break
                if status.st_mode & 0o700 != 0o700:
                    os.chmod(where, permissions)

    def _clean(self) -> None:
        try:
            self._git.call("clean", "-ffdq")
        except GitError:  # directories that a job made read-only
            for directory, below, _ in os.walk(self._root):
                for name in below:
                    where = os.path.join(directory, name)
                    status = os.lstat(where)
                    if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o700 != 0o700:
                        os.chmod(where, 0o700)
            self._git.call("clean", "-ffdq")

    def _conversion(self, commit: Commit, rules: Rules) -> bytes:
        """Return a digest of all that says how the files of `commit` are converted."""
        listing = self._git.call("ls-tree", "-r", "-z", "--full-tree", commit.id)
        attributes = [line for line in listing.split(b"\0") if line.endswith(b".gitattributes")]
        digest = hashlib.sha256(b"\0".join(attributes)).hexdigest()
        return f"{rules.conversion} {digest}\n".encode()

    def _common_dir(self) -> bytes:
        return os.path.dirname(os.path.dirname(self._entry))  # noqa: PTH120


def update_submodules(git: Git, clones: Path) -> None:
    """Check out the submodules of `git.directory` that have a clone below `clones`; theirs too.

    Nothing is fetched and no setting of the user's repository is changed.

    Raises: GitError when one of them lacks the commit that is asked for.
    """
    listing = git.call(
        "config", "--file", ".gitmodules", "-z", "--get-regexp", r"^submodule\..*\.path$", check=False
    )
    for line in listing.split(b"\0")[:-1]:
        key, _, path = (os.fsdecode(part) for part in line.partition(b"\n"))
        name = key.removeprefix("submodule.").removesuffix(".path")
        clone = clones / name
        if ".." in Path(name).parts or not (clone / "HEAD").is_file():
            continue
        if not git.call("ls-files", "--stage", "--", f":(literal){path}").startswith(b"160000"):
            continue
        options = ("-c", f"submodule.{name}.url={clone}", "-c", f"submodule.{name}.active=true")
        local = git.with_options(*options, "-c", "protocol.file.allow=always")
        local.call("submodule", "update", "--force", "--checkout", "-q", "--", path)
        inside = git_in(git, git.directory / path)
        inside.call("clean", "-ffdq")
        if (git.directory / path / ".gitmodules").is_file():
            update_submodules(inside, clone / "modules")


def _is_as_seen(where: bytes, entry: bytes, written_ns: int) -> bool:
    """Whether a file is what the index saw; not when it was changed as late as the index was written."""
    try:
        status = os.lstat(where)
    except OSError:
        return False
    newest = max(status.st_ctime_ns, status.st_mtime_ns)
    return stat_data(status, mode_of(entry)) == entry[:40] and is_settled(newest, written_ns)


def _holds(path: bytes, text: bytes) -> bool:
    try:
        return read_file(path)[0] == text
    except OSError:
        return False
