"""Test new commits without showing anything, and end when there is nothing more to do.

Layer: service.

Hooks start this and do not wait. It is a watch without surfaces that ends by itself. A hook that sees it
alive does nothing, so before it goes it takes back the sign that it is there, and then looks once more: a
commit whose hook came too early to start another one is found by that look.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gitlimmat.config.sources import Background
from gitlimmat.errors import LimmatError
from gitlimmat.git.ends import EndsReader
from gitlimmat.git.environment import LOCATION, OWN_MARK, without_location
from gitlimmat.git.follow import Follower
from gitlimmat.git.pool import WorktreePool
from gitlimmat.git.repository import Repository, find_repository
from gitlimmat.service.board import Board, CellState, Change
from gitlimmat.service.logfile import Log
from gitlimmat.service.presence import Presence
from gitlimmat.service.project import Project, open_project
from gitlimmat.service.request import Request
from gitlimmat.service.session import run_loop, with_signals
from gitlimmat.service.sharing import open_sharing
from gitlimmat.service.watch import Watch
from gitlimmat.service.watched import Span, WatchRequest

_QUIET_S = 5.0
_LOOK_S = 0.2
_LOWEST = 19
_PATHS = ("LIMMAT_CONFIG", "LIMMAT_RESULT_DB", "LIMMAT_WORKTREE_DIR")
_SPANS = {Background.HEAD: Span.HEAD, Background.RANGE: Span.RANGE_OR_HEAD}


def run_background(request: Request, log: Log, *, quiet_s: float = _QUIET_S) -> None:
    """Test what `limmat.background` says until all is known and nothing new has come for a while.

    Returns at once when that is nothing, or when a watch or another runner follows this worktree.

    Units: `quiet_s` is seconds.
    Raises: LimmatError when the configuration cannot be used.
    """
    project = open_project(request, lambda message: log.part("warning").warning("%s", message))
    span = _SPANS.get(project.settings.background)
    presence = Presence(project.repository.git_dir)
    if span is None or _is_ours(project) or presence.is_watched():
        presence.leave()
        return
    looked: str | None = None
    while (turn := presence.take_turn()) is not None:
        try:
            runner = _Runner(project, span, log, quiet_s)
            runner.run()
        finally:
            turn.end()
        head = _missed(project, runner.board, span) if runner.is_done else None
        if head is None or head == looked:
            return
        looked = head


def stop_background(repository: Repository) -> bool:
    """Ask the runner of this worktree to end its jobs and itself; whether there is one."""
    pid = Presence(repository.git_dir).runner()
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise LimmatError(f"cannot end process {pid}: it is another user's") from error
    return True


def stand_aside() -> None:
    """Leave the terminal and the processor to others. What the system does not offer is done without."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        signal.signal(number, handler)  # shells start what is in the background with these ignored
    if not os.isatty(0):
        try:
            os.setsid()
        except PermissionError:
            pass  # we have a session of our own
    os.nice(_LOWEST)
    try:
        subprocess.run(
            ["ionice", "-c", "3", "-p", str(os.getpid())],
            env=os.environ | {OWN_MARK: "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        pass


def settle(request: Request) -> tuple[Request, Repository]:
    """Find the repository as git's variables and the current directory say, and depend on neither any more.

    Returns a request for it, to be used from any directory.
    Raises: GitError when there is no repository.
    """
    for name, path in _absolute(os.environ, Path.cwd()).items():
        os.environ[name] = path
    binary = request.git_binary or "git"
    if request != Request():
        start = request.repo[0].absolute() if request.repo else Path.cwd()
        return request, find_repository(start, binary=binary)
    repository = find_repository(Path.cwd(), binary=binary)
    top = repository.worktree or repository.common_dir
    if _leads_to(top, repository):
        for name in LOCATION:
            os.environ.pop(name, None)
        os.chdir("/")
        return msgspec.structs.replace(request, repo=[top], own_config=True), repository
    os.environ.update(GIT_DIR=str(repository.git_dir), GIT_WORK_TREE=str(top))
    os.chdir(top)
    return request, repository


def _absolute(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    return {name: str(directory / environment[name]) for name in _PATHS if environment.get(name)}


def _leads_to(directory: Path, repository: Repository) -> bool:
    """Whether git finds this repository in `directory` by itself."""
    try:
        found = find_repository(directory, environment=without_location(os.environ))
    except LimmatError:
        return False
    return (found.git_dir, found.worktree) == (repository.git_dir, repository.worktree)


def _is_ours(project: Project) -> bool:
    """Whether this is a worktree that jobs run in."""
    pool = WorktreePool(project.repository, directory=None, temporary=False, prefix="")
    worktree = project.repository.worktree
    return worktree is not None and worktree.resolve().parent == pool.directory


def _missed(project: Project, board: Board, span: Span) -> str | None:
    """Return HEAD's commit if it is one that was not looked at and should have been."""
    ends = EndsReader(project.repository, None, project.settings.base).read()
    if ends.head is None or any(commit.id == ends.head for commit in board.commits):
        return None
    if span is not Span.HEAD and ends.base is not None:
        is_old = project.repository.git.succeeds("merge-base", "--is-ancestor", ends.head, ends.base)
        return None if is_old else ends.head
    return ends.head


class _Runner:
    """One watch from its beginning to its rest. `is_done` says that nothing was left to do."""

    def __init__(self, project: Project, span: Span, log: Log, quiet_s: float) -> None:
        self.is_done = False
        self._project = project
        self._log = log
        self._quiet_s = quiet_s
        warn = log.part("warning").warning
        sharing = open_sharing(project.settings, lambda message: warn("%s", message))
        self._watch = Watch([project], WatchRequest(span=span), sharing=sharing, log=log)
        self.board = self._watch.boards[0]
        self._changed = asyncio.Event()
        self._told: dict[str, str] = {}

    def run(self) -> None:
        """Test until there is nothing to do."""
        with self._log.of_libraries():
            run_loop(self._serve())

    async def _serve(self) -> None:
        with_signals(self._watch.stop)
        end = self.board.subscribe(self._learn)
        try:
            await self._let_a_rebase_end()
            await self._watch.serve({"rest": self._rest})
        finally:
            end()

    async def _let_a_rebase_end(self) -> None:
        """A commit that is rewritten the next moment is not worth a job."""
        repository = self._project.repository
        follower = Follower(repository, repository.common_dir, lambda news: None)
        while follower.is_settling and self._watch.stopping is None:
            await asyncio.sleep(_LOOK_S)

    async def _rest(self) -> None:
        """Stop when nothing has happened for a while and nothing is to be expected."""
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(None if self._is_busy() else self._quiet_s):
                    await self._changed.wait()
            except TimeoutError:
                self.is_done = True
                self._watch.stop()
                return

    def _is_busy(self) -> bool:
        if not self.board.version:
            return True  # nobody has looked yet
        counts = self.board.counts()
        return self.board.control is not None and bool(counts.waiting or counts.running)

    def _learn(self, change: Change) -> None:
        """Log what there is no other place to see."""
        self._changed.set()
        for part, problem in self.board.problems.items():
            if self._told.get(part) != problem:
                self._log.part(part).warning("%s", problem)
        self._told = dict(self.board.problems)
        for place in change.cells:
            cell = self.board.cell(*place)
            if cell.state is CellState.DONE and not cell.known:
                words = (place.commit, cell.outcome, cell.reason)
                self._log.part(place.test).info("%s", " ".join(word for word in words if word))
