"""What the measurements share: where they work, how big they are, and repositories made once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from repositories import Shape, commits, make
from sandbox import tell

if TYPE_CHECKING:
    from gitlimmat.model import Commit, Definition, Result
    from gitlimmat.service.project import Project

TESTS = 10
_BATCH = 500


class Sizes(NamedTuple):
    """How much is measured. `rounds` is of turns; the others count commits, files and results.

    `reactions` are new commits under a watch, `idle_s` is how many seconds one is left alone.
    """

    rounds: int
    few: int
    many: int
    wide: tuple[int, ...]
    switches: int
    report: int
    stored_commits: int
    reactions: int
    idle_s: float


FULL = Sizes(5, 20, 100, (50, 50, 20), 30, 1_000, 10_000, 20, 20.0)
QUICK = Sizes(3, 5, 25, (20, 25, 20), 10, 500, 1_000, 5, 5.0)


class Workshop:
    """A temporary directory with the repositories that have been needed so far."""

    def __init__(self, root: Path, sizes: Sizes, git_test: str | None) -> None:
        self.root = root
        self.sizes = sizes
        self.git_test = git_test

    @cached_property
    def small(self) -> Path:
        """200 files, and commits that change one each."""
        return self._make("small", Shape((10, 20), self.sizes.many))

    @cached_property
    def wide(self) -> Path:
        """Many files, and commits that change three each."""
        return self._make("wide", Shape(self.sizes.wide, 2 * self.sizes.switches, changes=3))

    @cached_property
    def known(self) -> Path:
        """200 files and many commits, with results of ten tests on all of them."""
        path = self._make("known", Shape((10, 20), self.sizes.report))
        fill(path, commits(path, self.sizes.report))
        return path

    def watched(self, count: int) -> Path:
        """200 files and as many commits as are to be watched."""
        return self._once(f"watched-{count}", Shape((10, 20), count))

    def make_history(self, name: str) -> Path:
        """Make a repository with the most commits, few files and no results."""
        return self._make(name, Shape((4, 5), self.sizes.stored_commits))

    def _once(self, name: str, shape: Shape) -> Path:
        path = self.root / name / "repository"
        return path if path.exists() else self._make(name, shape)

    def _make(self, name: str, shape: Shape) -> Path:
        tell(f"making repository '{name}'")
        return make(self.root / name / "repository", shape)


def configure(repository: Path) -> Project:
    """Give the repository a configuration with ten tests and open it as the program would."""
    text = "".join(f'[[tests]]\nname = "test{number}"\ncommand = "true"\n' for number in range(TESTS))
    (repository / "limmat.toml").write_text(text)
    (repository / ".git" / "info" / "exclude").write_text("limmat.toml\n")
    return open_configured(repository)


def open_configured(repository: Path) -> Project:
    """Open a repository that has its configuration."""
    from gitlimmat.service.project import open_project
    from gitlimmat.service.request import Request

    return open_project(Request(repo=[repository], config=str(repository / "limmat.toml")), tell)


def fill(repository: Path, about: Sequence[Commit]) -> int:
    """Store a result of each of ten tests on each commit, with notes, and return how many these are."""
    from gitlimmat.service.notes import refresh_notes

    project = configure(repository)
    for start in range(0, len(about), _BATCH):
        store(project, [commit.id for commit in about[start : start + _BATCH]])
    refresh_notes(project, about)
    return len(about) * TESTS


def store(project: Project, about: Sequence[str], tests: int = TESTS) -> None:
    """Store results of so many tests on the commits with these ids, in one go."""
    from gitlimmat.store.store import Record

    definitions = list(project.definitions.values())[:tests]
    project.store.publish(
        [
            Record(subject=commit, definition=each, result=_result(commit, each, number))
            for commit in about
            for number, each in enumerate(definitions)
        ]
    )


def _result(commit: str, definition: Definition, number: int) -> Result:
    """Return what a job could have left; times differ from job to job as in life."""
    from gitlimmat.model import Outcome, Result

    chance = random.Random(f"{commit} {number}")
    failed = chance.random() < 0.05
    return Result(
        test=definition.test,
        digest=definition.digest,
        outcome=Outcome.FAILED if failed else Outcome.PASSED,
        reason="exited with 1" if failed else "",
        exit_status=1 if failed else 0,
        started=1_750_000_000 + chance.random() * 10_000_000,
        elapsed=chance.expovariate(0.1),
        commit=commit,
        host="workstation",
        version="1.0.0",
    )
