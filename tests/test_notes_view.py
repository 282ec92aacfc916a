"""`git limmat notes`: the view is as the results are, or is made so."""

from __future__ import annotations

import pytest
from conftest import Repo

from gitlimmat.git.revision import existing
from gitlimmat.service import notes
from gitlimmat.service.project import open_project
from gitlimmat.service.request import Request
from gitlimmat.store.notes import update_notes

REF = "refs/notes/limmat"
CONFIG = """
[[tests]]
name = "build"
command = "true"
cache = "by_tree"

[[tests]]
name = "unit"
command = "grep -q fine state"
"""


@pytest.fixture
def tested(repo: Repo) -> Repo:
    """Three commits with results: one has failed."""
    repo.config(CONFIG)
    for name, state in (("base", "fine"), ("second", "bad"), ("third", "fine too")):
        repo.commit(name, state=state)
    repo.limmat("run", "HEAD~2", "HEAD~2..HEAD", status=1)
    return repo


def note(repo: Repo, name: str = "HEAD") -> str:
    """Return the note of a commit, empty when it has none."""
    return repo.git("notes", "--ref=limmat", "show", name, check=False)


def all_notes(repo: Repo) -> dict[str, str]:
    """Return all notes by commit."""
    pairs = (line.split() for line in repo.git("notes", "--ref=limmat", "list").splitlines())
    return {commit: repo.git("cat-file", "-p", blob) for blob, commit in pairs}


def test_notes_are_in_step_after_a_run(tested: Repo) -> None:
    """The command says so, and exits with 0."""
    assert tested.limmat("notes") == f"3 notes in '{REF}', as the results are\n"
    assert note(tested, "HEAD~1").splitlines()[0] == "limmat: 1 passed, 1 failed"
    assert note(tested, "HEAD~1").splitlines()[4].startswith("failed unit (exit 1, ")


def test_a_run_without_notes_is_made_up_for(tested: Repo) -> None:
    """What is made anew is what was there, to the byte."""
    before = all_notes(tested)
    tested.git("update-ref", "-d", REF)

    assert tested.limmat("notes", status=1).endswith(f"3 notes in '{REF}' not as the results are\n")
    assert tested.limmat("notes", "--rebuild") == f"wrote 3 notes and removed 0 in '{REF}'\n"

    assert all_notes(tested) == before
    assert tested.limmat("notes", "--rebuild") == f"3 notes in '{REF}', all as the results are\n"


def test_a_dry_run_writes_nothing(tested: Repo) -> None:
    """It names the commits."""
    tested.git("notes", "--ref=limmat", "remove", "HEAD~1")
    before = tested.git("rev-parse", REF)

    said = tested.limmat("notes", "--rebuild", "--dry-run")

    short = tested.git("rev-parse", "--short", "HEAD~1")
    assert said == f"would write {short}\nwould write 1 note and remove 0 in '{REF}'\n"
    assert tested.git("rev-parse", REF) == before


def test_a_copy_of_a_note_is_out_of_step_and_replaced(tested: Repo) -> None:
    """With `notes.rewriteRef` an amended commit has the verdicts of another tree: those go."""
    tested.git("config", "notes.rewriteRef", "refs/notes/*")
    old = tested.git("rev-parse", "HEAD")
    tested.write("state", "bad again")
    tested.git("commit", "-q", "-a", "--amend", "-m", "third, changed")
    assert f"commit {old}" in note(tested)

    short = tested.git("rev-parse", "--short", "HEAD")
    assert f"out of step {short}\n" in tested.limmat("notes", status=1)
    tested.limmat("notes", "--rebuild")

    assert note(tested) == ""
    tested.limmat("notes")


def test_a_run_replaces_copies(tested: Repo) -> None:
    """Whatever comes of the test on the amended commit."""
    tested.git("config", "notes.rewriteRef", "refs/notes/*")
    tested.write("state", "bad again")
    tested.git("commit", "-q", "-a", "--amend", "-m", "third, changed")
    tested.limmat("run", "HEAD", status=1)
    assert f"commit {tested.git('rev-parse', 'HEAD')}" in note(tested)
    assert "failed unit" in note(tested)


def test_a_reworded_commit_gets_the_note_of_its_tree(tested: Repo) -> None:
    """A result about the tree stands for it; one about the commit does not."""
    tested.reword("main", "better words")
    tested.limmat("notes", "--rebuild")
    assert note(tested).splitlines()[:3] == [
        "limmat: 1 passed",
        f"commit {tested.git('rev-parse', 'HEAD')}",
        f"tree {tested.git('rev-parse', 'HEAD^{tree}')}",
    ]


def test_notes_without_results_are_removed(tested: Repo) -> None:
    """Also of commits that are gone."""
    text = note(tested)
    tested.git("update-ref", "-d", "refs/limmat/results")
    tested.git("notes", "--ref=limmat", "add", "-f", "-m", text.replace("passed", "failed"), "HEAD")

    assert tested.limmat("notes", "--rebuild") == f"wrote 0 notes and removed 3 in '{REF}'\n"

    assert tested.git("notes", "--ref=limmat", "list") == ""


def test_notes_of_somebody_else_stay(tested: Repo) -> None:
    """They are counted in a warning."""
    tested.git("notes", "--ref=limmat", "add", "-f", "-m", "my own words")
    done = tested.program("notes", "--rebuild")
    assert done.returncode == 0
    assert done.stderr.decode() == f"warning: 1 note in '{REF}' from somebody else, left alone\n"
    assert note(tested) == "my own words"
    assert tested.program("notes").stdout.decode() == f"2 notes in '{REF}', as the results are\n"


def test_without_notes_there_is_nothing_to_do(tested: Repo) -> None:
    """`limmat.notesRef = off`."""
    tested.git("config", "limmat.notesRef", "off")
    before = tested.git("rev-parse", REF)
    assert tested.limmat("notes", "--rebuild") == ""
    assert tested.git("rev-parse", REF) == before


def test_notes_that_cannot_be_written_are_a_failure(tested: Repo) -> None:
    """Here they were asked for: the status says so."""
    tested.git("config", "limmat.notesRef", "refs/notes/limmat/more")
    done = tested.program("notes", "--rebuild")
    assert done.returncode == 128
    assert b"notes are not updated" in done.stderr


def test_a_dry_run_of_nothing_is_refused(tested: Repo) -> None:
    """Looking never writes."""
    assert b"needs '--rebuild'" in tested.program("notes", "-n").stderr


def test_git_log_shows_short_lines(tested: Repo) -> None:
    """No line needs more than 80 columns, and nothing in it is an escape code."""
    said = tested.git("log", "--notes=limmat")
    assert max(map(len, said.splitlines())) <= 80
    assert "\x1b" not in said
    assert said.count("    more: git limmat show ") == 3


def test_results_stored_meanwhile_are_not_lost_from_notes(
    tested: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes notes looks again whether more is known, so the last one is right."""
    monkeypatch.chdir(tested.path)
    tested.commit("fourth", state="fine")
    project = open_project(Request(), print)
    (commit,) = existing(project.repository, [tested.git("rev-parse", "HEAD")])
    real = update_notes
    calls: list[str] = []

    def first_somebody_else(*arguments: object) -> bool:
        if not calls:
            calls.append(tested.limmat("run", "HEAD"))
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(notes, "update_notes", first_somebody_else)
    notes.refresh_notes(project, [commit])

    assert calls
    assert note(tested).startswith("limmat: 2 passed")
