"""What git and a repository are like: version, sizes, file system. Nothing here writes.

Layer: git.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from gitlimmat.errors import GitError
from gitlimmat.git.process import Git
from gitlimmat.git.repository import Repository

OLDEST_GIT = (2, 36)
"""The first version with `core.fsync`, without which results may be lost with the machine's power."""

_LOCKS = ("HEAD.lock", "index.lock", "packed-refs.lock", "config.lock", "shallow.lock")
_OBJECT = re.compile(rb"([0-9a-f]{40}) (?:[a-z]+) ([0-9]+)")
_OCTAL = re.compile(rb"\\([0-7]{3})")


def git_version(git: Git) -> str:
    """Return the version that git states, such as `2.47.3`.

    Raises: GitError when git cannot be run.
    """
    return git.text("version").strip().removeprefix("git version ")


def parse_version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version; empty when there are none."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def require_git(git: Git) -> None:
    """Refuse a git that is too old to keep results safe.

    Raises: GitError naming both versions.
    """
    found = git_version(git)
    version = parse_version(found)
    if version and version < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        raise GitError(
            f"cannot use '{git.binary}': it is git {found}, and {oldest} is the oldest that will do",
            hint="name a newer one with --git-binary, or put it first into PATH",
        )


def libgit2_version() -> str:
    """Return the version of libgit2 that objects are read with."""
    import pygit2

    return pygit2.LIBGIT2_VERSION


def count_tracked(repository: Repository) -> int:
    """Return how many files the commit at HEAD has; 0 when there is none."""
    listed = repository.git.call("ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD", check=False)
    return listed.count(b"\0")


def count_ref_directories(repository: Repository) -> int:
    """Return how many directories loose refs are in."""
    return sum(1 for _ in os.walk(repository.common_dir / "refs"))


def hooks_directory(repository: Repository) -> Path:
    """Return where git looks for hooks; it need not exist.

    Raises: GitError when git cannot tell.
    """
    said = repository.asked.text("rev-parse", "--path-format=absolute", "--git-path", "hooks")
    return Path(said.removesuffix("\n"))


def head_problem(repository: Repository) -> str | None:
    """Return what is wrong with HEAD; an unborn branch is fine."""
    done = repository.asked.run(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
    if done.returncode == 0:
        return None
    branch = repository.asked.run(["symbolic-ref", "--quiet", "HEAD"])
    name = os.fsdecode(branch.stdout.strip())
    if branch.returncode == 0 and not repository.asked.succeeds("show-ref", "--verify", "--quiet", name):
        broken = (repository.common_dir / name).is_file()
        return f"'{name}' has no usable content" if broken else None
    return f"it leads to no commit: {done.stderr.decode(errors='replace').strip() or name or 'broken'}"


def git_locks(repository: Repository, older_than: float) -> list[Path]:
    """Return git's own lock files that were made before a moment, in seconds since the epoch."""
    places = {repository.git_dir / name for name in _LOCKS} | {
        repository.common_dir / name for name in _LOCKS
    }
    found = []
    for path in sorted(places):
        try:
            if path.stat().st_mtime < older_than:
                found.append(path)
        except OSError:
            continue
    return found


def blob_sizes(repository: Repository, oids: Iterable[str]) -> dict[str, int]:
    """Return the size of each object; those that are missing or have no readable header are left out."""
    asked = "".join(f"{oid}\n" for oid in oids)
    if not asked:
        return {}
    words = ("cat-file", "--batch-check", "--buffer")
    said = repository.git.run(words, stdin=asked.encode()).stdout
    return {match[1].decode(): int(match[2]) for match in _OBJECT.finditer(said)}


def hidden_objects(repository: Repository, oids: Iterable[str]) -> Path | None:
    """Return a place that may have some of these objects and cannot be read now; None if there is none.

    That is a file or directory without permission, or a directory of alternates that is not mounted.
    """
    top = repository.common_dir / "objects"
    for place in (top, top / "pack", *(top / oid[:2] / oid[2:] for oid in oids)):
        try:
            place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            return place
        if not os.access(place, os.R_OK):
            return place
    return next((place for place in _alternates(top) if not os.access(place, os.R_OK | os.X_OK)), None)


def _alternates(objects: Path) -> list[Path]:
    """Return the other object directories, as gitrepository-layout(5) says."""
    try:
        lines = (objects / "info" / "alternates").read_bytes().splitlines()
    except OSError:
        return []
    return [objects / os.fsdecode(line) for line in lines if line and not line.startswith(b"#")]


def filesystem_of(path: Path) -> str | None:
    """Return the type of the file system that `path`, or the nearest directory above it, is on.

    Shape: as the kernel calls it (`ext4`, `nfs4`, `fuse.sshfs`); None where it does not tell.
    """
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return None
    place = os.fsencode(path.resolve())
    best: tuple[int, str | None] = (-1, None)
    for line in mounts:
        fields = line.split(b" ")
        point = _OCTAL.sub(lambda match: bytes((int(match[1], 8),)), fields[4]).rstrip(b"/")
        if (place == point or place.startswith(point + b"/")) and len(point) >= best[0]:
            best = (len(point), os.fsdecode(fields[fields.index(b"-") + 1]))
    return best[1]
