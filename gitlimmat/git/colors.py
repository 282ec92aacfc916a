"""Colors as git's configuration writes them.

Layer: git. Starts no process and reads nothing: values come as arguments.
Source: git-config(1), "Values", `color`; color.c of git 2.47.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import TypeAlias

import msgspec

from gitlimmat.model import ConfigValue

_PREFIX = "color.limmat."
_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ATTRIBUTES = {"bold": 1, "dim": 2, "italic": 3, "ul": 4, "blink": 5, "reverse": 7, "strike": 9}
_NEGATED = {name: 22 if number == 1 else 20 + number for name, number in _ATTRIBUTES.items()}
_RICH = {"ul": "underline"}
_DIGITS = re.compile(r"[\v\f]*([+-]?[0-9]{1,18})", re.ASCII)
_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE | re.ASCII)
_WORD = re.compile(r"[^ \t\n\r]+")


class Slot(StrEnum):
    """What has a color of its own, `color.limmat.<slot>`."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    RUNNING = "running"
    WAITING = "waiting"
    UNKNOWN = "unknown"
    HASH = "hash"
    REFS = "refs"
    SUBJECT = "subject"
    PROBLEM = "problem"


class Rgb(msgspec.Struct, frozen=True):
    """A color by its parts, each from 0 to 255."""

    red: int
    green: int
    blue: int


Paint: TypeAlias = int | Rgb
"""One color: a number from 0 to 255, DEFAULT, or its parts."""

DEFAULT = -1  # the terminal's own color, said expressly


class Color(msgspec.Struct, frozen=True, kw_only=True):
    """What a value says. `attributes` are SGR numbers, ascending; None is a color that stays as it is."""

    foreground: Paint | None = None
    background: Paint | None = None
    attributes: tuple[int, ...] = ()
    reset: bool = False

    def ansi(self) -> str:
        """Return the escape sequence that git prints for this, empty when there is nothing to change."""
        parts = [""] if self.reset else []
        parts += [str(number) for number in self.attributes]
        parts += [_sgr(paint, add) for paint, add in self._paints() if paint is not None]
        return f"\x1b[{';'.join(parts)}m" if parts else ""

    def rich(self) -> str:
        """Return the same as a style of the library rich, empty when there is nothing to change."""
        words = [
            f"not {_RICH.get(name, name)}" if _NEGATED[name] in self.attributes else _RICH.get(name, name)
            for name, number in _ATTRIBUTES.items()
            if number in self.attributes or _NEGATED[name] in self.attributes
        ]
        for paint, add in self._paints():
            if paint is not None:
                words.append(f"on {_rich(paint)}" if add else _rich(paint))
        return " ".join(words)

    def _paints(self) -> tuple[tuple[Paint | None, int], ...]:
        return (self.foreground, 0), (self.background, 10)


class Palette(msgspec.Struct, frozen=True, kw_only=True):
    """The color of each slot. `stated` has those that the user has set.

    `warnings` has a line for each bad value.
    """

    stated: Mapping[Slot, Color] = {}
    warnings: tuple[str, ...] = ()

    def color(self, slot: Slot) -> Color:
        """Return the color of a slot, ours when the user has not set it."""
        stated = self.stated.get(slot)
        return _defaults()[slot] if stated is None else stated

    def styles(self) -> dict[str, str]:
        """Return the slots that the user has set, as styles of the library rich."""
        return {slot.value: color.rich() for slot, color in self.stated.items()}


def parse_color(text: str) -> Color:
    """Return what git understands by a value: `reset`, at most two colors, and attributes in any order.

    `#rgb` is understood whatever the git at hand, which is so from 2.47 on.

    Raises: ValueError with git's words, `invalid color value: ...`.
    """
    paints: list[Paint | None] = []
    attributes: set[int] = set()
    reset = False
    for word in _WORD.findall(text):
        try:
            if word.isascii() and word.lower() == "reset":
                reset = True
            elif (number := _attribute(word)) is not None:
                attributes.add(number)
            elif len(paints) < 2:
                paints.append(_paint(word))
            else:
                raise ValueError(word)
        except ValueError:
            raise ValueError(f"invalid color value: {text}") from None
    foreground, background, *_ = (*paints, None, None)
    return Color(
        foreground=foreground, background=background, attributes=tuple(sorted(attributes)), reset=reset
    )


