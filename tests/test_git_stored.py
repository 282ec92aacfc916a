"""What git is asked where libgit2 is not open, and that it is the same."""

from __future__ import annotations

import pytest
from conftest import Repo

from gitlimmat.git.repository import find_repository
from gitlimmat.git.stored import EMPTY_TREE, are_stored, is_loose

NOWHERE = "1" * 40


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_there_is_found(repo: Repo, *, opened: bool, packed: bool) -> None:
    """Loose or packed, by git or by libgit2."""
    commit = repo.commit("one", file="1\n")
    blob = repo.git("rev-parse", f"{commit}:file")
    if packed:
        repo.git("gc", "--quiet", "--prune=now")
    repository = find_repository(repo.path)
    if opened:
        assert repository.objects
    assert repository.has_handle is opened

    assert is_loose(repository, commit) is not packed
    assert are_stored(repository, [])
    assert are_stored(repository, [commit, blob])
    assert not are_stored(repository, [commit, NOWHERE])
    assert repository.has_handle is opened


@pytest.mark.parametrize("opened", [False, True])
def test_the_empty_tree_is_there_only_when_it_is_stored(repo: Repo, *, opened: bool) -> None:
    """git itself says that it always is, and then complains of a commit without it."""
    repo.commit("one", file="1\n")
    repository = find_repository(repo.path)
    if opened:
        assert repository.objects
    assert not are_stored(repository, [EMPTY_TREE])

    empty = repo.git("commit-tree", "-m", "empty", repo.git("mktree", stdin=""))
    assert are_stored(repository, [EMPTY_TREE])
    repo.git("update-ref", "refs/heads/empty", empty)
    repo.git("gc", "--quiet", "--prune=now")
    assert not is_loose(repository, EMPTY_TREE)
    assert are_stored(find_repository(repo.path), [EMPTY_TREE])
