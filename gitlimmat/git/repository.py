"""One repository: where it is, what it can do, and a handle to its objects.

Layer: git.

libgit2 does not see `GIT_DIR` or `git -c`, so git itself says where the repository is; libgit2 then opens
the directory it named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gitlimmat.errors import GitError
from gitlimmat.git.environment import LOCATION, for_git
from gitlimmat.git.process import Git

if TYPE_CHECKING:
    import pygit2


class Repository(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A git repository, found and checked.

    `worktree` is the top of the main or linked worktree we were called in, None in a bare repository.
    `git_dir` is the directory of that worktree, `common_dir` the one all worktrees share. All are absolute.
    `git` runs in `worktree`, or in `git_dir` when that does not lead there, with nothing inherited from the
    caller. `asked` is git as the user called us, with `GIT_DIR`, `git -c` and all: settings are read with it.
    """

    worktree: Path | None
    git_dir: Path
    common_dir: Path
    git: Git
    asked: Git

    @property
    def name(self) -> str:
        """A short name for people: the directory's name without `.git`."""
        directory = self.worktree or self.common_dir
        return directory.name.removesuffix(".git") or directory.parent.name

    @property
    def state_dir(self) -> Path:
        """The directory for what can be deleted at any time: locks, caches, running jobs' files."""
        return self.common_dir / "limmat"

    @property
    def objects(self) -> pygit2.Repository:
        """The libgit2 handle, opened at first use; it lets go of its packs when some have come or gone.

        libgit2 1.9.7 keeps packs that git has removed open, with the space they take, for as long as it is
        not told to look anew.
        Raises: GitError when libgit2 cannot read this kind of repository.
        """
        handle = self._handle
        packs = _changed_at(self.common_dir)
        if packs not in (None, handle.packs):
            handle.packs = packs
            handle.objects.free()
        return handle.objects

    @property
    def has_handle(self) -> bool:
        """Whether that handle has been opened."""
        return "_handle" in vars(self)

    @cached_property
    def _handle(self) -> _Handle:
        return _Handle(_changed_at(self.common_dir), open_libgit2(self.common_dir))


class _Handle:
    """A libgit2 handle, and when packs had last come or gone before it began to open them."""

    def __init__(self, packs: int | None, objects: pygit2.Repository) -> None:
        self.packs = packs
        self.objects = objects


def _changed_at(common_dir: Path) -> int | None:
    try:
        return os.stat(f"{common_dir}/objects/pack").st_mtime_ns  # noqa: PTH116 - asked at each access
    except OSError:
        return None


def open_libgit2(directory: Path) -> pygit2.Repository:
    """Open the repository at `directory` with libgit2, for objects and refs that all worktrees share.

    Raises: GitError when libgit2 cannot read this kind of repository.
    """
    import pygit2

    try:
        pygit2.settings.owner_validation = False  # git has checked the owner when it found the repository
        opened = pygit2.Repository(str(directory), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
        vars(opened).clear()  # what is in there leads back: it would stay open until garbage is collected
        return opened
    except (pygit2.GitError, OSError, ValueError) as error:
        raise GitError(f"cannot open '{directory}': {error}") from error


def as_named(repository: Repository) -> Repository:
    """Return `repository` with a git for which every object is what its name says, whatever refs/replace has.

    What is tested is then what is in the commit, as libgit2 and everyone who fetches it see it.
    """
    git = repository.git
    environment = {**git.environment, "GIT_NO_REPLACE_OBJECTS": "1"}
    return msgspec.structs.replace(repository, git=msgspec.structs.replace(git, environment=environment))


def find_repository(
    start: Path, *, binary: str = "git", environment: Mapping[str, str] | None = None
) -> Repository:
    """Find the repository that `git` would use in `start`, with `GIT_DIR` and friends honored.

    Raises: GitError when there is none, or it is of a kind we cannot read (SHA-256, reftable).
    """
    environment = os.environ if environment is None else environment
    ours = Git(binary, start, _keeping_location(environment))
    done = ours.run(
        [
            "rev-parse",
            "--path-format=absolute",
            "--is-bare-repository",
            "--absolute-git-dir",
            "--git-common-dir",
            "--show-object-format",
            "--is-inside-work-tree",
        ]
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise GitError(
            f"cannot use '{start}': {said.partition(chr(10))[0].removeprefix('fatal: ')}",
            stderr=said,
            hint=_remedy(said),
        )
    said_lines = os.fsdecode(done.stdout).removesuffix("\n").split("\n")
    if len(said_lines) != 5:
        raise GitError(f"cannot use '{start}': its path has a newline", hint="rename the directory")
    bare, git_dir, common_dir, object_format, inside = said_lines
    _check_readable(ours, Path(common_dir), object_format)
    worktree = None
    if bare == "false":
        worktree = _toplevel(ours) if inside == "true" else Path(common_dir).parent
    found_there = worktree is not None and (worktree / ".git").exists()
    clean = Git(binary, worktree if worktree and found_there else Path(git_dir), for_git(environment))
    return Repository(
        worktree=worktree, git_dir=Path(git_dir), common_dir=Path(common_dir), git=clean, asked=ours
    )


def _remedy(said: str) -> str:
    """Return what to do when git refuses a directory: what it proposes itself for that of someone else."""
    command = next((line.strip() for line in said.splitlines() if "safe.directory" in line), "")
    if not command:
        return "run inside a git repository, or name one with --repo"
    return f"it belongs to someone else; if you trust that: {command}"


def _keeping_location(environment: Mapping[str, str]) -> dict[str, str]:
    result = for_git(environment)
    for name, value in environment.items():
        if name in LOCATION or name.startswith("GIT_CONFIG_"):
            result[name] = value
    return result


def _toplevel(git: Git) -> Path:
    return Path(git.text("rev-parse", "--path-format=absolute", "--show-toplevel").removesuffix("\n"))


def _check_readable(git: Git, common_dir: Path, object_format: str) -> None:
    if object_format != "sha1":
        raise GitError(
            f"cannot use '{common_dir}': its object format is {object_format}",
            hint="libgit2, which git limmat reads objects with, supports sha1 repositories only",
        )
    if (common_dir / "reftable").is_dir():
        raise GitError(
            f"cannot use '{common_dir}': its refs are stored as reftable",
            hint="git refs migrate --ref-format=files makes it readable",
        )
