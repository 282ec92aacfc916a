"""Where a push wants to go: `refs/for/<branch>`, with a topic or the number of a change after it.

Layer:  service.
Source: git-limmat-queue(1), PUSHING.
"""

from __future__ import annotations

import re

import msgspec

from gitlimmat.queue.quoting import quote
from gitlimmat.queue.rules import Rules

FOR = "refs/for/"
_HEADS = "refs/heads/"
_TOPIC = re.compile(r"[^\W_](?:[\w.+@=/-]*[\w+=-])?")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_LONGEST = 100


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A target, and the topic or the number of a change to it; empty and None when the push names none."""

    target: str
    topic: str = ""
    number: int | None = None


class Misplaced(msgspec.Struct, frozen=True, kw_only=True):
    """A ref that leads nowhere. `reason` is safe to be shown to anyone."""

    reason: str


def find_place(ref: str, topics: tuple[str, ...], rules: Rules) -> Place | Misplaced:
    """Return what a ref below refs/for means; `topics` are those that push options name.

    The target is the longest one that the ref begins with; what comes after it is the topic.
    """
    branch = ref.removeprefix(FOR).removeprefix(_HEADS)
    if not ref.startswith(FOR) or not branch:
        return Misplaced(reason=f"no branch is named: push to {FOR}<branch>")
    fitting = [each for each in map(_short, rules.targets) if branch == each or branch.startswith(f"{each}/")]
    if not fitting:
        return Misplaced(reason=_no_target(branch, rules))
    target = max(fitting, key=len)
    named = dict.fromkeys((branch[len(target) + 1 :], *topics))
    words = [word for word in named if word]
    if len(words) > 1:
        return Misplaced(reason=f"two topics are named, {quote(words[0])} and {quote(words[1])}")
    return _with_topic(_HEADS + target, words[0]) if words else Place(target=_HEADS + target)


def _with_topic(target: str, topic: str) -> Place | Misplaced:
    if _NUMBER.fullmatch(topic):
        return Place(target=target, number=int(topic))
    if not _TOPIC.fullmatch(topic) or len(topic) > _LONGEST or not topic.isprintable():
        return Misplaced(
            reason=f"{quote(topic)} is no topic: up to {_LONGEST} letters, digits and . _ + @ = / -,"
            " beginning with a letter or a digit"
        )
    if topic.isdigit():
        return Misplaced(reason=f"{quote(topic)} is no topic: it could be taken for the number of a change")
    return Place(target=target, topic=topic)


def _no_target(branch: str, rules: Rules) -> str:
    names = [quote(_short(each)) for each in rules.targets]
    if not names:
        return "this repository has no merge queue: limmat.queue.target names no branch"
    return f"{quote(branch)} is no target of the merge queue; it has {', '.join(names)}"


def _short(target: str) -> str:
    return target.removeprefix(_HEADS)
