"""The pool gives each holder a worktree of its own, whatever happened to the directories before."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Repo
from waiting import wait_until
from worktrees import assert_exact, commit_of, make_pool

from gitlimmat.errors import WorktreeError
from gitlimmat.git.index import make_entry, parse_index
from gitlimmat.git.worktree import Worktree

_HOLD = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import Repo
from worktrees import commit_of, make_pool
repo = Repo(Path({path!r}), dict(os.environ))
worktree = make_pool(repo, directory={directory}, temporary={temporary}).acquire()
worktree.switch(commit_of(repo, "main"))
print(worktree.path, flush=True)
{then}
sys.stdin.read()
"""


_SLEEP = "print(Popen(['sleep', '100'], pass_fds=[worktree.lock_fd]).pid, flush=True)"


@pytest.fixture
def base(repo: Repo) -> Repo:
    """A repository with one commit."""
    repo.commit("one", **{"a": "a\n", "d/b": "b\n"})
    return repo


@pytest.fixture
def start(base: Repo) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts a process which holds a worktree until its stdin is closed."""
    started = []

    def begin(directory: Path | None = None, *, then: str = "") -> subprocess.Popen[bytes]:
        stated = f"Path({str(directory)!r})" if directory else "None"
        tests = str(Path(__file__).parent)
        script = _HOLD.format(
            tests=tests, path=str(base.path), directory=stated, temporary=directory is not None, then=then
        )
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            env=base.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(child)
        return child

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def _path(child: subprocess.Popen[bytes]) -> Path:
    assert child.stdout is not None
    return Path(os.fsdecode(child.stdout.readline().removesuffix(b"\n")))


def _switched(worktree: Worktree, repo: Repo) -> Worktree:
    worktree.switch(commit_of(repo, "main"))
    assert_exact(worktree, commit_of(repo, "main"))
    return worktree


def _entries(repo: Repo) -> int:
    return repo.git("worktree", "list", "--porcelain").count("worktree ") - 1


def test_slots_are_in_the_users_cache(base: Repo) -> None:
    """By default they are numbered from 1 in a directory of the repository, outside of it."""
    pool = make_pool(base)
    worktrees = [_switched(pool.acquire(), base) for _ in range(3)]

    cache = Path(base.environment["XDG_CACHE_HOME"]) / "limmat"
    (directory,) = cache.iterdir()
    assert directory.name.startswith("repo-")
    assert [worktree.path for worktree in worktrees] == [directory / str(slot) for slot in (1, 2, 3)]
    assert [worktree.slot for worktree in worktrees] == [1, 2, 3]
    worktrees[1].release()
    assert pool.acquire().slot == 2
    for worktree in worktrees:
        worktree.release()


def test_closing_keeps_persistent_worktrees(base: Repo) -> None:
    """They are there for the next run, which finds them as they were."""
    pool = make_pool(base)
    worktree = _switched(pool.acquire(), base)
    inode = (worktree.path / "a").stat().st_ino
    worktree.release()
    pool.close()

    again = _switched(make_pool(base).acquire(), base)

    assert (again.path / "a").stat().st_ino == inode
    again.release()


def test_cache_inside_the_repository_is_not_used(base: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the user's checkout build tools would find its settings, so the pool goes elsewhere."""
    elsewhere = base.path.parent / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    base.environment["XDG_CACHE_HOME"] = str(base.path / "cache")

    worktree = make_pool(base).acquire()
    assert worktree.path.is_relative_to(elsewhere)
    worktree.release()

    monkeypatch.setattr("tempfile.tempdir", str(base.path))
    with pytest.raises(WorktreeError) as caught:
        make_pool(base)
    assert caught.value.hint


def test_relative_cache_home_is_ignored(base: Repo) -> None:
    """The XDG specification asks for absolute paths; anything else counts as not stated."""
    base.environment["XDG_CACHE_HOME"] = "cache"

    worktree = make_pool(base).acquire()

    assert worktree.path.is_relative_to(Path(base.environment["HOME"]) / ".cache" / "limmat")
    worktree.release()


def test_stated_directory_is_shared_by_repositories(base: Repo, make_repo: Callable[..., Repo]) -> None:
    """Each repository has a directory of its own below it."""
    other = make_repo("other")
    other.commit("two", c="c\n")
    directory = base.path.parent / "trees"

    worktrees = [_switched(make_pool(repo, directory=directory).acquire(), repo) for repo in (base, other)]

    assert len({worktree.path for worktree in worktrees}) == 2
    assert {worktree.path.parent.parent for worktree in worktrees} == {directory}
    for worktree in worktrees:
        worktree.release()


