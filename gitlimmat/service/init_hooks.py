"""Where hooks are installed beside those of the user, and how that is taken back.

Layer: service.

In the repository's own directory, a hook takes the place of the one that is there, which is moved to a
directory beside: under the same name, at the same depth and with links to its neighbors, so that scripts
that look at their own name and place go on working. Where `core.hooksPath` leads elsewhere, to files that
are tracked, generated or shared with other repositories, these are not touched: a directory of ours takes
their place, and each hook in it runs the one there first.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.git.hooks import HARMLESS, OF_ONE_WORKTREE, TELLING, HooksPlace, our_directories
from gitlimmat.git.repository import Repository
from gitlimmat.service.init_hookfiles import (
    BEFORE,
    MODE,
    Kind,
    by_same_tool,
    hook_beside,
    hook_elsewhere,
    kind_of,
    shipped_hooks,
)
from gitlimmat.service.init_steps import Act, Link, MakeDirectory, Move, Remove, RemoveDirectory, Step, Write

_HINT = "mend that, or leave hooks out with --no-hooks"
_REPLACED = (".legacy", ".old")
"""What pre-commit and lefthook put behind the name of a hook whose place they take."""


def check_hooks(place: HooksPlace, shipped: Mapping[str, bytes], target: Path) -> None:
    """Raises: LimmatError when hooks cannot be installed; nothing has been done."""
    if not shipped:
        raise LimmatError("cannot find the hooks of git limmat", hint="install it again, or use --no-hooks")
    directory = place.directory
    if directory.exists() and not directory.is_dir():
        raise LimmatError(f"cannot install hooks: '{directory}' is not a directory", hint=_HINT)
    nearest = next(each for each in (target, *target.parents) if each.exists() or each.is_symlink())
    if not nearest.is_dir():
        raise LimmatError(f"cannot install hooks: '{nearest}' is not a directory", hint=_HINT)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise LimmatError(f"cannot install hooks: '{nearest}' cannot be written", hint=_HINT)
    bad = [name for name in sorted(shipped) if kind_of(directory / name) is Kind.UNUSABLE]
    if bad and place.own:
        raise LimmatError(f"cannot install hooks: '{directory / bad[0]}' is not a file", hint=_HINT)


def elsewhere(repository: Repository, place: HooksPlace) -> Path:
    """Return the directory of ours that takes the place of the user's."""
    of_all, of_one = our_directories(repository)
    return of_one if place.scope == "worktree" else of_all


def install_beside(directory: Path, shipped: Mapping[str, bytes]) -> tuple[list[Act], list[str]]:
    """Return what installs the hooks in the repository's own directory, and what is left as it is."""
    acts: list[Act] = []
    told: list[str] = []
    is_any_moved = False
    present = _kinds(directory)
    if not directory.is_dir():
        acts.append(Act(said=(f"make '{directory}'",), steps=(MakeDirectory(path=directory),)))
    for name, text in shipped.items():
        path, new = directory / name, hook_beside(name, text)
        kind = kind_of(path)
        write = Write(path=path, content=new, mode=MODE)
        if kind is Kind.EDITED:
            told.append(f"'{path}' was installed by git limmat and then edited: left as it is")
        elif kind is Kind.NOTHING:
            acts.append(Act(said=(f"install the hook '{path}'",), steps=(write,)))
        elif kind is Kind.OURS:
            if path.read_bytes() != new or not os.access(path, os.X_OK):
                acts.append(Act(said=(f"update the hook '{path}'",), steps=(write,)))
        elif not _called_by(path, new):
            acts += _take_place(path, write, present, told)
            is_any_moved = True
    if is_any_moved:
        acts += _link_neighbors(directory, frozenset(shipped))
    return acts, told


