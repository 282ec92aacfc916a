"""`git limmat watch` as users run it: started anywhere, ended anyhow, and with something always broken."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from waiting import is_alive, wait_until
from watcher import Watcher

from gitlimmat.web.api import ApiBoard

PASS = '[[tests]]\nname = "unit"\ncommand = "true"\n'
LOGGED = '[[tests]]\nname = "unit"\ncommand = "echo $LIMMAT_COMMIT >>$LIMMAT_ORIGIN/ran.log"\n'
GATED = """num_worktrees = 2
[[tests]]
name = "unit"
shutdown_grace_period_s = 30
command = '''
echo $LIMMAT_COMMIT >>$LIMMAT_ORIGIN/ran.log
echo $$ >>$LIMMAT_ORIGIN/pids.log
while ! test -e $LIMMAT_ORIGIN/gate.log; do sleep 0.02; done
'''
"""
DEAF = GATED.replace("echo $LIMMAT_COMMIT", "trap '' TERM HUP INT\necho $LIMMAT_COMMIT", 1)
MANY = 16 if os.environ.get("LIMMAT_SOAK") else 4


@pytest.fixture
def topic(repo: Repo) -> Repo:
    """A repository with one commit on `main` and one on `topic`, which is checked out."""
    repo.config(LOGGED)
    repo.commit("base")
    repo.commit("topic", "main")
    return repo


def is_well(board: ApiBoard) -> bool:
    """Whether nothing is wrong now; warnings are shown for a while."""
    return not board.problems.keys() - {"warning"}


def pids(repo: Repo) -> list[int]:
    """Return the process ids of the jobs of a gated test that have begun."""
    return [int(line) for line in repo.lines("pids.log")]


# Started anywhere


@pytest.mark.parametrize("name", ["with spaces", "caf\u00e9 \u2713", "-dash", "qu'o\"te", "per%cent"])
def test_any_name_of_a_directory_will_do(make_repo: Callable[..., Repo], name: str) -> None:
    """Spaces, quotes and other alphabets are nothing special."""
    repo = make_repo(name)
    repo.config(LOGGED.replace("$LIMMAT_ORIGIN/ran.log", "'$LIMMAT_ORIGIN'/ran.log").replace("'", '\\"'))
    repo.commit("base")
    repo.commit("topic", "main")

    with Watcher(repo) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        assert watcher.board().name == name
        repo.commit("second")
        watcher.wait_for("main..topic: 2 passed")
        assert watcher.stop() == 0


def test_a_directory_with_a_newline_is_refused(make_repo: Callable[..., Repo]) -> None:
    """An error of one line, not half a program."""
    repo = make_repo("new\nline")
    repo.config(PASS)
    repo.commit("base")

    with Watcher(repo) as watcher:
        assert watcher.end() == 128
    assert "newline" in watcher.errors.read_text()


def test_a_bare_repository_is_watched(topic: Repo, tmp_path: Path) -> None:
    """What is pushed there is tested."""
    bare = tmp_path / "bare.git"
    topic.git("clone", "-q", "--bare", ".", str(bare))
    config = topic.config(PASS)

    with Watcher(topic, "-c", str(config), "main", cwd=bare) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        topic.commit("second")
        topic.git("push", "-q", str(bare), "topic")
        watcher.wait_for("main..topic: 2 passed")
        assert watcher.stop() == 0


def test_a_linked_worktree_has_a_head_of_its_own(topic: Repo, tmp_path: Path) -> None:
    """Its branch is followed, not that of the main worktree."""
    linked = tmp_path / "linked"
    topic.git("worktree", "add", "-q", "-b", "other", str(linked), "main")
    config = topic.config(PASS)

    with Watcher(topic, "-c", str(config), "main", cwd=linked) as watcher:
        watcher.wait_for("main..other: 0 commits")
        topic.commit("second")
        subprocess.run(
            ["git", "commit", "-q", "--allow-empty", "-m", "there"],
            cwd=linked,
            env=topic.environment,
            check=True,
        )
        watcher.wait_for("main..other: 1 passed")
        assert "topic" not in watcher.said
        assert watcher.stop() == 0


def test_a_submodule_is_a_repository_like_others(topic: Repo, make_repo: Callable[..., Repo]) -> None:
    """Its git directory is elsewhere."""
    above = make_repo("above")
    above.commit("base")
    above.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(topic.path), "sub")
    sub = Repo(above.path / "sub", above.environment)
    sub.config(PASS)
    sub.git("branch", "main", "HEAD~1")

    with Watcher(above, "main", cwd=sub.path) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        sub.write("limmat.toml", PASS.replace("true", "false"))
        watcher.wait_for("main..topic: 1 failed")
        assert watcher.stop() == 0


def test_repositories_are_named_from_elsewhere(topic: Repo, tmp_path: Path) -> None:
    """--repo works from a directory that is in no repository."""
    with Watcher(topic, "--repo", str(topic.path), cwd=tmp_path) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        topic.commit("second")
        watcher.wait_for("main..topic: 2 passed")
        assert watcher.stop() == 0
    assert len(topic.lines("ran.log")) == 2


def test_one_repository_given_twice_is_tested_once(topic: Repo) -> None:
    """The two boards share what is found out."""
    with Watcher(topic, "--repo", ".", "--repo", str(topic.path), pages=False) as watcher:
        wait_until(lambda: watcher.said.count("main..topic: 1 passed") == 2, "both")
        topic.commit("second")
        wait_until(lambda: watcher.said.count("main..topic: 2 passed") == 2, "both")
        assert watcher.stop() == 0, watcher.account()
    assert len(topic.lines("ran.log")) == 2


def test_a_config_is_read_from_standard_input(topic: Repo) -> None:
    """Once, and used as long as the watch goes on."""
    config = topic.config(LOGGED, name="other.toml")
    (topic.path / "limmat.toml").unlink()

    with Watcher(topic, "-c", "/dev/stdin", stdin=config) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        topic.git("config", "limmat.jobs", "1")
        topic.commit("second")
        watcher.wait_for("main..topic: 2 passed")
        assert watcher.stop() == 0
    assert "config" not in watcher.said


def test_git_dir_says_which_repository(topic: Repo, tmp_path: Path) -> None:
    """And does not reach the jobs."""
    topic.config(LOGGED.replace("echo", "test -z $GIT_DIR && echo"))
    variables = {"GIT_DIR": str(topic.path / ".git"), "GIT_WORK_TREE": str(topic.path)}
    config = str(topic.path / "limmat.toml")

    with Watcher(topic, "-c", config, cwd=tmp_path, **variables) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        topic.commit("second")
        watcher.wait_for("main..topic: 2 passed")
        assert watcher.stop() == 0


def test_an_empty_range_waits_for_commits(topic: Repo) -> None:
    """Nothing to do is no error. Commands may take the place of a config."""
    (topic.path / "limmat.toml").unlink()

    with Watcher(topic, "-x", "test -e file", "HEAD", pages=False) as watcher:
        watcher.wait_for("0 commits")
        assert watcher.stop() == 0
    with Watcher(topic, "-x", "test -e file", "topic^{commit}", pages=False) as watcher:
        watcher.wait_for("0 commits")
        topic.git("checkout", "-q", "--detach")
        topic.commit("more", file="")
        watcher.wait_for("0 commits")
        assert watcher.stop() == 0


# Ended anyhow


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(topic: Repo, number: int) -> None:
    """No job, no run directory and no zombie is left, and what was found out is stored."""
    topic.config(PASS.replace("unit", "fast") + GATED.replace("num_worktrees = 2\n", ""))

    with Watcher(topic) as watcher:
        watcher.wait_for("fast  passed")
        wait_until(lambda: len(pids(topic)) == 1, "the job")
        assert watcher.stop(number) == 0, watcher.account()
    assert not is_alive(pids(topic)[0])
    assert "stopping unit on" in watcher.said
    assert "passed" in topic.limmat("status", "HEAD")
    assert list((topic.path / ".git" / "limmat" / "runs").iterdir()) == []
    assert watcher.errors.read_text() == ""


def test_the_second_signal_kills_what_does_not_heed_the_first(topic: Repo) -> None:
    """At once, without waiting for its grace period."""
    topic.config(DEAF)

    with Watcher(topic, pages=False) as watcher:
        wait_until(lambda: len(pids(topic)) == 1, "the job")
        watcher.process.send_signal(signal.SIGINT)
        watcher.wait_for("stopping unit on")
        time.sleep(0.15)  # what comes at once is one Ctrl-C, passed on by git
        assert watcher.stop(within=4) == 0
    assert not is_alive(pids(topic)[0])


def test_a_killed_watch_leaves_nothing_in_the_way(topic: Repo) -> None:
    """Its job is ended, and the next watch has its lock and its worktree."""
    topic.config(GATED)
    with Watcher(topic, pages=False) as watcher:
        wait_until(lambda: len(pids(topic)) == 1, "the job")
        watcher.process.kill()
        watcher.end()
    worktrees = topic.git("worktree", "list")

    with Watcher(topic, pages=False) as watcher:
        topic.write("gate.log", "open")
        watcher.wait_for("main..topic: 1 passed")
        assert watcher.stop() == 0
    wait_until(lambda: not any(map(is_alive, pids(topic))), "the end of all jobs")
    assert len(topic.git("worktree", "list").splitlines()) <= len(worktrees.splitlines()) + 1
    assert watcher.errors.read_text() == ""


def test_being_stopped_for_a_while_does_no_harm(topic: Repo) -> None:
    """What has happened meanwhile is seen when it goes on."""
    with Watcher(topic) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        watcher.process.send_signal(signal.SIGSTOP)
        for number in range(5):
            topic.commit(f"c{number}")
        topic.git("reset", "-q", "--hard", "HEAD~2")
        topic.git("gc", "-q", "--prune=now")
        watcher.process.send_signal(signal.SIGCONT)
        watcher.wait_for("main..topic: 4 passed")
        assert watcher.stop() == 0
    assert len(topic.lines("ran.log")) == 4


def test_nohup_keeps_it_going(topic: Repo) -> None:
    """A signal that it was started to ignore is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        watcher = Watcher(topic, pages=False)
    finally:
        signal.signal(signal.SIGHUP, before)
    with watcher:
        watcher.wait_for("main..topic: 1 passed")
        watcher.process.send_signal(signal.SIGHUP)
        topic.commit("second")
        watcher.wait_for("main..topic: 2 passed")
        assert watcher.stop() == 0


