"""Serve a queue: look, plan, do, and wait until something is new.

Layer: service.

Each pass begins with what is true now, so it does not matter why it was woken, or whether a former daemon was
killed in the middle. All work on refs is in one thread at a time; jobs run beside it, in the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.follow import Follower, News
from gitlimmat.model import counted
from gitlimmat.queue.events import RunOutcome
from gitlimmat.queue.state import Run
from gitlimmat.runner.host import Host
from gitlimmat.service.logfile import Log, PartFailedError, guarded
from gitlimmat.service.project import Project
from gitlimmat.service.queue.facts import Findings
from gitlimmat.service.queue.notices import Herald
from gitlimmat.service.queue.passes import Outlook, Passes
from gitlimmat.service.queue.runs import Ended, RunAtWork, Shop
from gitlimmat.service.queue.session import wake, wake_file
from gitlimmat.service.queue.share import Trust
from gitlimmat.service.queue.suite import remove_suites
from gitlimmat.service.queue.turn import Turn, take_turn
from gitlimmat.service.session import run_loop, with_signals
from gitlimmat.service.sharing import open_sharing

_LOOK_S = 15.0  # a net under what nobody has told us of
_TURN_S = 0.5
_TELL_S = 30.0
_BRIEFLY_S = 1.0  # whoever only looks who serves, holds the lock for a moment


class Daemon:
    """The bot of one repository. `say` gets a line for each thing it does, `warn` what is wrong.

    `pages` is run beside it; when that fails, the queue goes on. `findings` is for them to read.
    """

    def __init__(
        self,
        project: Project,
        *,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        log: Log,
        pages: Callable[[], Coroutine[object, object, None]] | None = None,
        findings: Findings | None = None,
    ) -> None:
        self._pages = pages
        self._project = project
        self._say = say
        self._warn = warn
        self._log = log
        repository = msgspec.structs.replace(project.repository)  # with a handle of its own
        self._passes = Passes(repository, findings or Findings(), say=say, warn=warn, log=log)
        self._herald = Herald(repository, warn, log)
        self._sharing = open_sharing(project.settings, warn)
        self._works: dict[str, RunAtWork] = {}
        self._woken = asyncio.Event()
        self._signals = 0
        self._tasks: asyncio.TaskGroup | None = None
        self._shop: Shop | None = None
        self._follower: Follower | None = None

    def stop(self) -> None:
        """End all jobs and then `serve`; a second call kills them. Open runs go on with the next daemon.

        What was said is told before, but not for longer than 30 seconds, nor after a second call.
        """
        self._signals += 1
        self._herald.limit(_TELL_S if self._signals == 1 else 0)
        for work in self._works.values():
            work.stop(forced=self._signals > 1)
        self._woken.set()

    async def serve(self, *, once: bool) -> None:
        """Serve until stopped; with `once`, until nothing more can be done now.

        Raises: LimmatError when the repository is not bare or there can be no lock, or, with `once`, when
        another daemon serves or something fails again and again.
        """
        if self._project.repository.worktree is not None:
            raise LimmatError(
                f"cannot serve '{self._project.repository.worktree}': it is not a bare repository",
                hint="a branch that someone works on must not move under them; use a bare clone",
            )
        showing = asyncio.create_task(self._show())  # also while another daemon has its turn
        try:
            turn = await self._take_turn(once=once)
            if turn is not None:
                await self._serve(turn, once=once)
        finally:
            showing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await showing

    async def _serve(self, turn: Turn, *, once: bool) -> None:
        """Be the one that serves."""
        try:
            remove_suites(self._project.repository)
            async with Host() as host, asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._shop = Shop(
                    project=self._project,
                    host=host,
                    sharing=self._sharing,
                    trust=Trust(self._project.repository, lambda: self._passes.rules.trusted, self._warn),
                    writing=asyncio.Lock(),
                    warn=self._warn,
                )
                quiet = self._sharing.on_release(self._advance)
                helpers = self._start_helpers(tasks)
                try:
                    await self._work(once=once)
                    await self._tell_rest()
                finally:
                    quiet()
                    for work in self._works.values():
                        work.stop()
                    for helper in helpers:
                        helper.cancel()
        finally:
            turn.end()

    async def _take_turn(self, *, once: bool) -> Turn | None:
        """Wait for our turn; None when stopped before."""
        repository = self._project.repository
        told = False
        end = time.monotonic() + _BRIEFLY_S
        while not self._signals:
            turn = take_turn(repository)
            if turn is not None:
                return turn
            if time.monotonic() > end:
                if once:
                    raise LimmatError(
                        f"the queue of '{repository.name}' is served by another process",
                        hint="it does what there is to do",
                    )
                if not told:
                    told = True
                    self._warn(f"the queue of '{repository.name}' is served by another process; waiting")
            await self._sleep(_TURN_S)
        return None

    def _start_helpers(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        repository = self._project.repository
        wake(repository)
        self._follower = Follower(repository, repository.common_dir, self._hear)
        self._follower.set_files((wake_file(repository),))
        parts = (("following", self._follower.run), ("notify", self._herald.run))
        return [
            tasks.create_task(guarded(name, work, log=self._log, say=self._sayer(name)))
            for name, work in parts
        ]

    async def _show(self) -> None:
        """Serve pages, if there are any; when they fail again and again, be without them."""
        if self._pages is None:
            return
        try:
            await guarded("pages", self._pages, log=self._log, say=self._sayer("pages"))
        except PartFailedError as error:
            self._warn(f"no pages are served any more: {error}")

    def _sayer(self, part: str) -> Callable[[str | None], None]:
        return lambda problem: self._warn(problem) if problem else None

    def _hear(self, news: News) -> None:
        if news & (News.REFS | News.CONFIG | News.GONE):
            self._woken.set()

    def _advance(self) -> None:
        for work in self._works.values():
            work.advance()

    async def _work(self, *, once: bool) -> None:
        while not self._signals:
            self._woken.clear()
            reported = await self._report()
            outlook = await asyncio.to_thread(self._passes.step)
            self._sync(outlook.open)
            for letter in outlook.letters:
                self._herald.tell(outlook.rules.notify, letter)
            if reported or outlook.is_busy:
                continue
            if once and not self._works and not outlook.is_hoping:
                if outlook.is_failing:
                    raise LimmatError("not all could be done", hint="the warnings say why; try again later")
                return
            await self._wait(outlook)

    async def _tell_rest(self) -> None:
        """Wait until the command of `limmat.queue.notify` was told what there is."""
        if self._signals and self._herald.count:
            self._say(f"{counted(self._herald.count, 'notice')} to be told before the end")
        await self._herald.finish()
        if self._herald.count:
            self._warn(f"{counted(self._herald.count, 'notice')} left to be told by the next daemon")

    async def _report(self) -> bool:
        """Put into the timelines what runs at work have found out; return whether there was anything."""
        done = False
        for work in tuple(self._works.values()):
            jobs, end = work.news(), work.end
            if work.is_stopped or not (jobs or end):
                continue
            if await asyncio.to_thread(self._passes.report, work.run, jobs, end):
                work.told(jobs)
                if end is not None:
                    work.stop()
                done = True
        return done

    def _sync(self, runs: dict[str, Run] | None) -> None:
        """Have the open runs at work, and nothing else. None when that is not known now."""
        if runs is None or self._tasks is None or self._shop is None:
            return
        for name, work in self._works.items():
            if name not in runs and not work.is_stopped:
                work.stop()
        if self._signals:
            return
        for name, run in runs.items():
            if name not in self._works:
                work = self._works[name] = RunAtWork(run, self._shop, self._woken.set)
                self._tasks.create_task(self._run(work))

    async def _run(self, work: RunAtWork) -> None:
        """Run the tests of one run; a fault of ours ends that run and no other."""
        try:
            await work.serve()
        except Exception as error:  # it is logged, and told in the timeline of the run
            self._warn(self._log.report(f"run {work.run.run}", error))
            if not work.is_stopped:
                work.end = Ended(RunOutcome.ERRORED, "the queue could not run its tests; its log says why")
        self._woken.set()
        await work.until_stopped()  # its end is told first
        del self._works[work.run.run]
        self._woken.set()

    async def _wait(self, outlook: Outlook) -> None:
        """Wait until there is something to do; use at most half of that time to find out what merges."""
        end = time.monotonic() + min(_LOOK_S, max(0.0, outlook.next_s))
        while not self._woken.is_set() and (began := time.monotonic()) < end:
            if not await asyncio.to_thread(self._passes.look_ahead):
                break
            await self._sleep(time.monotonic() - began)
        await self._sleep(max(0.0, end - time.monotonic()))

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass


def run_daemon(daemon: Daemon, log: Log, *, once: bool) -> None:
    """Serve until stopped by a signal: the first asks jobs to end, the second kills them."""

    async def work() -> None:
        with_signals(daemon.stop)
        await daemon.serve(once=once)

    with log.of_libraries():
        try:
            run_loop(work())
        except Exception as error:
            if not isinstance(error, LimmatError):
                log.report("queue", error)
            raise
