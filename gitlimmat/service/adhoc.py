"""Tests made of commands given on the command line.

Layer: service.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gitlimmat.errors import UsageError
from gitlimmat.model import CachePolicy, Test

_NAME_LENGTH = 30
_SHELL = ("sh", "-c")  # what `git rebase --exec` and `git bisect run` use
_LOOKS_AT_COMMIT = re.compile(r"LIMMAT_COMMIT|HEAD|\bgit\b")
# As for `git bisect run`: 125 says that this commit cannot be tested, 126 and 127 come from the shell when
# there is no such command, which says nothing about the commit.
_SKIP = (125,)
_NOT_RUN = (126, 127)


def adhoc_tests(commands: Sequence[str]) -> tuple[Test, ...]:
    """Return a test for each command of `run --exec`, named after the command.

    It is cached by tree, unless it names git or HEAD or LIMMAT_COMMIT: then it may look at the message.

    Only the definition tells commands apart; a name that two of them share gets a number. Exit status 125
    means skipped, 126 and 127 errored.
    Raises: UsageError for an empty command.
    """
    tests: list[Test] = []
    for command in dict.fromkeys(commands):
        if not command.strip():
            raise UsageError("empty command for '--exec'")
        taken = {test.name for test in tests}
        name = base = _name(command)
        number = 2
        while name in taken:
            name = f"{base}-{number}"
            number += 1
        tests.append(
            Test(
                name=name,
                command=command,
                shell=_SHELL,
                cache=CachePolicy.BY_COMMIT if _LOOKS_AT_COMMIT.search(command) else CachePolicy.BY_TREE,
                skip_exit_codes=_SKIP,
                error_exit_codes=_NOT_RUN,
            )
        )
    return tuple(tests)


def _name(command: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._+=]+", "-", command).strip("-.")
    if len(name) > _NAME_LENGTH:
        name = name[: _NAME_LENGTH + 1].rpartition("-")[0] or name[:_NAME_LENGTH]
    return name.strip("-.") or "exec"