def test_a_reader_who_goes_away_ends_it(topic: Repo) -> None:
    """As other programs in a pipe; quietly, with its jobs, and with everything stored."""
    topic.config(GATED)
    process = topic.start("watch", "--no-http")
    assert process.stdout is not None
    process.stdout.readline()
    wait_until(lambda: len(pids(topic)) == 1, "the job")
    process.stdout.close()

    topic.commit("second")
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()

    assert process.wait(20) != 0
    assert b"Traceback" not in said
    wait_until(lambda: not any(map(is_alive, pids(topic))), "the end of all jobs")


def test_two_thousand_commits_do_not_delay_the_end(repo: Repo) -> None:
    """Ctrl-C while a long range is begun ends it at once."""
    repo.config('[[tests]]\nname = "unit"\nrequires_worktree = false\ncommand = "sleep 9"\n')
    author = "committer A <a@b> 1750000000 +0000\ndata 1\nx\n"
    repo.git("fast-import", "--quiet", stdin=f"commit refs/heads/main\n{author}" * 2001)
    with Watcher(repo, "main~2000") as watcher:
        watcher.wait_for("2,000 commits")
        begun = time.monotonic()
        assert watcher.stop() == 0
        assert time.monotonic() - begun < 5


def test_a_crowd_runs_one_case_once(topic: Repo) -> None:
    """Watches and `get --run` alike wait for the one who was first, and use its answer."""
    watchers = [Watcher(topic, pages=False) for _ in range(MANY)]
    getters = [topic.start("get", "--run", "unit", "HEAD") for _ in range(MANY)]
    try:
        for getter in getters:
            assert getter.wait(60) == 0
            getter.communicate()
        for watcher in watchers:
            watcher.wait_for("main..topic: 1 passed")
        for watcher in watchers:
            assert watcher.stop(within=30) == 0
    finally:
        for watcher in watchers:
            watcher.__exit__()
    assert len(topic.lines("ran.log")) == 1


