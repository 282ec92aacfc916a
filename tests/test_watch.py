"""What a watch does about what happens in a repository: real commits, real jobs, real boards."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from conftest import Repo
from waiting import wait_until
from watching import run, watching

from gitlimmat.errors import LimmatError
from gitlimmat.model import Outcome
from gitlimmat.service.board import CellState
from gitlimmat.service.tracker import Tracker

PASS = '[[tests]]\nname = "unit"\ncommand = "true"\n'
LOGGED = '[[tests]]\nname = "unit"\ncommand = "echo $LIMMAT_COMMIT >>$LIMMAT_ORIGIN/ran.log"\n'
GATED = '''
num_worktrees = 1
[[tests]]
name = "unit"
command = """
echo $LIMMAT_COMMIT >>$LIMMAT_ORIGIN/ran.log
while ! test -e $LIMMAT_ORIGIN/gate.log; do sleep 0.01; done
"""
'''


@pytest.fixture
def topic(repo: Repo) -> Repo:
    """A repository with one commit on `main` and one on `topic`, which is checked out."""
    repo.config(PASS)
    repo.commit("base")
    repo.commit("topic", "main")
    return repo


def test_a_new_commit_is_tested_at_once(topic: Repo) -> None:
    """Each commit of the range has a cell for each test, and a new commit gets its own."""

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until_done(commits=1)
            commit = await watch.commit("second")
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.PASSED)
            assert [each.subject for each in watch.board.commits] == ["second", "topic"]
            assert (watch.board.base, watch.board.head) == ("main", "topic")

    run(scenario())


def test_the_base_may_be_named_and_included(topic: Repo) -> None:
    """BASE is any revision, and with --include-base it is tested, too."""

    async def scenario() -> None:
        async with watching(topic, base="HEAD~1", include_base=True) as watch:
            await watch.until_done(commits=2)

    run(scenario())


def test_the_newest_commit_comes_first_also_while_others_wait(topic: Repo) -> None:
    """What is started next is always the newest commit that waits."""
    topic.config(GATED)
    older = [topic.git("rev-parse", "HEAD"), topic.commit("second"), topic.commit("third")]

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until(lambda: watch.runs(older[2], "unit"))
            newest = await watch.commit("newest")
            await watch.until(lambda: watch.cell(newest, "unit").state is CellState.WAITING)
            topic.write("gate.log", "open")
            await watch.until_done(commits=4)
            assert topic.lines("ran.log") == [older[2], newest, older[1], older[0]]

    run(scenario())


def test_a_vanished_commit_does_not_hold_up_its_successor(topic: Repo) -> None:
    """Its job gets TERM at once; the new commit's starts although the old one takes its time to end."""
    topic.config(GATED.replace("echo", "trap 'echo term >>$LIMMAT_ORIGIN/term.log' TERM\necho", 1))
    old = topic.git("rev-parse", "HEAD")

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until(lambda: watch.runs(old, "unit"))
            await asyncio.to_thread(wait_until, lambda: topic.lines("ran.log") == [old])
            await watch.git("commit", "-q", "--amend", "-m", "amended")
            new = topic.git("rev-parse", "HEAD")
            await watch.until(lambda: watch.runs(new, "unit"))
            await asyncio.to_thread(wait_until, lambda: topic.lines("term.log") == ["term"])
            await asyncio.to_thread(wait_until, lambda: topic.lines("ran.log") == [old, new])
            topic.write("gate.log", "open")
            await watch.until(lambda: watch.outcome(new, "unit") is Outcome.PASSED)

    run(scenario())


def test_a_commit_that_comes_back_is_known(topic: Repo) -> None:
    """A reset away and back costs no second run."""
    topic.config(LOGGED)
    topic.commit("second")

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until_done(commits=2)
            await watch.git("reset", "-q", "--hard", "HEAD~1")
            await watch.until_done(commits=1)
            await watch.git("reset", "-q", "--hard", "HEAD@{1}")
            await watch.until_done(commits=2)
            assert watch.board.row(watch.board.commits[0].id)[0].known
            assert len(topic.lines("ran.log")) == 2

    run(scenario())


def test_a_reworded_commit_shows_the_result_of_its_tree(topic: Repo) -> None:
    """A by_tree result belongs to the tree: after a reword it is there with the first look."""
    topic.config(LOGGED + 'cache = "by_tree"\n')

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until_done(commits=1)
            await watch.git("commit", "-q", "--amend", "-m", "better words")
            new = topic.git("rev-parse", "HEAD")
            seen: list[CellState] = []
            watch.board.subscribe(lambda change: seen.append(watch.cell(new, "unit").state))
            await watch.until(lambda: watch.outcome(new, "unit") is Outcome.PASSED)
            assert CellState.WAITING not in seen
            assert CellState.RUNNING not in seen
            assert len(topic.lines("ran.log")) == 1

    run(scenario())


