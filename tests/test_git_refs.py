"""Refs: several move together, and only from where they are expected to be."""

from __future__ import annotations

import os

import pytest
from conftest import Repo

from gitlimmat.errors import GitError, RefMovedError
from gitlimmat.git.refs import (
    BrokenRefError,
    RefUpdate,
    delete_broken_ref,
    read_ref,
    remove_stale_lock,
    update_refs,
)
from gitlimmat.git.repository import Repository, find_repository

REF = "refs/limmat/x"


@pytest.fixture
def repository(repo: Repo) -> Repository:
    """A repository with two commits, found."""
    repo.commit("first")
    repo.commit("second")
    return find_repository(repo.path)


def test_refs_are_made_moved_and_deleted_together(repo: Repo, repository: Repository) -> None:
    """One call may do all three, also with trees, which a ref of ours may point at."""
    first, tree = repo.git("rev-parse", "HEAD~1", "HEAD^{tree}").split()
    update_refs(repository.git, [RefUpdate(REF, first, None), RefUpdate("refs/limmat/y", tree, None)], "make")

    moves = [RefUpdate(REF, tree, first), RefUpdate("refs/limmat/y", None, tree)]
    update_refs(repository.git, [*moves, RefUpdate("refs/limmat/z", first, None)], "move")

    found = [read_ref(repository.objects, f"refs/limmat/{name}") for name in "xyz"]
    assert found == [tree, None, first]


@pytest.mark.parametrize("expected", [None, "0" * 39 + "1"])
def test_nothing_moves_when_one_ref_is_not_as_expected(
    repo: Repo, repository: Repository, expected: str | None
) -> None:
    """A lost race is an error of its own that says what was found, and changes nothing."""
    head, first = repo.git("rev-parse", "HEAD", "HEAD~1").split()
    repo.git("update-ref", REF, first)

    with pytest.raises(RefMovedError, match=first[:12]):
        update_refs(
            repository.git, [RefUpdate("refs/limmat/new", head, None), RefUpdate(REF, head, expected)], "x"
        )

    assert repo.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/limmat") == f"{first} {REF}"


def test_a_ref_in_the_way_is_named(repo: Repo, repository: Repository) -> None:
    """A ref cannot be a directory as well; the message says which other ref exists."""
    head = repo.git("rev-parse", "HEAD")
    repo.git("update-ref", "refs/limmat/x/below", head)
    with pytest.raises(GitError, match="'refs/limmat/x': 'refs/limmat/x/below' exists") as caught:
        update_refs(repository.git, [RefUpdate(REF, head, None)], "x")
    assert caught.value.hint == "git update-ref -d refs/limmat/x/below removes the ref that is in the way"

    with pytest.raises(GitError, match="'refs/limmat/x/below/deep': 'refs/limmat/x/below' exists"):
        update_refs(repository.git, [RefUpdate("refs/limmat/x/below/deep", head, None)], "x")


def test_a_missing_object_is_no_lost_race(repository: Repository) -> None:
    """What git refuses for another reason is told in its words."""
    with pytest.raises(GitError, match=f"cannot update '{REF}'") as caught:
        update_refs(repository.git, [RefUpdate(REF, "1" * 40, None)], "x")
    assert not isinstance(caught.value, RefMovedError)


def test_reading_never_follows_or_guesses(repo: Repo, repository: Repository) -> None:
    """A symbolic ref is an error, and so is a ref file with garbage, which can be deleted."""
    repo.git("symbolic-ref", REF, "refs/heads/main")
    with pytest.raises(GitError, match="symbolic ref to 'refs/heads/main'"):
        read_ref(repository.objects, REF)
    for content in ("", "garbage\n"):
        (repo.path / ".git" / REF).write_text(content)
        with pytest.raises(BrokenRefError, match=REF):
            read_ref(repository.objects, REF)

    delete_broken_ref(repository.common_dir, REF)

    assert read_ref(repository.objects, REF) is None


def test_only_an_old_lock_file_is_stale(repo: Repo, repository: Repository) -> None:
    """A lock file that git may be holding right now is left alone."""
    lock = repo.path / ".git" / f"{REF}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    assert not remove_stale_lock(repository.common_dir, REF)
    lock.touch()
    assert not remove_stale_lock(repository.common_dir, REF)
    os.utime(lock, (1, 1))

    assert remove_stale_lock(repository.common_dir, REF)
    assert not lock.exists()
