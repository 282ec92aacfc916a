"""Crashes and crowds: what was reported as stored is stored, whoever is killed or in the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import Repo
from stored import definition, oid, open_store, record
from waiting import wait_until

from gitlimmat.store.artifacts import list_files
from gitlimmat.store.store import RESULTS_REF

FORGE = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from conftest import Repo
from stored import open_store, oid, record
from gitlimmat.git.repository import open_libgit2
repo = Path(sys.argv[3])
open_libgit2(repo / ".git").free()

def write(name, batches, size):
    kept = repo / f"kept-{name}"
    kept.mkdir()
    store = open_store(Repo(repo, {}))
    told = os.open(repo / f"told-{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for batch in range(batches):
        (kept / "file").write_text(f"{name} {batch}")
        (kept / "big").write_text(f"{name} {batch} " * (1 << 17))
        records = [
            record(oid(number), started=batch + 0.25, outputs={"output": kept / "file"}, artifacts=kept)
            for number in (name, *range(size))
        ]
        store.publish(records)
        os.write(told, b"x")

for line in sys.stdin:
    name, batches, size = line.split()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        print(os.getpid(), flush=True)
        write(name, int(batches), int(size))
        os._exit(0)
    if len(sys.argv) > 4:
        os.waitpid(pid, 0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


class Forge:
    """A process that forks writers: each stores batches of results and tells of each that is stored."""

    def __init__(self, repo: Repo, *options: str) -> None:
        here = Path(__file__).parent
        self.repo = repo
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORGE, str(here), str(here.parent), str(repo.path), *options],
            env={variable: value for variable, value in os.environ.items() if variable != "PYTHONPATH"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, name: str, batches: int, size: int) -> int:
        """Start a writer on subject `name` and `size` common ones; return its process id."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{name} {batches} {size}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def told(self, name: str) -> int:
        """Return how many batches a writer has told to be stored."""
        path = self.repo.path / f"told-{name}"
        return path.stat().st_size if path.exists() else 0

    def end(self) -> None:
        """Wait for all writers."""
        self.process.communicate()
        assert self.process.returncode == 0


def test_processes_that_store_at_once_lose_nothing(repo: Repo) -> None:
    """Eight writers, on subjects of their own and on common ones: every line is there in the end."""
    forge = Forge(repo)
    for number in range(8):
        forge.start(f"w{number}", 5, 3)
    forge.end()

    view = open_store(repo).view()
    for number in range(8):
        assert forge.told(f"w{number}") == 5
        assert [result.started for result in view.history(oid(f"w{number}"))] == [
            batch + 0.25 for batch in range(5)
        ]
    for number in range(3):
        assert len(view.history(oid(number))) == 5 * 8
    repo.git("fsck", "--strict", "--full")
    assert open_store(repo).warnings == []


@pytest.mark.parametrize("size", [0, 8])
@pytest.mark.parametrize("group", [False, True])
def test_a_killed_writer_loses_nothing_it_reported(repo: Repo, size: int, group: bool) -> None:
    """Killed at any moment, alone or with its git: what it said is stored is, and the next can store.

    The lock of a ref that a killed git leaves is the only thing in the way, and is removed.
    """
    chance = random.Random(size * 2 + group)
    forge = Forge(repo, "one at a time")
    for number in range(10):
        name, wanted = f"w{number}", chance.randrange(3)
        writer = forge.start(name, 1000, size)
        wait_until(lambda name=name, wanted=wanted: forge.told(name) >= wanted)  # type: ignore[misc]
        killer = threading.Timer(
            chance.random() * 0.02, os.killpg if group else os.kill, [writer, signal.SIGKILL]
        )
        killer.start()
        killer.join()
        lock = repo.path / ".git" / f"{RESULTS_REF}.lock"
        if group and lock.exists():
            os.utime(lock, (1, 1))
        open_store(repo).publish([record(oid("next"), started=number)])
    forge.end()

    store = open_store(repo)
    for number in range(10):
        history = store.view().history(oid(f"w{number}"))
        assert len(history) >= forge.told(f"w{number}")
        if history:
            known = store.view().known(oid(f"w{number}"), definition())
            assert known is not None
            assert known.artifacts is not None
            assert list_files(store.database, known.artifacts.oid) == ["big", "file"]
    assert len(store.view().history(oid("next"))) == 10
    assert store.warnings == []
    assert "missing" not in repo.git("fsck", "--strict", "--full")


def test_an_old_lock_of_a_dead_git_is_removed(repo: Repo) -> None:
    """Nobody of ours can be at the ref while we hold our lock, so an old lock file is in nobody's hands."""
    lock = repo.path / ".git" / f"{RESULTS_REF}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    os.utime(lock, (1, 1))

    open_store(repo).publish([record(oid("a"))])

    assert not lock.exists()
    assert open_store(repo).view().known(oid("a"), definition()) is not None


def test_a_fresh_lock_is_waited_for(repo: Repo) -> None:
    """Another program that moves the ref right now is given time to finish."""
    store = open_store(repo)
    lock = repo.path / ".git" / f"{RESULTS_REF}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    done = threading.Event()

    def publish() -> None:
        store.publish([record(oid("a"))])
        done.set()

    thread = threading.Thread(target=publish)
    thread.start()
    wait_until(lambda: (store.state_dir / "update.lock").exists())
    assert not done.is_set()
    lock.unlink()
    thread.join()
    assert done.is_set()


@pytest.mark.parametrize("options", [(), ("--prune=now",)])
def test_storing_works_while_git_packs(repo: Repo, options: tuple[str, ...]) -> None:
    """`git gc` and `pack-refs` beside a writer neither make it fail nor lose what it has stored."""
    repo.commit("base")
    forge = Forge(repo)
    forge.start("w", 30, 6)
    while forge.told("w") < 30:
        repo.git("pack-refs", "--all")
        repo.git("gc", "-q", *options, check=False)  # may find that another program has removed a pack
    forge.end()
    assert len(open_store(repo).view().history(oid("w"))) == 30
    repo.git("fsck", "--strict", "--full", "--connectivity-only")
    assert list((repo.path / ".git" / "objects" / "pack").glob("*.keep")) == []
