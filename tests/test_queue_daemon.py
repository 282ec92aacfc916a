"""The daemon of a queue, end to end on real bare repositories with real jobs."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from conftest import Repo
from queueserver import MAIN, PASSING, Server, blocking, make_server
from waiting import wait_for_file, wait_until

from gitlimmat.errors import LimmatError
from gitlimmat.git.repository import find_repository
from gitlimmat.model import Outcome
from gitlimmat.queue.auth import Principal
from gitlimmat.queue.events import QUEUE, Kind, RunOutcome
from gitlimmat.queue.requests import (
    Approve,
    Cancel,
    CloseTree,
    Comment,
    OpenTree,
    Pause,
    Resume,
    Retry,
    Try,
    Unapprove,
)
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import Action, Land
from gitlimmat.queue.state import Forge, Status
from gitlimmat.service.queue.execute import Executor
from gitlimmat.service.queue.session import submit
from gitlimmat.service.queue.turn import server as served_by
from gitlimmat.service.queue.turn import take_turn
from gitlimmat.service.session import run_loop
from gitlimmat.store.runs import running_jobs
from gitlimmat.store.timeline import Loaded

FAILING = '[[tests]]\nname = "unit"\ncommand = "test ! -e bad"\n'


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A server with nothing on it."""
    return make_server(make_repo, tmp_path)


def test_what_is_tested_is_what_is_in_the_commit(server: Server) -> None:
    """An object that stands in for another one on the server changes neither the merge nor what is tested."""
    server.base('[[tests]]\nname = "unit"\ncommand = "grep good file"\n', file="good\n")
    number = server.change("topic", file="evil\n")
    good, evil = (server.bare.git("rev-parse", f"{tip}:file") for tip in (MAIN, server.state(number).head))
    server.bare.git("update-ref", f"refs/replace/{evil}", good)
    base = server.tip
    server.approve(number)

    server.serve()

    assert server.state(number).runs[0].outcome is RunOutcome.FAILED
    assert server.tip == base


def test_an_approved_change_lands_and_says_so(server: Server) -> None:
    """It is tested merged with its target, and the target moves to what was tested."""
    base = server.base()
    number = server.change("topic")
    server.approve(number)

    server.serve()

    change = server.state(number)
    assert (change.forge, change.status) == (Forge.LANDED, Status.LANDED)
    assert server.tip == change.landed_as == change.runs[0].merge
    assert server.bare.git("rev-parse", f"{server.tip}^1", f"{server.tip}^2").split() == [base, change.head]
    assert server.events(number) == [
        *("Opened", "Approved", "RunStarted", "JobEnded", "RunEnded", "Landed", "Notice")
    ]
    assert server.bare.git("rev-parse", f"refs/limmat/queue/runs/{change.landed_by}") == server.tip
    assert change.comments[-1].text == f"landed on main by run {change.landed_by}, as {server.tip[:12]}"
    assert not server.warnings


def test_serving_again_does_nothing(server: Server) -> None:
    """What was done is done: no event is added, and no ref moves."""
    server.base()
    number = server.change("topic")
    server.approve(number)
    server.serve()
    before = server.bare.git("for-each-ref")

    server.serve()

    assert server.bare.git("for-each-ref") == before


def test_a_change_that_fails_stays_out(server: Server) -> None:
    """It is blamed and told, and the next one goes on without it."""
    base = server.base(FAILING)
    bad = server.change("bad-one", bad="x")
    good = server.change("good", "main")
    server.approve(bad, good)

    server.serve()

    assert server.state(bad).status is Status.FAILED
    run = server.state(bad).runs[0]
    assert (run.outcome, run.reason) == (RunOutcome.FAILED, "test 'unit' failed (exit 1)")
    assert f"failed:{run.run}" in server.state(bad).notices
    assert server.state(good).forge is Forge.LANDED
    assert server.bare.git("rev-parse", f"{server.tip}^1") == base


def test_a_retry_really_tests_again(server: Server, tmp_path: Path) -> None:
    """A failure that is known does not stand for the new run, though its merge is the same commit."""
    server.base(f'[[tests]]\nname = "unit"\ncommand = "test -e {tmp_path}/good"\n')
    number = server.change("topic")
    server.approve(number)
    server.serve()
    first = server.state(number).runs[0]
    assert first.outcome is RunOutcome.FAILED

    (tmp_path / "good").touch()
    server.tell(number, Retry())
    server.serve()

    change = server.state(number)
    assert change.forge is Forge.LANDED
    assert [run.merge for run in change.runs] == [first.merge, first.merge]
    assert change.landed_by == change.runs[1].run != first.run


