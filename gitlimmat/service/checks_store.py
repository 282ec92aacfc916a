"""Checks of what git limmat keeps in git: results and notes.

Layer: service.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from gitlimmat.errors import GitError
from gitlimmat.git.database import database_of
from gitlimmat.git.packs import count_loose, leftover_keeps, remove_mark
from gitlimmat.git.refs import BrokenRefError, delete_broken_ref, has_stale_lock, read_ref, remove_stale_lock
from gitlimmat.git.repository import Repository
from gitlimmat.model import counted
from gitlimmat.service.diagnosis import Check, Finding, Place, error, fine, warning
from gitlimmat.service.notes import check_notes, refresh_notes
from gitlimmat.store.locks import free_update_lock, update_lock
from gitlimmat.store.runs import running_jobs
from gitlimmat.store.store import RESULTS_REF
from gitlimmat.store.survey import Survey, restore, survey
from gitlimmat.store.view import FORMAT_NUMBER

_MANY_LOOSE = 6700  # gc.auto
_NAMED = 5
_HELD_S = 60.0  # a pack is held for milliseconds
_DEFAULT_NOTES_REF = "refs/notes/limmat"


def _ref_locks(place: Place) -> Iterator[Finding]:
    stale = [name for repository, name in _refs(place) if has_stale_lock(repository.common_dir, name)]
    for name in stale:
        yield warning(f"'{name}' was locked by a process that is gone", mendable=True)
    if not stale:
        yield fine("no ref of ours is locked")


def _unlock_refs(place: Place) -> Iterator[str]:
    for repository, name in _refs(place):
        state = place.project.store.state_dir if name == RESULTS_REF else place.repository.state_dir
        if has_stale_lock(repository.common_dir, name):
            with update_lock(state):
                if remove_stale_lock(repository.common_dir, name):
                    yield f"removed '{repository.common_dir / name}.lock'"


def _refs(place: Place) -> list[tuple[Repository, str]]:
    store = place.project.store
    found = []
    if (database := store.existing_database()) is not None:
        found.append((database, RESULTS_REF))
    if store.notes_ref is not None:
        found.append((place.repository, store.notes_ref))
    return found


def _results(place: Place) -> Iterator[Finding]:
    try:
        found = survey(place.project.store)
    except BrokenRefError as problem:
        yield error(f"all are lost: {problem.message}", mendable=True)
        return
    if found.root is None:
        yield fine("none are stored")
        return
    if found.format != FORMAT_NUMBER:
        yield warning(
            f"format {found.format or 'unknown'}, not {FORMAT_NUMBER}: nothing can be added",
            "update git-limmat",
        )
        return
    for fault in found.faults[:_NAMED]:
        yield error(fault, mendable=True)
    if len(found.faults) > _NAMED:
        yield error(f"{len(found.faults) - _NAMED} more like these", mendable=True)
    yield from _consequences(place, found)
    yield fine(
        f"{counted(found.results, 'result')} about {counted(found.subjects, 'subject')}, "
        f"{counted(found.definitions, 'definition')}, {counted(found.files, 'file')} in '{RESULTS_REF}'"
    )


def _consequences(place: Place, found: Survey) -> Iterator[Finding]:
    if found.bare and not found.faults:
        yield warning(f"{counted(len(found.bare), 'result')} without output or artifacts", mendable=True)
    if found.undefined:
        known = {each.digest for each in place.project.definitions.values()}
        yield warning(
            f"the definition of {counted(found.undefined, 'result')} is lost: not used for now",
            "they are good again once a test so defined has run",
            mendable=bool(found.undefined_digests & known),
        )
    if found.unreadable:
        yield warning(
            f"{counted(found.unreadable, 'result')} cannot be read and are ignored",
            "they are damaged, or a newer git-limmat wrote them",
        )


def _restore(place: Place) -> Iterator[str]:
    project = place.project
    known = {each.digest for each in project.definitions.values()}
    try:
        found, done = survey(project.store), []
    except BrokenRefError:
        found, done = Survey(), [f"made '{RESULTS_REF}' anew, without results"]
    restore(project.store, found, project.definitions.values())
    yield from done
    for fault in found.faults:
        yield f"took out: {fault}"
    for subject, test, _ in sorted(found.bare):
        yield f"forgot the result of '{test}' about '{subject}', whose files are lost; it will be run again"
    for digest in sorted(found.undefined_digests & known):
        yield f"put definition '{digest}' back"


def _notes(place: Place) -> Iterator[Finding]:
    project = place.project
    if project.store.notes_ref is None:
        yield fine("none are wanted")
        return
    try:
        state = check_notes(project)
    except BrokenRefError as problem:
        yield error(problem.message, mendable=project.store.notes_ref == _DEFAULT_NOTES_REF)
        return
    if state.foreign:
        yield warning(
            f"{counted(state.foreign, 'note')} in '{project.store.notes_ref}' from somebody else, left alone",
            "set limmat.notesRef to keep ours elsewhere",
        )
    at_work = {job.commit for job in running_jobs(project.store.state_dir).values()}  # noted when all is done
    stale = [commit for commit in state.stale if commit.id not in at_work]
    if stale:
        yield warning(
            f"{counted(len(stale), 'note')} not as the results are, such as '{stale[0].id}'",
            mendable=True,
        )
    yield fine(f"{counted(state.total, 'note')} in '{project.store.notes_ref}'")


def _refresh(place: Place) -> Iterator[str]:
    project = place.project
    ref = project.store.notes_ref
    repository = database_of(place.repository)
    if ref == _DEFAULT_NOTES_REF:
        with update_lock(place.repository.state_dir):
            try:
                read_ref(repository.objects, ref)
            except BrokenRefError:
                delete_broken_ref(repository.common_dir, ref)
                yield f"removed '{ref}', which had no usable content"
    before = len(place.warnings)
    state = check_notes(project)
    refresh_notes(project, state.stale)
    if said := place.warnings[before:]:
        raise GitError(said[-1])
    yield f"wrote {counted(len(state.stale), 'note')} anew from the results"


def _objects(place: Place) -> Iterator[Finding]:
    left = [path for repository in _databases(place) for path in _leftover_keeps(repository)]
    if left:
        yield warning(
            f"{counted(len(left), 'pack')} still marked to be kept by a process that is gone", mendable=True
        )
    loose = count_loose(place.project.store.existing_database() or place.repository)
    if loose > _MANY_LOOSE:
        yield warning(f"about {loose} loose ones", "git limmat gc packs them")
    else:
        yield fine(f"about {loose} loose ones")


def _release(place: Place) -> Iterator[str]:
    """Take marks off packs while nobody can put any there."""
    directories = {place.repository.state_dir, place.project.store.state_dir}
    with ExitStack() as locks:
        if not all(locks.enter_context(free_update_lock(each)) for each in sorted(directories)):
            raise GitError("another process is storing results", hint="try again when it has ended")
        for repository in _databases(place):
            for path in _leftover_keeps(repository):
                remove_mark(path)
                yield f"removed '{path}'"


def _databases(place: Place) -> list[Repository]:
    found = [place.repository]
    database = place.project.store.existing_database()
    if database is not None and database.common_dir != place.repository.common_dir:
        found.append(database)
    return found


def _leftover_keeps(repository: Repository) -> list[Path]:
    return leftover_keeps(repository, time.time() - _HELD_S)


CHECKS = (
    Check("ref locks", _ref_locks, _unlock_refs),
    Check("results", _results, _restore),
    Check("notes", _notes, _refresh),
    Check("objects", _objects, _release),
)
