"""The view of results that `git log --notes=limmat` shows: one note a commit, made anew from the results.

Layer:  store.
Owns:   refs/notes/limmat, or what `limmat.notesRef` names instead.
Format: 1. A parentless commit of a tree `<aa>/<rest of commit id>` of notes. A note is
            limmat: <n> passed, <n> failed
            commit <commit id>
            tree <tree id>
            <outcome> <test> (<reason>, <elapsed>)
            more: git limmat show <start of commit id>
        The second line tells on which commit it was put, so that a copy elsewhere shows; the third is there
        when a result is about the tree. Nothing is ever read back from here but whether a note is ours: a
        view must not become the truth.

Lines are short, so that they read well in a narrow window and git has little to unpack. With the id of the
subject in each of ten lines `git log -n1000` took 2.6 times as long as without notes, now 1.7 times; with one
and the same word in all notes it is 1.3 times (measured).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from gitlimmat.errors import GitError, LimmatError, RefMovedError
from gitlimmat.git.database import database_of
from gitlimmat.git.objects import (
    MODE_TREE,
    CommitHeader,
    DamagedObjectError,
    Entry,
    ObjectBatch,
    has_object,
    read_blob,
    read_commit,
    read_tree,
)
from gitlimmat.git.refs import RefUpdate, is_locked, read_ref, remove_stale_lock, update_refs
from gitlimmat.git.repository import Repository
from gitlimmat.git.stored import is_out_of_reach
from gitlimmat.model import Commit, Outcome, Result, duration
from gitlimmat.store.edit import Edit
from gitlimmat.store.locks import update_lock
from gitlimmat.store.names import split_subject
from gitlimmat.store.store import Store

_ID_LENGTH = 40
_NAMESPACE = "refs/notes/"
_FIRST = b"limmat: "
_SECOND = b"commit "
_OUTCOMES = "|".join(Outcome)
_LINE = re.compile(
    rf"limmat: .*|(?:commit|tree) [0-9a-f]+|(?:{_OUTCOMES}) .+ \(.*\)|more: git limmat show [0-9a-f]+|"
    rf".+  (?:{_OUTCOMES}) +\(.*\)  subject [0-9a-f]+|".encode()  # the longer lines of version 0.1
)
_REASON = 48  # characters; what has more is cut
_SHOWN_ID = 12  # hexadecimal digits
_IDENTITY = "git-limmat <git-limmat@localhost>"
_MESSAGE = "Notes of git-limmat\n"
_UPDATE_WITHIN_S = 5.0


class NoteLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a note says of one test: the result that stands for it, and the subject that is about."""

    subject: str
    result: Result


class Note(NamedTuple):
    """A note as it is: the commit it is on, its text (None when it is damaged), and whether it is ours."""

    commit: str
    text: bytes | None
    is_ours: bool


Notes = Sequence[tuple[Commit, Sequence[NoteLine]]]


def update_notes(store: Store, commits: Notes) -> bool:
    """Make the note of each commit say what its lines do; a commit without lines loses its note.

    Notes that are not ours stay. Says whether the view is now as asked; if not, a warning told why. It is
    only a view, so nothing is raised.
    """
    if store.notes_ref is None or not commits:
        return True
    if not store.notes_ref.startswith(_NAMESPACE):
        store.warn_once(f"notes are not updated: '{store.notes_ref}' is not below '{_NAMESPACE}'")
        return False
    try:
        repository = database_of(store.repository)
        with update_lock(store.repository.state_dir):
            return _update(store, repository, store.notes_ref, commits)
    except (LimmatError, OSError) as error:
        store.warn_once(f"notes are not updated: {error}")
        return False


def noted_commits(store: Store) -> tuple[str, ...]:
    """Return the ids of all commits that have a note in our notes ref, whoever wrote it."""
    repository = database_of(store.repository)
    try:
        root = read_ref(repository.objects, store.notes_ref) if store.notes_ref is not None else None
    except GitError:
        return ()
    header = _header(repository, root) if root is not None else None
    found = _blobs(repository, header.tree, b"") if header is not None else ()
    return tuple(name.decode(errors="replace") for name, _ in found if len(name) == _ID_LENGTH)


def read_notes(store: Store) -> Iterator[Note]:
    """Yield every note in our notes ref, whoever wrote it.

    Raises: GitError when the ref cannot be read, DamagedObjectError when it leads to something else.
    """
    repository = database_of(store.repository)
    root = read_ref(repository.objects, store.notes_ref) if store.notes_ref is not None else None
    header = _header(repository, root) if root is not None else None
    for name, entry in _blobs(repository, header.tree, b"") if header is not None else ():
        if len(name) == _ID_LENGTH:
            try:
                text = read_blob(repository.objects, entry.oid)
            except DamagedObjectError:
                text = None
            yield Note(name.decode(errors="replace"), text, text is None or _has_our_mark(text))


def _blobs(repository: Repository, tree: str, above: bytes) -> Iterator[tuple[bytes, Entry]]:
    for name, entry in _entries(repository, tree).items():
        if entry.mode == MODE_TREE:
            yield from _blobs(repository, entry.oid, above + name)
        else:
            yield above + name, entry


