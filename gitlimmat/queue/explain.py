"""Say why a change is not landing: one true sentence, from what the planner would do.

Layer:  pure. May import model and errors.

The sentences have no subject where that is the change, no capital and no full stop, so that they can stand
after its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec
from msgspec.structs import replace

from gitlimmat.queue.events import Kind, RunOutcome
from gitlimmat.queue.hold import Hold, broken, hold, is_conflicting, suspected, try_base, try_hold
from gitlimmat.queue.lane import Fault, Survey, Work, survey
from gitlimmat.queue.order import in_order, yielding
from gitlimmat.queue.phrase import because, branch, numbers, one_line, others, run_of, short, span
from gitlimmat.queue.plan import plan
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Action, Broken, Lack, Land, Note, Snapshot, Start
from gitlimmat.queue.state import Change, Closing, Conflict, Forge, Job, Run

_MOST_COMMITS = 3


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What is known to say anything about any change: made once, for as many as are asked about.

    `planned` has the next action of a change, `line` those that may start by target, in order, and `ending`
    the auto runs that are about to be ended, by change. `last` are those that let others go first. `brought`
    has the changes that a run has landed.
    """

    snapshot: Snapshot
    rules: Rules
    at_work: Survey
    planned: Mapping[int, Action]
    line: Mapping[str, tuple[int, ...]]
    ending: Mapping[int, tuple[Work, Fault]]
    last: frozenset[int]
    brought: Mapping[str, list[int]]


def outlook(snapshot: Snapshot, rules: Rules, now: float) -> Outlook:
    """Return the outlook at one moment. Units: `now` is seconds since the epoch."""
    snapshot = replace(snapshot, changes=dict(snapshot.changes))  # looked through often
    at_work = survey(snapshot, rules, now)
    planned: dict[int, Action] = {}
    for action in plan(snapshot, rules, now):
        planned |= dict.fromkeys(_concerned(action), action)
    ready: dict[str, list[Change]] = {}
    for change in snapshot.changes.values():
        if change.forge is not Forge.OPEN or change.approval is None or change.id in at_work.busy:
            continue
        if hold(change, snapshot, rules, at_work.ground, _base(change, snapshot, at_work)) is None:
            ready.setdefault(change.target, []).append(change)
    line = {target: tuple(each.id for each in in_order(found, snapshot)) for target, found in ready.items()}
    ending = {
        number: (work, fault)
        for lane in at_work.lanes.values()
        for work, fault in lane.ends
        for number in work.open_in or work.ready_in
    }
    brought: dict[str, list[int]] = {}
    for change in snapshot.changes.values():
        if change.landed_by:
            brought.setdefault(change.landed_by, []).append(change.id)
    return Outlook(
        snapshot=snapshot,
        rules=rules,
        at_work=at_work,
        planned=planned,
        line=line,
        ending=ending,
        last=yielding((change for found in ready.values() for change in found), snapshot),
        brought=brought,
    )


def explain(change: Change, snapshot: Snapshot, rules: Rules, now: float) -> str:
    """Return one true sentence why `change` is not landing, or that it has. Never raises.

    Units: `now` is seconds since the epoch.
    """
    return sentence(change, outlook(snapshot, rules, now))


def explain_all(snapshot: Snapshot, rules: Rules, now: float) -> dict[int, str]:
    """Return the sentence of every change, by number."""
    ahead = outlook(snapshot, rules, now)
    return {number: sentence(change, ahead) for number, change in snapshot.changes.items()}


def sentence(change: Change, ahead: Outlook) -> str:
    """Return the sentence of one change."""
    action = ahead.planned.get(change.id)
    if isinstance(action, Note):
        return f"is in {branch(action.target)} already, which is about to be recorded"
    if change.forge is not Forge.OPEN:
        return _over(change, ahead)
    if isinstance(action, Land):
        return f"has passed as merge {short(action.new)} in run {action.run} and is about to land"
    if change.id in ahead.ending:
        work, fault = ahead.ending[change.id]
        if not work.open_in:
            passed = f"has passed in run {work.run.run}"
            return f"{passed}, which is about to end as {RunOutcome.SUPERSEDED}{because(fault.reason)}"
        return f"run {work.run.run} is about to end as {fault.outcome}{because(fault.reason)}"
    work_ahead = ahead.at_work.work_of(change)
    if work_ahead is not None:
        return _at_work(change, work_ahead, ahead)
    base = _base(change, ahead.snapshot, ahead.at_work)
    reason = hold(change, ahead.snapshot, ahead.rules, ahead.at_work.ground, base)
    return _in_line(change, action, ahead) if reason is None else _held(change, reason, ahead)


