"""Words for tests of the store: definitions, records and stores in few characters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from conftest import Repo

from gitlimmat.git.repository import Repository, find_repository
from gitlimmat.model import Definition, Outcome, Result
from gitlimmat.store.record import Record
from gitlimmat.store.store import Store

DIGEST = "0123456789abcdef0123456789abcdef"


def oid(text: object) -> str:
    """Return an object id that stands for `text`."""
    return hashlib.sha1(str(text).encode()).hexdigest()


def definition(test: str = "unit", command: str = "true", digest: str | None = None) -> Definition:
    """Return a definition; its digest follows from its text unless given."""
    text = f'{{"test":{{"command":"{command}","name":"{test}"}},"version":1}}'.encode()
    return Definition(test=test, text=text, digest=digest or hashlib.md5(text).hexdigest())


def record(
    subject: str,
    of: Definition | None = None,
    outcome: Outcome = Outcome.PASSED,
    *,
    started: float = 1000.0,
    usable: bool = True,
    outputs: Mapping[str, Path] | None = None,
    artifacts: Path | None = None,
) -> Record:
    """Return the record of a job that took two seconds."""
    of = of or definition()
    result = Result(
        test=of.test,
        digest="",
        outcome=outcome,
        started=started,
        elapsed=2.0,
        commit=subject,
        usable=usable,
    )
    return Record(subject=subject, definition=of, result=result, outputs=outputs or {}, artifacts=artifacts)


class Opened(Store):
    """A store that keeps its warnings."""

    def __init__(
        self, repository: Repository, result_db: Path | None = None, notes: str | None = None
    ) -> None:
        self.warnings: list[str] = []
        super().__init__(
            repository,
            result_db=result_db,
            notes_ref=notes or "refs/notes/limmat",
            warn=self.warnings.append,
        )


def open_store(repo: Repo, result_db: Path | None = None, notes: str | None = None) -> Opened:
    """Open the store of a repository anew, as another process would."""
    return Opened(find_repository(repo.path), result_db, notes)
