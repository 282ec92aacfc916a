"""Turn a TOML document into the records of `tables`, collecting every fault on the way.

Layer:  pure. May import names.

msgspec stops at the first fault, so each key and each array item is converted by itself. Where a value is
faulty a stand-in takes its place (a `StandIn`, -1, an empty array, or the default of an optional key), so
that what compares tables with each other still sees the sound parts. Stand-ins never leave the parser.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import Annotated, Union, get_args, get_origin

import msgspec

from gitlimmat.config.names import quote

_TOML_WORDS = {"str": "string", "int": "integer", "bool": "boolean", "float": "number", "object": "table"}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class StandIn(str):
    """An empty string in the place of a faulty one."""

    __slots__ = ()


def read(value: object, kind: object, place: str, faults: list[str]) -> object:
    """Return `value` as a `kind`, with stand-ins for what is faulty; append the faults, one line each."""
    options = _options(kind)
    if isinstance(value, list):
        items = next((get_args(option)[0] for option in options if get_origin(option) is tuple), None)
        if items is not None:
            return _read_array(value, kind, items, place, faults)
    if isinstance(value, dict):
        table = _table(options)
        if table is not None:
            return _read_table(value, table, place, faults)
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        faults.append(f"{place}: {_explain(str(error), value, options)}")
        return _stand_in(options)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a "did you mean" to append to a message, empty when nothing is close."""
    import difflib  # hooks wait for what is imported, and most have nothing to suggest

    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return f", did you mean {quote(by_lower[close[0]])}?" if close else ""


def join_place(place: str, key: str) -> str:
    """Return the place of `key` in the table at `place`; a key that TOML needs quoted is quoted."""
    shown = key if _BARE_KEY.fullmatch(key) else quote(key)
    return f"{place}.{shown}" if place else shown


def _read_array(value: list[object], kind: object, items: object, place: str, faults: list[str]) -> object:
    before = len(faults)
    read_items = tuple(read(item, items, f"{place}[{index}]", faults) for index, item in enumerate(value))
    if len(faults) == before:
        try:
            msgspec.convert(read_items, kind, strict=True)
        except msgspec.ValidationError as error:
            faults.append(f"{place}: {_explain(str(error), value, _options(kind))}")
    return read_items


def _read_table(
    value: dict[str, object], table: type[msgspec.Struct], place: str, faults: list[str]
) -> msgspec.Struct:
    fields = _fields(table)
    prefix = f"{place}: " if place else ""
    faults.extend(
        f"{prefix}unknown key {quote(key)}{suggest(key, fields)}" for key in value if key not in fields
    )
    found: dict[str, object] = {}
    for name, field in fields.items():
        if name not in value:
            if field.required:
                faults.append(f"{prefix}key {quote(name)} is missing")
                found[name] = _stand_in(_options(field.type))
            continue
        before = len(faults)
        found[name] = read(value[name], field.type, join_place(place, name), faults)
        if len(faults) > before and not field.required and not _has_stand_in(_options(field.type)):
            del found[name]
    return table(**found)


@cache
def _fields(table: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Return the keys of a table by name; msgspec evaluates all annotations anew each time it is asked."""
    return {field.name: field for field in msgspec.structs.fields(table)}


def _options(kind: object) -> tuple[object, ...]:
    """Return the plain types that `kind` allows, without limits and without "not given"."""
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(option for part in get_args(kind) for option in _options(part))
    return () if kind is msgspec.UnsetType else (kind,)


def _has_stand_in(options: tuple[object, ...]) -> bool:
    return int in options or any(get_origin(option) is tuple for option in options)


def _table(options: tuple[object, ...]) -> type[msgspec.Struct] | None:
    for option in options:
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def _stand_in(options: tuple[object, ...]) -> object:
    if str in options:
        return StandIn()
    if int in options:
        return -1
    table = _table(options)
    if table is None:
        return ()
    required = (field for field in _fields(table).values() if field.required)
    return table(**{field.name: _stand_in(_options(field.type)) for field in required})


def _explain(message: str, value: object, options: tuple[object, ...]) -> str:
    """Put a msgspec message into the words of TOML."""
    choices = next((o for o in options if isinstance(o, type) and issubclass(o, StrEnum)), None)
    if choices is not None and isinstance(value, str):
        known = [str(choice) for choice in choices]
        return f"unknown value {quote(value)}, use {_either(known)}{suggest(value, known)}"
    text = message.split(" - at `")[0]
    text = re.sub(
        r"`([^`]*)`", lambda found: _either(_toml_word(word) for word in found[1].split(" | ")), text
    )
    if "length >= 1" in text:
        return "must not be empty"
    text = re.sub(r"\.0$", "", text[0].lower() + text[1:])
    if isinstance(value, int | float) and "got" not in text:
        text += f", got {value:.20g}" if isinstance(value, float) else f", got {_number(value)}"
    return text


def _number(value: int) -> str:
    return str(value) if value.bit_length() < 256 else "a far larger one"


def _toml_word(word: str) -> str:
    return _TOML_WORDS.get(word, word)


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