def _concerned(action: Action) -> tuple[int, ...]:
    if isinstance(action, Start):
        return tuple(member.change for member in action.members) if action.kind is Kind.AUTO else ()
    return (action.change,) if isinstance(action, Note) else action.changes


def _base(change: Change, snapshot: Snapshot, at_work: Survey) -> str:
    """Return what a change would be merged onto if it were next."""
    stack = at_work.lane(change.target).stack
    return stack[-1].run.merge if stack else snapshot.facts.tips.get(change.target, "")


def _over(change: Change, ahead: Outlook) -> str:
    if change.forge is Forge.CLOSED:
        return "is closed; reopen it if it is to land"
    run = change.run(change.landed_by) if change.landed_by else None
    if run is None:
        brought = ahead.brought.get(change.came_with)
        with_them = f", with {numbers(brought)}" if brought else ""
        return f"is in {branch(change.target)} as of {short(change.landed_as)}{with_them}"
    return f"has landed in {branch(run.target)} as {short(change.landed_as)}{others(run, change.id)}"


def _at_work(change: Change, work: Work, ahead: Outlook) -> str:
    """Say how it is with a change whose run may land."""
    run = work.told.get(change.id, work.run)
    stack = ahead.at_work.lane(change.target).stack
    place = next(at for at, each in enumerate(stack) if each.run.run == run.run)
    before = stack[place - 1].run if place else None
    if work.has_passed:
        if before is not None:
            return f"has passed in run {run.run} and waits for {run_of(before)}, which it is built on"
        paused = ahead.snapshot.queue.paused
        if paused is not None:
            return f"has passed in run {run.run} and waits: {_paused(paused)}"
        return f"has passed in run {run.run} and is about to land"
    if run.outcome is RunOutcome.PASSED:
        return f"has passed in run {run.run} and is about to land"
    total = len(run.tests) * len(run.commits)
    done = f": {min(len(run.jobs), total)} of {total} tests have ended" if total else ""
    built = f", which is built on {run_of(before)}" if before is not None else ""
    return f"is tested as merge {short(run.merge)}{others(run, change.id)} in run {run.run}{built}{done}"


def _in_line(change: Change, action: Action | None, ahead: Outlook) -> str:
    """Say how it is with a change that waits for nothing but its turn."""
    stack = ahead.at_work.lane(change.target).stack
    if isinstance(action, Start):
        beside = [member.change for member in action.members if member.change != change.id]
        together = f" together with {numbers(beside)}" if beside else ""
        if stack:
            onto = f"on top of {run_of(stack[-1].run)} if it merges with that, else after it"
            return f"is next in line, to be tested{together} {onto}{_clashed(change, ahead)}"
        return f"is about to be tested{together}{_clashed(change, ahead)}"
    line = ahead.line.get(change.target, ())
    before = line[: line.index(change.id)] if change.id in line else ()
    batch = suspected(change, ahead.at_work.ground)
    part = (
        ""
        if batch is None
        else f", to be tested in a smaller part than {run_of(batch)}, which {_word(batch)}"
    )
    if before:
        polite = ", as it lets others go first" if change.id in ahead.last else ""
        place = f"is number {len(before) + 1} in line behind {numbers(before)}"
        return f"{place}{polite}{part}{_clashed(change, ahead)}"
    after = f" after {run_of(stack[-1].run)}" if stack else ""
    return f"is next in line{after}{part}{_clashed(change, ahead)}"


def _word(run: Run) -> str:
    match run.outcome:
        case RunOutcome.ERRORED:
            return "had no verdict"
        case RunOutcome.TIMED_OUT:
            return "was not done in time"
    return "failed"


