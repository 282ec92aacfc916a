"""The notes view: what git shows beside commits, made from results and never read back."""

from __future__ import annotations

import time

import msgspec
import pytest
from conftest import Repo
from stored import Opened, definition, oid, open_store, record

from gitlimmat.model import Commit, Outcome
from gitlimmat.store.notes import NoteLine, render_note, update_notes

REF = "refs/notes/limmat"


def commit_of(repo: Repo, name: str = "HEAD") -> Commit:
    """Return a commit of the repository."""
    return Commit(id=repo.git("rev-parse", name), tree=repo.git("rev-parse", f"{name}^{{tree}}"))


def line(test: str, outcome: Outcome = Outcome.PASSED, reason: str = "", subject: str = "") -> NoteLine:
    """Return what a note says of one test."""
    made = record(subject or oid("subject"), definition(test), outcome)
    return NoteLine(subject=made.subject, result=msgspec.structs.replace(made.result, reason=reason))


@pytest.fixture
def store(repo: Repo) -> Opened:
    """The store of a repository with one commit."""
    repo.commit("base")
    return open_store(repo)


def test_git_shows_the_note_of_a_commit(repo: Repo, store: Opened) -> None:
    """One readable line for each test, with its subject, under `git log --notes` and `git notes`."""
    commit = commit_of(repo)
    lines = [line("unit"), line("longer name", Outcome.FAILED, "exit 3")]

    assert update_notes(store, [(commit, lines)])

    told = repo.git("notes", "--ref=limmat", "show", commit.id).splitlines()
    assert told == [
        "limmat: 1 passed, 1 failed",
        f"commit {commit.id}",
        f"tree {oid('subject')}",
        "passed unit (2.0 s)",
        "failed longer name (exit 3, 2.0 s)",
        f"more: git limmat show {commit.id[:12]}",
    ]
    assert "limmat: 1 passed, 1 failed" in repo.git("log", "-1", "--notes=limmat")
    assert store.warnings == []


def test_notes_of_many_commits_are_one_commit_without_history(repo: Repo, store: Opened) -> None:
    """A view has no past: `git log --all` gains one commit however often it is updated."""
    repo.commit("second")
    both = [(commit_of(repo), [line("unit")]), (commit_of(repo, "HEAD~1"), [line("unit")])]
    for _ in range(3):
        update_notes(store, both)
        update_notes(store, [(both[0][0], [line("unit", Outcome.FAILED)])])

    assert repo.git("rev-list", "--count", REF) == "1"
    assert len(repo.git("notes", "--ref=limmat", "list").splitlines()) == 2
    assert len(repo.git("log", "--all", "--format=%s").splitlines()) == 3
    assert repo.git("fsck", "--strict").count("error") == 0


def test_a_thousand_notes_take_less_than_a_second(repo: Repo, store: Opened) -> None:
    """A batch is one tree, one commit and one move of the ref."""
    commits = [Commit(id=oid(number), tree=oid(-number)) for number in range(1000)]
    lines = [line(f"test-{number}") for number in range(10)]
    began = time.process_time()
    update_notes(store, [(commit, lines) for commit in commits])
    update_notes(store, [(commit, lines[1:]) for commit in commits])
    assert time.process_time() - began < 2

    assert len(repo.git("notes", "--ref=limmat", "list").splitlines()) == 1000


def test_a_commit_without_results_loses_its_note(repo: Repo, store: Opened) -> None:
    """A view shows what is there now."""
    commit = commit_of(repo)
    update_notes(store, [(commit, [line("unit")])])
    update_notes(store, [(commit, [])])
    assert repo.git("notes", "--ref=limmat", "list") == ""


def test_an_unchanged_view_writes_nothing(repo: Repo, store: Opened) -> None:
    """The ref stays when the notes are as they should be already."""
    wanted = [(commit_of(repo), [line("unit")])]
    update_notes(store, wanted)
    before = repo.git("rev-parse", REF)
    update_notes(store, wanted)
    assert repo.git("rev-parse", REF) == before


