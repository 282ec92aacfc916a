"""Read the rules of a queue from the git configuration of its server.

Layer:  service.
Source: git-limmat-queue(1), CONFIGURATION.

Only the repository's own configuration counts. A hook runs as whoever pushes, with that person's files and
variables; none of those may give anyone a right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar

from gitlimmat.config.names import quote
from gitlimmat.config.reading import suggest
from gitlimmat.config.values import parse_bool, parse_int
from gitlimmat.errors import ConfigError, GitError
from gitlimmat.git.configuration import read_settings
from gitlimmat.git.repository import Repository
from gitlimmat.model import ConfigValue
from gitlimmat.queue.auth import ANYONE
from gitlimmat.queue.events import QUEUE, Policy
from gitlimmat.queue.rules import Identity, Rules

PREFIX = "limmat.queue."
KEYS = (
    *("target", "policy", "depth", "batch", "tries", "timeout", "maxPriority", "admin", "reviewer", "tryer"),
    *("pusher", "trust", "test", "everyCommit", "identity", "mention", "name", "email", "notify", "url"),
    *("proxyHeader", "proxySecretFile"),
)
"""The last part of each key, as it is written."""

_BRANCHES = "refs/heads/"
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)[.-]|\.lock(?:/|$)|^/|/$|\.$")
_MENTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_URL = re.compile(r"https?://[^\s<>\"]+")
_LONGEST_S = 366 * 86400
_MOST = 100
_Word = TypeVar("_Word", bound=StrEnum)


def read_rules(repository: Repository, warn: Callable[[str], None] = lambda message: None) -> Rules:
    """Return the rules that hold now; `warn` is told of keys that nobody knows.

    Raises: ConfigError with all faults, each with its key, its value and its file; GitError when git cannot
    read its configuration.
    """
    reader = _Reader(_own_values(repository))
    for message in reader.unknown():
        warn(message)
    rules = Rules(
        targets=reader.targets() or _default_targets(repository),
        policy=reader.word("policy", Policy.MERGE),
        depth=reader.number("depth", 1, least=1, most=_MOST),
        batch=reader.number("batch", 1, least=1, most=_MOST),
        tries=reader.number("tries", 1, least=1, most=_MOST),
        timeout_s=float(reader.number("timeout", 3600, least=1, most=_LONGEST_S)),
        max_priority=reader.number("maxPriority", 9001, least=0, most=1_000_000_000),
        admins=reader.people("admin"),
        reviewers=reader.people("reviewer"),
        tryers=reader.people("tryer"),
        pushers=reader.people("pusher"),
        trusted=reader.people("trust", is_anyone_allowed=False),
        tests=reader.each("test"),
        every_commit=reader.truth("everyCommit", default=False),
        identity=reader.word("identity", Identity.OS),
        mention=reader.matching("mention", "limmat", _MENTION, "not a word of letters and digits"),
        name=reader.signature("name", "limmat queue"),
        email=reader.signature("email", "limmat-queue@localhost"),
        notify=reader.text("notify") or "",
        url=reader.matching("url", "", _URL, "not an http address").rstrip("/"),
        proxy_header=reader.matching("proxyHeader", "", _HEADER, "not the name of an HTTP header"),
        proxy_secret_file=reader.text("proxySecretFile") or "",
    )
    reader.finish()
    return rules


def has_queue(repository: Repository) -> bool:
    """Return whether a repository's own configuration says anything about a queue, be it right or wrong."""
    return bool(_own_values(repository))


def _own_values(repository: Repository) -> list[ConfigValue]:
    return [
        value
        for value in read_settings(repository, asked=False)
        if value.scope == "local" and value.key.lower().startswith(PREFIX)
    ]


def _default_targets(repository: Repository) -> tuple[str, ...]:
    try:
        name = repository.git.at(repository.common_dir).text("symbolic-ref", "-q", "HEAD").strip()
    except GitError:
        return ()
    return (name,) if name.startswith(_BRANCHES) else ()


