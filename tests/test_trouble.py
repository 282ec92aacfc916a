"""Trouble in the middle of a run, each found by someone who tried."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Repo
from waiting import wait_for_file, wait_until

CHAIN = """[[tests]]
name = "build"
command = "echo made >$LIMMAT_ARTIFACTS/app"
[[tests]]
name = "unit"
depends_on = ["build"]
command = "test -f $LIMMAT_ARTIFACTS_build/app"
"""


def lose(repo: Repo, oid: str) -> None:
    """Remove one object, wherever it is."""
    objects = repo.path / ".git" / "objects"
    for number, pack in enumerate((objects / "pack").glob("*.pack")):
        aside = objects / f"aside-{number}"
        pack.rename(aside)
        with aside.open("rb") as data:
            unpack = ["git", "unpack-objects", "-q"]
            subprocess.run(unpack, stdin=data, cwd=repo.path, env=repo.environment, check=True)
    (objects / oid[:2] / oid[2:]).unlink()


def state_of(pid: int) -> str:
    """The letter of a process's state, as in ps(1)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_artifacts_that_cannot_be_stored_still_reach_dependents(repo: Repo) -> None:
    """A store that fails never makes a dependent fail."""
    repo.config(CHAIN)
    repo.commit("base")
    (repo.path / ".git" / "refs" / "limmat").write_text("in the way")

    out = repo.limmat("run", "HEAD")

    assert out.count("passed") == 2


def test_jobs_run_where_there_is_no_room_for_their_files(repo: Repo) -> None:
    """Their output goes to the temporary directory, with one warning."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "echo out"\n')
    repo.commit("base")
    repo.commit("more")
    runs = repo.path / ".git" / "limmat" / "runs"
    runs.parent.mkdir()
    runs.write_text("in the way")

    done = repo.program("run", "HEAD~1", "HEAD")

    assert done.stdout.count(b"passed") == 2
    assert done.stderr.count(b"warning: ") == 1
    assert Path(repo.limmat("get", "unit", "HEAD").removesuffix("\n")).read_text() == "out\n"


def test_a_verdict_without_its_files_does_not_count(repo: Repo) -> None:
    """When the directory of a running job is removed, its output is lost: errored, to be run again."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "rm -rf $(dirname $LIMMAT_ARTIFACTS)"\n')
    repo.commit("base")

    assert "unit  errored" in repo.limmat("run", "HEAD", status=125)


def test_lost_artifacts_are_made_again_by_the_next_run(repo: Repo) -> None:
    """A known dependency whose artifacts are damaged is forgotten."""
    command = "mkdir $LIMMAT_ARTIFACTS/d; cp f $LIMMAT_ARTIFACTS/app; seq 9 >$LIMMAT_ARTIFACTS/d/deep"
    repo.config(CHAIN.replace("echo made >$LIMMAT_ARTIFACTS/app", command))
    repo.commit("base", f="x")
    repo.limmat("run", "HEAD", "--tests", "build")
    listing = repo.git("ls-tree", "-r", "refs/limmat/results")
    blob = next(line.split()[2] for line in listing.splitlines() if line.endswith("/d/deep"))
    lose(repo, blob)
    repo.limmat("run", "HEAD", status=125)

    assert repo.limmat("run", "HEAD").count("passed") == 2


def test_status_shows_what_the_next_run_would_use(repo: Repo) -> None:
    """A later run without a verdict does not hide one that counts."""
    repo.config(
        '[[tests]]\nname = "unit"\nerror_exit_codes = [9]\n'
        'command = "test ! -e $LIMMAT_ORIGIN/no.log || exit 9"\n'
    )
    repo.commit("base")
    repo.limmat("run", "HEAD")
    repo.write("no.log", "")
    repo.limmat("run", "--rerun", "HEAD", status=125)

    assert "passed" in repo.limmat("status", "HEAD")
    assert "unit  passed" in repo.limmat("show", "HEAD")
    assert "1 passed" in repo.git("notes", "--ref=limmat", "show", "HEAD")
    assert "passed (known)" in repo.limmat("run", "HEAD")


def test_notes_follow_when_results_go(repo: Repo) -> None:
    """forget and gc update the notes of every commit that shared the result."""
    repo.config('[[tests]]\nname = "unit"\ncache = "by_tree"\ncommand = "true"\n')
    repo.commit("base")
    repo.git("commit", "-q", "--allow-empty", "-m", "same tree")
    repo.limmat("run", "HEAD~1", "HEAD")
    assert "unit" in repo.git("notes", "--ref=limmat", "show", "HEAD")

    repo.limmat("forget", "HEAD~1")
    assert repo.git("notes", "--ref=limmat", "list") == ""
    repo.limmat("run", "HEAD~1", "HEAD")
    repo.limmat("gc", "--age", "0d")

    assert repo.git("notes", "--ref=limmat", "list") == ""


def test_exec_of_a_command_that_looks_at_the_commit_is_not_reused_by_tree(repo: Repo) -> None:
    """A check of the message runs again when the message has changed."""
    repo.commit("base")
    check = 'git log -1 --format=%s "$LIMMAT_COMMIT" | grep -q signed'
    repo.limmat("run", "-x", check, "HEAD", status=1)
    repo.reword("main", "signed")

    repo.limmat("run", "-x", check, "HEAD")


def test_a_job_that_runs_itself_does_not_wait_for_itself(repo: Repo) -> None:
    """`git limmat run` inside a job skips the very case it is part of."""
    program = " ".join(repo.argv("run", "HEAD"))
    repo.config(
        f'[[tests]]\nname = "unit"\nrequires_worktree = false\ncommand = "{program}; test $? = 125"\n'
    )
    repo.commit("base")

    assert "unit  passed" in repo.limmat("run", "HEAD")


