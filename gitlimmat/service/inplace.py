"""Run one test in the user's own worktree; what it depends on runs on HEAD as usual.

Layer: service.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.revision import resolve
from gitlimmat.model import Commit, Outcome, Test, counted, subject_of
from gitlimmat.runner.classify import classify
from gitlimmat.runner.environment import job_environment
from gitlimmat.runner.host import Host, Stop
from gitlimmat.runner.job import JobSpec
from gitlimmat.service.events import Ended, Event
from gitlimmat.service.project import Project
from gitlimmat.service.run import RunRequest
from gitlimmat.service.session import run_loop, run_to_end, with_signals


class InPlace(msgspec.Struct, frozen=True, kw_only=True):
    """How a test in the user's worktree ended. Nothing of it is stored."""

    outcome: Outcome
    reason: str
    exit_status: int | None = None


def test_in_place(project: Project, name: str, say: Callable[[str], None]) -> InPlace:
    """Run test `name` where the user is, with its output on ours.

    Raises: LimmatError when there is no worktree, or HEAD has no commit.
    """
    if project.repository.worktree is None:
        raise LimmatError(
            f"cannot test in '{project.repository.common_dir}': it has no worktree",
            hint="git limmat run tests commits of a bare repository",
        )
    test = project.test(name)
    commit = resolve(project.repository, "HEAD")
    with ExitStack() as pins:
        dependencies, failed = _run_dependencies(project, test, commit, pins, say)
        if failed is not None:
            return failed
        return run_loop(_run(project, test, commit, dependencies, say))


def _run_dependencies(
    project: Project, test: Test, commit: Commit, pins: ExitStack, say: Callable[[str], None]
) -> tuple[dict[str, Path], InPlace | None]:
    needed = tuple(each for each in project.closure(test.name) if each.name != test.name)
    if not needed:
        return {}, None
    say(f"Running {counted(len(needed), 'dependency job')}…")
    ended: dict[str, Ended] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Ended):
            ended[event.case.test.name] = event

    summary = run_to_end(project, RunRequest(commits=(commit,), tests=needed), listen)
    if summary.interrupted:
        return {}, InPlace(outcome=Outcome.CANCELLED, reason="cancelled")
    for name in test.depends_on:
        if ended[name].outcome is not Outcome.PASSED:
            outcome = Outcome.SKIPPED if ended[name].outcome is Outcome.SKIPPED else Outcome.ERRORED
            return {}, InPlace(outcome=outcome, reason=f"dependency '{name}' {ended[name].outcome.value}")
    say("Dependency jobs complete.")
    found = {}
    for name in test.depends_on:
        result = ended[name].result
        oid = result.artifacts.oid if result is not None and result.artifacts is not None else None
        found[name] = project.pinned_artifacts(oid, pins)
    return found, None


async def _run(
    project: Project, test: Test, commit: Commit, dependencies: dict[str, Path], say: Callable[[str], None]
) -> InPlace:
    subject = subject_of(test, commit)
    artifacts = Path(tempfile.mkdtemp(prefix="limmat-output-")) / subject / test.name / "artifacts"
    artifacts.mkdir(parents=True)
    say(f"Test artifacts will be stored under {artifacts}")
    needs = {need.name: need.count for need in test.resources}
    tokens = {
        resource.name: resource.tokens[: needs[resource.name]]
        for resource in project.resources
        if resource.name in needs
    }
    assert project.repository.worktree is not None
    spec = JobSpec(
        argv=test.argv,
        cwd=project.repository.worktree,
        environment=job_environment(
            os.environ,
            test=test,
            commit=commit,
            origin=project.origin,
            config=project.config_path,
            artifacts=artifacts,
            dependencies=dependencies,
            tokens=tokens,
            slot=None,
            previous=None,
        ),
        stdout=None,
        stderr=None,
        grace_s=test.shutdown_grace_period_s,
        timeout_s=test.timeout_s,
        keep_fds=(),
    )
    stop = Stop()
    signals = 0

    def on_signal() -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            say(f"stopping {test.name} (again to kill)")
            stop.cancel()
        else:
            stop.kill()

    with_signals(on_signal)
    async with Host() as host:
        end = await host.run(spec, stop)
    outcome, reason = classify(test, end)
    return InPlace(outcome=outcome, reason=reason, exit_status=end.exit_status)
