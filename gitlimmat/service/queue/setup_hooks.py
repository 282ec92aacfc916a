"""The hooks of a queue's server: installed so that those which are there go on running, and taken back.

Layer: service.

In the repository's own directory a hook of ours takes the place of the one that is there, which is moved to
a directory beside, with links to its neighbors, and runs first. Where core.hooksPath leads elsewhere, that is
not touched: a directory of ours takes its place, and each hook in it runs the one there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.git.hooks import HARMLESS, HOOKS, TELLING, HooksPlace
from gitlimmat.git.repository import Repository
from gitlimmat.service.init_hookfiles import (
    MODE,
    QUEUE_INIT,
    Kind,
    hook_beside,
    hook_elsewhere,
    kind_of,
    shipped_hooks,
)
from gitlimmat.service.init_steps import Act, Link, MakeDirectory, Move, Remove, RemoveDirectory, Step, Write

_ELSEWHERE = "limmat-queue-hooks"
_OURS = (Kind.OURS, Kind.EDITED)
_PROTOCOL = "proc-receive"  # there can be only one, as it speaks with git


def our_directory(repository: Repository) -> Path:
    """Return the directory that takes the place of a core.hooksPath."""
    return repository.common_dir / _ELSEWHERE


def install_hooks(repository: Repository, place: HooksPlace) -> tuple[list[Act], list[str]]:
    """Return what installs the hooks, and what is left as it is and why.

    Raises: LimmatError when something is in the way; nothing has been done.
    """
    shipped = shipped_hooks(QUEUE_INIT)
    if not shipped:
        raise LimmatError("cannot find the hooks of the merge queue", hint="install git limmat again")
    foreign = kind_of(place.directory / _PROTOCOL, QUEUE_INIT)
    if foreign in (Kind.FOREIGN, Kind.UNUSABLE):
        raise LimmatError(
            f"cannot install hooks: '{place.directory / _PROTOCOL}' is there already",
            hint="git knows only one hook of this name, and two cannot share it; move yours away",
        )
    if place.own:
        return _beside(place.directory, shipped)
    return list(_elsewhere(our_directory(repository), place.stated, place.directory, shipped)), []


def remove_hooks(repository: Repository, *, made: bool) -> tuple[list[Act], list[str]]:
    """Return what takes the hooks back, and what is left as it is and why.

    `made` says that the directory of hooks was not there before.
    """
    acts: list[Act] = []
    told: list[str] = []
    directory, ours = repository.common_dir / "hooks", our_directory(repository)
    kept = directory.with_name(QUEUE_INIT.before)
    names = {
        path.name for path in _entries(directory) if kind_of(path, QUEUE_INIT) in (Kind.OURS, Kind.EDITED)
    }
    for name in sorted(names | {path.name for path in _entries(kept) if not _is_neighbor(path)}):
        acts += _give_back(directory / name, kept / name, told)
    if kept.is_dir():
        links = tuple(Remove(path=path) for path in _entries(kept) if _is_neighbor(path))
        acts.append(Act(said=(f"remove '{kept}'",), steps=(*links, RemoveDirectory(path=kept))))
    if acts and made:
        acts.append(Act(said=(), steps=(RemoveDirectory(path=directory),)))
    if ours.is_dir() and not ours.is_symlink():
        steps: list[Step] = []
        for path in _entries(ours):
            if kind_of(path, QUEUE_INIT) is Kind.OURS:
                steps.append(Remove(path=path))
            else:
                told.append(f"'{path}' has been changed: left as it is")
        acts.append(Act(said=(f"remove '{ours}'",), steps=(*steps, RemoveDirectory(path=ours))))
    return acts, told


def _beside(directory: Path, shipped: Mapping[str, bytes]) -> tuple[list[Act], list[str]]:
    acts: list[Act] = []
    told: list[str] = []
    if not directory.is_dir():
        acts.append(Act(said=(f"make '{directory}'",), steps=(MakeDirectory(path=directory),)))
    for name, text in shipped.items():
        path, new = directory / name, hook_beside(name, text, QUEUE_INIT)
        kind = kind_of(path, QUEUE_INIT)
        write = Write(path=path, content=new, mode=MODE)
        if kind is Kind.EDITED:
            told.append(f"'{path}' was installed by git limmat and then edited: left as it is")
        elif kind is Kind.UNUSABLE:
            raise LimmatError(f"cannot install hooks: '{path}' is not a file", hint="move it away")
        elif kind is Kind.FOREIGN:
            acts += _take_place(path, write)
        elif kind is Kind.NOTHING:
            acts.append(Act(said=(f"install the hook '{path}'",), steps=(write,)))
        elif path.read_bytes() != new or not os.access(path, os.X_OK):
            acts.append(Act(said=(f"update the hook '{path}'",), steps=(write,)))
    return acts, told


def _take_place(path: Path, write: Write) -> Iterator[Act]:
    """Return what moves a hook aside, with links to what it may look for beside itself, and installs ours."""
    kept = path.parent.with_name(QUEUE_INIT.before)
    earlier = kept / path.name
    if earlier.exists() or earlier.is_symlink():
        raise LimmatError(
            f"cannot install hooks: '{earlier}' and '{path}' are both hooks from before",
            hint="keep the one that is to run, as the second",
        )
    said = f"move '{path}' to '{earlier}', where it still runs first"
    yield Act(said=(said,), steps=(MakeDirectory(path=kept), Move(path=path, to=earlier)))
    for each in _entries(path.parent):
        link = kept / each.name
        is_hook = each.name in HOOKS or each.suffix == ".sample" or each.name.startswith(".")
        if not is_hook and not (link.exists() or link.is_symlink()):
            to = f"../{path.parent.name}/{each.name}"
            yield Act(said=(f"link '{link}' to '{to}'",), steps=(Link(path=link, to=to),))
    yield Act(said=(f"install the hook '{path}'",), steps=(write,))


def _elsewhere(target: Path, stated: str, directory: Path, shipped: Mapping[str, bytes]) -> Iterator[Act]:
    if not target.is_dir():
        yield Act(said=(f"make '{target}'",), steps=(MakeDirectory(path=target),))
    names = [name for name in HARMLESS if name not in shipped]
    names += [name for name in TELLING if os.access(directory / name, os.X_OK) and name not in shipped]
    for name in (*shipped, *names):
        path, text = target / name, hook_elsewhere(name, shipped.get(name), stated, QUEUE_INIT)
        if kind_of(path, QUEUE_INIT) is Kind.OURS and path.read_bytes() == text and os.access(path, os.X_OK):
            continue
        what = "hook" if name in shipped else "stand-in"
        said = f"install the {what} '{path}', which runs '{stated}/{name}' first"
        yield Act(said=(said,), steps=(Write(path=path, content=text, mode=MODE),))


def _give_back(path: Path, earlier: Path, told: list[str]) -> Iterator[Act]:
    """Undo one hook: what was there before takes its place again."""
    kind = kind_of(path, QUEUE_INIT)
    exists = earlier.exists() or earlier.is_symlink()
    if kind is Kind.EDITED:
        told.append(f"'{path}' was edited after its installation: left as it is")
        return
    if kind is Kind.OURS:
        yield Act(said=(f"remove the hook '{path}'",), steps=(Remove(path=path),))
    to = path
    if exists and kind not in (Kind.OURS, Kind.NOTHING):
        to = path.with_name(f"{path.name}.before-limmat-queue")
        told.append(f"'{path}' is not ours: the one before it becomes '{to}'")
    if exists:
        yield Act(said=(f"move '{earlier}' to '{to}'",), steps=(Move(path=earlier, to=to),))


def _is_neighbor(path: Path) -> bool:
    return path.is_symlink() and os.readlink(path) == f"../hooks/{path.name}"  # noqa: PTH115 - as it is written


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
