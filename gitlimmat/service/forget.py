"""Remove results a user no longer wants.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitlimmat.model import Commit, Result
from gitlimmat.service.notes import refresh_changed
from gitlimmat.service.project import Project
from gitlimmat.service.prompt import clear_prompt


def forget(
    project: Project, commits: Sequence[Commit], names: Sequence[str], *, dry_run: bool
) -> tuple[tuple[str, Result], ...]:
    """Remove the results about `commits` and their trees, of the tests `names` or of all tests.

    Returns what was (or would be) removed, with the subject of each.
    """
    subjects = list(dict.fromkeys(subject for commit in commits for subject in (commit.id, commit.tree)))
    chosen = frozenset(names)

    def wanted(subject: str, result: Result) -> bool:
        return not chosen or result.test in chosen

    gone = project.store.forget(wanted, subjects, dry_run=dry_run)
    if gone and not dry_run:
        refresh_changed(project, {subject for subject, _ in gone})
        clear_prompt(project.repository)
    return gone
