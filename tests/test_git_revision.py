"""What revisions and ranges mean, and what is said of bad ones."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import Repo

from gitlimmat.errors import RevisionError
from gitlimmat.git.repository import Repository, find_repository
from gitlimmat.git.revision import Base, abbreviations, find_base, list_commits, resolve, subjects

_GITS = sorted({found for found in ("/usr/bin/git", shutil.which("git")) if found and Path(found).exists()})
_HISTORY = [  # subject, its branch, parents
    ("base", "one", ""),
    ("one", "one", "base"),
    ("two", "two", "one"),
    ("side", "side", "base"),
    ("top", "top", "side"),
    ("join", "join", "two top"),
]


@pytest.fixture(params=_GITS)
def history(request: pytest.FixtureRequest, repo: Repo) -> tuple[Repo, Repository]:
    """base - one - two (main, tag v2) and base - side - top, merged as `join`; with each git there is."""
    marks = {subject: f":{place}" for place, (subject, _, _) in enumerate(_HISTORY, 1)}
    stream = ""
    for place, (subject, branch, parents) in enumerate(_HISTORY, 1):
        words = zip(("from", "merge"), parents.split(), strict=False)
        stream += f"commit refs/heads/{branch}\nmark {marks[subject]}\ncommitter A <a@b> {place}00 +0000\n"
        stream += f"data {len(subject)}\n{subject}\n"
        stream += "".join(f"{word} {marks[parent]}\n" for word, parent in words)
        stream += f"M 644 inline {subject}.c\ndata {len(subject)}\n{subject}\n\n"
    repo.git("fast-import", "--quiet", stdin=stream)
    repo.git("reset", "-q", "--hard", "two")
    repo.git("update-ref", "-d", "refs/heads/two")
    repo.git("update-ref", "-d", "refs/heads/one")
    repo.git("tag", "-a", "-m", "words", "v2")
    return repo, find_repository(repo.path, binary=request.param)


@pytest.fixture
def counted(repo: Repo, tmp_path: Path) -> tuple[str, Path]:
    """A git that notes each call, and where."""
    log = tmp_path / "calls"
    program = tmp_path / "counting-git"
    program.write_text(f'#!/bin/sh\necho "$1" >>{log}\nexec git "$@"\n')
    program.chmod(0o755)
    return str(program), log


def titles(history: tuple[Repo, Repository], *arguments: str, **options: object) -> list[str]:
    """The subjects of the commits that `arguments` name."""
    commits = list_commits(history[1], arguments, **options)  # type: ignore[arg-type]
    return [subjects(history[1], [commit.id])[commit.id] for commit in commits]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["main"], "two"),
        (["v2"], "two"),
        (["v2^{}"], "two"),
        (["main~2", "main"], "base two"),
        (["main~2..main"], "two one"),
        (["main~2.."], "two one"),
        (["..top"], "top side"),
        (["top...main"], None),
        (["main..main"], ""),
        (["main..main~1"], ""),
        (["main", "main~2..main"], "two one"),
        (["main~1", "main~2..main"], "one two"),
        (["join^!"], "join"),
        (["join^-"], "join top side"),
        (["join^-2"], "join two one"),
        (["join^@"], "two top"),
        (["main~2^@"], ""),
        (["main~2^!"], "base"),
        (["^main~1", "main"], "two"),
        (["main", "^main~1"], "two"),
        (["^main", "top", "side"], "top side"),
        (["^join^@", "join"], "join"),
        (["^top", "side..main"], "two one"),
        ([":/one"], "one"),
        (["main^{/one}"], "one"),
        (["main^{/o..}..main"], "two"),
        (["main@{0}"], "two"),
        (["HEAD~1..v2"], "two"),
        ([], ""),
    ],
)
def test_revisions_mean_what_git_means(
    history: tuple[Repo, Repository], arguments: list[str], expected: str | None
) -> None:
    """A revision is one commit, a range is newest first, and all come once in the order given."""
    found = titles(history, *arguments)

    if expected is None:
        assert sorted(found) == ["one", "side", "top", "two"]
    else:
        assert found == expected.split()


def test_a_range_equals_rev_list_with_trees(history: tuple[Repo, Repository]) -> None:
    """Each commit comes with its tree, in the order of git rev-list --topo-order."""
    repo, repository = history

    commits = list_commits(repository, ["main~2..join"])

    assert [c.id for c in commits] == repo.git("rev-list", "--topo-order", "main~2..join").split()
    assert [c.tree for c in commits] == [repo.git("rev-parse", f"{c.id}^{{tree}}") for c in commits]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["main~1..main"], "two one"),
        (["main..main"], "two"),
        (["top...main"], "base"),
        (["join^!"], "two top"),
        (["join^-2"], "top"),
        (["^main~1", "main"], "two one"),
        (["^join^@", "join"], "join two top"),
        (["main"], "two"),
        (["main~2^!"], "base"),
    ],
)
def test_the_base_follows_its_range_when_wanted(
    history: tuple[Repo, Repository], arguments: list[str], expected: str
) -> None:
    """What a range excludes is tested too, after the range."""
    found = titles(history, *arguments, include_base=True)

    assert found[-len(expected.split()) :] == expected.split()
    assert len(found) == len(set(found))


def test_lines_of_stdin_come_after_the_arguments(history: tuple[Repo, Repository]) -> None:
    """Standard input holds revisions and ranges, one a line; blank lines and line ends do not count."""
    assert titles(history, "main~2", stdin=["main~1..main\n", "\n", "top\r\n", "main"]) == [
        "base",
        "two",
        "top",
    ]
    assert titles(history, stdin=["main\n", "^main~1\n"]) == ["two"]


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("nope", "unknown revision 'nope'"),
        ("nope..main", "unknown revision 'nope'"),
        ("main..nope", "unknown revision 'nope'"),
        ("^nope", "unknown revision 'nope'"),
        ("nope^!", "unknown revision 'nope'"),
        ("main~9", "unknown revision 'main~9'"),
        ("main^-2", "unknown revision 'main^2'"),
        ("main^-0", "unknown revision 'main^-0'"),
        ("0" * 40, f"unknown revision '{'0' * 40}'"),
        ("f", "'f' is a file, not a revision"),
        ("f..main", "'f' is a file, not a revision"),
        ("--all", "unknown revision '--all'"),
        ("-n1", "unknown revision '-n1'"),
        ("--output=x", "unknown revision '--output=x'"),
        ("v2^{tree}", "'v2^{tree}' is a tree, not a commit"),
        ("main^{tree}..main", "'main^{tree}' is a tree, not a commit"),
        ("main:f", "'main:f' is a blob, not a commit"),
        ("tree-tag", "'tree-tag' is a tag of something else, not a commit"),
        ("", "cannot use '' as a revision: it is empty"),
        ("^", "cannot use '^' as a revision: '^' goes before a single one"),
        ("^main..top", "cannot use '^main..top' as a revision: '^' goes before a single one"),
        ("a\0b", "cannot use 'a\\x00b' as a revision: it has a NUL or a line break"),
        ("main\nmain", "cannot use 'main\\nmain' as a revision: it has a NUL or a line break"),
        ("main@{99}", "unknown revision 'main@{99}': log for 'main' only has 4 entries"),
        ("@{upstream}..", "unknown revision '@{upstream}': no upstream configured for branch 'main'"),
        (os.fsdecode(b"\xff"), "unknown revision '\udcff'"),
    ],
)
def test_a_bad_revision_is_named(history: tuple[Repo, Repository], revision: str, message: str) -> None:
    """Whatever does not name a commit is an error that says which word, and why."""
    repo, repository = history
    repo.commit("f", f="content")
    repo.git("tag", "-a", "-m", "words", "tree-tag", "HEAD^{tree}")

    with pytest.raises(RevisionError) as caught:
        list_commits(repository, ["main", revision, "main~1"])

    # How many entries a reflog has differs with how it was made; the words do not.
    assert re.sub(r"\d+ entries", "N entries", caught.value.message) == re.sub(
        r"\d+ entries", "N entries", message
    )
    assert not (repo.path / "x").exists()


def test_a_branch_like_an_option_or_a_file_is_a_revision(history: tuple[Repo, Repository]) -> None:
    """A branch may begin with a dash, or have the name of a file; it is that branch."""
    repo, repository = history
    repo.write("one", "a file")
    repo.git("update-ref", "refs/heads/-x", "main~1")
    repo.git("branch", "one", "main~1")
    odd = os.fsdecode(b"\xff-name")
    repo.git("update-ref", f"refs/heads/{odd}", "main~1")

    assert titles(history, "-x", "one") == ["one"]
    assert titles(history, "-x..main") == ["two"]
    assert titles(history, "^-x", "main") == ["two"]
    assert titles(history, f"{odd}..main") == ["two"]
    assert resolve(repository, odd) == resolve(repository, "main~1")


def test_an_ambiguous_id_comes_with_gits_candidates(make_repo: Callable[..., Repo]) -> None:
    """An id too short is not guessed at: git's list of candidates is passed on."""
    repo = make_repo("many")
    tree = repo.git("write-tree")
    ids: dict[str, str] = {}
    for number in range(2000):
        oid = repo.git("commit-tree", tree, "-m", str(number))
        if oid[:4] in ids:
            break
        ids[oid[:4]] = oid
    repo.git("update-ref", "refs/heads/main", oid)

    with pytest.raises(RevisionError) as caught:
        resolve(find_repository(repo.path), oid[:4])

    assert caught.value.message == f"'{oid[:4]}' is ambiguous: it is the start of several ids"
    assert caught.value.hint is not None
    assert repo.git("rev-parse", "--short", oid) in caught.value.hint


