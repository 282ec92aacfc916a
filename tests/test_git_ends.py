"""The ends of the range are those that git would name, whatever happens to refs and to the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo

from gitlimmat.git.ends import Ends, EndsReader
from gitlimmat.git.repository import find_repository
from gitlimmat.git.revision import find_base


class Calls:
    """A git that notes its calls."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "calls"
        self.program = directory / "counting-git"
        self.program.write_text(f'#!/bin/sh\necho "$1" >>{self._log}\nexec git "$@"\n')
        self.program.chmod(0o755)

    def since(self) -> int:
        """How many calls there were since this was asked last."""
        count = len(self._log.read_text().splitlines()) if self._log.exists() else 0
        self._log.write_text("")
        return count


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    """A git that notes its calls."""
    return Calls(tmp_path)


@pytest.fixture
def reader(repo: Repo, calls: Calls) -> Callable[..., EndsReader]:
    """Return a function that makes a reader of `repo` for a base."""

    def make(base: str | None = None, configured: str | None = None, where: Path = repo.path) -> EndsReader:
        made = EndsReader(find_repository(where, binary=str(calls.program)), base, configured)
        calls.since()
        return made

    return make


def let_refs_rest(repo: Repo) -> None:
    """Make all files of refs look a minute old, as they are when nothing has happened for a while."""
    for path in (repo.path / ".git").rglob("*"):
        if path.is_file() and "objects" not in path.parts:
            then = path.stat().st_mtime - 60
            os.utime(path, (then, then))


def test_plain_names_cost_no_process(repo: Repo, reader: Callable[..., EndsReader], calls: Calls) -> None:
    """HEAD and a branch are read from files, loose, packed or changed since."""
    base = repo.commit("base")
    first = repo.commit("topic", "main")
    ends = reader("main")

    assert ends.read() == Ends(head=first, head_name="topic", base=base, base_name="main")
    second = repo.commit("topic", "topic")
    assert ends.read().head == second
    repo.git("pack-refs", "--all")
    assert ends.read() == Ends(head=second, head_name="topic", base=base, base_name="main")
    repo.git("gc", "-q", "--prune=now")
    assert ends.read() == Ends(head=second, head_name="topic", base=base, base_name="main")
    third = repo.commit("topic", "topic")
    assert ends.read().head == third
    assert calls.since() == 0


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        *("main", "heads/main", "refs/heads/main", "both", "v1", "tags/v1", "light", "origin/main", "origin"),
        *(
            "HEAD",
            "@",
            "odd,name->x",
            "ORIG_HEAD",
            "v1^{}",
            "HEAD~1",
            "@~",
            ":/base",
            "main@{0}",
            "v1-0-g{id}",
        ),
        *("{id}", "{short}", "topic@{upstream}", "HEAD^{/base}", "nested", "deep/er/name"),
    ],
)
def test_base_means_what_it_means_to_git(
    repo: Repo, reader: Callable[..., EndsReader], name: str, pack: bool
) -> None:
    """A plain name, looked for in git's order, and any expression."""
    oid = repo.commit("base")
    repo.git("tag", "-a", "-m", "words", "v1")
    repo.git("tag", "-a", "-m", "words", "nested", "v1")
    repo.git("tag", "light")
    repo.git("branch", "both")
    repo.commit("topic", "main")
    repo.git("tag", "both")
    for ref in ("heads/odd,name->x", "heads/deep/er/name", "remotes/origin/main"):
        repo.git("update-ref", f"refs/{ref}", oid)
    repo.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    repo.git("update-ref", "ORIG_HEAD", oid)
    repo.git("branch", "-q", "--set-upstream-to=main")
    if pack:
        repo.git("pack-refs", "--all")
    name = name.replace("{id}", oid).replace("{short}", oid[:9])

    found = reader(name).read()

    assert found.problem is None
    assert found.base == repo.git("rev-parse", f"{name}^{{commit}}" if name[0] != ":" else name)
    assert found.base_name == name


def test_expressions_are_asked_again_only_when_refs_change(
    repo: Repo, reader: Callable[..., EndsReader], calls: Calls
) -> None:
    """`HEAD~1` moves with HEAD; reading twice asks git once, once the files have rested."""
    ids = [repo.commit(name) for name in ("one", "two")]
    let_refs_rest(repo)
    ends = reader("HEAD~1")

    assert ends.read().base == ids[0]
    assert calls.since() > 0
    assert ends.read().base == ids[0]
    assert calls.since() == 0

    repo.commit("three")
    assert ends.read().base == ids[1]
    assert 0 < calls.since() <= 3