def _held(change: Change, reason: Hold, ahead: Outlook) -> str:
    """Say what keeps a change from being tested."""
    snapshot = ahead.snapshot
    match reason:
        case Hold.LANDED | Hold.CLOSED:
            return "has no head yet" if not change.is_opened else _over(change, ahead)
        case Hold.NO_TARGET:
            is_ours = change.target in ahead.rules.targets
            missing = "does not exist" if is_ours else "is no target of this queue"
            return f"is for {branch(change.target)}, which {missing}"
        case Hold.DRAFT:
            return f"is a draft, which cannot land{_tried(change, ahead)}"
        case Hold.UNAPPROVED:
            return f"needs approval by a reviewer{_tried(change, ahead)}"
        case Hold.CONTAINED:
            return f"is in {branch(change.target)} already, which is about to be recorded"
        case Hold.CANCELLED:
            return _cancelled(change)
        case Hold.BLAMED:
            return _blamed(change)
        case Hold.AWAITED:
            return _awaited(change, ahead)
        case Hold.CONFLICT:
            return _conflict(change, ahead)
        case Hold.BROUGHT:
            stack = ahead.at_work.lane(change.target).stack
            before = run_of(stack[-1].run) if stack else "a run"
            return f"comes with {before}, and waits for what becomes of that"
        case Hold.BLOCKED:
            return f"could not be merged onto {branch(change.target)} just now, which is tried again"
        case Hold.BROKEN:
            base = _base(change, snapshot, ahead.at_work)
            return f"waits: {_broken(change, broken(change.target, snapshot, base))}"
        case Hold.PAUSED:
            paused = snapshot.queue.paused
            return f"waits: {_paused(paused) if paused is not None else 'the queue is paused'}"
        case Hold.TREE_CLOSED:
            closing = snapshot.queue.closing(change.target)
            return f"waits: {_closed(change, closing) if closing is not None else 'the tree is closed'}"
    assert_never(reason)


def _broken(change: Change, found: Broken | None) -> str:
    """Say why nobody can tell which tests are to be run, and who can do what about it."""
    place = branch(change.target)
    cure = "an admin lets the change that {} land, by approving it with --repair"
    match found.lack if found is not None else None:
        case Lack.FILE:
            return f"there is no limmat.toml on {place}; {cure.format('adds it')}"
        case Lack.DEFAULT:
            return f"no test in limmat.toml on {place} runs by default; {cure.format('repairs that')}"
        case Lack.MATCH if found is not None:
            return (
                f"{one_line(found.said)} in limmat.toml on {place}, and limmat.queue.test asks for it;"
                " who runs the server can change that setting"
            )
        case Lack.OBJECT if found is not None:
            return f"limmat.toml on {place} cannot be read: {one_line(found.said)}"
    said = f": {one_line(found.said)}" if found is not None else ""
    return f"limmat.toml on {place} does not parse{said}; {cure.format('repairs it')}"


def _paused(paused: Closing) -> str:
    return f"the queue is paused by {paused.by}{because(paused.reason)}"


def _closed(change: Change, closing: Closing) -> str:
    return (
        f"the tree is closed below {closing.below} by {closing.by}, and its priority is {change.priority}"
        f"{because(closing.reason)}"
    )


def _cancelled(change: Change) -> str:
    auto = change.auto
    by, reason = (auto.cancelled_by, auto.reason) if auto is not None else ("", "")
    said = f" ({one_line(reason)})" if reason.strip() else ""
    return f"was cancelled by {by or 'someone'}{said}; a retry or a new approval starts it again"


def _blamed(change: Change) -> str:
    auto = change.auto
    if auto is None:
        return "did not pass; push a new head or retry"
    what = f"merge {short(auto.merge)} (run {auto.run})"
    if auto.outcome is RunOutcome.TIMED_OUT:
        limit = span(auto.limit)
        return f"was not tested within {limit} on {what}; push a new head or retry"
    failed = [job for job in auto.jobs if job.outcome.value == str(auto.outcome)]
    if auto.outcome is RunOutcome.FAILED and failed:
        return f"failed {_failures(auto, failed)}; push a new head or retry"
    if auto.outcome is RunOutcome.FAILED:
        return f"failed on {what}{because(auto.reason)}; push a new head or retry"
    why = auto.reason or ", ".join(dict.fromkeys(f"{job.test} errored" for job in failed))
    return f"could not be tested on {what}{because(why)}; push a new head or retry"