def test_notes_of_others_stay_with_one_warning(repo: Repo, store: Opened) -> None:
    """A note we did not write is neither replaced nor joined, and the history of its author is kept."""
    first = commit_of(repo)
    repo.git("notes", "--ref=limmat", "add", "-m", "limmat: my own words")
    theirs = repo.git("rev-parse", REF)
    repo.commit("second")
    second = commit_of(repo)

    for _ in range(2):
        assert not update_notes(store, [(first, [line("unit")]), (second, [line("unit")])])
    update_notes(store, [(second, [line("unit", Outcome.FAILED)])])

    assert repo.git("notes", "--ref=limmat", "show", first.id) == "limmat: my own words"
    assert "1 failed" in repo.git("notes", "--ref=limmat", "show", second.id)
    assert repo.git("rev-list", REF).splitlines()[1:] == [theirs]
    (warning,) = store.warnings
    assert f"not ours and stay as they are, such as that of commit '{first.id}'" in warning


def test_our_notes_are_found_where_git_puts_them(repo: Repo, store: Opened) -> None:
    """`git notes` moves notes between flat and nested places; ours are still ours, and there once."""
    first = commit_of(repo)
    update_notes(store, [(first, [line("unit")])])
    repo.commit("second")
    repo.git("notes", "--ref=limmat", "add", "-m", "note of the user")
    assert first.id in repo.git("ls-tree", "--name-only", REF)

    update_notes(store, [(first, [line("unit", Outcome.FAILED)])])

    assert repo.git("notes", "--ref=limmat", "show", first.id).startswith("limmat: 1 failed")
    assert repo.git("notes", "--ref=limmat", "show", "HEAD") == "note of the user"
    assert len(repo.git("ls-tree", "-r", "--name-only", REF).splitlines()) == 2


def test_a_copied_note_shows_where_it_belongs(repo: Repo, store: Opened) -> None:
    """`notes.rewriteRef` copies notes to amended commits: the commit id in it tells, and we replace it."""
    repo.git("config", "notes.rewriteRef", REF)
    old = commit_of(repo)
    update_notes(store, [(old, [line("unit")])])
    repo.reword("main", "reworded")
    new = commit_of(repo)
    assert f"commit {old.id}" in repo.git("notes", "--ref=limmat", "show", new.id)

    update_notes(store, [(new, [line("unit")])])

    assert f"commit {new.id}" in repo.git("notes", "--ref=limmat", "show", new.id)


@pytest.mark.parametrize("trouble", ["directory", "symbolic", "broken", "blob", "elsewhere"])
def test_trouble_with_the_ref_is_one_warning(repo: Repo, store: Opened, trouble: str) -> None:
    """Notes are only a view: whatever is in the way of the ref is told, and nothing of it is touched."""
    head = repo.git("rev-parse", "HEAD")
    match trouble:
        case "directory":
            repo.git("update-ref", f"{REF}/x", head)
        case "symbolic":
            repo.git("symbolic-ref", REF, "refs/heads/main")
        case "broken":
            (repo.path / ".git" / "refs" / "notes").mkdir()
            (repo.path / ".git" / REF).write_text("garbage\n")
        case "blob":
            repo.git("update-ref", REF, repo.git("hash-object", "-w", "--stdin", stdin="x"))
        case "elsewhere":
            store = open_store(repo, notes="refs/heads/main")
    before = repo.git("for-each-ref", check=False)

    for _ in range(2):
        assert not update_notes(store, [(commit_of(repo), [line("unit")])])

    assert repo.git("for-each-ref", check=False) == before
    assert repo.git("rev-parse", "main") == head
    (warning,) = store.warnings
    assert warning.startswith("notes are not updated: ")


