"""What a run begins with: the words of its merge, its name, its tests and its deadline.

Layer: service.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import msgspec

from gitlimmat.errors import ConfigError
from gitlimmat.git.merge import MergeSpec, Way
from gitlimmat.git.refs import RefUpdate, read_ref
from gitlimmat.git.repository import Repository
from gitlimmat.queue.events import QUEUE, Kind, Member, RunOutcome, RunStarted
from gitlimmat.queue.message import Part, linear_message, merge_message
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Start
from gitlimmat.queue.state import Change
from gitlimmat.service.queue.suite import Suites, explain
from gitlimmat.store.timeline import Loaded, head_ref, run_ref

_SHORT = 12

Fault = tuple[RunOutcome, str]


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that was made for a start: its commit, and the heads that are in it."""

    action: Start
    merge: str
    heads: tuple[str, ...]


def merge_spec(action: Start, members: Sequence[Change], rules: Rules) -> MergeSpec:
    """Return how to merge the members of a run."""
    parts = {
        member.head: _part(change, action) for member, change in zip(action.members, members, strict=True)
    }

    def message(merged: tuple[str, ...], co_authors: tuple[str, ...]) -> str:
        words = [parts[head] for head in merged]
        return merge_message(words, rules.policy, action.kind, co_authors=co_authors)

    return MergeSpec(
        base=action.base,
        heads=tuple(member.head for member in action.members),
        way=Way(rules.policy.value),
        name=rules.name,
        email=rules.email,
        message=message,
        reword=lambda text: linear_message(text, next(iter(parts.values()))),
    )


def run_started(
    repository: Repository,
    suites: Suites,
    beginning: Beginning,
    loaded: Loaded,
    rules: Rules,
    *,
    deadline: float,
) -> tuple[RunStarted, Fault | None]:
    """Return the event that begins a run, and why it is over with that, if it cannot be tested."""
    action = beginning.action
    is_repair = action.repair and bool(suites.fault(action.base, rules.tests))
    tests, fault = _tests(suites, beginning, rules, is_repair=is_repair)
    started = RunStarted(
        actor=QUEUE,
        at=time.time(),
        run=_name(repository, beginning.merge, loaded),
        kind=action.kind,
        target=action.target,
        members=tuple(member for member in action.members if member.head in beginning.heads),
        base=action.base,
        merge=beginning.merge,
        after=action.after,
        commits=_commits(repository, beginning, rules),
        tests=tests,
        deadline=deadline,
        timeout=rules.timeout_s,
        policy=rules.policy,
        chosen=rules.tests,
        every_commit=rules.every_commit,
        repair=is_repair,
    )
    return started, fault


def missing_heads(repository: Repository, members: Iterable[Member], loaded: Loaded) -> list[RefUpdate]:
    """Return updates for the heads that no ref keeps, whoever has removed it."""
    updates = []
    for member in members:
        heads = loaded.changes[member.change].heads
        name = head_ref(member.change, heads.index(member.head) + 1)
        if read_ref(repository.objects, name) is None:
            updates.append(RefUpdate(name, member.head, None))
    return updates


def _tests(
    suites: Suites, beginning: Beginning, rules: Rules, *, is_repair: bool
) -> tuple[tuple[str, ...], Fault | None]:
    """Return the names of the tests of a run. No change may leave tests behind that cannot be run."""
    action = beginning.action
    base = beginning.merge if is_repair else action.base
    try:
        tests = suites.at(base).choose(action.tests or rules.tests)
    except ConfigError as error:
        outcome = RunOutcome.FAILED if is_repair else RunOutcome.ERRORED
        return (), (outcome, explain(error))
    if action.kind is Kind.AUTO and (broken := suites.fault(beginning.merge, rules.tests)):
        return tests, (RunOutcome.FAILED, f"after it there would be no tests: {broken}")
    return tests, None


def _commits(repository: Repository, beginning: Beginning, rules: Rules) -> tuple[str, ...]:
    """Return the commits to test, oldest first, the merge last."""
    action = beginning.action
    if not rules.every_commit or action.kind is not Kind.AUTO:
        return (beginning.merge,)
    listed = repository.git.text(
        "rev-list", "--reverse", "--topo-order", beginning.merge, f"^{action.base}", "--"
    ).split()
    return (*(oid for oid in listed if oid != beginning.merge), beginning.merge)


def _name(repository: Repository, merge: str, loaded: Loaded) -> str:
    """Return a name that no run had before."""
    taken = {run.run for change in loaded.changes.values() for run in change.runs if run.merge == merge}
    ordinal = 1
    while True:
        name = f"{merge[:_SHORT]}-{ordinal}"
        if name not in taken and read_ref(repository.objects, run_ref(name)) is None:
            return name
        ordinal += 1


def _part(change: Change, action: Start) -> Part:
    approval = change.approval
    return Part(
        change=change.id,
        title=change.title,
        body=change.body,
        topic=change.topic,
        approver=approval.by if approval is not None and action.kind is Kind.AUTO else "",
    )
