"""What every command works on: a repository, its settings, its tests and its store.

Layer: service.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gitlimmat.config.colorbool import ColorSetting, read_color
from gitlimmat.config.definition import define
from gitlimmat.config.records import Config
from gitlimmat.config.select import select
from gitlimmat.config.settings import Settings, resolve
from gitlimmat.errors import ConfigError, LimmatError, UsageError
from gitlimmat.git.census import require_git
from gitlimmat.git.colors import Palette, read_palette
from gitlimmat.git.configuration import read_settings
from gitlimmat.git.environment import without_location
from gitlimmat.git.repository import Repository, as_named, find_repository
from gitlimmat.model import Commit, ConfigValue, Definition, Key, Resource, Test, subject_of
from gitlimmat.plan.cases import Case, JobKey
from gitlimmat.service.adhoc import adhoc_tests
from gitlimmat.service.configfile import (
    CONFIG_NAMES,
    ConfigFile,
    find_config,
    input_base,
    no_config,
    read_config,
    read_inputs,
)
from gitlimmat.service.request import Request

if TYPE_CHECKING:
    from gitlimmat.store.cache import Cache
    from gitlimmat.store.locks import CaseLocks
    from gitlimmat.store.runs import Runs
    from gitlimmat.store.store import Store


_OPENED = ("store", "locks", "cache", "runs")


class Project:
    """A repository with its configuration. The store and what belongs to it are opened at first use.

    `tests` are the selected ones, `all_tests` all of the file, both in file order. `color` says
    whether we use colors, as an option or git's configuration has it; `palette` says which. `values` are all
    of git's settings.
    """

    def __init__(
        self,
        request: Request,
        repository: Repository,
        file: ConfigFile | None,
        settings: Settings,
        selected: tuple[Test, ...],
        warn: Callable[[str], None],
        *,
        color: ColorSetting,
        palette: Palette,
        values: Sequence[ConfigValue] = (),
    ) -> None:
        config = file.config if file is not None else Config()
        self.repository = repository
        self.settings = settings
        self.file = file
        self.config_path = file.path if file is not None else None
        self.config_origin = file.said_by if file is not None else "default"
        self.resources: tuple[Resource, ...] = config.resources
        self.all_tests = config.tests or selected
        self.tests = selected
        self.warn = warn
        self.color = color
        self.palette = palette
        self.values = values
        self.request = request
        self._inputs = read_inputs(self.all_tests, self.config_path) if file is not None else {}
        self.definitions: Mapping[str, Definition] = define(self.all_tests, self._inputs)
        self._by_name = {test.name: test for test in self.all_tests}

    @property
    def origin(self) -> Path:
        """The user's worktree, or the bare repository."""
        return self.repository.worktree or self.repository.common_dir

    @cached_property
    def store(self) -> Store:
        """The results."""
        from gitlimmat.store.store import Store

        return Store(
            self.repository,
            result_db=self.settings.result_db,
            notes_ref=self.settings.notes_ref,
            warn=self.warn,
        )

    @cached_property
    def locks(self) -> CaseLocks:
        """The locks that let one process at a time run a case."""
        from gitlimmat.store.locks import CaseLocks

        return CaseLocks(self.store.state_dir)

    @cached_property
    def cache(self) -> Cache:
        """Directories and files made of stored artifacts and outputs."""
        from gitlimmat.store.cache import Cache

        return Cache(self.store, limit=self.settings.cache_size)

    @cached_property
    def runs(self) -> Runs:
        """Directories of running jobs."""
        from gitlimmat.store.runs import Runs

        return Runs(self.store.state_dir)

    def test(self, name: str) -> Test:
        """Return the test called `name`. Raises: UsageError when there is none."""
        if name not in self._by_name:
            known = ", ".join(f"'{each}'" for each in self._by_name) or "none"
            raise UsageError(f"no test is called '{name}'", hint=f"configured tests: {known}")
        return self._by_name[name]

    def closure(self, name: str) -> tuple[Test, ...]:
        """Return the test called `name` and all it depends on, in file order."""
        wanted: set[str] = set()
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if each not in wanted:
                wanted.add(each)
                waiting += self.test(each).depends_on
        return tuple(test for test in self.all_tests if test.name in wanted)

    def key(self, case: Case) -> Key:
        """Return what a job of `case` is about."""
        name = case.test.name
        return Key(subject=case.subject, test=name, digest=self.definitions[name].digest)

    def job_key(self, name: str, commit: Commit) -> JobKey:
        """Return the schedule's key for test `name` on `commit`."""
        return JobKey(subject_of(self._by_name[name], commit), name)

    def artifacts_directory(self, oid: str | None) -> Path:
        """Return a directory with the artifacts of tree `oid`; None stands for no artifacts."""
        return self.cache.artifacts(oid or self.store.empty_tree())

    def pinned_artifacts(self, oid: str | None, pins: ExitStack) -> Path:
        """Return such a directory that stays until `pins` is closed."""
        return pins.enter_context(self.cache.pinned(oid or self.store.empty_tree()))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that say what is tested, also those that would be found if they existed."""
        top = self.repository.worktree or Path.cwd()
        places = (top,) if self.request.own_config else (Path.cwd(), top)
        configs = [place / name for place in dict.fromkeys(places) for name in CONFIG_NAMES]
        if self.file is not None and self.file.path not in configs:
            configs = [self.file.path]
        base = input_base(self.config_path)
        inputs = [base / path for found in self._inputs.values() for path, _ in found]
        return tuple(dict.fromkeys([*configs, *inputs]))

    def inherit(self, before: Project) -> bool:
        """Go on with what `before` has opened; False, and nothing is shared, when that is elsewhere."""
        mine, theirs = self.settings, before.settings
        names = ("result_db", "notes_ref", "worktree_dir", "worktree_prefix")
        if any(getattr(mine, name) != getattr(theirs, name) for name in names):
            return False
        if (self.repository.common_dir, self.repository.git_dir, self.repository.worktree) != (
            before.repository.common_dir,
            before.repository.git_dir,
            before.repository.worktree,
        ):
            return False
        self.repository = before.repository
        for name in _OPENED:
            if name in before.__dict__:
                self.__dict__[name] = before.__dict__[name]
        return True

    def share(self, other: Project) -> None:
        """Use the store of another project of the same repository and settings, and what belongs to it."""
        self.__dict__.update({name: getattr(other, name) for name in _OPENED})


class ConfigUse(Enum):
    """What a command wants with the config file."""

    REQUIRED = "required"
    OPTIONAL = "optional"  # it also has something to tell about results alone
    NONE = "none"  # it helps to know what is configured, but a broken one must not be in the way


def open_project(
    request: Request,
    warn: Callable[[str], None],
    *,
    config: ConfigUse = ConfigUse.REQUIRED,
    before: Project | None = None,
) -> Project:
    """Find the repository, read all settings and tests, and select the tests asked for.

    With `before`, all is read anew but for a config that came from a pipe, which can be read only once.
    Raises: LimmatError for whatever is unusable.
    """
    repository = asked_repository(request)
    if config is ConfigUse.REQUIRED and before is None:
        require_git(repository.git)
    values = read_settings(repository)
    file = before.file if before is not None and before.file is not None and before.file.once else None
    if file is None and not request.commands:
        named = _settings(request, repository, values, None)
        try:
            file = _config_file(
                named,
                repository.worktree,
                own=request.own_config,
                required=config is ConfigUse.REQUIRED,
            )
        except ConfigError:
            if config is not ConfigUse.NONE:
                raise
    settings = _settings(request, repository, values, file)
    palette = read_palette(values)
    for warning in (*settings.warnings, *palette.warnings):
        warn(warning)
    if request.commands and settings.num_worktrees == 0:
        raise UsageError("'--exec' needs a worktree, but the number of worktrees is 0")
    if config is ConfigUse.REQUIRED:
        _check_directory(settings)
    return Project(
        request,
        repository,
        file,
        settings,
        _selected(request, file, required=config is ConfigUse.REQUIRED),
        warn,
        color=read_color(values, request.color),
        palette=palette,
        values=values,
    )


def reopen(before: Project) -> Project:
    """Read anew all that was read for `before`. Raises: LimmatError."""
    return open_project(before.request, before.warn, before=before)


def open_server(request: Request, warn: Callable[[str], None]) -> Project:
    """Find the repository and read the settings of the host; its tests come later, `with_tests`.

    Raises: LimmatError for whatever is unusable.
    """
    repository = as_named(asked_repository(request))
    require_git(repository.git)
    values = read_settings(repository)
    settings = _settings(request, repository, values, None)
    for warning in settings.warnings:
        warn(warning)
    _check_directory(settings)
    palette, color = read_palette(values), read_color(values, request.color)
    return Project(request, repository, None, settings, (), warn, color=color, palette=palette, values=values)


def with_tests(before: Project, file: ConfigFile, names: Collection[str]) -> Project:
    """Return the same repository and store with the tests of those names from another config file.

    Raises: ConfigError when the settings of the host do not go with the file, or an input cannot be read.
    """
    tests = tuple(test for test in file.config.tests if test.name in names)
    settings = _settings(before.request, before.repository, before.values, file)
    project = Project(
        before.request,
        before.repository,
        file,
        settings,
        tests,
        before.warn,
        color=before.color,
        palette=before.palette,
        values=before.values,
    )
    project.share(before)
    return project


def _settings(
    request: Request, repository: Repository, values: Sequence[ConfigValue], file: ConfigFile | None
) -> Settings:
    names = (
        *("num_worktrees", "jobs", "worktree_dir", "worktree_prefix", "result_db", "config"),
        *("notify", "http_sockaddr", "hostname"),
    )
    return resolve(
        options={name: getattr(request, name) for name in names},
        environment=os.environ,
        git=values,
        processors=os.cpu_count() or 1,
        cwd=Path.cwd(),
        top=repository.worktree or repository.common_dir,
        file=file.config if file is not None else None,
        file_name=str(file.path) if file is not None else "limmat.toml",
    )


def _check_directory(settings: Settings) -> None:
    if settings.worktree_dir is not None and not settings.worktree_dir.is_dir():
        raise LimmatError(
            f"cannot make worktrees in '{settings.worktree_dir}': no such directory",
            hint=f"it was named by {settings.origins['worktree_dir']}",
        )


def _config_file(settings: Settings, top: Path | None, *, own: bool, required: bool) -> ConfigFile | None:
    if settings.config is not None:
        return read_config(settings.config, settings.origins["config"])
    start = top if own and top is not None else Path.cwd()
    found = find_config(start, top)
    if found is not None:
        return read_config(found, "default")
    if required:
        raise no_config(start, top)
    return None


def asked_repository(request: Request) -> Repository:
    """Return the repository that a request is about. Raises: LimmatError when there is none."""
    binary = request.git_binary or "git"
    if not request.repo:
        return find_repository(Path.cwd(), binary=binary)
    if len(request.repo) > 1:
        raise UsageError("--repo is given more than once", hint="only 'git limmat watch' takes several")
    directory = request.repo[0]
    if not directory.is_dir():
        raise LimmatError(f"cannot use '{directory}': no such directory", hint="give --repo a repository")
    environment = without_location(os.environ)
    return find_repository(directory.absolute(), binary=binary, environment=environment)


def _selected(request: Request, file: ConfigFile | None, *, required: bool) -> tuple[Test, ...]:
    if request.commands:
        return adhoc_tests(request.commands)
    if file is None or (not file.config.tests and not required):
        return ()
    if not file.config.tests:
        raise ConfigError(
            f"no tests in '{file.path}'", hint="add a [[tests]] table with a name and a command"
        )
    selected = select(file.config.tests, only=request.tests, skip=request.skip_test, to_run=required)
    if not selected:
        patterns = ", ".join(f"'{pattern}'" for pattern in (*request.tests, *request.skip_test))
        raise UsageError(
            f"no test is left after --tests and --skip-test {patterns}"
            if patterns
            else "no test runs by default",
            hint="configured tests: " + ", ".join(test.name for test in file.config.tests),
        )
    return selected
