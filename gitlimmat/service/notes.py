"""Keep the notes that `git log` shows in step with the results.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gitlimmat.git.revision import existing
from gitlimmat.model import Commit, subject_of
from gitlimmat.service.newest import Newest, newest_results, standing_result
from gitlimmat.service.project import Project
from gitlimmat.store.notes import NoteLine, noted_commits, update_notes


def refresh_notes(project: Project, commits: Sequence[Commit]) -> None:
    """Make the note of each of `commits` show the newest result of each test there is.

    A test as it is configured now counts before what an older definition of it has left. What cannot be
    written is a warning: notes are only a view.
    """
    update_notes(project.store, [(commit, _lines(project, commit)) for commit in commits])


def refresh_changed(project: Project, subjects: Collection[str]) -> None:
    """Do the same for each commit with a note that is, or whose tree is, one of `subjects`."""
    commits = existing(project.repository, noted_commits(project.store))
    changed = [commit for commit in commits if commit.id in subjects or commit.tree in subjects]
    refresh_notes(project, changed)


def _lines(project: Project, commit: Commit) -> list[NoteLine]:
    view = project.store.view()
    newest = newest_results(view, commit)
    for test in project.all_tests:
        subject = subject_of(test, commit)
        current = standing_result(view, subject, project.definitions[test.name])
        if current is not None:
            newest[test.name] = Newest(subject, current)
    places = {test.name: place for place, test in enumerate(project.all_tests)}
    names = sorted(newest, key=lambda name: (places.get(name, len(places)), name))
    return [NoteLine(subject=newest[name].subject, result=newest[name].result) for name in names]
