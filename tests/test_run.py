"""`git limmat run`, as its user sees it."""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Repo
from waiting import is_alive, wait_for_file, wait_until

UNIT = '[[tests]]\nname = "unit"\ncommand = "echo ran >>$LIMMAT_ORIGIN/ran.log"\n'


def failing_on(subject: str) -> str:
    """A config whose one test fails on commits that have the file `bad`."""
    return f'[[tests]]\nname = "{subject}"\ncommand = "test ! -e bad"\n'


def test_each_commit_of_the_range_is_tested_newest_first(repo: Repo) -> None:
    """`run A..B` runs every test on every commit of the range, HEAD first, and says so in one line each."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "git log -1 --format=%s >>$LIMMAT_ORIGIN/ran.log"\n')
    repo.commit("base")
    repo.commit("topic", "main")
    repo.commit("second")
    repo.commit("third")

    out = repo.limmat("run", "main..topic", "-j1")

    assert repo.lines("ran.log") == ["third", "second", "topic"]
    assert [line.split("  ")[-1] for line in out.splitlines()] == ["third", "second", "topic"]
    assert out.count("unit  passed (") == 3


def test_a_known_result_is_not_run_again(repo: Repo) -> None:
    """A second run finds all results in git and starts no job."""
    repo.config(UNIT)
    repo.commit("base")
    repo.commit("topic", "main")
    repo.limmat("run", "main..topic")

    out = repo.limmat("run", "main..topic")

    assert "unit  passed (known)" in out
    assert repo.lines("ran.log") == ["ran"]


def test_rewording_a_commit_keeps_its_result(repo: Repo) -> None:
    """A by_tree result belongs to the tree, so a new message needs no new run."""
    repo.config(UNIT + 'cache = "by_tree"\n')
    repo.commit("base")
    repo.commit("topic", "main")
    old = repo.git("rev-parse", "topic")
    repo.limmat("run", "main..topic")

    repo.reword("topic", "better words")
    out = repo.limmat("run", "main..topic")

    assert f"unit  passed (known from {old[:7]})" in out
    assert repo.lines("ran.log") == ["ran"]


def test_two_commits_with_one_tree_share_one_job(repo: Repo) -> None:
    """A by_tree test runs once for a tree, however many commits have it; each gets the result."""
    repo.config(UNIT + 'cache = "by_tree"\n')
    repo.commit("base")
    repo.commit("topic", "main")
    repo.git("commit", "-q", "--allow-empty", "-m", "empty")

    out = repo.limmat("run", "main..topic")

    assert repo.lines("ran.log") == ["ran"]
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize(
    ("command", "extra", "status", "shown"),
    [
        ("true", "", 0, "passed"),
        ("exit 3", "", 1, "failed (exit 3"),
        ("exit 7", "error_exit_codes = [7]", 125, "errored (exit 7"),
        ("exit 8", "skip_exit_codes = [8]", 0, "skipped (exit 8"),
        ("kill -9 $$", "", 125, "errored (signal 9 (SIGKILL)"),
        ("sleep 100", "timeout_s = 0.2\nshutdown_grace_period_s = 1", 125, "errored (timed out after 0.2 s"),
    ],
)
def test_the_exit_status_and_the_line_tell_the_outcome(
    repo: Repo, command: str, extra: str, status: int, shown: str
) -> None:
    """0 all passed or skipped, 1 a test failed, 125 no verdict for some."""
    repo.config(f'[[tests]]\nname = "unit"\ncommand = "{command}"\n{extra}\n')
    repo.commit("base")

    out = repo.limmat("run", "HEAD", status=status)

    assert f"unit  {shown}" in out


def test_an_errored_result_is_shown_but_never_used(repo: Repo) -> None:
    """An error says nothing about the commit: the next run tries again, `status` shows what happened."""
    repo.config(
        '[[tests]]\nname = "unit"\nerror_exit_codes = [9]\n'
        'command = "echo ran >>$LIMMAT_ORIGIN/ran.log; exit 9"\n'
    )
    repo.commit("base")
    repo.limmat("run", "HEAD", status=125)
    assert "errored" in repo.limmat("status", "HEAD")

    repo.limmat("run", "HEAD", status=125)

    assert repo.lines("ran.log") == ["ran", "ran"]


def test_exec_needs_no_config_and_is_cached_by_tree_and_command(repo: Repo) -> None:
    """`-x` tests with a command; the same command on the same tree is known, another one is not."""
    repo.commit("base", x="1")
    repo.limmat("run", "-x", "test -e x", "HEAD")
    repo.reword("main", "other words")

    again = repo.limmat("run", "-x", "test -e x", "HEAD")
    other = repo.limmat("run", "-x", "test ! -e x", "HEAD", status=1)

    assert "known" in again
    assert "failed (exit 1" in other


def test_init_is_named_where_there_is_no_config(repo: Repo) -> None:
    """The next step is told; a bare repository has no place for what init writes."""
    repo.commit("base")
    repo.git("clone", "-q", "--bare", ".", "bare")

    assert b"hint: let 'git limmat init' propose one, or " in repo.program("run").stderr
    assert b"hint: name one with --config, or " in repo.program("run", cwd=repo.path / "bare").stderr


def test_the_base_is_found_when_no_range_is_given(repo: Repo) -> None:
    """Without a range, the commits since the base are tested: here main, found by itself."""
    repo.config(UNIT)
    repo.commit("base")
    repo.commit("topic", "main")
    repo.commit("more")

    out = repo.limmat("run")

    assert len(out.splitlines()) == 2


def test_revisions_are_read_from_standard_input(repo: Repo) -> None:
    """`--stdin` takes one revision or range a line."""
    repo.config(UNIT)
    first = repo.commit("base")
    repo.commit("second")

    out = repo.limmat("run", "--stdin", stdin=f"{first}\n")

    assert [line.split("  ")[-1] for line in out.splitlines()] == ["base"]


def test_an_empty_range_is_no_error(repo: Repo) -> None:
    """There is nothing to test, which is said, and the exit status is 0."""
    repo.config(UNIT)
    repo.commit("base")
    repo.git("checkout", "-q", "-b", "topic")

    done = repo.program("run", "main..topic")

    assert done.returncode == 0
    assert b"no commits in this range" in done.stderr


def test_fail_fast_stops_at_the_first_failure(repo: Repo) -> None:
    """With --fail-fast nothing is started after a failure, and the exit status is still 1."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "echo ran >>$LIMMAT_ORIGIN/ran.log; false"\n')
    for number in range(5):
        repo.commit(f"c{number}")

    repo.limmat("run", "HEAD~3..HEAD", "--fail-fast", "-j1", status=1)

    assert repo.lines("ran.log") == ["ran"]