def test_a_retry_of_what_runs_begins_anew(server: Server, tmp_path: Path) -> None:
    """The old jobs are ended, and the new run, of the same merge, takes nothing of theirs for its own."""
    server.base(blocking(tmp_path))
    number = server.change("topic")
    server.approve(number)

    def act() -> None:
        began = tmp_path / "began"
        wait_for_file(began)
        server.tell(number, Retry())
        wait_until(lambda: len(began.read_text().split()) == 2)
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(number).forge is Forge.LANDED)

    server.serve_while(act)

    first, second = server.state(number).runs
    assert (first.outcome, first.jobs) == (RunOutcome.CANCELLED, ())
    assert (second.merge, second.outcome) == (first.merge, RunOutcome.PASSED)


def test_settings_are_read_again_and_a_bad_one_changes_nothing(server: Server) -> None:
    """A daemon goes on with what it knew, and takes up what is sound again."""
    server.base()
    number = server.change("topic")

    def act() -> None:
        server.set("depth", "deep")
        wait_until(lambda: any("'deep'" in warning for warning in server.warnings))
        server.set("depth", "1")
        server.set("name", "The Other")
        server.approve(number)
        wait_until(lambda: server.state(number).forge is Forge.LANDED)

    server.serve_while(act)

    assert server.bare.git("show", "-s", "--format=%an", "main") == "The Other"


def test_a_setting_that_nobody_knows_is_told_once(server: Server) -> None:
    """However often settings are read."""
    server.base()
    server.set("reviwer", "rita")

    server.serve()

    assert len([each for each in server.warnings if "unknown git setting" in each]) == 1


def test_a_conflict_with_what_is_ahead_is_told_when_that_has_landed(server: Server, tmp_path: Path) -> None:
    """Until then it says nothing about the target; after it nobody would ask again."""
    server.set("depth", "3")
    gate = tmp_path / "gate"
    waiting = f'[[tests]]\nname = "unit"\ncommand = "until test -e {gate}; do sleep 0.01; done"\n'
    server.base(waiting, file="one\n")
    first = server.change("first", file="two\n")
    second = server.change("second", "main", file="three\n")
    third = server.change("third", "main", other="x")
    server.approve(first, second, third)

    def act() -> None:
        wait_until(lambda: server.state(third).auto is not None)
        assert server.events(second).count("Conflicted") == 0
        run = server.state(third).runs[0].run
        assert server.explained(second) == (
            f"is next in line, to be tested on top of run {run} of #3 if it merges with that, else after it"
        )
        wait_until(lambda: len(server.findings.ahead) == 2)
        server.tell(third, Cancel())
        gate.touch()
        wait_until(lambda: server.state(second).status is Status.CONFLICT)

    server.serve_while(act)

    assert server.events(second).count("Conflicted") == 1


def test_a_conflict_is_told_once_and_gone_with_a_new_head(server: Server) -> None:
    """It names the paths, and stops nobody else; that the target moves on is no news."""
    server.base(PASSING, file="one\n")
    first = server.change("first", file="two\n")
    second = server.change("second", "main", file="three\n")
    third = server.change("third", "main", other="x")
    server.approve(first, second, third)
    server.serve()

    change = server.state(second)
    assert change.status is Status.CONFLICT
    assert change.conflict is not None
    assert change.conflict.paths == ("file",)
    assert server.events(second).count("Conflicted") == 2
    assert change.conflict.base == server.tip
    assert server.explained(second) == f"conflicts with main at {server.tip[:12]} in file; rebase it and push"
    assert len([key for key in change.notices if key.startswith("conflict:")]) == 1
    assert [server.state(number).forge for number in (first, third)] == [Forge.LANDED] * 2

    server.repo.git("fetch", "-q", str(server.bare.path), "main")
    server.repo.git("checkout", "-q", "-B", "again", "FETCH_HEAD")
    head = server.repo.commit("resolved", file="four\n")
    server.push(head)
    server.move(second, head)
    server.approve(second)
    server.serve()

    assert server.state(second).forge is Forge.LANDED


def test_a_target_that_leads_to_another_branch_is_left_alone(server: Server) -> None:
    """Landing there would make it a branch of its own, and leave the other one behind."""
    base = server.base()
    number = server.change("topic")
    server.approve(number)
    server.bare.git("branch", "trunk", "main")
    server.bare.git("symbolic-ref", MAIN, "refs/heads/trunk")

    server.serve()

    assert server.bare.git("symbolic-ref", MAIN) == "refs/heads/trunk"
    assert server.bare.git("rev-parse", "trunk") == base
    assert server.state(number).forge is Forge.OPEN
    assert any("it is a symbolic ref to 'refs/heads/trunk'" in each for each in server.warnings)


