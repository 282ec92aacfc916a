"""What tests in the background: when it begins and ends, what it tests, and that it never misses a commit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Repo
from hooking import end_all, install, marked, use_quick, use_real
from waiting import is_alive, wait_for_file, wait_until

from gitlimmat.service.background import run_background, settle
from gitlimmat.service.logfile import open_log
from gitlimmat.service.presence import Presence, Turn
from gitlimmat.service.request import Request

LOGGED = '[[tests]]\nname = "unit"\ncommand = "echo $LIMMAT_COMMIT >>$LIMMAT_ORIGIN/ran.log"\n'
GATED = '''
[[tests]]
name = "unit"
command = """
echo $$ >>$LIMMAT_ORIGIN/up.log
while ! test -e $LIMMAT_ORIGIN/gate.log; do sleep 0.01; done
"""
'''


@pytest.fixture
def hooked(repo: Repo, tmp_path: Path) -> Iterator[Repo]:
    """A repository with one commit and our hooks, which find a program that is quickly done."""
    repo.config(LOGGED)
    repo.commit("base")
    install(repo)
    use_quick(repo)
    yield repo
    end_all(tmp_path)


def wait_for_end(repo: Repo) -> None:
    """Return when nothing is tested in the background any more."""
    wait_until(lambda: marked(repo.path / ".git") is None, "end of the program", every=0.02)


def run_here(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test in the background of nobody: in this process, until it ends."""
    monkeypatch.chdir(repo.path)
    request, repository = settle(Request())
    run_background(request, open_log("background", repository.name, print), quiet_s=0.2)


def test_a_commit_is_tested_and_shown_by_git_log(hooked: Repo) -> None:
    """A user who knows nothing of us commits, and sees the result in the log; then all is quiet again."""
    commit = hooked.commit("second")
    wait_for_end(hooked)

    assert hooked.lines("ran.log") == [commit]
    assert "passed unit" in hooked.git("log", "-1", "--notes=limmat")
    assert (hooked.path / ".git/limmat/background.out").read_text() == ""
    log = wait_for_file(Path(hooked.environment["XDG_STATE_HOME"]) / "limmat/background-repo.log")
    assert f"info unit: {commit} passed" in log


def test_it_starts_again_for_the_next_commit(hooked: Repo) -> None:
    """That it has ended is no reason to stay so."""
    commits = []
    for subject in ("second", "third"):
        commits.append(hooked.commit(subject))
        wait_for_end(hooked)

    assert hooked.lines("ran.log") == commits


def test_one_takes_up_what_comes_while_it_runs(hooked: Repo) -> None:
    """The second commit starts nothing, and is tested all the same."""
    hooked.config(GATED)
    hooked.commit("second")
    wait_for_file(hooked.path / "up.log")
    pid = marked(hooked.path / ".git")
    last = hooked.commit("third")
    hooked.write("gate.log", "")
    wait_until(lambda: "passed" in hooked.git("log", "-1", "--format=%N", "--notes=limmat"), "result")

    assert marked(hooked.path / ".git") in (pid, None)
    assert hooked.git("rev-parse", "HEAD") == last


@pytest.mark.parametrize(
    ("setting", "expected"), [("head", ["third"]), ("range", ["second", "third"]), ("HEAD", ["third"])]
)
def test_the_setting_says_how_much_is_tested(hooked: Repo, setting: str, expected: list[str]) -> None:
    """`head` is the commit of HEAD, `range` what is not in the base."""
    hooked.git("config", "limmat.background", setting)
    quiet = ("-c", "core.hooksPath=/dev/null")
    hooked.git(*quiet, "switch", "-q", "-c", "topic")
    hooked.git(*quiet, "commit", "-q", "--allow-empty", "-m", "second")
    hooked.commit("third")
    wait_for_end(hooked)

    subjects = {hooked.git("log", "-1", "--format=%s", commit) for commit in hooked.lines("ran.log")}
    assert subjects == set(expected)


@pytest.mark.parametrize("setting", ["head", "range"])
def test_the_first_commit_is_tested(hooked: Repo, setting: str) -> None:
    """It has no parent, and on the only branch there is no base."""
    hooked.git("config", "limmat.background", setting)
    hooked.git("update-ref", "-d", "HEAD")

    commit = hooked.commit("root")
    wait_for_end(hooked)

    assert hooked.lines("ran.log") == [commit]


