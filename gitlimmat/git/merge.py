"""Merges without a worktree: what a change becomes on its target, the same each time it is asked.

Layer:  git.

Trees are git's own (`git merge-tree`), made in a scratch directory, so no file, index, hook or setting takes
part; see `gitlimmat.git.scratch`. The queue's commits are dated by what they are made from, so the same merge
has the same id after a crash. Nothing is ever signed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, assert_never

import msgspec

from gitlimmat.errors import GitError, LimmatError
from gitlimmat.git.objects import DamagedObjectError, ObjectBatch
from gitlimmat.git.rawcommit import RawCommit, commit_text, person, read_raw
from gitlimmat.git.replay import Replay, Stuck, Tip, arrange, authors_of, commits_between
from gitlimmat.git.repository import Repository
from gitlimmat.git.scratch import Clash, Scratch

_SHORT = 12
_DAY_S = 86400
_UNRELATED = "it has no history in common with the target"


class Way(StrEnum):
    """How a head becomes commits on its base; named as the queue's policies are."""

    MERGE = "merge"
    LINEAR = "linear"
    SQUASH = "squash"
    AUTOSQUASH = "autosquash"


class MergeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to merge, by full ids of commits, and in whose name.

    Several `heads` only for `Way.MERGE`: one commit whose parents are the base and all heads. `message` is
    asked for the words of a merge or squash, with the heads that are in it and, for a squash, who else than
    its author is credited (`Name <email>`). `reword` is asked for the message of each commit that
    `Way.LINEAR` copies.
    """

    base: str
    heads: tuple[str, ...]
    way: Way = Way.MERGE
    name: str
    email: str
    message: Callable[[tuple[str, ...], tuple[str, ...]], str]
    reword: Callable[[str], str] = str


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """`head` cannot be merged. `paths` are quoted as git quotes them; `reason` is for people."""

    head: str
    paths: tuple[str, ...] = ()
    reason: str


class AlreadyMerged(msgspec.Struct, frozen=True, kw_only=True):
    """`head` is in the base, or would change nothing there and leave no commit."""

    head: str


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """A merge was made: `oid`, the last of `commits`, which are new and oldest first.

    `heads` are those in it. `left_out` has the others of several, and why.
    """

    oid: str
    tree: str
    commits: tuple[str, ...]
    heads: tuple[str, ...]
    left_out: tuple[Conflict | AlreadyMerged, ...] = ()


_Made = Merged | Conflict | AlreadyMerged
_Maker = Callable[[Repository, Scratch, MergeSpec, "_Whole"], _Made]


def make_merge(
    repository: Repository, spec: MergeSpec, batch: ObjectBatch | None = None
) -> Merged | Conflict | AlreadyMerged:
    """Merge and write the commits; no ref is touched.

    A `git gc --prune=now` may remove them while no ref leads there. With a `batch` they are written with it,
    and stay until the caller has moved a ref, called `batch.confirm` and then `batch.release`.
    Of several heads, none of which can be merged, the first one's reason is returned.

    Raises: GitError when git fails, for a reason that is not the heads'; nothing was written.
    """
    with Scratch(repository, spec.base) as scratch:
        made = _make(repository, scratch, spec)
        if isinstance(made, Merged):
            own = batch or ObjectBatch(repository)
            scratch.give(own, made.oid, (spec.base, *made.heads))
            try:
                own.write()
            finally:
                if batch is None:
                    own.release()
    return made


def find_conflict(repository: Repository, spec: MergeSpec) -> Conflict | None:
    """Return why one head cannot be merged, None when it can. Nothing is written.

    Raises: GitError when git fails, for a reason that is not the head's, or has no more time.
    """
    with Scratch(repository, spec.base) as scratch:
        made = _make(repository, scratch, spec)
    return made if isinstance(made, Conflict) else None


def _make(repository: Repository, scratch: Scratch, spec: MergeSpec) -> _Made:
    match spec.way:
        case Way.MERGE:
            return _merge(repository, scratch, spec)
        case Way.LINEAR:
            return _one(repository, scratch, spec, _linear)
        case Way.SQUASH:
            return _one(repository, scratch, spec, _squash)
        case Way.AUTOSQUASH:
            return _one(repository, scratch, spec, _autosquash)
    assert_never(spec.way)


def _merge(repository: Repository, scratch: Scratch, spec: MergeSpec) -> _Made:
    """Merge one head after the other; what does not fit is left out."""
    tip, tree, merged = spec.base, read_raw(repository.objects, spec.base).tree, list[str]()
    left_out: list[Conflict | AlreadyMerged] = []
    for head in dict.fromkeys(spec.heads):
        found = _merge_head(scratch, spec.base, tip, head)
        if not isinstance(found, str):
            left_out.append(found)
            continue
        tree = found
        merged.append(head)
        committer = _queue_person(repository, spec, merged)
        text = commit_text(tree, (spec.base, *merged), committer, committer, "")
        tip = scratch.commit(text)
    if not merged:
        return next((each for each in left_out if isinstance(each, Conflict)), left_out[0])
    oid = _queue_commit(repository, scratch, spec, tree, tuple(merged))
    return Merged(oid=oid, tree=tree, commits=(oid,), heads=tuple(merged), left_out=tuple(left_out))


def _one(repository: Repository, scratch: Scratch, spec: MergeSpec, make: _Maker) -> _Made:
    """Make commits of one head, when it merges with the base at all."""
    if len(spec.heads) != 1:
        raise ValueError(f"{spec.way} takes one head")
    (head,) = spec.heads
    try:
        told = _is_news(scratch, spec.base, head)
        if told is not None:
            return told
        commits = commits_between(repository, scratch, spec.base, head)
        return make(repository, scratch, spec, _Whole(head, commits))
    except (GitError, DamagedObjectError) as error:
        return _incomplete(scratch, spec.base, head, error)


class _Whole(NamedTuple):
    """A head and its own commits, oldest first."""

    head: str
    commits: tuple[RawCommit, ...]


def _linear(repository: Repository, scratch: Scratch, spec: MergeSpec, whole: _Whole) -> _Made:
    """Copy every commit but merges, whose own changes must not be lost."""
    base = read_raw(repository.objects, spec.base)
    kept = [commit for commit in whole.commits if len(commit.parents) < 2]
    replay = Replay(repository, scratch, _queue_person(repository, spec, spec.heads))
    tip = replay.copy(kept, Tip(oid=base.oid, tree=base.tree), spec.reword)
    if isinstance(tip, Stuck):
        return _stuck(whole.head, tip)
    if len(kept) < len(whole.commits) and tip.tree != scratch.merge(spec.base, whole.head):
        return Conflict(head=whole.head, reason="its merges have changes of their own: rebase it")
    if not tip.made:
        return AlreadyMerged(head=whole.head)
    return Merged(oid=tip.oid, tree=tip.tree, commits=tip.made, heads=spec.heads)


def _squash(repository: Repository, scratch: Scratch, spec: MergeSpec, whole: _Whole) -> _Made:
    """Make one commit, of the author of the oldest."""
    tree = scratch.merge(spec.base, whole.head)
    if isinstance(tree, Clash):
        return _conflict(whole.head, tree)
    if tree == read_raw(repository.objects, spec.base).tree:
        return AlreadyMerged(head=whole.head)
    author, others = authors_of(whole.commits)
    committer = _queue_person(repository, spec, spec.heads)
    message = spec.message(spec.heads, others)
    oid = scratch.commit(commit_text(tree, (spec.base,), author, committer, message))
    return Merged(oid=oid, tree=tree, commits=(oid,), heads=spec.heads)


def _autosquash(repository: Repository, scratch: Scratch, spec: MergeSpec, whole: _Whole) -> _Made:
    """Merge the head with its fixups folded; what it contains stays as it was approved."""
    folds = arrange([commit for commit in whole.commits if len(commit.parents) < 2])
    if not any(fold.parts for fold in folds):
        return _merge(repository, scratch, spec)
    onto = scratch.merge_bases(spec.base, whole.head)
    if len(onto) != 1:
        return Conflict(head=whole.head, reason="its history crosses the target's: rebase it")
    start = Tip(oid=onto[0], tree=read_raw(repository.objects, onto[0]).tree)
    tip = Replay(repository, scratch, _queue_person(repository, spec, spec.heads)).fold(folds, start)
    if isinstance(tip, Stuck):
        stuck = _stuck(whole.head, tip)
        return msgspec.structs.replace(stuck, reason=f"its fixups cannot be folded: {stuck.reason}")
    if tip.tree != read_raw(repository.objects, whole.head).tree:
        return Conflict(head=whole.head, reason="folding its fixups changes what it contains: rebase it")
    if tip.oid == start.oid:
        return AlreadyMerged(head=whole.head)
    tree = scratch.merge(spec.base, tip.oid)
    if isinstance(tree, Clash):
        return _conflict(whole.head, tree)
    committer = _queue_person(repository, spec, spec.heads)
    text = commit_text(tree, (spec.base, tip.oid), committer, committer, spec.message(spec.heads, ()))
    oid = scratch.commit(text)
    return Merged(oid=oid, tree=tree, commits=(*tip.made, oid), heads=spec.heads)


def _merge_head(scratch: Scratch, base: str, tip: str, head: str) -> str | Conflict | AlreadyMerged:
    """Return the tree of `head` merged into `tip`, which is `base` and what was merged into it.

    A head that only another one has brought there is no news, and still a parent of the merge.
    """
    try:
        told = _is_news(scratch, base, head)
        if told is not None:
            return told
        found = scratch.merge(tip, head)
    except GitError as error:
        return _incomplete(scratch, base, head, error)
    return found if isinstance(found, str) else _conflict(head, found)


def _is_news(scratch: Scratch, base: str, head: str) -> Conflict | AlreadyMerged | None:
    common = scratch.merge_bases(base, head)
    if not common:
        return Conflict(head=head, reason=_UNRELATED)
    return AlreadyMerged(head=head) if common == (head,) else None


def _incomplete(scratch: Scratch, base: str, head: str, error: LimmatError) -> Conflict:
    """Return the conflict of a head that something is missing of.

    Raises: `error` when that is not so, or something of the base is missing too.
    """
    asked = f"{head}\n^{base}\n".encode()
    words = ("rev-list", "--objects", "--quiet")
    is_base_sound = scratch.git.run((*words, "--max-count=1", base)).returncode == 0
    if not is_base_sound or scratch.git.run((*words, "--stdin"), stdin=asked).returncode == 0:
        raise error
    return Conflict(head=head, reason=f"its history is not complete: {error}")


def _stuck(head: str, stuck: Stuck) -> Conflict:
    found = _conflict(head, stuck.clash)
    return msgspec.structs.replace(found, reason=f"{found.reason}, at commit {stuck.commit.oid[:_SHORT]}")


def _conflict(head: str, found: Clash) -> Conflict:
    kinds = ", ".join(found.kinds) or "content"
    return Conflict(head=head, paths=tuple(quote_path(path) for path in found.paths), reason=kinds)


def quote_path(path: bytes) -> str:
    """Return a path as git shows it with `core.quotePath`: plain, or in double quotes with escapes."""
    if all(0x20 <= byte < 0x7F and byte not in b'"\\' for byte in path):
        return path.decode()
    return '"' + "".join(_ESCAPES.get(byte) or _escape(byte) for byte in path) + '"'


def _queue_person(repository: Repository, spec: MergeSpec, heads: Sequence[str]) -> bytes:
    """Return the queue as author or committer, at the newest date of the base and the heads.

    A date that is still to come is somebody's mistake, which all that lands later is not to take over.
    """
    dates = [read_raw(repository.objects, oid).committed for oid in (spec.base, *heads)]
    latest = time.time() + _DAY_S
    return person(spec.name, spec.email, max((date for date in dates if date <= latest), default=min(dates)))


def _queue_commit(
    repository: Repository, scratch: Scratch, spec: MergeSpec, tree: str, heads: tuple[str, ...]
) -> str:
    committer = _queue_person(repository, spec, heads)
    text = commit_text(tree, (spec.base, *heads), committer, committer, spec.message(heads, ()))
    return scratch.commit(text)


_ESCAPES = {
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
    34: '\\"',
    92: "\\\\",
}


def _escape(byte: int) -> str:
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"
