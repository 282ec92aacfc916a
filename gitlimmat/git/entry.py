"""Entries of linked worktrees in `$GIT_COMMON_DIR/worktrees`: make them, check them, remove them.

Layer:  git.
Format: `limmat` in an entry says that it is ours. The entry is written by `git worktree add`.

`git worktree add` shows its entry before it is complete, so two at a time can fail, and a killed one leaves
an entry behind (DESIGN.md section 6). All of this runs under one lock file, and an entry counts only once
our mark is in it, which is written last.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gitlimmat.errors import GitError, WorktreeError
from gitlimmat.git.modes import make_directory, open_lock
from gitlimmat.git.process import Git
from gitlimmat.git.removal import remove

MARK = "limmat"
# Files by which a worktree is registered, and settings of its own: unchanged, nothing has to be looked at.
REGISTRATION = ("gitdir", "commondir", MARK, "config.worktree", "info/sparse-checkout")
_PER_WORKTREE = ("config.worktree", "info/sparse-checkout")


class Settings(msgspec.Struct, frozen=True):
    """Settings that belong to one worktree alone, as `git worktree add` left them; None = no such file."""

    config: bytes | None
    sparse: bytes | None


@contextmanager
def entries_locked(common_dir: Path) -> Iterator[None]:
    """Keep other processes of ours from making or removing entries; waits for them.

    Raises: WorktreeError when the lock file cannot be made.
    """
    path = common_dir / "limmat" / "worktrees.lock"
    try:
        make_directory(path.parent, parents=False)
        fd = open_lock(path)
    except OSError as error:
        raise WorktreeError(f"cannot lock '{path}': {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def find_entry(path: Path, common_dir: Path) -> Path | None:
    """Return the directory of the complete entry of ours for the worktree at `path`; None if it is broken."""
    try:
        if path.is_symlink():
            return None
        pointer = _read_line(path / ".git", b"gitdir: ")
        if pointer is None:
            return None
        entry = Path(os.fsdecode(pointer))
        if entry.parent != common_dir / "worktrees" or not (entry / MARK).is_file():
            return None
        if _read_line(entry / "gitdir") != os.fsencode(path / ".git"):
            return None
        back = _read_line(entry / "commondir")
        if back is None or not (entry / os.fsdecode(back)).samefile(common_dir):
            return None
    except OSError:
        return None
    return entry


def add_entry(git: Git, path: Path, common_dir: Path, commit: str) -> Path:
    """Make the worktree at `path` anew, without files, and return its entry; what was there is removed.

    The caller holds `entries_locked`.

    Raises: WorktreeError when it cannot be made, for example for want of space or permission.
    """
    try:
        remove_entries(path, common_dir)
        remove(os.fsencode(path))
        options = ("--detach", "--no-checkout", "--force", "--", str(path), commit)
        git.call("worktree", "add", *options)
        pointer = _read_line(path / ".git", b"gitdir: ")
        if pointer is None:
            raise WorktreeError(f"cannot make worktree '{path}': git made none")
        entry = Path(os.fsdecode(pointer))
        (entry / MARK).write_bytes(msgspec.json.encode(read_settings(entry)))
    except OSError as error:
        raise WorktreeError(
            f"cannot make worktree '{path}': {error.strerror or error}", hint=f"check '{path.parent}'"
        ) from error
    except GitError as error:
        raise WorktreeError(
            f"cannot make worktree '{path}': {error.message}", hint=f"check '{path.parent}': {error.stderr}"
        ) from error
    return entry


def read_settings(entry: Path) -> Settings:
    """Return the settings of the entry's worktree as they are now."""
    return Settings(*(_read(entry / name) for name in _PER_WORKTREE))


def restore_settings(entry: Path) -> Settings:
    """Put the settings of the entry's worktree back to what they were when it was made; return them.

    Raises: OSError or msgspec.DecodeError when they are lost; the worktree must then be made anew.
    """
    made = msgspec.json.decode((entry / MARK).read_bytes(), type=Settings)
    for name, text, now in zip(_PER_WORKTREE, _fields(made), _fields(read_settings(entry)), strict=True):
        if text == now:
            continue
        remove(os.fsencode(entry / name))
        if text is not None:
            (entry / name).parent.mkdir(exist_ok=True)
            (entry / name).write_bytes(text)
    return made


def remove_entries(path: Path, common_dir: Path) -> None:
    """Remove every entry that claims to be the worktree at `path`; its files are left alone.

    The caller holds `entries_locked`.
    """
    wanted = os.fsencode(path / ".git")
    for entry in list_entries(common_dir):
        try:
            claimed = _read_line(entry / "gitdir")
        except OSError:
            continue
        if claimed == wanted:
            remove(os.fsencode(entry))


def remove_stale_entries(directory: Path, common_dir: Path) -> None:
    """Remove entries of worktrees in `directory` that are gone, and nothing else.

    The caller holds `entries_locked`.
    """
    for entry in stale_entries(directory, common_dir):
        remove(os.fsencode(entry))


def stale_entries(directory: Path, common_dir: Path) -> list[Path]:
    """Return the entries of worktrees in `directory` that are gone.

    Entries that a copied or moved repository brought along are ours by their mark, and stale when their
    worktree does not point back.
    """
    stale = []
    for entry in list_entries(common_dir):
        try:
            claimed = _read_line(entry / "gitdir")
            ours = (entry / MARK).is_file()
        except OSError:
            continue
        if claimed is None:
            continue
        pointer = Path(os.fsdecode(claimed))
        if not ours and pointer.parent.parent != directory:
            continue
        try:
            back = _read_line(pointer, b"gitdir: ")
        except OSError:
            back = None
        if back != os.fsencode(entry):
            stale.append(entry)
    return stale


def list_entries(common_dir: Path) -> list[Path]:
    """Return the directories of all linked worktrees, the user's too."""
    try:
        return sorted((common_dir / "worktrees").iterdir())
    except OSError:
        return []


def _fields(settings: Settings) -> tuple[bytes | None, bytes | None]:
    return settings.config, settings.sparse


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read_line(path: Path, prefix: bytes = b"") -> bytes | None:
    """Return the text of a one-line file after `prefix`; None when it does not look like one.

    Raises: OSError when it cannot be read, also when it is a symbolic link.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        text = os.read(fd, 1 << 16)
    finally:
        os.close(fd)
    if not text.startswith(prefix):
        return None
    return text[len(prefix) :].removesuffix(b"\n") or None