def test_a_short_id_means_the_commit_when_another_kind_shares_it(make_repo: Callable[..., Repo]) -> None:
    """As in git, an id that only one commit has is no riddle because a blob has it too."""
    repo = make_repo("mixed")
    oid = repo.commit("base")
    for number in range(2_000_000):
        content = str(number).encode()
        if hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()[:4] == oid[:4]:
            break
    repo.git("hash-object", "-w", "--stdin", stdin=content.decode())

    assert resolve(find_repository(repo.path), oid[:4]).id == oid


@pytest.mark.parametrize("revision", ["HEAD", "@", "HEAD~1..HEAD", "main", "..", "main.."])
def test_a_branch_without_commits_is_named(repo: Repo, revision: str) -> None:
    """Before the first commit there is nothing to test, and the message says so."""
    with pytest.raises(RevisionError) as caught:
        list_commits(find_repository(repo.path), [revision] if revision != ".." else ["HEAD.."])

    assert caught.value.message == "branch 'main' has no commits yet"
    assert caught.value.hint == "commit something first"


def test_resolve_takes_one_commit_only(history: tuple[Repo, Repository]) -> None:
    """A range is not one commit, and a file name is none."""
    repo, repository = history
    found = resolve(repository, "v2")
    assert (found.id, found.tree) == (repo.git("rev-parse", "main"), repo.git("rev-parse", "main^{tree}"))

    with pytest.raises(RevisionError, match=r"'main~1\.\.main' is a range, not one commit"):
        resolve(repository, "main~1..main")


