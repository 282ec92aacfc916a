"""Everything that is stored about one commit.

Layer: service.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import msgspec

from gitlimmat.git.revision import resolve, subjects
from gitlimmat.model import Commit, Result
from gitlimmat.service.project import Project
from gitlimmat.store.artifacts import list_files
from gitlimmat.store.view import View

_ARTIFACTS_LISTED = 50


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One test of a commit: its result, if any, and what it was made with.

    `stale` says that the definition of the test has changed since; `configured` that the test is in the
    configuration now. `artifacts` are paths, the last entry may say how many more there are.
    """

    test: str
    result: Result | None
    stale: bool = False
    configured: bool = True
    command: str = ""
    artifacts: tuple[str, ...] = ()


def show(
    project: Project, revision: str, name: str | None, *, history: bool
) -> tuple[Commit, str, tuple[Shown, ...]]:
    """Return the commit, its subject line, and an entry for each test that is configured or has results.

    The newest result of each test comes first; with `history` all of them, newest first.
    """
    commit = resolve(project.repository, revision)
    view = project.store.view()
    stored: dict[str, list[Result]] = {}
    for subject in (commit.id, commit.tree):
        for result in view.history(subject):
            stored.setdefault(result.test, []).append(result)
    configured = [test.name for test in project.all_tests]
    names = [name] if name is not None else list(dict.fromkeys([*configured, *stored]))
    if name is not None and name not in stored:
        project.test(name)
    shown: list[Shown] = []
    for each in names:
        results = sorted(stored.get(each, ()), key=lambda result: result.started, reverse=True)
        shown += _entries(project, view, each, results, each in configured, history=history)
    return commit, subjects(project.repository, [commit.id])[commit.id], tuple(shown)


def read_output(project: Project, oid: str) -> bytes:
    """Return the bytes of a stored output."""
    return project.store.read_blob(oid)


def _entries(
    project: Project, view: View, name: str, results: Sequence[Result], configured: bool, *, history: bool
) -> list[Shown]:
    if not results:
        return [Shown(test=name, result=None, configured=configured)]
    current = project.definitions.get(name)
    fresh = [r for r in results if current is not None and view.definition(r.digest) == current.text]
    if not history:
        results = ([r for r in fresh if r.reusable] or fresh or results)[:1]
    return [
        Shown(
            test=name,
            result=result,
            stale=configured and result not in fresh,
            configured=configured,
            command=_command(view.definition(result.digest)),
            artifacts=_listing(project, result),
        )
        for result in results
    ]


def _command(definition: bytes | None) -> str:
    """Return the command in a stored definition as one would type it."""
    try:
        parsed = msgspec.json.decode(definition or b"{}", type=dict[str, object])
    except msgspec.DecodeError:
        parsed = {}
    own = parsed.get("test")
    command = own.get("command") if isinstance(own, dict) else None
    if isinstance(command, str):
        return command
    if isinstance(command, list):
        return shlex.join(str(word) for word in command)
    return "(definition not stored)"


def _listing(project: Project, result: Result) -> tuple[str, ...]:
    if result.artifacts is None:
        return ()
    files = list_files(project.store.database, result.artifacts.oid)
    if len(files) <= _ARTIFACTS_LISTED:
        return tuple(files)
    return (*files[:_ARTIFACTS_LISTED], f"… and {len(files) - _ARTIFACTS_LISTED} more")
