"""Set a bare repository up to have a merge queue, and take that back.

Layer:  service.
Owns:   `limmat/queue/init.json` in the repository: whether the directory of hooks was made. It can be lost.
Source: git-limmat-queue(1), SETTING UP A SERVER.

Each setting could be made by hand. What is ours can be told from all else, so that it can be taken back.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gitlimmat.errors import LimmatError, UsageError
from gitlimmat.git.configlines import QUEUE_INIT, Entry, entries_in, without_entries
from gitlimmat.git.configuration import read_settings
from gitlimmat.git.hooks import find_hooks
from gitlimmat.git.repository import Repository
from gitlimmat.model import ConfigValue
from gitlimmat.queue.events import Policy
from gitlimmat.queue.quoting import quote
from gitlimmat.queue.rules import Identity
from gitlimmat.service.init import Plan
from gitlimmat.service.init_settings import change_of, check_writable, find_program
from gitlimmat.service.init_steps import Act, MakeDirectory, Remove, Step, Write, WriteConfig
from gitlimmat.service.queue.guard import final_name
from gitlimmat.service.queue.identity import checked_name
from gitlimmat.service.queue.settings import KEYS, PREFIX
from gitlimmat.service.queue.setup_hooks import install_hooks, our_directory, remove_hooks
from gitlimmat.store.names import SHARE

_HEADS = "refs/heads/"
_OF_GIT = (
    Entry("receive.procReceiveRefs", "refs/for"),  # what is pushed there is for the hook
    Entry("receive.procReceiveRefs", SHARE),
    Entry("receive.advertisePushOptions", "true"),
    Entry("receive.unpackLimit", "1"),  # a pack is kept while hooks are at work, loose objects are not
    Entry("receive.hideRefs", "refs/limmat/queue"),  # from pushes, not from fetches
)
_CHECKED = Entry("receive.fsckObjects", "true")  # what not every program can read is not to land
_REFS = ("refs/limmat/queue", SHARE)
_MANY = ("target", "admin", "reviewer", "tryer")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be set; what is not given stays as it is, and lists get longer only."""

    targets: tuple[str, ...] = ()
    policy: Policy | None = None
    identity: Identity | None = None
    admins: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    tryers: tuple[str, ...] = ()
    url: str = ""


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    hooks_made: bool = False


def plan_setup(repository: Repository, wanted: Wanted) -> Plan:
    """Return what has to be done until the queue is set up; nothing when it is.

    Raises: LimmatError when something is in the way, UsageError for what cannot be wanted.
    """
    _check_bare(repository)
    config = repository.common_dir / "config"
    before = config.read_bytes()
    ours = entries_in(before, owner=QUEUE_INIT)
    theirs = _without(read_settings(repository, asked=False), ours)
    told: list[str] = []
    entries = [*_settings_of_git(theirs), *_settings_of_queue(repository, wanted, ours, theirs, told)]
    place = find_hooks(repository, theirs, os.environ.get("HOME"))
    acts, left = install_hooks(repository, place)
    if not place.own:
        entries.append(Entry("core.hooksPath", str(our_directory(repository))))
    acts += change_of(config, before, entries, owner=QUEUE_INIT)
    if acts and place.own and not place.directory.is_dir():
        acts.append(_record(repository, _Record(hooks_made=True)))
    return Plan(acts=tuple(acts), told=(*told, *left))


def plan_removal(repository: Repository) -> Plan:
    """Return what has to be done until nothing of `plan_setup` remains but the timelines.

    Raises: LimmatError when something is in the way.
    """
    config, record = repository.common_dir / "config", _record_path(repository)
    before = config.read_bytes()
    acts: list[Act] = []
    if (after := without_entries(before, owner=QUEUE_INIT)) != before:
        check_writable(config)
        said = [f"unset {each.key} = {each.value}" for each in entries_in(before, owner=QUEUE_INIT)]
        acts.append(Act(said=tuple(said), steps=(WriteConfig(path=config, before=before, content=after),)))
    removal, told = remove_hooks(repository, made=_read_record(repository).hooks_made)
    acts += removal
    if record.is_file():
        acts.append(Act(said=(), steps=(Remove(path=record),)))
    kept = repository.git.text("for-each-ref", "--format=%(refname)", *_REFS).split()
    if kept:
        told.append(
            f"the {len(kept)} refs of the queue stay, with all that has happened; to remove them, too:"
            f" git for-each-ref --format='delete %(refname)' {' '.join(_REFS)} | git update-ref --stdin"
        )
    return Plan(acts=tuple(acts), told=tuple(told))


def _check_bare(repository: Repository) -> None:
    if repository.worktree is not None:
        raise LimmatError(
            f"'{repository.worktree}' has a worktree, whose branch would move without its files",
            hint=f"make a bare repository for the queue: git clone --bare {repository.worktree} <path>.git",
        )


def _settings_of_git(theirs: Sequence[ConfigValue]) -> list[Entry]:
    """Return what git needs to be told, without what it is told already."""
    local = {(each.key.lower(), each.value) for each in theirs if each.scope == "local"}
    entries = [entry for entry in _OF_GIT if (entry.key.lower(), entry.value) not in local]
    if _CHECKED.key.lower() not in {key for key, _ in local}:  # who has said no to it has old histories
        entries.append(_CHECKED)
    return entries


