"""The prompt's word: written by the runners, read without importing the world, true of HEAD or not there."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from watching import run, watching

from gitlimmat.service.board import CellState

FUNCTIONS = Path(__file__).parent.parent / "completion" / "git-limmat-prompt.sh"
SHELLS = [shell for shell in ("dash", "bash", "zsh", "ksh") if shutil.which(shell)]
CONFIG = """
[[tests]]
name = "unit"
command = "! grep -q bad f"
[[tests]]
name = "lint"
command = "! grep -q odd f || exit 3; test ! -e hang || exec sleep 1000"
error_exit_codes = [3]
[[tests]]
name = "slow"
command = "true"
run_by_default = false
"""


def by_program(repo: Repo, cwd: Path | None = None, **extra: str) -> str:
    """Return the word as the program prints it."""
    done = repo.program("prompt", cwd=cwd, **extra)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().removesuffix("\n")


def by_shell(shell: str) -> Callable[..., str]:
    """Return a function that says the word as functions in `shell` find it."""

    def word(repo: Repo, cwd: Path | None = None, **extra: str) -> str:
        done = subprocess.run(
            [shell, "-eu", "-c", '. "$0"; __git_limmat_ps1', FUNCTIONS],
            cwd=cwd or repo.path,
            env=repo.environment | extra,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return word


READERS = [by_program, *map(by_shell, SHELLS)]
reader = pytest.mark.parametrize("word", READERS, ids=["program", *SHELLS])


@pytest.fixture
def tested(repo: Repo) -> Repo:
    """A branch whose newest commit fails a test."""
    repo.config(CONFIG)
    repo.commit("base", f="good")
    repo.commit("second", f="bad")
    repo.limmat("run", "HEAD~1..HEAD", status=1)
    return repo


@reader
def test_the_word_counts_failed_tests_of_head(tested: Repo, word: Callable[..., str]) -> None:
    """A failure is a cross with a number, or without one's locale an x."""
    assert word(tested) == "✗1"
    assert word(tested, LC_ALL="C") == "x1"


@reader
def test_nothing_is_said_of_another_head(tested: Repo, word: Callable[..., str]) -> None:
    """The word of one commit is never shown for another, and comes back with its commit."""
    tested.git("checkout", "-q", "HEAD~1")
    elsewhere = word(tested)
    tested.git("checkout", "-q", "main")

    assert (elsewhere, word(tested)) == ("", "✗1")


@reader
@pytest.mark.parametrize(
    ("content", "said"),
    [("good", "✓"), ("bad", "✗1"), ("odd", "!1"), ("odd bad", "✗1")],
)
def test_a_word_for_each_way_it_can_end(
    repo: Repo, word: Callable[..., str], content: str, said: str
) -> None:
    """Passed, failed and no verdict each have their sign; a failure goes before the rest."""
    repo.config(CONFIG)
    repo.commit("base", f=content)
    repo.limmat("run", "HEAD", status=None)

    assert word(repo) == said


@reader
def test_a_test_that_did_not_run_is_unknown(repo: Repo, word: Callable[..., str]) -> None:
    """A run of some tests does not make the others pass."""
    repo.config(CONFIG)
    repo.commit("base", f="good")
    repo.limmat("run", "--tests", "unit", "HEAD")

    assert word(repo) == "?"


@reader
def test_the_word_is_found_from_everywhere(tested: Repo, word: Callable[..., str], tmp_path: Path) -> None:
    """Subdirectories, linked worktrees, packed refs, a detached HEAD, `.git` itself and GIT_DIR all do."""
    below = tested.path / "a b" / "c"
    below.mkdir(parents=True)
    tested.git("worktree", "add", "-q", "--detach", "../linked tree", "main")
    linked = tmp_path / "linked tree"

    assert word(tested, below) == "✗1"
    assert word(tested, linked) == "✗1"
    assert word(tested, tested.path / ".git") == "✗1"
    assert word(tested, tmp_path, GIT_DIR=str(tested.path / ".git")) == "✗1"
    tested.git("pack-refs", "--all")
    assert not (tested.path / ".git" / "refs" / "heads" / "main").exists()
    assert word(tested, below) == "✗1"


@reader
def test_the_word_is_empty_where_there_is_nothing(
    repo: Repo, word: Callable[..., str], tmp_path: Path
) -> None:
    """No repository, no commit, no results: no word, no message, no failure."""
    unborn = word(repo)
    repo.commit("base")

    assert (unborn, word(repo), word(repo, tmp_path)) == ("", "", "")


@reader
@pytest.mark.parametrize(
    "content",
    ["", "passed", "evil\033[2J 1 0", "failed \033[2J 0", "failed 1 x", "passed 1 0 7", "\n", "a b"],
)
def test_a_damaged_file_says_nothing(tested: Repo, word: Callable[..., str], content: str) -> None:
    """What git limmat has not written is not shown."""
    (file,) = (tested.path / ".git" / "limmat" / "prompt").iterdir()
    file.write_text(content)

    assert word(tested) == ""


