"""Words of others, made harmless: what is quoted here can never be a command, a mention or a control.

Layer:  pure. May import model and errors.

Every reply puts what people, branches and files are called through `quote`. The fixed words of replies have
no at sign, so no reply can ever mention anybody, least of all the queue itself.
"""

from __future__ import annotations

import re

LONGEST = 80
"""Characters of a quoted text that are shown."""

_NAME = re.compile(r"[^\W_][\w.+@/-]{0,99}", re.ASCII)
_AT = re.compile(r"(?<![A-Za-z0-9])@")


def quote(text: str) -> str:
    r"""Return `text` in single quotes, cut where it is long, and with nothing in it that does anything.

    As git does it: what is not printable, quotes and back-slashes are written with a back-slash; and so is an
    at sign that would begin a mention (`\100`).
    """
    shown = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    parts = r"\100".join("".join(map(_escape, part)) for part in _AT.split(shown))
    return f"'{parts}'"


def is_name(text: str) -> bool:
    """Return whether someone can be called so: ASCII letters, digits and `.`, `_`, `+`, `-`, `/`, `@`."""
    return _NAME.fullmatch(text) is not None


def _escape(char: str) -> str:
    if char in "\\'`<>":
        return f"\\{ord(char):03o}"
    if char == " " or (char.isprintable() and not char.isspace()):
        return char
    if ord(char) < 0x80:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char, f"\\{ord(char):03o}")
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogatepass"))