def test_sixteen_processes_get_sixteen_slots(
    base: Repo, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """All of them at once, from nothing: no worktree is shared, and none fails to be made."""
    children = [start() for _ in range(16)]

    paths = [_path(child) for child in children]

    assert sorted(int(path.name) for path in paths) == list(range(1, 17))
    assert _entries(base) == 16
    assert all((path / "d" / "b").read_text() == "b\n" for path in paths)


def test_slot_of_a_dead_owner_is_busy_while_its_job_lives(
    base: Repo, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """The job holds the lock through the descriptor that it was given."""
    child = start(then="from subprocess import Popen\n" + _SLEEP)
    assert _path(child).name == "1"
    assert child.stdout is not None
    sleeper = int(child.stdout.readline())
    child.kill()
    child.wait()
    pool = make_pool(base)
    second = pool.acquire()
    assert second.slot == 2

    os.kill(sleeper, 9)

    def first_is_free() -> bool:
        acquired = pool.acquire()
        acquired.release()
        return acquired.slot == 1

    wait_until(first_is_free)
    second.release()


def test_released_slot_is_busy_while_its_job_lives(base: Repo) -> None:
    """Giving a slot back does not take it from a process that still runs there."""
    pool = make_pool(base)
    worktree = pool.acquire()
    with subprocess.Popen(["sleep", "100"], pass_fds=[worktree.lock_fd]) as job:
        worktree.release()
        other = pool.acquire()
        assert other.slot == 2
        other.release()
        job.kill()


def test_lock_that_was_deleted_is_taken_again(base: Repo) -> None:
    """Deleting the cache under a running process does not put two of them into one worktree."""
    worktree = _switched(make_pool(base).acquire(), base)
    subprocess.run(["rm", "-r", str(worktree.path.parent)], check=True)

    _switched(worktree, base)

    other = make_pool(base).acquire()
    assert other.slot == 2
    other.release()
    worktree.path.with_name("1.lock").unlink()
    taker = make_pool(base).acquire()
    assert taker.slot == 1
    with pytest.raises(WorktreeError, match="lock was deleted"):
        worktree.switch(commit_of(base, "main"))
    taker.release()
    worktree.release()


def test_only_entries_of_ours_are_removed(base: Repo) -> None:
    """Entries of the user stay, even if their directories are gone; ours without a directory go."""
    base.git("worktree", "add", "-q", "--detach", str(base.path.parent / "mine"))
    base.git("worktree", "add", "-q", "--detach", str(base.path.parent / "gone"))
    subprocess.run(["rm", "-r", str(base.path.parent / "gone")], check=True)
    pool = make_pool(base)
    worktrees = [_switched(pool.acquire(), base) for _ in range(3)]
    for worktree in worktrees:
        worktree.release()
    subprocess.run(["rm", "-r", str(worktrees[1].path), str(worktrees[2].path / ".git")], check=True)

    make_pool(base).acquire().release()

    assert _entries(base) == 3
    assert "prunable" in base.git("worktree", "list", "--porcelain")
    assert (base.path.parent / "mine" / "a").exists()


def test_killed_add_is_made_good(base: Repo) -> None:
    """An entry without our mark, as a killed `git worktree add` leaves it, is made anew."""
    worktree = _switched(make_pool(base).acquire(), base)
    worktree.release()
    (entry,) = (base.path / ".git" / "worktrees").iterdir()
    (entry / "limmat").unlink()
    (entry / "locked").write_text("initializing")
    (entry / "commondir").unlink()

    again = _switched(make_pool(base).acquire(), base)

    assert again.path == worktree.path
    assert _entries(base) == 1
    again.release()


def test_foreign_worktree_in_our_place_is_replaced(base: Repo, make_repo: Callable[..., Repo]) -> None:
    """A directory that belongs to another repository is not mistaken for ours."""
    worktree = _switched(make_pool(base).acquire(), base)
    worktree.release()
    subprocess.run(["rm", "-r", str(worktree.path)], check=True)
    other = make_repo("other")
    other.commit("two", c="c\n")
    other.git("worktree", "add", "-q", "--detach", str(worktree.path))

    again = _switched(make_pool(base).acquire(), base)

    assert again.path == worktree.path
    again.release()


def test_moved_repository_makes_new_worktrees(base: Repo) -> None:
    """A moved repository has another pool, and forgets the entries of the old one."""
    worktree = _switched(make_pool(base).acquire(), base)
    worktree.release()
    moved = Repo(base.path.rename(base.path.with_name("moved")), base.environment)

    again = _switched(make_pool(moved).acquire(), moved)

    assert again.path != worktree.path
    assert _entries(moved) == 1
    again.release()


def test_reboot_makes_every_worktree_doubtful(base: Repo) -> None:
    """After a power failure a file's content may be lost although all its times are right."""
    worktree = _switched(make_pool(base).acquire(), base)
    worktree.release()
    file = worktree.path / "a"
    where = Path(base.git("-C", str(worktree.path), "rev-parse", "--git-path", "index"))
    file.write_text("lost\n")
    index = parse_index(where.read_bytes())
    assert index is not None
    blob = bytes.fromhex(base.git("rev-parse", "main:a"))
    index.put(b"a", make_entry(b"a", 0o100644, blob, file.stat()))
    where.write_bytes(index.serialize())
    os.utime(where, (time.time() + 60, time.time() + 60))
    worktree.path.with_name("1.lock").write_text("another boot\n")

    again = _switched(make_pool(base).acquire(), base)

    assert (again.path / "a").read_text() == "a\n"
    again.release()


def test_temporary_worktrees_are_gone_after_close(base: Repo) -> None:
    """With `temporary` they are made in the stated directory under our process id, and removed."""
    directory = base.path.parent / "tmp"
    directory.mkdir()
    pool = make_pool(base, directory=directory, temporary=True)
    first, second = _switched(pool.acquire(), base), _switched(pool.acquire(), base)
    assert first.path == directory / f"test-{os.getpid()}-1"
    second.release()
    assert pool.acquire().path == second.path

    pool.close()

    assert list(directory.iterdir()) == []
    assert _entries(base) == 0


def test_temporary_leftovers_of_the_dead_are_swept(
    base: Repo, make_repo: Callable[..., Repo], start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """Those of live processes, of other repositories and of nobody stay."""
    directory = base.path.parent / "tmp"
    directory.mkdir()
    other = make_repo("other")
    other.commit("two", c="c\n")
    others = make_pool(other, directory=directory, temporary=True)
    foreign = _switched(others.acquire(), other)
    (directory / "test-1-1").mkdir()
    (directory / "unrelated.lock").touch()
    living, dead = start(directory), start(directory)
    kept, gone = _path(living), _path(dead)
    dead.kill()
    dead.wait()
    assert gone.exists()

    pool = make_pool(base, directory=directory, temporary=True)
    mine = _switched(pool.acquire(), base)

    assert not gone.exists()
    assert not gone.with_name(gone.name + ".lock").exists()
    assert kept.exists()
    assert foreign.path.exists()
    assert (directory / "test-1-1").exists()
    assert (directory / "unrelated.lock").exists()
    assert _entries(base) == 2
    pool.close()
    others.close()
    assert not mine.path.exists()


def test_missing_temporary_directory_is_an_error(base: Repo) -> None:
    """A directory that the user named has to exist."""
    pool = make_pool(base, directory=base.path.parent / "nowhere", temporary=True)

    with pytest.raises(WorktreeError, match="no such directory") as caught:
        pool.acquire()

    assert caught.value.hint


def test_unusable_directory_is_an_error(base: Repo) -> None:
    """What cannot be a directory is reported with its name and what to do."""
    base.environment["XDG_CACHE_HOME"] = "/dev/null"

    with pytest.raises(WorktreeError, match="/dev/null") as caught:
        make_pool(base).acquire()

    assert caught.value.hint


def test_full_disk_keeps_the_dirty_mark(base: Repo) -> None:
    """A switch that runs out of space fails, and the next one starts from scratch."""
    script = """
import os, resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import Repo
from worktrees import commit_of, make_pool
from gitlimmat.errors import WorktreeError
repo = Repo(Path(sys.argv[2]), dict(os.environ))
worktree = make_pool(repo).acquire()
worktree.switch(commit_of(repo, "main~1"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    worktree.switch(commit_of(repo, "main"))
except WorktreeError as error:
    print(error.hint)
"""
    base.commit("big", big="x" * 9999)

    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(base.path)],
        env=base.environment,
        capture_output=True,
        check=False,
    )

    assert b"space left" in done.stdout, done.stderr
    worktree = make_pool(base).acquire()
    assert worktree.path.with_name("1.dirty").exists()
    _switched(worktree, base)
    assert not worktree.path.with_name("1.dirty").exists()
    worktree.release()


def test_threads_switch_different_worktrees_at_once(base: Repo) -> None:
    """Each worktree has a libgit2 handle of its own."""
    from concurrent.futures import ThreadPoolExecutor

    for number in range(6):
        base.commit(str(number), **{f"d/{number}": f"{number}\n", "a": f"{number}\n"})
    commits = [commit_of(base, f"main~{back}") for back in range(6)]
    pool = make_pool(base)

    def work(seed: int) -> None:
        worktree = pool.acquire()
        for round in range(12):
            worktree.switch(commits[(seed + round) % 6])
        assert_exact(worktree, commits[(seed + 11) % 6])
        worktree.release()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
