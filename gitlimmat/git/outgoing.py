"""Commits that a push would publish.

Layer:  git.
Source: githooks(5), pre-push.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from gitlimmat.errors import GitError
from gitlimmat.git.names import find_commits
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit

_FIELDS = 4


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """One ref of a push: its name and object here and there. An object id of zeros stands for none."""

    local_ref: str
    local: str
    remote_ref: str
    remote: str

    @property
    def deletes(self) -> bool:
        """Whether the ref is to be removed there."""
        return not self.local.strip("0")


def parse_updates(text: str) -> tuple[Update, ...]:
    """Return the refs of a push as git tells its hook of them. Lines of another form are left out."""
    lines = [line.split(" ") for line in text.splitlines()]
    return tuple(
        Update(local_ref=line[0], local=line[1], remote_ref=line[2], remote=line[3])
        for line in lines
        if len(line) == _FIELDS
    )


def outgoing(
    repository: Repository,
    updates: Sequence[Update],
    remote: str | None,
    *,
    unless_without: str | None = None,
) -> tuple[Commit, ...]:
    """Return the commits that `updates` would bring to a place which does not have them yet.

    What it has are the objects of its refs that are known here, and what is in remote-tracking branches:
    those of `remote`, or of all remotes when it is None or has none. Refs that are removed, or lead to no
    commit, bring nothing; nor do those whose commit has no file of the name `unless_without`.

    Shape: newest first, no commit before one that is built on it.
    Raises: GitError when git cannot walk them.
    """
    names = [update.local for update in updates if not update.deletes]
    found = find_commits(repository, list(dict.fromkeys([*names, *(update.remote for update in updates)])))
    tips = [commit.id for name in dict.fromkeys(names) if (commit := found[name]) is not None]
    if unless_without is not None:
        tips = with_file(repository, tips, unless_without)
    if not tips:
        return ()
    there = [commit.id for update in updates if (commit := found[update.remote]) is not None]
    words = "".join(f"{word}\n" for word in (*tips, *(f"^{oid}" for oid in there)))
    pattern = f"={remote}" if remote is not None and _has_branches(repository, remote) else ""
    done = repository.git.run(
        ["rev-list", "--topo-order", "--format=%T", "--stdin", "--not", f"--remotes{pattern}"],
        stdin=words.encode(),
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise GitError(f"cannot list what is pushed: {said.partition(chr(10))[0]}", stderr=said)
    lines = done.stdout.decode().split("\n")
    return tuple(
        Commit(id=head.removeprefix("commit "), tree=tree)
        for head, tree in zip(lines[0::2], lines[1::2], strict=False)
    )


def with_file(repository: Repository, commits: Sequence[str], name: str) -> list[str]:
    """Return those of `commits`, full ids, that have a file of this name. One process."""
    if not commits:
        return []
    asked = b"".join(os.fsencode(f"{commit}:{name}\n") for commit in commits)
    said = repository.git.run(["cat-file", "--batch-check=%(objecttype)"], stdin=asked).stdout.split(b"\n")
    return [commit for commit, answer in zip(commits, said, strict=False) if answer == b"blob"]


def _has_branches(repository: Repository, remote: str) -> bool:
    return bool(
        repository.git.call("for-each-ref", "--count=1", "--format=%(refname)", f"refs/remotes/{remote}/")
    )
