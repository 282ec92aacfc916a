"""Lines of our own in a file of git's configuration, which can be told from all others.

Layer:  git.
Format: sections and entries whose lines end in a comment that names us. They are added at the end of the
        file, in sections of their own; git drops the comment when it changes an entry, which is then no
        longer ours, and keeps that of a section.
Source: git-config(1), "Syntax".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

INIT, QUEUE_INIT = "git limmat init", "git limmat queue init"
"""Commands that have lines of their own; neither takes those of the other for its own."""

_JOINED = ", after a line without end"
_HEADER = rb'\[([A-Za-z0-9.-]+)(?: "((?:[^"\\]|\\.)*)")?\] # %s(, after a line without end)?'
_ENTRY = rb'\t([A-Za-z][A-Za-z0-9-]*) = "((?:[^"\\]|\\.)*)" # %s'
_BARE_ENTRY = rb"\t([A-Za-z][A-Za-z0-9-]*) = ([^\"\\#;]*?) # %s"
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+,-]+(?: [A-Za-z0-9_./:@+,-]+)*")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\b": "\\b"}
_NAMED = {b"n": b"\n", b"t": b"\t", b"b": b"\b"}


class Entry(NamedTuple):
    """One setting. `key` is as git lists it, but for letters in upper case: `section[.subsection].name`."""

    key: str
    value: str

    @property
    def section(self) -> tuple[str, str | None]:
        """The name of the section and that of the subsection."""
        section, _, rest = self.key.partition(".")
        subsection, dot, _ = rest.rpartition(".")
        return section, subsection if dot else None

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition(".")[2]


def with_entries(text: bytes, entries: Sequence[Entry], *, owner: str = INIT) -> bytes:
    """Return the content of a file with `entries` added at its end."""
    if not entries:
        return text
    joined = _JOINED if text and not text.endswith(b"\n") else ""
    lines = ["\n"] if joined else []
    section: tuple[str, str | None] | None = None
    for entry in entries:
        if entry.section != section:
            section = entry.section
            name, subsection = section
            more = "" if subsection is None else f' "{_escaped_name(subsection)}"'
            lines.append(f"[{name}{more}] # {owner}{joined}\n")
            joined = ""
        lines.append(f"\t{entry.name} = {_value(entry.value)} # {owner}\n")
    return text + "".join(lines).encode("utf-8", "surrogateescape")


def entries_in(text: bytes, *, owner: str = INIT) -> list[Entry]:
    """Return the entries that are ours."""
    found = []
    section = b""
    for line in text.split(b"\n"):
        if line.startswith(b"["):
            header = _pattern(_HEADER, owner).fullmatch(line)
            section = b"" if header is None else _key(header[1], header[2])
        elif section and (entry := _entry(line, owner)) is not None:
            name, value = entry
            found.append(Entry(_text(section + b"." + name), _text(value)))
    return found


def without_entries(text: bytes, *, owner: str = INIT) -> bytes:
    """Return the content of a file without what is ours; what others have put into our sections stays."""
    kept: list[bytes] = []
    header: int | None = None  # where the header of one of our sections is, as long as nothing follows it
    end: int | None = None  # how many lines there were when the last one had no end
    for line in _lines(text):
        bare = line.removesuffix(b"\n")
        if bare.startswith(b"["):
            _drop(kept, header)
            found = _pattern(_HEADER, owner).fullmatch(bare)
            header = len(kept) if found else None
            end = len(kept) if found and found[3] else end
        elif _entry(bare, owner) is not None:
            continue
        else:
            header = None
        kept.append(line)
    _drop(kept, header)
    if kept and end == len(kept):
        kept[-1] = kept[-1].removesuffix(b"\n")
    return b"".join(kept)


def _lines(text: bytes) -> list[bytes]:
    *whole, rest = text.split(b"\n")
    return [*(line + b"\n" for line in whole), *([rest] if rest else [])]


def _drop(kept: list[bytes], header: int | None) -> None:
    """Drop the header of a section in which nothing is left."""
    if header is not None and header == len(kept) - 1:
        kept.pop()


def _entry(line: bytes, owner: str) -> tuple[bytes, bytes] | None:
    if found := _pattern(_ENTRY, owner).fullmatch(line):
        return found[1], re.sub(rb"\\(.)", lambda match: _NAMED.get(match[1], match[1]), found[2])
    if found := _pattern(_BARE_ENTRY, owner).fullmatch(line):
        return found[1], found[2]
    return None


@lru_cache
def _pattern(form: bytes, owner: str) -> re.Pattern[bytes]:
    return re.compile(form % owner.encode())


def _value(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return '"' + "".join(_ESCAPES.get(character, character) for character in value) + '"'


def _escaped_name(subsection: str) -> str:
    return subsection.replace("\\", "\\\\").replace('"', '\\"')


def _key(section: bytes, subsection: bytes | None) -> bytes:
    if subsection is None:
        return section
    return section + b"." + re.sub(rb"\\(.)", rb"\1", subsection)


def _text(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
