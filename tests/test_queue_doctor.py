"""What `git limmat doctor` says about the server of a queue, and that it changes nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from queueserver import PASSING, Server, make_server

from gitlimmat.service.diagnosis import Level, Place
from gitlimmat.service.queue.checks import CHECKS
from gitlimmat.service.queue.turn import take_turn
from gitlimmat.service.request import Request

UNSERVED = "warning: no daemon serves it, so nothing is tested and nothing lands"


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A server that is set up, with one change."""
    server = make_server(make_repo, tmp_path)
    server.base()
    server.bare.limmat("queue", "init", "--yes", "--target", "main")
    server.change("first", one="1\n")
    return server


def found(server: Server, *levels: Level) -> list[str]:
    """Return what is found of some levels, of all if none is given."""
    (check,) = CHECKS
    return [
        f"{each.level}: {each.detail}"
        for each in check.look(Place(Request(repo=[server.bare.path])))
        if not levels or each.level in levels
    ]


def write_tests(server: Server, config: str) -> None:
    """Have another config on main, past the queue."""
    server.repo.git("checkout", "-q", "main")
    server.repo.commit("tests", **{"limmat.toml": config})
    server.bare.git("fetch", "-q", str(server.repo.path), "+main:main")


def test_all_is_well(server: Server) -> None:
    """A queue that is set up and served has nothing to be said against it."""
    turn = take_turn(server.session.repository)
    assert turn is not None
    before = sorted(server.bare.path.rglob("*"))
    try:
        said = found(server)
    finally:
        turn.end()

    assert [line.partition(":")[0] for line in said] == ["ok"] * 4
    assert said[:3] == [
        "ok: hooks and settings for pushes are in place",
        "ok: 1 test for what is to land in 'main'",
        "ok: 1 change, 1 of them open",
    ]
    assert said[3].startswith("ok: served by process ")
    assert sorted(server.bare.path.rglob("*")) == before


def test_nobody_serves(server: Server) -> None:
    """Approvals wait for nothing then."""
    assert found(server, Level.WARNING, Level.ERROR) == [UNSERVED]


def test_what_a_push_lacks_is_named(server: Server) -> None:
    """A hook that is gone lets anyone move the target, so it is an error."""
    (server.bare.path / "hooks" / "pre-receive").unlink()
    server.bare.git("config", "limmat.program", "/nowhere/git-limmat")

    assert found(server, Level.WARNING, Level.ERROR) == [
        f"error: not set up: install the hook '{server.bare.path}/hooks/pre-receive'",
        "warning: hooks are to call '/nowhere/git-limmat', which cannot be run",
        UNSERVED,
    ]


def test_bad_settings_and_unknown_ones(server: Server) -> None:
    """Each fault is a line, and the timelines are looked at all the same."""
    server.set("reviwer", "ann")
    (unknown, _) = found(server, Level.WARNING, Level.ERROR)
    server.set("depth", "many")
    server.set("trust", "*")

    assert unknown.startswith("warning: unknown git setting 'limmat.queue.reviwer' in ")
    assert "did you mean 'reviewer'" in unknown
    first, second, *rest = found(server)
    assert first.startswith("error: bad config value 'many' for 'limmat.queue.depth'")
    assert second.startswith("error: bad config value '*' for 'limmat.queue.trust'")
    assert rest == ["ok: 1 change, 1 of them open", UNSERVED]


def test_tests_that_cannot_be_run_and_a_target_that_is_not_there(server: Server) -> None:
    """Each target is looked at."""
    write_tests(server, "[[tests]\n")
    server.bare.git("config", "--add", "limmat.queue.target", "later")

    unreadable, later, _ = found(server, Level.WARNING, Level.ERROR)

    assert unreadable.startswith("error: nothing can be tested for 'main': ")
    assert later == "warning: 'later' does not exist yet"
    write_tests(server, PASSING)
    server.set("test", "slow")
    assert "error: nothing can be tested for 'main': no test matches 'slow'" in found(server)[1]
    assert b"hint: limmat.queue.test asks for it" in server.bare.program("doctor").stdout


def test_a_target_that_leads_elsewhere_is_an_error(server: Server) -> None:
    """Nothing can land there; nor can a queue be set up for such a one."""
    server.bare.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    server.bare.git("config", "limmat.queue.target", "alias")

    assert "error: 'alias' is a symbolic ref to 'refs/heads/main', so nothing can land there" in found(server)
    done = server.bare.program("queue", "init", "--yes", "--target=alias")
    assert done.returncode == 128
    assert b"name that: --target refs/heads/main" in done.stderr


def test_nobody_can_approve(server: Server) -> None:
    """Neither reviewer nor admin: each change would wait for ever."""
    for key in ("admin", "reviewer"):
        server.bare.git("config", "--unset-all", f"limmat.queue.{key}")

    assert "warning: nobody can approve a change" in found(server)


def test_a_damaged_timeline_is_an_error(server: Server) -> None:
    """It is named by its number; the others are counted."""
    blob = server.bare.git("hash-object", "-w", "HEAD")
    (server.bare.path / "refs/limmat/queue/changes/1/meta").write_text(f"{blob}\n")

    said = found(server, Level.ERROR)

    assert len(said) == 1
    assert said[0].startswith("error: change 1 stands still: ")


def test_the_command_tells_it(server: Server) -> None:
    """An error is the exit status; a queue has no limmat.toml of its own, and need not have one."""
    done = server.bare.program("doctor")
    assert done.returncode == 0, done.stderr
    assert b"no limmat.toml here: a queue takes that of its targets" in done.stdout
    assert UNSERVED.removeprefix("warning: ").encode() in done.stdout

    (server.bare.path / "hooks" / "proc-receive").unlink()
    done = server.bare.program("doctor")
    assert done.returncode == 1
    assert b"'git limmat queue init' in this repository does it" in done.stdout


def test_a_repository_without_a_queue_is_not_reported_on(repo: Repo) -> None:
    """Nobody who has none is told of one, even with settings for all repositories."""
    subprocess.run(
        ["git", "config", "--global", "limmat.queue.name", "bot"], env=repo.environment, check=True
    )
    (check,) = CHECKS

    assert list(check.look(Place(Request(repo=[repo.path])))) == []


def test_a_target_that_is_checked_out_is_named(server: Server, tmp_path: Path) -> None:
    """What lands would not be in the files of that worktree, which look as if it were taken back."""
    for name in ("there", "gone"):
        server.bare.git("worktree", "add", "-q", "-f", str(tmp_path / name), "main")
    server.bare.git("worktree", "add", "-q", "--detach", str(tmp_path / "detached"), "main")
    server.bare.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "other"), "main")
    shutil.rmtree(tmp_path / "gone")

    assert found(server, Level.WARNING, Level.ERROR) == [
        f"warning: 'main' is checked out in '{tmp_path}/there', and moves without the files there",
        UNSERVED,
    ]
    server.bare.git("-C", str(tmp_path / "there"), "checkout", "-q", "--detach")
    assert found(server, Level.WARNING, Level.ERROR) == [UNSERVED]
