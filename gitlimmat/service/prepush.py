"""What is known about the commits that are about to be pushed.

Layer: service. Reads only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from gitlimmat.git.names import find_commits
from gitlimmat.git.outgoing import Update, outgoing, with_file
from gitlimmat.git.revision import abbreviations, subjects
from gitlimmat.model import Commit, Outcome, subject_of
from gitlimmat.service.newest import standing_result
from gitlimmat.service.project import Project
from gitlimmat.store.view import View

SHOWN = 10
_FEW = 3
_GOOD = (Outcome.PASSED, Outcome.SKIPPED)
_ORDER = (Outcome.FAILED, Outcome.ERRORED, None)


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """A commit and its tests with one outcome; None for those of which nothing is known."""

    id: str
    abbreviated: str
    subject: str
    outcome: Outcome | None
    tests: tuple[str, ...]


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What a push would publish: how many `commits`, how many of them are `doubtful`, and why.

    Shape: at most `SHOWN` doubts, failures first, then newest first; `more` is how many are left out.
    `untested` is what to tell `git limmat run` so that it tests what is unknown: a few commits,
    or the range they are in; empty for none, or for branches that have no range together.
    """

    commits: int
    doubtful: int
    doubts: tuple[Doubt, ...]
    more: int
    untested: tuple[str, ...]


def look_ahead(project: Project, remote: str | None, updates: Sequence[Update]) -> Outlook:
    """Return what is known about the selected tests on the commits that `updates` would publish.

    `remote` is the name of a remote, None for an address. Branches without the config file count only if it
    is in no branch at all, as far as HEAD says.
    Raises: LimmatError.
    """
    name = _tracked(project)
    commits = outgoing(project.repository, updates, remote, unless_without=name)
    view = project.store.view()
    found = [
        (commit, outcome, tests)
        for commit in commits
        for outcome, tests in _doubts(project, view, commit).items()
    ]
    found.sort(key=lambda doubt: _ORDER.index(doubt[1]))
    ids = list(dict.fromkeys(commit.id for commit, _, _ in found[:SHOWN]))
    short, titles = abbreviations(project.repository, ids), subjects(project.repository, ids)
    return Outlook(
        commits=len(commits),
        doubtful=len({commit.id for commit, _, _ in found}),
        doubts=tuple(
            Doubt(
                id=commit.id,
                abbreviated=short[commit.id],
                subject=titles[commit.id],
                outcome=outcome,
                tests=tests,
            )
            for commit, outcome, tests in found[:SHOWN]
        ),
        more=max(len(found) - SHOWN, 0),
        untested=_untested(
            project, commits, [commit.id for commit, outcome, _ in found if outcome is None], updates
        ),
    )


def _doubts(project: Project, view: View, commit: Commit) -> dict[Outcome | None, tuple[str, ...]]:
    """Return the tests that have not passed, by outcome. One that was cancelled says nothing."""
    groups: dict[Outcome | None, tuple[str, ...]] = {}
    for test in project.tests:
        result = standing_result(view, subject_of(test, commit), project.definitions[test.name])
        outcome = None if result is None or result.outcome is Outcome.CANCELLED else result.outcome
        if outcome not in _GOOD:
            groups[outcome] = (*groups.get(outcome, ()), test.name)
    return groups


def _untested(
    project: Project, commits: Sequence[Commit], unknown: Sequence[str], updates: Sequence[Update]
) -> tuple[str, ...]:
    if len(unknown) <= _FEW:
        return tuple(abbreviations(project.repository, unknown).values())
    names = {update.local_ref.removeprefix("refs/heads/") for update in updates if not update.deletes}
    if len(names) > 1:
        return ()
    oldest = commits[-1].id
    parent = find_commits(project.repository, [f"{oldest}^"])[f"{oldest}^"]
    start = oldest if parent is None else parent.id
    words = f"{abbreviations(project.repository, [start])[start]}..{names.pop()}"
    return (words,) if parent is not None else ("--include-base", words)


def _tracked(project: Project) -> str | None:
    """Return the name of the config file in HEAD's tree, None when it is not there."""
    top, path = project.repository.worktree, project.config_path
    if top is None or path is None:
        return None
    name = _relative(path, top)
    head = find_commits(project.repository, ["HEAD"])["HEAD"]
    if name is None or head is None or "\n" in name:
        return None
    return name if with_file(project.repository, [head.id], name) else None


def _relative(path: Path, top: Path) -> str | None:
    try:
        return (path.parent.resolve() / path.name).relative_to(top.resolve()).as_posix()
    except ValueError:
        return None