def test_a_target_moved_by_someone_else_is_planned_again(server: Server, tmp_path: Path) -> None:
    """Nobody is blamed; what lands was tested on what it landed on."""
    server.base(blocking(tmp_path))
    number = server.change("topic")
    server.approve(number)

    def act() -> None:
        wait_for_file(tmp_path / "began")
        server.repo.git("checkout", "-q", "main")
        server.repo.commit("by someone else")
        server.repo.git("push", "-q", str(server.bare.path), "main:main")
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(number).forge is Forge.LANDED)

    server.serve_while(act)

    first, second = server.state(number).runs
    assert first.outcome is RunOutcome.SUPERSEDED
    assert second.base == server.repo.git("rev-parse", "main")
    assert server.tip == second.merge


@pytest.mark.parametrize("how", ["unapproved", "moved", "cancelled"])
def test_what_was_withdrawn_while_it_ran_never_lands(server: Server, tmp_path: Path, how: str) -> None:
    """Its jobs are stopped, and its outcome does not matter any more."""
    base = server.base(blocking(tmp_path))
    number = server.change("topic")
    server.approve(number)
    head = server.repo.commit("topic")
    server.push(head)

    def act() -> None:
        wait_for_file(tmp_path / "began")
        match how:
            case "unapproved":
                server.tell(number, Unapprove())
            case "moved":
                server.move(number, head)
            case "cancelled":
                server.tell(number, Cancel())
        wait_until(lambda: server.state(number).runs[0].outcome is not None)
        (tmp_path / "go").touch()

    server.serve_while(act)
    server.serve()

    change = server.state(number)
    assert server.tip == base
    assert [run.outcome for run in change.runs] == [RunOutcome.CANCELLED]
    assert change.status is (Status.APPROVED if how == "cancelled" else Status.OPEN)


def test_a_yielding_change_lands_after_another(server: Server, tmp_path: Path) -> None:
    """Others go first, and then it goes by itself."""
    server.base(blocking(tmp_path))
    first = server.change("first")
    second = server.change("second", "main")
    server.approve(first, second)

    def act() -> None:
        wait_for_file(tmp_path / "began")
        server.tell(first, Cancel(yielding=True))
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(first).forge is server.state(second).forge is Forge.LANDED)

    server.serve_while(act)

    landed = server.bare.git("log", "--first-parent", "--format=%H", "main").split()
    assert landed[:2] == [server.state(first).landed_as, server.state(second).landed_as]


def test_a_try_runs_beside_with_chosen_tests_and_parent(server: Server, tmp_path: Path) -> None:
    """It is tested on the parent that was asked for, with what its tests depend on, and never lands."""
    config = (
        f"{blocking(tmp_path)}"
        '[[tests]]\nname = "build"\ncommand = "true"\nrun_by_default = false\n'
        '[[tests]]\nname = "slow"\ncommand = "true"\ndepends_on = ["build"]\nrun_by_default = false\n'
    )
    old = server.base(config)
    server.repo.commit("newer")
    server.repo.git("push", "-q", str(server.bare.path), "main:main")
    landing = server.change("landing")
    trying = server.change("trying", "main")
    server.approve(landing)

    def act() -> None:
        wait_for_file(tmp_path / "began")
        server.tell(trying, Try(tests=("sl*",), parent=old))
        wait_until(lambda: server.state(trying).status is Status.TRY_PASSED)
        assert server.state(landing).status is Status.TESTING
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(landing).forge is Forge.LANDED)

    server.serve_while(act)

    run = server.state(trying).runs[0]
    assert (run.kind, run.base, run.tests) == (Kind.TRY, old, ("build", "slow"))
    assert {job.test for job in run.jobs} == {"build", "slow"}
    assert server.state(trying).forge is Forge.OPEN


def test_a_try_of_an_unknown_test_ends_with_the_reason(server: Server) -> None:
    """It does not wait for ever, and is not tried again and again."""
    server.base()
    number = server.change("topic")
    server.tell(number, Try(tests=("none",)))

    server.serve()

    (run,) = server.state(number).runs
    assert (run.outcome, run.reason) == (RunOutcome.ERRORED, "no test matches 'none'")