def test_an_errored_case_is_not_tried_in_a_loop(topic: Repo) -> None:
    """It runs again when the user asks or the config changes, and only then."""
    topic.config(
        '[[tests]]\nname = "unit"\nerror_exit_codes = [9]\n'
        'command = "echo ran >>$LIMMAT_ORIGIN/ran.log; exit 9"\n'
    )
    commit = topic.git("rev-parse", "HEAD")

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.ERRORED)
            await watch.git("tag", "here")
            second = await watch.commit("second")
            await watch.until(lambda: watch.outcome(second, "unit") is Outcome.ERRORED)
            assert len(topic.lines("ran.log")) == 2
            assert watch.board.control is not None
            watch.board.control.rerun(commit, "unit")
            assert watch.cell(commit, "unit").state in (CellState.WAITING, CellState.RUNNING)
            await watch.until(watch.is_done)
            assert len(topic.lines("ran.log")) == 3
            topic.config(
                (topic.path / "limmat.toml").read_text() + '[[tests]]\nname = "more"\ncommand = "true"\n'
            )
            await watch.until(lambda: watch.outcome(commit, "more") is Outcome.PASSED and watch.is_done())
            assert len(topic.lines("ran.log")) == 5

    run(scenario())


def test_a_config_edit_is_picked_up(topic: Repo) -> None:
    """Only what is defined anew runs again; a broken config is shown, and the last good one goes on."""
    topic.config(LOGGED + '[[tests]]\nname = "gone"\ncommand = "true"\n')
    commit = topic.git("rev-parse", "HEAD")

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until_done(commits=1)
            topic.config("[[tests]]\nname = 3\n")
            await watch.until(lambda: "config" in watch.board.problems)
            assert watch.outcome(commit, "gone") is Outcome.PASSED
            topic.config(LOGGED + '[[tests]]\nname = "new"\ncommand = "false"\n')
            await watch.until(lambda: watch.outcome(commit, "new") is Outcome.FAILED)
            assert watch.board.problems == {}
            assert watch.board.tests == ("unit", "new")
            assert len(topic.lines("ran.log")) == 1
            topic.config('[[tests]]\nname = "new"\ncommand = "true"\n')
            await watch.until(lambda: watch.outcome(commit, "new") is Outcome.PASSED)

    run(scenario())


def test_a_running_job_of_an_old_definition_gives_way(topic: Repo) -> None:
    """Its result would say nothing about the test as it is now."""
    topic.config('[[tests]]\nname = "unit"\ncommand = "sleep 1000"\n')
    commit = topic.git("rev-parse", "HEAD")

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until(lambda: watch.runs(commit, "unit"))
            topic.config(PASS)
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.PASSED)

    run(scenario())


def test_resources_and_worktrees_may_change_while_jobs_run(topic: Repo) -> None:
    """A config that asks for more than there is, is refused; one that offers more is used at once."""
    topic.config(GATED)
    commit = topic.commit("second")
    first = topic.git("rev-parse", "HEAD~1")

    async def scenario() -> None:
        async with watching(topic, jobs=4) as watch:
            await watch.until(lambda: watch.runs(commit, "unit"))
            topic.config(GATED + 'resources = ["board"]\n')
            await watch.until(lambda: "config" in watch.board.problems)
            topic.config(GATED.replace("num_worktrees = 1", "num_worktrees = 2"))
            await watch.until(lambda: watch.runs(commit, "unit") and watch.runs(first, "unit"))
            topic.write("gate.log", "open")
            await watch.until(watch.is_done)
            assert watch.board.problems == {}

    run(scenario())


def test_what_cannot_be_resolved_is_shown_and_never_fatal(repo: Repo) -> None:
    """An unborn HEAD, a base that is missing, deleted and back, a detached HEAD."""
    repo.config(PASS)

    async def scenario() -> None:
        async with watching(repo, base="main") as watch:
            await watch.until(lambda: watch.board.problems.get("range"))
            await watch.commit("base")
            await watch.until(lambda: not watch.board.problems)
            commit = await asyncio.to_thread(repo.commit, "topic", "main")
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.PASSED)
            await watch.git("branch", "-q", "-m", "main", "away")
            await watch.until(lambda: "main" in watch.board.problems.get("range", ""))
            assert watch.outcome(commit, "unit") is Outcome.PASSED
            await watch.git("branch", "-q", "-m", "away", "main")
            await watch.until(lambda: not watch.board.problems)
            await watch.git("checkout", "-q", "--detach")
            await watch.until(lambda: "topic" not in watch.board.head)
            commit = await watch.commit("detached")
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.PASSED)

    run(scenario())