def test_the_head_of_the_worktree_we_are_in_counts(history: tuple[Repo, Repository], tmp_path: Path) -> None:
    """In a linked worktree HEAD is that worktree's."""
    repo, repository = history
    repo.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), "top")

    linked = find_repository(tmp_path / "linked", binary=repository.git.binary)

    assert resolve(linked, "HEAD") == resolve(repository, "top")


def test_processes_are_as_many_as_ranges(repo: Repo, counted: tuple[str, Path]) -> None:
    """Any number of revisions costs two processes, and each range one more."""
    program, log = counted
    ids = [repo.commit(f"c{number}") for number in range(6)]
    repository = find_repository(repo.path, binary=program)
    log.write_text("")

    list_commits(repository, [*ids, "HEAD", "HEAD~2..HEAD", "HEAD~3.."], stdin=ids)

    assert log.read_text().split() == ["cat-file", "cat-file", "rev-list", "rev-list"]


def test_five_thousand_commits_are_listed_in_time(repo: Repo) -> None:
    """A long range costs about what git rev-list does."""
    stream = "".join(
        f"commit refs/heads/main\ncommitter A <a@b> {number} +0000\ndata 1\nx\n\n"
        for number in range(1, 5002)
    )
    repo.git("fast-import", "--quiet", stdin=stream)
    repository = find_repository(repo.path)
    began = time.monotonic()
    subprocess.run(
        ["git", "rev-list", "--format=%T", "main"], cwd=repo.path, stdout=subprocess.DEVNULL, check=True
    )
    alone = time.monotonic() - began

    began = time.monotonic()
    commits = list_commits(repository, ["main~5000..main"])

    assert len(commits) == 5000
    assert time.monotonic() - began < 10 * alone + 0.2


def base_of(repo: Repo, configured: str | None = None) -> Base:
    """The base that is found in `repo`."""
    return find_base(find_repository(repo.path), configured)


def test_the_configured_base_is_taken(history: tuple[Repo, Repository]) -> None:
    """`limmat.base` needs no guess; one that means nothing is an error that names the setting."""
    repo, _ = history
    assert base_of(repo, "main~2") == Base("main~2", "limmat.base")

    with pytest.raises(RevisionError, match=r"^cannot use limmat\.base: unknown revision 'nope'$"):
        base_of(repo, "nope")


def test_the_base_is_the_upstream_before_anything_else(history: tuple[Repo, Repository]) -> None:
    """The branch that HEAD's branch is to join comes first, on main as elsewhere."""
    repo, _ = history
    repo.git("checkout", "-q", "main")
    repo.git("branch", "-q", "--set-upstream-to=side")
    assert base_of(repo) == Base("side", "upstream")

    repo.git("update-ref", "refs/remotes/origin/main", "main~1")
    repo.git("remote", "add", "origin", ".")
    repo.git("branch", "-q", "--set-upstream-to=origin/main")
    assert base_of(repo) == Base("origin/main", "upstream")