# With something broken


def test_a_pool_or_state_removed_meanwhile_is_made_again(topic: Repo) -> None:
    """What is in the cache and in .git/limmat can be deleted at any time."""
    cache = Path(topic.environment["XDG_CACHE_HOME"])
    with Watcher(topic, pages=False) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        shutil.rmtree(cache)
        topic.commit("second")
        watcher.wait_for("main..topic: 2 passed")
        shutil.rmtree(topic.path / ".git" / "limmat")
        topic.commit("third")
        watcher.wait_for("main..topic: 3 passed")
        assert watcher.stop() == 0, watcher.account()
    assert not watcher.log.exists(), watcher.account()


@pytest.mark.parametrize("garbage", ["1" * 40 + "\n", "not an id\n", ""])
def test_results_that_turn_to_garbage_are_replaced(topic: Repo, garbage: str) -> None:
    """The tests run again, and the store works again."""
    with Watcher(topic) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        (topic.path / ".git" / "refs" / "limmat" / "results").write_text(garbage)
        topic.commit("second")
        watcher.wait_for("main..topic: 2 passed")
        wait_until(lambda: topic.limmat("status", "main..HEAD").count("passed") >= 1, "the store")
        assert watcher.stop() == 0, watcher.account()
    assert topic.limmat("run", "main..HEAD").count("passed") == 2


