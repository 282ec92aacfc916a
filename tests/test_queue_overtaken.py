"""What was true when a run began and is not any more: settings, approvers, clocks, merges that are lost."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from queueserver import MAIN, Server, blocking, make_server
from waiting import wait_for_file, wait_until

from gitlimmat.queue.events import RunOutcome
from gitlimmat.queue.requests import (
    Approve,
    CloseTree,
    OpenTree,
    Pause,
    Resume,
    Retarget,
    Retry,
    Try,
    Unapprove,
)
from gitlimmat.queue.state import Forge, Status

STRICT = '[[tests]]\nname = "strict"\ncommand = "false"\nrun_by_default = false\n'


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A server with nothing on it."""
    return make_server(make_repo, tmp_path)


def passed_and_waiting(server: Server, tmp_path: Path, more: str = "") -> int:
    """Return a change whose run has passed while the queue was paused."""
    server.base(blocking(tmp_path) + more)
    number = server.change("topic")
    server.approve(number)

    def act() -> None:
        wait_for_file(tmp_path / "began")
        server.tell(None, Pause(), "root")
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(number).status is Status.READY)

    server.serve_while(act)
    return number


@pytest.mark.parametrize(
    ("key", "value"), [("test", "strict"), ("everyCommit", "true"), ("policy", "linear")]
)
def test_what_the_settings_ask_for_now_is_tested(
    server: Server, tmp_path: Path, key: str, value: str
) -> None:
    """A run that was made by others does not land, even if it has passed."""
    number = passed_and_waiting(server, tmp_path, STRICT)
    base = server.tip
    server.set(key, value)
    server.tell(None, Resume(), "root")

    server.serve()

    first, second = server.state(number).runs
    assert (first.outcome, first.reason) == (
        RunOutcome.SUPERSEDED,
        "the settings for runs are others now",
    )
    if value == "strict":
        assert (second.tests, second.outcome) == (("strict",), RunOutcome.FAILED)
        assert server.tip == base
    else:
        assert server.tip == second.merge


def test_settings_in_a_file_that_is_included_are_read_again(server: Server, tmp_path: Path) -> None:
    """Nobody follows that file, so it is looked at before each step."""
    server.base(blocking(tmp_path))
    included = tmp_path / "included"
    server.bare.git("config", "include.path", str(included))
    server.bare.git("config", "-f", str(included), "limmat.queue.name", "before")
    number = server.change("topic")
    server.approve(number)

    def act() -> None:
        wait_for_file(tmp_path / "began")
        server.bare.git("config", "-f", str(included), "limmat.queue.test", "none")
        (tmp_path / "go").touch()
        wait_until(lambda: not server.state(number).runs[0].is_open)

    server.serve_while(act)

    assert server.state(number).forge is Forge.OPEN


def test_a_merge_never_names_who_has_withdrawn(server: Server, tmp_path: Path) -> None:
    """It says who has approved it, so another approver is another merge."""
    server.set("reviewer", "rita")
    server.bare.git("config", "--add", "limmat.queue.reviewer", "ann")
    number = passed_and_waiting(server, tmp_path)
    server.tell(number, Unapprove(), "ann")
    server.tell(number, Approve(), "rita")
    server.tell(None, Resume(), "root")

    server.serve()

    assert server.state(number).forge is Forge.LANDED
    message = server.bare.git("log", "-1", "--format=%B", MAIN)
    assert "Approved-by: rita" in message
    assert "ann" not in message


def test_who_approves_again_what_has_passed_lets_it_land(server: Server, tmp_path: Path) -> None:
    """Nothing about the merge is different."""
    number = passed_and_waiting(server, tmp_path)
    server.tell(number, Unapprove())
    server.tell(number, Approve())
    server.tell(None, Resume(), "root")

    server.serve()

    assert server.tip == server.state(number).runs[0].merge


def test_what_is_retargeted_is_compared_with_its_new_target(server: Server) -> None:
    """By whichever way it is approved in the same breath."""
    server.base(file="main\n")
    server.bare.git("branch", "stable", "main~0")
    server.bare.git("config", "limmat.queue.target", "main")
    server.bare.git("config", "--add", "limmat.queue.target", "stable")
    number = server.change("topic", file="topic\n")
    server.repo.git("checkout", "-q", "main")
    server.repo.commit("other", file="other\n")
    server.bare.git("fetch", "-q", str(server.repo.path), "+main:main")

    server.tell(number, Retarget(target="stable"), "root")
    server.tell(number, Approve())

    assert server.state(number).is_approved


