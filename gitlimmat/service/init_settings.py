"""The settings of git that `git limmat init` makes, each of which the user could make by hand.

Layer: service.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.git.configlines import INIT, Entry, entries_in, with_entries, without_entries
from gitlimmat.git.hooks import OF_ALL_WORKTREES, OF_ONE_WORKTREE
from gitlimmat.git.repository import Repository
from gitlimmat.model import ConfigValue
from gitlimmat.service.init_steps import Act, WriteConfig

ALIASES = (
    ("tr", "limmat run"),
    ("tt", "limmat test"),
    ("ts", "limmat status"),
    ("tl", "limmat log"),
    ("tw", "limmat watch"),
)
_QUIET = frozenset({"", "0", "false", "no", "off", "never", "show"})
_GLOBS = frozenset("*?[")


class OurLines:
    """What of git's configuration is ours now, and what the user sees without it.

    `values` are those of all files but ours, in the order git reads them.
    """

    def __init__(self, repository: Repository, values: Sequence[ConfigValue]) -> None:
        self.files = {path: _read(path) for path in _files(repository)}
        ours = [(e.key.lower(), e.value) for text in self.files.values() for e in entries_in(text)]
        self.values: list[ConfigValue] = []
        for value in values:
            entry = (value.key.lower(), value.value or "")
            if value.scope in ("local", "worktree") and entry in ours:
                ours.remove(entry)
            elif not _is_included(value):
                self.values.append(value)


def wanted_settings(
    repository: Repository,
    values: Sequence[ConfigValue],
    *,
    notes_ref: str | None,
    aliases: bool,
    hooks: bool,
) -> tuple[list[Entry], list[str]]:
    """Return what is to be set, and what is left as it is and why.

    `values` are those that are not ours.
    """
    entries: list[Entry] = []
    told: list[str] = []
    if notes_ref is not None:
        shown = [each.value or "" for each in values if each.key == "notes.displayref"]
        if any(fnmatchcase(notes_ref, glob) for glob in shown):
            told.append(f"'git log' shows '{notes_ref}' already, by notes.displayRef")
        else:
            entries.append(Entry("notes.displayRef", as_glob(notes_ref)))
    if aliases:
        for entry, reason in _aliases(repository, values):
            if reason:
                told.append(f"no alias '{entry.name}': {reason}")
            else:
                entries.append(entry)
    if hooks and not any(each.key == "limmat.program" for each in values):
        program = find_program()
        if program is None:
            told.append("no limmat.program: there is no git-limmat in PATH, where hooks look for it")
        else:
            entries.append(Entry("limmat.program", str(program)))
    return entries, told


def as_glob(ref: str) -> str:
    """Return a pattern that means `ref` only: git warns of a ref that does not exist, and not of patterns."""
    if _GLOBS & set(ref):
        return ref
    return f"{ref[:-1]}[{ref[-1]}]" if ref[-1].isalnum() else f"{ref}*"


def includes_of(directory: Path) -> list[Entry]:
    """Return what makes git look for hooks where the file `config` in `directory` says.

    A repository that has been moved or copied away does not take it along: there it would lead nowhere.
    """
    real = os.path.realpath(directory.parent)
    place = "".join(f"\\{each}" if each in "*?[]\\" else each for each in real)
    linked = [f"{place}/worktrees/"] if directory.name == OF_ALL_WORKTREES else []
    return [Entry(f"includeIf.gitdir:{each}.path", str(directory / "config")) for each in (place, *linked)]


def change_of(
    path: Path, before: bytes, entries: Sequence[Entry], *, last: bool = False, owner: str = INIT
) -> list[Act]:
    """Return what makes `entries`, and nothing else, ours in a file of git's configuration.

    With `last`, they are moved to its end even if they are there.
    """
    present = entries_in(before, owner=owner)
    if sorted(present) == sorted(entries) and not last:
        return []
    check_writable(path)
    content = with_entries(without_entries(before, owner=owner), entries, owner=owner)
    if entries_in(content, owner=owner) != list(entries):
        raise LimmatError(f"cannot change '{path}': its last line is not complete")
    said = [f"set {each.key} = {each.value} in '{path}'" for each in entries if each not in present]
    said += [f"move {each.key} to the end of '{path}'" for each in entries if last and each in present]
    said += [f"unset {each.key} in '{path}'" for each in present if each not in entries]
    return [Act(said=tuple(said), steps=(WriteConfig(path=path, before=before, content=content),))]


def check_writable(path: Path) -> None:
    """Raises: LimmatError when a file of git's configuration cannot be changed now."""
    real = path.resolve()
    if not os.access(real.parent, os.W_OK | os.X_OK) or not os.access(real, os.W_OK):
        raise LimmatError(f"cannot write '{path}'", hint="nothing was changed; do you own this repository?")
    lock = real.with_name(f"{real.name}.lock")
    if lock.exists():
        raise LimmatError(f"cannot lock '{path}': '{lock}' exists", hint="if no git is running, remove it")


