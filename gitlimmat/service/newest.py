"""The newest result of each test on a commit, whatever its definition: for readers without a config.

Layer: service.
"""

from __future__ import annotations

from gitlimmat.model import Commit, Result
from gitlimmat.store.view import View


def newest_results(view: View, commit: Commit) -> dict[str, Result]:
    """Return the newest result of each test about `commit` or its tree, by name of the test."""
    newest: dict[str, Result] = {}
    for subject in (commit.id, commit.tree):
        for result in view.history(subject):
            if result.test not in newest or result.started >= newest[result.test].started:
                newest[result.test] = result
    return newest
