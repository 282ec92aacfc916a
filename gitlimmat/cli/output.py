"""Print for people: colors, columns and times.

Layer: cli.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from colorama import Fore, Style

from gitlimmat.config.colorbool import ColorSetting, has_colors
from gitlimmat.git.colors import Palette, Slot
from gitlimmat.model import Outcome, Result, counted, duration

_NAMED = 4
_RESET = Style.RESET_ALL
_ERRORED = Style.BRIGHT + Fore.RED  # two sequences; git's would be one, and scripts may know these bytes


class Printer:
    """Writes to one stream, with the colors of `palette` when `colored`."""

    def __init__(self, stream: TextIO, *, colored: bool, palette: Palette | None = None) -> None:
        self.stream = stream
        self.colored = colored
        self._palette = palette or Palette()

    def paint(self, text: str, slot: Slot) -> str:
        """Return `text` in the color of `slot`, or as it is."""
        color = self._ansi(slot) if self.colored and text else ""
        return f"{color}{text}{_RESET}" if color else text

    def outcome(self, outcome: Outcome, text: str | None = None) -> str:
        """Return the outcome's word (or `text`) in its color."""
        return self.paint(outcome.value if text is None else text, Slot(outcome.value))

    def line(self, text: str) -> None:
        """Write one line. Names that are not valid text come out as the bytes they are."""
        self.stream.write(f"{text}\n")

    def _ansi(self, slot: Slot) -> str:
        if slot is Slot.ERRORED and slot not in self._palette.stated:
            return _ERRORED
        return self._palette.color(slot).ansi()


def stdout_printer(setting: ColorSetting | None, palette: Palette | None = None) -> Printer:
    """Return a printer for standard output that follows git's color settings for us; None: no colors.

    Raises: ConfigError when those cannot be understood.
    """
    _pass_bytes_through(sys.stdout)
    colored = setting is not None and wants_color(setting, sys.stdout)
    return Printer(sys.stdout, colored=colored, palette=palette)


def wants_color(setting: ColorSetting, stream: TextIO) -> bool:
    """Decide as git does. Raises: ConfigError when the setting cannot be understood."""
    return has_colors(setting, terminal=stream.isatty(), environment=os.environ)


def _pass_bytes_through(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="surrogateescape")


def age(seconds: float) -> str:
    """Return how long ago something was, as git's relative dates do."""
    for size, word in ((86400 * 365, "year"), (86400 * 30, "month"), (86400 * 7, "week"), (86400, "day")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {word}s ago"
    for size, word in ((3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {word}s ago"
    count = max(0, int(seconds))
    return f"{counted(count, 'second')} ago"


def result_line(
    printer: Printer,
    *,
    short: str,
    test: str,
    width: int,
    outcome: Outcome,
    more: str,
    subject: str,
    columns: int = 0,
) -> str:
    """Return the line of a result: commit, test, outcome with `more`, subject.

    Units: `width` is how many characters names of tests take, `columns` how many a line has, 0: any number.
    """
    name = test.ljust(width)
    if columns:
        subject = subject[: max(columns - len(f"{short}  {name}  {outcome.value}{more}  "), 0)]
    text = f"{printer.paint(short, Slot.HASH)}  {name}  {printer.outcome(outcome)}{more}  {subject}"
    return text.rstrip()


def first_names(names: Sequence[str]) -> str:
    """Return the first few names in one line, with how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def details(
    outcome: Outcome, reason: str, result: Result | None, *, known: bool, commit: str, digits: int
) -> str:
    """Return what stands in brackets behind an outcome: reason, time, and where it is known from."""
    parts = [reason] if reason and reason != outcome.value else []
    if known:
        other = result is not None and result.commit != commit
        parts.append(f"known from {result.commit[:digits]}" if other and result is not None else "known")
    elif result is not None and result.elapsed:
        parts.append(duration(result.elapsed))
    return f" ({', '.join(parts)})" if parts else ""
