"""Reading git's configuration."""

from __future__ import annotations

import os

import pytest
from conftest import Repo

from gitlimmat.errors import GitError
from gitlimmat.git.configuration import read_settings
from gitlimmat.git.repository import find_repository
from gitlimmat.model import ConfigValue


def values(repo: Repo, key: str) -> list[ConfigValue]:
    """All values of `key`, as read in the repository."""
    return [value for value in read_settings(find_repository(repo.path)) if value.key == key]


def test_each_value_has_its_scope_and_origin(repo: Repo) -> None:
    """A value says where it is from, and the last one of a key comes last."""
    repo.git("config", "--global", "limmat.jobs", "2")
    repo.git("config", "limmat.jobs", "3")

    found = values(repo, "limmat.jobs")

    assert [(value.value, value.scope) for value in found] == [("2", "global"), ("3", "local")]
    assert found[0].origin == f"file:{repo.environment['HOME']}/.gitconfig"
    assert found[1].origin == "file:.git/config"


def test_a_key_without_value_is_told_from_an_empty_one(repo: Repo) -> None:
    """A key without `=` means true, one with nothing behind it is empty."""
    with (repo.path / ".git" / "config").open("a") as out:
        out.write("[limmat]\n\tbare\n\tempty =\n")

    assert [value.value for value in values(repo, "limmat.bare")] == [None]
    assert [value.value for value in values(repo, "limmat.empty")] == [""]


def test_awkward_values_survive(repo: Repo) -> None:
    """Line breaks, `=`, a subsection in its case, and bytes that are no UTF-8 come back as they are."""
    repo.git("config", "limmat.Upper.Some.Key", "a=b\nc")
    repo.git("config", "limmat.raw", os.fsdecode(b"\xff"))

    assert [value.value for value in values(repo, "limmat.Upper.Some.key")] == ["a=b\nc"]
    assert [os.fsencode(value.value or "") for value in values(repo, "limmat.raw")] == [b"\xff"]


def test_values_of_the_call_are_seen(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """`git -c` and GIT_CONFIG_COUNT reach us by the environment, and win."""
    repo.git("config", "limmat.base", "local")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "limmat.base")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "counted")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'limmat.base'='given'")

    found = values(repo, "limmat.base")

    assert [value.value for value in found] == ["local", "counted", "given"]
    assert [value.scope for value in found] == ["local", "command", "command"]


def test_includes_and_worktree_values_are_seen(repo: Repo) -> None:
    """Included files and the configuration of one worktree count as git counts them."""
    repo.commit("base")
    repo.write("more.config", "[limmat]\n\tjobs = 5\n")
    repo.git("config", "include.path", str(repo.path / "more.config"))
    repo.git("config", "extensions.worktreeConfig", "true")
    repo.git("config", "--worktree", "limmat.base", "here")

    assert [value.origin for value in values(repo, "limmat.jobs")] == [f"file:{repo.path}/more.config"]
    assert [value.scope for value in values(repo, "limmat.base")] == ["worktree"]


def test_a_broken_file_is_named(repo: Repo) -> None:
    """A file git cannot read is an error that says which."""
    found = find_repository(repo.path)
    (repo.path / ".git" / "config").write_text("[core\n")

    with pytest.raises(GitError, match=r"bad config line 1 in file \.git/config"):
        read_settings(found)
