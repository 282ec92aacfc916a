"""The tests of a commit: those that its own `limmat.toml` says, and not a file of anyone's worktree.

Layer:  service.
Owns:   `limmat/queue/suites/<oid>/` in the repository: a config file with the files that its tests declare as
        inputs, for jobs to read. Made when needed; it can be deleted at any time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from gitlimmat.config.names import quote
from gitlimmat.config.parse import parse
from gitlimmat.config.records import Config
from gitlimmat.errors import ConfigError, LimmatError
from gitlimmat.git.modes import make_directory
from gitlimmat.git.objects import MODE_EXECUTABLE, MODE_FILE, list_tree, read_blob, read_commit, read_tree
from gitlimmat.git.repository import Repository
from gitlimmat.model import Test
from gitlimmat.queue.snapshot import Broken, Lack
from gitlimmat.service.configfile import CONFIG_NAMES, ConfigFile

_FILES = (MODE_FILE, MODE_EXECUTABLE)


class NoSuiteError(ConfigError):
    """A commit has no config file."""


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """The config file of a commit: its name, its blob, and what it says; `tree` is the commit's."""

    name: str
    blob: str
    tree: str
    config: Config

    def choose(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the tests that match, and of all they depend on, in file order.

        Without `patterns` it is the tests that run by default. A pattern is a name, or a glob.
        Raises: ConfigError when a pattern matches nothing, or nothing is left to run.
        """
        tests = self.config.tests
        for pattern in patterns:
            if not any(fnmatchcase(test.name, pattern) for test in tests):
                known = ", ".join(quote(test.name) for test in tests) or "none"
                raise ConfigError(f"no test matches {quote(pattern)}", hint=f"configured tests: {known}")
        chosen = [test.name for test in tests if _is_wanted(test, patterns)]
        if not chosen:
            raise ConfigError(f"no test of '{self.name}' runs by default")
        return self._closure(chosen)

    def _closure(self, names: Sequence[str]) -> tuple[str, ...]:
        by_name = {test.name: test for test in self.config.tests}
        wanted: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting += by_name[name].depends_on
        return tuple(name for name in by_name if name in wanted)


class Suites:
    """Reads the config files of commits; what one file says is remembered. For one thread at a time."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._parsed: dict[str, Config | ConfigError] = {}

    def at(self, commit: str) -> Suite:
        """Return the tests of a commit.

        Raises: ConfigError with all faults when it has no config file or one that cannot be used, and
        DamagedObjectError when objects are missing.
        """
        objects = self._repository.objects
        tree = read_commit(objects, commit).tree
        entries = read_tree(objects, tree)
        for name in CONFIG_NAMES:
            entry = entries.get(name.encode())
            if entry is not None and entry.mode in _FILES:
                return Suite(name=name, blob=entry.oid, tree=tree, config=self._config(name, entry.oid))
        raise NoSuiteError("it has no 'limmat.toml'", hint="only tests that are committed can be run")

    def fault(self, commit: str, patterns: Sequence[str]) -> str:
        """Return what is wrong with the tests of a commit; empty when they can be run."""
        broken = self.broken(commit, patterns)
        return broken.said if broken is not None else ""

    def broken(self, commit: str, patterns: Sequence[str]) -> Broken | None:
        """Return what is wrong with the tests of a commit, by its kind; None when they can be run."""
        try:
            suite = self.at(commit)
        except NoSuiteError as error:
            return Broken(lack=Lack.FILE, said=explain(error))
        except ConfigError as error:
            return Broken(lack=Lack.SENSE, said=explain(error))
        except LimmatError as error:
            return Broken(lack=Lack.OBJECT, said=explain(error))
        try:
            suite.choose(patterns)
        except ConfigError as error:
            return Broken(lack=Lack.MATCH if patterns else Lack.DEFAULT, said=explain(error))
        return None

    def keep(self, blobs: Sequence[str]) -> None:
        """Forget all files but these."""
        self._parsed = {blob: said for blob, said in self._parsed.items() if blob in blobs}

    def _config(self, name: str, blob: str) -> Config:
        said = self._parsed.get(blob)
        if said is None:
            text = read_blob(self._repository.objects, blob)
            try:
                said = parse(text, source=name)
            except ConfigError as error:
                said = error
            self._parsed[blob] = said
        if isinstance(said, ConfigError):
            raise ConfigError(said.message, faults=said.faults, hint=said.hint)
        return said


def explain(error: LimmatError) -> str:
    """Return an error in one line, with its faults."""
    faults = error.faults if isinstance(error, ConfigError) and len(error.faults) > 1 else ()
    return "; ".join((str(error), *faults))


def suites_directory(repository: Repository) -> Path:
    """Return the directory for config files of commits."""
    return repository.state_dir / "queue" / "suites"


def remove_suites(repository: Repository) -> None:
    """Remove what former daemons have left. Call only while no job runs."""
    shutil.rmtree(suites_directory(repository), ignore_errors=True)


def write_suite(repository: Repository, suite: Suite) -> ConfigFile:
    """Return the config file as a real one, in a directory of its own with the inputs of its tests.

    Raises: OSError when it cannot be written, DamagedObjectError when objects are missing.
    """
    patterns = sorted({pattern for test in suite.config.tests for pattern in test.inputs})
    place = suites_directory(repository) / (suite.tree if patterns else suite.blob)
    path = place / suite.name
    if not path.is_file():
        inputs = _inputs(repository, suite.tree, patterns)
        _make(repository, place, {**inputs, suite.name: suite.blob})  # the config last: then all is there
    return ConfigFile(path=path, said_by="the target", config=suite.config)


def _make(repository: Repository, place: Path, blobs: Mapping[str, str]) -> None:
    """Put files there that are not, each of them whole at once: runs beside do the same."""
    for name, blob in blobs.items():
        path = place / name
        if path.is_file():
            continue
        make_directory(path.parent)
        handle, aside = tempfile.mkstemp(prefix=f"{place.name}.", suffix=".new", dir=place.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(read_blob(repository.objects, blob))
            Path(aside).chmod(0o644)
            Path(aside).replace(path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise


def _inputs(repository: Repository, tree: str, patterns: Sequence[str]) -> dict[str, str]:
    """Return the blobs of all files of a tree that a pattern matches, by path."""
    if not patterns:
        return {}
    wanted = [_parts(pattern) for pattern in patterns]
    return {
        path: entry.oid
        for entry in list_tree(repository, tree)
        if entry.mode in _FILES
        and (path := os.fsdecode(entry.path))
        and any(_matches(path.split("/"), each) for each in wanted)
    }


def _parts(pattern: str) -> list[str]:
    return [part for part in pattern.split("/") if part not in ("", ".")]


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether `Path.glob` finds a file by a pattern; `**` stands for any number of directories."""
    if not path or not pattern:
        return not path and not pattern
    if pattern[0] == "**":
        return any(_matches(path[skipped:], pattern[1:]) for skipped in range(len(path)))
    return fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def _is_wanted(test: Test, patterns: Sequence[str]) -> bool:
    if not patterns:
        return test.run_by_default
    return any(fnmatchcase(test.name, pattern) for pattern in patterns)