def test_objects_that_are_away_for_a_while(topic: Repo) -> None:
    """A disk that comes back: the watch says so and goes on."""
    objects = topic.path / ".git" / "objects"
    with Watcher(topic) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        objects.rename(topic.path / ".git" / "away")
        topic.git("update-ref", "refs/heads/new", "HEAD", check=False)
        (topic.path / ".git" / "HEAD").write_text("ref: refs/heads/topic\n")
        watcher.wait_for("problem with")
        (topic.path / ".git" / "away").rename(objects)
        topic.commit("second")
        watcher.wait_for_board(lambda board: is_well(board) and board.counts["passed"] == 2)
        assert watcher.stop() == 0, watcher.account()


@pytest.mark.parametrize("kind", ["deleted", "directory", "unreadable", "broken"])
def test_a_config_that_is_away_for_a_while(topic: Repo, kind: str) -> None:
    """It is said, the last one goes on being used, and the next good one is taken."""
    config = topic.path / "limmat.toml"
    with Watcher(topic) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        config.unlink()
        if kind == "directory":
            config.mkdir()
        elif kind == "unreadable":
            config.symlink_to("limmat.toml")
        elif kind == "broken":
            config.write_text("[[tests")
        watcher.wait_for("problem with config")
        topic.commit("second")
        watcher.wait_for("main..topic: 2 passed")
        if kind == "directory":
            config.rmdir()
        config.unlink(missing_ok=True)
        topic.config(LOGGED.replace("unit", "other"))
        watcher.wait_for_board(lambda board: board.tests == ("other",) and board.counts["passed"] == 2)
        assert watcher.board().problems == {}
        assert watcher.stop() == 0, watcher.account()


def test_a_git_that_fails_for_a_while(topic: Repo, tmp_path: Path) -> None:
    """What needs git is said to fail, and done when it works again."""
    real = shutil.which("git")
    binary = tmp_path / "git"
    binary.write_text(f'#!/bin/sh\ntest ! -e {tmp_path}/broken || exit 42\nexec {real} "$@"\n')
    binary.chmod(0o755)
    with Watcher(topic, "--git-binary", str(binary)) as watcher:
        watcher.wait_for("main..topic: 1 passed")
        (tmp_path / "broken").write_text("")
        topic.commit("second")
        watcher.wait_for("problem with")
        (tmp_path / "broken").unlink()
        watcher.wait_for_board(lambda board: is_well(board) and board.counts["passed"] == 2)
        assert watcher.stop() == 0, watcher.account()
    assert "Traceback" not in watcher.errors.read_text()


