"""Packs: put small ones together, and loose objects into one.

Layer: git.

Only packs that the caller names are ever rewritten. `git repack` and `git gc` would touch the user's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gitlimmat.git.repository import Repository

KEEP_REASON = "limmat"
"""What the mark of a pack says that `ObjectBatch.write` has put there."""
_PUSHING = re.compile(r"receive-pack ([0-9]{1,10}) on (\S+)")
_SUFFIXES = (".idx", ".pack", ".rev")  # git removes the index first, too: then nobody opens the pack
_SAMPLED = "17"  # the directory that git itself counts to guess the number of loose objects


def merge_packs(repository: Repository, names: Sequence[str]) -> str | None:
    """Put all objects of the named packs into one, remove those, and return its name.

    Packs that are gone are left out; None when none is left. Names are the hexadecimal part of file names.
    Call `is_being_packed` before: a `git gc` at work fails when packs vanish that it has just listed.
    Raises: GitError when git fails; nothing is removed then.
    """
    folder = repository.common_dir / "objects" / "pack"
    found = [name for name in dict.fromkeys(names) if _path(folder, name, ".pack").exists()]
    if len(found) < 2:
        return found[0] if found else None
    words = ("pack-objects", "-q", "--stdin-packs", "--delta-base-offset", "--window=4", str(folder / "pack"))
    listed = "".join(f"pack-{name}.pack\n" for name in found)
    merged = repository.git.text(*words, stdin=listed.encode()).strip()
    for name in found:
        if name != merged:
            for suffix in _SUFFIXES:
                _path(folder, name, suffix).unlink(missing_ok=True)
    return merged


def is_being_packed(repository: Repository) -> bool:
    """Whether `git gc` or `git maintenance` is at work, as far as their lock files tell."""
    common = repository.common_dir
    return (common / "gc.pid").exists() or (common / "objects" / "maintenance.lock").exists()


def count_loose(repository: Repository) -> int:
    """Return about how many loose objects there are, from looking at one directory of 256."""
    try:
        return 256 * sum(1 for _ in (repository.common_dir / "objects" / _SAMPLED).iterdir())
    except OSError:
        return 0


def leftover_keeps(repository: Repository, before: float) -> list[Path]:
    """Return the marks that `ObjectBatch.write` has put on packs and nobody has taken off since `before`.

    Units: `before` is seconds since the epoch.
    """
    found = []
    for path in sorted((repository.common_dir / "objects" / "pack").glob("pack-*.keep")):
        try:
            if path.stat().st_mtime < before and path.read_text(errors="replace").strip() == KEEP_REASON:
                found.append(path)
        except OSError:  # its writer was faster, or it is somebody else's
            continue
    return found


def remove_mark(mark: Path) -> None:
    """Take such a mark off. A pack that its writer did not finish goes with it: nothing can be read there."""
    pack = mark.with_suffix(".pack")
    if not mark.with_suffix(".idx").exists():
        pack.unlink(missing_ok=True)
    mark.unlink(missing_ok=True)


def remove_marks_of_dead_pushes(repository: Repository) -> None:
    """Take off the marks that git receive-pack has put on packs before it was killed.

    While one is there, the same pack cannot be pushed: git (2.47) cannot put its own mark on it, and only
    that attempt takes it off.
    """
    for mark in (repository.common_dir / "objects" / "pack").glob("pack-*.keep"):
        with suppress(OSError):
            found = _PUSHING.fullmatch(mark.read_text(errors="replace").strip())
            if found and found[2] == os.uname().nodename and not _is_process(int(found[1])):
                mark.unlink()


def _is_process(number: int) -> bool:
    """Whether a process of this number does anything; one that waits to be reaped does not."""
    try:
        os.kill(number, 0)
        with suppress(FileNotFoundError):
            return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def pack_loose(repository: Repository) -> None:
    """Put loose objects into a pack, and remove those that a pack already has.

    Raises: GitError when git fails.
    """
    repository.git.call("maintenance", "run", "--quiet", "--task=loose-objects")
    repository.git.call("prune-packed", "--quiet")


def _path(folder: Path, name: str, suffix: str) -> Path:
    return folder / f"pack-{name}{suffix}"
