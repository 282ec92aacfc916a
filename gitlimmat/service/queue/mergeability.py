"""Whether changes merge with their targets, found out before they are to be tested.

Layer: service. Merges as the daemon does and keeps nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from msgspec.structs import replace

from gitlimmat.errors import LimmatError
from gitlimmat.git.merge import Conflict, find_conflict
from gitlimmat.git.repository import Repository
from gitlimmat.queue.answer import Answer, answer
from gitlimmat.queue.auth import Principal
from gitlimmat.queue.events import Approved, Kind, Member
from gitlimmat.queue.fold import fold_change
from gitlimmat.queue.requests import Command, Fault
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Snapshot, Start
from gitlimmat.queue.state import Change, Forge, Queue
from gitlimmat.queue.state import Conflict as Known
from gitlimmat.service.queue.facts import Findings
from gitlimmat.service.queue.session import target_tip
from gitlimmat.service.queue.starting import merge_spec

_LIMIT_S = 5.0


def conflict_of(repository: Repository, change: Change, tip: str, rules: Rules) -> Conflict | None:
    """Return why a change cannot be merged onto `tip`, None when it can.

    Raises: LimmatError or OSError when git fails, or is not done in 5 seconds.
    """
    member = Member(change=change.id, head=change.head)
    start = Start(kind=Kind.AUTO, target=change.target, members=(member,), base=tip)
    hurried = replace(repository, git=repository.git.within(_LIMIT_S))
    return find_conflict(hurried, merge_spec(start, [change], rules))


def unknown(snapshot: Snapshot, rules: Rules, findings: Findings) -> Iterator[tuple[Change, str]]:
    """Yield open changes of which nobody knows whether they merge with their target, and where that is.

    Shape: newest first, each as it is in `snapshot`; what is found meanwhile is not yielded.
    """
    facts = snapshot.facts
    for number in sorted(snapshot.changes, reverse=True):
        change = snapshot.changes[number]
        tip = facts.tips.get(change.target)
        if change.forge is not Forge.OPEN or tip is None or change.target not in rules.targets:
            continue
        pair = (change.head, tip)
        is_tested = any((run.head, run.base) == pair for run in change.runs)
        is_known = is_tested or change.id in facts.contained or pair in facts.conflicts
        if not is_known and pair not in findings.clean and pair not in findings.unclean:
            yield change, tip


def answered(
    repository: Repository,
    command: Command | Fault,
    principal: Principal,
    change: Change | None,
    queue: Queue,
    rules: Rules,
    *,
    via: str,
) -> Answer:
    """Return what a command does now; git is asked first whether what it approves can be merged.

    When git fails or takes long, the approval counts: whether it merges is found out when it is its turn.
    """
    at = time.time()
    tip = target_tip(repository, change.target) if change is not None else ""
    found = answer(command, principal, change, queue, rules, at=at, via=via, tip=tip)
    if change is None or not tip or not any(isinstance(event, Approved) for event in found.events):
        return found
    if fold_change(change, found.events).target != change.target:
        return found
    try:
        clash = conflict_of(repository, change, tip, rules)
    except (LimmatError, OSError):
        return found
    if clash is None:
        return found
    known = Known(head=change.head, base=tip, paths=clash.paths, reason=clash.reason, at=at)
    change = replace(change, conflict=known)
    return answer(command, principal, change, queue, rules, at=at, via=via, tip=tip)