@pytest.mark.parametrize(
    ("option", "runs"), [("", 2), ("--rerun=failed", 3), ("--rerun", 4), ("--rerun=all", 4)]
)
def test_rerun_says_which_known_results_are_not_trusted(repo: Repo, option: str, runs: int) -> None:
    """`failed` runs failures again, `all` (the default of the option) everything."""
    repo.config(
        '[[tests]]\nname = "good"\ncommand = "echo ran >>$LIMMAT_ORIGIN/ran.log"\n'
        '[[tests]]\nname = "bad"\ncommand = "echo ran >>$LIMMAT_ORIGIN/ran.log; false"\n'
    )
    repo.commit("base")
    repo.limmat("run", "HEAD", status=1)

    repo.limmat("run", *option.split(), "HEAD", status=1)

    assert len(repo.lines("ran.log")) == runs


def test_no_cache_neither_reads_nor_writes_results(repo: Repo) -> None:
    """`--no-cache` runs what is known and leaves no trace of it in git."""
    repo.config(UNIT)
    repo.commit("base")
    repo.limmat("run", "HEAD")
    before = repo.git("rev-parse", "refs/limmat/results")

    repo.limmat("run", "HEAD", "--no-cache")

    assert repo.lines("ran.log") == ["ran", "ran"]
    assert repo.git("rev-parse", "refs/limmat/results") == before


