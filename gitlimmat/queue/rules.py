"""How a queue is set up: what its server's git config says.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gitlimmat.queue.events import Policy


class Identity(StrEnum):
    """Where the server learns who someone is. Never the commit, and no variable that a client can send."""

    OS = "os"  # the account that the process belongs to
    SHELL = "shell"  # `git limmat queue shell NAME` in authorized_keys: LIMMAT_QUEUE_USER
    GITOLITE = "gitolite"  # GL_USER
    HTTP = "http"  # REMOTE_USER, set by the web server


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a queue (`limmat.queue.*`). Names of principals; `*` stands for anyone who is known.

    `targets` are full ref names. `depth` is how many auto runs may be at work on top of each other, `batch`
    how many changes one run may test together, `tries` how many tries may be at work. Units: `timeout_s` is
    seconds. Of another repository's queue only the targets can be known; then `are_known` is false.
    """

    are_known: bool = True
    targets: tuple[str, ...] = ()
    policy: Policy = Policy.MERGE
    depth: int = 1
    batch: int = 1
    tries: int = 1
    timeout_s: float = 3600.0
    max_priority: int = 9001
    admins: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    tryers: tuple[str, ...] = ()
    pushers: tuple[str, ...] = ()  # may move targets by a push, past the queue
    trusted: tuple[str, ...] = ()  # whose own results count; each by name
    tests: tuple[str, ...] = ()  # names or globs; empty for those that run by default
    every_commit: bool = False  # test every commit that lands, not the last only
    identity: Identity = Identity.OS
    mention: str = "limmat"  # commands in comments begin with @mention
    name: str = "limmat queue"
    email: str = "limmat-queue@localhost"
    notify: str = ""  # a command that is told what the queue says
    url: str = ""  # where its pages are
    proxy_header: str = ""  # in which a web server before the pages says who someone is
    proxy_secret_file: str = ""  # has what that web server has to send, too
