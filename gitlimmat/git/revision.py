"""What the user's words for commits mean.

Layer: git.

Every name is looked up in one batch, where it can be neither an option nor a file; ranges are then walked
from object ids. How many processes that takes depends on the number of ranges only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gitlimmat.errors import RevisionError
from gitlimmat.git.message import printable
from gitlimmat.git.names import explain, find_commits, look_up
from gitlimmat.git.range import Dots, Exclusion, Own, Parents, Single, Term, names_in, parse_term
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit

_BASES = (
    "refs/remotes/origin/HEAD",
    "refs/heads/main",
    "refs/heads/master",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
)


class Base(NamedTuple):
    """What the commits to be tested build on; `found` says where `revision` was found."""

    revision: str
    found: str


def resolve(repository: Repository, revision: str) -> Commit:
    """Return the one commit that `revision` names; an annotated tag stands for its commit.

    Raises: RevisionError naming it.
    """
    if not isinstance(parse_term(revision), Single):
        raise RevisionError(f"'{revision}' is a range, not one commit")
    return look_up(repository, [revision])[revision]


def list_commits(
    repository: Repository,
    arguments: Sequence[str],
    *,
    stdin: Sequence[str] = (),
    include_base: bool = False,
) -> tuple[Commit, ...]:
    """Return the commits that `arguments`, and then the lines of `stdin`, name.

    A revision means that commit alone. `A..B`, `A...B`, `R^!` and `R^-` mean what they mean to git rev-list,
    `R^@` the parents of R. With a `^A` among them, all together mean what they mean to git rev-list. With
    `include_base`, what a range excludes follows it: A of `A..B` and `^A`, the merge bases of `A...B`.

    Shape: in the order given, a range newest first with no parent before its children, each commit once.
    An empty range gives none. Blank lines of `stdin` are ignored.
    Raises: RevisionError naming the first revision that is unusable.
    """
    lines = [text for line in stdin if (text := line.strip())]
    terms = [parse_term(text) for text in (*arguments, *lines)]
    ids = look_up(repository, list(dict.fromkeys(name for term in terms for name in names_in(term))))
    if any(isinstance(term, Exclusion) for term in terms):
        parts: Iterable[Iterable[Commit]] = [_walk(repository, [w for t in terms for w in _words(t, ids)])]
        if include_base:
            parts = (*parts, *(_base(repository, term, ids) for term in terms))
    else:
        parts = (
            part
            for term in terms
            for part in (
                _commits(repository, term, ids),
                _base(repository, term, ids) if include_base else (),
            )
        )
    return tuple({commit.id: commit for part in parts for commit in part}.values())


def find_base(repository: Repository, configured: str | None) -> Base:
    """Return what the commits of HEAD build on: `limmat.base` (`configured`), or the best guess.

    Guesses are the upstream of HEAD's branch, origin's HEAD, and main or master, here or at origin; never
    HEAD's own branch.

    Raises: RevisionError when `configured` is unusable, HEAD has no commits, or there is nothing to guess.
    """
    if configured is not None:
        return _configured_base(repository, configured)
    git = repository.asked
    own = os.fsdecode(git.call("symbolic-ref", "--quiet", "HEAD", check=False)).removesuffix("\n")
    upstream = git.text("for-each-ref", "--format=%(refname)%00%(upstream)", own) if own else ""
    upstream = dict(line.split("\0") for line in upstream.splitlines()).get(own, "")
    candidates = [name for name in (upstream, *_BASES) if name and name != own]
    short = {name: _shortened(name) for name in candidates}
    found = find_commits(repository, ["HEAD", *short, *short.values()])
    if found["HEAD"] is None:
        raise explain(repository, "HEAD")
    for name in candidates:
        commit = found[name]
        if commit is not None:
            plain = short[name] if found[short[name]] == commit else name
            return Base(plain, "upstream" if name == upstream else name)
    raise RevisionError(
        "cannot guess where the commits to be tested begin",
        hint="name commits, such as HEAD or HEAD~3..HEAD, or set limmat.base",
    )


def existing(repository: Repository, ids: Sequence[str]) -> tuple[Commit, ...]:
    """Return those of `ids` that are commits of this repository, with their trees."""
    found = find_commits(repository, ids)
    return tuple(commit for oid in ids if (commit := found[oid]) is not None)


def subjects(repository: Repository, ids: Sequence[str]) -> dict[str, str]:
    """Return the first line of the message of each commit; control characters are replaced.

    Shape: a commit that cannot be read has an empty one.
    """
    objects = repository.objects
    result = {}
    for oid in ids:
        commit = objects.get(oid)
        raw = getattr(commit, "raw_message", b"")
        encoding = getattr(commit, "message_encoding", None) or "utf-8"
        result[oid] = _first_line(raw, encoding)
    return result


def abbreviations(repository: Repository, ids: Sequence[str]) -> dict[str, str]:
    """Return each commit's id as short as git would print it (`core.abbrev`). One process."""
    if not ids:
        return {}
    words = "".join(f"{oid}\n" for oid in ids).encode()
    said = repository.asked.text(
        "rev-list", "--no-walk=unsorted", "--ignore-missing", "--format=%h", "--stdin", stdin=words
    ).split("\n")
    short = {head.removeprefix("commit "): line for head, line in zip(said[0::2], said[1::2], strict=False)}
    return {oid: short.get(oid, oid) for oid in ids}


