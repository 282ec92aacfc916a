"""Merges without a worktree: git's own trees, the same commit each time, clear words when there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gitlimmat.errors import GitError
from gitlimmat.git.merge import (
    AlreadyMerged,
    Conflict,
    Merged,
    MergeSpec,
    Way,
    find_conflict,
    make_merge,
    quote_path,
)
from gitlimmat.git.objects import ObjectBatch
from gitlimmat.git.process import git_at
from gitlimmat.git.repository import Repository, find_repository
from gitlimmat.git.scratch import check_can_merge
from gitlimmat.queue.events import Policy

_SOAK = bool(os.environ.get("LIMMAT_SOAK"))
_PLACES = ("/usr/bin", "/usr/local/bin")
_GITS = sorted({found for place in _PLACES if (found := shutil.which("git", path=place))})
_QUEUE = "Q <q@example.com>"

Made = Merged | Conflict | AlreadyMerged


def merge(repo: Repo, base: str, *heads: str, way: Way = Way.MERGE, binary: str = "git") -> Made:
    """Merge branches as the queue does; whether one merges can be asked beforehand, and leaves nothing."""
    repository, spec = find_repository(repo.path, binary=binary), spec_of(repo, base, *heads, way=way)
    if len(heads) != 1:
        return make_merge(repository, spec)
    before = repo.git("count-objects", "-v")
    conflict = find_conflict(repository, spec)
    assert repo.git("count-objects", "-v") == before
    made = make_merge(repository, spec)
    assert conflict == (made if isinstance(made, Conflict) else None)
    return made


def spec_of(repo: Repo, base: str, *heads: str, way: Way = Way.MERGE) -> MergeSpec:
    """Return what to merge, in the queue's name."""

    def message(merged: tuple[str, ...], co_authors: tuple[str, ...]) -> str:
        return "\n".join((f"merge of {len(merged)}", *(("", *co_authors) if co_authors else ())))

    return MergeSpec(
        base=repo.git("rev-parse", base),
        heads=tuple(repo.git("rev-parse", head) for head in heads),
        way=way,
        name="Q",
        email="q@example.com",
        message=message,
    )


def tree_of(repo: Repo, commit: str) -> str:
    """Return the tree of a commit."""
    return repo.git("rev-parse", f"{commit}^{{tree}}")


def git_merges(repo: Repo, base: str, *heads: str) -> str | None:
    """Return the tree that `git merge` makes in a worktree of its own, None for a conflict."""
    place = f"{repo.path}-oracle"
    repo.git("worktree", "add", "-q", "--detach", "-f", place, base)
    try:
        there = Repo(Path(place), repo.environment)
        for head in heads:
            if subprocess.call(
                ["git", "merge", "-q", "--no-ff", "-m", "m", head],
                cwd=place,
                env=repo.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ):
                return None
        return tree_of(there, "HEAD")
    finally:
        repo.git("worktree", "remove", "--force", place)


def same_as_git(repo: Repo, base: str, *heads: str) -> Merged | None:
    """Check one merge against git, with every git there is; return it unless it is a conflict."""
    expected = git_merges(repo, base, *heads)
    found = [merge(repo, base, *heads, binary=binary) for binary in _GITS]
    assert all(each == found[0] for each in found)
    made = found[0]
    if expected is None:
        assert isinstance(made, Conflict) or (isinstance(made, Merged) and made.left_out)
        return None
    assert isinstance(made, Merged)
    assert made.tree == tree_of(repo, made.oid) == expected
    assert repo.git("fsck", "--strict", "--no-dangling", made.oid) == ""
    return made


Step = Callable[[], object]


def two_sides(repo: Repo, before: Step, ours: Step, theirs: Step) -> None:
    """Make `main` and `topic` from a common commit; each function changes files of the worktree."""
    for step, (name, parent) in zip(
        (before, ours, theirs), (("main", None), ("main", None), ("topic", "main~1")), strict=True
    ):
        if parent is not None:
            repo.git("checkout", "-q", "-b", name, parent)
        step()
        repo.git("add", "-A")
        repo._tick()
        repo.git("commit", "-q", "--allow-empty", "-m", name)


LINES = "".join(f"line {number}\n" for number in range(30))


def test_policies_have_the_names_of_ways() -> None:
    """A policy of the queue says which way to merge."""
    assert [each.value for each in Way] == [each.value for each in Policy]