def _failures(run: Run, failed: Sequence[Job]) -> str:
    """Say which tests failed on which commits of a run."""
    by_commit: dict[str, dict[str, None]] = {}
    for job in failed:
        by_commit.setdefault(job.commit, {})[job.test] = None
    said = []
    for commit, tests in list(by_commit.items())[:_MOST_COMMITS]:
        kind = "merge" if commit == run.merge else "commit"
        said.append(f"{'test' if len(tests) == 1 else 'tests'} {', '.join(tests)} on {kind} {short(commit)}")
    more = len(by_commit) - len(said)
    said += [f"on {more} more"] if more else []
    merge = "" if run.merge in list(by_commit)[:_MOST_COMMITS] else f"merge {short(run.merge)}, "
    return f"{' and '.join(said)} ({merge}run {run.run})"


def _awaited(change: Change, ahead: Outlook) -> str:
    auto = change.auto
    if auto is None:
        return "waits for a run before it"
    stack = ahead.at_work.lane(change.target).stack
    before = next((each.run for each in stack if each.run.run == auto.after), None)
    named = run_of(before) if before is not None else f"run {auto.after}"
    return f"run {auto.run} {_word(auto)}, and whether that counts depends on {named}, which it was built on"


def _conflict(change: Change, ahead: Outlook) -> str:
    snapshot = ahead.snapshot
    tip = snapshot.facts.tips.get(change.target, "")
    stack = ahead.at_work.lane(change.target).stack
    known = change.conflict
    if stack and not is_conflicting(change, snapshot, tip):
        return f"conflicts with {run_of(stack[-1].run)}, and waits for what becomes of that"
    place = f"{branch(change.target)} at {short(tip)}"
    if known is None or (known.head, known.base) != (change.head, tip):
        return f"conflicts with {place}; rebase it and push"
    return _clash(known, place) + ("" if known.is_of_its_own else "; rebase it and push")


def _clash(known: Conflict, place: str) -> str:
    if known.is_of_its_own:
        return f"cannot be merged onto {place}: {one_line(known.reason)}{_where(known)}"
    return f"conflicts with {place}{_where(known)}"


def _where(conflict: Conflict) -> str:
    paths = conflict.paths
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f" in {one_line(paths[0])}{more}" if paths else ""


def _clashed(change: Change, ahead: Outlook) -> str:
    """Say that a change does not merge, or has not before; whether it does now is known when it is tried."""
    known = change.conflict
    if known is None or known.head != change.head:
        return ""
    if known.base == ahead.snapshot.facts.tips.get(change.target):
        return f"; it {_clash(known, f'{branch(change.target)} at {short(known.base)}')}"
    if (change.head, ahead.snapshot.facts.tips.get(change.target)) in ahead.snapshot.facts.clean:
        return ""
    return f"; it conflicted with {short(known.base)}{_where(known)}"


def _tried(change: Change, ahead: Outlook) -> str:
    """Return what else is to be said of one that cannot land: about its tries."""
    if change.wanted_try is not None:
        return _awaited_try(change, ahead)
    tried = change.last_try
    if tried is None:
        return _clashed(change, ahead)
    if tried.is_open:
        return f"; its try {tried.run} is at work"
    return f"; its try {tried.run} {'passed' if tried.outcome is RunOutcome.PASSED else _word(tried)}"


def _awaited_try(change: Change, ahead: Outlook) -> str:
    reason = try_hold(change, ahead.snapshot, ahead.rules)
    place = branch(change.target)
    match reason:
        case None if len(ahead.at_work.tries) >= ahead.rules.tries:
            return f"; its try waits for one of {ahead.rules.tries} places"
        case None:
            return "; its try is about to start"
        case Hold.BLOCKED:
            return (
                f"; its try waits, as {short(try_base(change, ahead.snapshot))} could not be merged just now"
            )
        case Hold.BROKEN:
            is_tip = try_base(change, ahead.snapshot) == ahead.snapshot.facts.tips.get(change.target)
            target = change.target if is_tip else ""
            found = broken(target, ahead.snapshot, try_base(change, ahead.snapshot))
            return f"; its try waits: {_broken(change, found)}"
        case Hold.PAUSED:
            return "; its try waits, as the queue is paused"
    return f"; its try waits for {place}"
