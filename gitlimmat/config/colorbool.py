"""Whether output has colors, decided as git does.

Layer:  pure.
Source: git-config(1) `color.ui` and `color.pager`; git_config_colorbool() and want_color() in color.c of
        git 2.47; https://no-color.org for `NO_COLOR`, which git itself does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from gitlimmat.config.values import parse_bool
from gitlimmat.errors import ConfigError
from gitlimmat.model import ConfigValue

_KEYS = ("color.limmat", "color.ui")
_PAGER = ("color.pager", "pager.color")


class When(StrEnum):
    """When there are colors; AUTO is on a terminal, or in a pager that git has started."""

    ALWAYS = "always"
    AUTO = "auto"
    NEVER = "never"


class ColorSetting(msgspec.Struct, frozen=True, kw_only=True):
    """What was said about colors: a key and its value as they are written, None being a key without `=`.

    `in_pager` is the value of `color.pager`.
    """

    key: str = "color.ui"
    value: str | None = When.AUTO.value
    in_pager: str | None = "true"


def read_color(values: Sequence[ConfigValue], option: str | None) -> ColorSetting:
    """Return what counts: the option `--color`, else `color.limmat`, else `color.ui`."""
    said = {value.key: value.value for value in values if value.key in (*_KEYS, *_PAGER)}
    pager = next((said[key] for key in reversed(list(said)) if key in _PAGER), "true")
    if option is not None:
        return ColorSetting(key="--color", value=option, in_pager=pager)
    for key in _KEYS:
        if key in said:
            return ColorSetting(key=key, value=said[key], in_pager=pager)
    return ColorSetting(in_pager=pager)


def parse_when(text: str | None) -> When:
    """Return what a value means; any spelling of true means AUTO.

    Raises: ValueError when git would refuse it.
    """
    for when in When:
        if text is not None and text.lower() == when.value and text.isascii():
            return when
    return When.AUTO if parse_bool(text) else When.NEVER


def has_colors(setting: ColorSetting, *, terminal: bool, environment: Mapping[str, str]) -> bool:
    """Whether output has colors; `terminal` says that it goes to one.

    Raises: ConfigError in git's words when a value is no truth value and no word for one.
    """
    when = _parsed(setting.key, setting.value)
    if when is not When.AUTO:
        return when is When.ALWAYS
    if environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb":
        return False
    return terminal or (_is_true(environment.get("GIT_PAGER_IN_USE")) and _in_pager(setting))


def _in_pager(setting: ColorSetting) -> bool:
    return _parsed("color.pager", setting.in_pager) is not When.NEVER


def _parsed(key: str, text: str | None) -> When:
    try:
        return parse_when(text)
    except ValueError:
        raise ConfigError(
            f"bad boolean config value '{text}' for '{key}'",
            hint="it may be 'always', 'auto', 'never' or a truth value",
        ) from None


def _is_true(text: str | None) -> bool:
    try:
        return text is not None and parse_bool(text)
    except ValueError:
        return False
