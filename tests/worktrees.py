"""What tests of worktrees share: pools, commits, and the question whether a tree is exactly a commit's."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path

from conftest import Repo

from gitlimmat.git.pool import WorktreePool
from gitlimmat.git.repository import find_repository
from gitlimmat.git.worktree import Worktree
from gitlimmat.model import Commit


def make_pool(repo: Repo, *, directory: Path | None = None, temporary: bool = False) -> WorktreePool:
    """Return a pool for `repo` as a new process would make it."""
    found = find_repository(repo.path, environment=repo.environment)
    return WorktreePool(found, directory=directory, temporary=temporary, prefix="test")


def commit_of(repo: Repo, revision: str) -> Commit:
    """Return the commit that `revision` names."""
    oid, tree = repo.git("rev-parse", f"{revision}^{{commit}}", f"{revision}^{{tree}}").split()
    return Commit(id=oid, tree=tree)


def run_in(worktree: Worktree, script: str) -> None:
    """Run a job: a shell script in the worktree."""
    environment = dict(os.environ) | {"GIT_CONFIG_COUNT": "0"}
    subprocess.run(["sh", "-ec", script], cwd=worktree.path, env=environment, check=True, capture_output=True)


def git_in(worktree: Worktree, *arguments: str) -> bytes:
    """Return what git says in the worktree."""
    return subprocess.run(["git", *arguments], cwd=worktree.path, check=True, capture_output=True).stdout


def assert_exact(worktree: Worktree, commit: Commit) -> None:
    """Check that files, index and HEAD are those of `commit`, with nothing beside but ignored files."""
    entry = Path((worktree.path / ".git").read_text().removeprefix("gitdir: ").removesuffix("\n"))
    assert (entry / "HEAD").read_text() == f"{commit.id}\n"
    wanted = {}
    for line in git_in(worktree, "ls-tree", "-r", "-z", "--full-tree", commit.id).split(b"\0")[:-1]:
        fields, _, path = line.partition(b"\t")
        mode, _, oid = fields.split(b" ")
        wanted[path] = (mode, oid)
    staged = {}
    for line in git_in(worktree, "ls-files", "--stage", "-z").split(b"\0")[:-1]:
        fields, _, path = line.partition(b"\t")
        mode, oid, stage = fields.split(b" ")
        assert stage == b"0"
        staged[path] = (mode, oid)
    assert staged == wanted
    assert {path: found_at(os.fsencode(worktree.path) + b"/" + path) for path in wanted} == wanted
    assert git_in(worktree, "diff-files", "--name-only") == b""
    assert git_in(worktree, "status", "--porcelain", "--ignored=no") == b""


def found_at(where: bytes) -> tuple[bytes, bytes] | None:
    """Return mode and blob id of a file as git would store it, None when it is not there."""
    try:
        status = os.lstat(where)
    except OSError:
        return None
    if stat.S_ISLNK(status.st_mode):
        mode, data = b"120000", os.readlink(where)  # noqa: PTH115 - bytes
    elif stat.S_ISREG(status.st_mode):
        assert stat.S_IMODE(status.st_mode) in (0o644, 0o755)
        assert status.st_nlink == 1
        mode = b"100755" if status.st_mode & 0o100 else b"100644"
        data = Path(os.fsdecode(where)).read_bytes()
    else:
        return None
    return mode, hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest().encode()