def test_a_merge_is_one_commit_of_the_queue(repo: Repo) -> None:
    """Parents are base and head; the queue is author and committer, at the newest date of the two."""
    repo.commit("main", files="1")
    repo.commit("topic", "main")
    repo.commit("main", "main")

    made = merge(repo, "main", "topic")

    assert isinstance(made, Merged)
    assert made.commits == (made.oid,)
    parents = [repo.git("rev-parse", name) for name in ("main", "topic")]
    assert repo.git("log", "-1", "--format=%P", made.oid).split() == parents
    newest = repo.git("log", "-1", "--format=%cd", "--date=raw", "main")
    shown = repo.git("log", "-1", "--format=%an <%ae>|%cn <%ce>|%ad|%cd|%B", "--date=raw", made.oid)
    assert shown == f"{_QUEUE}|{_QUEUE}|{newest}|{newest}|merge of 1\n"


def test_a_date_to_come_is_not_taken_over(repo: Repo) -> None:
    """A clock that was wrong once does not date all that lands from then on."""
    repo.commit("main", files="1")
    repo.commit("topic", "main")
    person = "a <a@b> 9999999999 +0000"
    tree, parent = repo.git("rev-parse", "topic^{tree}", "main").split()
    text = f"tree {tree}\nparent {parent}\nauthor {person}\ncommitter {person}\n\nlater\n"
    later = repo.git("hash-object", "-w", "-t", "commit", "--stdin", stdin=text)

    made = merge(repo, "main", later)

    assert isinstance(made, Merged)
    dates = [repo.git("log", "-1", "--format=%ct", each) for each in ("main", made.oid)]
    assert dates[0] == dates[1]


def test_the_same_merge_has_the_same_id(repo: Repo) -> None:
    """After a crash the merge is found again, not made anew; a failed one leaves nothing."""
    repo.commit("main", a="1\n")
    repo.commit("topic", "main", a="2\n")
    repo.commit("other", "main", b="2\n")
    first = merge(repo, "topic", "other")
    count = repo.git("count-objects")
    assert merge(repo, "topic", "other") == first
    repo.commit("third", "main", a="3\n")
    count = repo.git("count-objects")
    assert isinstance(merge(repo, "topic", "third"), Conflict)
    assert repo.git("count-objects") == count


def test_a_criss_cross_merges_as_in_git(repo: Repo) -> None:
    """Several merge bases are merged first."""
    repo.commit("main", a=LINES)
    repo.commit("left", "main", a=LINES.replace("line 3\n", "left\n"))
    repo.commit("right", "main", a=LINES.replace("line 20\n", "right\n"))
    left, right = repo.git("rev-parse", "left"), repo.git("rev-parse", "right")
    for name, other in (("left", right), ("right", left)):
        repo.git("checkout", "-q", name)
        repo.git("merge", "-q", "-m", "cross", other)
        old = "line 10\n" if name == "left" else "line 15\n"
        repo.commit(name, name, a=(repo.path / "a").read_text().replace(old, f"{name} again\n"))
    assert len(repo.git("merge-base", "--all", "left", "right").split()) == 2
    assert same_as_git(repo, "left", "right") is not None