def hooks_path(values: Sequence[ConfigValue]) -> str | None:
    """Return what counts as `core.hooksPath` for git, None when nothing is said."""
    stated = [each.value for each in values if each.key == "core.hookspath" and each.scope != "command"]
    return stated[-1] if stated else None


def find_program() -> Path | None:
    """Return the absolute path of `git-limmat`, the one that is running if it can be."""
    for each in (Path(sys.argv[0]), Path(sys.executable).with_name("git-limmat")):
        if each.name == "git-limmat" and each.is_file():
            return each.absolute()
    found = shutil.which("git-limmat")
    return Path(found).absolute() if found else None


def _aliases(repository: Repository, values: Sequence[ConfigValue]) -> Iterator[tuple[Entry, str | None]]:
    taken = {each.key.removeprefix("alias.").removesuffix(".command") for each in values if _is_alias(each)}
    commands = set(repository.git.text("--list-cmds=builtins,main,others").split())
    corrects = _corrects(values)
    for name, command in ALIASES:
        reason = None
        if name in taken:
            reason = "it means something else already"
        elif name in commands:
            reason = "it is a command"
        elif corrects and (meant := _meant(repository, name)):
            reason = f"help.autocorrect takes it for '{meant}'"
        yield Entry(f"alias.{name}", command), reason


def _is_alias(value: ConfigValue) -> bool:
    return value.key.startswith("alias.")


def _corrects(values: Sequence[ConfigValue]) -> bool:
    stated = [each.value or "" for each in values if each.key == "help.autocorrect"]
    return bool(stated) and stated[-1].lower() not in _QUIET


def _meant(repository: Repository, name: str) -> str | None:
    """Return the one command that git would run for `name`, which is neither a command nor an alias.

    Asked where no repository is, so that an alias of ours does not answer.
    """
    asked = repository.git.at(Path("/")).with_options("-c", "help.autocorrect=0")
    said = asked.run([name]).stderr.decode(errors="replace").splitlines()
    similar = [line.strip() for line in said if line.startswith("\t")]
    return similar[0] if len(similar) == 1 else None


def _files(repository: Repository) -> list[Path]:
    """Return the files that may have lines of ours, first the one of the repository."""
    places = [repository.common_dir / "config", repository.git_dir / "config.worktree"]
    places.append(repository.common_dir / "config.worktree")
    places += sorted((repository.common_dir / "worktrees").glob("*/config.worktree"))
    return [path for path in dict.fromkeys(places) if path == places[0] or path.is_file()]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LimmatError(f"cannot read '{path}': {error.strerror}") from error


def _is_included(value: ConfigValue) -> bool:
    return value.origin.endswith((f"/{OF_ALL_WORKTREES}/config", f"/{OF_ONE_WORKTREE}/config"))
