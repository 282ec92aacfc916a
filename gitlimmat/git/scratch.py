"""A git directory of its own to merge in: it reads a repository's objects and writes none there.

Layer:  git.
Format: git's own: an empty repository with the other's objects as its alternate, gone at the end.

Nothing that could change how a merge comes out is taken from the server or its user: no configuration,
hooks, index, replaced objects or custom merge drivers. Attributes come from a commit, as they do where it is
checked out; those that name a driver which is not built in mean the ordinary merge. What fails leaves no
object behind.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from gitlimmat.errors import GitError
from gitlimmat.git.environment import is_local
from gitlimmat.git.objects import ObjectBatch
from gitlimmat.git.process import Git
from gitlimmat.git.repository import Repository
from gitlimmat.git.stored import EMPTY_TREE

OLDEST_GIT = (2, 38)
"""The first git whose `merge-tree` has `--write-tree`."""

_CONFIG = """[core]
\trepositoryformatversion = 0
\tbare = false
\tattributesFile = /dev/null
\thooksPath = /dev/null
[gc]
\tauto = 0
"""
_VERSION = re.compile(r"git version ([0-9]+)\.([0-9]+)")
_ODD = frozenset({b"", b".", b".."})  # a tree that was never checked may lead out of ours by these
_SAID = {"contents": "content", "file/directory": "directory/file"}  # as git says them in words
_USAGE = 129
_KIND = re.compile(r"CONFLICT \(([^()]+)\)")


class Clash(msgspec.Struct, frozen=True, kw_only=True):
    """Why two trees do not merge: paths as stored, sorted, and the kinds of conflict by git's names."""

    paths: tuple[bytes, ...]
    kinds: tuple[str, ...]


