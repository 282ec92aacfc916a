"""Be told when refs, HEAD, configuration or given files may have changed.

Layer: git.

On Linux inotify(7) is read by the loop. watchfiles, which is used elsewhere, wakes its process 21 times a
second while nothing happens (version 1.3, measured), and a watch is to sleep then. What is followed and
what each name means is in `places`; here it is only decided how to be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Iterable
from enum import Enum, auto
from pathlib import Path

from gitlimmat.git.inotify import file_system
from gitlimmat.git.places import CHANGES, NOTHING, Ground, How, News, Place, hops, survey
from gitlimmat.git.reffiles import RefFiles
from gitlimmat.git.repository import Repository
from gitlimmat.git.watches import Watches

__all__ = ["Follower", "Means", "News", "is_remote"]

_OFTEN_S = 2.0
_SELDOM_S = 60.0  # a net under what is not known to be remote
_SETTLED_S = 2.0  # nobody holds a lock for so long; a rebase that does nothing waits for its user
_PORTABLE_MS = 50
_REMOTE = frozenset(
    (
        *("9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "fuse", "gfs2", "gpfs", "hgfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb", "smb2", "smb3"),
        *("smbfs", "vboxsf", "virtiofs", "vmhgfs"),
    )
)
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.encfs"})
_LIMITS = Path("/proc/sys/fs/inotify")
_Look = dict[News, object]


class Means(Enum):
    """How to be told of changes."""

    KERNEL = auto()  # inotify
    PORTABLE = auto()  # watchfiles
    LOOKING = auto()  # nobody tells us


def is_remote(kind: str) -> bool:
    """Whether others may write to a file system of this kind without our kernel knowing of it."""
    return kind in _REMOTE or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)


class Follower:
    """Calls `tell(news)` in the running loop whenever something below may have changed.

    Uses inotify(7) through the loop on Linux: no thread, no timer, no process while nothing happens, except
    for one look at the files each minute. Elsewhere watchfiles. Where notification does not work, or others
    can write without it, files are looked at each two seconds. `problem` says so if the user can do
    something about it; when it is set, everything is told. Never tells about objects, indexes, logs, our own
    worktrees, or notes.
    """

    def __init__(
        self,
        repository: Repository,
        results: Path,
        tell: Callable[[News], None],
        *,
        means: Means = Means.KERNEL if sys.platform == "linux" else Means.PORTABLE,
    ) -> None:
        """`results` is the git directory that has refs/limmat/results (the common dir, or `--result-db`)."""
        self.problem: str | None = None
        self._ground = Ground(repository, results, ())
        self._tell = tell
        self._means = means
        self._is_deaf = means is Means.LOOKING
        self._identity = self._ground.identity()
        self._events = asyncio.Event()  # there is something to read, or to watch
        self._hearing = asyncio.Event()  # how often to look may have changed
        self._is_stale = True  # other places are to be watched

    def set_files(self, files: Iterable[Path]) -> None:
        """Follow these files (they need not exist) from now on: the config and its inputs.

        Tells CONFIG when one was not followed before: it may have changed since it was read.
        """
        wanted = tuple(dict.fromkeys(Path(os.path.abspath(path)) for path in files))  # noqa: PTH100
        if wanted != self._ground.files:
            self._ground = self._ground._replace(files=wanted)
            self._is_stale = True
            self._events.set()

    @property
    def is_settling(self) -> bool:
        """Whether a rebase, or someone holding HEAD.lock or packed-refs.lock, is in progress.

        A rebase that has done nothing for two seconds waits for its user or a command, and a lock that old
        was left behind: neither counts. Nothing is told when that time is over.
        """
        git_dir, common_dir = self._ground.repository.git_dir, self._ground.repository.common_dir
        signs = [git_dir / name for name in ("HEAD.lock", "rebase-merge", "rebase-apply")]
        return any(_is_fresh(path) for path in (*signs, common_dir / "packed-refs.lock"))

    async def run(self) -> None:
        """Follow until cancelled. Tells everything once when it has begun: it may have changed before."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_now_and_then())
            match self._means:
                case Means.KERNEL:
                    group.create_task(self._listen())
                case Means.PORTABLE:
                    group.create_task(self._listen_elsewhere())
                case Means.LOOKING:
                    pass

    # inotify

    async def _listen(self) -> None:
        while True:
            try:
                watches = Watches()
            except OSError as error:
                self._cannot_hear(error)
            else:
                with contextlib.closing(watches):
                    await self._listen_to(watches)
            await asyncio.sleep(_SELDOM_S)

    async def _listen_to(self, watches: Watches) -> None:
        """Tell what the kernel says; return when it cannot say everything."""
        loop = asyncio.get_running_loop()
        loop.add_reader(watches.fd, self._events.set)
        self._is_stale = True
        try:
            while True:
                try:
                    news = self._hear(watches)
                except OSError as error:
                    self._cannot_hear(error)
                    return
                self._tell_if(news)
                await self._events.wait()
        finally:
            loop.remove_reader(watches.fd)

    def _hear(self, watches: Watches) -> News:
        """Return what is new; if need be, watch other places."""
        self._events.clear()
        found = watches.take()
        if not (found.look_again or self._is_stale):
            return found.news
        self._is_stale = False
        news = found.news | watches.watch(lambda: survey(self._ground))
        kinds = {file_system(os.fsencode(path)) for path in self._ground.directories}
        self._can_hear(deaf=not watches.is_complete or any(map(is_remote, kinds)))
        return news | self._is_another()

    def _is_another(self) -> News:
        """Return GONE, and that all may have changed, if the repository is not the one it was."""
        before, self._identity = self._identity, self._ground.identity()
        return NOTHING if before == self._identity else CHANGES | News.GONE

    def _can_hear(self, *, deaf: bool) -> None:
        self.problem = None
        if deaf != self._is_deaf:
            self._is_deaf = deaf
            self._hearing.set()

    def _cannot_hear(self, error: OSError) -> None:
        self.problem = explain_deafness(error)
        self._is_deaf = True
        self._hearing.set()
        self._tell(CHANGES)

    def _tell_if(self, news: News) -> None:
        if news:
            self._tell(news)

    # watchfiles

    async def _listen_elsewhere(self) -> None:
        while True:
            self._events.clear()
            places = survey(self._ground)
            try:
                await self._listen_at(places)
            except (FileNotFoundError, NotADirectoryError):
                await asyncio.sleep(_PORTABLE_MS / 1000)  # a place has gone meanwhile
            except OSError as error:
                self._cannot_hear(error)
                await asyncio.sleep(_SELDOM_S)

    async def _listen_at(self, places: dict[str, Place]) -> None:
        """Tell what watchfiles says until other places are to be watched."""
        import watchfiles
        from watchfiles._rust_notify import WatchfilesRustInternalError

        def begin() -> None:  # when the places are watched
            if survey(self._ground) != places:
                self._events.set()
            self._can_hear(deaf=False)
            self._tell(CHANGES | self._is_another())

        changes = watchfiles.awatch(
            *(path for path, place in places.items() if place.has_entries),
            watch_filter=None,
            debounce=_PORTABLE_MS,
            step=_PORTABLE_MS,
            stop_event=self._events,
            recursive=False,
            ignore_permission_denied=True,
        )
        beginning = asyncio.get_running_loop().call_soon(begin)
        try:
            async with contextlib.aclosing(changes):
                async for batch in changes:
                    removed = {path for change, path in batch if change is watchfiles.Change.deleted}
                    news = _news_of(places, removed, How.LEFT)
                    news |= _news_of(places, {path for _, path in batch} - removed, How.CAME)
                    self._tell_if(news | self._is_another())
                    if survey(self._ground) != places:
                        return
        except WatchfilesRustInternalError as error:
            raise OSError(errno.ENOSPC, str(error)) from error
        finally:
            beginning.cancel()

    # looking

    async def _look_now_and_then(self) -> None:
        before = await asyncio.to_thread(_look, self._ground)
        if self._is_deaf:
            self._tell(CHANGES)
        while True:
            self._hearing.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_OFTEN_S if self._is_deaf else _SELDOM_S):
                    await self._hearing.wait()
                    continue
            now = await asyncio.to_thread(_look, self._ground)
            news = NOTHING
            for kind in now:
                news |= NOTHING if now[kind] == before.get(kind) else kind
            before = now
            self._tell_if(CHANGES | News.GONE if News.GONE in news else news)


