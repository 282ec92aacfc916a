"""`git limmat gc`, as its user sees it."""

from __future__ import annotations

import pytest
from conftest import Repo


@pytest.fixture
def tested(repo: Repo) -> Repo:
    """Three commits, each with a megabyte of output; the oldest was tested last."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "head -c 1000000 /dev/urandom"\n')
    for number in range(3):
        repo.commit(f"c{number}")
    repo.limmat("run", "HEAD", "HEAD~1", "HEAD~2", "-j1")
    return repo


def test_gc_by_size_drops_the_oldest_and_git_gc_frees_the_space(tested: Repo) -> None:
    """What goes is really gone after `git gc`; the newest results stay."""
    assert "would drop 2 of 3 results" in tested.limmat("gc", "-n", "--size", "1m")
    tested.limmat("get", "unit", "HEAD")

    assert "dropped 2 of 3 results" in tested.limmat("gc", "--size", "1m")
    tested.git("gc", "-q", "--prune=now")

    tested.limmat("get", "unit", "HEAD", status=50)
    tested.limmat("get", "unit", "HEAD~2")
    size = next(
        line for line in tested.git("count-objects", "-v").splitlines() if line.startswith("size-pack")
    )
    assert int(size.split()[1]) < 1500


def test_gc_of_unreachable_commits_keeps_what_a_branch_or_reflog_has(tested: Repo) -> None:
    """Results of commits that nothing leads to any more go; HEADs of worktrees lead to something, too."""
    tested.git("reset", "-q", "--hard", "HEAD~1")
    assert "dropped 0 of 3" in tested.limmat("gc", "--unreachable")
    tested.git("reflog", "expire", "--expire=now", "--all")

    assert "dropped 1 of 3" in tested.limmat("gc", "--unreachable")


def test_gc_without_limits_drops_no_result(tested: Repo) -> None:
    """It only tidies up."""
    assert "dropped 0 of 3" in tested.limmat("gc")


@pytest.mark.parametrize("option", [("--size", "many"), ("--age", "old"), ("--size", "-1"), ("--count", "0")])
def test_a_bad_limit_is_a_usage_error(repo: Repo, option: tuple[str, str]) -> None:
    """The value is named, and nothing is removed."""
    repo.commit("base")

    done = repo.program("gc", *option)

    assert done.returncode == 129
    assert option[0].encode() in done.stderr