def test_configuration_can_change_what_an_expression_means(
    repo: Repo, reader: Callable[..., EndsReader]
) -> None:
    """An upstream is in the configuration, not in a ref."""
    base = repo.commit("base")
    repo.commit("topic", "main")
    other = repo.commit("other", "topic")
    repo.git("checkout", "-q", "topic")
    repo.git("branch", "-q", "--set-upstream-to=main")
    let_refs_rest(repo)
    ends = reader("@{upstream}")

    assert ends.read().base == base
    repo.git("branch", "-q", "--set-upstream-to=other")
    assert ends.read().base == other
    repo.git("branch", "--unset-upstream")
    assert "no upstream" in str(ends.read().problem)


def test_head_may_be_unborn_and_born_later(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """An unborn branch is a problem that goes away with the first commit."""
    ends = reader("main")
    found = ends.read()
    assert (found.head, found.head_name) == (None, "main")
    assert found.problem == "branch 'main' has no commits yet"

    head = repo.commit("first")

    assert ends.read() == Ends(head=head, head_name="main", base=head, base_name="main")
    repo.git("checkout", "-q", "--orphan", "topic")
    assert ends.read().problem == "branch 'topic' has no commits yet"


def test_head_may_be_detached(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """HEAD's own name is all there is to say then."""
    base = repo.commit("base")
    repo.commit("second")
    repo.git("checkout", "-q", "--detach", "HEAD~1")

    assert reader("main~1").read() == Ends(head=base, head_name="HEAD", base=base, base_name="main~1")


def test_head_may_be_a_symbolic_link(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """core.preferSymlinkRefs is old, and still read by git."""
    head = repo.commit("base")
    path = repo.path / ".git" / "HEAD"
    path.unlink()
    path.symlink_to("refs/heads/main")

    assert reader("main").read() == Ends(head=head, head_name="main", base=head, base_name="main")


def test_branch_is_deleted_and_back(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """HEAD's branch deleted under us is said to be gone."""
    head = repo.commit("base")
    repo.git("branch", "keep")
    ends = reader("keep")
    assert ends.read().problem is None

    repo.git("update-ref", "-d", "refs/heads/main")
    found = ends.read()
    assert (found.head, found.base) == (None, head)
    assert found.problem == "branch 'main' is gone"

    repo.git("update-ref", "refs/heads/main", head)
    assert ends.read().problem is None


def test_base_is_deleted_and_back(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """A base that was there is said to be gone; one that never was is unknown."""
    oid = repo.commit("base")
    repo.git("branch", "other")
    ends = reader("other")
    assert ends.read().problem is None

    repo.git("branch", "-D", "other")
    found = ends.read()
    assert (found.head, found.base, found.base_name) == (oid, None, "other")
    assert found.problem == "base 'other' is gone"
    repo.git("branch", "other")
    assert ends.read().problem is None

    assert reader("never").read().problem == "unknown revision 'never'"
    assert reader("main..HEAD").read().problem == "'main..HEAD' is a range, not a revision"
    assert reader("").read().problem == "cannot use '' as a revision: it is empty"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "cannot read 'HEAD': it has no usable content"),
        ("garbage\n", "cannot read 'HEAD': it has no usable content"),
        ("0123\n", "cannot read 'HEAD': it has no usable content"),
        ("ref: refs/heads/../../config\n", "cannot read 'refs/heads/../../config': it has no usable content"),
        ("ref: refs/heads/.invalid\n", "its refs are stored as reftable"),
        ("ref: refs/heads/main/x\n", "branch 'main/x' has no commits yet"),
        ("0123456789012345678901234567890123456789\n", "object '012345678901' is missing or damaged"),
        (None, "No such file or directory"),
    ],
)
def test_head_may_be_broken(
    repo: Repo, reader: Callable[..., EndsReader], content: str | None, problem: str
) -> None:
    """Whatever the file has, the problem is said, the base is found if it can be, and it passes."""
    oid = repo.commit("base")
    ends = reader("main")
    path = repo.path / ".git" / "HEAD"
    path.unlink()
    if content is not None:
        path.write_text(content)

    found = ends.read()

    assert (found.head, found.base) == (None, oid if content is not None else None)  # no HEAD, no repository
    assert problem in str(found.problem)
    path.write_text("ref: refs/heads/main\n")
    assert ends.read().problem is None


def test_branch_may_be_broken(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """A ref file emptied by a crash, or made unreadable, is a problem with its name."""
    repo.commit("base")
    ends = reader("other")
    repo.git("branch", "other")
    (repo.path / ".git/refs/heads/other").write_bytes(b"")
    assert ends.read().problem == "cannot read 'refs/heads/other': it has no usable content"
    (repo.path / ".git/refs/heads/other").unlink()
    (repo.path / ".git/refs/heads/other").symlink_to("other")
    assert "Too many levels of symbolic links" in str(ends.read().problem)
    repo.git("symbolic-ref", "refs/heads/loop", "refs/heads/loop")
    assert "no usable content" in str(reader("loop").read().problem)


@pytest.mark.parametrize("kind", ["tree", "blob", "tag"])
def test_base_may_be_no_commit(repo: Repo, reader: Callable[..., EndsReader], kind: str) -> None:
    """A tag of a tree is a ref, and no commit."""
    repo.commit("base", file="text")
    target = {"tree": "HEAD^{tree}", "blob": "HEAD:file", "tag": "HEAD^{tree}"}[kind]
    repo.git("tag", *(("-a", "-m", "words") if kind == "tag" else ()), "odd", target)

    found = reader("odd").read()

    assert found.base is None
    assert "not a commit" in str(found.problem)
    assert "'odd' is a" in str(found.problem)


@pytest.mark.parametrize(
    "base", ["", "a\nb", "a\0b", "--all", "a..b", "/etc/passwd", "../../HEAD", ".git", "config"]
)
def test_base_may_be_nonsense(repo: Repo, reader: Callable[..., EndsReader], base: str) -> None:
    """No name is read as a path or an option."""
    repo.commit("base")

    found = reader(base).read()

    assert found.base is None
    assert found.problem


def test_base_is_found_for_each_branch(repo: Repo, reader: Callable[..., EndsReader], calls: Calls) -> None:
    """Without a base it is the guess of find_base, made again on another branch only."""
    base = repo.commit("base")
    repo.commit("topic", "main")
    up = repo.commit("side", "main")
    repo.git("branch", "other")
    repo.git("branch", "-q", "--set-upstream-to=other")
    repo.git("checkout", "-q", "topic")
    ends = reader()

    assert ends.read().base_name == "main"
    assert calls.since() > 0
    head = repo.commit("topic", "topic")
    assert ends.read() == Ends(head=head, head_name="topic", base=base, base_name="main")
    assert calls.since() == 0

    repo.git("checkout", "-q", "side")
    assert ends.read() == Ends(head=up, head_name="side", base=up, base_name="other")
    repo.git("checkout", "-q", "topic")
    repo.git("branch", "-q", "--set-upstream-to=other")
    assert ends.read().base_name == find_base(find_repository(repo.path), None).revision == "other"
    repo.git("branch", "-D", "other")
    assert ends.read().base_name == "main"


def test_found_base_stays_during_a_rebase(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """A rebase takes HEAD off its branch; the range is still that of the branch."""
    repo.commit("base")
    repo.git("branch", "up")
    repo.commit("topic", "main", file="ours")
    repo.git("branch", "-q", "--set-upstream-to=up")
    repo.commit("onto", "main", file="theirs")
    repo.git("checkout", "-q", "topic")
    ends = reader()
    assert ends.read().base_name == "up"

    repo.git("rebase", "-q", "onto", check=False)

    assert repo.git("rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert ends.read().base_name == "up"
    repo.git("rebase", "--abort")
    assert ends.read().base_name == "up"


def test_nothing_to_guess_is_a_problem_until_there_is(
    repo: Repo, reader: Callable[..., EndsReader], calls: Calls
) -> None:
    """On main without a remote nothing can be guessed; a failure is not sought again without a change."""
    repo.commit("base")
    ends = reader()
    let_refs_rest(repo)

    assert "cannot guess" in str(ends.read().problem)
    calls.since()
    assert "cannot guess" in str(ends.read().problem)
    assert calls.since() == 0

    repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert ends.read().base_name == "origin/main"


def test_configured_base_may_be_gone(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """limmat.base is named when it is what is wrong."""
    repo.commit("base")
    ends = reader(None, "stable")
    assert ends.read().problem == "cannot use limmat.base: unknown revision 'stable'"

    repo.git("branch", "stable")
    assert ends.read().base_name == "stable"
    repo.git("branch", "-D", "stable")
    assert ends.read().problem == "cannot use limmat.base: unknown revision 'stable'"


def test_linked_worktree_has_its_own_head(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """HEAD is that of the worktree, branches are everybody's; the worktree may go."""
    base = repo.commit("base")
    repo.git("worktree", "add", "-q", "-b", "topic", "../linked")
    linked = Repo(repo.path.parent / "linked", repo.environment)
    head = linked.commit("there")
    ends = reader("main", where=linked.path)

    assert ends.read() == Ends(head=head, head_name="topic", base=base, base_name="main")
    assert reader("HEAD", where=linked.path).read().base == head
    repo.git("worktree", "remove", "--force", "../linked")
    assert "there is no repository at" in str(ends.read().problem)


def test_repository_is_removed_and_back(
    repo: Repo, make_repo: Callable[..., Repo], reader: Callable[..., EndsReader]
) -> None:
    """Gone is a problem; the same one back, or another in its place, is read as it is."""
    oid = repo.commit("base")
    git_dir, aside = repo.path / ".git", repo.path / "aside"
    ends, guessing, asking = reader("main"), reader(), reader("HEAD~0")
    assert {ends.read().base, asking.read().base} == {oid}

    git_dir.rename(aside)
    for each in (ends, guessing, asking):
        found = each.read()
        assert (found.head, found.base) == (None, None)
        assert found.problem == f"there is no repository at '{git_dir}'"
    aside.rename(git_dir)
    assert {ends.read().base, asking.read().base} == {oid}

    other = make_repo("other")
    other.commit("different")
    new = other.commit("history")
    git_dir.rename(aside)
    (other.path / ".git").rename(git_dir)
    assert ends.read() == Ends(head=new, head_name="main", base=new, base_name="main")
    assert asking.read().base == new

    shutil.rmtree(repo.path)
    assert asking.read().problem == f"there is no repository at '{git_dir}'"


def test_base_need_not_be_an_ancestor(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """The range is then what HEAD has and the base has not."""
    repo.commit("base")
    repo.commit("topic", "main")
    newer = repo.commit("main", "main")
    repo.git("checkout", "-q", "topic")

    assert reader("main").read().base == newer


def test_names_can_be_shown(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """A name of bytes that are no text is shown with a sign for each of them."""
    repo.commit("base")
    repo.git("update-ref", "refs/heads/caf\udce9", "HEAD")
    repo.git("symbolic-ref", "HEAD", "refs/heads/caf\udce9")

    found = reader("caf\udce9").read()

    assert found.problem is None
    assert found.head == found.base
    assert (found.head_name, found.base_name) == ("caf\ufffd", "caf\ufffd")


def test_ends_are_whole_while_git_works(repo: Repo, reader: Callable[..., EndsReader]) -> None:
    """Between two steps of git's (a loose ref that is packed, then removed) there is never nothing."""
    repo.commit("base")
    repo.commit("topic", "main")
    ends = reader("main")
    script = (
        "for i in 1 2 3 4 5 6 7 8 9 10; do git commit -q --allow-empty -m $i && git branch -f main HEAD~1 &&"
        " git pack-refs --all && git checkout -q --detach && git checkout -q topic || exit 1; done; git gc -q"
    )
    reads = 0

    with subprocess.Popen(["sh", "-c", script], cwd=repo.path, env=repo.environment) as work:
        while work.poll() is None:
            found = ends.read()
            assert found.problem is None
            assert found.head is not None
            assert found.base is not None
            reads += 1

    assert work.returncode == 0
    assert reads > 10
    assert ends.read().head == repo.git("rev-parse", "HEAD")


@pytest.mark.parametrize("base", ["HEAD~1", None])
def test_a_git_that_fails_is_asked_again(
    repo: Repo, reader: Callable[..., EndsReader], calls: Calls, base: str | None
) -> None:
    """That it failed says nothing about the base, and no ref changes when it works again."""
    repo.commit("first")
    repo.commit("second", "main" if base is None else None)
    let_refs_rest(repo)
    ends = reader(base)
    works = calls.program.read_text()
    calls.program.write_text("#!/bin/sh\nexit 42\n")

    found = ends.read()
    assert (found.base, found.unanswered) == (None, True)
    assert "failed with status 42" in str(found.problem)

    calls.program.write_text(works)
    found = ends.read()
    assert (found.base, found.problem, found.unanswered) == (repo.git("rev-parse", "HEAD~1"), None, False)
