"""Set a repository up for git limmat, and take that back.

Layer:  service.
Owns:   `init.json` in the state directory: what cannot be seen from the things themselves. Without it, all
        that can be recognized as ours is still taken back.

All is looked at and checked first; what is to be done is then a list that can be shown, and is done wholly
or not at all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.configlines import Entry, entries_in, without_entries
from gitlimmat.git.configuration import read_settings
from gitlimmat.git.hooks import HooksPlace, find_hooks, our_directories
from gitlimmat.git.repository import Repository
from gitlimmat.service.configfile import CONFIG_NAMES, find_config
from gitlimmat.service.init_hookfiles import shipped_hooks
from gitlimmat.service.init_hooks import (
    all_elsewhere,
    check_hooks,
    elsewhere,
    install_beside,
    install_elsewhere,
    remove_beside,
    remove_elsewhere,
)
from gitlimmat.service.init_settings import (
    OurLines,
    change_of,
    check_writable,
    hooks_path,
    includes_of,
    wanted_settings,
)
from gitlimmat.service.init_steps import (
    Act,
    MakeDirectory,
    Remove,
    RemoveDirectory,
    Step,
    Touch,
    Transaction,
    Write,
    WriteConfig,
)
from gitlimmat.service.init_tests import propose
from gitlimmat.service.init_toml import proposed_config
from gitlimmat.service.project import ConfigUse, Project, open_project
from gitlimmat.service.request import Request

_INCLUDE = "includeIf."


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted; what is not stays as it is."""

    config: bool = True
    aliases: bool = True
    hooks: bool = True


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done in this order, and `told`: what is not done and why."""

    acts: tuple[Act, ...]
    told: tuple[str, ...]


class Record(msgspec.Struct, kw_only=True):
    """What has been made that does not show it.

    `configs` maps paths, quoted as in URLs because they need not be text, to the SHA-256 of what was written.

    Units: `hooks_time` is the time of the directory of hooks before, in nanoseconds; None when not touched.
    """

    version: int = 1
    configs: dict[str, str] = {}
    hooks_made: bool = False
    hooks_time: int | None = None


def plan_init(request: Request, parts: Parts, warn: Callable[[str], None]) -> Plan:
    """Return what has to be done until all is set up; nothing when it is.

    Raises: LimmatError when something is in the way.
    """
    project = open_project(request, warn, config=ConfigUse.NONE)
    repository = project.repository
    record = _read_record(repository)
    told: list[str] = []
    acts = _config_acts(project, record, told) if parts.config else []
    values = read_settings(repository)
    lines = OurLines(repository, values)
    place = find_hooks(repository, lines.values, os.environ.get("HOME"))
    hooks = parts.hooks and _are_hooks_wanted(repository, place, told)
    shipped = shipped_hooks() if hooks else {}
    target = elsewhere(repository, place) if hooks and not place.own else None
    if hooks:
        check_hooks(place, shipped, target or place.directory)
        acts += _hook_acts(repository, place, target, shipped, record, told)
    wanted, why = wanted_settings(
        repository, lines.values, notes_ref=project.settings.notes_ref, aliases=parts.aliases, hooks=hooks
    )
    told += why
    desired = _desired_settings(repository, lines, wanted, parts, place if hooks else None)
    including = None
    if target is not None:
        including = target.with_name("config.worktree" if place.scope == "worktree" else "config")
        desired[including] += includes_of(target)
    for path, entries in desired.items():
        last = path == including and hooks_path(values) != str(target)
        acts += change_of(path, lines.files[path], entries, last=last)
    if hooks:
        acts += _remove_others(repository, place, target, told)
    if any(act.said for act in acts):
        acts += _record_acts(repository, record)
    return _plan(repository, acts, told)


def plan_undo(request: Request, warn: Callable[[str], None]) -> Plan:
    """Return what has to be done until nothing of `plan_init` remains.

    Raises: LimmatError when something is in the way.
    """
    repository = open_project(request, warn, config=ConfigUse.NONE).repository
    record = _read_record(repository)
    acts: list[Act] = []
    told: list[str] = []
    for path, text in OurLines(repository, read_settings(repository)).files.items():
        if (present := entries_in(text)) or without_entries(text) != text:
            check_writable(path)
            step = WriteConfig(path=path, before=text, content=without_entries(text))
            said = [f"unset {each.key} = {each.value} in '{path}'" for each in present]
            acts.append(Act(said=tuple(said), steps=(step,)))
    removal, left = remove_elsewhere(all_elsewhere(repository))
    acts += removal
    told += left
    acts += _give_hooks_back(repository, record, told)
    acts += _remove_configs(repository, record, told)
    state = repository.state_dir
    if (state / "init.json").is_file():
        steps: tuple[Step, ...] = (Remove(path=state / "init.json"), RemoveDirectory(path=state))
        acts.append(Act(said=(), steps=steps))
    return _plan(repository, acts, told)


def carry_out(plan: Plan, say: Callable[[str], None]) -> None:
    """Do what is planned, and say each line before it is done.

    Raises: LimmatError when it cannot be done; all that was done has then been taken back.
    """
    transaction = Transaction()
    try:
        for act in plan.acts:
            for line in act.said:
                say(line)
            for step in act.steps:
                transaction.take(step)
    except BaseException as error:
        lost = transaction.undo()
        if isinstance(error, LimmatError):
            hint = f"'{lost[0]}' is what was there before" if lost else error.hint or "nothing was changed"
            raise LimmatError(error.message, hint=hint) from error
        raise
    transaction.finish()


def _plan(repository: Repository, acts: Sequence[Act], told: Sequence[str]) -> Plan:
    """Return the plan, with the names of files in it as seen from the top of the worktree."""
    start = f"'{repository.worktree or repository.common_dir}/"
    return Plan(
        acts=tuple(
            Act(said=tuple(line.replace(start, "'") for line in act.said), steps=act.steps) for act in acts
        ),
        told=tuple(line.replace(start, "'") for line in told),
    )


def _config_acts(project: Project, record: Record, told: list[str]) -> list[Act]:
    top = project.repository.worktree
    if top is None:
        told.append("no limmat.toml: a bare repository has no place for it")
        return []
    if project.settings.config is not None:
        told.append(f"no limmat.toml: tests are in '{project.settings.config}'")
        return []
    present = find_config(Path.cwd() if not project.request.repo else top, top)
    present = present or next((top / name for name in CONFIG_NAMES if os.path.lexists(top / name)), None)
    if present is not None:
        if _quoted(present) not in record.configs:
            told.append(f"'{present}' is there: left as it is")
        return []
    if not os.access(top, os.W_OK | os.X_OK):
        raise LimmatError(f"cannot write '{top / CONFIG_NAMES[0]}'", hint="use --no-config, or another user")
    path = top / CONFIG_NAMES[0]
    text = proposed_config(propose(top))
    record.configs[_quoted(path)] = _digest(text)
    umask = os.umask(0o077)
    os.umask(umask)
    said = [f"write '{path}':", *(f"    {line}".rstrip() for line in text.decode().splitlines())]
    return [Act(said=tuple(said), steps=(Write(path=path, content=text, mode=0o666 & ~umask),))]


def _are_hooks_wanted(repository: Repository, place: HooksPlace, told: list[str]) -> bool:
    if repository.worktree is None:
        told.append("no hooks: they would belong to whoever works in a worktree")
        return False
    if place.stated == os.devnull:
        told.append(f"no hooks: core.hooksPath = {os.devnull} turns them off")
        return False
    return True


def _hook_acts(
    repository: Repository,
    place: HooksPlace,
    target: Path | None,
    shipped: Mapping[str, bytes],
    record: Record,
    told: list[str],
) -> list[Act]:
    default = repository.common_dir / "hooks"
    if target is not None:
        acts: list[Act] = []
        if place.scope != "worktree" and default.is_dir() and default != place.directory:
            acts = _give_hooks_back(repository, record, told)
            record.hooks_made, record.hooks_time = False, None
        return acts + install_elsewhere(place, target, shipped)
    acts, left = install_beside(default, shipped)
    told += left
    if acts and record.hooks_time is None:
        record.hooks_made = not default.is_dir()
        record.hooks_time = default.stat().st_mtime_ns if default.is_dir() else 0
    return acts


def _give_hooks_back(repository: Repository, record: Record, told: list[str]) -> list[Act]:
    directory = repository.common_dir / "hooks"
    if directory.is_symlink():
        return []
    acts, left = remove_beside(directory)
    told += left
    if not acts:
        return []
    if record.hooks_made:
        return [*acts, Act(said=(), steps=(RemoveDirectory(path=directory),))]
    if record.hooks_time and directory.is_dir():
        return [*acts, Act(said=(), steps=(Touch(path=directory, time=record.hooks_time),))]
    return acts


def _desired_settings(
    repository: Repository,
    lines: OurLines,
    wanted: Sequence[Entry],
    parts: Parts,
    place: HooksPlace | None,
) -> dict[Path, list[Entry]]:
    """Return what shall be ours in each file of git's configuration; what was not asked for stays.

    `place` is where hooks are, None when they are left out.
    """
    desired = {path: entries_in(text) for path, text in lines.files.items()}
    main, here = repository.common_dir / "config", repository.git_dir / "config.worktree"
    for path in (main, here):
        if place is not None and path in desired and (path == here or place.scope != "worktree"):
            desired[path] = [each for each in desired[path] if not each.key.startswith(_INCLUDE)]
    kept = [
        each
        for each in desired[main]
        if each.key.startswith(_INCLUDE)
        or (each.key.startswith("alias.") and not parts.aliases)
        or (each.key == "limmat.program" and place is None)
    ]
    desired[main] = [*wanted, *kept]
    return desired


def _remove_others(
    repository: Repository, place: HooksPlace, target: Path | None, told: list[str]
) -> list[Act]:
    """Return what removes directories that stood in for what is no longer there."""
    of_all, of_one = our_directories(repository)
    gone = (of_one,) if place.scope == "worktree" else (of_all, of_one)
    acts, left = remove_elsewhere(each for each in gone if each != target)
    told += left
    return acts


def _remove_configs(repository: Repository, record: Record, told: list[str]) -> list[Act]:
    """Return what removes config files that are as they were written; what is tracked has been adopted."""
    acts = []
    configs = dict(record.configs)
    top = repository.worktree
    if top is not None and not configs and (top / CONFIG_NAMES[0]).is_file():
        configs[_quoted(top / CONFIG_NAMES[0])] = _digest(proposed_config(propose(top)))
        told_if_changed = False
    else:
        told_if_changed = True
    for name, digest in configs.items():
        path = Path(os.fsdecode(unquote_to_bytes(name)))
        if not path.is_file() or path.is_symlink():
            continue
        if _digest(path.read_bytes()) != digest:
            if told_if_changed:
                told.append(f"'{path}' has been changed: left as it is")
        elif repository.git.at(path.parent).succeeds("ls-files", "--error-unmatch", "--", path.name):
            told.append(f"'{path}' is tracked: left as it is")
        else:
            acts.append(Act(said=(f"remove '{path}'",), steps=(Remove(path=path),)))
    return acts


def _read_record(repository: Repository) -> Record:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((repository.state_dir / "init.json").read_bytes(), type=Record)
    return Record()


def _record_acts(repository: Repository, record: Record) -> list[Act]:
    state = repository.state_dir
    path, text = state / "init.json", msgspec.json.encode(record) + b"\n"
    if path.is_file() and path.read_bytes() == text:
        return []
    return [Act(said=(), steps=(MakeDirectory(path=state), Write(path=path, content=text, mode=0o644)))]


def _quoted(path: Path) -> str:
    return quote_from_bytes(os.fsencode(path))


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
