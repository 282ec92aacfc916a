"""A sealed place to measure in: own home, own git configuration, no network, all of it temporary."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "LANG")
_GIT_CONFIG = """\
[user]
	name = A U Thor
	email = author@example.com
[init]
	defaultBranch = main
[gc]
	auto = 0
[maintenance]
	auto = false
[advice]
	detachedHead = false
"""


class CommandError(Exception):
    """A command that is being measured did not do its work."""


def seal(root: Path) -> None:
    """Replace the environment of this process, and so of all it starts, by a sealed one below `root`."""
    home = root / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(_GIT_CONFIG)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    xdg = {f"XDG_{name.upper()}_HOME": str(home / name) for name in ("cache", "config", "data", "state")}
    os.environ.clear()
    os.environ.update(kept, HOME=str(home), LC_ALL="C.UTF-8", TZ="UTC", TERM="xterm", **xdg)
    os.environ.update(GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0", GIT_EDITOR="true")


def run(
    command: Sequence[str | Path],
    cwd: Path,
    *,
    stdin: bytes | None = None,
    accepted: Sequence[int] = (0,),
) -> bytes:
    """Run a command to its end and return its standard output.

    Raises: CommandError with what it said when its exit status is not one of `accepted`.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        check=False,
    )
    if done.returncode not in accepted:
        said = (done.stdout[-1000:] + done.stderr[-1000:]).decode(errors="replace").strip()
        words = " ".join(str(word) for word in command)
        raise CommandError(f"'{words}' exited with {done.returncode}: {said}")
    return done.stdout


def discard(command: Sequence[str], cwd: Path) -> None:
    """Run a command whose output nobody reads, so that only the command is measured."""
    subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def git(cwd: Path, *arguments: str, stdin: bytes | None = None) -> str:
    """Run git in `cwd` and return what it printed, without the last newline."""
    return run(["git", *arguments], cwd, stdin=stdin).decode(errors="replace").removesuffix("\n")


def program() -> tuple[str, ...]:
    """Return the words that start our program: the one of this Python, else the one in PATH.

    Raises: CommandError when it is not installed.
    """
    beside = shutil.which("git-limmat", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("git-limmat")
    if found is None:
        raise CommandError("git-limmat is not installed; run this with the Python it is installed for")
    return (found,)


def limmat(cwd: Path, *arguments: str) -> bytes:
    """Run our program in `cwd` and return what it printed."""
    return run([*program(), *arguments], cwd)


def tell(message: str) -> None:
    """Say what is going on, apart from the table."""
    print(message, file=sys.stderr, flush=True)