def test_a_result_of_another_process_shows_up(topic: Repo) -> None:
    """Who else tests or forgets, is seen; what is forgotten is tested again."""
    topic.config(LOGGED)
    commit = topic.git("rev-parse", "HEAD")

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until_done(commits=1)
            first = watch.cell(commit, "unit").result
            await watch.limmat("run", "--rerun", "HEAD")
            await watch.until(lambda: watch.cell(commit, "unit").result != first)
            assert len(topic.lines("ran.log")) == 2
            await watch.limmat("forget", "HEAD")
            await watch.until(lambda: len(topic.lines("ran.log")) == 3 and watch.is_done())
            assert watch.outcome(commit, "unit") is Outcome.PASSED

    run(scenario())


def test_a_job_of_another_process_is_not_run_twice(topic: Repo) -> None:
    """It is shown as running elsewhere, with its output, and its answer is ours."""
    topic.config(GATED)
    commit = topic.git("rev-parse", "HEAD")
    other = topic.start("run", "HEAD")
    wait_until(lambda: topic.lines("ran.log") == [commit])

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until(lambda: watch.runs(commit, "unit"))
            cell = watch.cell(commit, "unit")
            assert cell.elsewhere
            assert cell.directory is not None
            assert cell.directory.is_dir()
            assert watch.board.control is not None
            with pytest.raises(LimmatError, match="another process"):
                watch.board.control.cancel(commit, "unit")
            topic.write("gate.log", "open")
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.PASSED)
            assert topic.lines("ran.log") == [commit]

    run(scenario())
    assert other.wait(30) == 0
    other.communicate()


def test_the_user_may_cancel_and_run_again(topic: Repo) -> None:
    """A cancelled case stays so, and what depends on it too, until it is asked for."""
    topic.config(GATED + '[[tests]]\nname = "after"\ndepends_on = ["unit"]\ncommand = "true"\n')
    commit = topic.git("rev-parse", "HEAD")

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until(lambda: watch.runs(commit, "unit"))
            control = watch.board.control
            assert control is not None
            with pytest.raises(LimmatError, match="running already"):
                control.rerun(commit, "unit")
            control.cancel(commit, "unit")
            await watch.until(watch.is_done)
            assert watch.outcome(commit, "unit") is Outcome.CANCELLED
            with pytest.raises(LimmatError, match="nothing to cancel"):
                control.cancel(commit, None)
            topic.write("gate.log", "open")
            second = await watch.commit("second")
            await watch.until(lambda: watch.outcome(second, "after") is Outcome.PASSED)
            assert watch.outcome(commit, "unit") is Outcome.CANCELLED
            control.rerun(commit, None)
            await watch.until(lambda: watch.outcome(commit, "after") is Outcome.PASSED)
            assert watch.outcome(commit, "unit") is Outcome.PASSED

    run(scenario())


def test_stopping_names_what_delays_it_and_the_second_time_kills(topic: Repo) -> None:
    """A job that ignores TERM keeps its name on the list; a second stop ends it at once."""
    deaf = "trap '' TERM; echo >$LIMMAT_ORIGIN/ran.log; while :; do sleep 1; done"
    topic.config(f'[[tests]]\nname = "deaf"\ncommand = "{deaf}"\n')
    commit = topic.git("rev-parse", "HEAD")

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until(lambda: watch.runs(commit, "deaf"))
            await asyncio.to_thread(wait_until, lambda: (topic.path / "ran.log").exists())
            watch.watch.stop()
            assert watch.watch.stopping is not None
            assert [place.test for _, place in watch.watch.stopping] == ["deaf"]
            watch.watch.stop()

    run(scenario())


def test_a_repository_that_goes_and_comes_back_is_watched_again(topic: Repo, tmp_path: Path) -> None:
    """It is shown while it is away."""

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until_done(commits=1)
            (topic.path / ".git").rename(tmp_path / "away")
            await watch.until(lambda: "repository" in watch.board.problems)
            (tmp_path / "away").rename(topic.path / ".git")
            await watch.until(lambda: not watch.board.problems)
            commit = await watch.commit("second")
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.PASSED)

    run(scenario())


def test_results_that_cannot_be_stored_are_stored_later(topic: Repo) -> None:
    """A store that fails is shown; when it works again nothing was lost."""
    blocker = topic.path / ".git" / "refs" / "limmat"
    commit = topic.git("rev-parse", "HEAD")
    blocker.write_text("in the way")

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until(lambda: "store" in watch.board.problems)
            blocker.unlink()
            await watch.until(lambda: watch.outcome(commit, "unit") and not watch.board.problems)

    run(scenario())
    assert "passed" in topic.limmat("status", "HEAD")


