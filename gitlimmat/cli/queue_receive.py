"""`git limmat queue receive`: what the hooks of a queue's server call, see hooks/queue/.

Layer: cli. Somebody waits for each push, so nothing is imported that only reads command lines.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gitlimmat.errors import ConfigError, LimmatError
from gitlimmat.git.procreceive import read_told, write_answers
from gitlimmat.git.repository import Repository, find_repository

_REFUSED = 1
_USAGE = "error: 'git limmat queue receive' is called by the hooks of a server; see git-limmat-queue(1)\n"


def run(arguments: Sequence[str]) -> int:
    """Be the hook of that name; return its exit status."""
    if list(arguments) not in (["pre-receive"], ["proc-receive"]) or sys.stdin.isatty():
        sys.stderr.write(_USAGE)
        return 129
    gc.disable()  # it ends before there is anything to collect
    try:
        repository = find_repository(Path.cwd())
        if arguments[0] == "proc-receive":
            _proc_receive(repository)
        return _pre_receive(repository)
    except LimmatError as error:
        sys.stderr.write(f"error: {error.message}\n")
        for fault in error.faults if isinstance(error, ConfigError) and len(error.faults) > 1 else ():
            sys.stderr.write(f"  {fault}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
    except OSError as error:
        sys.stderr.write(f"error: cannot use '{error.filename}': {error.strerror or error}\n")
    return _REFUSED


def _pre_receive(repository: Repository) -> int:
    from gitlimmat.git.packs import remove_marks_of_dead_pushes
    from gitlimmat.service.queue.guard import parse_pushes, refusals
    from gitlimmat.service.queue.settings import read_rules

    remove_marks_of_dead_pushes(repository)
    text = sys.stdin.buffer.read().decode(errors="surrogateescape")
    found = refusals(repository, read_rules(repository), parse_pushes(text), dict(os.environ))
    for refusal in found:
        sys.stderr.write(f"error: {refusal.reason}\n")
    for hint in dict.fromkeys(refusal.hint for refusal in found):
        sys.stderr.write(f"hint: {hint}\n")
    return _REFUSED if found else 0


def _proc_receive(repository: Repository) -> NoReturn:
    told = read_told(sys.stdin.buffer, sys.stdout.buffer)

    from gitlimmat.queue.auth import Principal
    from gitlimmat.service.queue.identity import check_no_test, who
    from gitlimmat.service.queue.receive import receive
    from gitlimmat.service.queue.session import open_queue

    session = open_queue(repository, lambda message: None)
    check_no_test(repository, os.environ)
    person = Principal(name=who(session.rules.identity, os.environ))
    answers = receive(session, told, person, lambda line: _say(line))
    write_answers(sys.stdout.buffer, answers)
    sys.stderr.flush()
    os._exit(0)  # all is said and stored, and taking the interpreter down takes a tenth of the time


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
