"""Values of git config, understood as git understands them.

Layer:  pure. Imports nothing of ours.
Source: git-config(1), "Values"; git-notes(1), `--ref`; git-check-ref-format(1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?)(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)([kmg]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off", ""})
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|^/|/$|\.$", re.DOTALL)
_SOCKADDR = re.compile(r"(?:(?:\[[^\s/\[\]]+\]|[^\s/:\[\]]*):)?([0-9]{1,5})", re.ASCII)
_HOST = re.compile(r"[^\s/:?#@\[\]\x00-\x20\x7f]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
_UTF8 = re.compile(r"(?:^|\.)utf-?8(?:@|$)", re.IGNORECASE)
_MAX_PORT = 65535
MAX_INT = (1 << 31) - 1
MAX_SIZE = (1 << 63) - 1


def parse_int(text: str, *, limit: int = MAX_INT) -> int:
    """Return the number, which may be octal, hexadecimal and have the suffix k, m or g.

    Raises: ValueError with git's reason, `invalid unit` or `out of range`.
    """
    found = _INTEGER.fullmatch(text)
    if found is None or len(text) > 100:
        raise ValueError("invalid unit")
    sign, digits, unit = found.groups()
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    number = int(f"{sign}{digits}", base) * _UNITS[unit.lower()]
    if not -limit - 1 <= number <= limit:
        raise ValueError("out of range")
    return number


def parse_bool(text: str | None) -> bool:
    """Return the truth value; a key without `=` (None) is true, an empty value is false.

    Raises: ValueError when it is neither a word for a truth value nor a number.
    """
    if text is None or text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    number = parse_int(text)
    if number < -MAX_INT:  # git takes this one for an integer, but not for a truth value
        raise ValueError("out of range")
    return number != 0


def parse_notes_ref(text: str | None) -> str | None:
    """Return the full name of a notes ref completed as `git notes --ref` does, or None for no notes.

    Any spelling of false turns notes off, any of true means `refs/notes/limmat`.

    Raises: ValueError when git could not have a ref of this name.
    """
    try:
        return "refs/notes/limmat" if parse_bool(text) else None
    except ValueError:
        name = text or ""
    if name.startswith("notes/"):
        name = f"refs/{name}"
    elif not name.startswith("refs/notes/"):
        name = f"refs/notes/{name}"
    if _BAD_REF.search(name):
        raise ValueError("not a valid ref name")
    return name


def expand_home(text: str, home: str | None) -> str:
    """Return a path with a leading `~/` replaced by the home directory, as git does for paths.

    Raises: ValueError when there is no home directory, or another user's is meant.
    """
    if not text.startswith("~"):
        return text
    first, _, rest = text.partition("/")
    if first != "~":
        raise ValueError("only '~/' is understood")
    if not home:
        raise ValueError("HOME is not set")
    return f"{home}/{rest}"


def parse_sockaddr(text: str) -> str:
    """Return `text` if it can be an address with a port: `HOST:PORT`, `[::1]:PORT`, `:PORT` or `PORT`.

    Raises: ValueError when it is nothing of that.
    """
    found = _SOCKADDR.fullmatch(text)
    if found is None:
        raise ValueError("not of the form HOST:PORT")
    if int(found[1]) > _MAX_PORT:
        raise ValueError("no such port")
    return text


def parse_hostname(text: str) -> str:
    """Return `text` if it can stand for a host in a URL. Raises: ValueError when it cannot."""
    if not _HOST.fullmatch(text):
        raise ValueError("not a name of a host")
    return text


def is_utf8(environment: Mapping[str, str]) -> bool:
    """Whether the locale that `environment` asks for writes UTF-8.

    Source: locale(7); PEP 538: Python sets LC_CTYPE to C.UTF-8 when nothing or `C` was asked for, so this
    value alone says nothing about the terminal.
    """
    if environment.get("LC_ALL"):
        name = environment["LC_ALL"]
    else:
        kind, language = environment.get("LC_CTYPE", ""), environment.get("LANG", "")
        name = language if not kind or kind == "C.UTF-8" else kind
    return _UTF8.search(name) is not None
