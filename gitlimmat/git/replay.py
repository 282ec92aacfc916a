"""Copy commits onto another base, all of them or folded, as `git rebase` would and without a worktree.

Layer:  git.

Differs from `git rebase` where a shared branch must not lose anything: what the target once had and reverted
is not dropped as known; merges are left out only if the result is what merging would have given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from gitlimmat.git.rawcommit import RawCommit, commit_text, read_raw
from gitlimmat.git.repository import Repository
from gitlimmat.git.scratch import Clash, Scratch, empty_tree

_MARK = re.compile(r"(fixup|squash|amend)! ")
_MARKS = re.compile(r"(?:(?:fixup|squash|amend)! )+")
_CO_AUTHOR = re.compile(r"^co-authored-by:[ \t]*([^\n]*<[^\n<>]*>)[ \t]*$", re.IGNORECASE | re.MULTILINE)


class Tip(msgspec.Struct, frozen=True, kw_only=True):
    """Where copying has come to; `made` are the new commits, oldest first."""

    oid: str
    tree: str
    made: tuple[str, ...] = ()


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """The commit that cannot be copied, and why."""

    commit: RawCommit
    clash: Clash


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """A commit and those that are to be melted into it, in their order."""

    target: RawCommit
    parts: tuple[RawCommit, ...] = ()


class Replay:
    """Copies commits in a scratch directory; `committer` is written as who committed them."""

    def __init__(self, repository: Repository, scratch: Scratch, committer: bytes) -> None:
        self._repository = repository
        self._scratch = scratch
        self._committer = committer

    def copy(self, commits: Sequence[RawCommit], tip: Tip, reword: Callable[[str], str]) -> Tip | Stuck:
        """Copy each commit that changes anything where it comes to; author and date stay."""
        for commit in commits:
            tree = self._applied(commit, tip.tree)
            if isinstance(tree, Clash):
                return Stuck(commit=commit, clash=tree)
            if tree != tip.tree:
                tip = self._commit(tip, tree, commit.author, reword(commit.message))
        return tip

    def fold(self, folds: Sequence[Fold], tip: Tip) -> Tip | Stuck:
        """Copy commits with what is melted into them; those that nothing came before stay as they are."""
        for fold in folds:
            if not fold.parts and fold.target.parents == (tip.oid,):
                tip = Tip(oid=fold.target.oid, tree=fold.target.tree, made=tip.made)
                continue
            tree, message = tip.tree, fold.target.message
            for commit in (fold.target, *fold.parts):
                found = self._applied(commit, tree)
                if isinstance(found, Clash):
                    return Stuck(commit=commit, clash=found)
                tree = found
            for part in fold.parts:
                message = folded_message(message, part)
            if tree != tip.tree or self._is_empty(fold.target):
                tip = self._commit(tip, tree, fold.target.author, message)
        return tip

    def _commit(self, tip: Tip, tree: str, author: bytes, message: str) -> Tip:
        oid = self._scratch.commit(commit_text(tree, (tip.oid,), author, self._committer, message))
        return Tip(oid=oid, tree=tree, made=(*tip.made, oid))

    def _applied(self, commit: RawCommit, tree: str) -> str | Clash:
        return self._scratch.merge_trees(self._tree_before(commit), tree, commit.tree)

    def _is_empty(self, commit: RawCommit) -> bool:
        return self._tree_before(commit) == commit.tree

    def _tree_before(self, commit: RawCommit) -> str:
        if not commit.parents:
            return empty_tree(self._scratch)
        return read_raw(self._repository.objects, commit.parents[0]).tree


def commits_between(repository: Repository, scratch: Scratch, base: str, head: str) -> tuple[RawCommit, ...]:
    """Return the commits of `head` that `base` does not have, merges too, in the order of a rebase.

    Raises: GitError when some are missing.
    """
    asked = f"{head}\n^{base}\n".encode()
    listed = scratch.git.call("rev-list", "--topo-order", "--reverse", "--stdin", stdin=asked)
    return tuple(read_raw(repository.objects, oid) for oid in listed.decode().split())


def arrange(commits: Sequence[RawCommit]) -> tuple[Fold, ...]:
    """Return commits with those that say `fixup!`, `squash!` or `amend!` put to what they name.

    Named by a whole subject first, then an id or its beginning, then the beginning of a subject. What names
    nothing that comes before it stays a commit. As `git rebase --autosquash`.
    """
    after: list[int | None] = [None] * len(commits)
    last: dict[int, int] = {}
    by_subject: dict[str, int] = {}
    whole = []
    for number, commit in enumerate(commits):
        found = _named(commits[:number], by_subject, commit.subject)
        if found is None:
            by_subject.setdefault(commit.subject, number)
            whole.append(number)
            continue
        before = last.get(found, found)
        after[number], after[before], last[found] = after[before], number, number
    return tuple(
        Fold(target=commits[number], parts=tuple(commits[each] for each in _chain(after, number)))
        for number in whole
    )


def folded_message(message: str, part: RawCommit) -> str:
    """Return a commit's message when `part` is melted into it."""
    match = _MARK.match(part.subject)
    kind = match[1] if match is not None else "squash"
    if kind == "fixup":
        return message
    own = _cleaned(part.message).partition("\n\n")[2]
    if kind == "amend":
        return own or message
    return "\n\n".join(filter(None, (_cleaned(message).rstrip("\n"), own)))


def authors_of(commits: Sequence[RawCommit]) -> tuple[bytes, tuple[str, ...]]:
    """Return the author line of the oldest commit that is no merge, and who else is credited in them.

    Shape: each other one once by email, as `Name <email>`, oldest first.
    """
    own = [commit for commit in commits if len(commit.parents) < 2] or list(commits)
    credited = {_email(own[0].author_name): ""}
    for commit in own:
        for name in (commit.author_name, *_CO_AUTHOR.findall(commit.message)):
            credited.setdefault(_email(name), name)
    return own[0].author, tuple(name for name in credited.values() if name)


def _email(name: str) -> str:
    return name.rpartition("<")[2].rstrip("> ").casefold()


def _cleaned(message: str) -> str:
    """Return a message as git tidies one: no blanks at the ends, never two blank lines together."""
    lines = "\n".join(each.rstrip() for each in message.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def _chain(after: Sequence[int | None], number: int) -> Iterator[int]:
    each = after[number]
    while each is not None:
        yield each
        each = after[each]


def _named(earlier: Sequence[RawCommit], by_subject: dict[str, int], subject: str) -> int | None:
    match = _MARKS.match(subject)
    if match is None:
        return None
    rest = subject[match.end() :]
    if (exact := by_subject.get(rest)) is not None:
        return exact
    if re.fullmatch(r"[0-9a-f]{4,40}", rest):
        of_id = [number for number, commit in enumerate(earlier) if commit.oid.startswith(rest)]
        if len(of_id) == 1:
            return of_id[0]
    return next((number for number, commit in enumerate(earlier) if commit.subject.startswith(rest)), None)