def test_notes_need_no_user_name(repo: Repo, store: Opened) -> None:
    """The view is written by the program, not in the user's name."""
    assert update_notes(store, [(commit_of(repo), [line("unit")])])
    assert (
        repo.git("log", "-1", "--format=%an <%ae> %cn", REF) == "git-limmat <git-limmat@localhost> git-limmat"
    )


def test_a_missing_notes_object_is_made_anew(repo: Repo, store: Opened) -> None:
    """A view that is lost is no loss."""
    commit = commit_of(repo)
    update_notes(store, [(commit, [line("unit")])])
    found = repo.git("rev-parse", REF)
    (repo.path / ".git" / "objects" / found[:2] / found[2:]).unlink()

    assert update_notes(open_store(repo), [(commit, [line("unit")])])
    assert repo.git("notes", "--ref=limmat", "show").startswith("limmat: 1 passed")


def test_a_note_survives_any_text() -> None:
    """A test may be called, or fail for, what is no text."""
    commit = Commit(id=oid("c"), tree=oid("t"))
    assert b"\\udcff" in render_note(commit, [line("unit", reason="\udcff")])


def test_a_note_has_short_lines_and_no_control_characters(repo: Repo, store: Opened) -> None:
    """It reads well in a narrow window, whatever a test has to say."""
    commit = commit_of(repo)
    update_notes(store, [(commit, [line("unit", Outcome.FAILED, "\x1b[31mwhy\n" * 20)])])

    text = repo.git("notes", "--ref=limmat", "show", commit.id)

    assert max(map(len, text.splitlines())) <= 72
    assert text.isprintable() or set(text) - {"\n"} == {each for each in text if each.isprintable()}
    assert len(text.splitlines()) == 5


OLD = """limmat: 1 passed, 1 failed
commit {commit}
unit         passed     (2.0 s)  subject {commit}
longer name  failed     (exit 3, 2.0 s)  subject {commit}"""
"""A note as version 0.1 wrote it."""


def test_an_old_note_is_ours(repo: Repo, store: Opened) -> None:
    """Notes in the form of version 0.1 are replaced."""
    commit = commit_of(repo)
    repo.git("notes", "--ref=limmat", "add", "-m", OLD.format(commit=commit.id))
    assert update_notes(store, [(commit, [line("unit")])])
    assert repo.git("notes", "--ref=limmat", "show").startswith("limmat: 1 passed\n")


def test_what_a_user_adds_to_our_note_stays(repo: Repo, store: Opened) -> None:
    """`git notes append` makes it the user's, and that is told."""
    commit = commit_of(repo)
    update_notes(store, [(commit, [line("unit")])])
    repo.git("notes", "--ref=limmat", "append", "-m", "failed because of the weather")

    assert not update_notes(store, [(commit, [line("unit", Outcome.FAILED)])])

    assert repo.git("notes", "--ref=limmat", "show").endswith("failed because of the weather")
    assert "not ours" in store.warnings[0]


@pytest.mark.parametrize("mode", ["overwrite", "concatenate", "cat_sort_uniq"])
def test_what_git_makes_of_copies_is_ours(repo: Repo, store: Opened, mode: str) -> None:
    """With `notes.rewriteMode`, git joins copies of our notes; they are replaced all the same."""
    repo.git("config", "notes.rewriteRef", "refs/notes/*")
    repo.git("config", "notes.rewriteMode", mode)
    for name in ("one", "two"):
        repo.commit(name)
        update_notes(store, [(commit_of(repo), [line(name)])])
    repo.git("-c", "sequence.editor=sed -i 2s/pick/fixup/", "rebase", "-q", "-i", "HEAD~2")
    joined = commit_of(repo)
    assert "passed two" in repo.git("notes", "--ref=limmat", "show")

    assert update_notes(store, [(joined, [line("three")])])

    assert store.warnings == []
    assert repo.git("notes", "--ref=limmat", "show").splitlines()[3:] == [
        "passed three (2.0 s)",
        f"more: git limmat show {joined.id[:12]}",
    ]