@reader
def test_running_is_true_only_while_the_runner_lives(tested: Repo, word: Callable[..., str]) -> None:
    """A runner that was killed leaves no promise behind."""
    (file,) = (tested.path / ".git" / "limmat" / "prompt").iterdir()
    gone = subprocess.Popen(["true"])
    gone.wait()
    file.write_text(f"running 2 {os.getpid()}\n")
    alive = word(tested)
    file.write_text(f"running 2 {gone.pid}\n")

    assert (alive, word(tested)) == ("▸", "?")


@reader
def test_signs_are_the_users(tested: Repo, word: Callable[..., str]) -> None:
    """A variable names another sign, also one with colors."""
    assert word(tested, GIT_LIMMAT_FAILED="\033[31mbroken:") == "\033[31mbroken:1"


def test_the_functions_are_what_the_program_prints(tested: Repo) -> None:
    """`--sh` is the way to the file, wherever it was installed."""
    assert tested.limmat("prompt", "--sh") == FUNCTIONS.read_text()
    assert tested.program("prompt", "--repo", str(tested.path), cwd=Path("/")).stdout.decode() == "✗1\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_prompt_keeps_the_status_and_takes_a_format(tested: Repo, shell: str) -> None:
    """`$?` of the command before is still there, and the format is used only with a word."""
    script = '. "$0"; (exit 7); __git_limmat_ps1 " (%s)"; echo "$?"; cd /; __git_limmat_ps1 " (%s)"'
    done = subprocess.run(
        [shell, "-c", script, FUNCTIONS],
        cwd=tested.path,
        env=tested.environment,
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.stderr) == (" (✗1)7\n", "")


def test_forgotten_results_leave_no_word(tested: Repo) -> None:
    """What is not known any more is not shown either."""
    tested.limmat("forget", "HEAD")

    assert by_program(tested) == ""


def test_few_words_are_kept(tested: Repo) -> None:
    """A year of commits leaves a hundred small files, not all of them."""
    directory = tested.path / ".git" / "limmat" / "prompt"
    for number in range(300):
        (directory / f"{number:040x}").write_text("passed 1 0\n")
        os.utime(directory / f"{number:040x}", (number, number))
    tested.commit("third", f="good")
    tested.limmat("run", "HEAD")

    assert len(list(directory.iterdir())) == 100
    assert by_program(tested) == "✓"


def test_a_word_that_cannot_be_written_is_no_matter(repo: Repo) -> None:
    """A prompt never makes a run fail."""
    repo.config(CONFIG)
    repo.commit("base", f="good")
    repo.write(".git/limmat/prompt", "in the way")

    repo.limmat("run", "HEAD")

    assert by_program(repo) == ""


def test_a_watch_keeps_the_word_up_to_date(repo: Repo) -> None:
    """While tests run on HEAD the word says so, and then how they ended."""
    repo.config(CONFIG)
    repo.commit("base", f="good")

    async def scenario() -> None:
        async with watching(repo, base="HEAD", include_base=True) as watched:
            await watched.until_done(commits=1)
            assert by_program(repo) == "✓"
            hanging = await watched.commit("hang", hang="yes")
            await watched.until(lambda: watched.outcome(hanging, "unit") and watched.runs(hanging, "lint"))
            assert by_program(repo) == "▸"
            failing = await watched.commit("worse", f="bad", hang="yes")
            await watched.until(lambda: watched.outcome(failing, "unit") is not None)
            assert watched.cell(failing, "lint").state is not CellState.DONE
            assert by_program(repo) == "✗1"

    run(scenario())


@pytest.mark.parametrize("shell", SHELLS)
def test_the_functions_take_less_than_ten_milliseconds(tested: Repo, shell: str) -> None:
    """A prompt with the word is as quick as one without."""

    def seconds(script: str) -> float:
        began = time.perf_counter()
        subprocess.run([shell, "-c", script, FUNCTIONS], cwd=tested.path, env=tested.environment, check=True)
        return time.perf_counter() - began

    loop = '. "$0"; i=0; while [ $i -lt 100 ]; do __git_limmat_word; i=$((i + 1)); done'
    each = statistics.median(seconds(loop) - seconds('. "$0"') for _ in range(3)) / 100

    assert each < 0.010


def test_the_program_imports_next_to_nothing_for_it(tested: Repo) -> None:
    """No command line parser, no settings, no libgit2, no git: just Python itself."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gitlimmat", "prompt"],
        cwd=tested.path,
        env=tested.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    ours = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "gitlimmat" in line}

    assert ours <= {
        "gitlimmat",
        *(f"gitlimmat.{n}" for n in ("cli", "cli.instant", "service", "service.headword")),
    }
    assert not {"typer", "pygit2", "msgspec"} & {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines()
    }


def test_a_command_tried_in_passing_does_not_replace_the_word(repo: Repo) -> None:
    """With a config file the word is about its tests, whatever `run --exec` finds out."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "false"\n')
    repo.commit("base")
    repo.limmat("run", "HEAD", status=1)
    word = repo.limmat("prompt")

    repo.limmat("run", "-x", "true", "HEAD")

    assert word.strip()
    assert repo.limmat("prompt") == word
