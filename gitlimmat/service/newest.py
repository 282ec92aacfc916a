"""Which of the results about a commit to show.

Layer: service.
"""

from __future__ import annotations

from typing import NamedTuple

from gitlimmat.model import Commit, Definition, Result
from gitlimmat.store.view import View


class Newest(NamedTuple):
    """A result and the subject, commit or tree, that it is about."""

    subject: str
    result: Result


def standing_result(view: View, subject: str, definition: Definition) -> Result | None:
    """Return the result that a run would use, or else the newest one, that is only there to be seen."""
    return view.known(subject, definition) or view.latest(subject, definition)


def newest_results(view: View, commit: Commit) -> dict[str, Newest]:
    """Return the newest result of each test about `commit` or its tree, by name of the test."""
    newest: dict[str, Newest] = {}
    for subject in (commit.id, commit.tree):
        for result in view.history(subject):
            if result.test not in newest or result.started >= newest[result.test].result.started:
                newest[result.test] = Newest(subject, result)
    return newest
