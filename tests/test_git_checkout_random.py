"""Random histories, random vandalism: a switch is always exact."""

# Names are bytes here: a file name need not be text.
# ruff: noqa: PTH101, PTH102, PTH104, PTH108, PTH112, PTH113, PTH114, PTH118, PTH123, PTH211

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Repo
from worktrees import assert_exact, commit_of, git_in, make_pool

from gitlimmat.git.worktree import Worktree
from gitlimmat.model import Commit

_NAMES = [
    b"a",
    b"b",
    b"c.o",
    b"d",
    b"e\nf",
    b'g"h',
    b"\xff\xfe",
    b"-i",
    b":j",
    b" k ",
    b"l\\m",
    b"*",
    "ü".encode(),
]
_IGNORES = ["", "*.o\n", "d\n", "/a/\n", "b/\n!b\n", "*\n!*/\n!a\n", "c.o\n/b/*\n!/b/a\n"]
_ROUNDS = 14


class Vandal:
    """Makes trees and mischief from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def path(self) -> bytes:
        """Return a random path, mostly short."""
        return b"/".join(self.random.choice(_NAMES) for _ in range(self.random.choice([1, 1, 2, 2, 3])))

    def content(self) -> bytes:
        """Return short content, often of the same size."""
        return self.random.choice([b"", b"one\n", b"two\n", b"six\n", b"x" * self.random.randrange(9999)])

    def place(self, root: bytes, path: bytes) -> None:
        """Put a file, link or directory at `path`, in place of what is in the way."""
        where = root
        for name in path.split(b"/")[:-1]:
            where = os.path.join(where, name)
            if not os.path.isdir(where) or os.path.islink(where):
                _remove(where)
                os.mkdir(where)
        where = os.path.join(root, path)
        _remove(where)
        kind = self.random.random()
        if kind < 0.15:
            os.symlink(self.random.choice([b"a", b"../b", b"/etc", b"d"]), where)
        else:
            with open(where, "wb") as out:
                out.write(self.content())
            os.chmod(where, self.random.choice([0o644, 0o644, 0o755]))

    def spoil(self, root: bytes) -> None:
        """Do one thing that a job might do."""
        known = [path for path in _walk(root) if path != b".git"]
        victim = self.random.choice(known) if known else b"a"
        where = os.path.join(root, victim)
        match self.random.randrange(12):
            case 0 | 1 | 2:
                self.place(root, self.path())
            case 3:
                _remove(where)
            case 4 if os.path.isfile(where) and not os.path.islink(where):
                with open(where, "r+b") as out:
                    out.write(b"two\n")
            case 5 if not os.path.islink(where):
                os.chmod(where, self.random.choice([0o444, 0o755, 0o700, 0o600]))
            case 6:
                _remove(os.path.join(root, b"moved"))
                os.rename(where, os.path.join(root, b"moved"))
            case 7 if os.path.isfile(where) and not os.path.islink(where):
                _remove(os.path.join(root, b"x.o"))
                os.link(where, os.path.join(root, b"x.o"))
            case 8 if not os.path.islink(where) and os.path.isdir(where):
                _remove(os.path.join(root, b"else"))
                os.rename(where, os.path.join(root, b"else"))
                os.symlink(b"else", where)
            case 9:
                subprocess.run(["git", "add", "-A"], cwd=root, capture_output=True, check=False)
            case 10:
                with open(
                    os.path.join(root, self.random.choice([b"", b"d/", b"b/"]), b".gitignore"), "a"
                ) as out:
                    out.write(self.random.choice(_IGNORES))
            case 11:
                subprocess.run(["git", "status"], cwd=root, capture_output=True, check=False)


def _walk(root: bytes) -> list[bytes]:
    found = []
    for directory, below, files in os.walk(root):
        if directory == root and b".git" in below:
            below.remove(b".git")
        found += [os.path.relpath(os.path.join(directory, name), root) for name in below + files]
    return sorted(found)


def _remove(where: bytes) -> None:
    if os.path.isdir(where) and not os.path.islink(where):
        shutil.rmtree(where)
    elif os.path.lexists(where):
        os.unlink(where)


def _history(repo: Repo, vandal: Vandal) -> list[Commit]:
    commits = []
    root = os.fsencode(repo.path)
    for number in range(6):
        for _ in range(vandal.random.randrange(1, 12)):
            vandal.place(root, vandal.path())
        for path in _walk(root):
            if vandal.random.random() < 0.1:
                _remove(os.path.join(root, path))
        repo.write(".gitignore", vandal.random.choice(_IGNORES))
        repo.git("add", "-A", "-f", *([] if vandal.random.random() < 0.5 else [".gitignore"]))
        repo.git("commit", "-q", "--allow-empty", "-m", str(number))
        commits.append(commit_of(repo, "HEAD"))
    return commits


def _leftovers(worktree: Worktree) -> bytes:
    return git_in(worktree, "clean", "-ffdn")


@pytest.mark.parametrize("seed", range(15))
def test_switch_is_exact_on_random_trees(repo: Repo, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any deeds of a job, the worktree holds the commit, ignored files, and nothing else.

    Changed files are found in one of three ways: the kernel tells, we look at each, or git does.
    """
    if seed % 3:
        monkeypatch.setattr("gitlimmat.git.witness._LOCAL", frozenset())
    if seed % 3 == 2:
        monkeypatch.setattr("gitlimmat.git.checkout._LARGE", 0)
    vandal = Vandal(seed)
    commits = _history(repo, vandal)
    pool = make_pool(repo)
    worktree = pool.acquire()
    for _ in range(_ROUNDS):
        commit = vandal.random.choice(commits)

        worktree.switch(commit)

        if vandal.random.random() < 0.7:
            assert_exact(worktree, commit)
            assert _leftovers(worktree) == b""
        for _ in range(vandal.random.choice([0, 0, 1, 3, 6])):
            try:
                vandal.spoil(os.fsencode(worktree.path))
            except OSError:
                continue
        if vandal.random.random() < 0.15:
            worktree.release()
            pool = make_pool(repo) if vandal.random.random() < 0.5 else pool
            worktree = pool.acquire()
            if vandal.random.random() < 0.3:
                Path(f"{worktree.path}.dirty").touch()
    worktree.release()
