"""Texts that people put into commits, made fit to be shown on one line.

Layer: git.
"""

from __future__ import annotations

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # scripts and emoji need them


def printable(text: str) -> str:
    """Return `text` without characters that move the cursor, change its direction or show nothing.

    White space becomes a space, other such characters U+FFFD.
    """
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"