def test_what_a_try_has_found_out_needs_no_job(server: Server) -> None:
    """The merge has the same tree, so a by_tree test is known and the change lands at once."""
    server.base('[[tests]]\nname = "unit"\ncommand = "true"\ncache = "by_tree"\n')
    number = server.change("topic")
    server.tell(number, Try())
    server.serve()
    server.approve(number)
    server.serve()

    change = server.state(number)
    assert change.forge is Forge.LANDED
    assert [(run.kind, run.jobs[0].known) for run in change.runs] == [(Kind.TRY, False), (Kind.AUTO, True)]


def test_speculation_tests_on_what_is_not_there_yet(server: Server, tmp_path: Path) -> None:
    """With depth 2 the second is tested on the merge of the first, and both land as tested."""
    server.base(blocking(tmp_path))
    server.set("depth", "2")
    first = server.change("first")
    second = server.change("second", "main")
    server.approve(first, second)

    def act() -> None:
        began = tmp_path / "began"
        wait_until(lambda: began.exists() and len(began.read_text().split()) == 2)
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(second).forge is Forge.LANDED)

    server.serve_while(act)

    one, two = server.state(first).runs[0], server.state(second).runs[0]
    assert (two.base, two.after) == (one.merge, one.run)
    assert server.tip == two.merge
    assert len(server.state(second).runs) == 1


def test_what_was_built_on_a_failure_starts_again(server: Server) -> None:
    """The second is not blamed for the first."""
    server.base(FAILING)
    server.set("depth", "2")
    bad = server.change("bad-one", bad="x")
    good = server.change("good", "main")
    server.approve(bad, good)

    server.serve()

    assert server.state(bad).status is Status.FAILED
    change = server.state(good)
    assert change.forge is Forge.LANDED
    assert change.runs[0].outcome is not RunOutcome.PASSED or change.runs[0].after == ""
    assert [key for key in change.notices if not key.startswith("landed:")] == []


def test_what_has_passed_on_a_failure_is_not_about_to_land(server: Server, tmp_path: Path) -> None:
    """It is approved, nobody is told that it lands, and it is tested again when the tree is open."""
    wait = f"test -e fixed || {{ while ! test -e {tmp_path}/go; do sleep 0.02; done; exit 1; }}"
    server.base(f'[[tests]]\nname = "unit"\ncommand = "{wait}"\n')
    server.set("depth", "2")
    bad, good = server.change("bad-one"), server.change("good", "main", fixed="x")
    server.approve(bad, good)

    def act() -> None:
        wait_until(lambda: server.state(good).status is Status.READY)
        server.tell(None, CloseTree(below=5), "root")
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(good).status is Status.APPROVED)

    server.serve_while(act)

    assert server.state(bad).status is Status.FAILED
    answer = submit(server.session, good, Cancel(), Principal(name="ann"), via="cli")
    assert answer.reply == f"change {good} is not being tested"
    server.tell(None, OpenTree(), "root")
    server.serve()
    assert server.state(good).forge is Forge.LANDED
    assert [run.outcome for run in server.state(good).runs] == [RunOutcome.SUPERSEDED, RunOutcome.PASSED]


def test_a_batch_is_taken_apart_until_the_culprit_is_alone(server: Server) -> None:
    """Four are tested together; one is to blame, and the other three land."""
    server.base(FAILING)
    server.set("batch", "4")
    numbers = [
        server.change(f"c{place}", "main", **({"bad": "x"} if place == 2 else {})) for place in range(4)
    ]
    server.approve(*numbers)

    server.serve()

    states = [server.state(number) for number in numbers]
    assert [state.forge for state in states] == [Forge.LANDED, Forge.LANDED, Forge.OPEN, Forge.LANDED]
    assert len(states[0].runs[0].members) == 4
    blamed = states[2].runs[-1]
    assert (len(blamed.members), blamed.outcome) == (1, RunOutcome.FAILED)


def test_a_batch_that_passes_is_one_commit(server: Server) -> None:
    """Its parents are the base and all heads; who conflicts is left for later."""
    base = server.base(PASSING, file="one\n")
    server.set("batch", "3")
    numbers = [server.change(f"c{place}", "main", **{f"f{place}": "x"}) for place in range(2)]
    server.approve(*numbers)

    server.serve()

    parents = server.bare.git("rev-parse", f"{server.tip}^@").split()
    assert parents == [base, *(server.state(number).head for number in numbers)]
    assert len({server.state(number).landed_by for number in numbers}) == 1


def test_a_run_that_takes_too_long_has_timed_out(server: Server, tmp_path: Path) -> None:
    """Its deadline is in the timeline, and its jobs are stopped."""
    base = server.base(blocking(tmp_path))
    server.set("timeout", "1")
    number = server.change("topic")
    server.approve(number)

    server.serve()

    assert server.state(number).status is Status.TIMED_OUT
    assert server.tip == base
    assert not (tmp_path / "go").exists()


