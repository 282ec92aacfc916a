"""Find and read `limmat.toml`, and the files that tests declare as inputs.

Layer: service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from gitlimmat.config.definition import input_patterns
from gitlimmat.config.parse import parse
from gitlimmat.config.records import Config
from gitlimmat.errors import ConfigError
from gitlimmat.model import Test

CONFIG_NAMES = ("limmat.toml", ".limmat.toml")


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True):
    """A config file as read: its absolute path, what named it, and whether it can be read only once."""

    path: Path
    said_by: str
    config: Config
    once: bool = False


def find_config(directory: Path, top: Path | None) -> Path | None:
    """Return the config file that is there without anyone naming it.

    `directory` is where the user is, `top` the root of the worktree; the first wins.
    """
    for each in dict.fromkeys((directory, top or directory)):
        for name in CONFIG_NAMES:
            if (each / name).is_file():
                return each / name
    return None


def no_config(directory: Path, top: Path | None) -> ConfigError:
    """Return the error for a command that needs tests where there is no config file."""
    also = f" or '{top}'" if top not in (None, directory) else ""
    cure = "let 'git limmat init' propose one" if top else "name one with --config"
    return ConfigError(
        f"no limmat.toml or .limmat.toml in '{directory}'{also}",
        hint=f"{cure}, or test with a command: git limmat run -x 'make check'",
    )


def read_config(path: Path, said_by: str) -> ConfigFile:
    """Read and check the file that `said_by` named. It is read exactly once, so that `/dev/stdin` works.

    Raises: ConfigError with all its faults.
    """
    try:
        once = not path.is_file()
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read '{path}': {error.strerror}", hint=f"it was named by {said_by}"
        ) from error
    return ConfigFile(path=path, said_by=said_by, config=parse(text, source=str(path)), once=once)


def read_inputs(tests: Sequence[Test], config: Path | None) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Return path and SHA-256 of each file that a test declares as input, sorted by path.

    Patterns are relative to the directory of the config file, or to ours when it comes from a pipe; `**`
    matches any depth.
    Raises: ConfigError when a pattern matches nothing or a file cannot be read.
    """
    base = input_base(config)
    digests: dict[str, str] = {}
    return {
        name: [(path, _content_digest(base, path, digests)) for path in _matches(base, name, patterns)]
        for name, patterns in input_patterns(tests).items()
    }


def input_base(config: Path | None) -> Path:
    """Return the directory that patterns of inputs begin in."""
    return config.parent if config is not None and config.is_file() else Path.cwd()


def _matches(base: Path, name: str, patterns: Sequence[str]) -> list[str]:
    found: set[str] = set()
    for pattern in patterns:
        try:
            files = [str(path.relative_to(base)) for path in base.glob(pattern) if path.is_file()]
        except (IndexError, ValueError, NotImplementedError, OSError):
            files = []
        if not files:
            raise ConfigError(
                f"no file matches '{pattern}' in the inputs of test '{name}'",
                hint=f"patterns are relative to '{base}'",
            )
        found.update(files)
    return sorted(found)


def _content_digest(base: Path, path: str, digests: dict[str, str]) -> str:
    if path not in digests:
        try:
            with (base / path).open("rb") as file:
                digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ConfigError(f"cannot read the input '{base / path}': {error.strerror}") from error
    return digests[path]
