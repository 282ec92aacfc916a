"""The variables that a job sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitlimmat.model import Commit, Test
from gitlimmat.runner.environment import job_environment

COMMIT = Commit(id="c" * 40, tree="d" * 40)


def environment(base: dict[str, str] | None = None, **changed: object) -> dict[str, str]:
    given: dict[str, object] = {
        "test": Test(name="unit", command="x"),
        "commit": COMMIT,
        "origin": Path("/origin"),
        "config": Path("/origin/limmat.toml"),
        "artifacts": Path("/runs/1/artifacts"),
        "dependencies": {},
        "tokens": {},
        "slot": 2,
        "previous": "b" * 40,
    }
    return job_environment(base or {}, **(given | changed))


def test_job_variables_are_all_there_when_all_is_known() -> None:
    """A job sees its test, commit, places and slot, and nothing else of ours."""
    assert environment({"HOME": "/h"}) == {
        "HOME": "/h",
        "LIMMAT_TEST": "unit",
        "LIMMAT_COMMIT": "c" * 40,
        "LIMMAT_ORIGIN": "/origin",
        "LIMMAT_CONFIG": "/origin/limmat.toml",
        "LIMMAT_ARTIFACTS": "/runs/1/artifacts",
        "LIMMAT_SLOT": "2",
        "LIMMAT_PREVIOUS_COMMIT": "b" * 40,
    }


def test_variables_of_an_outer_job_are_gone_when_there_is_no_new_value() -> None:
    """A limmat in a job of another limmat passes on only the mark that ties its jobs to the outer one."""
    outer = {
        "LIMMAT_TEST": "outer",
        "LIMMAT_COMMIT": "outer",
        "LIMMAT_ORIGIN": "outer",
        "LIMMAT_CONFIG": "outer",
        "LIMMAT_ARTIFACTS": "outer",
        "LIMMAT_ARTIFACTS_dep": "outer",
        "LIMMAT_RESOURCE_db": "outer",
        "LIMMAT_RESOURCE_db_0": "outer",
        "LIMMAT_SLOT": "outer",
        "LIMMAT_PREVIOUS_COMMIT": "outer",
        "LIMMAT_OWN": "1",
        "LIMMAT_JOB": "0123.1",
    }
    left = environment(outer, config=None, slot=None, previous=None)
    assert left.keys() == {"LIMMAT_TEST", "LIMMAT_COMMIT", "LIMMAT_ORIGIN", "LIMMAT_ARTIFACTS", "LIMMAT_JOB"}
    assert [name for name, value in left.items() if value == "outer"] == []


def test_paths_are_absolute_when_given_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job works in another directory, so it never sees a relative path."""
    monkeypatch.chdir(tmp_path)
    there = Path("x")
    seen = environment(origin=Path(), config=there, artifacts=there, dependencies={"dep": there})
    assert seen["LIMMAT_ORIGIN"] == str(tmp_path)
    for name in ("LIMMAT_CONFIG", "LIMMAT_ARTIFACTS", "LIMMAT_ARTIFACTS_dep"):
        assert seen[name] == str(tmp_path / "x")


def test_git_variables_are_gone_when_a_hook_started_us() -> None:
    """What ties git to the caller's repository does not reach a job."""
    hook = {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_PREFIX": "", "GIT_AUTHOR_NAME": "a"}
    assert not [name for name in environment(hook) if name.startswith("GIT_")]


def artifacts(*names: str) -> dict[str, str]:
    seen = environment(dependencies={name: Path(f"/at/{name}") for name in names})
    prefix = "LIMMAT_ARTIFACTS_"
    return {name.removeprefix(prefix): value for name, value in seen.items() if name.startswith(prefix)}


def test_artifacts_have_a_second_name_when_a_shell_could_not_read_the_first() -> None:
    """A dependency is named as it is, and with `_` for what a shell does not take in names."""
    assert artifacts("a-b.c", "plain") == {
        "a-b.c": "/at/a-b.c",
        "a_b_c": "/at/a-b.c",
        "plain": "/at/plain",
    }


def test_a_second_name_is_not_set_when_two_names_claim_it() -> None:
    """Seeing nothing is better than seeing the artifacts of another test."""
    assert artifacts("a-b", "a.b") == {"a-b": "/at/a-b", "a.b": "/at/a.b"}


def test_a_real_name_wins_when_another_one_is_spelt_like_it() -> None:
    """The exact name of a dependency always leads to its own artifacts."""
    assert artifacts("a-b", "a_b") == {"a-b": "/at/a-b", "a_b": "/at/a_b"}


def tokens(**held: tuple[str, ...]) -> dict[str, str]:
    seen = environment(tokens={name.replace("__", "-"): values for name, values in held.items()})
    prefix = "LIMMAT_RESOURCE_"
    return {name.removeprefix(prefix): value for name, value in seen.items() if name.startswith(prefix)}


def test_tokens_are_numbered_and_a_single_one_also_bare() -> None:
    """The short name is there only when it is clear which token it means."""
    assert tokens(db=("x",), cpu=("0", "1"), none=()) == {"db": "x", "db_0": "x", "cpu_0": "0", "cpu_1": "1"}


def test_a_numbered_token_wins_when_another_resource_has_its_name() -> None:
    """The first of two tokens of `a` is `a_0`, also beside a resource of that name."""
    assert tokens(a=("x", "y"), a_0=("z",)) == {"a_0": "x", "a_1": "y", "a_0_0": "z"}


def test_tokens_have_a_second_name_when_a_shell_could_not_read_the_first() -> None:
    """Resources are spelt for the shell like dependencies."""
    assert tokens(hw__device=("x",)) == {
        "hw-device": "x",
        "hw_device": "x",
        "hw-device_0": "x",
        "hw_device_0": "x",
    }


def test_names_that_no_variable_can_have_are_left_out() -> None:
    """A `=` in a name would give another variable another value."""
    assert artifacts("a=b") == {}
