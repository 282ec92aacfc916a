"""One attempt of a case: its worktree, its environment, its files, and the record it leaves.

Layer: service.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import msgspec

from gitlimmat import __version__
from gitlimmat.errors import LimmatError, StoreError, WorktreeError
from gitlimmat.git.pool import WorktreePool
from gitlimmat.git.worktree import Worktree
from gitlimmat.model import CachePolicy, Outcome, Result
from gitlimmat.plan.cases import Case, JobKey
from gitlimmat.runner.classify import classify
from gitlimmat.runner.environment import job_environment
from gitlimmat.runner.host import Host, Stop
from gitlimmat.runner.job import JobEnd, JobSpec
from gitlimmat.service.project import Project
from gitlimmat.store.record import Record
from gitlimmat.store.runs import RunDirectory, Runs

_SMALL = 16384  # bytes


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A finished execution: what to store about it, and the directory that holds its files, if it has any."""

    record: Record
    directory: RunDirectory | None


class DependencyArtifacts:
    """Where the artifacts of the jobs of a run are, for those that depend on them."""

    def __init__(self) -> None:
        self._places: dict[JobKey, str | Path] = {}

    def learn(self, key: JobKey, result: Result) -> None:
        """Remember the stored artifacts of a job."""
        if result.artifacts is not None:
            self._places[key] = result.artifacts.oid

    def keep(self, key: JobKey, directory: Path) -> None:
        """Remember artifacts that are not stored and stay where they are until the end of the run."""
        self._places[key] = directory

    def forget(self, keys: Collection[JobKey]) -> None:
        """Keep nothing of jobs other than `keys`."""
        self._places = {key: place for key, place in self._places.items() if key in keys}

    def directory(self, project: Project, key: JobKey, pins: ExitStack) -> Path:
        """Return a directory with the artifacts of a job; it stays until `pins` is closed."""
        place = self._places.get(key)
        return place if isinstance(place, Path) else project.pinned_artifacts(place, pins)


