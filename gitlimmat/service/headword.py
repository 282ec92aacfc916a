"""Read the word about HEAD that a shell's prompt shows, from a few small files.

Layer: service. Imports nothing but `os`: a prompt is drawn after each command.
Format: `<common dir>/limmat/prompt/<commit id>` has one line, `<state> <count> <pid>`. A state is `passed`,
        `failed`, `errored`, `running` or `unknown`; `count` is how many tests are in it; `pid` is the
        process that says `running`, which is true only while it lives, and 0 in all other states.

`completion/git-limmat-prompt.sh` reads the same files in the shell itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

DIRECTORY = "prompt"
_ID_LENGTH = 40
_OF_WORKTREE = ("refs/bisect/", "refs/worktree/", "refs/rewritten/")
_LONGEST = 100
_SIGNS = {
    "passed": ("✓", "ok"),
    "failed": ("✗", "x"),
    "errored": ("!", "!"),
    "running": ("▸", ">"),
    "unknown": ("?", "?"),
}
_COUNTED = ("failed", "errored")


def prompt_word(start: str, environment: Mapping[str, str]) -> str:
    """Return the word for HEAD of the repository around `start`, empty when there is nothing to say."""
    git_dir = _find_git_dir(start, environment.get("GIT_DIR"))
    if git_dir is None:
        return ""
    common_dir = environment.get("GIT_COMMON_DIR") or _common_dir(git_dir)
    directory = os.path.join(common_dir, "limmat", DIRECTORY)  # noqa: PTH118
    if not os.path.isdir(directory):  # noqa: PTH112
        return ""
    head = head_id(git_dir, common_dir)
    standing = _read(f"{directory}/{head}").split() if head else []
    if len(standing) != 3 or standing[0] not in _SIGNS or not (standing[1] + standing[2]).isdecimal():
        return ""
    state, count, pid = standing
    if state == "running" and not is_alive(int(pid)):
        state = "unknown"
    sign = environment.get(f"GIT_LIMMAT_{state.upper()}") or _SIGNS[state][not is_utf8(environment)]
    return sign + count if state in _COUNTED else sign


def head_id(git_dir: str, common_dir: str) -> str | None:
    """Return the commit id that HEAD of a worktree leads to, None when it leads nowhere."""
    said = _read(f"{git_dir}/HEAD", _ID_LENGTH * 100).removesuffix("\n")
    for _ in range(5):
        if not said.startswith("ref: "):
            break
        ref = said[5:].strip()
        place = git_dir if ref.startswith(_OF_WORKTREE) else common_dir
        said = _read(f"{place}/{ref}").strip() or _packed(common_dir, ref)
    return said if len(said) == _ID_LENGTH and said.isalnum() else None


def is_utf8(environment: Mapping[str, str]) -> bool:
    """Whether the terminal's character set is UTF-8, as the locale says."""
    said = next(filter(None, map(environment.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return said.upper().replace("-", "").endswith("UTF8")


def _find_git_dir(start: str, named: str | None) -> str | None:
    if named:
        return os.path.join(start, named)  # noqa: PTH118
    at = start
    while True:
        dot_git = at.rstrip("/") + "/.git"
        if os.path.isdir(dot_git):  # noqa: PTH112
            return dot_git
        said = _read(dot_git, 5000)
        if said.startswith("gitdir: "):
            return os.path.join(at, said[8:].rstrip("\n"))  # noqa: PTH118
        if os.path.isdir(f"{at}/objects") and os.path.isdir(f"{at}/refs"):  # noqa: PTH112
            return at
        above = os.path.dirname(at)  # noqa: PTH120
        if above == at:
            return None
        at = above


def _common_dir(git_dir: str) -> str:
    said = _read(f"{git_dir}/commondir", 5000).rstrip("\n")
    return os.path.join(git_dir, said) if said else git_dir  # noqa: PTH118


def _packed(common_dir: str, ref: str) -> str:
    try:
        with open(f"{common_dir}/packed-refs", "rb") as file:  # noqa: PTH123
            data = file.read()
    except OSError:
        return ""
    place = data.find(f" {ref}\n".encode(errors="surrogateescape"))
    return data[max(place - _ID_LENGTH, 0) : place].decode("ascii", "replace") if place >= 0 else ""


def _read(path: str, length: int = _LONGEST) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(length).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return ""


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number; one that ended and was not waited for counts."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return pid > 0