def test_a_clock_that_is_set_ends_no_run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that passes within a moment is no reason to give up, and neither is one that comes back."""
    server.base(blocking(tmp_path))
    server.set("depth", "2")
    numbers = [server.change(f"c{place}", "main") for place in range(2)]
    server.approve(*numbers)
    real = time.time

    def act() -> None:
        wait_for_file(tmp_path / "began")
        for days in (1, -2):
            monkeypatch.setattr(time, "time", lambda days=days: real() + 86400 * days)
            server.daemon_hears()
        wait_until(lambda: len((tmp_path / "began").read_text().split()) == 2)
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(numbers[1]).forge is Forge.LANDED)

    server.serve_while(act)

    assert [len(server.state(number).runs) for number in numbers] == [1, 1]


def test_a_try_on_a_commit_that_is_not_there_ends(server: Server) -> None:
    """It says so, and is wanted no more."""
    server.base()
    number = server.change("topic")
    server.tell(number, Try(parent="1" * 40))

    server.serve()

    change = server.state(number)
    assert change.wanted_try is None
    assert change.conflict is not None
    assert change.conflict.reason == "there is no commit 111111111111"


def test_who_conflicts_is_left_out_of_a_batch_and_told(server: Server) -> None:
    """The others land together meanwhile."""
    server.base(PASSING, file="one\n")
    server.set("batch", "3")
    bad = server.change("bad-one", file="two\n")
    server.approve(bad)
    server.repo.git("checkout", "-q", "main")
    server.repo.commit("other", file="three\n")
    server.repo.git("push", "-q", str(server.bare.path), "main:main")
    good = [server.change(f"c{place}", "main", **{f"f{place}": "x"}) for place in range(2)]
    server.approve(*good)

    server.serve()

    assert server.state(bad).status is Status.CONFLICT
    assert server.events(bad) == ["Opened", "Approved", "Conflicted", "Notice", "Conflicted"]
    assert len({server.state(number).landed_by for number in good}) == 1


def test_a_try_of_what_is_known_to_conflict_ends(server: Server) -> None:
    """Also when the daemon has found the conflict by itself, and with another tip than at first."""
    server.base(PASSING, file="one\n")
    first = server.change("first", file="two\n")
    second = server.change("second", "main", file="three\n")
    third = server.change("third", "main", other="x")
    server.approve(first, second, third)

    def act() -> None:
        wait_until(lambda: server.state(third).forge is Forge.LANDED)
        for word in (Try(), Try(parent=server.bare.git("rev-parse", "main^"))):
            server.tell(second, word)
            wait_until(lambda: server.state(second).wanted_try is None)

    server.serve_while(act)

    assert server.state(second).runs == ()


def test_who_merges_is_found_out_while_there_is_nothing_else_to_do(server: Server) -> None:
    """Nobody has to approve or try a change; what conflicts is told once, what merges is remembered."""
    server.base(PASSING, file="one\n")
    numbers = [server.change(f"c{place}", "main", **{f"f{place}": "x"}) for place in range(3)]
    bad = server.change("bad-one", "main", file="two\n")
    heads = [server.state(number).head for number in numbers]

    def clean(*heads: str) -> bool:
        return server.findings.clean == {(head, server.tip) for head in heads}

    def act() -> None:
        wait_until(lambda: clean(*heads, server.state(bad).head))
        server.repo.git("checkout", "-q", "main")
        server.repo.commit("other", file="three\n")
        server.repo.git("push", "-q", str(server.bare.path), "main:main")
        server.daemon_hears()
        wait_until(lambda: "Notice" in server.events(bad))
        server.approve(numbers[0])
        wait_until(lambda: server.state(numbers[0]).forge is Forge.LANDED and clean(*heads[1:]))

    server.serve_while(act)

    known = server.state(bad).conflict
    assert known is not None
    assert (known.paths, server.events(bad)) == (("file",), ["Opened", "Conflicted", "Notice"])
    assert all(server.events(number) == ["Opened"] for number in numbers[1:])
    assert not server.warnings


def test_what_conflicts_is_not_approved(server: Server) -> None:
    """Git is asked there and then, whatever the timeline says, and nothing is stored."""
    server.base(PASSING, file="one\n")
    number = server.change("topic", file="two\n")
    server.repo.git("checkout", "-q", "main")
    server.repo.commit("other", file="three\n")
    server.repo.git("push", "-q", str(server.bare.path), "main:main")

    answer = submit(server.session, number, Approve(), Principal(name="ann"), via="cli")
    said = submit(server.session, number, Comment(text="fine\n@limmat r+"), Principal(name="ann"), via="cli")

    assert (answer.is_refused, answer.reply) == (True, "change 1 conflicts with its target, in 'file'")
    assert "change 1 conflicts with its target, in 'file'" in said.reply
    assert server.events(number) == ["Opened", "Commented"]


@pytest.mark.parametrize("fault", ["exit 3", "exec cat <{fifo}"])
def test_an_approval_counts_when_git_does_not_answer(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Whether it merges is found out when it is its turn; nobody waits for ever."""
    monkeypatch.setattr("gitlimmat.service.queue.mergeability._LIMIT_S", 0.5)
    os.mkfifo(tmp_path / "fifo")
    git = tmp_path / "git"
    fault = fault.format(fifo=tmp_path / "fifo")
    git.write_text(f'#!/bin/sh\n[ "$1" = merge-tree ] && {fault}\nexec git "$@"\n')
    git.chmod(0o755)
    server.base()
    number = server.change("topic")
    repository = find_repository(server.bare.path, binary=str(git))
    session = msgspec.structs.replace(server.session, repository=repository)

    answer = submit(session, number, Approve(), Principal(name="ann"), via="cli")

    assert not answer.is_refused
    assert server.state(number).is_approved


