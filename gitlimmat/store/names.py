"""Names inside our trees: where things are, and how names that git refuses are written.

Layer:  store. Pure.
Format: 1. A name that git or `git fsck` refuses, or that begins with `%`, is stored as `%` followed by the
        name with every byte but ASCII letters, digits, `_` and `-` as `%` and two hexadecimal digits.
"""

from __future__ import annotations

import re
import urllib.parse

FORMAT = b"format"
DEFINITIONS = b"definitions"
RESULTS = b"results"
OUTPUT = b"output"
ARTIFACTS = b"artifacts"
UNUSED = ".unused"

SHARE = "refs/limmat/share"
"""Where results are pushed to that somebody shares: the hook of a queue says what becomes of them."""

# Code points HFS+ ignores in names (Unicode default ignorables that git lists in utf8.c).
_IGNORED = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF], None
)
_SPECIAL = frozenset((".git", ".gitmodules", ".gitattributes", ".gitignore", ".mailmap"))
_SHORT_NAME = re.compile(rb"[gm][^~]{0,7}~[0-9]", re.IGNORECASE)  # what NTFS may call one of the above
_PLAIN = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.,+= -]*[A-Za-z0-9_]|[A-Za-z0-9_]")
_KEPT = re.compile(rb"[A-Za-z0-9_-]")


def escape(name: bytes) -> bytes:
    """Return the name a file is stored under; most names are stored as they are."""
    if _PLAIN.fullmatch(name) or not _is_refused(name):
        return name
    return b"%" + b"".join(
        bytes((byte,)) if _KEPT.match(bytes((byte,))) else b"%%%02X" % byte for byte in name
    )


def unescape(stored: bytes) -> bytes | None:
    """Return the name a stored entry stands for, None when no single file can have it."""
    name = urllib.parse.unquote_to_bytes(stored[1:]) if stored.startswith(b"%") else stored
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        return None
    return name


def split_subject(subject: str) -> tuple[bytes, bytes]:
    """Return the two path components of a subject."""
    raw = subject.encode()
    return raw[:2], raw[2:]


def _is_refused(name: bytes) -> bool:
    if name.startswith(b"%") or name in (b"", b".", b"..") or b"/" in name or b"\\" in name:
        return True
    if _SHORT_NAME.match(name):
        return True
    text = name.decode(errors="surrogateescape").translate(_IGNORED).casefold()
    return text.partition(":")[0].rstrip(" .") in _SPECIAL
