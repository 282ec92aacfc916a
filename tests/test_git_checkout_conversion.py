"""Repositories that are more than plain files are checked out by git: filters, line ends, submodules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Repo
from worktrees import assert_exact, commit_of, git_in, make_pool, run_in

from gitlimmat.git.worktree import Worktree


def _worktree(repo: Repo) -> Worktree:
    return make_pool(repo).acquire()


@pytest.fixture
def filtered(repo: Repo) -> Repo:
    """Commits `plain`, `smudged` and `other`; a real filter driver turns `*.bin` into upper case."""
    repo.git("config", "filter.upper.smudge", "tr a-z A-Z")
    repo.git("config", "filter.upper.clean", "tr A-Z a-z")
    repo.commit("base", **{"a.bin": "content a\n", "text": "text\n"})
    repo.git("tag", "plain")
    repo.commit("smudge", **{".gitattributes": "*.bin filter=upper\n"})
    repo.git("tag", "smudged")
    repo.commit("other", **{"b.bin": "content b\n", "text": "other\n"})
    repo.git("tag", "other")
    return repo


def test_filters_run_when_an_attribute_asks(filtered: Repo) -> None:
    """A filter driver sees every file it is for, also when only the attributes are new."""
    worktree = _worktree(filtered)
    for name, a in (
        ("plain", "content a\n"),
        ("smudged", "CONTENT A\n"),
        ("other", "CONTENT A\n"),
        ("plain", "content a\n"),
    ):
        worktree.switch(commit_of(filtered, name))

        assert (worktree.path / "a.bin").read_text() == a
        assert git_in(worktree, "status", "--porcelain") == b""
    worktree.switch(commit_of(filtered, "other"))
    assert (worktree.path / "b.bin").read_text() == "CONTENT B\n"
    worktree.release()


@pytest.mark.parametrize("known", [True, False])
def test_filters_run_again_on_files_a_job_has_touched(filtered: Repo, *, known: bool) -> None:
    """A file that only looks unmodified to git (it cleans to the same) is written again."""
    worktree = _worktree(filtered)
    worktree.switch(commit_of(filtered, "smudged"))
    run_in(
        worktree,
        "echo 'content a' >a.bin; git update-index --assume-unchanged a.bin; echo x >text; echo y >new",
    )
    if not known:
        worktree.release()
        worktree = _worktree(filtered)

    worktree.switch(commit_of(filtered, "other"))

    assert (worktree.path / "a.bin").read_text() == "CONTENT A\n"
    assert (worktree.path / "text").read_text() == "other\n"
    assert git_in(worktree, "status", "--porcelain") == b""
    worktree.release()


def test_plain_files_return_in_a_new_process(filtered: Repo) -> None:
    """What git has converted is not taken for plain by a process that did not see it happen."""
    worktree = _worktree(filtered)
    worktree.switch(commit_of(filtered, "smudged"))
    worktree.release()

    fresh = _worktree(filtered)
    fresh.switch(commit_of(filtered, "plain"))

    assert (fresh.path / "a.bin").read_text() == "content a\n"
    assert_exact(fresh, commit_of(filtered, "plain"))
    fresh.release()


@pytest.mark.parametrize(
    ("setting", "attributes", "expected"),
    [
        (("core.autocrlf", "true"), "", b"one\r\n"),
        (("core.autocrlf", "input"), "", b"one\n"),
        (("core.eol", "crlf"), "* text=auto\n", b"one\r\n"),
        (("core.eol", "lf"), "* text=auto\n", b"one\n"),
        (("x.y", "z"), "*.txt text eol=crlf\n", b"one\r\n"),
        (("x.y", "z"), "* text=auto eol=lf\n", b"one\n"),
        (("x.y", "z"), "*.txt working-tree-encoding=UTF-16LE\n", "one\n".encode("utf-16le")),
        (("x.y", "z"), "[attr]dos eol=crlf\n*.txt dos\n", b"one\r\n"),
    ],
)
def test_conversions_are_those_of_git(
    repo: Repo, setting: tuple[str, str], attributes: str, expected: bytes
) -> None:
    """Line ends and encodings come out as `git checkout` makes them."""
    worktree = _worktree(repo)
    repo.commit("base", **{"a.txt": "zero\n"})
    worktree.switch(commit_of(repo, "main"))
    repo.git("config", *setting)
    repo.write("a.txt", expected)
    repo.commit("next", **{".gitattributes": attributes})
    assert repo.git("cat-file", "blob", "main:a.txt") == "one"

    worktree.switch(commit_of(repo, "main"))

    assert (worktree.path / "a.txt").read_bytes() == expected
    assert git_in(worktree, "status", "--porcelain") == b""
    worktree.release()


@pytest.mark.parametrize(
    "setting",
    [
        ("core.fileMode", "false"),
        ("core.ignoreCase", "true"),
        ("core.trustctime", "false"),
        ("core.eol", "crlf"),
    ],
)
def test_switch_is_exact_under_other_settings(repo: Repo, setting: tuple[str, str]) -> None:
    """What a job did is undone whichever way files are written."""
    repo.write("run.sh", "#!/bin/sh\n", executable=True)
    repo.commit("one", **{"a": "a\n", "d/b": "b\n", "d/c": "c\n"})
    repo.commit("two", **{"a": "aa\n", "e/f": "f\n"})
    repo.git("config", *setting)
    worktree = _worktree(repo)
    deeds = (
        "echo x >d/b; touch -r run.sh d/b",
        "rm -r d; echo x >d; mkdir -p new/x; echo y >new/x/y",
        "chmod 644 run.sh; ln a h; git update-index --skip-worktree d/c; rm d/c",
        "mv d z; ln -s z d; git checkout -q --orphan x; rm $(git rev-parse --git-path index)",
        "touch $(git rev-parse --git-path index.lock); chmod 500 d; git init -q sub",
    )
    for number, deed in enumerate(deeds * 2):
        commit = commit_of(repo, "main" if number % 3 else "main~1")
        worktree.switch(commit)
        assert_exact(worktree, commit)
        run_in(worktree, deed)
    worktree.release()


def test_ident_in_info_attributes_is_seen(repo: Repo) -> None:
    """Attributes outside of the commit count too, from the moment they are there."""
    repo.commit("one", **{"a.txt": "$Id$\n"})
    repo.commit("two", b="b\n")
    worktree = _worktree(repo)
    worktree.switch(commit_of(repo, "main~1"))
    assert (worktree.path / "a.txt").read_text() == "$Id$\n"

    (repo.path / ".git" / "info" / "attributes").write_text("*.txt ident\n")
    worktree.switch(commit_of(repo, "main"))

    assert (worktree.path / "a.txt").read_text().startswith("$Id: ")
    worktree.release()


def test_replaced_objects_are_honored(repo: Repo) -> None:
    """With replace refs, git decides which object stands for which."""
    repo.commit("one", a="old\n")
    repo.write("new", "new\n")
    repo.git("replace", repo.git("rev-parse", "main:a"), repo.git("hash-object", "-w", "new"))
    worktree = _worktree(repo)

    worktree.switch(commit_of(repo, "main"))

    assert (worktree.path / "a").read_text() == "new\n"
    worktree.release()


def test_sparse_checkout_of_the_user_is_followed(repo: Repo) -> None:
    """A worktree made from a sparse one is as sparse, as `git worktree add` makes it."""
    repo.commit("one", **{"a/x": "x\n", "b/y": "y\n"})
    repo.commit("two", **{"a/x": "xx\n", "b/y": "yy\n"})
    repo.git("sparse-checkout", "set", "a")
    worktree = _worktree(repo)

    for name in ("main~1", "main", "main~1"):
        worktree.switch(commit_of(repo, name))
        assert (worktree.path / "a" / "x").read_text() == ("xx\n" if name == "main" else "x\n")
        assert not (worktree.path / "b").exists()
        assert git_in(worktree, "status", "--porcelain") == b""
        run_in(worktree, "echo z >a/x; git sparse-checkout set b")
    worktree.release()


def test_submodules_come_from_the_users_clones(repo: Repo, make_repo: Callable[..., Repo]) -> None:
    """Submodules that the user has are checked out, without network and without touching his settings."""
    inner = make_repo("inner")
    inner.commit("one", f="one\n")
    repo.commit("none", a="a\n")
    repo.git(
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "add",
        "-q",
        "--name",
        "lib",
        str(inner.path),
        "dir/lib",
    )
    repo.commit("with", a="b\n")
    inner.commit("two", f="two\n")
    repo.git("-C", "dir/lib", "pull", "-q")
    repo.commit("newer", a="c\n")
    inner.path.rename(inner.path.with_name("offline"))
    before = repo.git("config", "--list", "--local")
    worktree = _worktree(repo)

    for name, content in (("main~1", "one\n"), ("main", "two\n"), ("main~1", "one\n")):
        worktree.switch(commit_of(repo, name))
        assert (worktree.path / "dir/lib/f").read_text() == content
        assert git_in(worktree, "status", "--porcelain") == b""
        run_in(worktree, "echo x >dir/lib/f; echo y >dir/lib/new; rm a")
    worktree.switch(commit_of(repo, "main~2"))

    assert not (worktree.path / "dir").exists()
    assert_exact(worktree, commit_of(repo, "main~2"))
    assert repo.git("config", "--list", "--local") == before
    worktree.release()


def test_submodules_without_a_clone_stay_empty(repo: Repo, make_repo: Callable[..., Repo]) -> None:
    """Nothing is fetched: a submodule that the user has not cloned is an empty directory."""
    inner = make_repo("inner")
    inner.commit("one", f="one\n")
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.path), "lib")
    repo.commit("with", a="b\n")
    clone = make_repo("clone")
    clone.git("fetch", "-q", str(repo.path), "main:refs/heads/got")
    worktree = _worktree(clone)

    worktree.switch(commit_of(clone, "got"))

    assert list((worktree.path / "lib").iterdir()) == []
    assert (worktree.path / "a").read_text() == "b\n"
    worktree.release()
