"""Refs: read one, and move several in one transaction that expects what it replaces.

Layer: git.

libgit2's transaction compares nothing, so writing goes through `git update-ref`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gitlimmat.errors import GitError, RefMovedError
from gitlimmat.git.process import Git

if TYPE_CHECKING:
    import pygit2

_ABSENT = "0" * 40
_SHORT = 12
STALE_LOCK_S = 2.0  # git holds the lock of a ref for milliseconds


class BrokenRefError(GitError):
    """A ref is there and has no usable content."""


class RefUpdate(NamedTuple):
    """What a ref is to become. `new` None deletes it; `old` None means that it must not exist yet.

    With both None nothing becomes of it, and nobody can make it meanwhile.
    """

    name: str
    new: str | None
    old: str | None


def read_ref(objects: pygit2.Repository, name: str) -> str | None:
    """Return the id a ref points at directly, None when there is no such ref.

    Raises: BrokenRefError when it cannot be read, GitError when it is symbolic.
    """
    import pygit2

    try:
        reference = objects.lookup_reference(name)
    except KeyError:
        return None
    except (ValueError, pygit2.GitError) as error:
        raise BrokenRefError(f"cannot read '{name}': {error}") from error
    target = reference.target
    if not isinstance(target, pygit2.Oid):
        raise GitError(f"cannot use '{name}': it is a symbolic ref to '{target}'")
    return str(target)


def update_refs(git: Git, updates: Sequence[RefUpdate], reason: str) -> None:
    """Make all `updates` or none of them; `reason` goes to the reflog where there is one.

    Raises: RefMovedError when a ref is not what its update expects, GitError for anything else that stops
    git. Nothing was changed then.
    """
    lines = [_line(update) for update in updates]
    try:
        git.call(
            *("-c", "core.filesRefLockTimeout=500", "update-ref"),
            *("-m", reason, "--no-deref", "-z", "--stdin"),
            stdin="".join(lines).encode(),
        )
    except GitError as error:
        _tell_moved(git, updates, error)
        raise _explain(git, updates, error) from error


def delete_broken_ref(common_dir: Path, name: str) -> None:
    """Remove the file of a ref that has no usable content, so that it can be made anew.

    git itself refuses to (2.47). Call only while no other process of ours can be updating the ref.
    """
    (common_dir / name).unlink(missing_ok=True)


def remove_stale_lock(common_dir: Path, name: str, age: float = STALE_LOCK_S) -> bool:
    """Remove the lock file of a ref that a killed process left; return whether there was one.

    Call only while no other process of ours can be updating the ref: then a file of that age is nobody's.
    Units: `age` is seconds.
    """
    if not has_stale_lock(common_dir, name, age):
        return False
    try:
        (common_dir / f"{name}.lock").unlink()
    except FileNotFoundError:
        return False
    return True


def has_stale_lock(common_dir: Path, name: str, age: float = STALE_LOCK_S) -> bool:
    """Whether a ref has a lock file that is older than git ever holds one."""
    try:
        return time.time() - (common_dir / f"{name}.lock").stat().st_mtime >= age
    except FileNotFoundError:
        return False


def is_locked(common_dir: Path, name: str) -> bool:
    """Whether some process is changing a ref right now, or died while it was."""
    return (common_dir / f"{name}.lock").exists()


def _line(update: RefUpdate) -> str:
    if update.new is None and update.old is None:
        return f"verify {update.name}\0{_ABSENT}\0"
    if update.new is None:
        return f"delete {update.name}\0{update.old}\0"
    return f"update {update.name}\0{update.new}\0{update.old or _ABSENT}\0"


def _current(git: Git, name: str) -> str | None:
    done = git.run(["rev-parse", "--verify", "-q", "--end-of-options", name])
    return done.stdout.decode().strip() or None


def _tell_moved(git: Git, updates: Sequence[RefUpdate], error: GitError) -> None:
    for update in updates:
        found = _current(git, update.name)
        if found != update.old:
            raise RefMovedError(
                f"cannot update '{update.name}': expected {_short(update.old)}, found {_short(found)}",
                hint="another git-limmat may be running; run the command again",
            ) from error


def _explain(git: Git, updates: Sequence[RefUpdate], error: GitError) -> GitError:
    """Return the error with the name of the ref, and of another one that is in its way."""
    for update in updates:
        parents = [update.name.rsplit("/", n)[0] for n in range(1, update.name.count("/"))]
        below = git.run(["for-each-ref", "--count=1", "--format=%(refname)", f"{update.name}/"])
        blocking = [below.stdout.decode().strip(), *(name for name in parents if _current(git, name))]
        if other := next(filter(None, blocking), None):
            return GitError(
                f"cannot update '{update.name}': '{other}' exists",
                stderr=error.stderr,
                hint=f"git update-ref -d {other} removes the ref that is in the way",
            )
    return GitError(
        f"cannot update '{updates[0].name}': {error.stderr.partition(chr(10))[0]}", stderr=error.stderr
    )


def _short(oid: str | None) -> str:
    return oid[:_SHORT] if oid else "nothing"
