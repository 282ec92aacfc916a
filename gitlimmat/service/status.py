"""What is known about a range, without running or writing anything.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gitlimmat.git.revision import abbreviations, subjects
from gitlimmat.model import Commit, Outcome, Result, subject_of
from gitlimmat.service.newest import newest_results, standing_result
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
    """Return what the store knows about the selected tests on `commits`.

    Without a config file these are all tests that have results there, such as those of `run --exec`.
    """
    ids = [commit.id for commit in commits]
    titles, short = subjects(project.repository, ids), abbreviations(project.repository, ids)
    found = _by_definition(project, commits) if project.tests else _by_name(project, commits)
    rows = tuple(
        Row(
            id=commit.id,
            abbreviated=short[commit.id],
            tree=commit.tree,
            subject=titles[commit.id],
            results={name: _cell(result, commit) for name, result in results.items()},
        )
        for commit, results in zip(commits, found, strict=True)
    )
    names = [test.name for test in project.tests] or [name for row in rows[:1] for name in row.results]
    return Status(format=FORMAT, tests=tuple(names), commits=rows)


def _by_definition(project: Project, commits: Sequence[Commit]) -> list[dict[str, Result | None]]:
    """Return, for each commit, the newest result of each selected test as it is defined now."""
    view = project.store.view()
    tests = [(test, project.definitions[test.name]) for test in project.tests]
    return [
        {test.name: standing_result(view, subject_of(test, commit), definition) for test, definition in tests}
        for commit in commits
    ]


def _by_name(project: Project, commits: Sequence[Commit]) -> list[dict[str, Result | None]]:
    """Return, for each commit, the newest result of each test that has one anywhere among `commits`."""
    newest = [newest_results(project.store.view(), commit) for commit in commits]
    names = sorted({name for results in newest for name in results})
    return [{name: results[name].result if name in results else None for name in names} for results in newest]


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
