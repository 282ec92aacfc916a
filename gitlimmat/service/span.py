"""Which commits a command is about.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitlimmat.git.revision import find_base, list_commits
from gitlimmat.model import Commit
from gitlimmat.service.project import Project


def commits_of(
    project: Project,
    revisions: Sequence[str],
    *,
    stdin: Sequence[str] = (),
    include_base: bool = False,
    given: bool = False,
) -> tuple[Commit, ...]:
    """Return the commits that `revisions` and `stdin` name; with neither, those from the base to HEAD.

    `given` says that the user named a source of revisions, even if it turned out to be empty.
    """
    if not revisions and not stdin and not given:
        base = find_base(project.repository, project.settings.base)
        revisions = [f"{base.revision}..HEAD"]
    return list_commits(project.repository, revisions, stdin=stdin, include_base=include_base)
