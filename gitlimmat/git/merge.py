"""Merges without a worktree: what a change becomes on its target, the same each time it is asked.

Layer:  git.

Trees are git's own (`git merge-tree`), made in a scratch directory, so no file, index, hook or setting takes
part; see `gitlimmat.git.scratch`. The queue's commits are dated by what they are made from, so the same merge
has the same id after a crash. Nothing is ever signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import assert_never

import msgspec

from gitlimmat.errors import GitError
from gitlimmat.git.objects import ObjectBatch
from gitlimmat.git.rawcommit import commit_text, person, read_raw
from gitlimmat.git.repository import Repository
from gitlimmat.git.scratch import Clash, Scratch

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
    asked for the words of a merge or squash of the heads that are in it; `trailers` are added to each commit
    that `Way.LINEAR` copies.
    """

    base: str
    heads: tuple[str, ...]
    way: Way = Way.MERGE
    name: str
    email: str
    message: Callable[[tuple[str, ...]], str]
    trailers: tuple[tuple[str, str], ...] = ()


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


def _make(repository: Repository, scratch: Scratch, spec: MergeSpec) -> Merged | Conflict | AlreadyMerged:
    match spec.way:
        case Way.MERGE:
            return _merge(repository, scratch, spec)
        case Way.LINEAR | Way.SQUASH | Way.AUTOSQUASH:
            raise GitError(f"cannot merge: the policy '{spec.way}' is not there yet")
    assert_never(spec.way)


def _merge(repository: Repository, scratch: Scratch, spec: MergeSpec) -> Merged | Conflict | AlreadyMerged:
    """Merge one head after the other; what does not fit is left out."""
    tip, tree, merged = spec.base, read_raw(repository.objects, spec.base).tree, list[str]()
    left_out: list[Conflict | AlreadyMerged] = []
    for head in dict.fromkeys(spec.heads):
        found = merge_head(repository, scratch, spec.base, tip, head)
        if not isinstance(found, str):
            left_out.append(found)
            continue
        tree = found
        merged.append(head)
        committer = queue_person(repository, spec, merged)
        text = commit_text(tree, (spec.base, *merged), committer, committer, "")
        tip = scratch.commit(text)
    if not merged:
        return next((each for each in left_out if isinstance(each, Conflict)), left_out[0])
    oid = _queue_commit(repository, scratch, spec, tree, tuple(merged))
    return Merged(oid=oid, tree=tree, commits=(oid,), heads=tuple(merged), left_out=tuple(left_out))


def merge_head(
    repository: Repository, scratch: Scratch, base: str, tip: str, head: str
) -> str | Conflict | AlreadyMerged:
    """Return the tree of `head` merged into `tip`, which is `base` and what was merged into it.

    A head that only another one has brought there is no news, and still a parent of the merge.
    """
    try:
        common = scratch.merge_bases(tip, head)
        if not common:
            return Conflict(head=head, reason=_UNRELATED)
        if common == (head,) and (tip == base or scratch.merge_bases(base, head) == (head,)):
            return AlreadyMerged(head=head)
        found = scratch.merge(tip, head)
    except GitError as error:
        raise_if_sound(scratch, base, head, error)
        return Conflict(head=head, reason=f"its history is not complete: {error}")
    return found if isinstance(found, str) else clash(head, found)


def clash(head: str, found: Clash) -> Conflict:
    """Return the conflict of a head, with paths that are safe to show."""
    kinds = ", ".join(found.kinds) or "content"
    return Conflict(head=head, paths=tuple(quote_path(path) for path in found.paths), reason=kinds)


def raise_if_sound(scratch: Scratch, base: str, head: str, error: GitError) -> None:
    """Raise `error` unless all that `head` brings is in the way: something of it is missing.

    Raises: `error` itself.
    """
    asked = f"{head}\n^{base}\n".encode()
    words = ("rev-list", "--objects", "--quiet", "--stdin")
    is_base_sound = scratch.git.run(("rev-list", "--objects", "--quiet", "-1", base)).returncode == 0
    if not is_base_sound or scratch.git.run(words, stdin=asked).returncode == 0:
        raise error


def quote_path(path: bytes) -> str:
    """Return a path as git shows it with `core.quotePath`: plain, or in double quotes with escapes."""
    if all(0x20 <= byte < 0x7F and byte not in b'"\\' for byte in path):
        return path.decode()
    return '"' + "".join(_ESCAPES.get(byte) or _escape(byte) for byte in path) + '"'


def queue_person(repository: Repository, spec: MergeSpec, heads: Sequence[str]) -> bytes:
    """Return the queue as author or committer, at the newest date of the base and the heads."""
    dates = [read_raw(repository.objects, oid).committed for oid in (spec.base, *heads)]
    return person(spec.name, spec.email, max(dates))


def _queue_commit(
    repository: Repository, scratch: Scratch, spec: MergeSpec, tree: str, heads: tuple[str, ...]
) -> str:
    committer = queue_person(repository, spec, heads)
    text = commit_text(tree, (spec.base, *heads), committer, committer, spec.message(heads))
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
