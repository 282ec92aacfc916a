"""What is known about a range, without running or writing anything.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gitlimmat.git.revision import abbreviations, subjects
from gitlimmat.model import Commit, Outcome, Result, subject_of
from gitlimmat.service.project import Project

FORMAT = 1


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one test on one commit.

    Units: `started` is seconds since the epoch, `elapsed` seconds. `commit` is the commit whose run this
    is; `known_from_other` says that it is not the commit of this row. `counts` is false for a result that
    is only shown: errored, cancelled, or of a test that is never reused.
    """

    outcome: Outcome
    reason: str
    exit_status: int | None
    signal: int | None
    started: float
    elapsed: float
    attempts: int
    commit: str
    known_from_other: bool
    counts: bool


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One commit; `results` has an entry for each test, null when nothing is known."""

    id: str
    abbreviated: str
    tree: str
    subject: str
    results: dict[str, Cell | None]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table: `tests` in file order, `commits` newest first within a range."""

    format: int
    tests: tuple[str, ...]
    commits: tuple[Row, ...]


def read_status(project: Project, commits: Sequence[Commit]) -> Status:
    """Return what the store knows about the selected tests on `commits`."""
    view = project.store.view()
    ids = [commit.id for commit in commits]
    titles, short = subjects(project.repository, ids), abbreviations(project.repository, ids)
    tests = [(test, project.definitions[test.name]) for test in project.tests]
    rows = []
    for commit in commits:
        results = {
            test.name: _cell(view.latest(subject_of(test, commit), definition), commit)
            for test, definition in tests
        }
        rows.append(
            Row(
                id=commit.id,
                abbreviated=short[commit.id],
                tree=commit.tree,
                subject=titles[commit.id],
                results=results,
            )
        )
    return Status(format=FORMAT, tests=tuple(test.name for test, _ in tests), commits=tuple(rows))


def status_schema() -> dict[str, object]:
    """Return the JSON Schema of what `status --json` prints."""
    schema = msgspec.json.schema(Status)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "git limmat status"} | schema


def _cell(result: Result | None, commit: Commit) -> Cell | None:
    if result is None:
        return None
    return Cell(
        outcome=result.outcome,
        reason=result.reason,
        exit_status=result.exit_status,
        signal=result.signal,
        started=result.started,
        elapsed=result.elapsed,
        attempts=result.attempts,
        commit=result.commit,
        known_from_other=result.commit != commit.id,
        counts=result.reusable,
    )
