"""Parse `limmat.toml`.

Layer:  pure. May import model, errors. The caller reads the file, once.
"""

from __future__ import annotations

import re

import tomli
from msgspec import UnsetType

from gitlimmat.config.checks import check
from gitlimmat.config.reading import read
from gitlimmat.config.records import Config
from gitlimmat.config.tables import FileTable, ResourceTable, TestTable, entry_name, token_count
from gitlimmat.errors import ConfigError
from gitlimmat.model import Need, Resource, Test


def parse(text: bytes, *, source: str) -> Config:
    """Return the configuration that `text` holds; `source` is what messages call it.

    Raises: ConfigError, with every fault of the text and its place.
    """
    document = _decode(text, source)
    faults: list[str] = []
    table = read(document, FileTable, "", faults)
    if isinstance(table, FileTable):
        faults = sorted((*faults, *check(table)), key=_file_order)
    if faults or not isinstance(table, FileTable):
        raise _unusable(source, faults)
    return Config(
        num_worktrees=None if isinstance(table.num_worktrees, UnsetType) else table.num_worktrees,
        resources=tuple(_resource(entry) for entry in table.resources),
        tests=tuple(_test(entry, table.shell) for entry in table.tests),
    )


def _decode(text: bytes, source: str) -> dict[str, object]:
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        byte = text[error.start]
        raise _unusable(source, [f"line {line}: byte 0x{byte:02x} is not UTF-8"]) from error
    try:
        return tomli.loads(decoded)
    except tomli.TOMLDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _unusable(source, [f"{place}: {_lower(error.msg)}"]) from error
    except (RecursionError, ValueError) as error:
        raise _unusable(source, [f"cannot parse TOML: {_lower(str(error))}"]) from error


def _file_order(fault: str) -> tuple[int, int]:
    found = re.match(r"(resources|tests)\[(\d+)\]", fault)
    return (1 if found[1] == "resources" else 2, int(found[2])) if found else (0, 0)


def _unusable(source: str, faults: list[str]) -> ConfigError:
    """One fault is told in the message itself; of several the message gives the number."""
    told = faults[0] if len(faults) == 1 else f"{len(faults)} faults"
    return ConfigError(f"cannot read '{source}': {told}", faults=tuple(faults), hint="see limmat.toml(5)")


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _resource(entry: str | ResourceTable) -> Resource:
    name = entry_name(entry)
    if isinstance(entry, ResourceTable) and not isinstance(entry.tokens, UnsetType):
        return Resource(name=name, tokens=entry.tokens)
    return Resource(name=name, tokens=tuple(f"{name}-{index}" for index in range(token_count(entry))))


def _need(entry: str | ResourceTable) -> Need:
    return Need(name=entry_name(entry), count=token_count(entry))


def _test(entry: TestTable, shell: tuple[str, ...]) -> Test:
    return Test(
        name=entry.name,
        command=entry.command,
        shell=shell if isinstance(entry.shell, UnsetType) else entry.shell,
        requires_worktree=entry.requires_worktree,
        run_by_default=entry.run_by_default,
        resources=tuple(_need(need) for need in entry.resources),
        shutdown_grace_period_s=entry.shutdown_grace_period_s,
        timeout_s=None if isinstance(entry.timeout_s, UnsetType) else entry.timeout_s,
        cache=entry.cache,
        depends_on=tuple(dict.fromkeys(entry.depends_on)),
        error_exit_codes=entry.error_exit_codes,
        skip_exit_codes=entry.skip_exit_codes,
        separate_outputs=entry.separate_outputs,
        priority=entry.priority,
        inputs=tuple(dict.fromkeys(entry.inputs)),
    )
