"""Where a setting may come from: find the strongest source that says something, and read its value.

Layer:  pure. May import model, errors. Environment and git config come as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from gitlimmat.config.names import quote
from gitlimmat.config.records import Config
from gitlimmat.config.values import (
    MAX_INT,
    expand_home,
    is_utf8,
    parse_bool,
    parse_hostname,
    parse_int,
    parse_notes_ref,
    parse_sockaddr,
)
from gitlimmat.errors import ConfigError, LimmatError, UsageError
from gitlimmat.model import ConfigValue


class Source(StrEnum):
    """Kinds of places a value comes from, the strongest first."""

    OPTION = "option"
    ENVIRONMENT = "environment"
    GIT = "git config"
    FILE = "file"
    DEFAULT = "default"


class Glyphs(StrEnum):
    """Which signs stand for outcomes."""

    EMOJI = "emoji"
    UNICODE = "unicode"
    ASCII = "ascii"


class Background(StrEnum):
    """Which commits hooks have tested while nobody watches."""

    OFF = "off"
    HEAD = "head"
    RANGE = "range"


class PrePush(StrEnum):
    """What becomes of a push of commits that have not passed."""

    WARN = "warn"
    BLOCK = "block"
    OFF = "off"


Word = TypeVar("Word", bound=StrEnum)
Notify: TypeAlias = bool | str
"""No notices, desktop notifications, or the command of a shell that is run instead."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting and its names. `default` is what the documentation says.

    `option` is None when the command line has none, or `argument` when it is an argument without dashes.
    """

    name: str
    key: str
    default: str
    summary: str
    option: str | None = None
    variable: str | None = None


class Reader:
    """Finds the strongest source of each setting, and collects what is wrong with its value."""

    def __init__(
        self,
        settings: Iterable[Setting],
        *,
        options: Mapping[str, str | int | Path | None],
        environment: Mapping[str, str],
        git: Sequence[ConfigValue],
        file: Config | None,
        file_name: str,
    ) -> None:
        self.origins: dict[str, str] = {}
        self.sources: dict[str, Source] = {}
        self._options = options
        self._environment = environment
        self._all_git = git
        self._git = {value.key.lower(): value for value in git}
        self._file = file
        self._file_name = file_name
        self._settings = {setting.name: setting for setting in settings}
        self._faults: list[tuple[Source, str]] = []

    def number(self, name: str, default: int, *, limit: int = MAX_INT) -> int:
        """Return a number that is not negative."""
        raw = self._find(name)
        if self.sources[name] is Source.DEFAULT:
            return default
        try:
            number = parse_int(raw or "", limit=limit)
            if number < 0:
                raise ValueError("negative")
        except ValueError as error:
            self._fault(name, "numeric ", raw, str(error))
            return default
        return number

    def path(self, name: str, cwd: Path, top: Path) -> Path | None:
        """Return an absolute path, None when there is none or it is empty."""
        raw = self.text(name)
        if not raw:
            return None
        if self.sources[name] is not Source.GIT:
            return cwd / raw
        try:
            return top / expand_home(raw, self._environment.get("HOME"))
        except ValueError as error:
            self._fault(name, "", raw, str(error))
            return None

    def text(self, name: str) -> str | None:
        """Return any text without NUL."""
        raw = self._find(name)
        if raw is None and self.sources[name] is Source.GIT:
            self._fault(name, "", raw, "it has no value")
        if raw and "\0" in raw:
            self._fault(name, "", raw, "it has a NUL character")
        return raw

    def prefix(self, name: str, default: str) -> str:
        """Return the start of a file name."""
        raw = self.text(name) or default
        if "/" in raw:
            self._fault(name, "", raw, "it has a '/'")
        return raw

    def notes_ref(self, name: str, default: str) -> str | None:
        """Return the full name of a ref, None for no notes."""
        raw = self._find(name)
        if self.sources[name] is Source.DEFAULT:
            return default
        try:
            return parse_notes_ref(raw)
        except ValueError as error:
            self._fault(name, "", raw, str(error))
            return default

    def word(self, name: str, default: Word) -> Word:
        """Return one of the words that `default` is of, in any case of letters."""
        raw = self.text(name)
        if not raw:
            return default
        try:
            return type(default)(raw.lower())
        except ValueError:
            *others, last = type(default)
            self._fault(name, "", raw, f"not {', '.join(others)} or {last}")
            return default

    def glyphs(self, name: str) -> Glyphs:
        """Return which signs to use; by default those that the locale can show."""
        return self.word(name, Glyphs.UNICODE if is_utf8(self._environment) else Glyphs.ASCII)

    def notify(self, name: str) -> Notify:
        """Return a truth value, or what is none as a command."""
        raw = self._find(name)
        if self.sources[name] is Source.DEFAULT:
            return False
        try:
            return parse_bool(raw)
        except ValueError:
            if "\0" in (raw or ""):
                self._fault(name, "", raw, "it has a NUL character")
            return raw or False

    def sockaddr(self, name: str, default: str) -> str:
        """Return an address with a port, as it is written."""
        return self._checked(name, parse_sockaddr) or default

    def hostname(self, name: str) -> str | None:
        """Return the name of a host, None when there is none."""
        return self._checked(name, parse_hostname)

    def names(self, name: str) -> tuple[str, ...]:
        """Return each value of git config once, in its order; an empty one takes back those before it."""
        self.text(name)
        found: dict[str, None] = {}
        for each in self._all_git:
            if each.key.lower() != self._settings[name].key.lower():
                continue
            if each.value:
                found[each.value] = None
            else:
                found.clear()
        return tuple(found)

    def _checked(self, name: str, parse: Callable[[str], str]) -> str | None:
        raw = self.text(name)
        if not raw:
            return None
        try:
            return parse(raw)
        except ValueError as error:
            self._fault(name, "", raw, str(error))
            return None

    def refuse_no_worktrees(self, file: Config) -> None:
        """Note a fault when `file` has tests that would wait for a worktree for ever."""
        needy = [quote(test.name) for test in file.tests if test.requires_worktree]
        if needy:
            self._fault("num_worktrees", "", "0", f"test {needy[0]} needs a worktree")

    def finish(self) -> None:
        """Raise when there were faults."""
        if not self._faults:
            return
        told = tuple(text for _, text in self._faults)
        message = told[0] if len(told) == 1 else f"{len(told)} settings are bad"
        raise self._error(message, told)

    def _error(self, message: str, faults: tuple[str, ...]) -> LimmatError:
        if all(source is Source.OPTION for source, _ in self._faults):
            return UsageError("; ".join(faults))
        return ConfigError(message, faults=faults, hint="see HOST SETTINGS in limmat.toml(5)")

    def _find(self, name: str) -> str | None:
        """Return the text of the strongest source and note it; None is the default, or a key without `=`."""
        setting = self._settings[name]
        option = self._options.get(name)
        if option is not None:
            told = "argument" if setting.option == "argument" else f"option {setting.option}"
            return self._note(name, Source.OPTION, told, str(option))
        variable = setting.variable
        value = self._environment.get(variable) if variable else None
        if value or (value is not None and name == "notes_ref"):
            return self._note(name, Source.ENVIRONMENT, f"environment {variable}", value)
        found = self._git.get(setting.key.lower())
        if found is not None:
            told = f"git config {setting.key} ({found.scope}, {found.origin})"
            return self._note(name, Source.GIT, told, found.value)
        if name == "num_worktrees" and self._file is not None and self._file.num_worktrees is not None:
            return self._note(name, Source.FILE, f"file {self._file_name}", str(self._file.num_worktrees))
        return self._note(name, Source.DEFAULT, "default", None)

    def _note(self, name: str, source: Source, told: str, value: str | None) -> str | None:
        self.sources[name], self.origins[name] = source, told
        return value

    def _fault(self, name: str, kind: str, raw: str | None, reason: str) -> None:
        setting, source, shown = self._settings[name], self.sources[name], quote(raw or "")
        match source:
            case Source.GIT:
                found = self._git[setting.key.lower()]
                text = f"bad {kind}config value {shown} for '{setting.key}' in {found.origin}: {reason}"
            case Source.FILE:
                text = f"bad {kind}value {shown} for '{name}' in '{self._file_name}': {reason}"
            case Source.ENVIRONMENT:
                text = f"bad {kind}value {shown} for '{setting.variable}': {reason}"
            case Source.OPTION | Source.DEFAULT:
                text = f"bad {kind}value {shown} for '{setting.option}': {reason}"
        self._faults.append((source, text))
