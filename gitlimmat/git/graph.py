"""The commits of a range as `git log --graph` draws them, with what people want to see of each.

Layer:  git.
Format: each line is the art, and where there is a commit then its fields, each after a NUL. Neither art nor
        fields can hold a NUL or a line break: git ends texts at a NUL, and joins the lines of a subject.
"""

from __future__ import annotations

import msgspec

from gitlimmat.git.message import printable
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit

_OPTIONS = (
    *("--graph", "--topo-order", "--encoding=UTF-8", "--decorate=full", "--no-color"),
    *("--no-show-signature", "--no-notes", "--no-patch", "--no-ext-diff", "--no-textconv"),
    "--format=%x00%H%x00%T%x00%h%x00%ct%x00%aN%x00%D%x00%s",
)
_LONGEST = 1000  # characters of a subject; more is nothing that anybody reads in a list
_SHORTENED = ("refs/heads/", "refs/tags/", "refs/remotes/")
_HIDDEN = ("refs/limmat/", "refs/notes/", "refs/stash", "refs/bisect/", "refs/rewritten/", "replaced")


class Described(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A commit as it is shown. Texts have no control characters; the longest subjects are cut.

    `abbreviated` is as short as `core.abbrev` wants it, `refs` are the names that point at it as
    `git log --decorate=short` writes them, HEAD first (`HEAD -> topic`, `tag: v1`), `committed` is seconds
    since the epoch.
    """

    id: str
    tree: str
    abbreviated: str
    subject: str
    refs: tuple[str, ...]
    author: str
    committed: int

    @property
    def plain(self) -> Commit:
        """What results are about."""
        return Commit(id=self.id, tree=self.tree)


class GraphLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of the graph: the art at its left, such as `* ` or `|\\ `, and the commit on it, if any."""

    art: str
    commit: Described | None


def read_graph(
    repository: Repository,
    base: str | None,
    head: str,
    *,
    include_base: bool = False,
    head_only: bool = False,
    most: int | None = None,
) -> tuple[GraphLine, ...]:
    """Return the graph of `base..head`, both full object ids, newest first; all of `head` without a base.

    No commit comes before one that is built on it. With `include_base` the base comes last. With `head_only`
    there is no commit but `head`. `most` is how many there are at most, the newest; not with the base.

    Spawns one process; two where the base is wanted and commits that are not built on it follow it.
    Raises: GitError when a commit cannot be read, for example because history has moved and it is gone.
    """
    if head_only:
        return _draw(repository, "--max-count=1", head)
    if base is None:
        return _draw(repository, head)
    if not include_base:
        return _draw(repository, *([] if most is None else [f"--max-count={most}"]), head, f"^{base}")
    lines = _draw(repository, head, base, f"^{base}^@")
    newest_first = [line.commit.id for line in lines if line.commit is not None]
    if newest_first[-1] == base:
        return lines
    drawn_alone = next(line for line in lines if line.commit is not None and line.commit.id == base)
    return (*_draw(repository, head, f"^{base}"), msgspec.structs.replace(drawn_alone, art="* "))


def _draw(repository: Repository, *words: str) -> tuple[GraphLine, ...]:
    said = repository.git.call("log", *_OPTIONS, *words, "--")
    return tuple(map(_line, said.decode(errors="replace").split("\n")[:-1]))


def _line(text: str) -> GraphLine:
    art, found, rest = text.partition("\0")
    if not found:
        return GraphLine(art=art, commit=None)
    oid, tree, abbreviated, committed, author, refs, subject = rest.split("\0")
    commit = Described(
        id=oid,
        tree=tree,
        abbreviated=abbreviated,
        subject=printable(subject[:_LONGEST]).strip(),
        refs=_shown(refs) if refs else (),
        author=printable(author),
        committed=int(committed or 0),
    )
    return GraphLine(art=art, commit=commit)


def _shown(decoration: str) -> tuple[str, ...]:
    """Return the names of a decoration. No ref has a space in its name, so `, ` stands between two only."""
    return tuple(printable(_short(name)) for name in decoration.split(", ") if not name.startswith(_HIDDEN))


def _short(name: str) -> str:
    """Return `HEAD -> refs/heads/topic` or `tag: refs/tags/v1` as `--decorate=short` has it."""
    before, space, ref = name.rpartition(" ")
    for prefix in _SHORTENED:
        if ref.startswith(prefix):
            return f"{before}{space}{ref.removeprefix(prefix)}"
    return name
