"""The references to source files in what failed tests of a commit have printed.

Layer: service.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from gitlimmat.git.paths import tracked_paths
from gitlimmat.model import Outcome
from gitlimmat.service.project import Project
from gitlimmat.service.references import Files, Reference, find_references
from gitlimmat.service.show import read_output, show

_LONGEST_OUTPUT = 64 << 20
_BAD = (Outcome.FAILED, Outcome.ERRORED)
# Slots of pools as `git.pool` lays them out, also of another user or host, and temporary worktrees.
_POOL = r".*/limmat(?:-\d+)?/[^/]+-[0-9a-f]{8}/\d+"


def quickfix(project: Project, revision: str, name: str | None) -> Iterator[Reference]:
    """Yield the references of each failed test of a commit, in the order of tests.

    Raises: as `show`.
    """
    commit, _, shown = show(project, revision, name, history=False)
    files: Files | None = None
    for entry in shown:
        result = entry.result
        if result is None or entry.stale or result.outcome not in _BAD:
            continue
        for stored in result.outputs.values():
            if stored.size > _LONGEST_OUTPUT:
                project.warn(f"output of '{entry.test}' is too long to be searched")
            elif stored.size:
                files = files or Files(tracked_paths(project.repository, commit.id), _roots(project))
                yield from find_references(read_output(project, stored.oid).decode(errors="replace"), files)


def path_from(project: Project, path: str, directory: Path) -> str:
    """Return a path of the worktree as seen from `directory`, or from its top when that is elsewhere."""
    top = project.repository.worktree
    if top is None or not directory.is_relative_to(top):
        return path
    return os.path.relpath(top / path, directory)


def _roots(project: Project) -> list[str]:
    prefix = re.escape(project.settings.worktree_prefix)
    return [_POOL, rf".*/{prefix}-\d+-\d+", re.escape(str(project.origin))]
