"""Keep the notes that `git log` shows in step with the results.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from gitlimmat.git.revision import existing
from gitlimmat.model import Commit, subject_of
from gitlimmat.service.newest import Newest, newest_results, standing_result
from gitlimmat.service.project import Project
from gitlimmat.store.notes import Note, NoteLine, noted_commits, read_notes, render_note, update_notes
from gitlimmat.store.view import View


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


class NotesState(NamedTuple):
    """How the notes stand to the results: `stale` are commits whose note is wrong, incomplete or missing."""

    total: int
    foreign: int
    stale: tuple[Commit, ...]


def check_notes(project: Project) -> NotesState:
    """Compare the notes with the results. Writes nothing.

    A note may lack what was learned later about the same tree on another commit.
    Raises: LimmatError when notes or results cannot be read.
    """
    if project.store.notes_ref is None:
        return NotesState(0, 0, ())
    view = project.store.view()
    notes = {note.commit: note for note in read_notes(project.store)}
    tested = {result.commit for subject in view.subjects() for result in view.scan(subject)}
    commits = existing(project.repository, sorted(tested | notes.keys()))
    foreign = {note.commit for note in notes.values() if not note.is_ours}
    stale = [
        commit
        for commit in commits
        if commit.id not in foreign and not _agrees(view, commit, notes.get(commit.id))
    ]
    return NotesState(len(notes), len(foreign), tuple(stale))


def _agrees(view: View, commit: Commit, note: Note | None) -> bool:
    """Whether all that a note says is stored, and all that was learned on this commit is in it."""
    stored: dict[bytes, str] = {}
    needed: set[str] = set()
    for subject in (commit.id, commit.tree):
        for result in view.history(subject):
            line = render_note(commit, [NoteLine(subject=subject, result=result)]).splitlines()[-1]
            stored[b" ".join(line.split())] = result.test
            if result.commit == commit.id:
                needed.add(result.test)
    if note is None:
        return not needed
    said = [b" ".join(line.split()) for line in (note.text or b"").splitlines()]
    facts = said[2:]
    return (
        bool(facts)
        and said[1] == b"commit " + commit.id.encode()
        and needed <= {stored[line] for line in facts if line in stored}
        and all(line in stored for line in facts)
    )


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
