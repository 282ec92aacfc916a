"""What the failed tests of a change have printed, as far as it is stored.

Layer:  service.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.objects import read_commit
from gitlimmat.model import Outcome, Result
from gitlimmat.queue.state import Change, Job
from gitlimmat.service.project import Project
from gitlimmat.service.show import read_output

_BAD = (Outcome.FAILED, Outcome.ERRORED)
_LINES = 100
_LONGEST = 64 * 1024


class Printed(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one stream of a job. Text of others: `lines` may have anything in them but line breaks.

    `is_cut` says that there was more before.
    """

    stream: str
    lines: tuple[str, ...]
    is_cut: bool


def failed_jobs(change: Change) -> tuple[Job, ...]:
    """Return the jobs that did not pass, of the newest run that has any."""
    for run in reversed(change.runs):
        if jobs := tuple(job for job in run.jobs if job.outcome in _BAD):
            return jobs
    return ()


def printed(project: Project, job: Job) -> tuple[Printed, ...]:
    """Return the ends of what a job has printed; nothing when it is not stored here, or was silent."""
    try:
        result = _result(project, job)
        return tuple(_ends(project, result)) if result is not None else ()
    except LimmatError:
        return ()


def _result(project: Project, job: Job) -> Result | None:
    view = project.store.view()
    subjects = (job.commit, read_commit(project.repository.objects, job.commit).tree)
    found = [
        result
        for subject in subjects
        for result in view.history(subject)
        if (result.test, result.outcome) == (job.test, job.outcome)
    ]
    return max(found, key=lambda result: result.started, default=None)


def _ends(project: Project, result: Result) -> Iterator[Printed]:
    for stream, stored in result.outputs.items():
        if not stored.size:
            continue
        data = read_output(project, stored.oid)
        end = data[-_LONGEST:].decode(errors="replace").rstrip("\n").split("\n")
        lines = tuple(line.rstrip("\r") for line in end[-_LINES:])
        yield Printed(stream=stream, lines=lines, is_cut=len(data) > _LONGEST or len(end) > _LINES)
