"""Checks of a repository and what git limmat keeps beside it: worktrees, running jobs, settings, logs.

Layer: service.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gitlimmat.config.colorbool import has_colors
from gitlimmat.errors import ConfigError
from gitlimmat.git.census import filesystem_of, git_locks, head_problem, hooks_directory
from gitlimmat.git.entry import MARK, list_entries, stale_entries
from gitlimmat.model import counted
from gitlimmat.service.diagnosis import Check, Finding, Place, error, fine, some, warning
from gitlimmat.service.init_hooks import complaints
from gitlimmat.service.logfile import LOGFILE_VARIABLE, log_directory, log_path
from gitlimmat.service.project import ConfigUse, open_project
from gitlimmat.service.queue.settings import has_queue
from gitlimmat.store.runs import dead_directories, running_jobs, sweep

_NETWORK = re.compile(r"nfs\d?|cifs|smb\w*|9p|afs|ceph|lustre|gpfs|glusterfs|ncpfs|fuse\.(?!portal|gvfsd).*")
_LITTLE, _TOO_LITTLE = 512 << 20, 16 << 20  # bytes
_FEW_INODES = 10_000
_OLD_LOCK_S = 600.0
_SLOT = re.compile(r"(\d+)(\.lock|\.dirty)?")
_RECENT_S = 7 * 86400.0
_TAIL = 1 << 16
_LOG_ERROR = re.compile(r"\S+Z \d+ error (.*)")


def _repository(place: Place) -> Iterator[Finding]:
    found = place.repository
    if problem := head_problem(found):
        yield error(f"HEAD cannot be used: {problem}", "git switch to a branch that is whole")
    kind = "bare repository" if found.worktree is None else "worktree"
    yield fine(f"{kind} '{found.worktree or found.common_dir}'")
    for path in git_locks(found, time.time() - _OLD_LOCK_S):
        yield warning(f"'{path}' is there for long", "remove it if no git is running")


def _file_system(place: Place) -> Iterator[Finding]:
    for what, path in (("repository", place.repository.common_dir), ("worktrees", place.pool.directory)):
        kind = filesystem_of(path)
        if kind is not None and _NETWORK.fullmatch(kind):
            yield warning(
                f"{what} on {kind}, which may be a network file system",
                "changes made by other machines are seen late, and locks may not work; use a local disk",
            )
        else:
            yield fine(f"{what} on {kind or 'an unknown file system'}")


def _space(place: Place) -> Iterator[Finding]:
    seen: set[int] = set()
    for wanted in (place.repository.common_dir, place.pool.directory):
        path = next(each for each in (wanted, *wanted.parents) if each.is_dir())
        status = os.statvfs(path)
        if path.stat().st_dev in seen:
            continue
        seen.add(path.stat().st_dev)
        free = shutil.disk_usage(path).free
        told = f"{free >> 20} MiB free in '{path}'"
        if status.f_flag & os.ST_RDONLY:
            yield error(f"'{path}' is read-only", "nothing can be stored; see --result-db and --worktree-dir")
        elif free < _TOO_LITTLE:
            yield error(told, "free some space; git limmat gc drops old results")
        elif free < _LITTLE:
            yield warning(told, "git limmat gc drops old results")
        elif status.f_files and status.f_favail < _FEW_INODES:
            yield warning(f"{status.f_favail} more files may be made in '{path}'")
        else:
            yield fine(told)


def _state(place: Place) -> Iterator[Finding]:
    state = place.project.store.state_dir
    if not state.exists() and not state.is_symlink():
        yield fine("nothing has run here yet")
        return
    if not state.is_dir():
        yield error(f"'{state}' is not a directory", "move it away; it can be made again")
        return
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        yield error(f"'{state}' cannot be read and written", "give yourself the permission")
        return
    out_of_reach = [
        path for path in sorted(state.iterdir()) if path.exists() and not os.access(path, os.R_OK | os.W_OK)
    ]
    if out_of_reach:
        yield error(f"{some(out_of_reach)} cannot be read and written", "give yourself the permission")
    running = running_jobs(state)
    dead = dead_directories(state)
    if dead:
        yield warning(
            f"{counted(len(dead), 'leftover')} of dead processes in '{state / 'runs'}'", mendable=True
        )
    pids = sorted({job.pid for job in running.values()})
    busy = f": {counted(len(running), 'job')} of {counted(len(pids), 'process')}" if running else ""
    yield fine(f"'{state}'{busy}")


def _sweep(place: Place) -> Iterator[str]:
    state = place.project.store.state_dir
    dead = dead_directories(state)
    sweep(state)
    yield from (f"removed '{path}'" for path in dead if not path.exists())


def _worktrees(place: Place) -> Iterator[Finding]:
    pool, common = place.pool, place.repository.common_dir
    stale = stale_entries(pool.directory, common)
    if stale:
        yield warning(
            f"{counted(len(stale), 'registration')} of worktrees that are gone: "
            f"{some(path.name for path in stale)}",
            mendable=True,
        )
    if left := pool.leftovers():
        yield warning(f"temporary worktrees of dead processes: {some(left)}", mendable=True)
    ours = sum((entry / MARK).is_file() for entry in list_entries(common)) - len(stale)
    if place.project.settings.worktree_dir is not None:
        yield fine(f"{counted(max(0, ours), 'worktree')}, temporary ones in '{pool.directory}'")
        return
    yield from _pool(pool.directory, max(0, ours))


def _pool(directory: Path, registered: int) -> Iterator[Finding]:
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        yield error(f"'{directory}' is not a directory", "move it away; it can be made again")
        return
    names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    if foreign := [directory / name for name in names if not _SLOT.fullmatch(name)]:
        yield warning(
            f"{some(foreign)}: not from git limmat", "move it elsewhere; nothing here is kept for long"
        )
    if directory.is_dir() and not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        yield error(f"'{directory}' cannot be read and written", "give yourself the permission")
    dirty = sum(name.endswith(".dirty") for name in names)
    note = f"; {dirty} in the middle of a switch, to be made anew by the next job there" if dirty else ""
    yield fine(f"{counted(registered, 'worktree')} for '{directory}'{note}")


def _sweep_worktrees(place: Place) -> Iterator[str]:
    pool, common = place.pool, place.repository.common_dir
    gone = [*stale_entries(pool.directory, common), *pool.leftovers()]
    pool.sweep()
    yield from (f"removed '{path}'" for path in gone if not path.exists())


def _config(place: Place) -> Iterator[Finding]:
    warnings: list[str] = []
    try:
        project = open_project(place.request, warnings.append, config=ConfigUse.OPTIONAL)
    except ConfigError as problem:
        for fault in problem.faults or (problem.message,):
            yield error(fault, problem.hint)
        return
    for said in warnings:
        yield warning(said)
    try:
        has_colors(project.color, terminal=True, environment=os.environ)
    except ConfigError as problem:
        yield error(problem.message, problem.hint)
    directory = project.settings.worktree_dir
    if directory is not None and not directory.is_dir():
        yield error(f"cannot make worktrees in '{directory}'", project.settings.origins["worktree_dir"])
    if project.config_path is None:
        if has_queue(place.repository):
            yield fine("no limmat.toml here: a queue takes that of its targets")
        else:
            yield warning("no limmat.toml", "git limmat init proposes one; git limmat run -x needs none")
        return
    yield fine(f"{counted(len(project.all_tests), 'test')} in '{project.config_path}'")


def _hooks(place: Place) -> Iterator[Finding]:
    directory = hooks_directory(place.repository)
    for problem in complaints(place.repository, directory):
        yield warning(problem, "git limmat init mends this")
    if not directory.exists():
        yield fine("none")
        return
    ours = [path for path in _hook_files(directory) if _calls_us(path)]
    for path in ours:
        if not os.access(path, os.X_OK):
            yield warning(
                f"'{path}' calls git limmat and is not executable, so git ignores it", f"chmod +x {path}"
            )
    yield fine(f"{len(ours)} in '{directory}' call git limmat")


def _hook_files(directory: Path) -> Iterable[Path]:
    return [path for path in sorted(directory.iterdir()) if path.suffix != ".sample" and path.is_file()]


def _calls_us(path: Path) -> bool:
    with path.open("rb") as file:
        return re.search(rb"git[ -]limmat", file.read(1 << 20)) is not None


def _logs(place: Place) -> Iterator[Finding]:
    directory = log_directory(place.environment)
    if stated := place.environment.get(LOGFILE_VARIABLE):
        paths = [Path(stated).absolute()]
        directory = paths[0].parent
    else:
        name = log_path("", place.repository.name, place.environment).name  # -<repository>.log
        paths = [path for path in sorted(directory.glob("*.log")) if path.name.endswith(name)]
    existing = next(each for each in (directory, *directory.parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield warning(f"'{directory}' cannot be written", "what fails under a watch leaves no trace there")
    for path in paths:
        if path.is_file() and (line := _last_error(path)) is not None:
            yield warning(f"'{path}': {line}", "the traceback is there")
    yield fine(f"{counted(len(paths), 'log')} of this repository in '{directory}'")


def _last_error(path: Path) -> str | None:
    """Return the newest error of the last days in the end of a log, None when there is none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - _RECENT_S))
    return next((line for line in reversed(lines) if _LOG_ERROR.match(line) and line >= since), None)


CHECKS = (
    Check("repository", _repository),
    Check("config", _config),
    Check("file system", _file_system),
    Check("space", _space),
    Check("state", _state, _sweep),
    Check("worktrees", _worktrees, _sweep_worktrees),
    Check("hooks", _hooks),
    Check("logs", _logs),
)