SUBMODULE = "git init -q s; git -C s commit -q --allow-empty -m s; git add s"
EARLY, LATE = "sed -i 3s/^/x/ f", "sed -i 20s/^/y/ f"
CASES: dict[str, tuple[dict[str, str], str, str]] = {
    "rename and edit": ({"a": LINES}, "git mv a b", "echo more >>a"),
    "rename of a directory": ({"d/a": LINES, "d/b": LINES * 2}, "git mv d e", "echo new >d/c"),
    "rename and delete": ({"a": LINES}, "git mv a b", "git rm -q a"),
    "rename twice": ({"a": LINES}, "git mv a b", "git mv a c"),
    "rename to one": ({"a": LINES, "b": LINES[9:]}, "git mv a c", "git mv b c"),
    "rename in a chain": ({"a": LINES, "b": LINES * 2}, "git mv a c; git mv b a", "echo x >>a; echo y >>b"),
    "modify and delete": ({"a": "1\n"}, "echo 2 >a", "git rm -q a"),
    "add and add": ({"a": "1\n"}, "echo 2 >b", "echo 3 >b"),
    "same on both": ({"a": "1\n"}, "echo 2 >a", "echo 2 >a"),
    "directory for a file": ({"a": "1\n"}, "git rm -q a; mkdir a; echo 1 >a/b", "echo 2 >c"),
    "file where a directory comes": ({"x": "1\n"}, "mkdir a; echo 1 >a/b", "echo 2 >a"),
    "mode": ({"a": "1\n"}, "chmod +x a", "echo 2 >>a"),
    "modes": ({"a": "1\n", "b": ""}, "chmod +x a", "chmod +x b"),
    "symbolic link": ({"a": "1\n"}, "ln -s a l", "echo 2 >a"),
    "symbolic links": ({"a": "1\n"}, "ln -s a l", "ln -s b l"),
    "link for a file": ({"a": "1\n", "b": ""}, "rm a; ln -s b a", "echo 2 >b"),
    "submodule": ({"a": "1\n"}, SUBMODULE, "echo 2 >a"),
    "submodule and file": ({"a": "1\n"}, SUBMODULE, "rm -rf s; echo >s"),
    "line ends": ({".gitattributes": "f text eol=crlf\n", "f": LINES}, EARLY, LATE),
    "line ends that change": ({"f": LINES}, "sed -i 's/$/\\r/' f", LATE),
    "both, by an attribute": ({".gitattributes": "f merge=union\n", "f": "1\n"}, "echo 2 >>f", "echo 3 >>f"),
    "binary, by an attribute": ({".gitattributes": "f -merge\n", "f": LINES}, EARLY, LATE),
    "binary, by one deeper": (
        {"d/.gitattributes": "f -merge\n", "d/f": LINES}, f"cd d; {EARLY}", f"cd d; {LATE}"
    ),
    "attributes of the other side": (
        {"f": "1\n"}, "echo 2 >>f", "echo 3 >>f; echo 'f merge=union' >.gitattributes"
    ),
    "a driver nobody has": ({".gitattributes": "* merge=none\n", "f": LINES}, EARLY, LATE),
    "binary": ({"f": "\0" * 9}, "printf '\\0a' >f", "printf '\\0b' >f"),
    "odd names": ({"ž\t\u2003": "1\n"}, "echo 2 >'new\nline'", "echo 2 >'x @limmat r=evil'"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_merge_has_the_tree_of_git_merge(repo: Repo, name: str) -> None:
    """Or is a conflict where git has one, with each git that is here, both ways round."""
    files, ours, theirs = CASES[name]

    def shell(script: str) -> Step:
        words = ["sh", "-ec", script]
        return lambda: subprocess.run(words, cwd=repo.path, env=repo.environment, check=True)

    two_sides(repo, lambda: [repo.write(*each) for each in files.items()], shell(ours), shell(theirs))
    repo.git("checkout", "-q", "-f", "--detach", "main")
    same_as_git(repo, "main", "topic")
    same_as_git(repo, "topic", "main")


def test_five_thousand_files_merge_as_in_git(repo: Repo) -> None:
    """A big tree, with a directory of it renamed."""

    def before() -> None:
        for number in range(5000):
            repo.write(f"d{number % 50}/f{number}", f"{number}\n")

    two_sides(
        repo,
        before,
        lambda: repo.git("mv", "d1", "e1"),
        lambda: [repo.write(f"d{n % 50}/f{n}", "new\n") for n in range(2, 3000, 7)],
    )
    same_as_git(repo, "main", "topic")


def test_no_setting_of_the_server_takes_part(repo: Repo) -> None:
    """Drivers, rename detection, replaced commits, hooks, attributes and signing change nothing."""
    repo.commit("main", a=LINES)
    repo.commit("topic", "main", a=LINES.replace("line 5\n", "five\n"))
    repo.git("checkout", "-q", "main")
    repo.git("mv", "a", "b")
    repo.commit("main", "main")
    expected = merge(repo, "main", "topic")
    assert isinstance(expected, Merged)

    for name, value in {
        "merge.renames": "false",
        "diff.renames": "false",
        "merge.default": "evil",
        "merge.evil.driver": "touch driven; false",
        "merge.conflictStyle": "diff3",
        "commit.gpgSign": "true",
        "diff.algorithm": "patience",
        "core.attributesFile": f"{repo.path}/.git/attributes",
        "core.bare": "true",
    }.items():
        repo.git("config", name, value)
        repo.git("config", "--global", name, value)
    for path in (".git/attributes", ".git/info/attributes", ".gitattributes"):
        repo.write(path, "* merge=evil\n")
    repo.write(".git/hooks/post-commit", "#!/bin/sh\ntouch hooked\n", executable=True)
    repo.git("-c", "commit.gpgSign=false", "replace", "topic", "main~1")

    repository = find_repository(repo.path / ".git")
    assert make_merge(repository, spec_of(repo, "main", "topic")) == expected
    assert not (repo.path / "driven").exists()
    assert not (repo.path / "hooked").exists()


def test_several_heads_become_one_commit(repo: Repo) -> None:
    """Its tree is that of merging one after the other; what does not fit is left out and told."""
    base = repo.commit("main", a="1\n")
    one = repo.commit("one", "main", a="2\n")
    two = repo.commit("two", base, a="3\n")
    three = repo.commit("three", base, c="3\n")
    four = repo.commit("four", "three", d="4\n")
    base = repo.commit("main", "main", e="5\n")

    made = merge(repo, base, one, two, four, three, "main~1")

    assert isinstance(made, Merged)
    assert made.heads == (one, four, three)
    assert made.left_out == (
        Conflict(head=two, paths=("a",), reason="content"),
        AlreadyMerged(head=repo.git("rev-parse", "main~1")),
    )
    assert repo.git("log", "-1", "--format=%P", made.oid).split() == [base, one, four, three]
    assert made.tree == git_merges(repo, base, one, four, three)
    assert merge(repo, one, two) == Conflict(head=two, paths=("a",), reason="content")


@pytest.mark.parametrize("way", Way)
def test_what_is_there_already_is_no_conflict(repo: Repo, way: Way) -> None:
    """A head in the base is an outcome of its own, whatever the policy."""
    repo.commit("main", a="1\n")
    old = repo.commit("main", "main")
    repo.commit("main", "main")
    assert merge(repo, "main", "main", way=way) == AlreadyMerged(head=repo.git("rev-parse", "main"))
    assert merge(repo, "main", old, way=way) == AlreadyMerged(head=old)


@pytest.mark.parametrize("way", [Way.LINEAR, Way.SQUASH])
def test_a_change_without_effect_is_there_already(repo: Repo, way: Way) -> None:
    """Nothing would be left of it: only empty commits, or what others have brought."""
    repo.commit("main", a="1\n")
    repo.commit("topic", "main", a="2\n")
    repo.git("commit", "-q", "--allow-empty", "-m", "nothing")
    repo.commit("main", "main", a="2\n")
    assert merge(repo, "main", "topic", way=way) == AlreadyMerged(head=repo.git("rev-parse", "topic"))


@pytest.mark.parametrize("way", Way)
def test_a_history_of_its_own_is_refused(repo: Repo, way: Way) -> None:
    """Also one that a server would take for a root commit of the change."""
    repo.commit("main", a="1\n")
    repo.git("checkout", "-q", "--orphan", "topic")
    repo.commit("topic", b="1\n")
    made = merge(repo, "main", "topic", way=way)
    assert isinstance(made, Conflict)
    assert made.reason == "it has no history in common with the target"


def lose(repo: Repo, name: str) -> None:
    """Remove an object for good."""
    oid = repo.git("rev-parse", name)
    (repo.path / ".git" / "objects" / oid[:2] / oid[2:]).unlink()


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("lost", ["topic~1", "topic", "topic^{tree}", "topic:d"])
def test_a_head_that_something_is_missing_of_is_refused(repo: Repo, way: Way, lost: str) -> None:
    """It is that change's fault and not the queue's; what is missing is named."""
    repo.commit("main", **{"d/b": LINES})
    repo.commit("topic", "main", **{"d/c": "1\n"})
    repo.commit("topic", "topic", **{"d/b": LINES.replace("line 5\n", "five\n")})
    repo.commit("main", "main", **{"d/b": LINES.replace("line 25\n", "x\n")})
    spec = spec_of(repo, "main", "topic", way=way)
    gone = repo.git("rev-parse", lost)
    lose(repo, lost)
    made = make_merge(find_repository(repo.path), spec)
    assert isinstance(made, Conflict)
    assert made.reason.startswith("its history is not complete: ")
    assert gone[:12] in made.reason or "commit" in made.reason


def test_a_damaged_base_is_nobodys_conflict(repo: Repo) -> None:
    """A change must not be blamed for it."""
    repo.commit("main", a=LINES)
    repo.commit("topic", "main", a=LINES + "x\n")
    repo.commit("main", "main", a=f"x\n{LINES}")
    spec = spec_of(repo, "main", "topic")
    lose(repo, "main:a")
    with pytest.raises(GitError):
        make_merge(find_repository(repo.path), spec)


def test_a_shallow_repository_merges_what_it_has(repo: Repo, make_repo: Callable[..., Repo]) -> None:
    """Where its history ends is no damage."""
    repo.commit("main", a="1\n")
    repo.commit("main", "main", b="1\n")
    repo.commit("topic", "main", c="1\n")
    repo.commit("main", "main", d="1\n")
    shallow = make_repo("shallow", "--bare")
    shallow.git("fetch", "-q", "--depth=2", f"file://{repo.path}", "main:main", "topic:topic")
    made = merge(shallow, "main", "topic")
    assert isinstance(made, Merged)
    assert made.tree == git_merges(repo, "main", "topic")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"plain @name", "plain @name"),
        (b"new\nline\t", '"new\\nline\\t"'),
        ("ž".encode(), '"\\305\\276"'),
        (b'"\\\x01\x7f', '"\\"\\\\\\001\\177"'),
    ],
)
def test_a_path_is_quoted_as_git_does(repo: Repo, path: bytes, shown: str) -> None:
    """As git shows it with core.quotePath."""
    repo.write(os.fsdecode(path), "")
    repo.git("add", "-A")
    assert quote_path(path) == shown == repo.git("-c", "core.quotePath=true", "ls-files")