def test_inputs_of_tests_are_those_of_the_target(server: Server) -> None:
    """A test that declares inputs is known only as long as the target has the same ones."""
    config = (
        '[[tests]]\nname = "unit"\ncache = "by_tree"\ninputs = ["data/**/*.txt"]\n'
        'command = "test -e $(dirname $LIMMAT_CONFIG)/data/a/b.txt"\n'
    )
    server.base(config, **{"data/a/b.txt": "x", "data/other": "y"})
    number = server.change("topic")
    server.approve(number)

    server.serve()

    assert server.state(number).forge is Forge.LANDED


def test_a_running_job_can_be_found_by_others(server: Server, tmp_path: Path) -> None:
    """Where it prints is known to whoever asks, by test and commit."""
    server.base(blocking(tmp_path).replace("echo $LIMMAT_COMMIT", "echo hello; echo $LIMMAT_COMMIT"))
    number = server.change("topic")
    server.approve(number)
    found: list[str] = []

    def act() -> None:
        wait_for_file(tmp_path / "began")
        run = server.state(number).runs[0]
        jobs = running_jobs(server.bare.path / "limmat")
        (directory,) = [path for path, job in jobs.items() if (job.test, job.commit) == ("unit", run.merge)]
        found.append((directory / "output.txt").read_text())
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(number).forge is Forge.LANDED)

    server.serve_while(act)

    assert found == ["hello\n"]


def test_two_daemons_at_once_do_each_thing_once(server: Server, tmp_path: Path) -> None:
    """Even without the lock that keeps them apart, what counts is what a ref says."""
    server.base(f'[[tests]]\nname = "unit"\ncommand = "echo $LIMMAT_COMMIT >>{tmp_path}/ran"\n')
    numbers = [server.change(f"c{place}", "main") for place in range(4)]
    server.approve(*numbers)

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                daemon = server.daemon()
                tasks.create_task(daemon.serve(once=True))
                shutil.rmtree(server.bare.path / "limmat" / "queue", ignore_errors=True)
                await asyncio.sleep(0)  # it has the lock of a file that is gone now

    run_loop(work())
    server.serve()

    assert [server.events(number).count("Landed") for number in numbers] == [1] * 4
    landed = server.bare.git("rev-list", "--first-parent", "main").split()[:-1]
    assert len(landed) == 4
    assert set(landed) <= set((tmp_path / "ran").read_text().split())


def test_a_target_with_broken_tests_is_repaired_by_a_change(server: Server) -> None:
    """Nobody else lands meanwhile; the one that repairs them is tested with its own."""
    server.base()
    server.repo.commit("break", **{"limmat.toml": "nonsense = 1\n"})
    server.repo.git("push", "-q", str(server.bare.path), "main:main")
    waiting = server.change("waiting")
    repair = server.change("repair", "main", **{"limmat.toml": PASSING})
    server.approve(waiting, repair)
    server.serve()
    assert [server.state(number).status for number in (waiting, repair)] == [Status.APPROVED] * 2
    assert not server.state(repair).runs

    server.approve(repair, repair=True)
    server.serve()

    assert server.state(repair).forge is Forge.LANDED
    assert server.state(waiting).forge is Forge.LANDED
    assert server.state(repair).runs[0].repair