def test_a_git_that_fails_when_the_base_is_asked_for(topic: Repo, tmp_path: Path) -> None:
    """It is asked again by itself: nothing changes when git works again."""
    real = shutil.which("git")
    binary = tmp_path / "git"
    broken = f'case "$*" in *cat-file*) test ! -e {tmp_path}/broken || exit 42 ;; esac'
    binary.write_text(f'#!/bin/sh\n{broken}\nexec {real} "$@"\n')
    binary.chmod(0o755)
    (tmp_path / "broken").write_text("")
    with Watcher(topic, "--git-binary", str(binary), "HEAD~1") as watcher:
        watcher.wait_for("problem with range: git cat-file failed")
        (tmp_path / "broken").unlink()
        watcher.wait_for_board(lambda board: is_well(board) and board.counts["passed"] == 1)
        assert watcher.stop() == 0, watcher.account()


def test_history_that_moves_between_two_reads(topic: Repo, tmp_path: Path) -> None:
    """A git that is slow to list commits: in the end the right ones are shown."""
    real = shutil.which("git")
    binary = tmp_path / "git"
    binary.write_text(f'#!/bin/sh\ncase "$*" in *--graph*) sleep 0.2 ;; esac\nexec {real} "$@"\n')
    binary.chmod(0o755)
    with Watcher(topic, "--git-binary", str(binary)) as watcher:
        for number in range(30):
            topic.write("file", str(number))
            topic.git("add", "file")
            topic.git("commit", "-q", "--amend", "-m", f"amended {number}")
            if number % 10 == 9:
                topic.git("reflog", "expire", "--expire=now", "--all")
                topic.git("gc", "-q", "--prune=now")
        head = topic.git("rev-parse", "HEAD")
        watcher.wait_for_board(
            lambda board: [row.id for row in board.commits] == [head] and board.counts["passed"] == 1
        )
        watcher.wait_for_board(is_well)
        assert watcher.stop() == 0, watcher.account()


FOLLOWER = """
from gitlimmat.git import follow
real, turns = follow.Follower.run, []
async def run(self):
    turns.append(1)
    if len(turns) <= {turns}:
        raise ValueError("follower is broken")
    await real(self)
follow.Follower.run = run
"""


def test_a_part_that_fails_is_started_again(topic: Repo) -> None:
    """It is shown, with the file that has the traceback."""
    with Watcher(topic, patch=FOLLOWER.format(turns=1)) as watcher:
        watcher.wait_for("problem with following: following failed: ValueError: follower is broken")
        assert "Traceback" in watcher.log.read_text()
        watcher.wait_for("main..topic: 1 passed")
        topic.commit("second")
        watcher.wait_for("main..topic: 2 passed")
        assert watcher.stop() == 0, watcher.account()


