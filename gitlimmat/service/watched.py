"""One repository under watch: notice what is new in it and have it tested, for weeks.

Layer: service.

What was started for a repository lives as long as the repository does: when it is gone, or its settings lead
elsewhere, all of it is ended and begun anew from what is true then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto

import msgspec

from gitlimmat.errors import ConfigError, GitError, LimmatError
from gitlimmat.git.ends import Ends, EndsReader
from gitlimmat.git.follow import Follower, News
from gitlimmat.git.graph import GraphLine, read_graph
from gitlimmat.model import Commit
from gitlimmat.plan.cases import Case
from gitlimmat.runner.host import Host
from gitlimmat.service.board import Board
from gitlimmat.service.cells import Range
from gitlimmat.service.logfile import Log, guarded
from gitlimmat.service.notes import refresh_notes
from gitlimmat.service.project import Project, reopen
from gitlimmat.service.prompt import keep_prompt
from gitlimmat.service.sharing import Sharing
from gitlimmat.service.tracker import Tracker

_SETTLING_S = 0.05
_RETRY_FIRST_S = 0.2
_RETRY_LAST_S = 30.0
_GONE_S = 1.0
_NOTES_S = 0.5
_ALL = News.REFS | News.RESULTS | News.CONFIG


class Span(Enum):
    """How much of HEAD's history is wanted."""

    RANGE = auto()  # what is not in the base; nothing new while there is none
    RANGE_OR_HEAD = auto()  # where there is no base, HEAD's commit alone
    HEAD = auto()


class WatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to watch: the commits from `base` (found when None) to HEAD, with the base itself if asked."""

    base: str | None = None
    include_base: bool = False
    span: Span = Span.RANGE

    def is_head_only(self, ends: Ends) -> bool:
        """Whether HEAD's commit alone is wanted now."""
        return self.span is Span.HEAD or (self.span is Span.RANGE_OR_HEAD and ends.base is None)


class Watched:
    """Follows one repository and keeps its board true until it is stopped."""

    def __init__(
        self,
        project: Project,
        request: WatchRequest,
        *,
        sharing: Sharing,
        log: Log,
    ) -> None:
        self.board = Board(project.repository.name, project)
        keep_prompt(self.board)
        self._project = project
        self._request = request
        self._sharing = sharing
        self._log = log
        self._signals = 0
        self._life: _Life | None = None

    @property
    def running(self) -> tuple[Case, ...]:
        """The cases whose jobs have not ended yet."""
        return self._life.tracker.engine.running if self._life is not None else ()

    def stop(self) -> None:
        """End all jobs and then `serve`; a second call kills them."""
        self._signals += 1
        if self._life is not None:
            self._life.stop(forced=self._signals > 1)

    def advance(self) -> None:
        """Start what can start now: something shared was given back."""
        if self._life is not None:
            self._life.tracker.engine.advance()

    async def serve(self, host: Host) -> None:
        """Watch until stopped, however often the repository goes and comes back."""
        while not self._signals:
            self._life = _Life(self._project, self._request, self.board, host, self._sharing, self._log)
            try:
                project = await self._life.serve()
            finally:
                self._life = None
            if self._signals:
                return
            self._project = project if project is not None else await self._come_back()

    async def _come_back(self) -> Project:
        """Wait until the repository is there again."""
        while True:
            try:
                return reopen(self._project)
            except (LimmatError, OSError) as error:
                self.board.say("repository", f"{error}; waiting for it to come back")
            if self._signals:
                return self._project
            await asyncio.sleep(_GONE_S)