@pytest.mark.parametrize("hours", [1, -1])
def test_time_in_which_nobody_served_does_not_count(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Nor does a clock that was set meanwhile: the tests begin again, and have all of their time."""
    server.base(blocking(tmp_path))
    server.set("timeout", "60")
    number = server.change("topic")
    server.approve(number)
    server.serve_while(lambda: wait_for_file(tmp_path / "began"))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    (tmp_path / "go").touch()

    server.serve()

    assert server.state(number).forge is Forge.LANDED
    assert len(server.state(number).runs) == 1


def test_a_limit_holds_after_the_clock_was_set_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is hours away by the clock on the wall."""
    server.base(blocking(tmp_path))
    server.set("timeout", "1")
    number = server.change("topic")
    server.approve(number)
    real = time.time
    server.serve_while(lambda: wait_for_file(tmp_path / "began"))
    monkeypatch.setattr(time, "time", lambda: real() - 36000)

    server.serve()

    run = server.state(number).runs[-1]
    assert (run.outcome, run.reason) == (RunOutcome.TIMED_OUT, "it has taken more than 1.0 s")


def test_a_retry_tests_again_after_the_clock_was_set_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure from the future is none of this run."""
    server.base(f'[[tests]]\nname = "unit"\ncommand = "test -e {tmp_path}/good"\n')
    number = server.change("topic")
    server.approve(number)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    server.serve()
    assert server.state(number).runs[0].outcome is RunOutcome.FAILED
    monkeypatch.setattr(time, "time", real)
    (tmp_path / "good").touch()
    server.tell(number, Retry())

    server.serve()

    assert server.state(number).forge is Forge.LANDED


def test_a_merge_that_is_lost_is_made_again(server: Server, tmp_path: Path) -> None:
    """Whoever has removed its ref, and then the commit, holds nobody up, nor who is next in the queue."""
    number = passed_and_waiting(server, tmp_path)
    second = server.change("second", "main~0", second="2\n")
    server.approve(second)
    merge = server.state(number).runs[0].merge
    for name in server.bare.git("for-each-ref", "--format=%(refname)", "refs/limmat/queue/runs").split():
        server.bare.git("update-ref", "-d", name)
    shutil.rmtree(server.bare.path / "limmat")
    shutil.rmtree(server.bare.path / "worktrees", ignore_errors=True)
    subprocess.run(["git", "worktree", "prune"], cwd=server.bare.path, check=True)
    server.bare.git("gc", "--quiet", "--prune=now")
    assert server.bare.git("cat-file", "-t", merge, check=False) == ""
    server.tell(None, Resume(), "root")

    server.serve()

    first, again = server.state(number).runs
    assert first.outcome is RunOutcome.SUPERSEDED
    assert first.reason == f"its merge {merge[:12]} is not there any more"
    assert again.outcome is RunOutcome.PASSED
    assert {server.state(each).forge for each in (number, second)} == {Forge.LANDED}


@pytest.mark.parametrize("is_there", [False, True])
def test_a_try_onto_something_else_says_nothing_about_the_target(
    server: Server, tmp_path: Path, *, is_there: bool
) -> None:
    """Whether the parent is not there, or conflicts, the change stands as it did, and can still land."""
    server.base(file="base\n")
    server.repo.git("checkout", "-q", "-b", "aside")
    parent = server.repo.commit("aside", file="aside\n") if is_there else "1" * 40
    if is_there:
        server.push(parent)
    number = server.change("topic", file="topic\n")
    server.tell(None, CloseTree(below=5, reason="red"), "root")
    server.approve(number)
    server.tell(number, Try(parent=parent))

    server.serve()

    change = server.state(number)
    assert change.conflict is not None
    assert (change.conflict.base, change.status) == (parent, Status.APPROVED)
    assert server.explained(number).startswith("waits: the tree is closed below 5")
    assert f"cannot be merged onto {parent[:12]}" in change.comments[-1].text
    server.tell(None, OpenTree(), "root")
    server.serve()
    assert server.state(number).forge is Forge.LANDED


def test_a_transaction_that_always_fails_half_done_is_not_tried_at_once_for_ever(server: Server) -> None:
    """Its first ref is there each time, as if somebody else were faster; it is told, and tried later."""
    server.base()
    number = server.change("topic")
    server.approve(number)
    server.bare.git("config", "core.logAllRefUpdates", "always")
    logs = server.bare.path / "logs/refs/limmat/queue/changes"
    logs.mkdir(parents=True)
    (logs / str(number)).touch()

    with pytest.raises(Exception, match="not all could be done"):
        server.serve()

    assert any("unable to append" in warning for warning in server.warnings)
    assert len(server.bare.git("for-each-ref", "refs/limmat/queue/runs").splitlines()) < 20
