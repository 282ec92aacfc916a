"""A switch gives exactly the commit, whatever a job has done to the worktree."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pygit2
import pytest
from conftest import Repo
from worktrees import assert_exact, commit_of, git_in, make_pool, run_in

from gitlimmat.errors import WorktreeError
from gitlimmat.git.pool import WorktreePool
from gitlimmat.git.repository import find_repository
from gitlimmat.git.trees import Trees
from gitlimmat.git.worktree import Worktree

_FILES = {
    ".gitignore": "*.o\n/build/\ncache-*/\n",
    "readme": "one\n",
    "src/main.c": "int main;\n",
    "src/lib/a.c": "a\n",
    "src/lib/b.c": "b\n",
    "docs/guide": "read me\n",
}


@pytest.fixture
def base(repo: Repo) -> Repo:
    """Two commits, `first` and `second`, with directories, an executable file and a link."""
    for name, content in _FILES.items():
        repo.write(name, content)
    repo.write("run.sh", "#!/bin/sh\n", executable=True)
    (repo.path / "link").symlink_to("readme")
    repo.commit("first", **{"docs/more": "more\n"})
    repo.git("tag", "first")
    repo.git("rm", "-q", "docs/more", "docs/guide")
    repo.commit("second", **{"readme": "two\n", "new/file": "new\n"})
    repo.git("tag", "second")
    return repo


@pytest.fixture
def pool(base: Repo) -> Iterator[WorktreePool]:
    """The default pool of the repository."""
    made = make_pool(base)
    yield made
    made.close()


@pytest.fixture
def worktree(pool: WorktreePool, base: Repo) -> Iterator[Worktree]:
    """A worktree at `first` that has been switched before, so that everything about it is known."""
    acquired = pool.acquire()
    for name in ("first", "second", "first"):
        acquired.switch(commit_of(base, name))
    yield acquired
    acquired.release()


_DEEDS = {
    "nothing": "true",
    "edit": "echo edited >>readme; echo x >src/lib/a.c",
    "edit, same size": "printf 'ONE\\n' >readme; printf 'A\\n' >src/lib/a.c",
    "edit, old times": "touch -r readme ../times; printf 'ONE\\n' >readme; touch -r ../times readme",
    "delete": "rm readme link src/lib/a.c run.sh",
    "delete directory": "rm -r src",
    "chmod": "chmod 755 readme; chmod 644 run.sh; chmod 600 src/main.c",
    "read-only": "chmod 444 readme; chmod 555 src/lib; chmod 500 src",
    "unreadable": "chmod 0 readme src/lib src",
    "file to directory": "rm readme; mkdir readme; echo x >readme/x; rm link; mkdir -p link/a.o",
    "file to link": "rm readme; ln -s src/main.c readme; rm src/lib/a.c; ln -s /etc/passwd src/lib/a.c",
    "link to elsewhere": "ln -sf src/main.c link",
    "link to file": "rm link; cp readme link",
    "directory to file": "rm -r src; echo src >src",
    "directory to link": "mv src ../moved-$$; ln -s ../moved-$$ src",
    "directory to link inside": "mv src build-src; ln -s build-src src",
    "hard link": "mkdir -p build; ln -f readme build/readme; echo more >>build/readme",
    "hard link only": "mkdir -p build; ln -f readme build/readme",
    "rename": "mv readme docs/readme; mv docs papers",
    "swap": "mv src/lib/a.c t; mv src/lib/b.c src/lib/a.c; mv t src/lib/b.c",
    "untracked": "echo x >new; mkdir -p new.d/a/b; echo y >new.d/a/b/c; mkdir empty; echo z >src/lib/z",
    "untracked and ignored": "mkdir -p out/a; echo x >out/a/x.o; echo y >out/a/y",
    "untracked, odd names": "echo x >'new\n line'; echo y >'\"q\" \\ :x'; echo z >:m; mkdir -- -d; >-d/x",
    "untracked, read-only": "mkdir locked; echo x >locked/x; chmod 500 locked",
    "nested repository": "git init -q sub; echo x >sub/x; git init -q src/sub; git init -q cache-1",
    "repository in directory": "git init -q src",
    "fifo": "rm readme; mkfifo readme; mkfifo pipe",
    "ignore file": "echo '*' >src/.gitignore; echo x >src/hidden.c",
    "edit ignore file": "echo '*' >>.gitignore; echo x >hidden.c",
    "delete ignore file": "rm .gitignore; echo x >x.o",
    "index": "git rm -q --cached readme; echo x >staged; git add staged; git mv docs papers",
    "index of other content": "echo staged >readme; git add readme; printf 'one\\n' >readme",
    "delete index": 'rm "$(git rev-parse --git-path index)"',
    "garbage index": 'echo garbage >"$(git rev-parse --git-path index)"',
    "index is a directory": "i=$(git rev-parse --git-path index); rm $i; mkdir -p $i/x",
    "index version 4": "git update-index --index-version 4; echo x >readme",
    "split index": "git update-index --split-index; echo x >readme",
    "untracked cache": "git update-index --force-untracked-cache; git status; echo x >y",
    "assume unchanged": "git update-index --assume-unchanged readme run.sh; echo x >readme; rm run.sh",
    "skip worktree": "git update-index --skip-worktree readme src/main.c; echo x >readme; rm src/main.c",
    "intent to add": "echo x >later; git add -N later",
    "commit": "echo x >readme; git commit -qam job",
    "branch": "git checkout -q -b job-$$; echo x >readme; git commit -qam job",
    "other commit": "git checkout -q second",
    "unborn branch": "git checkout -q --orphan job",
    "merge": "echo x >readme; git commit -qam job; ! git merge second",
    "rebase": "echo x >readme; git commit -qam job; ! git rebase second",
    "bisect": "git bisect start; git bisect bad second; git bisect good first~0 || true",
    "stale locks": "d=$(git rev-parse --absolute-git-dir); touch $d/index.lock $d/HEAD.lock; echo x >readme",
    "garbage HEAD": "echo garbage >$(git rev-parse --git-path HEAD)",
    "no HEAD": "rm $(git rev-parse --git-path HEAD)",
    "sparse": "git sparse-checkout set docs; echo x >readme",
    "sparse index": "git sparse-checkout set --cone --sparse-index docs",
    "no .git": "rm .git; echo x >readme",
    "other .git": "rm .git; git init -q .; git add .; git commit -qm other",
    "garbage .git": "echo gitdir: /nowhere >.git; echo x >readme",
    "no entry": 'rm -r "$(git rev-parse --absolute-git-dir)"; echo x >readme',
    "broken entry": "d=$(git rev-parse --absolute-git-dir); rm $d/commondir $d/gitdir",
    "everything deleted": "d=$PWD; cd ..; rm -rf $d",
    "pruned": "d=$PWD; cd ..; g=$(git -C $d rev-parse --git-common-dir); rm -rf $d; git -C $g worktree prune",
    "worktree is a file": "d=$PWD; cd ..; rm -rf $d; echo x >$d",
    "worktree is a link": "d=$PWD; cd ..; mv $d $d.$$; ln -s $d.$$ $d",
}


@pytest.mark.parametrize("deed", _DEEDS)
def test_switch_is_exact_after_a_job(base: Repo, worktree: Worktree, deed: str) -> None:
    """Nothing a job does to the worktree shows in the next commit."""
    for target in ("second", "first"):
        worktree.switch(commit_of(base, "first"))
        run_in(worktree, _DEEDS[deed])

        worktree.switch(commit_of(base, target))

        assert_exact(worktree, commit_of(base, target))
        assert not any(found.name.startswith("new.d") for found in worktree.path.iterdir())


@pytest.mark.parametrize("deed", _DEEDS)
def test_switch_is_exact_in_a_new_process(base: Repo, worktree: Worktree, deed: str) -> None:
    """One that knows nothing of the worktree finds the same as one that made it."""
    run_in(worktree, _DEEDS[deed])
    worktree.release()

    fresh = make_pool(base).acquire()
    fresh.switch(commit_of(base, "second"))

    assert fresh.slot == 1
    assert_exact(fresh, commit_of(base, "second"))
    fresh.release()


def test_ignored_files_stay_for_warm_builds(base: Repo, worktree: Worktree) -> None:
    """What the new commit ignores is not touched, in tracked, untracked and ignored directories."""
    run_in(
        worktree, "mkdir -p build/x out; echo 1 >build/x/y; echo 2 >src/a.o; echo 3 >out/b.o; echo 4 >out/c"
    )

    for target in ("second", "first"):
        worktree.switch(commit_of(base, target))

        kept = [
            name for name in ("build/x/y", "src/a.o", "out/b.o", "out/c") if (worktree.path / name).exists()
        ]
        assert kept == ["build/x/y", "src/a.o", "out/b.o"]


def test_files_go_when_the_commit_no_longer_ignores_them(base: Repo, worktree: Worktree) -> None:
    """What was ignored only by another commit, or by settings that have changed, is removed."""
    base.commit("third", **{".gitignore": "/build/\n"})
    run_in(worktree, "mkdir -p build; echo 1 >build/y; echo 2 >src/a.o")
    worktree.switch(commit_of(base, "second"))
    assert (worktree.path / "src/a.o").exists()

    worktree.switch(commit_of(base, "main"))

    assert not (worktree.path / "src/a.o").exists()
    assert (worktree.path / "build/y").exists()


def test_files_go_when_the_users_exclude_file_changes(base: Repo, worktree: Worktree) -> None:
    """`.git/info/exclude` is looked at again when it has changed."""
    exclude = base.path / ".git" / "info" / "exclude"
    exclude.write_text("*.tmp\n")
    run_in(worktree, "echo 1 >src/a.tmp")
    worktree.switch(commit_of(base, "second"))
    assert (worktree.path / "src/a.tmp").exists()

    exclude.write_text("# nothing is excluded\n")
    worktree.switch(commit_of(base, "first"))

    assert not (worktree.path / "src/a.tmp").exists()


def test_unchanged_files_are_not_written_again(base: Repo, worktree: Worktree) -> None:
    """Build tools go by time: a file that is the same in both commits is left alone, known or not."""
    before = (worktree.path / "src/main.c").stat()

    worktree.switch(commit_of(base, "second"))
    worktree.release()
    (worktree.path.parent / "1.dirty").touch()
    fresh = make_pool(base).acquire()
    fresh.switch(commit_of(base, "first"))

    after = (fresh.path / "src/main.c").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    fresh.release()


def test_previous_names_the_commit_before(base: Repo, worktree: Worktree) -> None:
    """`previous` is what was checked out before the last switch, and None after a job left a branch."""
    worktree.switch(commit_of(base, "second"))
    assert worktree.previous == commit_of(base, "first").id

    run_in(worktree, "git checkout -q -b job")
    worktree.switch(commit_of(base, "first"))

    assert worktree.previous is None


def test_previous_is_none_in_a_new_worktree(base: Repo, pool: WorktreePool) -> None:
    """Nothing was checked out before in a worktree that has just been made."""
    worktree = pool.acquire()

    worktree.switch(commit_of(base, "first"))

    assert worktree.previous is None
    worktree.release()


def test_hooks_do_not_run(base: Repo, pool: WorktreePool) -> None:
    """A switch is not the user's checkout: post-checkout and friends stay silent."""
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        base.write(f".git/hooks/{hook}", f"#!/bin/sh\necho {hook} >>{base.path}/ran\n", executable=True)
    (base.path / ".git" / "info" / "attributes").write_text("*.x ident\n")
    worktree = pool.acquire()

    for target in ("first", "second"):
        worktree.switch(commit_of(base, target))

    assert not (base.path / "ran").exists()
    assert_exact(worktree, commit_of(base, "second"))
    worktree.release()


