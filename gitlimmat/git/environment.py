"""The environment that git and jobs are started with.

Layer: git.

A hook or `git -c` puts variables into our environment that bind git to one repository, index or
configuration (githooks(5), git-rev-parse(1) `--local-env-vars`). Passed on to a git or a job that works
in another worktree, they make it work on the wrong files. They are removed.
"""

from __future__ import annotations

from collections.abc import Mapping

# What our own children carry, so that one which leaves its parent is not taken for a job's.
OWN_MARK = "LIMMAT_OWN"

# What names a repository instead of the directory that git is started in.
LOCATION = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR"})

# git rev-parse --local-env-vars of git 2.47, and what hooks, options of git and the sequencer add to it.
LOCAL_VARIABLES = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_ATTR_SOURCE",
        "GIT_CHERRY_PICK_HELP",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_GLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PAGER_IN_USE",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REFLOG_ACTION",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
        "GIT_EDITOR",
        "GIT_SEQUENCE_EDITOR",
        "GIT_EXEC_PATH",
        "GIT_NAMESPACE",
        "GIT_LITERAL_PATHSPECS",
        "GIT_PUSH_OPTION_COUNT",
    }
)
_LOCAL_PREFIXES = (
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
    "GIT_CONFIG_KEY_",
    "GIT_CONFIG_VALUE_",
    "GIT_PUSH_CERT",
    "GIT_PUSH_OPTION_",
)


def is_local(name: str) -> bool:
    """Whether the variable ties git to the caller's repository, index, command or identity."""
    return name in LOCAL_VARIABLES or name.startswith(_LOCAL_PREFIXES)


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` for a job: without what ties git to the caller's repository."""
    return {name: value for name, value in environment.items() if not is_local(name) and name != OWN_MARK}


def without_location(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` for a git that is to find the repository by the directory it is started in."""
    return {name: value for name, value in environment.items() if name not in LOCATION}


def for_git(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` for a git that we parse: fixed language, no prompts, no optional locks."""
    result = scrubbed(environment)
    for name in [name for name in result if name.startswith("GIT_TRACE")]:
        del result[name]
    result[OWN_MARK] = "1"
    result["LC_ALL"] = "C.UTF-8"
    result["LANGUAGE"] = ""
    result["GIT_OPTIONAL_LOCKS"] = "0"
    result["GIT_TERMINAL_PROMPT"] = "0"
    return result
