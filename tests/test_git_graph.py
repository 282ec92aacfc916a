"""The graph has the commits of git rev-list, and texts that can be shown, whatever people commit."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Repo

from gitlimmat.errors import GitError
from gitlimmat.git.graph import Described, GraphLine, read_graph
from gitlimmat.git.repository import find_repository


def commits(lines: Sequence[GraphLine]) -> list[Described]:
    """The commits of a graph."""
    return [line.commit for line in lines if line.commit is not None]


def drawn(lines: Sequence[GraphLine]) -> list[str]:
    """The graph as text, with subjects."""
    return [(line.art + (line.commit.subject if line.commit else "")).rstrip() for line in lines]


def graph(repo: Repo, *ends: str, include_base: bool = False) -> tuple[GraphLine, ...]:
    """The graph of all that a revision has, or of `base, head`."""
    ids = [repo.git("rev-parse", f"{end}^{{commit}}") for end in ends]
    base, head = (None, *ids)[-2:]
    assert head is not None
    return read_graph(find_repository(repo.path), base, head, include_base=include_base)


def raw_commit(repo: Repo, message: bytes, *, encoding: str = "", author: bytes = b"A U Thor") -> str:
    """Make a commit of these bytes, which git would not write, and return its id."""
    tree = repo.git("mktree", stdin="")
    lines = [b"tree " + tree.encode(), b"author " + author + b" <a@b> 1750000000 +0000"]
    lines += [b"committer C <c@d> 1750000001 +0000"]
    lines += [b"encoding " + encoding.encode()] if encoding else []
    raw = b"\n".join(lines) + b"\n\n" + message
    return repo.git(
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--literally",
        "--stdin",
        stdin=raw.decode(errors="surrogateescape"),
    )


def build_history(repo: Repo, seed: int, count: int) -> list[str]:
    """Make a random history of `count` commits, with merges of up to five; return their ids."""
    chance = random.Random(seed)
    stream = ""
    for place in range(1, count + 1):
        size = min(chance.choice([0] + [1] * 12 + [2] * 6 + [3, 5]), place - 1)
        parents = chance.sample(range(max(1, place - 9), place), min(size, place - max(1, place - 9)))
        when = 1_750_000_000 + chance.randrange(500)
        stream += f"commit refs/heads/c{place}\nmark :{place}\ncommitter A <a@b> {when} +0000\n"
        stream += f"data {len(str(place))}\n{place}\n"
        words = ["from"] + ["merge"] * 9
        stream += "".join(f"{word} :{parent}\n" for word, parent in zip(words, parents, strict=False)) + "\n"
    repo.git("fast-import", "--quiet", "--force", stdin=stream)
    return [repo.git("rev-parse", f"c{place}") for place in range(1, count + 1)]


@pytest.mark.parametrize("seed", range(8))
def test_commits_are_those_of_rev_list(repo: Repo, seed: int) -> None:
    """Whatever the history and the ends, the commits and their order are those of rev-list --topo-order."""
    ids = build_history(repo, seed, 40)
    repository = find_repository(repo.path)
    chance = random.Random(seed)
    for _ in range(6):
        base, head = chance.choice(ids), chance.choice(ids)
        wanted = repo.git("rev-list", "--topo-order", f"{base}..{head}").split()

        found = [commit.id for commit in commits(read_graph(repository, base, head))]
        with_base = [commit.id for commit in commits(read_graph(repository, base, head, include_base=True))]
        whole = [commit.id for commit in commits(read_graph(repository, None, head))]

        assert found == wanted
        assert sorted(with_base[:-1]) == sorted(wanted)
        assert with_base[-1] == base
        assert whole == repo.git("rev-list", "--topo-order", head).split()


def test_graph_is_drawn_as_git_draws_it(repo: Repo) -> None:
    """Art and subjects together are `git log --graph --format=%s`; the base hangs on what is built on it."""
    repo.commit("base")
    repo.commit("topic", "main")
    repo.commit("side", "main")
    repo.git("checkout", "-q", "topic")
    repo.git("merge", "-q", "--no-ff", "-m", "join", "side")

    assert drawn(graph(repo, "main", "topic")) == ["*   join", "|\\", "| * side", "* topic"]
    assert drawn(graph(repo, "main", "topic", include_base=True)) == [
        *("*   join", "|\\", "| * side", "* | topic", "|/", "* base")
    ]
    assert drawn(graph(repo, "topic", "topic", include_base=True)) == ["* join"]
    assert graph(repo, "topic", "topic") == ()
    assert graph(repo, "topic", "main") == ()


def test_octopus_is_drawn(repo: Repo) -> None:
    """A merge of four has art lines without commits, as many as git wants."""
    repo.commit("base")
    for name in ("a", "b", "c"):
        repo.commit(name, "main")
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--no-ff", "-m", "all", "a", "b", "c")

    said = repo.git("log", "--graph", "--topo-order", "--format=%s").splitlines()

    assert drawn(graph(repo, "main")) == [line.rstrip() for line in said]


def test_refs_are_named_as_git_shortens_them(repo: Repo) -> None:
    """HEAD comes first; tags are marked; ours, notes and stashes are not shown; odd names survive."""
    oid = repo.commit("base")
    for name in ("heads/a,b->c", "heads/ünïcode/ref", "tags/v1", "remotes/origin/main", "heads/heads/x"):
        repo.git("update-ref", f"refs/{name}", oid)
    for name in ("limmat/share/host", "limmat/queue/runs/1", "notes/limmat", "stash", "bisect/bad"):
        repo.git("update-ref", f"refs/{name}", oid)
    repo.git("tag", "-a", "-m", "words", "v2")
    expected = {"a,b->c", "ünïcode/ref", "tag: v1", "tag: v2", "origin/main", "heads/x"}

    (line,) = graph(repo, "main")
    assert line.commit
    assert line.commit.refs[0] == "HEAD -> main"
    assert set(line.commit.refs[1:]) == expected

    repo.git("checkout", "-q", "--detach")
    repo.git("config", "log.initialDecorationSet", "all")
    (line,) = graph(repo, "main")
    assert line.commit
    assert line.commit.refs[0] == "HEAD"
    assert set(line.commit.refs[1:]) == expected | {"main"}


def test_linked_worktree_has_its_own_head(repo: Repo) -> None:
    """HEAD among the names is that of the worktree the watch runs in."""
    repo.commit("base")
    repo.git("worktree", "add", "-q", "-b", "topic", "../linked")

    (line,) = read_graph(find_repository(repo.path.parent / "linked"), None, repo.git("rev-parse", "HEAD"))

    assert line.commit
    assert line.commit.refs == ("HEAD -> topic", "main")


@pytest.mark.parametrize(
    ("message", "encoding", "expected"),
    [
        (b"plain\n\nbody", "", "plain"),
        (b"", "", ""),
        (b"\n\n\n", "", ""),
        (b"\n\n  late start  \nsecond line\n\nbody", "", "late start second line"),
        (b"red \x1b[31m alert\x07", "", "red \ufffd[31m alert\ufffd"),
        (b"tab\tand\rreturn", "", "tab and return"),
        (b"zero\0after", "", "zero"),
        (b"latin \xe9\xff", "", "latin \ufffd\ufffd"),
        ("grüße".encode("latin-1"), "ISO-8859-1", "grüße"),
        (b"what \xe9 is it", "no-such-encoding", "what \ufffd is it"),
        ("spoof \u202egnol\u202c".encode(), "", "spoof \ufffdgnol\ufffd"),
        ("one\u2028two\x85three\x0bfour".encode(), "", "one two three four"),
        ("👩\u200d💻 at 日本".encode(), "", "👩\u200d💻 at 日本"),
        (b"<script>alert(1)</script> %H %x00", "", "<script>alert(1)</script> %H %x00"),
        (b"x" * 100_000, "", "x" * 1000),
    ],
)
def test_subject_can_be_shown(repo: Repo, message: bytes, encoding: str, expected: str) -> None:
    """A subject is one line without control characters, whatever bytes are in the message."""
    head = raw_commit(repo, message, encoding=encoding)

    (line,) = read_graph(find_repository(repo.path), None, head)

    assert line.commit
    assert line.commit.subject == expected


def test_fields_are_those_of_the_commit(repo: Repo) -> None:
    """Tree, author and time are the commit's; the author's name goes through the mailmap."""
    repo.commit("base", **{".mailmap": "Ann Other <author@example.com>\n"})
    head = repo.git("rev-parse", "HEAD")

    (line,) = graph(repo, "HEAD")

    assert line == GraphLine(
        art="* ",
        commit=Described(
            id=head,
            tree=repo.git("rev-parse", "HEAD^{tree}"),
            abbreviated=repo.git("rev-parse", "--short", "HEAD"),
            subject="base",
            refs=("HEAD -> main",),
            author="Ann Other",
            committed=1_750_000_060,
        ),
    )


def test_author_can_be_shown(repo: Repo) -> None:
    """An author's name has no control characters either."""
    head = raw_commit(repo, b"x", author=b"Eve \x1b]0;title\x07")

    (line,) = read_graph(find_repository(repo.path), None, head)

    assert line.commit
    assert line.commit.author == "Eve \ufffd]0;title\ufffd"


