"""Leave the word about HEAD where prompts find it.

Layer: service.
Owns:  `<common dir>/limmat/prompt/`, one small file a commit; all of it can be deleted at any time. See
       `headword` for the format and for its reader.

A commit's file is replaced, never edited, so a reader sees the old word or the new one. Files are named after
commits: with HEAD elsewhere there is another word, or none, and nothing that could be out of date.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gitlimmat.errors import LimmatError
from gitlimmat.git.modes import make_directory
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit, Outcome, subject_of
from gitlimmat.service.board import Board, CellState, Change
from gitlimmat.service.headword import DIRECTORY, head_id
from gitlimmat.service.newest import standing_result
from gitlimmat.service.project import Project

_KEPT = 100
_GOOD = (Outcome.PASSED, Outcome.SKIPPED)


def write_prompt(project: Project, commits: Sequence[Commit]) -> None:
    """Write down what is known about HEAD, if it is one of `commits`. What cannot be written is no matter.

    What commands of `run --exec` find out is the word only where there is no config file.
    """
    repository = project.repository
    if project.file is None and any(path.is_file() for path in project.files):
        return
    head = head_id(str(repository.git_dir), str(repository.common_dir))
    commit = next((each for each in commits if each.id == head), None)
    if commit is None:
        return
    try:
        _write(repository, commit.id, _standing(_known(project, commit)))
    except LimmatError:
        pass


def keep_prompt(board: Board) -> Callable[[], None]:
    """Write down what the board says of HEAD whenever that changes; return what ends that."""
    written: tuple[str, str] | None = None

    def listen(change: Change) -> None:
        nonlocal written
        if not board.commits:
            return
        head = board.commits[0].id
        if change.layout or any(place.commit == head for place in change.cells):
            standing = _standing((cell.state, cell.outcome) for cell in board.row(head))
            if (head, standing) != written:
                written = (head, standing)
                _write(board.project.repository, head, standing)

    return board.subscribe(listen)


def clear_prompt(repository: Repository) -> None:
    """Forget all words: results are gone that they may have been made from."""
    for path in _files(repository.state_dir / DIRECTORY):
        try:
            path.unlink()
        except OSError:
            pass


def _known(project: Project, commit: Commit) -> list[tuple[CellState, Outcome | None]]:
    """Return how the tests stand that run by default, and those that this run was for."""
    view = project.store.view()
    wanted = {test.name: test for test in (*project.tests, *project.all_tests)}
    chosen = {test.name for test in project.tests}
    cells: list[tuple[CellState, Outcome | None]] = []
    for test in wanted.values():
        if test.run_by_default or test.name in chosen:
            result = standing_result(view, subject_of(test, commit), project.definitions[test.name])
            outcome = result.outcome if result is not None else None
            cells.append((CellState.UNKNOWN if outcome is None else CellState.DONE, outcome))
    return cells


def _standing(cells: Iterable[tuple[CellState, Outcome | None]]) -> str:
    """Return the line for tests in these states; what needs attention most comes first."""
    seen = list(cells)
    failed = sum(outcome is Outcome.FAILED and state is CellState.DONE for state, outcome in seen)
    active = sum(state in (CellState.WAITING, CellState.RUNNING) for state, _ in seen)
    unknown = sum(state is CellState.UNKNOWN for state, _ in seen)
    good = sum(outcome in _GOOD and state is CellState.DONE for state, outcome in seen)
    if not seen:
        return ""
    if failed:
        return f"failed {failed} 0"
    if active:
        return f"running {active} {os.getpid()}"
    if good + unknown < len(seen):
        return f"errored {len(seen) - good - unknown} 0"
    return f"unknown {unknown} 0" if unknown else f"passed {good} 0"


def _write(repository: Repository, commit: str, standing: str) -> None:
    directory = repository.state_dir / DIRECTORY
    aside = directory / f"{commit}.{os.getpid()}"
    try:
        make_directory(repository.state_dir, parents=False)
        make_directory(directory, parents=False)
        aside.write_text(standing + "\n")
        aside.replace(directory / commit)
        files = _files(directory)
        if len(files) > 2 * _KEPT:
            for path in sorted(files, key=lambda path: path.stat().st_mtime)[:-_KEPT]:
                path.unlink(missing_ok=True)
    except OSError:
        pass


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []
