"""Tell the queue of this repository something, as whoever the server says that this process is for.

Layer:  service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from gitlimmat.errors import LimmatError, UsageError
from gitlimmat.git.repository import Repository
from gitlimmat.service.queue.settings import has_queue

if TYPE_CHECKING:
    from gitlimmat.queue.asking import Answer
    from gitlimmat.queue.requests import Command


class NoQueueError(LimmatError):
    """The repository has no queue of its own. Nothing was done."""


def ask(
    repository: Repository,
    number: int | None,
    command: Command,
    environment: Mapping[str, str],
    warn: Callable[[str], None],
) -> Answer:
    """Do what a command asks of a change, or of the queue itself when `number` is None, if it is allowed.

    Raises: NoQueueError, UnknownPersonError, UsageError when there is no such change or a text is not UTF-8,
    and LimmatError when nothing can be written.
    """
    from gitlimmat.queue.auth import Principal
    from gitlimmat.service.queue.identity import check_no_test, who
    from gitlimmat.service.queue.session import open_queue, submit

    if not has_queue(repository):
        raise NoQueueError(
            f"'{repository.name}' has no merge queue",
            hint="'git limmat queue init' makes one; that of a server: ssh <server> limmat queue <command>",
        )
    try:
        msgspec.json.encode(command)
    except UnicodeEncodeError as error:
        raise UsageError("cannot use a text that is not UTF-8") from error
    session = open_queue(repository, warn)
    check_no_test(repository, environment)
    person = Principal(name=who(session.rules.identity, environment))
    return submit(session, number, command, person, via="cli")
