"""The hooks that `git limmat init` installs: their text, and how to know them again.

Layer:  service.
Format: a POSIX shell script whose second line has a digest of all the other lines. A file with the right
        digest is ours, of whatever version, and nobody has changed it; with a wrong one it has been edited.

A hook first runs the one that was there before, with its arguments, standard input and exit status, and
then does its own work in a second process of the same script: what follows is a complete script and may end
as it likes.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from enum import Enum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from gitlimmat.git.hooks import HOOKS, READING_STDIN

BEFORE = "hooks.before-limmat"
"""Name of the directory that keeps hooks whose place was taken, beside that of the hooks."""

MODE = 0o755
_SIGNED = "# Installed by 'git limmat init', and removed by 'git limmat init --undo'. Do not edit. [%s]\n"
_DIGEST = re.compile(rb"#!/bin/sh\n# Installed by 'git limmat init'[^\n]*\[([0-9a-f]{16})\]\n")
_LARGEST = 1 << 20

_PLAIN = """\
	"$limmat_earlier" "$@"
	limmat_status=$?
	LIMMAT_HOOK_AGAIN=1 "$0" "$@"
	exit $limmat_status
"""
_READING = """\
	limmat_input=$(cat; echo .)
	limmat_input=${limmat_input%.}
	{ printf %s "$limmat_input" 2>/dev/null; } | "$limmat_earlier" "$@"
	limmat_status=$?
"""
_AFTERWARDS = """\
	{ printf %s "$limmat_input" 2>/dev/null; } | LIMMAT_HOOK_AGAIN=1 "$0" "$@"
	exit $limmat_status
"""
_ONLY_IF_GOOD = """\
	[ $limmat_status -eq 0 ] || exit $limmat_status
	{ printf %s "$limmat_input" 2>/dev/null; } | LIMMAT_HOOK_AGAIN=1 "$0" "$@"
	exit $?
"""
# pre-commit calls what it has replaced as NAME.legacy, and fails if that calls pre-commit in turn. When it
# has replaced ours, and ours an older one of its own, then what that would have called is still to be run.
_CHAIN = """\
limmat_earlier=%s
if [ -n "${PRE_COMMIT_RUNNING_LEGACY-}" ] && grep -q hook-impl "$limmat_earlier" 2>/dev/null; then
	limmat_earlier=$limmat_earlier.legacy
fi
if [ -n "${LIMMAT_HOOK_AGAIN-}" ]; then
	unset LIMMAT_HOOK_AGAIN
elif [ -f "$limmat_earlier" ] && [ -x "$limmat_earlier" ]; then
%sfi
unset limmat_earlier
"""
_STAND_IN = """\
limmat_earlier=%s
[ -f "$limmat_earlier" ] && [ -x "$limmat_earlier" ] || exit 0
exec "$limmat_earlier" "$@"
"""


class Kind(Enum):
    """What is found under the name of a hook."""

    NOTHING = "nothing"
    OURS = "ours"
    EDITED = "edited"  # ours, and somebody has changed it
    FOREIGN = "foreign"
    UNUSABLE = "unusable"  # neither a file nor a link


def shipped_hooks() -> Mapping[str, bytes]:
    """Return the hooks that belong to this version, by name, as they are shipped."""
    package = files("gitlimmat")
    for place in (package / "hooks", Path(__file__).parent.parent.parent / "hooks"):
        if place.is_dir():
            return {each.name: each.read_bytes() for each in _sorted(place) if each.name in HOOKS}
    return {}


def hook_beside(name: str, shipped: bytes) -> bytes:
    """Return the text of a hook in the repository's own directory of hooks."""
    return _signed(_chain(name, f'"${{0%/*}}/../{BEFORE}/{name}"'.encode()) + _body(shipped))


def hook_elsewhere(name: str, shipped: bytes | None, directory: str) -> bytes:
    """Return the text of a hook in a directory of ours, the user's hooks being in `directory`."""
    earlier = _quoted(f"{directory}/{name}")
    if shipped is None:
        return _signed(_STAND_IN.encode() % earlier)
    return _signed(_chain(name, earlier) + _body(shipped))


def kind_of(path: Path) -> Kind:
    """Return what is under the name `path`."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return Kind.NOTHING
    if stat.S_ISLNK(mode):
        return Kind.FOREIGN
    if not stat.S_ISREG(mode):
        return Kind.UNUSABLE
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST)
    except OSError:
        return Kind.FOREIGN
    found = _DIGEST.match(text)
    if found is None:
        return Kind.FOREIGN
    return Kind.OURS if _digest(text[found.end() :]) == found[1] else Kind.EDITED


def by_same_tool(one: Path, other: Path) -> bool:
    """Whether two hooks are the same, or of the same program that writes hooks."""
    try:
        texts = one.read_bytes(), other.read_bytes()
    except OSError:
        return False
    words = (b"hook-impl", b"lefthook", b"overcommit")
    return texts[0] == texts[1] or any(word in texts[0] and word in texts[1] for word in words)


def _chain(name: str, earlier: bytes) -> bytes:
    run = _PLAIN
    if name in READING_STDIN:
        run = _READING + (_ONLY_IF_GOOD if name.startswith("pre-") else _AFTERWARDS)
    return _CHAIN.encode() % (earlier, run.encode())


def _body(shipped: bytes) -> bytes:
    first, newline, rest = shipped.partition(b"\n")
    return rest if first.startswith(b"#!") else first + newline + rest


def _signed(text: bytes) -> bytes:
    return b"#!/bin/sh\n" + _SIGNED.encode() % _digest(text) + text


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


def _quoted(text: str) -> bytes:
    return os.fsencode("'" + text.replace("'", "'\\''") + "'")


def _sorted(place: Traversable) -> list[Traversable]:
    return sorted((each for each in place.iterdir() if each.is_file()), key=lambda each: each.name)