def test_a_warning_is_shown_for_a_while(topic: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened once and is over is no problem of a board for as long as the watch lives."""
    monkeypatch.setattr("gitlimmat.service.watch._WARNED_FOR_S", 0.05)

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until_done(commits=1)
            await asyncio.to_thread(watch.watch.warn, "results were ignored")
            await watch.until(lambda: watch.board.problems == {"warning": "results were ignored"})
            await watch.until(lambda: not watch.board.problems)

    run(scenario())


def test_two_watches_share_their_work(topic: Repo) -> None:
    """Both see all results, and each case is run once."""
    topic.config(LOGGED)
    for number in range(5):
        topic.commit(f"commit {number}")
    other = topic.start("watch", "--no-http")
    assert other.stdout is not None

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until_done(commits=6)
            commit = await watch.commit("another")
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.PASSED)
            said = await asyncio.to_thread(read_until, other.stdout, b": 7 passed")
            assert len([line for line in said if b"unit" in line]) == 7, said

    run(scenario())
    other.send_signal(signal.SIGINT)
    _, errors = other.communicate(timeout=30)
    assert other.returncode == 0, errors
    assert len(topic.lines("ran.log")) == 7


def test_a_reader_that_goes_away_ends_a_watch(topic: Repo) -> None:
    """As for other commands in a pipe: status 141, nothing said, no job left."""
    watch = topic.start("watch", "--no-http")
    assert watch.stdout is not None
    watch.stdout.close()
    assert watch.stderr is not None
    errors = watch.stderr.read()
    watch.stderr.close()
    assert watch.wait(30) == 141
    assert errors == b""


def read_until(stream: IO[bytes], words: bytes) -> list[bytes]:
    """Return the lines of a stream up to the first with these words in it."""
    said = []
    for line in stream:
        said.append(line)
        if words in line:
            return said
    raise AssertionError(said)


def test_several_repositories_share_the_jobs_of_one_watch(make_repo: Callable[..., Repo]) -> None:
    """Each has its own board and config; no more jobs run than asked for."""
    repos = [make_repo("one"), make_repo("two")]
    for repo in repos:
        repo.config(GATED)
        repo.commit("base")
        repo.commit("topic", "main")

    async def scenario() -> None:
        async with watching(*repos, jobs=1) as watch:
            boards = watch.watch.boards
            assert [board.name for board in boards] == ["one", "two"]
            await watch.until(lambda: sum(board.counts().running for board in boards) == 1)
            for repo in repos:
                repo.write("gate.log", "open")
            for board in boards:
                await watch.until(lambda board=board: board.counts().outcomes == {Outcome.PASSED: 1}, board)

    run(scenario())


def test_notes_follow_what_is_found_out(topic: Repo) -> None:
    """`git log --notes=limmat` is right while the watch goes on, also for a reworded commit."""
    topic.config(PASS + 'cache = "by_tree"\n')

    async def scenario() -> None:
        async with watching(topic) as watch:
            await watch.until_done(commits=1)
            await watch.git("commit", "-q", "--amend", "-m", "better words")
            await watch.until(lambda: watch.board.commits[0].subject == "better words" and watch.is_done())
            await asyncio.to_thread(
                wait_until, lambda: "passed" in topic.git("log", "-1", "--format=%N", "--notes=limmat")
            )

    run(scenario())


def test_what_is_stored_after_its_commit_has_gone_has_a_note(topic: Repo) -> None:
    """A job may be over, and its result on the way to the store, when its commit is amended."""
    topic.config(GATED.replace("num_worktrees = 1", "") + PASS.replace("unit", "quick"))

    def note(commit: str) -> str:
        return topic.git("log", "-1", "--format=%N", "--notes=limmat", commit)

    async def scenario() -> None:
        async with watching(topic, jobs=2) as watch:
            old = await watch.git("rev-parse", "HEAD")
            await asyncio.to_thread(wait_until, lambda: "passed quick" in note(old))
            tracker = watch.board.control
            assert isinstance(tracker, Tracker)
            async with tracker.engine.recorder.writing:
                topic.write("gate.log", "open")
                await watch.until(lambda: watch.runs(old, "unit") and not watch.cell(old, "unit").directory)
                await watch.git("commit", "-q", "--amend", "-m", "better words")
                await watch.until(lambda: watch.board.commits[0].subject == "better words")
            await watch.until(watch.is_done)
        assert "passed unit" in note(old)
        assert "as the results are" in topic.limmat("notes")

    run(scenario())