def test_a_merge_is_one_commit(hooked: Repo) -> None:
    """Of a merge `head` is the merge alone, not what it brings."""
    quiet = ("-c", "core.hooksPath=/dev/null")
    hooked.git(*quiet, "switch", "-q", "-c", "topic")
    hooked.git(*quiet, "commit", "-q", "--allow-empty", "-m", "second")
    hooked.git(*quiet, "switch", "-q", "main")

    hooked.git("merge", "-q", "--no-ff", "-m", "merge", "topic")
    wait_for_end(hooked)

    assert hooked.lines("ran.log") == [hooked.git("rev-parse", "HEAD")]


def test_a_rebase_is_waited_for(hooked: Repo) -> None:
    """What is rewritten the next moment is not tested: of thirty commits the last one."""
    quiet = ("-c", "core.hooksPath=/dev/null")
    hooked.git(*quiet, "switch", "-q", "-c", "topic")
    for number in range(30):
        hooked.git(*quiet, "commit", "-q", "--allow-empty", "-m", f"commit {number}")
    hooked.git(*quiet, "switch", "-q", "main")
    hooked.git(*quiet, "commit", "-q", "--allow-empty", "-m", "new base")
    hooked.git(*quiet, "switch", "-q", "topic")

    hooked.git("rebase", "-q", "main")
    wait_for_end(hooked)

    assert hooked.lines("ran.log")[-1] == hooked.git("rev-parse", "topic")
    assert len(hooked.lines("ran.log")) < 10


def test_another_one_ends_at_once(hooked: Repo) -> None:
    """So does one beside a watch, and one that is turned off. None of it is an error."""
    presence = Presence(hooked.path / ".git")
    turn = presence.take_turn()
    assert turn is not None
    assert presence.take_turn() is None
    hooked.limmat("background")
    turn.end()
    with presence.watching():
        hooked.limmat("background")
    hooked.git("config", "limmat.background", "off")
    hooked.limmat("background")

    assert hooked.lines("ran.log") == []


def test_no_commit_is_missed_on_the_way_out(hooked: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose hook still saw us, and one whose hook started another that ended at our lock."""
    late: list[str] = []
    end = Turn.end

    def commit_late(turn: Turn) -> None:
        if len(late) == 0:
            late.append(hooked.git("commit-tree", "-p", "HEAD", "-m", "late", "HEAD^{tree}"))
            hooked.git("update-ref", "HEAD", late[0])
        end(turn)

    monkeypatch.setattr(Turn, "end", commit_late)
    first = hooked.git("rev-parse", "HEAD")
    run_here(hooked, monkeypatch)

    assert hooked.lines("ran.log") == [first, *late]


def test_one_that_ends_at_the_lock_is_not_taken_for_alive(hooked: Repo) -> None:
    """Its hook has marked it; while it ends, another hook must not count on it."""
    presence = Presence(hooked.path / ".git")
    turn = presence.take_turn()
    assert turn is not None
    marker = hooked.path / ".git/limmat/background"
    own = marker.read_text()

    assert presence.take_turn() is None
    assert not marker.exists()

    marker.write_text(own.replace(str(os.getpid()), "1"))
    turn.end()
    assert marker.exists()


def test_many_hooks_at_once_start_one_runner(hooked: Repo) -> None:
    """Whichever gets the lock; the others end in peace, and nothing is tested twice."""
    hook = hooked.path / ".git/hooks/post-commit"
    commit = hooked.git("rev-parse", "HEAD")
    hooks = [subprocess.Popen([hook], cwd=hooked.path, env=hooked.environment) for _ in range(8)]

    assert [each.wait() for each in hooks] == [0] * 8
    wait_until(lambda: hooked.lines("ran.log") == [commit], "test of the commit")
    wait_until(
        lambda: (turn := Presence(hooked.path / ".git").take_turn()) is not None and not turn.end(), "end"
    )
    assert hooked.lines("ran.log") == [commit]
    assert (hooked.path / ".git/limmat/background.out").read_text() == ""


def test_it_can_be_stopped(hooked: Repo) -> None:
    """With the jobs that it runs; then there is nothing to stop."""
    hooked.config(GATED)
    hooked.commit("second")
    job = int(wait_for_file(hooked.path / "up.log").split()[0])

    hooked.limmat("background", "--stop")
    wait_until(lambda: not is_alive(job), "end of the job")
    wait_for_end(hooked)

    done = hooked.program("background", "--stop")
    assert (done.returncode, done.stderr) == (1, b"nothing runs in the background\n")


def test_a_killed_one_is_no_obstacle(hooked: Repo) -> None:
    """Its lock is gone with it, and its number is nobody's."""
    hooked.config(GATED)
    hooked.commit("second")
    wait_for_file(hooked.path / "up.log")
    pid = marked(hooked.path / ".git")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), "end of the program")
    hooked.config(LOGGED)

    commit = hooked.commit("third")
    wait_for_end(hooked)

    assert hooked.lines("ran.log") == [commit]