class Scratch:
    """A place to merge in; to be used in a `with`. Attributes are those of `attributes_of`, a commit.

    Not for use by two threads at once.
    Raises: GitError when it cannot be made, or git fails.
    """

    def __init__(self, repository: Repository, attributes_of: str) -> None:
        self._repository = repository
        self._attributes_of = attributes_of
        self._roots: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._top = Path(tempfile.mkdtemp(prefix="git-limmat-merge-"))
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._top, ignore_errors=True)

    def merge_bases(self, ours: str, theirs: str) -> tuple[str, ...]:
        """Return the best common ancestors of two commits; none for unrelated histories."""
        words = ["merge-base", "--all", ours, theirs]
        done = self.git.run(words)
        if done.returncode not in (0, 1):
            raise _said(words[0], done.returncode, done.stderr)
        return tuple(done.stdout.decode().split())

    def merge(self, ours: str, theirs: str) -> str | Clash:
        """Return the tree that two commits merge to, or why they do not."""
        words = ["merge-tree", "--write-tree", "-z", "--name-only", "--messages", ours, theirs]
        done = self.git.run(words)
        if done.returncode == 0:
            return done.stdout[:40].decode()
        if done.returncode == 1:
            return _clash(done.stdout)
        if done.returncode == _USAGE:
            check_can_merge(self.git)
        raise _said(words[0], done.returncode, done.stderr)

    def merge_trees(self, base: str, ours: str, theirs: str) -> str | Clash:
        """Return the tree of a three-way merge of trees, or why there is none.

        As `merge-tree --merge-base` of git 2.40, by way of commits that say so to older ones.
        """
        if base == theirs:
            return ours
        if base == ours:
            return theirs
        root = self._roots.get(base)
        if root is None:
            root = self._roots[base] = self.commit(_unsigned(base, ()))
        return self.merge(self.commit(_unsigned(ours, (root,))), self.commit(_unsigned(theirs, (root,))))

    def commit(self, text: bytes) -> str:
        """Write a commit given as its raw text here, and return its id."""
        stored = b"commit %d\0" % len(text) + text
        oid = hashlib.sha1(stored, usedforsecurity=False).hexdigest()
        folder = self._top / "git" / "objects" / oid[:2]
        folder.mkdir(exist_ok=True)
        (folder / oid[2:]).write_bytes(zlib.compress(stored, 1))
        return oid

    def give(self, batch: ObjectBatch, wanted: str, known: Sequence[str]) -> None:
        """Add to `batch` all that `wanted` leads to and no commit of `known` does, new or not.

        What an earlier merge has left behind may be on its way out of the repository.
        """
        lines = "".join(f"{oid}\n" for oid in (wanted, *(f"^{each}" for each in known)))
        listed = self.git.call("rev-list", "--objects", "--no-object-names", "--stdin", stdin=lines.encode())
        raw = self.git.call("cat-file", "--batch", stdin=listed)
        start = 0
        while start < len(raw):
            end = raw.index(b"\n", start)
            _, kind, size = raw[start:end].decode().split(" ")
            start = end + 1 + int(size)
            batch.raw(kind, raw[end + 1 : start])
            start += 1

    def _make(self) -> None:
        git_dir, tree = self._top / "git", self._top / "tree"
        for folder in (git_dir / "refs", git_dir / "objects" / "info", tree):
            folder.mkdir(parents=True)
        (git_dir / "HEAD").write_text("ref: refs/heads/none\n")
        (git_dir / "config").write_text(_CONFIG)
        objects = self._repository.common_dir / "objects"
        (git_dir / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
        shallow = self._repository.common_dir / "shallow"
        if shallow.exists():
            shutil.copyfile(shallow, git_dir / "shallow")
        git = self._repository.git
        sealed = _sealed(git.environment, git_dir, tree)
        self.git = Git(git.binary, tree, sealed, deadline=git.deadline)
        self._write_attributes(tree)

    def _write_attributes(self, tree: Path) -> None:
        """Put the attributes files where git looks for them; symbolic links it would not follow."""
        listed = self.git.call("ls-tree", "-r", "-z", "--full-tree", self._attributes_of)
        for line in listed.split(b"\0"):
            about, _, name = line.partition(b"\t")
            parts = name.split(b"/")
            if parts[-1] == b".gitattributes" and about.startswith(b"100") and not _ODD.intersection(parts):
                path = tree / os.fsdecode(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.git.call("cat-file", "blob", about.split()[2].decode()))


def check_can_merge(git: Git) -> None:
    """Check that git is new enough for merges without a worktree.

    Raises: GitError when it is not.
    """
    said = git.text("version").strip()
    match = _VERSION.match(said)
    if match is not None and (int(match[1]), int(match[2])) < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        raise GitError(
            f"cannot merge with '{git.binary}': {said} is too old",
            hint=f"a queue needs git {oldest} or newer; name one with --git-binary",
        )


def empty_tree(scratch: Scratch) -> str:
    """Return the id of the empty tree, which is there whether it was ever written or not."""
    scratch.git.call("hash-object", "-w", "-t", "tree", "--stdin", stdin=b"")
    return EMPTY_TREE


def _sealed(environment: Mapping[str, str], git_dir: Path, tree: Path) -> dict[str, str]:
    kept = {name: value for name, value in environment.items() if not is_local(name)}
    return kept | {
        "GIT_DIR": os.fspath(git_dir),
        "GIT_WORK_TREE": os.fspath(tree),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
    }


def _unsigned(tree: str, parents: Sequence[str]) -> bytes:
    above = "".join(f"parent {oid}\n" for oid in parents)
    return f"tree {tree}\n{above}author a <a> 0 +0000\ncommitter a <a> 0 +0000\n\n".encode()


def _clash(out: bytes) -> Clash:
    """Read `<tree> <path>... "" (<number of paths> <path>... <kind> <text>)...`, each ended by a NUL."""
    paths, _, rest = out.partition(b"\0\0")
    words, kinds = iter(rest.split(b"\0")), list[str]()
    while number := next(words, b"").strip():
        kind = next(itertools.islice(words, int(number), None)).decode()
        next(words)
        if (match := _KIND.fullmatch(kind)) is not None:
            kinds.append(_SAID.get(match[1], match[1]))
    return Clash(paths=tuple(sorted(set(paths.split(b"\0")[1:]))), kinds=tuple(sorted(set(kinds))))


def _said(command: str, status: int, stderr: bytes) -> GitError:
    said = stderr.decode(errors="replace").strip()
    line = said.partition("\n")[0].removeprefix("fatal: ").removeprefix("error: ")
    return GitError(f"git {command} failed with status {status}: {line}", stderr=said)