def test_dry_run_starts_nothing_and_tells_what_is_known(repo: Repo) -> None:
    """`-n` prints what a run would find known; 125 says that something would have to run."""
    repo.config(UNIT)
    repo.commit("base")
    assert repo.limmat("run", "-n", "HEAD", status=125) == ""
    repo.limmat("run", "HEAD")

    out = repo.limmat("run", "-n", "HEAD")

    assert "unit  passed (known)" in out
    assert repo.lines("ran.log") == ["ran"]


def test_include_base_tests_the_base_too(repo: Repo) -> None:
    """`--include-base` adds the commit before the range."""
    repo.config(UNIT)
    repo.commit("base")
    repo.commit("topic", "main")

    out = repo.limmat("run", "--include-base", "-j1", "main..topic")

    assert [line.split("  ")[-1] for line in out.splitlines()] == ["topic", "base"]


def test_a_dependent_gets_the_artifacts_of_its_dependency(repo: Repo) -> None:
    """LIMMAT_ARTIFACTS_<dep> is a directory with what the dependency kept, fresh or known."""
    repo.config(
        '[[tests]]\nname = "build"\n'
        'command = "echo made >$LIMMAT_ARTIFACTS/out; chmod +x $LIMMAT_ARTIFACTS/out"\n'
        '[[tests]]\nname = "use"\ndepends_on = ["build"]\n'
        'command = "test -x $LIMMAT_ARTIFACTS_build/out && grep -q made $LIMMAT_ARTIFACTS_build/out"\n'
    )
    repo.commit("base")
    repo.limmat("run", "HEAD")

    out = repo.limmat("run", "HEAD", "--rerun", "--tests", ".")

    assert "use    passed" in out


@pytest.mark.parametrize(
    ("command", "outcome", "status"),
    [("exit 1", "errored (dependency 'dep' failed)", 1), ("exit 5", "skipped (dependency 'dep' skipped)", 0)],
)
def test_a_dependent_of_a_test_that_did_not_pass_never_starts(
    repo: Repo, command: str, outcome: str, status: int
) -> None:
    """Its outcome follows from the dependency's."""
    repo.config(
        f'[[tests]]\nname = "dep"\ncommand = "{command}"\nskip_exit_codes = [5]\n'
        '[[tests]]\nname = "use"\ndepends_on = ["dep"]\ncommand = "echo ran >>$LIMMAT_ORIGIN/ran.log"\n'
    )
    repo.commit("base")

    out = repo.limmat("run", "HEAD", status=status)

    assert f"use  {outcome}" in out
    assert repo.lines("ran.log") == []


def test_the_output_is_kept_byte_for_byte(repo: Repo) -> None:
    """NUL, invalid UTF-8 and a missing last newline survive, and plain git shows them."""
    repo.config("[[tests]]\nname = \"unit\"\ncommand = '''printf 'a\\000\\377b' '''\n")
    commit = repo.commit("base")

    repo.limmat("run", "HEAD")

    listing = repo.git("ls-tree", "-r", "refs/limmat/results")
    blob = next(line for line in listing.splitlines() if "/output/unit/" in line).split()[2]
    assert commit[:2] + "/" + commit[2:] in listing
    assert repo.git("cat-file", "blob", blob) == "a\0\udcffb"


def test_git_log_shows_the_results_as_notes(repo: Repo) -> None:
    """The notes view has a readable line for each test, and nothing else of ours is in `git log --all`."""
    repo.config(UNIT)
    repo.commit("base")

    repo.limmat("run", "HEAD")

    assert "unit" in repo.git("log", "-1", "--notes=limmat")
    assert len(repo.git("log", "--all", "--format=%H").splitlines()) == 2