def test_tests_that_can_be_read_are_not_replaced_by_a_repair(server: Server) -> None:
    """An approval for that means nothing where nothing is to be repaired, or is any more."""
    server.base(FAILING)
    easier = server.change("easier", "main", bad="x", **{"limmat.toml": PASSING})
    server.approve(easier, repair=True)

    server.serve()

    assert server.state(easier).status is Status.FAILED
    assert not server.state(easier).runs[0].repair


def test_the_first_pause_of_all_is_heard_before_a_landing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the plan and the landing somebody says it, and there was nothing about the queue before."""
    server.base()
    number = server.change("good")
    server.approve(number)
    execute = Executor.execute

    def pause_first(self: Executor, action: Action, loaded: Loaded, rules: Rules) -> None:
        if isinstance(action, Land) and loaded.queue_tip is None:
            server.tell(None, Pause(), "root")
        execute(self, action, loaded, rules)

    monkeypatch.setattr(Executor, "execute", pause_first)
    server.serve()

    assert server.state(number).forge is Forge.OPEN
    assert server.session.timelines.load().queue.paused is not None
    server.tell(None, Resume(), "root")
    server.serve()
    assert server.state(number).forge is Forge.LANDED


def test_a_change_that_would_break_the_tests_does_not_land(server: Server) -> None:
    """After it nobody could be tested any more."""
    base = server.base()
    number = server.change("break", **{"limmat.toml": "[[tests]]\nname = 1\n"})
    server.approve(number)

    server.serve()

    assert server.tip == base
    change = server.state(number)
    assert change.status is Status.FAILED
    assert "after it there would be no tests" in change.runs[0].reason


def test_every_commit_is_tested_if_wanted(server: Server) -> None:
    """With everyCommit one bad commit in the middle is enough."""
    server.base(FAILING)
    server.set("everyCommit", "true")
    server.repo.commit("topic", "main", bad="x")
    (server.repo.path / "bad").unlink()
    head = server.repo.commit("topic2")
    server.push(head)
    number = server.open("topic", head)
    server.approve(number)

    server.serve()

    run = server.state(number).runs[0]
    assert run.outcome is RunOutcome.FAILED
    assert run.commits[-1] == run.merge
    assert len(run.commits) == 3
    assert sorted(job.outcome for job in run.jobs) == [Outcome.FAILED, Outcome.PASSED, Outcome.PASSED]


def test_a_head_that_others_brought_there_has_landed(server: Server) -> None:
    """Someone who may has pushed it: nothing is tested, and nothing is merged."""
    server.base()
    number = server.change("topic")
    server.approve(number)
    server.bare.git("update-ref", "refs/heads/main", server.state(number).head)

    server.serve()

    change = server.state(number)
    assert (change.forge, change.landed_by, change.runs) == (Forge.LANDED, "", ())
    assert server.tip == change.head
    assert change.comments[-1].text == f"is in main already, as of {server.tip[:12]}"


def test_a_change_that_came_with_another_one_says_so(server: Server) -> None:
    """Its head is among the commits of the one that has landed; nobody else had a part in it."""
    server.base()
    first = server.repo.commit("first", "main", a="1")
    second = server.repo.commit("second", first, b="1")
    server.push(second)
    within, whole = server.open("first", first), server.open("second", second)
    server.approve(whole)

    server.serve()

    assert server.state(within).landed_by == ""
    assert server.state(within).comments[-1].text == f"came to main with #{whole}, as of {server.tip[:12]}"


def test_a_paused_queue_starts_and_lands_nothing(server: Server, tmp_path: Path) -> None:
    """What runs may end, and lands when the queue goes on."""
    base = server.base(blocking(tmp_path))
    number = server.change("topic")
    server.approve(number)

    def act() -> None:
        wait_for_file(tmp_path / "began")
        server.tell(None, Pause(), "root")
        (tmp_path / "go").touch()
        wait_until(lambda: server.state(number).status is Status.READY)

    server.serve_while(act)
    server.serve()
    assert server.tip == base

    server.tell(None, Resume(), "root")
    server.serve()

    assert server.tip == server.state(number).runs[0].merge


def test_a_daemon_that_is_stopped_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    """What passed before is not run again, and the same run lands."""
    server.base(f'[[tests]]\nname = "once"\ncommand = "echo ran >>{tmp_path}/once"\n{blocking(tmp_path)}')
    number = server.change("topic")
    server.approve(number)

    def act() -> None:
        wait_for_file(tmp_path / "began")
        wait_until(lambda: bool(server.state(number).runs[0].jobs))

    server.serve_while(act)
    assert server.state(number).status is Status.TESTING

    (tmp_path / "go").touch()
    server.serve()

    assert server.state(number).forge is Forge.LANDED
    assert len(server.state(number).runs) == 1
    assert (tmp_path / "once").read_text().split() == ["ran"]


def test_the_command_of_notify_is_told_each_thing_once(server: Server, tmp_path: Path) -> None:
    """It gets what happened in variables; that it fails changes nothing."""
    server.base(FAILING)
    server.set("notify", f'echo "$LIMMAT_QUEUE_CHANGE $LIMMAT_QUEUE_EVENT" >>{tmp_path}/told; exit 3')
    bad = server.change("bad-one", bad="x")
    good = server.change("good", "main")
    server.approve(bad, good)

    server.serve()
    server.serve()

    assert (tmp_path / "told").read_text().splitlines() == [f"{bad} failed", f"{good} landed"]
    assert server.warnings == ["the command of 'limmat.queue.notify' ended with 3"]


def test_one_damaged_timeline_stops_nobody_else(server: Server) -> None:
    """It is left out, and that is told."""
    server.base()
    broken = server.change("broken")
    good = server.change("good", "main")
    server.approve(good)
    server.bare.git("update-ref", f"refs/limmat/queue/changes/{broken}/meta", server.tip + "^{tree}")

    server.serve()

    assert server.session.timelines.load().changes[good].forge is Forge.LANDED
    assert any(f"change {broken} is left out" in warning for warning in server.warnings)


def test_a_repository_with_a_worktree_is_not_served(repo: Repo) -> None:
    """Its branch would move under who works on it."""
    repo.commit("base")

    done = repo.program("queue", "serve", "--once")

    assert done.returncode == 128
    assert b"it is not a bare repository" in done.stderr


def test_only_one_daemon_serves_a_queue(server: Server) -> None:
    """The second one says so with --once, and takes over when the first is gone."""
    server.base()
    number = server.change("topic")
    server.approve(number)
    repository = find_repository(server.bare.path)
    turn = take_turn(repository)
    assert turn is not None
    assert served_by(repository) is not None

    with pytest.raises(LimmatError, match="served by another process"):
        server.serve()
    assert server.state(number).forge is Forge.OPEN

    turn.end()
    server.serve()
    assert served_by(repository) is None
    assert server.state(number).forge is Forge.LANDED


def test_a_waiting_daemon_hears_of_a_command_at_once(server: Server) -> None:
    """A poke wakes it: nobody waits for the net."""
    server.base()
    number = server.change("topic")

    def act() -> None:
        wait_until(lambda: served_by(find_repository(server.bare.path)) is not None)
        server.approve(number)
        wait_until(lambda: server.state(number).forge is Forge.LANDED)

    server.serve_while(act)


def test_linear_policy_copies_each_commit(server: Server) -> None:
    """The target gets commits with one parent each, and the change has landed."""
    base = server.base()
    server.set("policy", "linear")
    other = server.change("other")
    server.repo.commit("topic", "main")
    head = server.repo.commit("topic-2")
    server.push(head)
    number = server.open("topic", head)
    server.approve(other, number)

    server.serve()

    assert server.state(number).forge is Forge.LANDED
    assert len(server.bare.git("rev-list", f"{base}..main").split()) == 3
    assert not server.bare.git("rev-list", "--merges", f"{base}..main")


def test_gc_at_any_time_loses_nothing(server: Server) -> None:
    """All that counts is reachable from refs of ours."""
    server.base()
    numbers = [server.change(f"c{place}", "main") for place in range(2)]
    server.approve(numbers[0])
    server.serve()
    server.bare.git("reflog", "expire", "--expire=all", "--all")
    server.bare.git("gc", "-q", "--prune=now")

    server.approve(numbers[1])
    server.serve()

    assert server.state(numbers[1]).forge is Forge.LANDED
    subprocess.run(["git", "fsck", "--strict"], cwd=server.bare.path, check=True, capture_output=True)


def test_the_queue_never_speaks_in_another_name(server: Server) -> None:
    """All it does itself has its own name as actor."""
    server.base()
    number = server.change("topic")
    server.approve(number)
    server.serve()

    actors = [
        event.actor
        for entry in server.session.timelines.entries(number)
        for event in entry.events
        if hasattr(event, "actor")
    ]
    assert actors == ["bob", "ann", *[QUEUE] * 5]