def _update(store: Store, repository: Repository, ref: str, commits: Notes) -> bool:
    end = time.monotonic() + _UPDATE_WITHIN_S
    while True:
        old = read_ref(repository.objects, ref)
        batch = ObjectBatch(repository)
        header = _header(repository, old) if old is not None else None
        tree = header.tree if header is not None else None
        top = Edit(lambda oid: _entries(repository, oid), tree)
        foreign = [commit.id for commit, lines in commits if not _put(top, repository, batch, commit, lines)]
        if foreign:
            store.warn_once(
                f"{len(foreign)} note(s) in '{ref}' are not ours and stay as they are, "
                f"such as that of commit '{foreign[0]}'; set limmat.notesRef to keep ours elsewhere"
            )
        new = top.write(batch)
        if new == tree or _move(
            repository, batch, RefUpdate(ref, _commit(repository, batch, new, old), old), end
        ):
            return not foreign


def _move(repository: Repository, batch: ObjectBatch, update: RefUpdate, end: float) -> bool:
    try:
        batch.write()
        update_refs(repository.git, [update], "limmat: update notes")
        batch.confirm()
    except RefMovedError:
        if time.monotonic() > end:
            raise
        return False
    except GitError:
        if not remove_stale_lock(repository.common_dir, update.name) and (
            time.monotonic() > end or not is_locked(repository.common_dir, update.name)
        ):
            raise
        return False
    finally:
        batch.release()
    return True


def _commit(repository: Repository, batch: ObjectBatch, tree: str | None, old: str | None) -> str:
    """Return a commit of the notes. Ours have no history: that of a view is worth nothing.

    History that others have made there is kept, by having the parents of what is replaced.
    """
    parents: tuple[str, ...] = ()
    if old is not None and (header := _header(repository, old)) is not None:
        parents = header.parents if header.author.startswith(_IDENTITY) else (old,)
    who = f"{_IDENTITY} {int(time.time())} +0000"
    lines = [f"tree {tree or batch.tree({})}", *(f"parent {parent}" for parent in parents)]
    return batch.commit("\n".join((*lines, f"author {who}", f"committer {who}", "", _MESSAGE)).encode())


def _header(repository: Repository, oid: str) -> CommitHeader | None:
    """Return the header of the newest notes commit, None when it is missing: then all is made anew.

    Raises: DamagedObjectError when the ref points at something else, which is not ours to replace.
    """
    try:
        return read_commit(repository.objects, oid)
    except DamagedObjectError:
        if has_object(repository.objects, oid) or is_out_of_reach(repository, "commit", oid):
            raise
        return None


def _entries(repository: Repository, oid: str) -> dict[bytes, Entry]:
    try:
        return read_tree(repository.objects, oid)
    except DamagedObjectError:
        if is_out_of_reach(repository, "tree", oid):
            raise
        return {}


def _put(
    top: Edit, repository: Repository, batch: ObjectBatch, commit: Commit, lines: Sequence[NoteLine]
) -> bool:
    """Put the note of one commit in place; return False when there is one of someone else.

    Git finds a note at any depth (git-notes(1)) and moves notes about when it writes some itself.
    """
    first, rest = split_subject(commit.id)
    folder = top.child(first)
    places = [(top, first + rest), (folder, rest)]
    if rest[:2] in folder.entries:
        places.append((folder.child(rest[:2]), rest[2:]))
    found = [(place, name) for place, name in places if name in place.entries]
    if not all(_is_ours(repository, place.entries[name]) for place, name in found):
        return False
    for place, name in found:
        place.set(name, None)
    if lines:
        folder.set_blob(rest, batch.blob(render_note(commit, lines)))
    return True


def _is_ours(repository: Repository, entry: Entry) -> bool:
    try:
        return _has_our_mark(read_blob(repository.objects, entry.oid))
    except DamagedObjectError:
        return True


def _has_our_mark(text: bytes) -> bool:
    """Whether we have written all of a note; git may have joined or sorted copies of several."""
    lines = text.split(b"\n")
    marks = (any(line.startswith(mark) for line in lines) for mark in (_FIRST, _SECOND))
    return all(marks) and all(_LINE.fullmatch(line) for line in lines if line)


def render_note(commit: Commit, lines: Sequence[NoteLine]) -> bytes:
    """Return the text of the note of `commit`."""
    trees = dict.fromkeys(line.subject for line in lines if line.subject != commit.id)
    text = [
        f"limmat: {_summary(line.result.outcome for line in lines)}",
        f"commit {commit.id}",
        *(f"tree {tree}" for tree in trees),
        *(fact_line(line.result) for line in lines),
        f"more: git limmat show {commit.id[:_SHOWN_ID]}",
    ]
    return "\n".join((*text, "")).encode(errors="backslashreplace")


def fact_line(result: Result) -> str:
    """Return the line of a note that says what came of one test."""
    reason = result.reason if len(result.reason) <= _REASON else f"{result.reason[: _REASON - 3]}..."
    about = ", ".join(filter(None, (reason, duration(result.elapsed))))
    return f"{result.outcome.value} {_plain(result.test)} ({_plain(about)})"


def _plain(text: str) -> str:
    """Return `text` without control characters; what is no text stays, to be escaped."""
    return "".join(each if each.isprintable() or "\ud800" <= each <= "\udfff" else " " for each in text)


def _summary(outcomes: Iterable[Outcome]) -> str:
    seen = list(outcomes)
    counts = ((outcome, seen.count(outcome)) for outcome in Outcome)
    return ", ".join(f"{count} {outcome.value}" for outcome, count in counts if count)
