"""Which objects a repository has.

Layer:  git.

git is asked where libgit2 is not open yet: to load it takes ten times as long as a process of git.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from gitlimmat.git.loose import loose_path
from gitlimmat.git.repository import Repository

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_NONE = ("missing", "ambiguous")


def kinds(repository: Repository, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the id and the kind of the object behind each name; a kind is empty where there is none.

    Raises: GitError when git cannot be asked.
    """
    asked = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
    said = os.fsdecode(
        repository.git.call("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)
    )
    found = [line.rpartition(" ") for line in said.split("\n")[: len(names)]]
    return tuple(("", "") if kind in _NONE else (oid, kind) for oid, _, kind in found)


def is_loose(repository: Repository, oid: str) -> bool:
    """Whether an object has a file of its own."""
    return os.path.exists(loose_path(f"{repository.common_dir}/objects", oid))  # noqa: PTH110 - asked often


def are_stored(repository: Repository, oids: Iterable[str]) -> bool:
    """Whether objects of all these ids are there; their content is not looked at.

    git says that it has the empty tree, even where it is not stored; so that is never left to git.
    Raises: GitError when git or libgit2 cannot be asked.
    """
    packed = [oid for oid in oids if not is_loose(repository, oid)]
    if packed and (repository.has_handle or EMPTY_TREE in packed):
        odb = repository.objects.odb
        return all(oid in odb for oid in packed)
    return all(kind for _, kind in kinds(repository, packed)) if packed else True


def is_out_of_reach(repository: Repository, kind: str, oid: str) -> bool:
    """Whether an object that could not be read is there after all: git itself can read it.

    We may have run out of descriptors, or looked while packs were exchanged.
    Raises: GitError when git cannot be asked.
    """
    return repository.git.succeeds("cat-file", kind, oid)
