"""What git says of a commit that somebody wants to have on a branch.

Layer: git.

git is asked, not libgit2: it makes use of a commit-graph, and the histories are of any length.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import msgspec

from gitlimmat.errors import GitError
from gitlimmat.git.repository import Repository

_MOST = 5000  # commits of a change that are compared
_MOST_READ = 100


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A commit, with what stays when it is rewritten: who wrote it when, and its subject or its tree."""

    oid: str
    parents: tuple[str, ...]
    tree: str
    author: str
    subject: str


def joint(repository: Repository, one: str, other: str) -> str | None:
    """Return the newest commit that two have in common, None when their histories have nothing.

    Raises: GitError when a history cannot be read.
    """
    done = repository.git.run(["merge-base", one, other])
    if done.returncode not in (0, 1):
        raise GitError(f"cannot read the history of '{other}'", stderr=os.fsdecode(done.stderr))
    return done.stdout.decode().strip() or None


def is_ancestor(repository: Repository, old: str, new: str) -> bool:
    """Whether `new` descends from `old`, or is it. Anything that cannot be read does not."""
    return repository.git.succeeds("merge-base", "--is-ancestor", old, new)


def message(repository: Repository, oid: str) -> tuple[str, str]:
    """Return the subject and the body of a commit; what is not UTF-8 is replaced.

    Raises: GitError when it cannot be read.
    """
    said = repository.git.call("log", "-1", "--no-show-signature", "--format=%s%x00%b", oid)
    subject, _, body = said.decode(errors="replace").partition("\0")
    return subject, body.strip("\n")


def messages(repository: Repository, head: str, without: str) -> tuple[tuple[str, str], ...]:
    """Return the subjects and bodies of the newest commits that `head` has and `without` has not.

    Newest first. Of merges only the first parents count. Raises: GitError when a history cannot be read.
    """
    words = ("log", "-z", f"--max-count={_MOST_READ}", "--first-parent", "--no-show-signature")
    said = repository.git.call(*words, "--format=%s%x1f%b", head, "--not", without)
    split = (each.partition("\x1f") for each in said.decode(errors="replace").split("\0") if each)
    return tuple((subject, body.strip("\n")) for subject, _, body in split)


def written(repository: Repository, heads: Iterable[str], without: str) -> Mapping[str, Written]:
    """Return the newest commits of `heads` that `without` does not have, by id.

    Raises: GitError when a history cannot be read.
    """
    form = "--format=%H%x00%P%x00%T%x00%an <%ae> %at%x00%s"
    said = repository.git.call(
        *("log", "-z", f"--max-count={_MOST}", "--no-show-signature", form, *heads, "--not", without)
    )
    fields = said.decode(errors="replace").split("\0")
    rows = zip(*(fields[start::5] for start in range(5)), strict=False)
    return {
        oid: Written(oid=oid, parents=tuple(parents.split()), tree=tree, author=author, subject=subject)
        for oid, parents, tree, author, subject in rows
    }


def is_continued(commits: Mapping[str, Written], old: str, new: str) -> bool:
    """Whether `new` has `old`, or a commit that `old` has too, or one that was rewritten from such a one.

    `commits` are those that make up both.
    """
    before, after = _reached(commits, old), _reached(commits, new)
    if before & after:
        return True
    marks = {mark for oid in before for mark in _marks(commits[oid])}
    return any(mark in marks for oid in after for mark in _marks(commits[oid]))


def _reached(commits: Mapping[str, Written], head: str) -> set[str]:
    found: set[str] = set()
    waiting = [head]
    while waiting:
        oid = waiting.pop()
        if oid in commits and oid not in found:
            found.add(oid)
            waiting += commits[oid].parents
    return found


def _marks(commit: Written) -> tuple[tuple[str, str, str], ...]:
    """Return what a rewritten commit has one of: git keeps the author with the time, to the second."""
    return ("tree", commit.author, commit.tree), ("subject", commit.author, commit.subject)