def install_elsewhere(place: HooksPlace, target: Path, shipped: Mapping[str, bytes]) -> list[Act]:
    """Return what makes the directory of ours whose hooks run those in the user's directory first."""
    names = [name for name in HARMLESS if name not in shipped]
    names += [name for name in TELLING if os.access(place.directory / name, os.X_OK)]
    acts: list[Act] = []
    if not target.is_dir():
        acts.append(Act(said=(f"make '{target}'",), steps=(MakeDirectory(path=target),)))
    wanted = {name: hook_elsewhere(name, shipped[name], place.stated) for name in shipped}
    passing = {name: hook_elsewhere(name, None, place.stated) for name in names}
    for name, text in (wanted | passing).items():
        path = target / name
        if kind_of(path) is Kind.OURS and path.read_bytes() == text and os.access(path, os.X_OK):
            continue
        after = f", which runs '{place.stated}/{name}' first" if name in wanted else ""
        what = "hook" if name in wanted else "stand-in"
        said = f"install the {what} '{path}'{after}"
        acts.append(Act(said=(said,), steps=(Write(path=path, content=text, mode=MODE),)))
    config, text = target / "config", config_of(target)
    if not config.is_file() or config.read_bytes() != text:
        said = f"write '{config}' with core.hooksPath = {target}"
        acts.append(Act(said=(said,), steps=(Write(path=config, content=text, mode=0o644),)))
    return acts


def config_of(directory: Path) -> bytes:
    """Return the content of the file that makes git look for hooks in `directory`."""
    quoted = os.fspath(directory).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return os.fsencode(f'[core]\n\thooksPath = "{quoted}"\n')


def all_elsewhere(repository: Repository) -> list[Path]:
    """Return where directories of ours may be, those of all worktrees."""
    common = repository.common_dir
    linked = sorted((common / "worktrees").glob(f"*/{OF_ONE_WORKTREE}"))
    return [our_directories(repository)[0], common / OF_ONE_WORKTREE, *linked]


def remove_elsewhere(directories: Iterable[Path]) -> tuple[list[Act], list[str]]:
    """Return what removes directories of ours, and what is left in them and why."""
    acts: list[Act] = []
    told: list[str] = []
    for directory in directories:
        if not directory.is_dir() or directory.is_symlink():
            continue
        steps: list[Step] = []
        for path in _entries(directory):
            if kind_of(path) is Kind.OURS or (path.name == "config" and path.is_file()):
                steps.append(Remove(path=path))
            else:
                told.append(f"'{path}' has been changed: left as it is")
        steps.append(RemoveDirectory(path=directory))
        acts.append(Act(said=(f"remove '{directory}'",), steps=tuple(steps)))
    return acts, told


def remove_beside(directory: Path) -> tuple[list[Act], list[str]]:
    """Return what gives hooks in the repository's own directory back, and what is left and why."""
    kept = directory.parent / BEFORE
    acts: list[Act] = []
    told: list[str] = []
    present = _kinds(directory)
    names = {
        name.removesuffix(".legacy").removesuffix(".old") for name, kind in present.items() if _ours(kind)
    }
    names |= {path.name for path in _entries(kept) if not _is_neighbor(path)}
    for name in sorted(names):
        if present.get(name) is Kind.EDITED:
            told.append(f"'{directory / name}' was edited after its installation: left as it is")
            continue
        acts += _give_back(directory / name, kept / name, present, told)
    links = tuple(Remove(path=path) for path in _entries(kept) if _is_neighbor(path))
    if kept.is_dir():
        acts.append(Act(said=(f"remove '{kept}'",), steps=(*links, RemoveDirectory(path=kept))))
    return acts, told


def complaints(repository: Repository, directory: Path) -> list[str]:
    """Return what has become of installed hooks that are not run any more, git looking in `directory`.

    Empty where none were installed.
    """
    own = repository.common_dir / "hooks"
    if directory in our_directories(repository):
        return []
    for ours in our_directories(repository):
        if ours.is_dir():
            return [f"hooks in '{ours}' are not run: core.hooksPath leads to '{directory}'"]
    kinds = {name: kind_of(own / name) for name in shipped_hooks()}
    if not (own.parent / BEFORE).is_dir() and not any(_ours(kind) for kind in kinds.values()):
        return []
    if directory != own:
        return [f"hooks in '{own}' are not run: core.hooksPath leads to '{directory}'"]
    return [
        f"'{own / name}' is not, or no longer, a hook of git limmat"
        for name, kind in kinds.items()
        if not _ours(kind) and not _called_by(own / name, None)
    ]


