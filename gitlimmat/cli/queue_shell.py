"""`git limmat queue shell`: what sshd starts for a key, in place of a shell.

Layer: cli. Somebody waits for each fetch and push, so what reads command lines is imported when it is needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from gitlimmat.errors import LimmatError

_USAGE = """\
usage: git limmat queue shell [--repo=DIR] NAME

This is for ~/.ssh/authorized_keys, before a key:
command="git-limmat queue shell --repo=/srv/project.git alice",restrict ssh-ed25519 ...
"""
_REFUSED = 128


def run(arguments: Sequence[str]) -> int:
    """Do what SSH_ORIGINAL_COMMAND says for the person whose name is given; return the exit status."""
    repo = next((each.partition("=")[2] for each in arguments if each.startswith("--repo=")), None)
    names = [each for each in arguments if not each.startswith("--repo=")]
    if len(names) != 1 or names[0].startswith("-"):
        sys.stderr.write(_USAGE)
        return 0 if names in (["-h"], ["--help"]) else 129
    try:
        return _run(names[0], repo)
    except LimmatError as error:
        sys.stderr.write(f"fatal: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return _REFUSED


def _run(name: str, repo: str | None) -> int:
    from gitlimmat.service.queue.identity import checked_name
    from gitlimmat.service.queue.remote import ForGit, environment_of, parse_line

    checked_name(name, "the name in authorized_keys")
    found = parse_line(os.environ.get("SSH_ORIGINAL_COMMAND", ""), repo)
    environment = environment_of(name, os.environ)
    if isinstance(found, ForGit):
        try:
            os.execvpe("git-shell", ["git-shell", "-c", found.line], environment)  # noqa: S606
        except OSError as error:
            raise LimmatError(f"cannot run 'git-shell': {error.strerror}") from error
    os.environ.clear()
    os.environ.update(environment)

    from gitlimmat.cli.main import run as run_words

    return run_words(list(found.words))