PARTS = {
    "following": FOLLOWER.format(turns=99),
    "pages": """
from gitlimmat.web import pages
async def serve(self):
    raise ValueError("pages are broken")
pages.Pages.serve = serve
""",
    "lines": """
from gitlimmat.cli import plain
async def serve(self):
    raise ValueError("lines are broken")
plain.PlainLines.serve = serve
""",
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_fails_again_and_again_ends_it(topic: Repo, part: str) -> None:
    """With an error, and with all tracebacks in the log; never a hang."""
    patch = PARTS[part] + "from gitlimmat.service import logfile\nlogfile._FIRST_PAUSE_S = 0.01\n"
    patch += "logfile.guarded.__kwdefaults__['restart_s'] = 0.01\n"
    with Watcher(topic, patch=patch) as watcher:
        assert watcher.end(within=20) == 128, watcher.account()
    assert f"fatal: {part} failed 5 times" in watcher.errors.read_text()
    assert watcher.log.read_text().count("Traceback") >= 5


@pytest.mark.parametrize("place", ["Tracker.target", "Recorder.serve", "Engine._job"])
def test_a_bug_ends_it_with_its_traceback(topic: Repo, place: str) -> None:
    """On standard error and in the log, with a status that is not 0, and without jobs that go on."""
    owner, name = place.split(".")
    patch = f"""
from gitlimmat.service import {owner.lower()}
def broken(self, *words):
    raise ValueError("a bug")
{owner.lower()}.{owner}.{name} = broken
"""
    with Watcher(topic, patch=patch) as watcher:
        assert watcher.end(within=20) not in (0, -signal.SIGSEGV), watcher.account()
    assert "ValueError: a bug" in watcher.errors.read_text()
    assert "ValueError: a bug" in watcher.log.read_text()
    assert "Traceback" in watcher.log.read_text()


def test_a_disk_without_room_is_told_and_recovered_from(topic: Repo) -> None:
    """Results wait until there is room, and none is lost."""
    objects = topic.path / ".git" / "objects"
    aside = topic.path / ".git" / "aside"
    shutil.copytree(objects, aside)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(objects)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("may not mount a small file system")
    try:
        shutil.copytree(aside, objects, dirs_exist_ok=True)
        with Watcher(topic) as watcher:
            watcher.wait_for("main..topic: 1 passed")
            full = subprocess.run(["cp", "/dev/zero", str(objects / "filler")], check=False)
            assert full.returncode == 1
            topic.config(LOGGED.replace("echo", "echo again; echo"))
            watcher.wait_for("problem with store")
            (objects / "filler").unlink()
            watcher.wait_for_board(lambda board: is_well(board) and board.counts["passed"] == 1)
            assert watcher.stop() == 0, watcher.account()
        assert "passed" in topic.limmat("status", "HEAD")
    finally:
        subprocess.run(["umount", "-l", str(objects)], check=True)


# Under load, and with dependencies


def test_the_newest_commit_gets_the_first_free_slot(topic: Repo) -> None:
    """Long jobs of older commits hold all slots; a job whose commit has vanished frees its slot at once."""
    topic.config(DEAF)
    topic.commit("second")
    topic.commit("third")
    with Watcher(topic, "--jobs=2") as watcher:
        wait_until(lambda: len(pids(topic)) == 2, "two jobs")
        topic.git("commit", "-q", "--amend", "-m", "other third")
        newest = topic.git("rev-parse", "HEAD")
        wait_until(lambda: topic.lines("ran.log")[2:] == [newest], "the newest")
        topic.write("gate.log", "open")
        watcher.wait_for("main..topic: 3 passed")
        assert watcher.stop() == 0


DEPENDENT = """
[[tests]]
name = "build"
error_exit_codes = [9]
command = "test -e $LIMMAT_ORIGIN/well.log || exit 9; echo made >$LIMMAT_ARTIFACTS/app"
[[tests]]
name = "unit"
depends_on = ["build"]
command = "grep made $LIMMAT_ARTIFACTS_build/app"
"""


def test_dependents_follow_what_they_depend_on(topic: Repo) -> None:
    """Errored with the reason while it fails; run with its artifacts when it was run again."""
    topic.config(DEPENDENT)
    with Watcher(topic) as watcher:
        watcher.wait_for("unit   errored (dependency 'build'")
        topic.write("well.log", "")
        topic.limmat("run", "HEAD")
        watcher.wait_for("main..topic: 2 passed")
        topic.commit("second")
        watcher.wait_for("main..topic: 4 passed")
        assert watcher.stop() == 0, watcher.account()


def test_one_tree_answers_for_two_commits(topic: Repo) -> None:
    """A revert has the tree of what it goes back to: one run, two rows."""
    topic.config(LOGGED + 'cache = "by_tree"\n')
    topic.commit("second", file="2")
    topic.git("revert", "--no-edit", "HEAD")
    with Watcher(topic) as watcher:
        watcher.wait_for("main..topic: 3 passed")
        assert len(topic.lines("ran.log")) == 2
        assert watcher.stop() == 0