def test_scarce_tokens_are_shared_out_one_at_a_time(repo: Repo) -> None:
    """Two jobs never hold the same token, and see its value in the environment."""
    repo.config(
        'resources = [{ name = "port", tokens = ["8001"] }]\n'
        '[[tests]]\nname = "unit"\nresources = ["port"]\n'
        'command = "mkdir $LIMMAT_ORIGIN/held.log && echo $LIMMAT_RESOURCE_port $LIMMAT_RESOURCE_port_0 '
        '>>$LIMMAT_ORIGIN/ran.log && rmdir $LIMMAT_ORIGIN/held.log"\n'
    )
    for number in range(4):
        repo.commit(f"c{number}")

    repo.limmat("run", "HEAD~3..HEAD", "-j4")

    assert repo.lines("ran.log") == ["8001 8001"] * 3


def test_a_test_without_worktree_runs_where_the_user_is(repo: Repo) -> None:
    """requires_worktree = false: nothing is checked out, the directory is the user's."""
    repo.config(
        '[[tests]]\nname = "unit"\nrequires_worktree = false\ncommand = "pwd >$LIMMAT_ORIGIN/ran.log"\n'
    )
    repo.commit("base")
    repo.commit("topic", "main")

    repo.limmat("run", "main..topic")

    assert repo.lines("ran.log") == [str(repo.path)]


def test_the_user_repository_is_left_alone(repo: Repo) -> None:
    """HEAD, index, branches and files are the same after a run (DESIGN section 1, principle 7)."""
    repo.config(UNIT.replace("echo", "rm -rf ./*; echo"))
    repo.commit("base")
    repo.commit("topic", "main")
    repo.write("dirty", "mine")
    before = repo.git("status", "--porcelain"), repo.git("for-each-ref", "refs/heads"), repo.git("reflog")

    repo.limmat("run", "main..topic")

    after = repo.git("status", "--porcelain"), repo.git("for-each-ref", "refs/heads"), repo.git("reflog")
    assert after == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_run_cleanly(repo: Repo, number: signal.Signals) -> None:
    """Jobs are asked to end, what had finished is stored, and the exit status is 130."""
    repo.config(
        '[[tests]]\nname = "unit"\ncommand = "trap \'echo bye >$LIMMAT_ORIGIN/bye.log; exit 0\' TERM; '
        'echo $$ >$LIMMAT_ORIGIN/pid.log; while :; do sleep 0.05; done"\n'
    )
    repo.commit("base")
    process = repo.start("run", "HEAD")
    pid = int(wait_for_file(repo.path / "pid.log"))

    process.send_signal(number)
    out, _ = process.communicate(timeout=30)

    assert process.returncode == 130
    assert b"unit  cancelled" in out
    assert repo.lines("bye.log") == ["bye"]
    assert not is_alive(pid)


def test_a_second_signal_kills_the_jobs_at_once(repo: Repo) -> None:
    """A job that ignores TERM does not hold up a user who presses Ctrl-C twice."""
    repo.config(
        '[[tests]]\nname = "unit"\ncommand = "trap \'echo no >$LIMMAT_ORIGIN/term.log\' TERM; '
        'echo $$ >$LIMMAT_ORIGIN/pid.log; while :; do sleep 0.05; done"\n'
    )
    repo.commit("base")
    process = repo.start("run", "HEAD")
    pid = int(wait_for_file(repo.path / "pid.log"))

    process.send_signal(signal.SIGINT)
    wait_for_file(repo.path / "term.log")

    def over() -> bool:
        process.send_signal(signal.SIGINT)
        return process.poll() is not None

    wait_until(over, "the end", every=0.15)
    process.communicate()

    assert process.returncode == 130
    assert not is_alive(pid)


def test_sixteen_runs_at_once_execute_each_case_once(repo: Repo) -> None:
    """The case lock lets one process run a case; the others wait and use its result."""
    repo.config(UNIT.replace("echo", "sleep 0.2; echo"))
    repo.commit("base")
    repo.commit("topic", "main")

    processes = [repo.start("run", "main..topic") for _ in range(16)]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
        assert b"unit  passed" in out

    assert repo.lines("ran.log") == ["ran"]