def _settings_of_queue(
    repository: Repository,
    wanted: Wanted,
    ours: Sequence[Entry],
    theirs: Sequence[ConfigValue],
    told: list[str],
) -> list[Entry]:
    """Return the settings of the queue that are to be ours: those that are, changed as it is wanted."""
    values: dict[str, list[str]] = {}
    for entry in ours:
        if entry.key.lower().startswith(PREFIX):
            values.setdefault(entry.name, []).append(entry.value)
    stated: dict[str, list[str]] = {}
    for each in theirs:
        if each.scope == "local" and each.key.lower().startswith(PREFIX):
            stated.setdefault(each.key.lower().removeprefix(PREFIX), []).append(each.value or "")
    given = _given(repository, wanted)
    _complete(repository, given, {*values, *stated}, told)
    for name, words in sorted(given.items(), key=lambda each: KEYS.index(each[0])):
        if name not in _MANY:
            values[name] = words
            continue
        present = values.setdefault(name, [])
        present += [word for word in words if word not in (*present, *stated.get(name, ()))]
    _check_people(values, stated, told)
    entries = [Entry(f"{PREFIX}{name}", value) for name, each in values.items() for value in each]
    program = find_program()
    if program is not None and not any(each.key == "limmat.program" for each in theirs):
        entries.append(Entry("limmat.program", str(program)))
    return entries


def _given(repository: Repository, wanted: Wanted) -> dict[str, list[str]]:
    people = {"admin": wanted.admins, "reviewer": wanted.reviewers, "tryer": wanted.tryers}
    for names in people.values():
        for name in names:
            if name != "*":
                checked_name(name, "what is given")
    given = {
        "target": [_branch(repository, each) for each in wanted.targets],
        "policy": [wanted.policy.value] if wanted.policy else [],
        "identity": [wanted.identity.value] if wanted.identity else [],
        **{name: list(dict.fromkeys(names)) for name, names in people.items()},
        "url": [wanted.url] if wanted.url else [],
    }
    return {name: words for name, words in given.items() if words}


def _complete(
    repository: Repository, given: dict[str, list[str]], present: set[str], told: list[str]
) -> None:
    """Add what nobody has said and cannot be left open: the branch, and who this is for."""
    if "target" not in {*given, *present}:
        head = repository.git.run(["symbolic-ref", "-q", "HEAD"]).stdout.decode().strip()
        if not head.startswith(_HEADS):
            raise LimmatError("no branch is named, and HEAD names none", hint="name one with --target")
        given["target"] = [head]
    if "identity" not in {*given, *present}:
        given["identity"] = [Identity.OS.value]
    is_by_account = given.get("identity") == [Identity.OS.value]
    if is_by_account and "admin" not in {*given, *present}:
        given["admin"] = [checked_name(getpass.getuser(), "your account")]
    for target in given.get("target", []):
        if (other := final_name(repository, target)) != target:
            raise LimmatError(
                f"{quote(target)} is a symbolic ref to {quote(other)}", hint=f"name that: --target {other}"
            )
        if not repository.git.succeeds("rev-parse", "-q", "--verify", f"{target}^{{commit}}"):
            told.append(f"{quote(target)} does not exist yet: an administrator of the queue can push it")
            if "admin" not in {*given, *present}:
                told.append("nobody is an administrator yet: name somebody with --admin")


def _check_people(values: dict[str, list[str]], stated: dict[str, list[str]], told: list[str]) -> None:
    if not {"admin", "reviewer"} & {*values, *stated}:
        told.append("nobody can approve a change yet: name somebody with --reviewer")


def _branch(repository: Repository, name: str) -> str:
    target = name if name.startswith("refs/") else f"{_HEADS}{name}"
    short = target.removeprefix(_HEADS)
    done = repository.git.run(["check-ref-format", "--branch", short])
    if not target.startswith(_HEADS) or os.fsdecode(done.stdout).removesuffix("\n") != short:
        raise UsageError(f"{quote(name)} is not the name of a branch")
    return target


def _without(values: Sequence[ConfigValue], ours: Sequence[Entry]) -> list[ConfigValue]:
    """Return the values of git's configuration that are not ours."""
    rest = [(each.key.lower(), each.value) for each in ours]
    found = []
    for value in values:
        entry = (value.key.lower(), value.value or "")
        if value.scope == "local" and entry in rest:
            rest.remove(entry)
        else:
            found.append(value)
    return found


def _record_path(repository: Repository) -> Path:
    return repository.state_dir / "queue" / "init.json"


def _read_record(repository: Repository) -> _Record:
    try:
        return msgspec.json.decode(_record_path(repository).read_bytes(), type=_Record)
    except (OSError, msgspec.DecodeError):
        return _Record()


def _record(repository: Repository, record: _Record) -> Act:
    path = _record_path(repository)
    steps: tuple[Step, ...] = (
        MakeDirectory(path=path.parent.parent),
        MakeDirectory(path=path.parent),
        Write(path=path, content=msgspec.json.encode(record) + b"\n", mode=0o644),
    )
    return Act(said=(), steps=steps)