def test_nohup_keeps_a_run_going_when_the_terminal_hangs_up(repo: Repo) -> None:
    """A signal that we were started to ignore is ignored."""
    repo.config(
        '[[tests]]\nname = "unit"\n'
        'command = "cd $LIMMAT_ORIGIN; echo $$ >pid.log; until test -e go.log; do sleep 0.02; done"\n'
    )
    repo.commit("base")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = repo.start("run", "HEAD")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for_file(repo.path / "pid.log")

    process.send_signal(signal.SIGHUP)
    repo.write("go.log", "")
    out, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert b"passed" in out


def test_ctrl_z_stops_the_jobs_too(repo: Repo) -> None:
    """SIGTSTP stops program and jobs; SIGCONT lets both go on."""
    repo.config(
        '[[tests]]\nname = "unit"\n'
        'command = "cd $LIMMAT_ORIGIN; echo $$ >pid.log; until test -e go.log; do sleep 0.02; done"\n'
    )
    repo.commit("base")
    process = repo.start("run", "HEAD")
    pid = int(wait_for_file(repo.path / "pid.log"))

    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: state_of(process.pid) == "T" and state_of(pid) == "T", "both to stop")
    repo.write("go.log", "")
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=30)

    assert process.returncode == 0


def test_readers_do_not_mind_where_worktrees_would_be(repo: Repo, tmp_path: Path) -> None:
    """A missing worktree directory matters only where jobs run."""
    repo.config(CHAIN)
    repo.commit("base")
    repo.git("config", "limmat.worktreeDir", str(tmp_path / "nosuch"))

    repo.limmat("status", "HEAD")
    repo.limmat("config")


def test_subjects_are_printed_in_any_locale(repo: Repo) -> None:
    """What git has is UTF-8, whatever the terminal claims."""
    repo.config(CHAIN)
    repo.commit("base")
    repo.git("commit", "-q", "--allow-empty", "-m", "caf\u00e9 \u2713")

    out = repo.limmat("status", "HEAD", PYTHONIOENCODING="latin-1", LC_ALL="C")

    assert "caf\u00e9 \u2713" in out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["gc", "--age", "9" * 400], 129),
        (["gc", "--size", "9" * 400], 129),
        (["run", "-x", ""], 129),
        (["run", "-x", " "], 129),
        (["-r", "", "status"], 128),
    ],
)
def test_absurd_values_are_refused(repo: Repo, arguments: list[str], status: int) -> None:
    """An error of one line, never a traceback."""
    repo.commit("base")

    done = repo.program(*arguments)

    assert done.returncode == status, done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_inputs_that_match_nothing_are_named(repo: Repo) -> None:
    """Also a pattern that is no pattern."""
    repo.commit("base")
    repo.config('[[tests]]\nname = "unit"\ncommand = "true"\ninputs = ["."]\n')

    done = repo.program("run", "HEAD")

    assert done.returncode == 128
    assert b"inputs" in done.stderr


def test_what_is_said_to_a_full_standard_error_changes_nothing(repo: Repo) -> None:
    """The exit status is that of the tests."""
    repo.commit("base")
    with Path("/dev/full").open("wb") as full:
        pid = os.posix_spawn(
            repo.argv()[0],
            repo.argv("run", "-x", "true", "HEAD", "-r", str(repo.path)),
            repo.environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, full.fileno(), 2)],
        )
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_linked_worktrees_share_one_pool(repo: Repo, tmp_path: Path) -> None:
    """From wherever a repository is used, its warm worktrees are the same."""
    repo.commit("base")
    repo.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))

    for place in (repo.path, tmp_path / "linked"):
        assert repo.program("run", "--no-cache", "-x", "true", "HEAD", cwd=place).returncode == 0

    assert len(list(Path(repo.environment["XDG_CACHE_HOME"], "limmat").iterdir())) == 1


def test_a_pool_removed_during_a_run_is_made_again(repo: Repo) -> None:
    """What is in the cache directory can be deleted at any time."""
    pool = Path(repo.environment["XDG_CACHE_HOME"], "limmat")
    for number in range(4):
        repo.commit(f"c{number}", file=str(number))

    out = repo.limmat("run", "-j1", "-x", f"test -e file && rm -rf {pool}", "HEAD~3..HEAD")

    assert out.count("passed") == 3


@pytest.mark.parametrize("command", ["status", "watch", "gc"])
def test_a_directory_that_was_removed_is_named(repo: Repo, command: str) -> None:
    """The system has no name for it, and without one nobody knows what to do."""
    repo.commit("base")
    gone = repo.path / "gone"
    gone.mkdir()

    script = 'rmdir "$PWD" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *repo.argv(command)],
        cwd=gone,
        env=repo.environment,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 128
    assert done.stderr.startswith(b"fatal: cannot use the current directory: it was removed\nhint: ")


def test_a_git_that_is_too_old_is_refused_at_the_start(repo: Repo, tmp_path: Path) -> None:
    """Before anything runs, with the version there is and the oldest that will do."""
    repo.commit("base")
    old = tmp_path / "git-old"
    old.write_text('#!/bin/sh\n[ "$1" = version ] && echo "git version 2.30.2" && exit\nexec git "$@"\n')
    old.chmod(0o755)

    done = repo.program("--git-binary", str(old), "run", "-x", "true", "HEAD")

    assert done.returncode == 128
    assert b"it is git 2.30.2, and 2.36 is the oldest" in done.stderr
    assert repo.git("for-each-ref", "refs/limmat") == ""
