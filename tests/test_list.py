"""`git limmat list`: commits chosen by their results."""

from __future__ import annotations

import pytest
from conftest import Repo

CONFIG = """
[[tests]]
name = "build"
command = "true"
cache = "by_tree"

[[tests]]
name = "unit"
command = "case $(cat state) in bad) exit 1;; odd) kill -9 $$;; skip) exit 77;; esac; test -z \\"$FAIL\\""
skip_exit_codes = [77]

[[tests]]
name = "extra"
command = "false"
run_by_default = false
"""
STATES = ("fine", "bad", "odd", "skip", "new")


@pytest.fixture
def tested(repo: Repo) -> Repo:
    """A branch with a commit for each state but the last, which nobody has tested."""
    repo.config(CONFIG)
    repo.commit("base")
    for state in STATES:
        repo.commit(state, state=state)
        repo.git("tag", state)
    repo.git("branch", "start", "fine~1")
    repo.limmat("run", "start..skip", status=1)
    return repo


def listed(repo: Repo, *arguments: str, status: int = 0) -> str:
    """Return the states of the commits that are printed for the range, newest first."""
    said = repo.limmat("list", *arguments, "start..new", status=status)
    names = {repo.git("rev-parse", state): state for state in STATES}
    return " ".join(names[oid] for oid in said.splitlines())


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("--failed", "bad"),
        ("--errored", "odd"),
        ("--skipped --any", "skip"),
        ("--unknown", "new"),
        ("--passed", "fine"),
        ("--passed --skipped", "skip fine"),
        ("--passed --any", "skip odd bad fine"),
        ("--passed --test build", "skip odd bad fine"),
        ("--passed --test build --test unit", "fine"),
        ("--failed --errored", "odd bad"),
        ("--failed --unknown --all", "new"),
        ("--unknown --test extra", "new skip odd bad fine"),
        ("--tests build --passed", "skip odd bad fine"),
    ],
)
def test_commits_are_those_with_the_results(tested: Repo, options: str, found: str) -> None:
    """Any of the results on any of the tests, or on all of them; good ones are wanted of all."""
    assert listed(tested, *options.split()) == found


def test_none_is_status_1(tested: Repo) -> None:
    """As grep has it; an empty range is no error."""
    assert listed(tested, "--flaky", status=1) == ""
    assert tested.limmat("list", "--unknown", "new..new", status=1) == ""


def test_a_flaky_test_has_passed_and_failed_on_the_same(tested: Repo) -> None:
    """Another definition, another commit or an error do not make it flaky."""
    tested.limmat("run", "--rerun=all", "fine", status=1, FAIL="1")
    assert listed(tested, "--flaky") == "fine"
    assert listed(tested, "--flaky", "--test", "build", status=1) == ""
    assert listed(tested, "--failed") == "bad fine"

    tested.config(CONFIG.replace("skip) exit 77", "skip) exit  77"))
    assert listed(tested, "--flaky", status=1) == ""


def test_without_config_all_that_has_results_counts(tested: Repo) -> None:
    """Commands of `run --exec` have names, too."""
    (tested.path / "limmat.toml").unlink()
    tested.limmat("run", "-x", "true", "start..new")
    assert listed(tested, "--failed") == "bad"
    assert listed(tested, "--passed", "--test", "true") == "new skip odd bad fine"
    assert listed(tested, "--unknown") == "new"
    assert listed(tested, "--unknown", "--test", "nothing") == "new skip odd bad fine"


def test_nothing_stored_is_unknown(repo: Repo) -> None:
    """Also where there are no tests at all."""
    commit = repo.commit("base")
    assert repo.limmat("list", "--unknown", "HEAD") == f"{commit}\n"
    assert repo.limmat("list", "--passed", "HEAD", status=1) == ""


def test_the_form_is_as_asked(tested: Repo) -> None:
    """One full id a line; short, or ended by NUL. Never a color."""
    full, short = tested.git("rev-parse", "bad"), tested.git("rev-parse", "--short", "bad")
    tested.git("config", "color.ui", "always")
    assert tested.limmat("list", "--failed", "start..new") == f"{full}\n"
    assert tested.limmat("list", "--failed", "-z", "start..new") == f"{full}\0"
    assert tested.limmat("list", "--failed", "--abbrev", "start..new") == f"{short}\n"


def test_the_range_is_that_of_run(tested: Repo) -> None:
    """From the base to HEAD."""
    tested.git("config", "limmat.base", "bad")
    assert tested.limmat("list", "--unknown") == f"{tested.git('rev-parse', 'new')}\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "nothing to look for is given"),
        ("--failed --any --all", "cannot be used together"),
        ("--failed --test nobody", "no test is called 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_refused(tested: Repo, options: str, words: str) -> None:
    """Status 129, with a hint."""
    done = tested.program("list", *options.split(), "HEAD")
    assert done.returncode == 129
    assert words in done.stderr.decode()