def test_a_killed_runner_takes_its_jobs_along_and_leaves_no_lock(repo: Repo) -> None:
    """After kill -9 the job dies, and the next run starts the case afresh."""
    repo.config(
        '[[tests]]\nname = "unit"\ncommand = "echo $$ >$LIMMAT_ORIGIN/pid.log; '
        'test -e $LIMMAT_ORIGIN/second.log || sleep 300"\n'
    )
    repo.commit("base")
    process = repo.start("run", "HEAD")
    pid = int(wait_for_file(repo.path / "pid.log"))

    process.kill()
    process.communicate()
    wait_until(lambda: not is_alive(pid), "the job to die")
    repo.write("second.log", "now")

    assert "unit  passed" in repo.limmat("run", "HEAD")


def test_a_hook_environment_does_not_leak_into_jobs(repo: Repo) -> None:
    """git exports a relative GIT_INDEX_FILE to hooks; git in a job must use its own worktree's."""
    repo.config(
        '[[tests]]\nname = "unit"\ncommand = "git status --porcelain && ! env | grep ^GIT_INDEX_FILE"\n'
    )
    repo.commit("base")

    repo.limmat("run", "HEAD", GIT_INDEX_FILE=".git/index", GIT_PREFIX="", GIT_EDITOR=":")


def test_a_full_disk_or_read_only_store_keeps_the_outcome(repo: Repo, tmp_path: Path) -> None:
    """When results cannot be stored, outcome and exit status are still right, with one warning."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "touch $LIMMAT_ORIGIN/.git/limmat/stop; exit 3"\n')
    repo.commit("base")
    repo.commit("second")
    lock = repo.path / ".git" / "refs" / "limmat"
    lock.write_text("in the way")

    done = repo.program("run", "HEAD~1..HEAD")

    assert b"unit  failed (exit 3" in done.stdout
    assert done.returncode == 1
    assert done.stderr.count(b"warning: ") == 1, done.stderr.decode()
    assert lock.read_text() == "in the way"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "nosuch"], 128, "nosuch"),
        (["run", "--nosuch"], 129, "no such option"),
        (["run", "--", "-x"], 128, "-x"),
        (["run", "file"], 128, "file"),
        (["run", "HEAD", "-j0"], 129, "-j"),
        (["run", "--tests", "("], 129, "("),
        (["run", "--tests", "nomatch", "HEAD"], 129, "nomatch"),
        (["frobnicate"], 129, "frobnicate"),
        (["--repo", "/nonexistent", "run"], 128, "/nonexistent"),
        (["--config", "/nonexistent.toml", "run", "HEAD"], 128, "/nonexistent.toml"),
    ],
)
def test_bad_input_is_named_in_one_clear_error(
    repo: Repo, arguments: list[str], status: int, message: str
) -> None:
    """Usage errors exit 129, all others 128; the message names what is wrong."""
    repo.config(UNIT)
    repo.commit("base", file="x")

    done = repo.program(*arguments)

    assert done.returncode == status, done.stderr.decode()
    assert message in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


def test_a_repository_named_by_git_itself_is_used(repo: Repo, tmp_path: Path) -> None:
    """`git --git-dir --work-tree limmat` reaches us as variables, also when the worktree has no `.git`."""
    repo.config(UNIT)
    repo.commit("base")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "limmat.toml").write_text(UNIT)

    done = repo.program(
        "run", "HEAD", cwd=elsewhere, GIT_DIR=str(repo.path / ".git"), GIT_WORK_TREE=str(elsewhere)
    )

    assert done.returncode == 0, done.stderr.decode()
    assert b"unit  passed" in done.stdout
    assert (elsewhere / "ran.log").read_text() == "ran\n"


def test_settings_given_to_git_reach_us(repo: Repo) -> None:
    """`git -c limmat.base=… limmat run` is honored."""
    repo.config(UNIT)
    base = repo.commit("base")
    repo.commit("second")

    out = repo.limmat("run", GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="limmat.base", GIT_CONFIG_VALUE_0=base)

    assert len(out.splitlines()) == 1


def test_one_ctrl_c_that_arrives_twice_is_one(repo: Repo) -> None:
    """The terminal and git both send it: the job still has its grace period."""
    repo.config(
        '[[tests]]\nname = "unit"\n'
        "command = \"trap 'sleep 0.3; echo bye >$LIMMAT_ORIGIN/bye.log; exit 0' TERM; "
        'echo $$ >$LIMMAT_ORIGIN/pid.log; while :; do sleep 0.05; done"\n'
    )
    repo.commit("base")
    process = repo.start("run", "HEAD")
    wait_for_file(repo.path / "pid.log")

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert repo.lines("bye.log") == ["bye"]


def test_a_closed_pipe_ends_the_run_without_a_word(repo: Repo) -> None:
    """`git limmat run | head -1` is no error of ours: 141, as from git."""
    repo.config(UNIT)
    for number in range(4):
        repo.commit(f"c{number}")
    process = repo.start("run", "HEAD~3..HEAD", "-j1")
    assert process.stdout is not None
    process.stdout.close()

    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()

    assert process.wait() == 141
    assert b"Traceback" not in said


def test_what_blocks_is_told_before_what_is_blocked(repo: Repo) -> None:
    """The failed dependency comes first, and both can be seen later."""
    repo.config(
        '[[tests]]\nname = "dep"\ncommand = "exit 1"\n'
        '[[tests]]\nname = "use"\ndepends_on = ["dep"]\ncommand = "true"\n'
    )
    repo.commit("base")

    out = repo.limmat("run", "HEAD", status=1).splitlines()

    assert [line.split()[1] for line in out] == ["dep", "use"]
    assert repo.limmat("status", "HEAD").splitlines()[1].split()[1:3] == ["failed", "errored"]


@pytest.mark.parametrize(
    ("command", "status", "outcome"),
    [("nosuchcommand", 125, "errored (exit 127"), ("exit 125", 0, "skipped (exit 125")],
)
def test_exec_takes_exit_codes_as_git_bisect_does(
    repo: Repo, command: str, status: int, outcome: str
) -> None:
    """A mistyped command says nothing about a commit, so it is never reused; 125 means untestable."""
    repo.commit("base")

    assert outcome in repo.limmat("run", "-x", command, "HEAD", status=status)


def test_output_that_is_not_stored_is_shown(repo: Repo) -> None:
    """With --no-cache a failure prints the end of its output, as there is no other way to see it."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "echo the reason; false"\n')
    repo.commit("base")

    done = repo.program("run", "--no-cache", "HEAD")

    assert b"  | the reason\n" in done.stderr


