"""Keep the number of packs and loose objects small, without touching the user's packs.

Layer: store.
Owns:  `<state>/packs`: a line `<level> <name>` for each pack that results were written to. Without it they
       are packs like any other, which `git gc` will put together one day.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.git.modes import share
from gitlimmat.git.packs import count_loose, is_being_packed, merge_packs, pack_loose
from gitlimmat.git.repository import Repository
from gitlimmat.store.locks import update_lock

_MOST = 12  # packs of a level; three full levels stay below gc.autoPackLimit (50)
_MANY_LOOSE = 2048  # gc.auto is 6700
_LINE = len("0 \n") + 40


def note_packs(repository: Repository, state_dir: Path, names: Sequence[str]) -> None:
    """Remember packs that have just been written, and put packs together when there are many.

    Trouble with that changes nothing about what is stored, and is left to the next time. The caller is the
    only one who does this at a time.
    """
    path = state_dir / "packs"
    try:
        with path.open("a") as out:
            share(out.fileno(), path)
            out.writelines(f"0 {name}\n" for name in names)
        if path.stat().st_size >= _MOST * _LINE and not is_being_packed(repository):
            levels = _read(path)
            for level in range(max(levels, default=0) + 1):
                if len(levels.get(level, ())) >= _MOST:
                    _merge(repository, levels, level)
                    _write(path, levels)
    except (LimmatError, OSError):
        return


def tidy(repository: Repository, state_dir: Path) -> None:
    """Put all packs of ours into one, and loose objects into another if there are many.

    Does nothing while git itself is at that.
    Raises: GitError or OSError when that failed; nothing is lost then.
    """
    if is_being_packed(repository):
        return
    path = state_dir / "packs"
    with update_lock(state_dir):
        levels = _read(path) if path.exists() else {}
        _write(path, {})
    merged = merge_packs(repository, [name for names in levels.values() for name in names])
    if merged is not None:
        with update_lock(state_dir), path.open("a") as out:
            share(out.fileno(), path)
            out.write(f"{max(levels)} {merged}\n")
    if count_loose(repository) > _MANY_LOOSE:
        pack_loose(repository)


def _merge(repository: Repository, levels: dict[int, list[str]], level: int) -> None:
    merged = merge_packs(repository, levels.pop(level))
    if merged is not None:
        levels.setdefault(level + 1, []).append(merged)


def _read(path: Path) -> dict[int, list[str]]:
    levels: dict[int, list[str]] = {}
    for line in path.read_text(errors="replace").splitlines():
        level, _, name = line.partition(" ")
        if level.isdecimal() and len(name) == 40:
            levels.setdefault(int(level), []).append(name)
    return levels


def _write(path: Path, levels: dict[int, list[str]]) -> None:
    aside = path.with_suffix(".tmp")
    with aside.open("w") as out:
        out.writelines(f"{level} {name}\n" for level, names in levels.items() for name in names)
        share(out.fileno(), aside)
    aside.replace(path)
