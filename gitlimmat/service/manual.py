"""Find a page of the manual, and the program that shows it.

Layer: service.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from gitlimmat.errors import UsageError
from gitlimmat.git.environment import OWN_MARK
from gitlimmat.service.mantext import man_to_text
from gitlimmat.service.shipped import shipped


def find_page(name: str | None) -> Path:
    """Return the source of a page: of the program, of a command, or by its whole or its last name.

    Raises: UsageError when there is none of this name.
    """
    pages = {path.stem: path for path in sorted(shipped("man").glob("man[1-8]/*.[1-8]"))}
    if name is None:
        return pages["git-limmat"]
    wanted = name.partition("(")[0]
    for stem in (f"git-limmat-{wanted}", wanted, f"git-{wanted}", f"gitlimmat-{wanted}", f"{wanted}.toml"):
        if stem in pages:
            return pages[stem]
    known = (stem.removeprefix("git-limmat-").removeprefix("gitlimmat-") for stem in pages)
    raise UsageError(f"there is no manual page '{name}'", hint=f"pages: {', '.join(sorted(known))}")


def page_reader(page: Path) -> list[str] | None:
    """Return a command that shows a page on the terminal, None when this machine has none.

    Small installations have a `man` that only says that it is not there, so it is asked for the page first.
    """
    if shutil.which("man") is None:
        return None
    environment = os.environ | {OWN_MARK: "1"}
    asked = subprocess.run(
        ["man", "-w", page],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    found = os.fsdecode(asked.stdout).strip()
    return ["man", str(page)] if asked.returncode == 0 and found and Path(found).exists() else None


def page_text(page: Path, width: int) -> str:
    """Return a page as plain text."""
    return man_to_text(page.read_text(encoding="utf-8"), width)