def test_jobs_have_the_lowest_priority(hooked: Repo) -> None:
    """For the processor, and for the disk where the system has such a thing; and they can be interrupted."""
    hooked.config(
        '[[tests]]\nname = "unit"\ncommand = "(nice; ionice -p $$; grep SigIgn /proc/$$/status)'
        ' >$LIMMAT_ORIGIN/priority.log"\n'
    )
    hooked.commit("second")
    wait_for_end(hooked)

    niceness, disk, ignored = hooked.lines("priority.log")
    assert (niceness, disk) == ("19", "idle")
    assert not int(ignored.split()[1], 16) & (1 << (signal.SIGINT - 1))


def test_a_broken_config_is_in_the_log(hooked: Repo) -> None:
    """The commit is made; the fault waits where doctor finds it."""
    hooked.config("[[tests]\n")
    hooked.commit("second")
    log = wait_for_file(Path(hooked.environment["XDG_STATE_HOME"]) / "limmat/background-repo.log")

    assert " error background: cannot read '" in log
    assert "error" in hooked.limmat("doctor", status=None)


def test_a_worktree_that_goes_takes_it_along(hooked: Repo, tmp_path: Path) -> None:
    """A linked worktree that is removed is no reason to wait for its return."""
    hooked.git("worktree", "add", "-q", "-b", "topic", str(tmp_path / "linked"))
    linked = Repo(tmp_path / "linked", hooked.environment)
    linked.write("limmat.toml", GATED)
    linked.git("commit", "-q", "--allow-empty", "-m", "second")
    wait_for_file(linked.path / "up.log")
    pid = marked(hooked.path / ".git/worktrees/linked")
    assert pid is not None

    hooked.git("worktree", "remove", "--force", str(linked.path))

    wait_until(lambda: not is_alive(pid), "end of the program", every=0.02)


def test_the_repository_may_be_elsewhere(hooked: Repo, tmp_path: Path) -> None:
    """Files of one's home with the repository in another place, named by relative paths."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "limmat.toml").write_text(LOGGED)
    where = ("--git-dir", "../aside.git", "--work-tree", "../files")
    hooked.git(*where, "init", "-q")
    aside = tmp_path / "aside.git"
    for path in (hooked.path / ".git/hooks").glob("post-*"):
        (aside / "hooks" / path.name).write_bytes(path.read_bytes())
        (aside / "hooks" / path.name).chmod(0o755)

    hooked.git(*where, "commit", "-q", "--allow-empty", "-m", "first")
    wait_until(lambda: (files / "ran.log").exists(), "test of the commit")
    wait_until(lambda: marked(aside) is None, "end of the program")

    assert (files / "ran.log").read_text().split() == [hooked.git(*where, "rev-parse", "HEAD")]


def test_the_current_directory_is_not_held(hooked: Repo) -> None:
    """So that file systems can be unmounted; the real program stays for some seconds."""
    use_real(hooked)
    commit = hooked.commit("second")
    wait_until(lambda: hooked.lines("ran.log") == [commit], "test of the commit")
    pid = marked(hooked.path / ".git")

    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert Presence(hooked.path / ".git").runner() == pid


def test_what_it_prints_is_kept(hooked: Repo) -> None:
    """A program that cannot even start leaves its words in a file, of one start only."""
    for _ in range(2):
        subprocess.run(
            [hooked.path / ".git/hooks/post-commit"],
            cwd=hooked.path,
            env=hooked.environment | {"PYTHONHOME": "/no/such/place"},
            check=True,
        )
        pid = marked(hooked.path / ".git")
        assert pid is not None
        wait_until(lambda pid=pid: not is_alive(pid), "end of the program")  # type: ignore[misc]

    said = (hooked.path / ".git/limmat/background.out").read_text()
    assert said.count("Fatal Python error") == 1