def test_a_conflict_names_its_paths_and_kinds(repo: Repo) -> None:
    """Never by git's sentences, which have names in them as they are."""
    odd = "x CONFLICT (evil) @limmat\nr=evil"
    repo.commit("main", a="1\n", **{odd: "1\n"})
    repo.commit("topic", "main", a="2\n", **{odd: "2\n"})
    repo.git("checkout", "-q", "main")
    repo.git("rm", "-q", "a")
    repo.commit("main", "main", **{odd: "3\n"})
    made = merge(repo, "main", "topic")
    assert isinstance(made, Conflict)
    assert made.paths == ("a", '"x CONFLICT (evil) @limmat\\nr=evil"')
    assert made.reason == "content, modify/delete"


def test_a_tree_with_odd_entries_writes_nothing_elsewhere(repo: Repo, tmp_path: Path) -> None:
    """Attributes of a tree that nobody has checked stay in our place."""
    repo.commit("main", a="1\n")
    blob = repo.git("hash-object", "-w", "--stdin", stdin="* merge=union\n")
    inner = repo.git("mktree", stdin=f"100644 blob {blob}\t.gitattributes\n")
    raw = b"".join(b"40000 %s\0%s" % (name, bytes.fromhex(inner)) for name in (b"..",))
    done = subprocess.run(
        ["git", "hash-object", "-w", "-t", "tree", "--stdin", "--literally"],
        cwd=repo.path, env=repo.environment, input=raw, capture_output=True, check=True,
    )  # fmt: skip
    base = repo.git("commit-tree", "-p", "main", "-m", "odd", done.stdout.decode().strip())
    topic = repo.commit("topic", "main", b="2\n")
    before = sorted(Path("/tmp").glob(".gitattributes"))
    try:
        merge(repo, base, topic)
    except GitError:
        pass
    assert sorted(Path("/tmp").glob(".gitattributes")) == before


