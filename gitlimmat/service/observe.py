"""A board for those who only look: what git and the store say now, without running anything.

Layer: service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.ends import Ends, EndsReader
from gitlimmat.git.follow import Follower, News
from gitlimmat.git.graph import Described, GraphLine, read_graph
from gitlimmat.model import subject_of
from gitlimmat.service.board import ESTIMATED_FROM, Board, Cell, CellState, Place
from gitlimmat.service.cells import done
from gitlimmat.service.logfile import Log
from gitlimmat.service.newest import newest_results, standing_result
from gitlimmat.service.project import Project
from gitlimmat.service.session import run_loop, with_signals
from gitlimmat.store.runs import RunningJob, running_jobs

_SETTLING_S = 0.05
_JOBS_S = 0.5
_ALL = News.REFS | News.RESULTS | News.CONFIG


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to show at one moment. `elapsed` has the durations of verdicts, the latest last."""

    base: str
    head: str
    lines: tuple[GraphLine, ...]
    tests: tuple[str, ...]
    cells: Mapping[Place, Cell]
    elapsed: Mapping[str, Sequence[float]]
    problem: str | None


class Observer:
    """Keeps the board of one project true without running anything.

    `base` is the user's, None to find it; `open_again` reads the project anew when its configuration changes.
    """

    def __init__(self, project: Project, base: str | None, open_again: Callable[[Project], Project]) -> None:
        self.board = Board(project.repository.name, project)
        self._base = base
        self._open_again = open_again
        self._project = project
        self._ends = self._reader()
        self._drawn: tuple[Ends | None, tuple[GraphLine, ...]] = (None, ())
        self._jobs: Mapping[Path, RunningJob] = {}
        self._unusable: str | None = None
        self._news = _ALL
        self._woken = asyncio.Event()

    async def refresh(self) -> None:
        """Show what is true now. What cannot be read is a problem on the board."""
        news, self._news = self._news, News(0)
        board = self.board
        try:
            facts = await asyncio.to_thread(self._read, news)
        except (LimmatError, OSError) as error:
            board.say("repository", str(error))
            return
        board.project = self._project
        board.say("repository", None)
        board.say("range", facts.problem)
        for test, elapsed in facts.elapsed.items():
            if board.estimate(test) is None:
                board.learn_elapsed(test, elapsed)
        board.show(base=facts.base, head=facts.head, lines=facts.lines, tests=facts.tests, cells=facts.cells)

    async def run(self) -> None:
        """Follow the repository until cancelled."""
        results = self._project.store.state_dir.parent
        follower = Follower(self._project.repository, results, self._tell)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run())
            tasks.create_task(self._look_for_jobs())
            while True:
                follower.set_files(self._project.files)
                await self.refresh()
                self.board.say("notification", follower.problem)
                await asyncio.sleep(_SETTLING_S if follower.is_settling else 0)
                await self._woken.wait()
                self._woken.clear()

    async def _look_for_jobs(self) -> None:
        """Notice jobs of other processes: that one begins changes nothing that is followed."""
        while True:
            if await asyncio.to_thread(running_jobs, self._project.store.state_dir) != self._jobs:
                self._tell(News.RESULTS)
            await asyncio.sleep(_JOBS_S)

    def _tell(self, news: News) -> None:
        self._news |= news
        self._woken.set()

    def _reader(self) -> EndsReader:
        return EndsReader(self._project.repository, self._base, self._project.settings.base)

    def _read(self, news: News) -> Facts:
        if news & (News.CONFIG | News.GONE):
            self._unusable = self._reload()
        problem = self._unusable
        ends = self._ends.read()
        lines = self._drawn[1]
        if news & ~News.RESULTS or ends != self._drawn[0]:
            try:
                lines = self._graph(ends)
                self._drawn = (ends, lines)
            except LimmatError as error:
                problem = error.message
        commits = [line.commit for line in lines if line.commit is not None]
        cells, tests = known_cells(self._project, commits)
        self._jobs = running_jobs(self._project.store.state_dir)
        return Facts(
            base=ends.base_name,
            head=ends.head_name,
            lines=lines,
            tests=tests,
            cells=cells | running_cells(self._project, commits, cells, self._jobs),
            elapsed=_elapsed(cells, commits, tests),
            problem=ends.problem or problem,
        )

    def _reload(self) -> str | None:
        """Read the configuration again; say why if it cannot be used and that before is still in use."""
        before = self._project
        try:
            self._project = self._open_again(before)
        except LimmatError as error:
            return error.message
        if self._project.settings.base != before.settings.base or not self._project.inherit(before):
            self._ends = self._reader()
        return None

    def _graph(self, ends: Ends) -> tuple[GraphLine, ...]:
        if ends.head is None or ends.base is None:
            return ()
        return read_graph(self._project.repository, ends.base, ends.head)


def serve_observed(
    observers: Sequence[Observer],
    serve: Callable[[], Coroutine[object, object, None]],
    log: Log,
    begun: Callable[[], None],
) -> None:
    """Follow repositories and run `serve` beside that until a signal ends it; `begun` is called first."""

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        ended = False

        def stop() -> None:
            nonlocal ended
            ended = True
            task.cancel()

        with_signals(stop)
        begun()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(serve())
                for observer in observers:
                    tasks.create_task(observer.run())
        except asyncio.CancelledError:
            if not ended:
                raise

    with log.of_libraries():
        run_loop(work())


def known_cells(project: Project, commits: Sequence[Described]) -> tuple[dict[Place, Cell], tuple[str, ...]]:
    """Return a cell for each result that stands on one of `commits`, and the names of all tests.

    Without a config file the tests are all that have results there, such as those of `run --exec`.
    """
    view = project.store.view()
    cells: dict[Place, Cell] = {}
    if project.tests:
        for commit in commits:
            plain = commit.plain
            for test in project.tests:
                found = standing_result(view, subject_of(test, plain), project.definitions[test.name])
                if found is not None:
                    cells[Place(commit.id, test.name)] = done(found, known=True)
        return cells, tuple(test.name for test in project.tests)
    for commit in commits:
        for name, newest in newest_results(view, commit.plain).items():
            cells[Place(commit.id, name)] = done(newest.result, known=True)
    return cells, tuple(sorted({place.test for place in cells}))


def running_cells(
    project: Project,
    commits: Sequence[Described],
    known: Mapping[Place, Cell],
    jobs: Mapping[Path, RunningJob],
) -> dict[Place, Cell]:
    """Return a cell for each place whose job some process is running now."""
    if not jobs:
        return {}
    places: dict[tuple[str, str], list[Place]] = {}
    for commit in commits:
        plain = commit.plain
        for test in project.tests:
            subject = subject_of(test, plain)
            places.setdefault((subject, test.name), []).append(Place(commit.id, test.name))
    cells = {}
    for path, job in jobs.items():
        for place in places.get((job.subject, job.test), ()):
            before = known.get(place)
            cells[place] = Cell(
                state=CellState.RUNNING,
                result=before.result if before is not None else None,
                since=job.started,
                directory=path,
                elsewhere=True,
            )
    return cells


def _elapsed(
    cells: Mapping[Place, Cell], commits: Sequence[Described], tests: Sequence[str]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for test in tests:
        for commit in commits:
            cell = cells.get(Place(commit.id, test))
            if cell is not None and cell.result is not None and cell.result.outcome.is_verdict:
                found.setdefault(test, []).append(cell.result.elapsed)
                if len(found[test]) == ESTIMATED_FROM:
                    break
    return {test: elapsed[::-1] for test, elapsed in found.items()}
