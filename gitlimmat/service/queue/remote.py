"""What somebody may do who comes through SSH with a key that `git limmat queue shell NAME` belongs to.

Layer:  service.
Source: git-limmat-queue(1), WHO SOMEONE IS; git-shell(1); `command=` in sshd(8).

Fetching, pushing and the commands of the queue; nothing else of git limmat, and no option that names a
program or a file of the server.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.queue.quoting import quote
from gitlimmat.service.queue.identity import SHELL_VARIABLE

VERBS = frozenset(
    {
        *("approve", "unapprove", "try", "retry", "cancel", "yield", "priority", "rollup", "unroll"),
        *("delegate", "undelegate", "close", "reopen", "comment", "retitle", "draft", "ready", "retarget"),
        *("list", "show", "explain", "history", "info", "help"),
        *("pause", "resume", "tree-close", "tree-open"),
    }
)
"""Commands of the queue that may be given from afar."""

_GIT = ("git-receive-pack", "git-upload-pack", "git-upload-archive")
_LIMMAT = ("limmat", "git-limmat")
_DROPPED = ("GIT_", "LIMMAT_", "PYTHON", "GL_", "REMOTE_", "LD_", "DYLD_")
_KEPT = "GIT_PROTOCOL"
_OF_THE_SERVER = (
    *("-r", "-c", "--repo", "--config", "--result-db", "--worktree-prefix", "--worktree-dir"),
    *("--num-worktrees", "--git-binary", "--file"),
)
_ENDS = ("", ".git", "/.git")  # what git adds to a path by itself
_ELSEWHERE = "this key is not for {}"
_LEAVE_OUT = "leave '--repo' out"
_USES = "you can fetch, push, and say 'limmat queue <command>', such as 'limmat queue list'"


class ForGit(msgspec.Struct, frozen=True, kw_only=True):
    """A command line for git-shell."""

    line: str


class ForQueue(msgspec.Struct, frozen=True, kw_only=True):
    """Words for `git limmat`."""

    words: tuple[str, ...]


class RefusedCommandError(LimmatError):
    """It is not among what may be done from afar."""


def parse_line(line: str, repo: str | None) -> ForGit | ForQueue:
    """Return what `line`, SSH_ORIGINAL_COMMAND, asks for; `repo` is the only repository it may be about.

    Where that is None it can be any that this account can use.
    Raises: RefusedCommandError.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise RefusedCommandError("cannot read the command: a quote does not end", hint=_USES) from error
    if not words:
        raise RefusedCommandError("there is no shell here", hint=_USES)
    if words[0] == "git" and len(words) > 1:
        words = [f"git-{words[1]}", *words[2:]]
    if words[0] in _GIT:
        return ForGit(line=line if repo is None else _bound(words, repo))
    if words[0] not in _LIMMAT:
        raise RefusedCommandError(f"{quote(words[0])} cannot be called from afar", hint=_USES)
    named, rest = _repo(words[1:])
    if rest[:1] != ["queue"] or not rest[1:] or rest[1] not in VERBS:
        raise RefusedCommandError(f"{quote(' '.join(rest[:2]))} cannot be called from afar", hint=_USES)
    _check_options(rest[2:])
    if repo is not None and named and not _is_same(named, repo):
        raise RefusedCommandError(_ELSEWHERE.format(quote(named)), hint=_LEAVE_OUT)
    if not (named or repo):
        raise RefusedCommandError(
            "no repository is named", hint="say 'limmat --repo <path> queue ...', with the path on the server"
        )
    return ForQueue(words=("--repo", repo or named, *rest))


def _bound(words: Sequence[str], repo: str) -> str:
    """Return the line for git-shell, with the one repository in it that this key is for."""
    if len(words) != 2 or not any(_is_same(words[1] + end, repo) for end in _ENDS):
        shown = words[1] if len(words) > 1 else ""
        raise RefusedCommandError(_ELSEWHERE.format(quote(shown)), hint="another key, or none, is for that")
    path = repo.replace("'", "'\\''")
    return f"{words[0]} '{path}'"


def _is_same(path: str, repo: str) -> bool:
    """Whether two paths, as git understands them, lead to one directory."""
    try:
        return Path(path).expanduser().resolve() == Path(repo).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return False


def environment_of(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for whoever is called `name`: what a client may have sent is dropped.

    Nothing in it starts a pager or an editor, from which one could get to a shell.
    """
    kept = {key: value for key, value in given.items() if key == _KEPT or not key.startswith(_DROPPED)}
    quiet = {"GIT_PAGER": "cat", "PAGER": "cat", "LESSSECURE": "1", "GIT_EDITOR": "false", "EDITOR": "false"}
    return kept | quiet | {"VISUAL": "false", SHELL_VARIABLE: name}


def _repo(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the repository that is named before the command, and the words after it."""
    if words and words[0].startswith("--repo="):
        return words[0].removeprefix("--repo="), list(words[1:])
    if len(words) > 1 and words[0] in ("--repo", "-r"):
        return words[1], list(words[2:])
    return "", list(words)


def _check_options(words: Sequence[str]) -> None:
    for word in words:
        if word == "--":
            return
        is_cluster = len(word) > 1 and word[0] == "-" and word[1] not in "-0123456789"
        if word.partition("=")[0] in _OF_THE_SERVER or (is_cluster and set(word) & set("rcF")):
            raise RefusedCommandError(f"option {quote(word)} is not for use from afar", hint=_USES)
