"""What commands to the queue itself do, and what it tells about itself and its changes.

Layer:  pure. May import model and errors.
"""

from __future__ import annotations

from typing import assert_never

from gitlimmat.queue.asking import Answer, Asking, nothing, refused
from gitlimmat.queue.events import Paused, Resumed, TreeClosed, TreeOpened
from gitlimmat.queue.phrase import short
from gitlimmat.queue.quoting import quote
from gitlimmat.queue.requests import CloseTree, Help, OfQueue, OpenTree, Pause, Ping, Resume
from gitlimmat.queue.state import Change

HELP = """\
One command a line, after the name of the queue in a comment, or in a push option:
  r+ [COMMIT] [p=N] [rollup=MODE]  approve this head; r=NAME in another name; r- withdraws
  try [tests=A,B*] [parent=COMMIT]  test without landing; try cancel
  retry, cancel, yield  test again; stop and keep the approval; stop and let others go first
  p=N  priority; higher goes first
  rollup, rollup-, rollup=always|maybe|iffy|never, unroll  whether it is tested together with others
  delegate+ [try|review], delegate=NAME, delegate-  who else may approve or try it
  close [REASON], reopen, draft, ready, title=WORDS, target=BRANCH
  treeclosed=N [REASON], treeopen, pause [REASON], resume
  info, help, ping"""


def answer(command: OfQueue, asking: Asking) -> Answer:
    """Return what a command without a change does."""
    queue = asking.queue
    match command:
        case Ping():
            return nothing("the queue is awake")
        case Help():
            return nothing(HELP)
        case CloseTree():
            return _close_tree(command, asking)
        case OpenTree():
            target = full_target(command.target)
            if not queue.closed or (target and target not in queue.closed):
                return nothing("the tree is open already")
            opened = TreeOpened(actor=asking.name, at=asking.at, via=asking.via, target=target)
            return Answer(queue_events=(opened,), reply=f"{_tree(target)} is open")
        case Pause() if queue.paused is not None:
            return nothing(f"the queue is paused already, by {quote(queue.paused.by)}")
        case Pause():
            paused = Paused(actor=asking.name, at=asking.at, via=asking.via, reason=command.reason)
            return Answer(queue_events=(paused,), reply="the queue is paused: nothing starts, nothing lands")
        case Resume() if queue.paused is None:
            return nothing("the queue is not paused")
        case Resume():
            resumed = Resumed(actor=asking.name, at=asking.at, via=asking.via)
            return Answer(queue_events=(resumed,), reply="the queue goes on")
    assert_never(command)


def info(asking: Asking, change: Change) -> Answer:
    """Return how a change stands, in one line."""
    parts = [
        f"change {change.id} {quote(change.title)} is {change.status}",
        f"for {quote(short_target(change.target))}",
        f"at {short(change.head)}",
        f"priority {change.priority}, rollup {change.rollup}",
    ]
    if change.approval is not None and change.is_approved:
        parts.append(f"approved by {quote(change.approval.by)}")
    if change.delegates:
        names = (f"{quote(name)} ({level})" for name, level in sorted(change.delegates.items()))
        parts.append("delegated to " + ", ".join(names))
    return nothing("; ".join([", ".join(parts), *standing(asking, change)]))


def standing(asking: Asking, change: Change) -> list[str]:
    """Return what keeps all changes like this one from being started."""
    found = []
    if asking.queue.paused is not None:
        found.append("the queue is paused")
    closing = asking.queue.closing(change.target)
    if closing is not None and change.priority < closing.below:
        found.append(f"the tree is closed below priority {closing.below}")
    return found


def full_target(name: str) -> str:
    """Return the full ref name of a target that was given as a branch."""
    return name if not name or name.startswith("refs/") else f"refs/heads/{name}"


def short_target(name: str) -> str:
    """Return the branch of a full ref name."""
    return name.removeprefix("refs/heads/")


def known_target(name: str, asking: Asking) -> bool:
    """Return whether changes may land there."""
    return not asking.rules.targets or name in asking.rules.targets


def _close_tree(command: CloseTree, asking: Asking) -> Answer:
    target = full_target(command.target)
    if target and not known_target(target, asking):
        return refused(f"{quote(command.target)} is no target of this queue")
    if command.below > asking.rules.max_priority + 1:
        return refused(f"no priority is above {asking.rules.max_priority}; say 'pause' to stop everything")
    closed = TreeClosed(
        actor=asking.name,
        at=asking.at,
        via=asking.via,
        below=command.below,
        target=target,
        reason=command.reason,
    )
    return Answer(queue_events=(closed,), reply=f"{_tree(target)} is closed below priority {command.below}")


def _tree(target: str) -> str:
    return f"the tree of {quote(short_target(target))}" if target else "the tree"
