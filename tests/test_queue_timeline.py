"""Timelines: nothing is lost, whoever is killed or in the way; what is damaged is told apart."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Repo
from waiting import wait_until

from gitlimmat.errors import GitError, RefMovedError, StoreError
from gitlimmat.git.refs import RefUpdate
from gitlimmat.git.repository import find_repository
from gitlimmat.queue.events import (
    QUEUE,
    ChangeEvent,
    Commented,
    Opened,
    Paused,
    Prioritized,
    QueueEvent,
    TreeClosed,
    Unknown,
)
from gitlimmat.store import timeline
from gitlimmat.store.timeline import TREE_REF, Addition, Timelines, change_ref, head_ref, run_ref

MAIN = "refs/heads/main"
WRITER = """
import os, sys, time
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import pygit2
from gitlimmat.errors import RefMovedError
from gitlimmat.git.repository import find_repository
from gitlimmat.queue.events import Commented, Opened
from gitlimmat.store.timeline import Addition, Timelines
repo = Path(sys.argv[3])

def add(timelines, change, text):
    while True:
        tip = timelines.load().tips[change]
        said = Commented(actor="w", at=1.0, text=text)
        try:
            timelines.append([Addition(change=change, events=(said,), expected=tip)], reason="t")
            return
        except RefMovedError:
            pass

