"""Where the range that is watched begins and ends now.

Layer: git.

Plain names of refs are read from files. All else (`HEAD~5`, `main@{upstream}`, abbreviated ids) is for git to
say, and it is asked again only when a ref or the configuration is no longer what it was.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import msgspec

from gitlimmat.errors import GitError, LimmatError, RevisionError
from gitlimmat.git.message import printable
from gitlimmat.git.names import explain, find_commits
from gitlimmat.git.reffiles import RefFiles, RefState
from gitlimmat.git.refs import BrokenRefError
from gitlimmat.git.repository import Repository, open_libgit2
from gitlimmat.git.revision import find_base

_FULL_ID = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)
_REFTABLE = "refs/heads/.invalid"  # what HEAD says where refs are no files
_MOST_KNOWN = 1000


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """The ends of the range. Ids are full object ids of commits, None for what cannot be resolved now.

    `head_name` and `base_name` are what people call them (`topic`, `HEAD` when detached, `origin/main`).
    `problem` says what is wrong when one is None: an unborn branch, a base that is gone, no repository.
    `unanswered`: git could not be asked; what is None may be there, and nothing tells when git works again.
    """

    head: str | None
    head_name: str
    base: str | None
    base_name: str
    problem: str | None = None
    unanswered: bool = False


class _End(NamedTuple):
    """One end: its name for people, and the commit, or why there is none."""

    name: str
    commit: str | None = None
    problem: str | None = None
    unanswered: bool = False


class _Found(NamedTuple):
    """A base that was found, or why there was none, and for which branch and configuration."""

    where: tuple[str, ...]
    name: str
    problem: str | None = None
    state: RefState | None = None  # of a failure
    unanswered: bool = False


class EndsReader:
    """Reads the ends again and again. Costs no process when nothing relevant changed.

    `base` is what the user gave, or None to find it as `revision.find_base` does, with `configured`
    (`limmat.base`). A base that was found is found again when HEAD is on another branch, the repository's
    configuration has changed, or it is gone; not while a rebase has HEAD off its branch.

    Not for use by two threads at once.
    """

    def __init__(self, repository: Repository, base: str | None, configured: str | None) -> None:
        self._repository = repository
        self._given = base
        self._configured = configured
        self._files = RefFiles(repository.git_dir, repository.common_dir)
        self._identity: tuple[int, int] | None = None
        self._commits: dict[str, str] = {}  # what an id that refs had means as a commit
        self._found: _Found | None = None
        self._asked: tuple[str, RefState, _End] | None = None
        self._branch: str | None = None  # the last one of HEAD that had a commit
        self._plain: str | None = None  # the last name of a ref that had a commit

    def read(self) -> Ends:
        """Return the ends as they are. Never raises for what the repository is like; `problem` says it."""
        head, base = self._read()
        return Ends(
            head=head.commit,
            head_name=printable(head.name),
            base=base.commit,
            base_name=printable(base.name),
            problem=head.problem or base.problem,
            unanswered=base.unanswered,
        )

    def _read(self) -> tuple[_End, _End]:
        self._notice_another_repository()
        for directory in (self._repository.common_dir, self._repository.git_dir):
            if not os.path.isdir(directory):  # noqa: PTH112 - that of a Path may raise
                problem = f"there is no repository at '{directory}'"
                return _End("HEAD", None, problem), _End(self._given or "", None, problem)
        try:
            branch = self._files.symbolic("HEAD")
        except OSError as error:
            head = _End("HEAD", None, f"cannot read '{self._files.git_dir / 'HEAD'}': {error.strerror}")
            branch = None
        else:
            head = self._head(branch)
        base = self._resolve(self._given) if self._given is not None else self._guessed_base(branch, head)
        return head, base

    def _notice_another_repository(self) -> None:
        try:
            found = self._repository.common_dir.stat()
            identity = (found.st_dev, found.st_ino)
        except OSError:
            identity = None
        if identity != self._identity:
            self._identity = identity
            self._commits.clear()
            self._found = self._asked = self._branch = self._plain = None

    def _head(self, branch: str | None) -> _End:
        if branch == _REFTABLE:
            where = self._repository.common_dir
            return _End("HEAD", None, f"cannot use '{where}': its refs are stored as reftable")
        name = (branch or "HEAD").removeprefix("refs/heads/")
        try:
            oid = self._files.read("HEAD")
        except (LimmatError, OSError) as error:
            return _End(name, None, _why(error, branch or "HEAD"))
        if oid is None:
            gone = branch == self._branch
            return _End(name, None, f"branch '{name}' {'is gone' if gone else 'has no commits yet'}")
        end = self._as_commit(name, oid)
        if end.commit is not None:
            self._branch = branch
        return end

    def _guessed_base(self, branch: str | None, head: _End) -> _End:
        where = (branch or "", _stamp(self._repository.common_dir / "config"))
        found = self._found
        if found is not None and not found.problem and (found.where == where or self._is_rebased(found)):
            end = self._resolve(found.name)
            if end.commit is not None:
                return end
        if head.commit is None:
            return _End(found.name if found else "")
        found = self._find(where)
        if found.problem is not None:
            return _End("", None, found.problem, found.unanswered)
        return self._resolve(found.name)

    def _find(self, where: tuple[str, ...]) -> _Found:
        """Return the base for this branch; one that could not be found is looked for when refs change."""
        before, state = self._found, self._files.state()
        if before is not None and before.where == where and before.state == state and state.settled:
            return before
        try:
            self._found = _Found(where, find_base(self._repository, self._configured).revision)
        except GitError as error:
            return _Found(where, "", error.message, unanswered=True)
        except LimmatError as error:
            self._found = _Found(where, "", error.message, state)
        return self._found

    def _is_rebased(self, found: _Found) -> bool:
        """Whether HEAD is off the branch that the base was found for because that is being rebased."""
        for name in ("rebase-merge", "rebase-apply"):
            try:
                return (self._files.git_dir / name / "head-name").read_text().strip() == found.where[0]
            except (OSError, ValueError):
                pass
        return False

    def _resolve(self, name: str) -> _End:
        if _FULL_ID.fullmatch(name):
            return self._as_commit(name, name.lower())
        try:
            ref = self._files.find(name)
            oid = self._files.read(ref) if ref is not None else None
        except (BrokenRefError, OSError) as error:
            return _End(name, None, _why(error, name))
        if oid is None:
            end = self._ask(name)
            gone = end.commit is None and name == self._plain
            return _End(name, None, f"base '{name}' is gone") if gone else end
        self._plain = name
        return self._as_commit(name, oid)

    def _ask(self, name: str) -> _End:
        """Return what git says `name` means. Spawns processes if refs are not what they were."""
        state = self._files.state()
        if self._asked is not None and self._asked[:2] == (name, state) and state.settled:
            return self._asked[2]
        try:
            if "\n" in name or "\0" in name:
                raise RevisionError(f"unknown revision '{printable(name)}'")
            commit = find_commits(self._repository, [name])[name]
            if commit is None:
                raise explain(self._repository, name)
            end = _End(name, commit.id)
        except GitError as error:
            return _End(name, None, error.message, unanswered=True)
        except LimmatError as error:
            end = _End(name, None, error.message)
        self._asked = (name, state, end)
        return end

    def _as_commit(self, name: str, oid: str) -> _End:
        """Return the commit that an id means: itself, or what an annotated tag stands for."""
        commit = self._commits.get(oid)
        if commit is not None:
            return _End(name, commit)
        try:
            commit = _peel(self._repository.common_dir, name, oid)
        except LimmatError as error:
            return _End(name, None, error.message)
        if len(self._commits) >= _MOST_KNOWN:
            self._commits.clear()
        self._commits[oid] = commit
        return _End(name, commit)


def _peel(common_dir: Path, name: str, oid: str) -> str:
    """Return the id of the commit that an object is or, as a tag, leads to.

    Opens the repository anew: a handle that is kept does not notice that another one has taken its place.

    Raises: GitError or RevisionError when there is no such commit.
    """
    import pygit2

    objects = open_libgit2(common_dir)
    try:
        found = objects[oid]
        while isinstance(found, pygit2.Tag):
            found = objects[found.target]
    except (KeyError, pygit2.GitError) as error:
        raise RevisionError(f"cannot read '{name}': object '{oid[:12]}' is missing or damaged") from error
    if not isinstance(found, pygit2.Commit):
        raise RevisionError(f"'{name}' is a {found.type_str}, not a commit")
    return str(found.id)


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def _why(error: LimmatError | OSError, name: str) -> str:
    return error.message if isinstance(error, LimmatError) else f"cannot read '{name}': {error.strerror}"
