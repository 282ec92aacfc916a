"""Refs read from the files that git keeps them in: without a process, and without a handle that gets old.

Layer:  git.
Source: gitrepository-layout(5), git-pack-refs(1), gitrevisions(7) for the order in which names are tried.

libgit2 would do for a repository that stays where it is. What is read here is true also after the repository
was replaced, and for the HEAD of a linked worktree.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gitlimmat.git.refs import BrokenRefError
from gitlimmat.git.repository import Repository

_ID = re.compile(rb"([0-9a-f]{40})(?=\s|$)")
_SYMBOLIC = re.compile(rb"ref:\s*(\S+)")
_OWN = re.compile(r"[A-Z][A-Z_]*$|refs/(?:bisect|worktree|rewritten)/")  # each worktree has these for itself
_UNUSUAL = re.compile(r"[\0-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.(?:lock)?(?:/|$)|^/|/$|^@$|^-")
_PATTERNS = ("refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")
_ROOTS = ("HEAD", "ORIG_HEAD", "FETCH_HEAD", "config.worktree")
_DEEPEST = 5
_RACY_S = 0.1  # two changes within a tick of the kernel's clock leave the same time
NOT_REFS = frozenset({"limmat", "notes"})  # below refs/: they name no commits that people work on


class RefState(NamedTuple):
    """What the files of all refs, and of the configuration, look like.

    Equal keys mean equal refs if the state is `settled`; else a change may have come too soon after another.
    """

    key: int
    settled: bool


class RefFiles(NamedTuple):
    """The refs of a repository as seen from one of its worktrees. Nothing is kept in memory."""

    git_dir: Path
    common_dir: Path

    def symbolic(self, name: str) -> str | None:
        """Return the full name that a symbolic ref leads to, None when it is not one.

        Raises: OSError when it cannot be read, BrokenRefError when it has no usable content.
        """
        path = self._directory(name) / name
        if path.is_symlink():  # core.preferSymlinkRefs
            target = os.fspath(path.readlink())
            if target.startswith("refs/"):
                return target
        found = _SYMBOLIC.match(path.read_bytes())
        return os.fsdecode(found[1]) if found else None

    def read(self, name: str) -> str | None:
        """Return the object id that a ref of this full name has in the end, None when there is no such ref.

        Raises: OSError when a file cannot be read, BrokenRefError when it has no usable content.
        """
        for _ in range(_DEEPEST):
            raw = self._raw(name)
            if raw is None:
                return None
            if found := _ID.match(raw):
                return found[1].decode()
            if not (symbolic := _SYMBOLIC.match(raw)):
                break
            name = os.fsdecode(symbolic[1])
            if _UNUSUAL.search(name):
                break
        raise BrokenRefError(f"cannot read '{name}': it has no usable content")

    def direct(self, name: str) -> str | None:
        """Return the object id that a ref of this full name has itself, None when there is no such ref.

        Raises: OSError when a file cannot be read, BrokenRefError when it has no usable content or leads to
        another ref.
        """
        raw = self._raw(name)
        if raw is None:
            return None
        if found := _ID.match(raw):
            return found[1].decode()
        if symbolic := _SYMBOLIC.match(raw):
            raise BrokenRefError(f"cannot use '{name}': it is a symbolic ref to '{os.fsdecode(symbolic[1])}'")
        raise BrokenRefError(f"cannot read '{name}': it has no usable content")

    def find(self, name: str) -> str | None:
        """Return the full name of the ref that `name` means to git, None when it is not just a ref's name.

        Raises: OSError when a file cannot be read.
        """
        name = "HEAD" if name == "@" else name
        if not name or _UNUSUAL.search(name):
            return None
        names = [name] if name.startswith("refs/") or _OWN.match(name) else []
        for full in (*names, *(pattern.format(name) for pattern in _PATTERNS)):
            if self._raw(full) is not None:
                return full
        return None

    def state(self) -> RefState:
        """Return what the files look like. Costs a stat(2) for each loose ref."""
        roots = [self.git_dir / name for name in _ROOTS]
        roots += [self.common_dir / name for name in ("packed-refs", "config")]
        seen: list[tuple[str, int, int, int]] = []
        newest = 0
        for path in (*map(os.fspath, roots), *loose_refs(self.common_dir)):
            try:
                found = os.lstat(path)
            except OSError:
                continue
            seen.append((path, found.st_ino, found.st_size, found.st_mtime_ns))
            newest = max(newest, found.st_mtime_ns)
        return RefState(hash(tuple(seen)), time.time_ns() - newest > _RACY_S * 1e9)

    def _directory(self, name: str) -> Path:
        return self.git_dir if _OWN.match(name) else self.common_dir

    def _raw(self, name: str) -> bytes | None:
        """Return the content of a ref's file, or its id from the packed ones."""
        found = self._loose(name)
        if found is None:
            found = self._packed(name)
        return self._loose(name) if found is None else found  # it may have been written meanwhile

    def _loose(self, name: str) -> bytes | None:
        try:
            return (self._directory(name) / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def _packed(self, name: str) -> bytes | None:
        if not name.startswith("refs/"):
            return None
        try:
            text = (self.common_dir / "packed-refs").read_bytes()
        except FileNotFoundError:
            return None
        end = text.find(b" %s\n" % os.fsencode(name))  # a fetch may have packed 100,000 of them
        return text[text.rfind(b"\n", 0, end) + 1 : end] if end >= 0 else None


def shared_refs(repository: Repository) -> RefFiles:
    """Return the refs that all worktrees of a repository share."""
    return RefFiles(repository.common_dir, repository.common_dir)


def loose_refs(common_dir: Path) -> Iterator[str]:
    """Yield the paths of all files of refs that name commits people work on, in a fixed order."""
    yield from _files(os.fspath(common_dir / "refs"), NOT_REFS)


def _files(directory: str, skipped: frozenset[str]) -> Iterator[str]:
    try:
        with os.scandir(directory) as listing:
            entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing)
    except OSError:
        return
    for name, is_directory in entries:
        if is_directory:
            if name not in skipped:
                yield from _files(f"{directory}/{name}", frozenset())
        elif not name.endswith(".lock"):
            yield f"{directory}/{name}"
