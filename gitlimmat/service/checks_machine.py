"""Checks of the machine: programs, libraries, and what the kernel allows.

Layer: service. Writes nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import resource
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from gitlimmat import __version__
from gitlimmat.git.census import (
    OLDEST_GIT,
    count_ref_directories,
    count_tracked,
    git_version,
    libgit2_version,
    parse_version,
)
from gitlimmat.model import counted
from gitlimmat.runner.subreaper import set_subreaper
from gitlimmat.service.diagnosis import Check, Finding, Place, error, fine, warning
from gitlimmat.store.locks import locks_work

_REQUIRED = re.compile(r"([A-Za-z0-9_.-]+)\s*([^;\[]*)(;.*)?")
_LIMITS = Path("/proc/sys/fs/inotify")
_OPEN_ANYWAY = 64  # the program itself, its libraries, pages
_OPEN_A_JOB = 8
_SOME_WATCHES = 64


def _git(place: Place) -> Iterator[Finding]:
    found = git_version(place.git)
    version = parse_version(found)
    oldest = ".".join(map(str, OLDEST_GIT))
    if version < OLDEST_GIT:
        yield error(f"version {found} is too old", f"install git {oldest} or newer")
        return
    yield fine(f"version {found} (oldest supported: {oldest})")


def _python(place: Place) -> Iterator[Finding]:
    yield fine(f"git-limmat {__version__}, Python {platform.python_version()} ({sys.executable})")
    try:
        required = metadata.requires("gitlimmat") or []
    except metadata.PackageNotFoundError:
        yield warning("git-limmat is not installed as a package", "its libraries cannot be checked")
        return
    told = []
    for line in required:
        match = _REQUIRED.fullmatch(line)
        if match is None or "extra" in (match[3] or ""):
            continue
        try:
            found = metadata.version(match[1])
        except metadata.PackageNotFoundError:
            yield error(f"library '{match[1]}' is missing", f"install {line.partition(';')[0]}")
            continue
        told.append(f"{match[1]} {found}")
        if not _satisfies(found, match[2]):
            yield error(f"library {match[1]} {found} will not do", f"install {line.partition(';')[0]}")
    yield fine(f"libgit2 {libgit2_version()}, {', '.join(sorted(told))}")


def _satisfies(found: str, wanted: str) -> bool:
    """Whether a version keeps within bounds such as `>=0.20,<0.29`; other operators are not looked at."""
    have = parse_version(found)
    for bound in wanted.split(","):
        text = bound.strip()
        if text.startswith(">=") and have < parse_version(text[2:].strip()):
            return False
        if text.startswith("<") and text[1:2] != "=" and have >= parse_version(text[1:].strip()):
            return False
    return True


def _inotify(place: Place) -> Iterator[Finding]:
    if sys.platform != "linux":
        yield warning("not on this system", "changes are looked for now and then, and files one by one")
        return
    watches, instances = (_limit("max_user_watches"), _limit("max_user_instances"))
    handle = ctypes.CDLL(None, use_errno=True).inotify_init1(os.O_CLOEXEC)
    if handle < 0:
        yield warning(
            f"no instance is left of the {instances} each user may have",
            f"close other programs, or raise {_LIMITS / 'max_user_instances'} with sysctl",
        )
    else:
        os.close(handle)
    yield fine(f"{watches} watches and {instances} instances for each user")
    jobs = place.jobs()
    directories, files = count_ref_directories(place.repository), count_tracked(place.repository)
    following = directories + _SOME_WATCHES
    needed = following + jobs * (files + files // 4 + 100)
    if following > watches:
        yield error(
            f"to follow refs takes {following} watches, more than there may be",
            f"raise {_LIMITS / 'max_user_watches'} with sysctl",
        )
    elif needed > watches // 2:
        yield warning(
            f"{counted(files, 'file')} in {counted(jobs, 'worktree')} take {needed} watches, "
            f"half of {watches} may be used: files are looked at one by one before each job",
            f"raise {_LIMITS / 'max_user_watches'} to {2 * needed} with sysctl",
        )
    if jobs + 2 > instances:
        yield warning(
            f"{counted(jobs, 'job')} take {jobs + 2} instances",
            f"raise {_LIMITS / 'max_user_instances'} with sysctl",
        )


def _limit(name: str) -> int:
    try:
        return int((_LIMITS / name).read_text())
    except (OSError, ValueError):
        return 0


def _descriptors(place: Place) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    jobs = place.jobs()
    needed = _OPEN_ANYWAY + _OPEN_A_JOB * jobs
    if soft != resource.RLIM_INFINITY and soft < needed:
        yield error(
            f"{soft} may be open at once, {counted(jobs, 'job')} may need {needed}",
            f"ulimit -n {needed} (up to {hard} is allowed), or run fewer jobs with limmat.jobs",
        )
        return
    yield fine(
        f"{'any number' if soft == resource.RLIM_INFINITY else soft} may be open at once, "
        f"{counted(jobs, 'job')} may need {needed}"
    )


def _kernel(place: Place) -> Iterator[Finding]:
    if sys.platform != "linux":
        yield warning(f"{platform.system()}: processes that leave their group outlive their job")
        return
    missing = []
    before = set_subreaper(True)
    if not set_subreaper(before):
        missing.append("subreaper")
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        missing.append("pidfd")
    if not Path("/proc/self/stat").exists():
        missing.append("/proc")
    if missing:
        yield error(
            f"Linux {platform.release()} lacks {', '.join(missing)}",
            "jobs may leave processes behind; a container may forbid what the kernel has",
        )
    else:
        yield fine(f"Linux {platform.release()} with subreaper, pidfd and /proc")


def _locks(place: Place) -> Iterator[Finding]:
    state = place.project.store.state_dir
    file = next(path for path in (state / "locks", place.repository.common_dir / "HEAD") if path.is_file())
    if locks_work(file):
        yield fine(f"exclude others on the file system of '{file.parent}'")
    else:
        yield error(
            f"do not exclude others on the file system of '{file.parent}'",
            "two programs may run the same test at once; keep the repository on a local file system",
        )


CHECKS = (Check("git", _git), Check("python", _python), Check("kernel", _kernel))
LIMITS = (Check("inotify", _inotify), Check("open files", _descriptors), Check("locks", _locks))