def test_abbreviations_are_as_long_as_wanted(repo: Repo) -> None:
    """`core.abbrev` decides."""
    repo.commit("base")
    repo.git("config", "core.abbrev", "17")

    (line,) = graph(repo, "main")

    assert line.commit
    assert len(line.commit.abbreviated) == 17


@pytest.mark.parametrize(
    "setting",
    [
        *(
            "log.showSignature=true",
            "log.showRoot=true",
            "log.follow=true",
            "log.decorate=no",
            "color.ui=always",
        ),
        *("log.graphColors=red,blue", "log.diffMerges=on", "log.date=relative", "format.pretty=fuller"),
        *("i18n.logOutputEncoding=UTF-16", "notes.displayRef=*", "log.excludeDecoration=refs/heads/other"),
        *("log.abbrevCommit=true", "log.mailmap=false", "diff.external=false", "core.quotePath=false"),
        *("pager.log=cat >&2", "core.pager=false", "format.notes=true", "log.initialDecorationSet=all"),
    ],
)
def test_settings_do_no_harm(repo: Repo, setting: str) -> None:
    """What people set for their own `git log` does not show here."""
    repo.commit("base")
    repo.git("notes", "add", "-m", "a note")
    repo.commit("grüße")
    repo.git("branch", "other", "main~1")
    without = graph(repo, "main")
    key, _, value = setting.partition("=")
    repo.git("config", key, value)

    found = graph(repo, "main")

    assert [line.art for line in found] == ["* ", "* "]
    assert [commit.subject for commit in commits(found)] == ["grüße", "base"]
    assert "excludeDecoration" in setting or found == without