def _news_of(places: dict[str, Place], paths: Iterable[str], how: How) -> News:
    """Return what changes of `paths` mean."""
    news = NOTHING
    for path in paths:
        directory, name = os.path.split(path)
        if directory in places:
            news |= places[directory].meaning(name, how, is_directory=False).news
    return news


def explain_deafness(error: OSError) -> str | None:
    """Return what the user can do when the kernel does not tell us of changes, None for nothing."""
    name = {errno.ENOSPC: "max_user_watches", errno.EMFILE: "max_user_instances"}.get(error.errno or 0)
    try:
        limit = (_LIMITS / name).read_text().strip() if name else None
    except OSError:
        limit = None  # not Linux
    if limit is None:
        return None
    return (
        f"cannot be told of changes: fs.inotify.{name} ({limit}) is used up; "
        f"looking every {_OFTEN_S:.0f} seconds until it is raised with sysctl"
    )


def _is_fresh(path: Path) -> bool:
    try:
        return abs(time.time() - path.stat().st_mtime) < _SETTLED_S
    except OSError:
        return False


def _look(ground: Ground) -> _Look:
    """Return what changes when something is news."""
    repository, results = ground.repository, ground.results
    refs = RefFiles(repository.git_dir, repository.common_dir).state().key
    rebase = [_stamp(repository.git_dir / name) is None for name in ("rebase-merge", "rebase-apply")]
    files = [hop for path in ground.files for hop in hops(path)]
    files += [repository.common_dir / "config", repository.git_dir / "config.worktree"]
    return {
        News.REFS: (refs, rebase),
        News.RESULTS: [_stamp(results / name) for name in ("refs/limmat/results", "packed-refs")],
        News.CONFIG: [_stamp(path) for path in files],
        News.GONE: ground.identity(),
    }


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
