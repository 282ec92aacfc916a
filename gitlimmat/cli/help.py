"""`git limmat help`.

Layer: cli.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from enum import StrEnum
from typing import Annotated

import typer

from gitlimmat.git.environment import OWN_MARK
from gitlimmat.service.manual import find_page, page_reader, page_text
from gitlimmat.service.request import Request
from gitlimmat.service.shipped import shipped

_WIDEST = 80


class Shell(StrEnum):
    """The shells that there is completion for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_FILES = {Shell.BASH: "git-limmat.bash", Shell.ZSH: "_git-limmat", Shell.FISH: "git-limmat.fish"}


def command(
    options: Request,
    page: Annotated[
        str | None, typer.Argument(metavar="[<page>]", help="A command, or the name of a page.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Print plain text, also where man is there.")] = False,
    completion: Annotated[
        Shell | None,
        typer.Option("--completion", metavar="SHELL", help="Print the completion of bash, zsh or fish."),
    ] = None,
) -> int:
    """Show a page of the manual.

    It is shown by man, or as plain text where there is no man.
    """
    if completion is not None:
        sys.stdout.write(shipped(f"completion/{_FILES[completion]}").read_text(encoding="utf-8"))
        return 0
    found = find_page(page)
    reader = None if text else page_reader(found)
    if reader is not None:
        sys.stdout.flush()
        return subprocess.run(reader, env=os.environ | {OWN_MARK: "1"}, check=False).returncode
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    _page_out(page_text(found, width))
    return 0


def _page_out(text: str) -> None:
    """Print through the user's pager, as git finds it, when a person reads it."""
    pager = ""
    if sys.stdout.isatty():
        asked = subprocess.run(
            ["git", "var", "GIT_PAGER"], capture_output=True, env=os.environ | {OWN_MARK: "1"}, check=False
        )
        pager = os.fsdecode(asked.stdout).strip()
    if pager in ("", "cat"):
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        sys.stdout.write(text)
        return
    environment = {"LESS": "FRX", "LV": "-c"} | os.environ | {OWN_MARK: "1"}
    subprocess.run(["sh", "-c", pager], input=text.encode(), env=environment, check=False)