def test_missing_commits_are_an_error(repo: Repo) -> None:
    """A head, a base or a parent that is gone is a GitError, not an empty or a shorter graph."""
    ids = [repo.commit(name) for name in ("one", "two", "three")]
    repository = find_repository(repo.path)
    gone = "0123456789" * 4
    for base, head in ((None, gone), (gone, ids[2]), (ids[0], gone)):
        with pytest.raises(GitError):
            read_graph(repository, base, head)

    (repo.path / ".git" / "objects" / ids[1][:2] / ids[1][2:]).unlink()
    with pytest.raises(GitError):
        read_graph(repository, ids[0], ids[2])


def test_broken_refs_do_no_harm(repo: Repo) -> None:
    """A ref without content, or to an object that is gone, does not stop anybody from seeing the rest."""
    oid = repo.commit("base")
    heads = repo.path / ".git" / "refs" / "heads"
    (heads / "empty").write_text("")
    (heads / "gone").write_text("0123456789" * 4 + "\n")

    (line,) = read_graph(find_repository(repo.path), None, oid)

    assert line.commit
    assert line.commit.refs == ("HEAD -> main",)


def test_five_thousand_commits_cost_little_more_than_git(repo: Repo) -> None:
    """Reading the lines takes less of our time than git takes to write them, with room for a busy machine."""
    one = "commit refs/heads/main\ncommitter A <a@b> {} +0000\ndata 20\n{:20.20}\n\n"
    stream = "".join(one.format(1_750_000_000 + place, f"subject {place} " * 2) for place in range(5000))
    repo.git("fast-import", "--quiet", stdin=stream)
    repository = find_repository(repo.path)
    head = repo.git("rev-parse", "main")

    start = time.thread_time()
    found = read_graph(repository, None, head)
    took = time.thread_time() - start

    assert len(found) == 5000
    assert took < 0.5


def test_one_process_draws_a_graph(repo: Repo, tmp_path: Path) -> None:
    """However many commits, one process."""
    calls = tmp_path / "calls"
    program = tmp_path / "counting-git"
    program.write_text(f'#!/bin/sh\necho "$1" >>{calls}\nexec git "$@"\n')
    program.chmod(0o755)
    base = repo.commit("base")
    repo.commit("one")
    head = repo.commit("two")
    repository = find_repository(repo.path, binary=str(program))
    calls.unlink()

    read_graph(repository, base, head, include_base=True)

    assert calls.read_text() == "log\n"