def test_the_base_falls_back_when_upstream_is_gone(history: tuple[Repo, Repository]) -> None:
    """An upstream that no longer exists is passed over; then come origin's HEAD, main and master."""
    repo, _ = history
    repo.git("remote", "add", "origin", ".")
    repo.git("update-ref", "refs/remotes/origin/gone", "main")
    repo.git("checkout", "-q", "top")
    repo.git("branch", "-q", "--set-upstream-to=origin/gone")
    repo.git("update-ref", "-d", "refs/remotes/origin/gone")
    assert base_of(repo) == Base("main", "refs/heads/main")

    repo.git("branch", "-m", "main", "master")
    assert base_of(repo).revision == "master"
    repo.git("update-ref", "refs/remotes/origin/trunk", "master")
    repo.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    assert base_of(repo) == Base("origin/HEAD", "refs/remotes/origin/HEAD")


def test_the_base_is_spelled_out_when_its_short_name_is_taken(history: tuple[Repo, Repository]) -> None:
    """A tag of the same name would be meant by the short one."""
    repo, _ = history
    repo.git("checkout", "-q", "top")
    repo.git("tag", "main", "main~2")

    assert base_of(repo).revision == "refs/heads/main"


def test_the_base_is_found_when_head_is_detached(history: tuple[Repo, Repository]) -> None:
    """Without a branch there is no upstream, but still a main."""
    repo, _ = history
    repo.git("checkout", "-q", "--detach", "top")

    assert base_of(repo).revision == "main"


def test_there_is_no_base_on_a_lone_main(history: tuple[Repo, Repository]) -> None:
    """HEAD's own branch is no base: the range would be empty."""
    repo, _ = history

    with pytest.raises(RevisionError) as caught:
        base_of(repo)

    assert caught.value.message == "cannot guess where the commits to be tested begin"
    assert caught.value.hint == "name commits, such as HEAD or HEAD~3..HEAD, or set limmat.base"


def test_there_is_no_base_before_the_first_commit(repo: Repo) -> None:
    """The branch without commits is named, not the missing base."""
    with pytest.raises(RevisionError, match="branch 'main' has no commits yet"):
        base_of(repo)


def test_a_shallow_clone_has_base_and_range(history: tuple[Repo, Repository]) -> None:
    """Where history is cut off, what is there is listed."""
    repo, repository = history
    repo.git("clone", "-q", "--depth=2", f"file://{repo.path}", "../shallow")
    found = find_repository(repo.path.parent / "shallow", binary=repository.git.binary)

    assert find_base(found, None) == Base("origin/main", "upstream")
    assert len(list_commits(found, ["HEAD~1..HEAD"])) == 1
    assert list_commits(found, ["HEAD~1^@"]) == ()


def test_subjects_are_first_lines_in_the_encoding_of_the_commit(repo: Repo) -> None:
    """A message is decoded as its commit says, and cannot send anything to a terminal."""
    repo.git("config", "i18n.commitEncoding", "ISO-8859-1")
    repo.write("message", b"gr\xfc\xdfe\n\nbody")
    repo.git("commit", "-q", "--allow-empty", "-F", "message")
    latin = repo.git("rev-parse", "HEAD")
    repo.git("config", "i18n.commitEncoding", "UTF-8")
    repo.git("commit", "-q", "--allow-empty", "-m", "red \x1b[31m alert\nsecond line")
    escape = repo.git("rev-parse", "HEAD")
    repo.git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    empty = repo.git("rev-parse", "HEAD")

    found = subjects(find_repository(repo.path), [latin, escape, empty, "0" * 40])

    assert found == {latin: "grüße", escape: "red \ufffd[31m alert", empty: "", "0" * 40: ""}


def test_abbreviations_are_those_of_git(history: tuple[Repo, Repository]) -> None:
    """Ids are as short as in git log, and as `core.abbrev` says; unknown ones stay whole."""
    repo, repository = history
    ids = repo.git("rev-list", "--all").split()

    assert abbreviations(repository, ids) == dict(
        zip(ids, repo.git("log", "--all", "--format=%h").split(), strict=True)
    )
    repo.git("config", "core.abbrev", "12")
    assert abbreviations(repository, [*ids, "0" * 40]) == {oid: oid[:12] for oid in ids} | {
        "0" * 40: "0" * 40
    }
    assert abbreviations(repository, []) == {}


def test_words_do_not_limit_how_many_there_are(history: tuple[Repo, Repository]) -> None:
    """More revisions than fit on a command line are no trouble, with `^` or without."""
    many: Sequence[str] = ["main"] * 100_000

    assert titles(history, *many) == ["two"]
    assert titles(history, "^main~1", stdin=many) == ["two"]
