"""Keep the notes that `git log` shows in step with the results.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from gitlimmat.git.reach import reachable_commits
from gitlimmat.git.revision import existing
from gitlimmat.model import Commit, subject_of
from gitlimmat.service.newest import Newest, newest_results, standing_result
from gitlimmat.service.project import Project
from gitlimmat.store.notes import (
    Note,
    NoteLine,
    fact_line,
    noted_commits,
    read_notes,
    render_note,
    update_notes,
)
from gitlimmat.store.view import View


def refresh_notes(project: Project, commits: Sequence[Commit]) -> None:
    """Make the note of each of `commits` show the newest result of each test there is.

    A test as it is configured now counts before what an older definition of it has left. What cannot be
    written is a warning: notes are only a view.
    """
    while commits:
        view = project.store.view()
        if not update_notes(project.store, [(commit, _lines(project, view, commit)) for commit in commits]):
            return
        commits = _changed(project, view, commits)


def _changed(project: Project, before: View, commits: Iterable[Commit]) -> list[Commit]:
    """Return those of `commits` about which more is stored now: what was written may be older than that."""
    commits = list(commits)
    subjects = {subject for commit in commits for subject in (commit.id, commit.tree)}
    changed = project.store.view().changed_since(before, subjects)
    return [commit for commit in commits if commit.id in changed or commit.tree in changed]


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
    stored: dict[bytes, NoteLine] = {}
    needed: set[str] = set()
    for subject in (commit.id, commit.tree):
        for result in view.history(subject):
            line = NoteLine(subject=subject, result=result)
            stored[fact_line(result).encode(errors="backslashreplace")] = line
            if result.commit == commit.id:
                needed.add(result.test)
    if note is None:
        return not needed
    said = [stored[line] for line in (note.text or b"").split(b"\n") if line in stored]
    if not said or not needed <= {line.result.test for line in said}:
        return False
    # Results about the commit and about its tree may say the same, so which of them it was is not compared.
    return _without_tree(render_note(commit, said)) == _without_tree(note.text or b"")


def _without_tree(text: bytes) -> list[bytes]:
    return [line for line in text.split(b"\n") if not line.startswith(b"tree ")]


class Rebuilt(NamedTuple):
    """What a rebuild of all notes has changed, or would: `written` and `removed` are commits."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    total: int
    foreign: int
    done: bool


def rebuild_notes(project: Project, *, dry_run: bool) -> Rebuilt:
    """Make the note of every commit anew from the results, and remove notes of ours that have none.

    Those are all commits that anything of the user's leads to, and others on which tests have run.
    Raises: LimmatError when notes or results cannot be read. What cannot be written is a warning.
    """
    store = project.store
    if store.notes_ref is None:
        return Rebuilt((), (), 0, 0, True)
    view = store.view()
    subjects = set(view.subjects())
    notes = {note.commit: note for note in read_notes(store)}
    tested = {result.commit for subject in subjects for result in view.scan(subject)}
    found = {commit.id: commit for commit in reachable_commits(project.repository)}
    rest = sorted((tested | notes.keys()) - found.keys())
    found |= {commit.id: commit for commit in existing(project.repository, rest)}
    wanted = {
        commit.id: (commit, lines)
        for commit in found.values()
        if (commit.id in subjects or commit.tree in subjects) and (lines := _lines(project, view, commit))
    }
    written = []
    for oid, (commit, lines) in wanted.items():
        note = notes.get(oid)
        if note is None or (note.is_ours and note.text != render_note(commit, lines)):
            written.append(oid)
    removed = [oid for oid, note in notes.items() if note.is_ours and oid not in wanted]
    done = True
    if not dry_run:
        gone = [(Commit(id=oid, tree=""), ()) for oid in removed]
        done = update_notes(store, [*(wanted[oid] for oid in written), *gone])
        refresh_notes(project, _changed(project, view, found.values()))
    foreign = sum(not note.is_ours for note in notes.values())
    return Rebuilt(tuple(written), tuple(removed), len(wanted), foreign, done)


def _lines(project: Project, view: View, commit: Commit) -> list[NoteLine]:
    newest = newest_results(view, commit)
    for test in project.all_tests:
        subject = subject_of(test, commit)
        current = standing_result(view, subject, project.definitions[test.name])
        if current is not None:
            newest[test.name] = Newest(subject, current)
    places = {test.name: place for place, test in enumerate(project.all_tests)}
    names = sorted(newest, key=lambda name: (places.get(name, len(places)), name))
    return [NoteLine(subject=newest[name].subject, result=newest[name].result) for name in names]
