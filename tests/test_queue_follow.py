"""A follower has what the queue has, or what it had before: never a part of it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import msgspec
import pytest
from conftest import Repo

from gitlimmat.git.repository import find_repository
from gitlimmat.queue.eventlines import encode_events
from gitlimmat.queue.events import (
    Approved,
    ChangeEvent,
    Commented,
    Opened,
    Paused,
    QueueEvent,
)
from gitlimmat.store.folded import Folded, Kept, keep_folded
from gitlimmat.store.timeline import OWN, Addition, Timelines, change_ref

MAIN = "refs/heads/main"
HEAD = "a" * 40


@pytest.fixture
def server(repo: Repo, tmp_path: Path) -> Repo:
    """A bare repository that `repo` has as its remote `origin`."""
    path = tmp_path / "server.git"
    subprocess.run(["git", "init", "-q", "--bare", path], env=repo.environment, check=True)
    repo.git("remote", "add", "origin", str(path))
    return Repo(path, repo.environment)


def fill(server: Repo, count: int) -> None:
    """Make changes 1 to `count`, each with an approval, faster than one by one."""
    stream = bytearray()
    for number in range(1, count + 1):
        opened = Opened(actor="ann", at=1.0, target=MAIN, head=HEAD, title=f"title {number}")
        approved = Approved(actor="bob", at=2.0, head=HEAD, by="bob")
        for event in (opened, approved):
            message = b"subject\n\n" + encode_events([event])
            stream += b"commit %s\ncommitter a <a> 1 +0000\n" % change_ref(number).encode()
            stream += b"data %d\n%s\n" % (len(message), message)
    server.git("fast-import", "--quiet", stdin=stream.decode())
    server.git("gc", "-q")


def add(server: Repo, change: int | None, *events: ChangeEvent | QueueEvent) -> None:
    """Add events to a timeline of the server."""
    timelines = Timelines(find_repository(server.path))
    loaded = timelines.load()
    tip = loaded.queue_tip if change is None else loaded.tips.get(change)
    timelines.append([Addition(change=change, events=events, expected=tip)], reason="test")


def said(text: str) -> Commented:
    """A comment."""
    return Commented(actor="bob", at=3.0, text=text)


def refs(repo: Repo) -> str:
    """All refs of the copy."""
    return repo.git("for-each-ref", "refs/limmat/remotes/")


def failing(repo: Repo, *arguments: str, status: int = 128) -> str:
    """What a command says on stderr when it fails."""
    done = repo.program(*arguments)
    assert done.returncode == status, done
    assert b"Traceback" not in done.stderr
    return done.stderr.decode()


def test_a_follower_lists_what_is_open_and_then_tells_what_is_new(repo: Repo, server: Repo) -> None:
    """The first look is a list, the next ones are news; where there are none nothing is printed."""
    fill(server, 2)
    assert repo.limmat("queue", "follow", "--once") == (
        "#1 approved  title 1\n#2 approved  title 2\n2 changes, 2 of them open\n"
    )
    assert repo.limmat("queue", "follow", "--once") == ""
    add(server, 2, said("well\n\x1b[31mred"))
    add(server, None, Paused(actor="ann", at=4.0, reason="lunch"))
    assert repo.limmat("queue", "follow", "--once", "origin", TZ="UTC").splitlines() == [
        "1970-01-01 00:00:03 #2 bob said: well [31mred",
        "1970-01-01 00:00:04 queue paused by ann: lunch",
    ]
    assert repo.git("for-each-ref", "refs/limmat/queue") == ""


@pytest.mark.parametrize("count", [101, 250])
def test_every_change_is_followed_however_many_there_are(repo: Repo, server: Repo, count: int) -> None:
    """No page ends the list."""
    fill(server, count)
    out = repo.limmat("queue", "follow", "--once").splitlines()
    assert out[0] == "#1 approved  title 1"
    assert out[-2:] == [
        f"#{count} approved  title {count}",
        f"{count} changes, {count} of them open",
    ]
    assert len(out) == count + 1
    assert repo.limmat("queue", "diff", "origin", str(server.path)) == ""
    add(server, count, said("new"))
    assert f"#{count} bob said: new" in repo.limmat("queue", "follow", "--once")
    assert repo.limmat("queue", "diff", "origin", str(server.path)) == ""


def test_an_error_in_the_middle_leaves_what_was_there_before(repo: Repo, server: Repo) -> None:
    """The 150th of 250 cannot be sent: all or nothing comes, and all once it can."""
    fill(server, 250)
    repo.limmat("queue", "follow", "--once")
    before = refs(repo)
    for number in (1, 150, 250):
        add(server, number, said("new"))
    tip = server.git("rev-parse", change_ref(150))
    lost = server.path / "objects" / tip[:2] / tip[2:]
    kept = lost.read_bytes()
    lost.chmod(0o644)
    lost.unlink()

    said_so = failing(repo, "queue", "follow", "--once")
    assert "cannot fetch the queue of 'origin'" in said_so
    assert "hint: what was fetched before is still there" in said_so
    assert refs(repo) == before

    lost.write_bytes(kept)
    assert len(repo.limmat("queue", "follow", "--once").splitlines()) == 3
    assert repo.limmat("queue", "diff", "origin", str(server.path)) == ""


def test_damage_of_one_is_told_and_the_others_go_on(repo: Repo, server: Repo) -> None:
    """What is spoiled here, in the copy, is said with its name; 249 others are read."""
    fill(server, 250)
    repo.limmat("queue", "follow", "--once")
    copy = repo.path / ".git" / "refs/limmat/remotes/origin/queue/changes/150/meta"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(repo.git("hash-object", "-w", "--stdin", stdin="x") + "\n")
    done = repo.program("queue", "diff", "origin", str(server.path))
    assert done.returncode == 1
    (line,) = done.stdout.decode().splitlines()
    assert line.startswith("#150 there: damaged: cannot read timeline 'refs/limmat/remotes/origin/queue/")
    assert line.endswith(" | yes")


def test_a_rewritten_timeline_is_told(repo: Repo, server: Repo) -> None:
    """Nobody may take events away; when it happens all the same, whoever follows says so."""
    fill(server, 2)
    repo.limmat("queue", "follow", "--once")
    server.git("update-ref", change_ref(1), server.git("rev-parse", f"{change_ref(1)}^"))
    server.git("update-ref", "-d", change_ref(2))
    done = repo.program("queue", "follow", "--once")
    assert done.returncode == 0
    assert b"warning: the timeline of change 1 was rewritten" in done.stderr
    done = repo.program("queue", "diff", "origin", str(server.path))
    assert (done.returncode, done.stdout) == (1, b"#2 there: yes | no\n"), "what is lost there is kept here"


def test_a_running_follower_tells_what_comes(repo: Repo, server: Repo) -> None:
    """It looks again and again, through a time in which the remote is away, until it is stopped."""
    fill(server, 1)
    process = repo.start("queue", "follow", "--interval", "0.1", TZ="UTC")
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline() == b"#1 approved  title 1\n"
        assert process.stdout.readline() == b"1 change, 1 of them open\n"
        away = server.path.with_name("away.git")
        server.path.rename(away)
        assert b"cannot fetch the queue of 'origin'" in process.stderr.readline()
        away.rename(server.path)
        add(server, 1, said("new"))
        assert process.stdout.readline() == b"1970-01-01 00:00:03 #1 bob said: new\n"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode in (130, -signal.SIGINT)


def test_what_is_followed_by_its_url_has_a_name_of_its_own(repo: Repo, server: Repo) -> None:
    """It need not be a remote; two URLs do not meet in one copy."""
    fill(server, 1)
    repo.git("remote", "remove", "origin")
    assert "hint: name a remote, or give its URL" in failing(repo, "queue", "follow", "--once", status=129)
    repo.limmat("queue", "follow", "--once", str(server.path))
    assert "refs/limmat/remotes/url-" in refs(repo)
    assert repo.limmat("queue", "diff", str(server.path), str(server.path)) == ""


def test_a_remote_without_a_queue_is_empty(repo: Repo, server: Repo) -> None:
    """That is no error: its first change may come yet."""
    assert repo.limmat("queue", "follow", "--once") == "no change has been opened there yet\n"
    assert "no queue 'origin'" in failing(repo, "queue", "diff", "origin", ".", status=129)
    assert "cannot fetch" in failing(repo, "queue", "follow", "--once", "nowhere")
    assert server.git("for-each-ref") == ""


def test_differences_are_told_by_change_and_field(repo: Repo, server: Repo) -> None:
    """What is newer on one side, and what is on one side only."""
    fill(server, 3)
    repo.limmat("queue", "follow", "--once")
    add(server, 2, said("new"))
    server.git("update-ref", "-d", change_ref(3))
    add(server, None, Paused(actor="ann", at=4.0))
    done = repo.program("queue", "diff", "origin", str(server.path))
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *("queue paused", "queue events", "#2 timeline", "#2 comments", "#2 updated", "#2 events"),
        "#3 there",
    ]
    assert lines[2] == "#2 timeline: 2 commits | 3 commits, 1 more"
    assert lines[-1] == "#3 there: yes | no"


def test_a_kept_fold_that_is_wrong_is_found(server: Repo) -> None:
    """The state that was kept is compared with one that is made anew from all events."""
    fill(server, 2)
    repository = find_repository(server.path)
    timelines = Timelines(repository)
    loaded = timelines.load()
    timelines.keep()
    assert server.limmat("queue", "diff", ".") == ""
    wrong = Folded()
    for number, change in loaded.changes.items():
        other = msgspec.structs.replace(change, priority=number)
        wrong.changes[number] = Kept.of(loaded.tips[number], other)
    keep_folded(repository, OWN, wrong)
    assert server.limmat("queue", "diff", ".", status=1) == ("#1 priority: 0 | 1\n#2 priority: 0 | 2\n")


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_a_follower_has_what_mends_a_damaged_timeline(repo: Repo, server: Repo, how: str) -> None:
    """The way that gitlimmat-format(5) tells, DAMAGE."""
    fill(server, 2)
    add(server, 2, said("old"))
    lost = server.git("rev-parse", change_ref(2))
    add(server, 2, said("new"))
    repo.limmat("queue", "follow", "--once")
    file = server.path / "objects" / lost[:2] / lost[2:]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:20])
    if how == "missing":
        file.unlink()
    assert list(Timelines(find_repository(server.path)).load().damaged) == [2]

    ref = "refs/limmat/remotes/origin/queue/changes/2/meta"
    names = repo.git("rev-list", "--objects", ref)
    pack = ["git", "pack-objects", "-q", "--stdout"]
    made = subprocess.run(
        pack, cwd=repo.path, env=repo.environment, input=names.encode(), capture_output=True, check=True
    )
    file.unlink(missing_ok=True)
    unpack = ["git", "unpack-objects", "-q"]
    subprocess.run(unpack, cwd=server.path, env=repo.environment, input=made.stdout, check=True)
    assert Timelines(find_repository(server.path)).load().damaged == {}
    assert repo.limmat("queue", "diff", "origin", str(server.path)) == ""