class Workshop:
    """Everything jobs of one run share: worktrees, the process host, artifacts of dependencies.

    `keep` means that nothing is stored: directories of jobs stay until the end, for their dependents.
    """

    def __init__(self, project: Project, host: Host, artifacts: DependencyArtifacts, *, keep: bool) -> None:
        self._project = project
        self._host = host
        self._keep = keep
        self._free: list[Worktree] = []
        self._artifacts = artifacts
        self._kept: list[RunDirectory] = []
        self._base = dict(os.environ)
        self._elsewhere: Runs | None = None

    @cached_property
    def _pool(self) -> WorktreePool:
        settings = self._project.settings
        return WorktreePool(
            self._project.repository,
            directory=settings.worktree_dir,
            temporary=settings.worktree_dir is not None,
            prefix=settings.worktree_prefix,
        )

    async def close(self) -> None:
        """Give all worktrees back, remove temporary ones and what was only kept for dependents."""
        for directory in self._kept:
            directory.remove()
        self._project.runs.close()
        if self._elsewhere is not None:
            self._elsewhere.close()
        for worktree in self._free:
            worktree.release()
        self._free.clear()
        if "_pool" in self.__dict__:
            await asyncio.to_thread(self._pool.close)

    async def attempt(
        self,
        project: Project,
        case: Case,
        tokens: Mapping[str, Sequence[str]],
        stop: Stop,
        began: Callable[[Path], None],
    ) -> Attempt:
        """Run the test of `case` as `project` defines it; what goes wrong around it is an errored outcome.

        `began` is told the directory that gets the output.
        """
        directory = self._directory(case)
        began(directory.path)
        place = _identity(directory.path)
        end = JobEnd(started=time.time(), elapsed=0.0)
        worktree = None
        try:
            with ExitStack() as pins:
                if case.test.requires_worktree:
                    worktree = await self._worktree(case)
                spec = await self._spec(project, case, tokens, worktree, directory, pins)
                end = await self._host.run(spec, stop)
        except (LimmatError, OSError) as error:
            end = msgspec.structs.replace(end, error=str(error), cancelled=stop.cancelled)
        finally:
            if worktree is not None:
                self._free.append(worktree)
        if _identity(directory.path) != place:
            end = msgspec.structs.replace(
                end, error=f"'{directory.path}' was removed under it", exit_status=None, signal=None
            )
        return self._attempt(project, case, directory, end)

    def _directory(self, case: Case) -> RunDirectory:
        """Return a directory for the files of a job: a temporary one when there is no room for ours."""
        try:
            return self._project.runs.create(case.test.name, case.commit, case.subject)
        except LimmatError as error:
            if self._elsewhere is None:
                self._project.warn(f"{error}; output goes to the temporary directory")
                self._elsewhere = Runs(Path(tempfile.mkdtemp(prefix="limmat-")))
            return self._elsewhere.create(case.test.name, case.commit, case.subject)

    async def _worktree(self, case: Case) -> Worktree:
        """Return a worktree brought to the commit; one that has become unusable is replaced by another."""
        if self._free:
            worktree = self._free.pop()
            try:
                await asyncio.to_thread(worktree.switch, case.commit)
                return worktree
            except WorktreeError:
                worktree.release()
        worktree = await asyncio.to_thread(self._pool.acquire)
        try:
            await asyncio.to_thread(worktree.switch, case.commit)
        except BaseException:
            worktree.release()
            raise
        return worktree

    async def _spec(
        self,
        project: Project,
        case: Case,
        tokens: Mapping[str, Sequence[str]],
        worktree: Worktree | None,
        directory: RunDirectory,
        pins: ExitStack,
    ) -> JobSpec:
        test = case.test
        environment = job_environment(
            self._base,
            test=test,
            commit=case.commit,
            origin=project.origin,
            config=project.config_path,
            artifacts=directory.artifacts,
            dependencies=await self._dependencies(project, case, pins),
            tokens=tokens,
            slot=worktree.slot if worktree else None,
            previous=worktree.previous if worktree else None,
        )
        return JobSpec(
            argv=test.argv,
            cwd=worktree.path if worktree else project.origin,
            environment=environment,
            stdout=directory.outputs[test.streams[0]],
            stderr=directory.outputs["stderr"] if test.separate_outputs else None,
            grace_s=test.shutdown_grace_period_s,
            timeout_s=test.timeout_s,
            keep_fds=(worktree.lock_fd,) if worktree else (),
        )

    async def _dependencies(self, project: Project, case: Case, pins: ExitStack) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for name in case.test.depends_on:
            key = project.job_key(name, case.commit)
            try:
                found[name] = await asyncio.to_thread(self._artifacts.directory, project, key, pins)
            except StoreError as error:
                await asyncio.to_thread(self._forget, key)
                raise StoreError(
                    f"artifacts of '{name}' are lost, the next run makes them again: {error}"
                ) from error
        return found

    def _forget(self, key: JobKey) -> None:
        """Forget a result that cannot be used, so that the next run does not find it."""
        self._project.store.forget(
            lambda _, result: result.test == key.test and result.artifacts is not None,
            [key.subject],
            dry_run=False,
        )

    def _attempt(self, project: Project, case: Case, directory: RunDirectory, end: JobEnd) -> Attempt:
        outcome, reason = classify(case.test, end)
        has_artifacts = not _is_empty(directory.artifacts)
        result = msgspec.structs.replace(
            _result(case, outcome, reason, end.started),
            elapsed=end.elapsed,
            exit_status=end.exit_status if outcome is not Outcome.CANCELLED else None,
            signal=end.signal,
            usable=case.test.cache is not CachePolicy.NO_CACHING,
        )
        record = Record(
            subject=case.subject,
            definition=project.definitions[case.test.name],
            result=result,
            outputs={
                name: taken
                for name in case.test.streams
                if (taken := _take(directory.outputs[name])) is not None
            },
            artifacts=directory.artifacts if has_artifacts else None,
        )
        if self._keep:
            self._kept.append(directory)
            self._artifacts.keep(case.key, directory.artifacts)
        elif not has_artifacts and all(isinstance(output, bytes) for output in record.outputs.values()):
            self._project.runs.give_back(directory)
            return Attempt(record=record, directory=None)
        return Attempt(record=record, directory=directory)


def _take(path: Path) -> Path | bytes | None:
    """Return the content of a small file, so that it need not be kept; a large one itself."""
    try:
        with path.open("rb") as file:
            content = file.read(_SMALL + 1)
    except OSError:
        return None
    return path if len(content) > _SMALL else content


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a directory from another one that has taken its place."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_empty(directory: Path) -> bool:
    """Whether there is nothing to keep; a directory that the job has removed is as empty as can be."""
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def blocked_record(project: Project, case: Case, outcome: Outcome, reason: str) -> Record:
    """Return what to store about a case whose job never started: to be seen, never to be used."""
    result = msgspec.structs.replace(_result(case, outcome, reason, time.time()), usable=False)
    return Record(subject=case.subject, definition=project.definitions[case.test.name], result=result)


def _result(case: Case, outcome: Outcome, reason: str, started: float) -> Result:
    return Result(
        test=case.test.name,
        digest="",
        outcome=outcome,
        reason=reason,
        started=started,
        elapsed=0.0,
        commit=case.commit.id,
        host=socket.gethostname(),
        version=__version__,
    )