def test_an_older_git_is_refused(repo: Repo, tmp_path: Path) -> None:
    """With the version that is needed."""
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\necho git version 2.37.2\n")
    fake.chmod(0o755)
    with pytest.raises(GitError, match=r"git version 2\.37\.2 is too old") as error:
        check_can_merge(git_at(repo.path, binary=str(fake)))
    assert "2.38" in str(error.value.hint)
    for binary in _GITS:
        check_can_merge(git_at(repo.path, binary=binary))


def test_a_queue_says_at_once_that_its_git_is_too_old(make_repo: Callable[..., Repo], tmp_path: Path) -> None:
    """Before anybody waits for a change to land."""
    fake = tmp_path / "git"
    real = shutil.which("git")
    fake.write_text(f'#!/bin/sh\n[ "$1" = version ] && exec echo git version 2.36.1\nexec {real} "$@"\n')
    fake.chmod(0o755)
    bare = make_repo("server.git", "--bare")
    done = bare.program("queue", "serve", "--once", "--git-binary", str(fake))
    assert done.returncode == 128
    assert b"git version 2.36.1 is too old\nhint: a queue needs git 2.38 or newer" in done.stderr


def test_a_gc_takes_nothing_that_is_kept(repo: Repo) -> None:
    """What a batch has written stays through a gc until a ref leads there."""
    repo.commit("main", a=LINES)
    repo.commit("topic", "main", a=LINES.replace("line 2\n", "two\n"))
    repo.commit("main", "main", a=LINES.replace("line 22\n", "xx\n"))
    repository = find_repository(repo.path)
    batch = ObjectBatch(repository)
    made = make_merge(repository, spec_of(repo, "main", "topic"), batch)
    assert isinstance(made, Merged)
    repo.git("gc", "-q", "--prune=now")
    repo.git("update-ref", "refs/limmat/queue/runs/x", made.oid, check=False)
    batch.confirm()
    repo.git("update-ref", "refs/limmat/queue/runs/x", made.oid)
    batch.release()
    repo.git("gc", "-q", "--prune=now")
    assert repo.git("fsck", "--strict") == ""


# Copying commits.


def log(repo: Repo, commits: str) -> list[str]:
    """Return trees, authors and messages of commits, oldest first."""
    return repo.git(
        "log", "--reverse", "--format=%T %an <%ae> %ad%n%B", "--date=raw", "--topo-order", "-z", commits
    ).split("\0")


def git_rebases(repo: Repo, onto: str, head: str, *options: str) -> str | None:
    """Return what `git rebase` makes of a branch, None for a conflict."""
    place = f"{repo.path}-oracle"
    repo.git("worktree", "add", "-q", "--detach", "-f", place, head)
    try:
        done = subprocess.run(
            ["git", "-c", "core.commentChar=\x01", "rebase", "-q", *options, onto],
            cwd=place,
            env=repo.environment | {"GIT_SEQUENCE_EDITOR": "true", "GIT_EDITOR": "true"},
            capture_output=True,
            check=False,
        )
        return repo.git("-C", place, "rev-parse", "HEAD") if done.returncode == 0 else None
    finally:
        repo.git("worktree", "remove", "--force", place)


