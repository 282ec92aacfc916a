"""The environment that git and jobs are started with, against what the real git does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from conftest import Repo

from gitlimmat.git.environment import LOCAL_VARIABLES, OWN_MARK, for_git, is_local, scrubbed

# What git tells every child about itself, and what users set to have their way with git.
HARMLESS = {"GIT_CONFIG_NOSYSTEM", "GIT_ASKPASS", "GIT_SSH_COMMAND", "GIT_TRACE2_PARENT_SID"}


def test_every_local_variable_of_this_git_is_removed() -> None:
    """What git itself calls local to a repository never reaches a job."""
    local = subprocess.check_output(["git", "rev-parse", "--local-env-vars"], text=True).split()
    assert len(local) > 10
    assert set(local) <= LOCAL_VARIABLES
    assert scrubbed(dict.fromkeys(local, "x")) == {}


def test_nothing_of_a_hook_is_left_when_scrubbed(repo: Repo) -> None:
    """A job that is started by a hook sees no variable that git gave to the hook."""
    seen = repo.path / "seen.log"
    hook = repo.write(".git/hooks/post-commit", f'#!/bin/sh\nenv -0 >"{seen}"\n', executable=True)
    assert os.access(hook, os.X_OK)
    repo.git("-c", "core.abbrev=9", "commit", "-q", "--allow-empty", "-m", "x")
    variables = dict(line.split("=", 1) for line in seen.read_text().split("\0") if line)
    assert {"GIT_INDEX_FILE", "GIT_CONFIG_PARAMETERS"} <= variables.keys()
    assert {name for name in scrubbed(variables) if name.startswith("GIT_")} <= HARMLESS


def test_nothing_of_a_rebase_is_left_when_scrubbed(repo: Repo) -> None:
    """A job that is started by `git rebase -x` sees no variable of the rebase."""
    seen = repo.path / "seen.log"
    repo.commit("base")
    repo.commit("topic")
    repo.git("rebase", "-q", "-x", f"env -0 >'{seen}'", "HEAD~1")
    variables = dict(line.split("=", 1) for line in seen.read_text().split("\0") if line)
    assert {name for name in scrubbed(variables) if name.startswith("GIT_")} <= HARMLESS


def test_choices_of_the_user_are_kept_when_scrubbed() -> None:
    """How to reach a server and what to trace is the user's business, in jobs as well."""
    chosen = {"GIT_SSH_COMMAND": "ssh -4", "GIT_TRACE": "1", "GIT_CEILING_DIRECTORIES": "/", "HOME": "/h"}
    assert scrubbed(chosen) == chosen


def test_numbered_settings_are_removed_with_their_count() -> None:
    """GIT_CONFIG_KEY_<n> without its count, or the other way round, would make git fail."""
    assert all(map(is_local, ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0")))


def test_our_git_speaks_a_fixed_language_and_asks_nothing(make_repo: Callable[..., Repo]) -> None:
    """Whatever the user's locale, messages and prompts of a git that we parse are known."""
    environment = for_git({"LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de", "GIT_TRACE": "1", "GIT_DIR": "x"})
    assert environment["LC_ALL"] == "C.UTF-8"
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert not environment.keys() & {"GIT_TRACE", "GIT_DIR"}


def test_our_git_is_known_as_ours_and_jobs_are_not() -> None:
    """A background process of our own git must not be taken for one that a job left behind."""
    assert for_git({})[OWN_MARK] == "1"
    assert scrubbed({OWN_MARK: "1"}) == {}