class _Life:
    """What exists while one repository stays where it is."""

    def __init__(
        self,
        project: Project,
        request: WatchRequest,
        board: Board,
        host: Host,
        sharing: Sharing,
        log: Log,
    ) -> None:
        self._project = project
        self._request = request
        self._board = board
        self._log = log
        self._sharing = sharing
        self._noted: dict[str, Commit] = {}
        self._notes_due = asyncio.Event()
        self._share = sharing.share(
            jobs=project.settings.shared_jobs, resources=project.settings.shared_resources
        )
        self.tracker = Tracker(project, board, host, outside=self._share, noted=self._note, say=board.say)
        board.control = self.tracker
        self._place = _identity(project)
        self._news = _ALL
        self._woken = asyncio.Event()
        self._woken.set()
        self._ends_reader = self._reader(project)
        self._targeted: tuple[str | None, str | None] | None = None
        self._retry_s = _RETRY_FIRST_S
        self._retry: asyncio.TimerHandle | None = None
        self._retried = News(0)
        self._over = False
        self._next: Project | None = None
        self._follower = Follower(project.repository, project.store.state_dir.parent, self._tell)

    async def serve(self) -> Project | None:
        """Work until stopped; return the project to go on with, None when the repository is gone."""
        engine = self.tracker.engine
        self._board.say("repository", None)
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(guarded(name, work, log=self._log, say=self._sayer(name)))
                    for name, work in (("following", self._follower.run), ("notes", self._keep_notes))
                ]
                helpers.append(tasks.create_task(self._refresh_always()))
                await engine.serve(engine.advance)
                for task in helpers:
                    task.cancel()
        finally:
            if self._retry is not None:
                self._retry.cancel()
            self._board.control = None
            self._share.close()
        await self._write_notes()
        return self._next

    def stop(self, *, forced: bool) -> None:
        """End all jobs, and with the last of them `serve`."""
        self._over = True
        self.tracker.stop(forced=forced)

    def _sayer(self, part: str) -> Callable[[str | None], None]:
        return lambda problem: self._board.say(part, problem)

    def _reader(self, project: Project) -> EndsReader:
        return EndsReader(project.repository, self._request.base, project.settings.base)

    def _tell(self, news: News) -> None:
        self._news |= news
        self._woken.set()

    async def _refresh_always(self) -> None:
        """Act on the first news at once, and on what follows not faster than it can be taken in."""
        while not self._over:
            await self._woken.wait()
            self._woken.clear()
            news, self._news = self._news, News(0)
            began = time.monotonic()
            await self._refresh(news)
            spent = time.monotonic() - began
            if news & ~News.RESULTS:
                await asyncio.sleep(max(_SETTLING_S if self._follower.is_settling else 0.0, 2 * spent))
            self._board.say("notification", self._follower.problem)

    async def _refresh(self, news: News) -> None:
        if _identity(self._project) != self._place:
            self._end(None, "the repository is gone")
            return
        if news & News.CONFIG:
            self._reload()
        if self._over:
            return
        if news & (News.REFS | News.CONFIG):
            await self._follow_ends()
        if news & News.RESULTS:
            self.tracker.look_again()

    def _reload(self) -> None:
        """Read the configuration again; while it cannot be used, go on with what was."""
        before = self._project
        try:
            project = reopen(before)
        except (LimmatError, OSError) as error:
            self._board.say("config", f"{error}; going on with the configuration as it was")
            self._follower.set_files(before.files)
            if not isinstance(error, ConfigError):
                self._try_later(News.CONFIG)  # nobody tells when git works again
            return
        self._board.say("config", None)
        if not project.inherit(before):
            self._next = project
            self._end(project, "settings have changed: starting anew")
            return
        self._follower.set_files(project.files)
        if _says_the_same(project, before):
            return
        if project.settings.base != before.settings.base:
            self._ends_reader = self._reader(project)
        self._sharing.jobs = project.settings.jobs
        self._share.jobs = project.settings.shared_jobs
        self._share.resources = project.settings.shared_resources
        self._project = project
        self._targeted = None

    def _end(self, project: Project | None, why: str) -> None:
        self._next = project
        self._board.say("repository", why)
        self.stop(forced=project is None)

    async def _follow_ends(self) -> None:
        """Look where the range begins and ends now, and have its commits tested."""
        ends = await asyncio.to_thread(self._ends_reader.read)
        head_only = ends.head is not None and self._request.is_head_only(ends)
        self._board.say("range", None if head_only else ends.problem)
        if ends.unanswered:
            self._try_later(News.REFS)
        if ends.head is not None and ends.base is None and not head_only:
            return  # what is shown is the best we know
        try:
            lines = await asyncio.to_thread(self._read_graph, ends)
        except GitError as error:
            self._board.say("range", str(error))
            self._try_later(News.REFS)
            return
        if not ends.unanswered:
            self._retry_s = _RETRY_FIRST_S
        if self._over:
            return
        wanted = Range(base=ends.base_name, head=ends.head_name, lines=lines)
        try:
            if (ends.base, ends.head) == self._targeted:
                self.tracker.redraw(wanted)
            else:
                self.tracker.target(wanted, self._project)
                self._targeted = (ends.base, ends.head)
        except LimmatError as error:
            self._board.say("config", str(error))

    def _read_graph(self, ends: Ends) -> tuple[GraphLine, ...]:
        """Return the commits that are wanted. Runs in a thread of its own."""
        if ends.head is None:
            return ()
        return read_graph(
            self._project.repository,
            ends.base,
            ends.head,
            include_base=self._request.include_base,
            head_only=self._request.is_head_only(ends),
        )

    def _try_later(self, news: News) -> None:
        """Look again, less and less often: history may have moved between two looks, or git be broken."""
        self._retried |= news
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(self._retry_s, self._tell_again)
        self._retry_s = min(2 * self._retry_s, _RETRY_LAST_S)

    def _tell_again(self) -> None:
        news, self._retried = self._retried, News(0)
        self._tell(news)

    def _note(self, commits: Iterable[Commit]) -> None:
        self._noted.update((commit.id, commit) for commit in commits)
        if self._noted:
            self._notes_due.set()

    async def _keep_notes(self) -> None:
        """Bring the notes of commits with news up to date, many at a time."""
        while True:
            await self._notes_due.wait()
            await asyncio.sleep(_NOTES_S)
            await self._write_notes()

    async def _write_notes(self) -> None:
        self._notes_due.clear()
        commits, self._noted = tuple(self._noted.values()), {}
        if commits:
            async with self.tracker.engine.recorder.writing:
                await asyncio.to_thread(refresh_notes, self._project, commits)


def _says_the_same(project: Project, before: Project) -> bool:
    """Whether nothing has changed that a watch goes by."""

    def facts(each: Project) -> Sequence[object]:
        return (
            each.tests,
            each.resources,
            {name: definition.text for name, definition in each.definitions.items()},
            each.config_path,
            each.settings.jobs,
            each.settings.num_worktrees,
            each.settings.base,
            each.settings.shared_jobs,
            each.settings.shared_resources,
        )

    return facts(project) == facts(before)


def _identity(project: Project) -> tuple[int, int] | None:
    """Return what tells the repository from another one at its place, None when there is none."""
    try:
        status = project.repository.common_dir.stat()
        if (
            not (project.repository.common_dir / "objects").is_dir()
            or not project.repository.git_dir.is_dir()
        ):
            return None
    except OSError:
        return None
    return status.st_dev, status.st_ino