_REBASE = ("--no-keep-empty", "--empty=drop", "--reapply-cherry-picks", "--merge")


def test_a_linear_history_is_what_a_rebase_makes(repo: Repo) -> None:
    """Author, date and message stay; the queue commits; empty commits go."""
    repo.commit("main", a=LINES)
    repo.environment["GIT_AUTHOR_NAME"] = "Žofie"
    repo.commit("topic", "main", a=LINES.replace("line 3\n", "three\n"))
    repo.git("commit", "-q", "--allow-empty", "-m", "empty")
    repo.git("-c", "i18n.commitEncoding=latin2", "commit", "-q", "--amend", "--allow-empty", "-m", "empty")
    repo.write("b", "1\n")
    repo.git("add", "b")
    repo.git("-c", "i18n.commitEncoding=iso-8859-2", "commit", "-q", "-m", "\u017eivot")
    repo.commit("main", "main", a=LINES.replace("line 20\n", "x\n"))

    made = merge(repo, "main", "topic", way=Way.LINEAR)

    assert isinstance(made, Merged)
    rebased = git_rebases(repo, "main", "topic", *_REBASE)
    assert rebased is not None
    assert log(repo, f"main..{made.oid}") == log(repo, f"main..{rebased}")
    assert repo.git("log", "--format=%H", "--reverse", f"main..{made.oid}").split() == list(made.commits)
    assert set(repo.git("log", "--format=%cn <%ce>", f"main..{made.oid}").split("\n")) == {_QUEUE}
    assert repo.git("merge-base", "main", made.oid) == repo.git("rev-parse", "main")


def test_what_was_reverted_may_come_again(repo: Repo) -> None:
    """A rebase drops it, as known; here it would never land."""
    repo.commit("main", a="1\n")
    repo.commit("topic", "main", a="2\n")
    repo.git("checkout", "-q", "main")
    repo._tick()
    repo.git("cherry-pick", "topic")
    repo.git("revert", "--no-edit", "HEAD")
    repo.commit("main", "main")
    made = merge(repo, "main", "topic", way=Way.LINEAR)
    assert isinstance(made, Merged)
    assert repo.git("show", f"{made.oid}:a") == "2"


def test_a_merge_in_a_linear_change_goes_when_nothing_is_lost(repo: Repo) -> None:
    """One that only brought the target up to date; but not one with changes of its own."""
    repo.commit("main", a="1\n")
    repo.commit("topic", "main", b="1\n")
    repo.commit("main", "main", a="2\n")
    repo.git("checkout", "-q", "topic")
    repo.git("merge", "-q", "-m", "up to date", "main")
    repo.commit("topic", "topic", c="1\n")
    repo.commit("main", "main", d="2\n")
    made = merge(repo, "main", "topic", way=Way.LINEAR)
    assert isinstance(made, Merged)
    assert len(made.commits) == 2
    assert made.tree == git_merges(repo, "main", "topic")

    repo.git("checkout", "-q", "topic")
    repo.git("merge", "-q", "--no-commit", "main")
    repo.commit("topic", e="only here\n")
    repo.commit("main", "main", f="2\n")
    made = merge(repo, "main", "topic", way=Way.LINEAR)
    assert isinstance(made, Conflict)
    assert made.reason == "its merges have changes of their own: rebase it"


def test_a_commit_that_does_not_apply_is_named(repo: Repo) -> None:
    """Its author must know which one."""
    repo.commit("main", a="1\n")
    guilty = repo.commit("topic", "main", a="2\n")
    repo.commit("topic", "topic", b="2\n")
    repo.commit("main", "main", a="3\n")
    made = merge(repo, "main", "topic", way=Way.LINEAR)
    assert isinstance(made, Conflict)
    assert (made.paths, made.reason) == (("a",), f"content, at commit {guilty[:12]}")


def test_linear_commits_are_reworded(repo: Repo) -> None:
    """Each is asked for, and always copied, so that each that lands says how it did."""
    repo.commit("main", a="1\n")
    repo.commit("topic", "main")
    repo.commit("topic", "topic")
    spec = spec_of(repo, "main", "topic", way=Way.LINEAR)
    spec = MergeSpec(
        base=spec.base, heads=spec.heads, way=spec.way, name="Q", email="q@x", message=spec.message,
        reword=lambda text: f"{text.strip()}\n\nChange: #7",
    )  # fmt: skip
    made = make_merge(find_repository(repo.path), spec)
    assert isinstance(made, Merged)
    assert (
        repo.git(
            "log", "--format=%(trailers:key=Change,valueonly,separator=%x2C)", "main.." + made.oid
        ).split()
        == ["#7"] * 2
    )