def _give_back(path: Path, earlier: Path, present: dict[str, Kind], told: list[str]) -> Iterator[Act]:
    """Undo one hook: what was there takes the place that ours has now, wherever tools have moved it.

    `present` is what is beside `path`, and is kept up to date.
    """
    places = (path, *(path.with_name(path.name + suffix) for suffix in _REPLACED))
    ours = next((each for each in places if present.get(each.name) is Kind.OURS), None)
    exists = earlier.exists() or earlier.is_symlink()
    back = Move(path=earlier, to=ours or path)
    if ours is not None:
        del present[ours.name]
    others = [each for each in places if present.get(each.name) is Kind.FOREIGN]
    newer = next((each for each in others if by_same_tool(each, earlier)), None)
    if ours is not None and exists and ours != path and newer is not None:
        said = (f"remove the hook '{ours}'", f"remove '{earlier}', of which '{newer}' is a newer version")
        yield Act(said=said, steps=(Remove(path=ours), Remove(path=earlier)))
        return
    if ours is not None:
        yield Act(said=(f"remove the hook '{ours}'",), steps=(Remove(path=ours),))
    elif exists and path.name in present:
        back = Move(path=earlier, to=path.with_name(f"{path.name}.before-limmat"))
        told.append(f"'{path}' is not ours: the one before it becomes '{back.to}'")
    if exists:
        present[back.to.name] = Kind.FOREIGN
        yield Act(said=(f"move '{earlier}' to '{back.to}'",), steps=(back,))


def _take_place(path: Path, write: Write, present: dict[str, Kind], told: list[str]) -> Iterator[Act]:
    """Return what moves a hook aside and installs ours.

    First it is made as it would be without us, in case a tool has put its own hook into the place of ours.
    What pre-commit calls as NAME.legacy moves with its hook: it would put ours into its place.
    """
    kept = path.parent.parent / BEFORE
    legacy = path.with_name(f"{path.name}.legacy")
    for each in (path, legacy):
        yield from _give_back(each, kept / each.name, present, told)
    yield Act(said=(), steps=(MakeDirectory(path=kept),))
    said = f"move '{path}' to '{kept / path.name}', where it still runs first"
    yield Act(said=(said,), steps=(Move(path=path, to=kept / path.name),))
    if legacy.name in present and _is_pre_commit(path):
        to = kept / legacy.name
        yield Act(said=(f"move '{legacy}' to '{to}'",), steps=(Move(path=legacy, to=to),))
    yield Act(said=(f"install the hook '{path}'",), steps=(write,))


def _link_neighbors(directory: Path, hooks: frozenset[str]) -> Iterator[Act]:
    """Return what lets hooks that are moved find what has been beside them."""
    kept = directory.parent / BEFORE
    for path in _entries(directory):
        link = kept / path.name
        if (
            path.name.removesuffix(".legacy") in hooks
            or not _is_neighborly(path)
            or link.exists()
            or link.is_symlink()
        ):
            continue
        to = f"../{directory.name}/{path.name}"
        yield Act(said=(f"link '{link}' to '{to}'",), steps=(Link(path=link, to=to),))


def _called_by(path: Path, new: bytes | None) -> bool:
    """Whether the hook of somebody else calls ours: pre-commit does, as NAME.legacy."""
    legacy = path.with_name(f"{path.name}.legacy")
    if kind_of(legacy) is not Kind.OURS or not _is_pre_commit(path):
        return False
    return new is None or legacy.read_bytes() == new


def _is_pre_commit(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK) and b"hook-impl" in path.read_bytes()


def _is_neighborly(path: Path) -> bool:
    """Whether a hook that is moved may want to find `path` beside it."""
    if path.name.startswith(".") or path.suffix == ".sample":
        return False
    return path.name not in (*HARMLESS, *TELLING) and not _ours(kind_of(path))


def _is_neighbor(path: Path) -> bool:
    return path.is_symlink() and os.readlink(path) == f"../hooks/{path.name}"  # noqa: PTH115 - as it is written


def _ours(kind: Kind) -> bool:
    return kind in (Kind.OURS, Kind.EDITED)


def _kinds(directory: Path) -> dict[str, Kind]:
    return {path.name: kind_of(path) for path in _entries(directory)}


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
