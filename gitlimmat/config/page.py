"""The manual page limmat.toml(5), made from the tables and the settings.

Layer:  pure. May import the tables, settings, definition.
Source: man(7).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

import msgspec

from gitlimmat.config import manual_text as text
from gitlimmat.config.definition import DECIDING_KEYS
from gitlimmat.config.schema import json_schema
from gitlimmat.config.settings import SETTINGS
from gitlimmat.config.sources import Setting
from gitlimmat.config.tables import TestTable

DATE = "2026-11-21"
_LITERAL = re.compile(r"`([^`]+)`")
_SEE_ALSO = (
    ("git-limmat", 1),
    ("gitlimmat-format", 5),
    ("git-config", 1),
    ("git-notes", 1),
    ("gitglossary", 7),
)


def manual() -> str:
    """Return the page as man(7) source."""
    schema = json_schema()
    definitions = _part(schema, "$defs")
    lines = [
        f'.TH LIMMAT.TOML 5 {DATE} "git limmat" "Git Manual"',
        ".SH NAME",
        r"limmat.toml \- tests to run on commits",
        ".SH SYNOPSIS",
        r"\fBlimmat.toml\fR, \fB.limmat.toml\fR, \fB$LIMMAT_CONFIG\fR",
        *_section("DESCRIPTION", _paragraphs(text.DESCRIPTION)),
        *_section("TOP-LEVEL KEYS", _keys(schema)),
        *_section("KEYS OF [[tests]]", _keys(_part(definitions, "TestTable"))),
        *_section("RESOURCES", _paragraphs(text.RESOURCES), _keys(_part(definitions, "ResourceTable"))),
        *_section(
            "JOB ENVIRONMENT",
            _paragraphs(text.JOB),
            _items(text.JOB_VARIABLES),
            [".PP"],
            _paragraphs(text.JOB_NAMES),
        ),
        *_section("EXIT CODES AND OUTCOMES", _items(text.OUTCOMES), [".PP"], _paragraphs(text.REUSE)),
        *_section("VALIDITY OF RESULTS", _validity()),
        *_section("HOST SETTINGS", _paragraphs(text.SETTINGS), _settings(SETTINGS)),
        *_section("EXAMPLES", _examples()),
        *_section("SEE ALSO", [_see_also()]),
    ]
    return "\n".join(lines) + "\n"


def _section(title: str, *blocks: Iterable[str]) -> Iterator[str]:
    shown = f'"{title}"' if " " in title else title
    yield f".SH {_escape(shown)}"
    lines = [line for block in blocks for line in block]
    yield from lines


def _paragraphs(paragraphs: Iterable[str]) -> Iterator[str]:
    for index, paragraph in enumerate(paragraphs):
        if index:
            yield ".PP"
        yield from _filled(paragraph)


def _items(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, meaning in items:
        yield ".TP"
        yield rf"\fB{_escape(term)}\fR"
        yield from _filled(meaning)


def _keys(table: dict[str, object]) -> Iterator[str]:
    required = table.get("required")
    for name, part in _part(table, "properties").items():
        properties = part if isinstance(part, dict) else {}
        yield ".TP"
        yield rf"\fB{name}\fR ({_escape(_kind(properties))})"
        sentences = [str(properties["description"])]
        if isinstance(required, list) and name in required:
            sentences.append("Required.")
        elif properties.get("default") not in (None, [], ()):
            sentences.append(f"Default: `{_toml(properties['default'])}`.")
        yield from _filled(" ".join(sentences))


def _toml(value: object) -> str:
    """Write a default as TOML does, which for these is as JSON does."""
    return msgspec.json.encode(int(value) if isinstance(value, float) else value).decode()


def _kind(part: dict[str, object]) -> str:
    """Say in words of TOML what a value is."""
    either = part.get("anyOf")
    if isinstance(either, list):
        return " or ".join(_kind(option) for option in either)
    if "$ref" in part:
        return "string" if str(part["$ref"]).endswith("CachePolicy") else "table"
    items = part.get("items")
    if isinstance(items, dict):
        inner = " and ".join(f"{each}s" for each in _kind(items).split(" or "))
        return f"array of {inner}"
    return str(part["type"])


def _validity() -> Iterator[str]:
    counts, rest, nothing = text.VALIDITY
    others = [name for name in TestTable.__struct_fields__ if name not in (*DECIDING_KEYS, "name")]
    for paragraph, keys in ((counts, DECIDING_KEYS), (rest, others)):
        yield from _filled(paragraph)
        yield ".PP"
        yield from _filled(", ".join(f"`{key}`" for key in keys) + ".")
        yield ".PP"
    yield from _filled(nothing)


def _settings(settings: Iterable[Setting]) -> Iterator[str]:
    for setting in settings:
        others = [f"`{name}`" for name in (setting.option, setting.variable) if name and name != "argument"]
        also = f"Also {', '.join(others)}. " if others else ""
        yield ".TP"
        yield rf"\fB{setting.key}\fR"
        yield from _filled(f"{setting.summary} {also}Default: {setting.default}.")


def _examples() -> Iterator[str]:
    for index, (caption, example) in enumerate(text.EXAMPLES):
        if index:
            yield ".PP"
        yield from _filled(caption)
        yield from (".PP", ".RS 4", ".EX")
        yield from (_guard(_escape(line)) for line in example.rstrip("\n").split("\n"))
        yield from (".EE", ".RE")


def _see_also() -> str:
    return ",\n".join(rf"\fB{_escape(name)}\fR({section})" for name, section in _SEE_ALSO)


def _filled(paragraph: str) -> Iterator[str]:
    """Yield a paragraph with literal words set in bold, a new line for each sentence."""
    roff = _LITERAL.sub(lambda found: rf"\fB{_escape(found[1])}\fR", paragraph)
    for sentence in re.split(r"(?<=\.)\s+(?=[A-Z\\])", roff):
        for line in textwrap.wrap(sentence, 76, break_long_words=False, break_on_hyphens=False):
            yield _guard(line)


def _guard(line: str) -> str:
    """Keep a line of text from being read as a request."""
    return rf"\&{line}" if line[:1] in (".", "'") else line


def _escape(words: str) -> str:
    return words.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")


def _part(table: dict[str, object], key: str) -> dict[str, object]:
    part = table[key]
    if not isinstance(part, dict):
        raise TypeError(key)
    return part