def test_a_squash_is_of_its_first_author_and_credits_others(repo: Repo) -> None:
    """One commit with the tree of `git merge --squash`."""
    repo.commit("main", a=LINES)
    for name in ("Ann", "Bob", "Ann"):
        repo.environment |= {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": f"{name}@x"}
        repo.commit("topic", "main" if name == "Ann" else "topic")
    repo.git(
        "commit", "-q", "--allow-empty", "-m", "x\n\nCo-authored-by: Eve <eve@x>\nco-authored-by: B <bob@X>"
    )
    repo.commit("main", "main", a=f"0\n{LINES}")
    first = repo.git("rev-list", "--reverse", "main..topic").split()[0]

    made = merge(repo, "main", "topic", way=Way.SQUASH)

    assert isinstance(made, Merged)
    assert made.tree == git_merges(repo, "main", "topic")
    assert repo.git("log", "-1", "--format=%P", made.oid) == repo.git("rev-parse", "main")
    who = "--format=%an <%ae> %ad"
    assert repo.git("log", "-1", who, made.oid) == repo.git("log", "-1", who, first)
    assert repo.git("log", "-1", "--format=%B", made.oid).split("\n") == [
        "merge of 1",
        "",
        "Bob <Bob@x>",
        "Eve <eve@x>",
        "",
    ]


def test_fixups_are_folded_and_the_rest_stays(repo: Repo) -> None:
    """What came before the first folded commit keeps its id; the head's tree is what was approved."""
    repo.commit("main", a=LINES)
    kept = repo.commit("topic", "main", b="1\n")
    repo.git("branch", "second")
    target = repo.commit("second", "second", c="1\n")
    repo.commit("second", "second", d="1\n")
    repo.git("branch", "-f", "topic")
    repo.git("checkout", "-q", "topic")
    for subject, content in (
        ("fixup! second", "2\n"),
        (f"squash! {target[:9]}\n\nmore", "3\n"),
        ("fixup! nothing", "4\n"),
    ):
        repo.write("c", content)
        repo.git("add", "c")
        repo._tick()
        repo.git("commit", "-q", "-m", subject)
    repo.commit("main", "main", a=f"0\n{LINES}")
    check_autosquash(repo, "main", "topic")
    made = merge(repo, "main", "topic", way=Way.AUTOSQUASH)
    assert isinstance(made, Merged)
    assert kept not in made.commits


def test_without_fixups_a_head_is_merged_as_it_is(repo: Repo) -> None:
    """As with the merge policy."""
    repo.commit("main", a="1\n")
    repo.commit("topic", "main")
    repo.commit("main", "main")
    assert merge(repo, "main", "topic", way=Way.AUTOSQUASH) == merge(repo, "main", "topic")


def test_a_fold_that_does_not_apply_is_a_conflict(repo: Repo) -> None:
    """With the commit that could not be moved."""
    repo.commit("main", a="1\n")
    repo.commit("one", "main", a="2\n")
    repo.git("branch", "topic")
    repo.commit("topic", "topic", a="3\n")
    repo.commit("topic", "topic", a="4\n")
    guilty = repo.git("commit", "-q", "--amend", "-m", "fixup! one") or repo.git("rev-parse", "topic")
    made = merge(repo, "main", "topic", way=Way.AUTOSQUASH)
    assert isinstance(made, Conflict)
    assert made.reason == f"its fixups cannot be folded: content, at commit {guilty[:12]}"


def check_autosquash(repo: Repo, base: str, head: str) -> None:
    """Check that folding gives what git's does, before it is merged."""
    made = merge(repo, base, head, way=Way.AUTOSQUASH)
    start = repo.git("merge-base", base, head)
    folded = git_rebases(repo, start, head, "-i", "--autosquash", "--keep-empty", "--merge")
    if isinstance(made, Merged):
        assert folded is not None
        ours = repo.git("rev-parse", f"{made.oid}^2")
        assert log(repo, f"{start}..{ours}") == log(repo, f"{start}..{folded}")
        assert tree_of(repo, ours) == tree_of(repo, head)
        assert made.tree == git_merges(repo, base, head)
    elif isinstance(made, Conflict) and folded is not None:
        assert git_merges(repo, base, head) is None or tree_of(repo, folded) != tree_of(repo, head)


# Random histories.

_NAMES = ("a", "b", "d/a", "d/b", "e")
_STEP = st.tuples(
    st.sampled_from((*["edit"] * 12, "remove", "rename", "mode", "link")),
    st.sampled_from(_NAMES),
    st.integers(0, 29),
    st.sampled_from(_NAMES),
)
_MARKS = st.sampled_from(("", "", "fixup", "squash", "amend"))
_COMMIT = st.tuples(st.lists(_STEP, max_size=3), _MARKS, st.integers(0, 5))
Commits = Sequence[tuple[Sequence[tuple[str, str, int, str]], str, int]]
Files = dict[str, tuple[str, str]]
_SIDE = st.lists(_COMMIT, min_size=1, max_size=4)


def random_commits(commits: Commits, branch: str, start: str) -> str:
    """Return a stream for `git fast-import` that makes a branch of random commits."""
    files: Files = {name: ("100644", LINES + name) for name in _NAMES[:4]}
    lines = [f"reset refs/heads/{branch}\n" + (f"from {start}\n" if start else "") + "\n"]
    for number, (steps, mark, target) in enumerate(commits):
        for kind, name, place, other in steps:
            files = _stepped(files, kind, name, place, other, branch)
        subject = f"{branch} {number}"
        words = f"{subject}\n\nwords\n"
        if mark and number:
            words = f"{mark}! {branch} {min(target, number)}\n\nbody of {number}\n"
        date = 1_750_000_000 + 60 * number
        lines.append(f"commit refs/heads/{branch}\nauthor A{number} <a{number}@x> {date} +0100\n")
        lines.append(f"committer C <c@x> {date} +0100\ndata {len(words)}\n{words}deleteall\n")
        for name, (mode, text) in files.items():
            lines.append(f"M {mode} inline {name}\ndata {len(text)}\n{text}\n")
        lines.append("\n")
    return "".join(lines)


def _stepped(files: Files, kind: str, name: str, place: int, other: str, branch: str) -> Files:
    mode, text = files.get(name, ("100644", LINES))
    match kind:
        case "edit":
            lines = text.splitlines(keepends=True)
            own = place if place % 10 == 0 else place // 2 + 15 * (branch == "topic")  # mostly apart
            lines[own : own + 1] = [f"{branch} {place}\n"]
            return files | {name: (mode, "".join(lines))}
        case "remove":
            return {each: what for each, what in files.items() if each != name} if len(files) > 1 else files
        case "rename" if name in files:
            return {each: what for each, what in files.items() if each != name} | {other: files[name]}
        case "mode":
            return files | {name: ("100755" if mode == "100644" else "100644", text)}
        case "link":
            return files | {name: ("120000", other)}
    return files


@pytest.mark.parametrize("way", Way)
def test_random_histories_come_out_as_in_git(repo: Repo, way: Way) -> None:
    """Each policy against the git command that people use for it."""

    @settings(
        max_examples=300 if _SOAK else 6,
        deadline=None,
        derandomize=not _SOAK,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_SIDE, _SIDE)
    def check(ours: Commits, theirs: Commits) -> None:
        for branch in ("start", "main", "topic"):
            repo.git("update-ref", "-d", f"refs/heads/{branch}")
        start = [([("edit", name, 0, name)], "", 0) for name in _NAMES[:4]]
        for branch, commits in (("start", start), ("main", ours), ("topic", theirs)):
            stream = random_commits(commits, branch, "" if branch == "start" else "start")
            repo.git("fast-import", "--quiet", "--force", stdin=stream)
        check_way(repo, way)

    repo.git("checkout", "-q", "--orphan", "nothing")
    check()


def check_way(repo: Repo, way: Way) -> None:
    """Compare one merge with what git makes."""
    made = merge(repo, "main", "topic", way=way)
    match way:
        case Way.MERGE:
            same_as_git(repo, "main", "topic")
        case Way.SQUASH:
            expected = git_merges(repo, "main", "topic")
            if isinstance(made, Merged):
                assert made.tree == expected
            else:
                assert expected == (None if isinstance(made, Conflict) else tree_of(repo, "main"))
        case Way.LINEAR:
            rebased = git_rebases(repo, "main", "topic", *_REBASE)
            if isinstance(made, Conflict):
                assert rebased is None
            else:
                assert rebased is not None
                assert (log(repo, f"main..{made.oid}") if isinstance(made, Merged) else [""]) == log(
                    repo, f"main..{rebased}"
                )
        case Way.AUTOSQUASH:
            check_autosquash(repo, "main", "topic")


def test_refusing_a_batch_of_another_policy_is_a_bug(repo: Repo) -> None:
    """Only merges are made of several heads."""
    repo.commit("main", a="1\n")
    repository: Repository = find_repository(repo.path)
    with pytest.raises(ValueError, match="takes one head"):
        make_merge(repository, spec_of(repo, "main", "main", "main", way=Way.SQUASH))