def _configured_base(repository: Repository, configured: str) -> Base:
    try:
        resolve(repository, configured)
    except RevisionError as error:
        raise RevisionError(f"cannot use limmat.base: {error.message}", hint=error.hint) from error
    return Base(configured, "limmat.base")


def _shortened(ref: str) -> str:
    """Return what people call a branch; it may also be the name of something else."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/remotes/")


def _commits(repository: Repository, term: Term, ids: Mapping[str, Commit]) -> Iterable[Commit]:
    match term:
        case Single(name=name):
            return (ids[name],)
        case Parents():
            return _walk(repository, _words(term, ids), "--no-walk=unsorted")
        case _:
            return _walk(repository, _words(term, ids))


def _base(repository: Repository, term: Term, ids: Mapping[str, Commit]) -> Iterable[Commit]:
    """Return what a range excludes."""
    match term:
        case Dots(left=left, symmetric=False):
            return (ids[left],)
        case Exclusion(name=name, parents=False):
            return (ids[name],)
        case Own(name=name, parent=int(parent)):
            return (ids[f"{name}^{parent}"],)
        case Dots(left=left, right=right):
            found = repository.asked.call("merge-base", "--all", ids[left].id, ids[right].id, check=False)
            words = found.decode().split()
        case Own(name=name) | Exclusion(name=name):
            words = [f"{ids[name].id}^@"]
        case _:
            return ()
    return _walk(repository, words, "--no-walk=unsorted") if words else ()


def _words(term: Term, ids: Mapping[str, Commit]) -> list[str]:
    """Return `term` for git rev-list, with object ids instead of names."""
    match term:
        case Single(name=name):
            return [ids[name].id]
        case Dots(left=left, right=right, symmetric=symmetric):
            return [f"{ids[left].id}{'...' if symmetric else '..'}{ids[right].id}"]
        case Own(name=name, parent=parent):
            return [f"{ids[name].id}{'^!' if parent is None else f'^-{parent}'}"]
        case Parents(name=name):
            return [f"{ids[name].id}^@"]
        case Exclusion(name=name, parents=parents):
            return [f"^{ids[name].id}{'^@' if parents else ''}"]


def _walk(repository: Repository, words: Sequence[str], *options: str) -> list[Commit]:
    """Return what git rev-list says about words made of object ids."""
    done = repository.asked.run(
        ["rev-list", *(options or ("--topo-order",)), "--format=%T", "--stdin"],
        stdin="".join(f"{word}\n" for word in words).encode(),
    )
    if done.returncode != 0:
        said = os.fsdecode(done.stderr).strip().partition("\n")[0].removeprefix("fatal: ")
        raise RevisionError(f"cannot list commits: {said}")
    lines = done.stdout.decode().split("\n")
    return [
        Commit(id=head.removeprefix("commit "), tree=tree)
        for head, tree in zip(lines[0::2], lines[1::2], strict=False)
    ]


def _first_line(raw: bytes, encoding: str) -> str:
    line = raw.strip().partition(b"\n")[0].rstrip()
    try:
        text = line.decode(encoding, errors="replace")
    except LookupError:
        text = line.decode(errors="replace")
    return printable(text)