def write(name, changes, count):
    told = os.open(repo / f"told-{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    timelines = Timelines(find_repository(repo))
    for number in range(count):
        if changes:
            add(timelines, changes[number % len(changes)], f"{name} {number}")
        else:
            said = dict(target="refs/heads/main", head="a" * 40, title=f"{name} {number}")
            timelines.open_change(lambda n: (Opened(actor="w", at=1.0, **said),), lambda n: ())
        os.write(told, b"x")

for line in sys.stdin:
    name, count, *changes = line.split()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        print(os.getpid(), flush=True)
        write(name, [int(each) for each in changes], int(count))
        os._exit(0)
    if len(sys.argv) > 4:
        os.waitpid(pid, 0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


class Writers:
    """A process that forks writers: each adds comments one by one and tells of each that is stored."""

    def __init__(self, repo: Repo, *options: str) -> None:
        here = Path(__file__).parent
        self.repo = repo
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(here), str(here.parent), str(repo.path), *options],
            env={variable: value for variable, value in os.environ.items() if variable != "PYTHONPATH"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, name: str, count: int, *changes: int) -> int:
        """Start a writer on some changes, or one that opens changes; return its process id."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join([name, str(count), *map(str, changes)]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def told(self, name: str) -> int:
        """Return how many comments a writer has told to be stored."""
        path = self.repo.path / f"told-{name}"
        return path.stat().st_size if path.exists() else 0

    def end(self) -> None:
        """Wait for all writers."""
        self.process.communicate()
        assert self.process.returncode == 0


@contextlib.contextmanager
def writers(repo: Repo, *options: str) -> Iterator[Writers]:
    """Writers that are waited for."""
    found = Writers(repo, *options)
    yield found
    found.end()


def opened(title: str = "one", at: float = 1.0) -> Opened:
    """The first event of a change."""
    return Opened(actor="alice", at=at, target=MAIN, head="a" * 40, title=title)


def said(text: str, at: float = 2.0) -> Commented:
    """A comment."""
    return Commented(actor="bob", at=at, text=text)


def queue_of(repo: Repo) -> Timelines:
    """Open the timelines anew, as another process would."""
    return Timelines(find_repository(repo.path))


def make(timelines: Timelines, count: int = 1) -> None:
    """Open changes."""
    for number in range(count):
        timelines.open_change(lambda n, number=number: (opened(f"title {number}"),), lambda n: ())  # type: ignore[misc]


def add(timelines: Timelines, change: int | None, *events: ChangeEvent | QueueEvent) -> None:
    """Add events to what is there now."""
    loaded = timelines.load()
    tip = loaded.queue_tip if change is None else loaded.tips.get(change)
    timelines.append([Addition(change=change, events=events, expected=tip)], reason="test")


def texts(timelines: Timelines, change: int) -> list[str]:
    """What was said about a change."""
    return [comment.text for comment in timelines.load().changes[change].comments]


def test_a_timeline_is_readable_with_plain_git(repo: Repo) -> None:
    """A line for people, then one of JSON for each event; author and date are those of what happened."""
    timelines = queue_of(repo)
    number = timelines.open_change(lambda n: (opened(f"change {n}"),), lambda n: ())
    add(timelines, number, said("well"), Prioritized(actor="bob", at=3.0, priority=5))

    shown = repo.git("log", "--format=%an %ad %T%n%B", "--date=raw", change_ref(1))
    assert shown == (
        "bob 2 +0000 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
        "bob said: well; priority 5 set by bob\n\n"
        '{"actor":"bob","at":2.0,"text":"well","type":"commented"}\n'
        '{"actor":"bob","at":3.0,"priority":5,"type":"prioritized"}\n\n'
        "alice 1 +0000 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
        "opened for main by alice\n\n"
        f'{{"actor":"alice","at":1.0,"head":"{"a" * 40}","target":"refs/heads/main",'
        '"title":"change 1","type":"opened"}\n'
    )
    assert repo.git("fsck", "--strict", "--full") == ""
    repo.git("gc", "-q", "--prune=now")
    assert repo.git("fsck", "--strict", "--full") == ""
    assert [entry.subject for entry in queue_of(repo).entries(1)] == [
        "opened for main by alice",
        "bob said: well; priority 5 set by bob",
    ]


def test_the_queue_has_a_timeline_of_its_own(repo: Repo) -> None:
    """What is true of all changes is not in that of any."""
    add(queue_of(repo), None, TreeClosed(actor="bob", at=1.0, below=5))
    add(queue_of(repo), None, Paused(actor="bob", at=2.0))
    loaded = queue_of(repo).load()
    assert loaded.queue.paused is not None
    assert loaded.queue_tip == repo.git("rev-parse", TREE_REF)
    assert len(queue_of(repo).entries(None)) == 2
    assert loaded.changes == {}


@pytest.mark.parametrize("actor", ["", "a <b>\nc", "\udce9", "limmat", "."])
def test_any_name_makes_a_sound_commit(repo: Repo, actor: str) -> None:
    """What git does not allow in a name is left out of the commit, not out of the event."""
    make(timelines := queue_of(repo))
    add(timelines, 1, Commented(actor=actor, at=-5.0, text="x\ny\0\udce9"))
    assert repo.git("fsck", "--strict", "--full") == ""
    (comment,) = queue_of(repo).load().changes[1].comments
    assert (comment.actor, comment.text) == (actor.replace("\udce9", "\ufffd"), "x\ny\0\ufffd")


def test_adding_to_what_has_changed_meanwhile_writes_nothing(repo: Repo) -> None:
    """All refs of a transaction are as expected, or none of them moves."""
    make(timelines := queue_of(repo), 2)
    base = repo.commit("base")
    before = timelines.load()
    add(queue_of(repo), 2, said("first"))

    additions = [Addition(change=n, events=(said("late"),), expected=before.tips[n]) for n in (1, 2)]
    with pytest.raises(RefMovedError, match="changes/2/meta"):
        timelines.append(additions, refs=[RefUpdate(run_ref("r"), base, None)], reason="test")

    assert texts(queue_of(repo), 1) == []
    assert texts(queue_of(repo), 2) == ["first"]
    assert repo.git("for-each-ref", run_ref("r")) == ""
    assert timelines.load().tips[1] == before.tips[1]


def test_refs_and_events_come_together(repo: Repo) -> None:
    """A head and its change are there at once."""
    base = repo.commit("base")
    number = queue_of(repo).open_change(
        lambda n: (opened(),), lambda n: [RefUpdate(head_ref(n, 1), base, None)]
    )
    assert repo.git("rev-parse", head_ref(number, 1)) == base


def test_an_event_that_cannot_be_stored_leaves_nothing(repo: Repo) -> None:
    """A time that is none is refused with the name of the timeline."""
    make(timelines := queue_of(repo))
    with pytest.raises(StoreError, match="changes/1/meta"):
        add(timelines, 1, said("x", at=float("nan")))
    assert texts(timelines, 1) == []


def test_numbers_go_on_after_a_change_that_is_half_there(repo: Repo) -> None:
    """A killed git may leave a head without its change; its number is not used again."""
    make(queue_of(repo), 2)
    base = repo.commit("base")
    repo.git("update-ref", head_ref(3, 1), base)
    number = queue_of(repo).open_change(
        lambda n: (opened(),), lambda n: [RefUpdate(head_ref(n, 1), base, None)]
    )
    assert number == 4


def test_processes_that_open_changes_at_once_get_different_numbers(repo: Repo) -> None:
    """Eight of them: every change is there, and no number is left out."""
    with writers(repo) as crowd:
        for number in range(8):
            crowd.start(f"w{number}", 6)
    changes = queue_of(repo).load().changes
    assert sorted(changes) == list(range(1, 49))
    assert {change.title for change in changes.values()} == {f"w{n} {i}" for n in range(8) for i in range(6)}


@pytest.mark.parametrize("changes", [(1,), (1, 2, 3, 4, 5)], ids=["one", "many"])
def test_processes_that_add_at_once_lose_nothing(repo: Repo, changes: tuple[int, ...]) -> None:
    """Eight writers on the same timelines: every event is there once, each writer's in its order."""
    make(queue_of(repo), 5)
    with writers(repo) as crowd:
        for number in range(8):
            crowd.start(f"w{number}", 10, *changes)
    found = [text.split() for change in changes for text in texts(queue_of(repo), change)]
    assert sorted(map(tuple, found)) == sorted((f"w{n}", str(i)) for n in range(8) for i in range(10))
    for change in changes:
        for number in range(8):
            mine = [
                int(text.split()[1])
                for text in texts(queue_of(repo), change)
                if text.startswith(f"w{number} ")
            ]
            assert mine == sorted(mine)
    repo.git("fsck", "--strict", "--full")


@pytest.mark.parametrize("group", [False, True])
def test_a_killed_writer_loses_nothing_it_reported(repo: Repo, group: bool) -> None:
    """Killed at any moment, alone or with its git: what it said is stored is, once, and the next can add."""
    make(queue_of(repo), 3)
    chance = random.Random(group)
    with writers(repo, "one at a time") as crowd:
        for number in range(12):
            name, wanted = f"w{number}", chance.randrange(4)
            writer = crowd.start(name, 1000, 1, 2, 3)
            wait_until(lambda name=name, wanted=wanted: crowd.told(name) >= wanted)  # type: ignore[misc]
            kill = os.killpg if group else os.kill
            killer = threading.Timer(chance.random() * 0.02, kill, [writer, signal.SIGKILL])
            killer.start()
            killer.join()
            for lock in (repo.path / ".git" / "refs" / "limmat").rglob("*.lock"):
                os.utime(lock, (1, 1))
            for change in (1, 2, 3):
                while True:  # the git of a writer that was killed alone may have been faster
                    with contextlib.suppress(RefMovedError):
                        add(queue_of(repo), change, said(f"next {number}"))
                        break
    found = [text for change in (1, 2, 3) for text in texts(queue_of(repo), change)]
    for number in range(12):
        mine = [int(text.split()[1]) for text in found if text.startswith(f"w{number} ")]
        assert sorted(mine) == list(range(len(mine)))
        assert len(mine) >= crowd.told(f"w{number}")
        assert found.count(f"next {number}") == 3
    assert "missing" not in repo.git("fsck", "--strict", "--full")


@pytest.mark.parametrize("options", [(), ("--prune=now",)])
def test_adding_works_while_git_packs(repo: Repo, options: tuple[str, ...]) -> None:
    """`git gc` and `pack-refs` beside a writer neither make it fail nor lose what it has added."""
    repo.commit("base")
    make(queue_of(repo), 2)
    reader = queue_of(repo)
    with writers(repo) as crowd:
        crowd.start("w", 40, 1, 2)
        while crowd.told("w") < 40:
            repo.git("pack-refs", "--all", check=False)  # may find the lock of packed-refs taken
            repo.git("gc", "-q", *options, check=False)  # may find that another program has removed a pack
            assert reader.load().damaged == {}
    assert len(texts(queue_of(repo), 1)) == len(texts(queue_of(repo), 2)) == 20
    assert texts(reader, 1) == texts(queue_of(repo), 1)
    repo.git("fsck", "--strict", "--full", "--connectivity-only")
    assert list((repo.path / ".git" / "objects" / "pack").glob("*.keep")) == []


def test_a_young_lock_of_a_branch_is_waited_for_and_an_old_one_removed(repo: Repo) -> None:
    """A push may hold a branch while its hooks are at work; after a minute nobody does."""
    make(timelines := queue_of(repo))
    base = repo.commit("base")
    lock = repo.path / ".git" / "refs" / "heads" / "new.lock"
    lock.touch()
    tip = timelines.load().tips[1]
    addition = Addition(change=1, events=(said("x"),), expected=tip)
    done = threading.Event()

    def append() -> None:
        timelines.append([addition], refs=[RefUpdate("refs/heads/new", base, None)], reason="test")
        done.set()

    thread = threading.Thread(target=append)
    thread.start()
    wait_until(lambda: (repo.path / ".git" / "limmat" / "update.lock").exists())
    assert not done.is_set()
    os.utime(lock, (1, 1))
    thread.join()
    assert repo.git("rev-parse", "new") == base
    assert texts(queue_of(repo), 1) == ["x"]


def kept_file(repo: Repo) -> Path:
    """Where folded state is kept."""
    return repo.path / ".git" / "limmat" / "queue" / "folded"


def spoil(repo: Repo, oid: str) -> None:
    """Remove a loose object."""
    (repo.path / ".git" / "objects" / oid[:2] / oid[2:]).unlink()


def test_looking_writes_nothing(repo: Repo) -> None:
    """A repository without a queue has an empty one."""
    before = sorted(map(str, repo.path.rglob("*")))
    loaded = queue_of(repo).load()
    assert (dict(loaded.changes), loaded.queue_tip, loaded.damaged) == ({}, None, {})
    assert queue_of(repo).entries(7) == ()
    assert sorted(map(str, repo.path.rglob("*"))) == before


@pytest.mark.parametrize("kept", ["kept", "not kept"])
def test_what_is_new_is_all_that_is_read(repo: Repo, kept: str) -> None:
    """Folding goes on where it was, here or in the process before: the rest may even be gone."""
    make(timelines := queue_of(repo), 2)
    add(timelines, None, Paused(actor="bob", at=1.0))
    before = timelines.load()
    if kept == "kept":
        timelines.keep()
        timelines = queue_of(repo)
    add(queue_of(repo), 1, said("new"))
    for oid in before.tips.values():
        spoil(repo, oid)
    loaded = timelines.load()
    assert loaded.damaged == {}
    assert [comment.text for comment in loaded.changes[1].comments] == ["new"]
    assert loaded.changes[2] == before.changes[2]
    assert loaded.queue == before.queue
    assert set(queue_of(repo).load(use_kept=False).damaged) == {1, 2}


@pytest.mark.parametrize("how", ["cut", "flip", "empty", "version", "directory", "words"])
def test_kept_state_that_is_not_right_is_not_used(repo: Repo, how: str) -> None:
    """It is only there to save time."""
    make(timelines := queue_of(repo), 3)
    wanted = dict(timelines.load().changes)
    timelines.keep()
    path = kept_file(repo)
    data = path.read_bytes()
    spoiled = {
        "cut": data[:-1],
        "flip": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        "empty": b"",
        "version": re.sub(rb"folded (\d+) \d+ ", rb"folded \1 99 ", data, count=1),
        "directory": b"",
        "words": b"limmat queue folded 2 1 0000000000000000\n",
    }[how]
    path.write_bytes(spoiled)
    if how == "directory":
        path.unlink()
        path.mkdir()
    again = queue_of(repo)
    assert dict(again.load().changes) == wanted
    again.keep()
    assert dict(queue_of(repo).load().changes) == wanted


def test_much_that_is_new_is_kept_for_others(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds events after reading many keeps what they amount to; others need not read them again."""
    monkeypatch.setattr(timeline, "_KEEP_AFTER", 5)
    make(timelines := queue_of(repo), 5)
    assert not kept_file(repo).exists()
    add(timelines, 1, said("x"))
    assert kept_file(repo).exists()
    assert kept_file(repo).stat().st_mode & 0o777 == 0o666 & kept_file(repo).parent.stat().st_mode
    assert sorted(path.name for path in kept_file(repo).parent.iterdir()) == ["folded"]
    assert texts(queue_of(repo), 1) == ["x"]


def test_a_timeline_that_was_rewritten_is_folded_anew(repo: Repo) -> None:
    """Only who has the right to everything can do that; then what there is now counts."""
    make(timelines := queue_of(repo))
    add(timelines, 1, said("one"))
    other = queue_of(repo)
    other.load()
    repo.git("update-ref", change_ref(1), repo.git("rev-parse", f"{change_ref(1)}^"))
    assert texts(other, 1) == []
    add(other, 1, said("two"))
    assert texts(timelines, 1) == ["two"]


@pytest.mark.parametrize("how", ["missing", "cut", "blob", "files", "garbage", "empty", "symbolic"])
def test_a_damaged_timeline_is_told_apart(repo: Repo, how: str) -> None:
    """The others go on; whoever wants to add to it is told its name and what to do."""
    make(timelines := queue_of(repo), 3)
    add(timelines, 2, said("one"))
    tip = repo.git("rev-parse", change_ref(2))
    file = repo.path / ".git" / change_ref(2)
    if how == "missing":
        spoil(repo, repo.git("rev-parse", f"{tip}^"))
    elif how == "cut":
        path = repo.path / ".git" / "objects" / tip[:2] / tip[2:]
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:20])
    elif how == "blob":
        file.write_text(repo.git("hash-object", "-w", "--stdin", stdin="x") + "\n")
    elif how == "files":
        file.write_text(repo.commit("one of the project", file="1\n") + "\n")
    else:
        file.write_text({"garbage": "x" * 41, "empty": "", "symbolic": "ref: refs/heads/main\n"}[how])

    fresh = queue_of(repo)
    loaded = fresh.load()
    assert sorted(loaded.changes) == [1, 3]
    assert list(loaded.damaged) == [2]
    assert change_ref(2) in loaded.damaged[2]
    with pytest.raises(StoreError, match="changes/2/meta") as caught:
        fresh.entries(2)
    assert "git update-ref -d" in str(caught.value.hint)
    add(fresh, 3, said("on"))
    assert fresh.open_change(lambda n: (opened(),), lambda n: ()) == 4


def test_a_tip_that_is_gone_is_not_added_to(repo: Repo) -> None:
    """What was folded before may still be shown, but nothing is built on a commit that is not there."""
    make(timelines := queue_of(repo))
    tip = timelines.load().tips[1]
    spoil(repo, tip)
    with pytest.raises(StoreError, match="is missing"):
        timelines.append([Addition(change=1, events=(said("x"),), expected=tip)], reason="test")


@pytest.mark.parametrize("how", ["missing", "replaced"])
def test_a_queue_whose_own_timeline_is_damaged_is_paused(repo: Repo, how: str) -> None:
    """Nobody knows whether the tree is closed: nothing is to land."""
    add(queue_of(repo), None, TreeClosed(actor="bob", at=1.0, below=5))
    if how == "missing":
        spoil(repo, repo.git("rev-parse", TREE_REF))
    else:
        repo.git("update-ref", TREE_REF, repo.commit("one of the project", file="1\n"))
    loaded = queue_of(repo).load()
    assert loaded.queue.paused is not None
    assert TREE_REF in loaded.queue.paused.reason
    assert loaded.queue.paused.by == QUEUE
    with pytest.raises(LIMMAT_ERRORS):
        add(queue_of(repo), None, Paused(actor="bob", at=2.0))


LIMMAT_ERRORS = (GitError, RefMovedError, StoreError)


def test_text_that_is_no_event_is_counted(repo: Repo) -> None:
    """Someone with every right commits by hand, or a later version did: kept, shown, and without effect."""
    make(timelines := queue_of(repo))
    tip = repo.git("rev-parse", change_ref(1))
    tree = repo.git("mktree", stdin="")
    odd = repo.git("commit-tree", "-p", tip, "-m", 'odd\n\n{"type":"of-tomorrow"}\nwords', tree)
    repo.git("update-ref", change_ref(1), odd)
    change = timelines.load().changes[1]
    assert (change.events, change.ignored) == (3, 2)
    assert timelines.entries(1)[-1].events == (Unknown(raw=b'{"type":"of-tomorrow"}'), Unknown(raw=b"words"))
    assert timelines.entries(1, since=tip)[0].oid == odd


def test_refs_of_other_shapes_are_no_changes(repo: Repo) -> None:
    """Only numbers as git limmat writes them count."""
    make(timelines := queue_of(repo))
    tip = repo.git("rev-parse", change_ref(1))
    for name in ("x", "01", "0", "\u0661", "1x"):
        repo.git("update-ref", f"refs/limmat/queue/changes/{name}/meta", tip)
    assert list(timelines.load().changes) == [1]
    repo.git("pack-refs", "--all")
    assert list(timelines.load().changes) == [1]


def test_tidying_packs_refs_when_there_are_many(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at a thousand files costs more than one at a file of a thousand lines."""
    monkeypatch.setattr(timeline, "_MANY_LOOSE", 3)
    make(timelines := queue_of(repo), 5)
    wanted = dict(timelines.load().changes)
    timelines.tidy()
    assert not (repo.path / ".git" / change_ref(1)).exists()
    assert dict(timelines.load().changes) == wanted == dict(queue_of(repo).load().changes)
    add(timelines, 2, said("x"))
    assert texts(timelines, 2) == texts(queue_of(repo), 2) == ["x"]


def test_a_replaced_repository_is_read_anew(repo: Repo, tmp_path: Path) -> None:
    """What was remembered is about commits, and these are not there any more."""
    make(timelines := queue_of(repo), 3)
    timelines.load()
    repo.git("pack-refs", "--all")
    shutil.rmtree(repo.path / ".git" / "refs" / "limmat", ignore_errors=True)
    repo.git("update-ref", "-d", change_ref(2))
    assert sorted(timelines.load().changes) == [1, 3]


def test_a_copy_is_not_added_to(repo: Repo) -> None:
    """What was fetched is another repository's."""
    copy = Timelines(find_repository(repo.path), below="refs/limmat/remotes/origin/queue")
    with pytest.raises(StoreError, match="is a copy"):
        copy.open_change(lambda n: (opened(),), lambda n: ())