class _Reader:
    """Values by key, and what is wrong with them."""

    def __init__(self, values: Sequence[ConfigValue]) -> None:
        self._values: dict[str, list[ConfigValue]] = {}
        for value in values:
            self._values.setdefault(value.key.lower().removeprefix(PREFIX), []).append(value)
        self._faults: list[str] = []

    def unknown(self) -> list[str]:
        """Return a warning for each key that is none of ours."""
        known = {key.lower() for key in KEYS}
        return [
            f"unknown git setting {quote(PREFIX + key)} in {values[-1].origin}{suggest(key, KEYS)}"
            for key, values in self._values.items()
            if key not in known
        ]

    def each(self, key: str) -> tuple[str, ...]:
        """Return each value once, in its order; an empty one takes back those before it."""
        found: dict[str, None] = {}
        for value in self._values.get(key.lower(), ()):
            if value.value is None:
                self._fault(key, value, "it has no value")
            elif value.value:
                found[value.value] = None
            else:
                found.clear()
        return tuple(found)

    def targets(self) -> tuple[str, ...]:
        """Return full names of branches."""
        names = []
        for text in self.each("target"):
            name = text if text.startswith("refs/") else _BRANCHES + text
            if not name.startswith(_BRANCHES) or _BAD_REF.search(name):
                self._fault_text("target", text, "not a branch")
            names.append(name)
        return tuple(dict.fromkeys(names))

    def people(self, key: str, *, is_anyone_allowed: bool = True) -> tuple[str, ...]:
        """Return names of principals."""
        names = self.each(key)
        for name in names:
            if name == ANYONE and not is_anyone_allowed:
                self._fault_text(key, name, "each one is to be named")
            elif name == QUEUE:
                self._fault_text(key, name, "the queue itself is called so")
            elif not name.isprintable() or name != name.strip():
                self._fault_text(key, name, "not a name of someone")
        return names

    def text(self, key: str) -> str | None:
        """Return the last value, None where there is none."""
        values = self._values.get(key.lower())
        if not values:
            return None
        if values[-1].value is None:
            self._fault(key, values[-1], "it has no value")
        return values[-1].value

    def number(self, key: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number within limits."""
        text = self.text(key)
        if text is None:
            return default
        try:
            number = parse_int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            self._fault_text(key, text, f"not a whole number from {least} to {most}")
            return default
        return number

    def truth(self, key: str, *, default: bool) -> bool:
        """Return a truth value as git understands it; a key alone is true."""
        values = self._values.get(key.lower())
        if not values:
            return default
        try:
            return parse_bool(values[-1].value)
        except ValueError:
            self._fault(key, values[-1], "neither true nor false")
            return default

    def word(self, key: str, default: _Word) -> _Word:
        """Return one of the words that `default` is of."""
        text = self.text(key)
        if text is None:
            return default
        try:
            return type(default)(text.lower())
        except ValueError:
            *others, last = type(default)
            self._fault_text(key, text, f"not {', '.join(others)} or {last}")
            return default

    def matching(self, key: str, default: str, pattern: re.Pattern[str], fault: str) -> str:
        """Return a text that looks as it should; an empty one stands for the default."""
        text = self.text(key)
        if text and not pattern.fullmatch(text):
            self._fault_text(key, text, fault)
        return text or default

    def signature(self, key: str, default: str) -> str:
        """Return what can stand in the author line of a commit."""
        text = self.text(key)
        if text and (not text.isprintable() or set("<>") & set(text) or not text.strip(" .,:;\"'\\")):
            self._fault_text(key, text, "cannot be in the author line of a commit")
        return text or default

    def finish(self) -> None:
        """Raise when there were faults."""
        if self._faults:
            faults = tuple(self._faults)
            message = faults[0] if len(faults) == 1 else f"{len(faults)} settings of the queue are bad"
            raise ConfigError(message, faults=faults, hint="see CONFIGURATION in git-limmat-queue(1)")

    def _fault_text(self, key: str, text: str, reason: str) -> None:
        values = self._values[key.lower()]
        self._fault(key, next(value for value in values if value.value == text), reason)

    def _fault(self, key: str, value: ConfigValue, reason: str) -> None:
        shown = quote(value.value or "")
        self._faults.append(f"bad config value {shown} for '{PREFIX}{key}' in {value.origin}: {reason}")
