"""What `git limmat log` says beside a commit.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Callable

from gitlimmat.git.log import Placeholder
from gitlimmat.model import Commit, Outcome, Result, subject_of
from gitlimmat.service.newest import newest_results, standing_result
from gitlimmat.service.project import Project
from gitlimmat.service.signs import signs

_CUT = ".."  # as git cuts

Paint = Callable[[Outcome, str], str]
"""Gives a text the color of an outcome."""


class LogView:
    """The results of commits, in a few characters each. What is not known is not shown."""

    def __init__(self, project: Project, paint: Paint) -> None:
        self._project = project
        self._paint = paint
        self._view = project.store.view()
        self._signs = signs(project.settings.glyphs.value)
        self._results: dict[str, dict[str, Result]] = {}

    def render(self, commit: Commit, wanted: Placeholder) -> str:
        """Return what a placeholder stands for at `commit`.

        That is the name and the sign of each selected test, or the outcome of one.
        """
        results = self._of(commit)
        if wanted.test is None:
            pieces = [(f"{name} ", result.outcome, self._sign(result)) for name, result in results.items()]
        elif (result := results.get(wanted.test) or self._one(commit, wanted.test)) is not None:
            pieces = [("", result.outcome, result.outcome.value)]
        else:
            pieces = []
        plain = " ".join(f"{name}{word}" for name, _, word in pieces)
        if wanted.is_cut and len(plain) > wanted.width:
            return wanted.lead + plain[: max(wanted.width - len(_CUT), 0)] + _CUT[: wanted.width]
        text = " ".join(f"{name}{self._paint(outcome, word)}" for name, outcome, word in pieces)
        return self._filled(f"{wanted.lead}{text}" if text else "", wanted, wanted.width - len(plain))

    def _filled(self, text: str, wanted: Placeholder, missing: int) -> str:
        if missing <= 0:
            return text
        left = {"<": 0, "><": missing // 2}.get(wanted.align, missing)
        return f"{' ' * left}{text}{' ' * (missing - left)}"

    def _sign(self, result: Result) -> str:
        return self._signs[result.outcome.value]

    def _of(self, commit: Commit) -> dict[str, Result]:
        """Return the standing result of each selected test, in file order; without a config, of all."""
        found = self._results.get(commit.id)
        if found is None:
            found = self._results[commit.id] = self._read(commit)
        return found

    def _read(self, commit: Commit) -> dict[str, Result]:
        project = self._project
        if not project.all_tests:
            newest = newest_results(self._view, commit)
            return {name: newest[name].result for name in sorted(newest)}
        found = {}
        for test in project.tests:
            definition = project.definitions[test.name]
            result = standing_result(self._view, subject_of(test, commit), definition)
            if result is not None:
                found[test.name] = result
        return found

    def _one(self, commit: Commit, name: str) -> Result | None:
        """Return the standing result of a test that is not selected."""
        for test in self._project.all_tests:
            if test.name == name:
                return standing_result(self._view, subject_of(test, commit), self._project.definitions[name])
        return None