def test_rerun_may_be_followed_by_its_value(repo: Repo) -> None:
    """`--rerun failed` means `--rerun=failed`, not a revision."""
    repo.config(UNIT)
    repo.commit("base")
    repo.limmat("run", "HEAD")

    repo.limmat("run", "--rerun", "all", "HEAD")

    assert len(repo.lines("ran.log")) == 2


def test_a_missing_worktree_directory_is_fatal_at_once(repo: Repo, tmp_path: Path) -> None:
    """Nothing is run, nothing is stored."""
    repo.config(UNIT)
    repo.commit("base")

    done = repo.program("run", "HEAD", "--worktree-dir", str(tmp_path / "nosuch"))

    assert done.returncode == 128
    assert b"nosuch" in done.stderr
    assert repo.git("for-each-ref", "refs/limmat") == ""


def test_closed_standard_streams_do_no_harm(repo: Repo) -> None:
    """Without stdin, stdout and stderr the program works, and no file of its own takes their place."""
    repo.config(UNIT)
    repo.commit("base")

    done = subprocess.run(
        ["sh", "-c", f"{shlex.join(repo.argv('run', 'HEAD'))} <&- >&- 2>&-"],
        cwd=repo.path,
        env=repo.environment,
        check=False,
    )

    assert done.returncode == 0
    assert "passed" in repo.limmat("status", "HEAD")
    repo.git("fsck", "--strict")
