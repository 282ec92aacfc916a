"""What git says beside the timelines: where targets are, what is in them and what does not merge.

Layer: service.

Asking again costs little: what a branch has is remembered while it moves on, what a config file says by its
blob. Nothing here is kept beyond the process, and all of it can be found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet

from gitlimmat.errors import LimmatError
from gitlimmat.git.ancestry import Ancestry
from gitlimmat.git.objects import has_object
from gitlimmat.git.reffiles import shared_refs
from gitlimmat.git.repository import Repository
from gitlimmat.git.stored import is_out_of_reach
from gitlimmat.queue.events import Kind, RunOutcome
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Broken, Facts
from gitlimmat.queue.state import Change, Forge, Run
from gitlimmat.service.queue.origin import Origins
from gitlimmat.service.queue.suite import Suites
from gitlimmat.store.timeline import Loaded

_MOST_FOUND = 10_000

_Pairs = frozenset[tuple[str, str]]
_NONE: _Pairs = frozenset()


class Findings:
    """What merging has shown that no timeline says, as (head, base). One thread writes it, others may read.

    `ahead` and `brought` are of bases that are merges of runs which have not landed: those that conflict, and
    those that have the head already. When such a run has landed, they are to be looked at again: nobody was
    told. `clean` and `unclean` are of the tips of targets, and were found when there was nothing else to do.
    """

    def __init__(self) -> None:
        self.ahead: _Pairs = frozenset()
        self.brought: _Pairs = frozenset()
        self.clean: _Pairs = frozenset()
        self.unclean: _Pairs = frozenset()

    def keep(self, tips: AbstractSet[str]) -> None:
        """Forget what is of no use where these are the tips of all targets."""
        self.ahead, self.brought = (
            frozenset(pair for pair in found if pair[1] not in tips) if len(found) < _MOST_FOUND else _NONE
            for found in (self.ahead, self.brought)
        )
        self.clean, self.unclean = (
            frozenset(pair for pair in found if pair[1] in tips) for found in (self.clean, self.unclean)
        )


class FactReader:
    """Finds the facts of one repository. For one thread at a time.

    `findings` are those of who merges, where that is this process.
    """

    def __init__(
        self,
        repository: Repository,
        suites: Suites,
        warn: Callable[[str], None],
        findings: Findings | None = None,
    ) -> None:
        self.findings = findings or Findings()
        self._repository = repository
        self._suites = suites
        self._warn = warn
        self._warned: set[str] = set()
        self._histories: dict[str, Ancestry] = {}
        self._origins = Origins(repository)
        self._broken: dict[tuple[str, tuple[str, ...]], Broken | None] = {}

    def read(
        self, loaded: Loaded, rules: Rules, blocked: AbstractSet[tuple[str, str]] = frozenset()
    ) -> Facts:
        """Return what is true now. A target that cannot be read is as one that does not exist.

        `blocked` has what is not to be merged for now.
        """
        changes = [change for change in loaded.changes.values() if change.forge is not Forge.LANDED]
        named = {change.target for change in changes if change.forge is Forge.OPEN}
        tips = dict(self._tips(dict.fromkeys((*rules.targets, *sorted(named)))))
        merged = frozenset(self._merged(changes, tips))
        contained = frozenset(self._contained(changes, tips, merged))
        present = set(tips.values())
        findings = self.findings
        ahead = (pair for pair in findings.ahead if pair[1] not in present)
        return Facts(
            tips=tips,
            contained=contained,
            came_with=self._origins.find(loaded.changes, contained, merged, tips),
            merged=merged,
            conflicts=frozenset((*ahead, *_known_conflicts(changes))),
            blocked=frozenset(blocked),
            clean=findings.clean,
            brought=frozenset(pair for pair in findings.brought if pair[1] not in present),
            broken=self._faults(changes, tips, rules),
            lost=frozenset(self._lost(changes)),
        )

    def _tips(self, targets: Iterable[str]) -> Iterator[tuple[str, str]]:
        files = shared_refs(self._repository)
        for target in targets:
            try:
                tip = files.direct(target)  # one that leads to another branch cannot be moved
            except (LimmatError, OSError, ValueError) as error:
                self._warn_once(f"target '{target}' cannot be used: {error}")
                continue
            if tip is not None:
                self._histories.setdefault(target, Ancestry(self._repository)).move(tip)
                yield target, tip

    def _merged(self, changes: Iterable[Change], tips: dict[str, str]) -> Iterator[str]:
        """Yield the runs whose merge is in their target, of changes that have not landed."""
        for change in changes:
            for run in change.runs:
                if run.kind is Kind.AUTO and run.target in tips and self._has(run.target, run.merge):
                    yield run.run

    def _contained(
        self, changes: Iterable[Change], tips: dict[str, str], merged: frozenset[str]
    ) -> Iterator[int]:
        for change in changes:
            if change.forge is not Forge.OPEN or change.target not in tips:
                continue
            ours = any(run.run in merged for run in change.runs)
            if not ours and self._has(change.target, change.head):
                yield change.id

    def _lost(self, changes: Iterable[Change]) -> Iterator[str]:
        """Yield the merges of runs that still count, and that not even git finds any more."""
        for change in changes:
            for run in (change.auto, change.last_try):
                if run is None or not (run.is_open or (run is change.auto and _may_be_built_on(run))):
                    continue
                there = has_object(self._repository.objects, run.merge)
                if not there and not is_out_of_reach(self._repository, "commit", run.merge):
                    yield run.merge

    def _has(self, target: str, oid: str) -> bool:
        return self._histories[target].has(oid)

    def _faults(self, changes: Iterable[Change], tips: dict[str, str], rules: Rules) -> dict[str, Broken]:
        """Return what is wrong with the tests of targets by their name, and of other bases by their id.

        A try on a commit that someone has named is not kept waiting for what will not change: it fails.
        """
        bases = {target: tip for target, tip in tips.items() if target in rules.targets}
        for change in changes:
            run = change.auto
            if run is not None and _may_be_built_on(run):
                bases[run.merge] = run.merge
        before, self._broken = self._broken, {}
        found = {}
        for name, commit in bases.items():
            key = (commit, rules.tests)
            fault = before[key] if key in before else self._suites.broken(commit, rules.tests)
            self._broken[key] = fault
            if fault is not None:
                found[name] = fault
        return found

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._warn(message)


def _may_be_built_on(run: Run) -> bool:
    return run.outcome in (None, RunOutcome.PASSED)


def _known_conflicts(changes: Iterable[Change]) -> Iterator[tuple[str, str]]:
    for change in changes:
        if change.conflict is not None:
            yield change.conflict.head, change.conflict.base