def test_dirty_mark_stays_when_a_switch_fails(base: Repo, worktree: Worktree) -> None:
    """After a failed switch the next one starts from scratch."""
    missing = commit_of(base, "first")
    blob = base.git("rev-parse", "second:new/file")
    where = base.path / ".git" / "objects" / blob[:2] / blob[2:]
    content = where.read_bytes()
    where.unlink()

    with pytest.raises(WorktreeError) as caught:
        worktree.switch(commit_of(base, "second"))
    assert caught.value.hint
    assert (worktree.path.parent / "1.dirty").exists()

    where.write_bytes(content)
    worktree.switch(missing)
    assert not (worktree.path.parent / "1.dirty").exists()
    assert_exact(worktree, missing)
    worktree.switch(commit_of(base, "second"))
    assert_exact(worktree, commit_of(base, "second"))


def test_umask_of_the_process_decides_permissions(base: Repo, worktree: Worktree) -> None:
    """Files are made as the user's own git would make them."""
    before = os.umask(0o077)
    try:
        worktree.switch(commit_of(base, "second"))
        assert stat.S_IMODE((worktree.path / "new/file").stat().st_mode) == 0o600
    finally:
        os.umask(before)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become someone else")
def test_read_only_directories_do_not_stop_an_ordinary_user(base: Repo, tmp_path: Path) -> None:
    """A job without root's rights can lock directories; the next switch opens them again."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        base.git("clone", "-q", str(base.path), str(home / "clone"))
        subprocess.run(["chown", "-R", "65534:65534", name], check=True)
        (tmp_path / "said").touch()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(tmp_path / "said", os.O_WRONLY), 2)
            os._exit(_as_nobody(home, base.environment))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, (tmp_path / "said").read_text()


def _as_nobody(home: Path, environment: dict[str, str]) -> int:
    try:
        os.setgid(65534)
        os.setuid(65534)
        os.chdir(home)
        moved = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
        os.environ.update(moved)
        for level in (pygit2.enums.ConfigLevel.GLOBAL, pygit2.enums.ConfigLevel.XDG):
            pygit2.settings.search_path[level] = str(home)
        repo = Repo(home / "clone", environment | moved)
        worktree = make_pool(repo, directory=home / "pool").acquire()
        for deed in (
            "chmod 500 src/lib src",
            "chmod 0 docs src",
            "mkdir -p out/x; echo >out/x/y; chmod 0 out/x",
        ):
            for value in ("lf", "crlf"):  # with crlf, git does the work
                repo.git("config", "core.eol", value)
                worktree.switch(commit_of(repo, "first"))
                run_in(worktree, deed)
                worktree.switch(commit_of(repo, "second"))
                assert_exact(worktree, commit_of(repo, "second"))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def test_bare_repository_and_linked_worktree_have_pools(base: Repo, make_repo: Callable[..., Repo]) -> None:
    """The pool works from any kind of repository, with spaces and dashes in its path."""
    bare = make_repo("-a bare one.git", "--bare")
    bare.git("fetch", "-q", str(base.path), "refs/tags/*:refs/tags/*")
    base.git("worktree", "add", "-q", "--detach", str(base.path.parent / "linked tree"), "first")
    linked = Repo(base.path.parent / "linked tree", base.environment)

    for source in (bare, linked):
        worktree = make_pool(source).acquire()
        for target in ("first", "second"):
            worktree.switch(commit_of(base, target))
            assert_exact(worktree, commit_of(base, target))
        worktree.release()


def test_users_repository_is_untouched(base: Repo, pool: WorktreePool) -> None:
    """HEAD, refs, index, config and status of the user stay as they are."""

    def state() -> list[str]:
        return [
            base.git("status", "--porcelain"),
            base.git("for-each-ref"),
            base.git("config", "--list", "--local"),
            (base.path / ".git" / "HEAD").read_text(),
            base.git("ls-files", "--stage"),
            base.git("reflog"),
        ]

    base.write("readme", "being edited\n")
    before = state()

    worktree = pool.acquire()
    for target in ("first", "second", "first"):
        worktree.switch(commit_of(base, target))
        run_in(worktree, "echo x >readme")
    worktree.release()

    assert state() == before
    assert git_in(worktree, "rev-parse", "HEAD").decode().strip() == commit_of(base, "first").id


def test_trees_of_a_large_directory_do_not_pile_up(repo: Repo) -> None:
    """A worktree that is switched for weeks remembers a bounded number of entries."""
    commits = [repo.commit("base", **{f"f{number}": "" for number in range(3_000)})]
    commits += [repo.commit(f"commit {number}", f0=str(number)) for number in range(20)]
    trees = Trees(find_repository(repo.path))
    roots = [bytes.fromhex(repo.git("rev-parse", f"{commit}^{{tree}}")) for commit in commits]

    for before, after in itertools.pairwise(roots):
        assert list(trees.compare(before, after)) == [b"f0"]

    assert sum(map(len, trees._known.values())) <= 27_000