def read_palette(values: Sequence[ConfigValue]) -> Palette:
    """Return the colors that git's configuration sets; the last value of a key counts."""
    stated: dict[Slot, Color] = {}
    warnings: list[str] = []
    for key, value in {value.key: value for value in values if value.key.startswith(_PREFIX)}.items():
        shown = f"{key!r} in {value.origin}"
        name = key.removeprefix(_PREFIX)
        if name not in _SLOTS:
            warnings.append(f"unknown git setting {shown}")
        elif value.value is None:
            warnings.append(f"missing value for {shown}; its default is used")
        else:
            try:
                stated[Slot(name)] = parse_color(value.value)
            except ValueError:
                warnings.append(f"invalid color value {value.value!r} for {shown}; its default is used")
    return Palette(stated=stated, warnings=tuple(warnings))


_SLOTS = frozenset(slot.value for slot in Slot)


@cache
def _defaults() -> dict[Slot, Color]:
    """Colors from the terminal's own sixteen, which its user has made readable on its background."""
    return {
        Slot.PASSED: parse_color("green"),
        Slot.FAILED: parse_color("red"),
        Slot.ERRORED: parse_color("bold red"),
        Slot.SKIPPED: parse_color("cyan"),
        Slot.CANCELLED: parse_color("yellow"),
        Slot.RUNNING: parse_color("bold blue"),
        Slot.WAITING: parse_color("dim"),
        Slot.UNKNOWN: parse_color("dim"),
        Slot.HASH: parse_color("yellow"),
        Slot.REFS: parse_color("magenta"),
        Slot.SUBJECT: parse_color("normal"),
        Slot.PROBLEM: parse_color("bold red"),
    }


def _attribute(word: str) -> int | None:
    """Return the SGR number of an attribute; unlike colors, these are in lower case only."""
    if word in _ATTRIBUTES:
        return _ATTRIBUTES[word]
    if not word.startswith("no"):
        return None
    return _NEGATED.get(word.removeprefix("no").removeprefix("-"))


def _paint(word: str) -> Paint | None:
    """Return one color, None for `normal`. Raises: ValueError when it is none."""
    name = word.lower() if word.isascii() else ""
    if name in ("normal", "default"):
        return None if name == "normal" else DEFAULT
    if name in _NAMES:
        return _NAMES.index(name)
    if name.removeprefix("bright") in _NAMES:
        return 8 + _NAMES.index(name.removeprefix("bright"))
    if _HEX.fullmatch(word):
        digits = word[1:] if len(word) == 7 else "".join(digit * 2 for digit in word[1:])
        return Rgb(*bytes.fromhex(digits))
    found = _DIGITS.fullmatch(word)
    number = int(found[1]) if found else 256
    if not -1 <= number <= 255:
        raise ValueError(word)
    return number if number >= 0 else None


def _sgr(paint: Paint, add: int) -> str:
    """Return the parameters that select a color, as background when `add` is 10."""
    if isinstance(paint, Rgb):
        return f"{38 + add};2;{paint.red};{paint.green};{paint.blue}"
    if paint == DEFAULT:
        return str(39 + add)
    if paint < 16:
        return str((30 + paint if paint < 8 else 82 + paint) + add)
    return f"{38 + add};5;{paint}"


def _rich(paint: Paint) -> str:
    if isinstance(paint, Rgb):
        return f"#{paint.red:02x}{paint.green:02x}{paint.blue:02x}"
    if paint == DEFAULT:
        return "default"
    if paint < 16:
        return _NAMES[paint] if paint < 8 else f"bright_{_NAMES[paint - 8]}"
    return f"color({paint})"
