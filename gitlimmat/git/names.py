"""Look up names of commits in one batch, and say what is wrong with a bad one.

Layer: git.

Names go to git's standard input, so none can be an option or a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from gitlimmat.errors import GitError, RevisionError
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit

_FOUND = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) (commit|tag|tree|blob)")
_DIED = 128  # what git ends with when it has said why


def look_up(repository: Repository, names: Sequence[str]) -> dict[str, Commit]:
    """Return the commit each of `names` means; an annotated tag stands for its commit.

    Names have no line breaks. Two processes, however many names.

    Raises: RevisionError naming the first that means no commit.
    """
    found = find_commits(repository, names)
    for name, commit in found.items():
        if commit is None:
            raise explain(repository, name)
    return {name: commit for name, commit in found.items() if commit is not None}


def find_commits(repository: Repository, names: Sequence[str]) -> dict[str, Commit | None]:
    """Return the commit each of `names` means, or None.

    Raises: RevisionError when git gives up on a name (`@{upstream}` without one, a reflog too short),
    GitError when it cannot be asked.
    """
    if not names:
        return {}
    said = _batch(repository, [_as_commit(name) for name in names], names)
    ids = {name: match[1] for name, match in zip(names, said, strict=True) if match and match[2] == b"commit"}
    trees = _batch(repository, [oid + b"^{tree}" for oid in ids.values()], list(ids)) if ids else []
    commits = {
        name: Commit(id=oid.decode(), tree=tree[1].decode())
        for (name, oid), tree in zip(ids.items(), trees, strict=True)
        if tree
    }
    return {name: commits.get(name) for name in names}


def explain(repository: Repository, name: str) -> RevisionError:
    """Return the error that says why `name` means no commit."""
    git = repository.asked
    done = git.run(["rev-parse", "--verify", "--end-of-options", f"{name}"])
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == 0:
        kind = os.fsdecode(git.call("cat-file", "-t", done.stdout.decode().strip(), check=False)).strip()
        if kind:  # none is an id in full of an object that is not here
            kind = "tag of something else" if kind == "tag" else kind
            return RevisionError(f"'{name}' is a {kind}, not a commit")
    if "is ambiguous" in said:
        hints = [line.removeprefix("hint:").strip() for line in said.splitlines() if line.startswith("hint:")]
        return RevisionError(
            f"'{name}' is ambiguous: it is the start of several ids", hint="\n".join(hints) or None
        )
    unborn = _unborn_branch(repository)
    if unborn and (name == unborn or re.match(r"(HEAD|@)($|[~^@])", name)):
        return RevisionError(f"branch '{unborn}' has no commits yet", hint="commit something first")
    if not name:
        return RevisionError("cannot use '' as a revision: it is empty")
    if re.fullmatch(r"[^:{]*\.\.[^:{]*", name):
        return RevisionError(f"'{name}' is a range, not a revision")
    if _is_file(repository, name):
        return RevisionError(f"'{name}' is a file, not a revision")
    if name.startswith("-"):
        return RevisionError(f"unknown revision '{name}'", hint="options of git rev-list are not taken here")
    return RevisionError(f"unknown revision '{name}'")


def _as_commit(name: str) -> bytes:
    # `^{commit}` settles which object an abbreviated id means; after `:/` it would be part of the search.
    return os.fsencode(name) if name.startswith(":/") else os.fsencode(name) + b"^{commit}"


def _batch(
    repository: Repository, lines: Sequence[bytes], names: Sequence[str]
) -> list[re.Match[bytes] | None]:
    """Return a match for each line that is an object, in order."""
    done = repository.asked.run(
        ["cat-file", "--batch-check=%(objectname) %(objecttype)"], stdin=b"\n".join(lines) + b"\n"
    )
    said = done.stdout.split(b"\n")[:-1]
    if len(said) < len(lines) and done.returncode != _DIED:
        raise GitError(f"git cat-file failed with status {done.returncode}")
    if len(said) < len(lines):  # git ends at the first name it cannot bear
        why = done.stderr.decode(errors="replace").strip().rpartition("fatal: ")[2]
        name = names[len(said)]
        raise RevisionError(f"unknown revision '{name}': {why}" if why else f"unknown revision '{name}'")
    return [_FOUND.fullmatch(line) for line in said]


def _unborn_branch(repository: Repository) -> str | None:
    git = repository.asked
    if git.succeeds("rev-parse", "--verify", "--quiet", "HEAD"):
        return None
    branch = git.call("symbolic-ref", "--short", "--quiet", "HEAD", check=False)
    return os.fsdecode(branch).removesuffix("\n") or None


def _is_file(repository: Repository, name: str) -> bool:
    try:
        return (repository.asked.directory / name).exists()
    except (OSError, ValueError):
        return False
