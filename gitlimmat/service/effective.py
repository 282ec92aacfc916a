"""The effective configuration, for people to look at.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from gitlimmat.config.settings import SETTINGS
from gitlimmat.model import Resource, Test
from gitlimmat.service.project import ConfigUse, open_project
from gitlimmat.service.request import Request


class SettingShown(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of this host, its value, and what gave it that value."""

    name: str
    value: object
    origin: str


class TestShown(msgspec.Struct, frozen=True, kw_only=True):
    """A test: the keys that differ from their defaults, and the digest of its definition."""

    name: str
    selected: bool
    digest: str
    keys: dict[str, object]


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what a run does on this host."""

    settings: tuple[SettingShown, ...]
    resources: tuple[Resource, ...]
    tests: tuple[TestShown, ...]


def effective(request: Request, warn: Callable[[str], None]) -> Effective:
    """Return the configuration that `request` leads to; no config file is needed."""
    project = open_project(request, warn, config=ConfigUse.OPTIONAL)
    values = project.settings
    settings = [
        SettingShown(
            name="config",
            value=str(project.config_path) if project.config_path else None,
            origin=project.config_origin,
        )
    ]
    settings += [
        SettingShown(name=setting.name, value=_plain(getattr(values, setting.name)), origin=origin)
        for setting in SETTINGS
        if setting.name != "config" and (origin := values.origins[setting.name])
    ]
    selected = {test.name for test in project.tests}
    tests = tuple(
        TestShown(
            name=test.name,
            selected=test.name in selected,
            digest=project.definitions[test.name].digest,
            keys=_keys(test),
        )
        for test in project.all_tests
    )
    return Effective(settings=tuple(settings), resources=project.resources, tests=tests)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _keys(test: Test) -> dict[str, object]:
    """Return the keys of a test that are not at their defaults, the command always first."""
    plain: dict[str, object] = msgspec.to_builtins(test)
    defaults: dict[str, object] = msgspec.to_builtins(Test(name="", command=""))
    return {
        key: value
        for key, value in plain.items()
        if key != "name" and (key == "command" or value != defaults[key])
    }
