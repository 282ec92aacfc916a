"""Who the person is that this process works for: what the server vouches for, never the commit.

Layer:  service.
Source: git-limmat-queue(1), WHO SOMEONE IS.

`limmat.queue.identity` names the one source that counts. The others are not looked at, so that a variable
which means something in one set-up means nothing in another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from gitlimmat.errors import LimmatError
from gitlimmat.git.repository import Repository
from gitlimmat.queue.events import QUEUE
from gitlimmat.queue.quoting import is_name, quote
from gitlimmat.queue.rules import Identity

SHELL_VARIABLE = "LIMMAT_QUEUE_USER"
"""What `git limmat queue shell` sets. No client can: that command drops what comes from outside."""


class UnknownPersonError(LimmatError):
    """The server does not say who this is, or says something that is no name. Nothing was done."""


def who(identity: Identity, environment: Mapping[str, str]) -> str:
    """Return the name of the person this process works for.

    Raises: UnknownPersonError.
    """
    match identity:
        case Identity.OS:
            return checked_name(_account(), "the account of this process")
        case Identity.SHELL:
            hint = "on the server itself, set it to your name; others come through 'git limmat queue shell'"
            return _from(environment, SHELL_VARIABLE, hint)
        case Identity.GITOLITE:
            return _from(environment, "GL_USER", "this repository is to be used through gitolite")
        case Identity.HTTP:
            return _from(environment, "REMOTE_USER", "the web server is to ask for a login, and pass it on")
    assert_never(identity)


def check_no_test(repository: Repository, environment: Mapping[str, str]) -> None:
    """Refuse what one of the queue's own tests asks for: it works for the author of what it tests.

    It runs as the account of the daemon, so this keeps no one from anything who means harm.
    Raises: UnknownPersonError.
    """
    origin = environment.get("LIMMAT_ORIGIN", "")
    if "LIMMAT_JOB" in environment and origin and Path(origin).absolute() == repository.common_dir:
        raise UnknownPersonError(
            "a test has no say in the queue that runs it", hint="say it from outside of the test"
        )


def checked_name(name: str, source: str) -> str:
    """Return `name` if someone can be called so.

    Raises: UnknownPersonError, which says that it comes from `source`.
    """
    if name.lower() == QUEUE:
        raise UnknownPersonError(
            f"cannot take {source} for a person: '{QUEUE}' is the queue itself", hint="use another account"
        )
    if not is_name(name):
        raise UnknownPersonError(
            f"cannot take {source} for a person: {quote(name)} is not a name",
            hint="a name has up to 100 letters, digits and . _ @ + / -, and begins with a letter or a digit",
        )
    return name


def _from(environment: Mapping[str, str], variable: str, hint: str) -> str:
    name = environment.get(variable, "")
    if not name:
        raise UnknownPersonError(f"the server does not say who you are: no {variable}", hint=hint)
    return checked_name(name, variable)


def _account() -> str:
    import pwd

    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        raise UnknownPersonError(
            f"the server does not say who you are: account {number} has no name",
            hint="give it one, or set limmat.queue.identity to something else",
        ) from None
