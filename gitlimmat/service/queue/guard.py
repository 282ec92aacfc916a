"""Who may move which ref by a push: nobody but the queue moves its targets and its own refs.

Layer:  service.
Source: git-limmat-queue(1), PUSHING; pre-receive in githooks(5).

The daemon moves refs with git update-ref, which calls no pre-receive hook, so it needs no exception here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.git.procreceive import Push
from gitlimmat.git.repository import Repository
from gitlimmat.queue.rules import Rules
from gitlimmat.service.queue.identity import check_no_test, who
from gitlimmat.store.names import SHARE

OURS = "refs/limmat"
_REPLACEMENTS = "refs/replace"
_HEADS = "refs/heads/"
_DEPTH = 5  # as many symbolic refs as git follows


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A ref that may not be moved: what is wrong, and what to do instead."""

    reason: str
    hint: str


def parse_pushes(text: str) -> tuple[Push, ...]:
    """Return what git tells a pre-receive hook: for each ref its old id, its new one and its name."""
    lines = [line.split(" ", 2) for line in text.split("\n") if line]
    return tuple(Push(old=words[0], new=words[1], ref=words[2]) for words in lines if len(words) == 3)


def refusals(
    repository: Repository, rules: Rules, pushes: Sequence[Push], environment: dict[str, str]
) -> tuple[Refusal, ...]:
    """Return why some of `pushes` are not allowed; empty when all are.

    Those in `limmat.queue.pusher` may move targets, and those in `limmat.queue.admin` may make one that does
    not exist yet. Nobody may write below refs/limmat, nor below refs/replace, which would have git show other
    objects than those that were approved.
    """
    folds = (repository.common_dir / "head").exists()  # names are the same whatever their case
    guarded = {name: target for target in rules.targets for name in (final_name(repository, target), target)}
    found: dict[str, Refusal] = {}
    for push in pushes:
        name = final_name(repository, push.ref)
        if push.ref == "refs/for" or push.ref.startswith("refs/for/"):  # for the other hook
            continue
        if push.ref == SHARE and _takes_results(repository):
            continue
        if _touches(name, OURS, folds=folds):
            found[push.ref] = _of_ours(push)
        elif _touches(name, _REPLACEMENTS, folds=folds):
            found[push.ref] = _of_replacements(push)
        elif (target := _target((name, push.ref), guarded, folds=folds)) is not None and not _may_move(
            repository, rules, target, push, environment
        ):
            found[push.ref] = _of_target(push, target)
    return tuple(found.values())


def _takes_results(repository: Repository) -> bool:
    """Whether git leaves them to the other hook: not where the queue was set up before there were any."""
    refs = repository.git.run(["config", "--get-all", "receive.procReceiveRefs"]).stdout.split()
    return SHARE.encode() in refs


def final_name(repository: Repository, ref: str) -> str:
    """Return the ref that a push to `ref` would move: another one if that is symbolic."""
    for _ in range(_DEPTH):
        try:
            with (repository.common_dir / ref).open("rb") as file:
                text = file.read(4096)
        except (OSError, ValueError):
            return ref
        if not text.startswith(b"ref:"):
            return ref
        ref = text.removeprefix(b"ref:").strip().decode(errors="surrogateescape")
    return ref


def _target(names: Sequence[str], guarded: Mapping[str, str], *, folds: bool) -> str | None:
    """Return the target that is moved, or could not be made any more, when one of `names` is."""
    return next(
        (
            target
            for each, target in guarded.items()
            if any(_touches(name, each, folds=folds) for name in names)
        ),
        None,
    )


def _touches(name: str, guarded: str, *, folds: bool) -> bool:
    if folds:
        name, guarded = name.lower(), guarded.lower()
    return name == guarded or name.startswith(f"{guarded}/") or guarded.startswith(f"{name}/")


def _may_move(
    repository: Repository, rules: Rules, target: str, push: Push, environment: dict[str, str]
) -> bool:
    names = set(rules.pushers)
    if set(push.new) != {"0"} and not repository.git.succeeds("rev-parse", "-q", "--verify", target):
        names |= set(rules.admins)
    if not names:
        return False
    try:
        check_no_test(repository, environment)
        name = who(rules.identity, environment)
    except LimmatError:
        return False
    return name in names or "*" in names


def _of_ours(push: Push) -> Refusal:
    if push.ref == SHARE:
        return Refusal(
            reason="this queue is not set up to take results",
            hint="'git limmat queue init' in the server's repository sets that up",
        )
    return Refusal(
        reason=f"'{_shown(push.ref)}' is written by the merge queue only",
        hint="refs/limmat can be fetched, and not pushed; see 'git limmat queue -h' for what changes it",
    )


def _of_replacements(push: Push) -> Refusal:
    return Refusal(
        reason=f"'{_shown(push.ref)}' would replace an object for the merge queue, too",
        hint="the server's administrator can make it there, see git-replace(1)",
    )


def _of_target(push: Push, target: str) -> Refusal:
    branch = target.removeprefix(_HEADS)
    opens = f"'git push origin HEAD:refs/for/{branch}' opens a change, which lands when it has passed"
    if push.ref != target:
        return Refusal(reason=f"'{_shown(push.ref)}' is in the way of '{branch}'", hint=opens)
    if set(push.new) == {"0"}:
        return Refusal(
            reason=f"'{branch}' belongs to the merge queue and cannot be deleted",
            hint=f"'git config --unset limmat.queue.target' on the server, with '{branch}', gives it up",
        )
    if set(push.old) == {"0"}:
        return Refusal(
            reason=f"'{branch}' does not exist yet: only an administrator of the queue can push it",
            hint="limmat.queue.admin in the server's git configuration says who is one",
        )
    return Refusal(reason=f"'{branch}' is moved by the merge queue only", hint=opens)


def _shown(ref: str) -> str:
    return ref.encode("utf-8", "backslashreplace").decode()
