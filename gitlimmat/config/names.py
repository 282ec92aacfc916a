"""Which names of tests and resources can be used as path, tree entry and part of an environment name.

Layer:  pure. Imports nothing of ours.
"""

from __future__ import annotations

import re
import unicodedata

MAX_BYTES = 100
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What turns text around until it is taken back: a name with it would turn around the outcome beside it."""
# Source: git's fsck and path checks. A tree entry is refused when some file system would take it for `.git`:
# NTFS drops final dots and spaces and all after a colon, and knows `git~1`; HFS+ drops these code points.
_HFS_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_NTFS_DOT_GIT = re.compile(r"(?:\.git|git~1)[. ]*(?::.*)?", re.IGNORECASE | re.DOTALL)


def name_fault(name: str) -> str | None:
    """Return why a test cannot have this name, or None when it can."""
    if not name:
        return "must not be empty"
    if any(unicodedata.category(character) in _CONTROL for character in name):
        return f"{quote(name)} has a control character"
    if _DIRECTION.search(name):
        return f"{quote(name)} has a character that turns text around"
    if "/" in name:
        return f"{quote(name)} has a '/'"
    if name[0] in ".-":
        return f"{quote(name)} starts with '{name[0]}'"
    if len(name.encode()) > MAX_BYTES:
        return f"{quote(name)} is longer than {MAX_BYTES} bytes"
    if _is_dot_git(name):
        return f"{quote(name)} is a name that git refuses in a tree"
    return None


def resource_name_fault(name: str) -> str | None:
    """Return why a resource cannot have this name, or None when it can."""
    if "=" in name:
        return f"{quote(name)} has a '=', which no environment variable can have"
    return name_fault(name)


def quote(text: str) -> str:
    """Return `text` in single quotes, on one line and fit for a terminal; long text is cut."""
    shown = text if len(text) <= MAX_BYTES else text[: MAX_BYTES - 1] + "…"
    return "'" + "".join(_visible(character) for character in shown) + "'"


def _visible(character: str) -> str:
    if not character.isprintable():
        return character.encode("unicode_escape").decode("ascii")
    return character


def _is_dot_git(name: str) -> bool:
    if _HFS_IGNORED.sub("", name).lower() == ".git":
        return True
    return any(_NTFS_DOT_GIT.fullmatch(part) for part in name.split("\\"))
