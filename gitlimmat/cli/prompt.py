"""`git limmat prompt`.

Layer: cli. Without options `__main__` answers by `cli.instant`, before this is imported.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from gitlimmat.service.headword import prompt_word
from gitlimmat.service.request import Request
from gitlimmat.service.shipped import shipped


def command(
    options: Request,
    sh: Annotated[bool, typer.Option("--sh", help="Print functions for a shell that do the same.")] = False,
) -> int:
    """Print a word about HEAD for the prompt of a shell.

    Nothing is printed when nothing is known about HEAD, or there is no repository.
    """
    if sh:
        sys.stdout.write(shipped("completion/git-limmat-prompt.sh").read_text(encoding="utf-8"))
        return 0
    environment = dict(os.environ)
    start = os.getcwd()  # noqa: PTH109
    if options.repo:
        start = str(options.repo[-1].absolute())
        for name in ("GIT_DIR", "GIT_COMMON_DIR"):
            environment.pop(name, None)
    word = prompt_word(start, environment)
    if word:
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        sys.stdout.write(word + "\n")
    return 0
