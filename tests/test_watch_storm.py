"""An hour of editing in seconds: whatever happens, in the end all agree and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Repo
from waiting import wait_until
from watcher import Watcher, is_quiet, states, stored
from watching import Watching, run, watching

from gitlimmat.errors import LimmatError
from gitlimmat.model import Outcome
from gitlimmat.web.api import ApiBoard

SOAK = bool(os.environ.get("LIMMAT_SOAK"))
"""Run for minutes instead of seconds."""

_LOCKED = r"""
exec 9>"$LIMMAT_ORIGIN/../locks/$(basename "$PWD")"
if ! flock -n 9; then echo "overlap $PWD $LIMMAT_COMMIT" >>"$LIMMAT_ORIGIN/../wrong"; exit 1; fi
test "$(git rev-parse HEAD)" = "$LIMMAT_COMMIT" || echo "not at $LIMMAT_COMMIT" >>"$LIMMAT_ORIGIN/../wrong"
"""
CONFIG = f"""num_worktrees = 3
[[tests]]
name = "exact"
command = '''{_LOCKED}
echo "$LIMMAT_COMMIT" >>"$LIMMAT_ORIGIN/../ran"
echo made >"$LIMMAT_ARTIFACTS/made"; echo edited >file; echo new >untracked; sleep 0.0$((RANDOM % 10))
case $LIMMAT_COMMIT in *[0-3]) exit 3 ;; esac
'''
[[tests]]
name = "tree"
cache = "by_tree"
command = '''{_LOCKED} test -e file'''
[[tests]]
name = "after"
depends_on = ["exact"]
requires_worktree = false
command = 'test -s "$LIMMAT_ARTIFACTS_exact/made"'
[[tests]]
name = "slow"
command = '''{_LOCKED} trap 'sleep 0.3; exit 0' TERM; sleep 0.2 & wait $!'''
"""


class Storm:
    """Someone who edits history as fast as git can."""

    def __init__(self, repo: Repo, seed: int) -> None:
        self._repo = repo
        self._chance = random.Random(seed)
        self._commits = repo.git("rev-list", "topic").splitlines()
        self._count = 0
        self._linked = repo.path.parent / "linked"
        self._batch = subprocess.Popen(
            ["git", "update-ref", "--stdin"],
            cwd=repo.path,
            env=repo.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def blow(self, seconds: float) -> int:
        """Edit for so long, then end all that was begun; return how many refs were updated."""
        begun, updates = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            updates += self._fetch()
            getattr(self, f"_{self._chance.choice(self._ACTIONS)}")()
            updates += 1
        assert self._batch.stdin is not None
        self._batch.stdin.close()
        self._batch.wait()
        assert self._batch.stdout is not None
        self._batch.stdout.close()
        return updates

    _ACTIONS = (
        *["commit"] * 6,
        *["amend"] * 5,
        *["reword"] * 3,
        *["reset"] * 3,
        *["checkout", "branch", "rebase", "revert", "stash", "pack", "worktree"] * 2,
        "collect",
    )

    def _git(self, *arguments: str) -> str:
        return self._repo.git("-c", "gc.auto=0", *arguments, check=False)

    def _remember(self) -> None:
        self._commits.append(self._repo.git("rev-parse", "--verify", "HEAD"))
        del self._commits[:-40]

    def _fetch(self) -> int:
        """Move what a fetch moves, many refs at a time."""
        target = self._chance.choice(self._commits)
        lines = [f"update refs/remotes/origin/b{number} {target}\n" for number in range(8)]
        assert self._batch.stdin is not None
        assert self._batch.stdout is not None
        self._batch.stdin.write("".join(["start\n", *lines, "commit\n"]).encode())
        self._batch.stdin.flush()
        assert self._batch.stdout.readline() == b"start: ok\n"
        assert self._batch.stdout.readline() == b"commit: ok\n"
        return len(lines)

    def _commit(self) -> None:
        self._count += 1
        self._repo.write("file", f"{self._chance.random()}")
        self._git("commit", "-qam", f"c{self._count}")
        self._remember()

    def _amend(self) -> None:
        self._repo.write("file", f"{self._chance.random()}")
        self._git("commit", "-qa", "--amend", "--no-edit")
        self._remember()

    def _reword(self) -> None:
        self._count += 1
        self._git("commit", "-q", "--amend", "-m", f"words {self._count}")
        self._remember()

    def _reset(self) -> None:
        self._git("reset", "-q", "--hard", self._chance.choice(["HEAD~1", "HEAD~2", "HEAD@{1}"]))

    def _checkout(self) -> None:
        self._git("checkout", "-qf", self._chance.choice(["topic", "other", "HEAD~1", "@{-1}"]))

    def _branch(self) -> None:
        self._git("branch", "-qf", self._chance.choice(["other", "third"]), "HEAD~1")

    def _rebase(self) -> None:
        self._git("rebase", "-q", "--force-rebase", "HEAD~3")
        self._git("rebase", "--abort")
        self._remember()

    def _revert(self) -> None:
        self._git("revert", "--no-edit", "HEAD")
        self._git("reset", "-q", "--hard")

    def _stash(self) -> None:
        self._repo.write("file", "stashed")
        self._git("stash", "-q")
        self._git("stash", "drop", "-q")

    def _pack(self) -> None:
        self._git("pack-refs", "--all")

    def _worktree(self) -> None:
        self._git("worktree", "add", "-q", "--detach", str(self._linked))
        self._git("worktree", "remove", "--force", str(self._linked))

    def _collect(self) -> None:
        self._git("reflog", "expire", "--expire=now", "--all")
        self._git("gc", "-q", "--prune=now")
        self._commits = self._git("rev-list", "--branches").splitlines()


@pytest.fixture
def edited(repo: Repo) -> Repo:
    """A repository with ten commits on `topic`, another branch, and tests that notice what is wrong."""
    (repo.path.parent / "locks").mkdir()
    repo.config(CONFIG)
    repo.commit("base", file="0")
    for number in range(10):
        repo.commit("topic", "main" if number == 0 else None, file=str(number + 1))
        repo.git("commit", "-q", "--amend", "-m", f"topic {number}")
    repo.git("branch", "other", "topic~4")
    repo.git("branch", "third", "topic~5")
    return repo


def lines(path: Path) -> list[str]:
    """Return the lines of a file, none when it is not there."""
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("seed", range(3) if SOAK else range(1))
def test_after_a_storm_board_page_store_and_git_agree(edited: Repo, seed: int) -> None:
    """Thousands of updates while tests run; then all say the same, and nothing is left behind."""
    with Watcher(edited, "main") as watcher:
        watcher.wait_for_board(lambda board: len(board.commits) == 10 and is_quiet(board))
        before = watcher.holdings()

        updates = Storm(edited, seed).blow(240 if SOAK else 6)
        edited.git("checkout", "-qf", "topic")
        edited.commit("the end", file="end")

        wanted = edited.git("rev-list", "--topo-order", "main..HEAD").splitlines()
        board = watcher.wait_for_board(
            lambda board: [row.id for row in board.commits] == wanted and is_quiet(board)
        )
        assert updates > (10_000 if SOAK else 300)
        assert board.problems.keys() <= {"warning"}, board.problems  # of what `--prune=now` may still take
        assert (board.base, board.head) == ("main", "topic")
        assert stored(edited, "main..HEAD") == states(board)
        assert_lawful(board, wanted)
        wait_until(lambda: running_jobs(watcher) == [], "the last job")
        after = watcher.holdings()
        assert after.descriptors <= before.descriptors + 20, watcher.open_files()
        assert after.threads <= before.threads + 8, (before, after)
        assert after.memory <= before.memory + 40_000, (before, after)
        assert [child for child in watcher.children().values() if child.startswith("Z")] == []
        assert watcher.stop() == 0, watcher.account()
    assert lines(edited.path.parent / "wrong") == []
    assert "Traceback" not in watcher.account()
    assert watcher.errors.read_text() == ""
    assert_clean(edited)


def test_users_who_press_all_keys_at_once(edited: Repo) -> None:
    """Cancelled, run again and amended at random: no two jobs meet, and all comes right in the end."""
    slow = f"""num_worktrees = 2
[[tests]]
name = "slow"
command = '''{_LOCKED} trap 'sleep 0.2; exit 7' TERM; sleep 0.05 & wait $!'''
[[tests]]
name = "after"
depends_on = ["slow"]
command = '''{_LOCKED} true'''
"""
    edited.config(slow)
    chance = random.Random(0)

    async def press(watch: Watching) -> None:
        control = watch.board.control
        assert control is not None
        commit = chance.choice(watch.board.commits).id
        test = chance.choice(["slow", "after", None])
        with suppress(LimmatError):
            (control.cancel if chance.random() < 0.6 else control.rerun)(commit, test)
        if chance.random() < 0.1:
            await watch.git("commit", "-q", "--amend", "-m", f"words {chance.random()}")
        if chance.random() < 0.05:
            edited.config(f"{slow}# {chance.random()}\n")
        if chance.random() < 0.05:
            await watch.git("reset", "-q", "--hard", chance.choice(["HEAD@{1}", "other", "third"]))
        await asyncio.sleep(0.001)

    async def scenario() -> None:
        async with watching(edited, base="main") as watch:
            await watch.until(lambda: len(watch.board.commits) == 10)
            for _ in range(5000 if SOAK else 250):
                await press(watch)
            head = edited.git("rev-parse", "HEAD")
            await watch.until(lambda: watch.board.commits[0].id == head and watch.is_done())
            while set(watch.board.counts().outcomes) != {Outcome.PASSED}:
                for commit in watch.board.commits:
                    with suppress(LimmatError):
                        assert watch.board.control is not None
                        watch.board.control.rerun(commit.id, None)
                await watch.until(watch.is_done)

    run(scenario())
    assert lines(edited.path.parent / "wrong") == []
    assert edited.limmat("run", "main..HEAD").count("(known)") == 2 * len(
        edited.git("rev-list", "main..HEAD").splitlines()
    )


def test_a_job_that_is_cancelled_before_it_began_is_over(repo: Repo) -> None:
    """Also when it had its slot already; it does not seem to wait for ever, and can be run again."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "true"\n')
    repo.commit("base")
    commit = repo.commit("topic", "main")

    async def scenario() -> None:
        async with watching(repo) as watch:
            await watch.until_done(commits=1)
            control = watch.board.control
            assert control is not None
            control.rerun(commit, "unit")
            control.cancel(commit, "unit")
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.CANCELLED)
            control.rerun(commit, "unit")
            await watch.until(lambda: watch.outcome(commit, "unit") is Outcome.PASSED)

    run(scenario())


def running_jobs(watcher: Watcher) -> list[str]:
    """Return the children of a watch other than its guardian."""
    return [command for command in watcher.children().values() if "limmat-guardian" not in command]


def assert_lawful(board: ApiBoard, commits: list[str]) -> None:
    """Check that each outcome is what the tests say of that commit."""
    for (commit, test), outcome in states(board).items():
        broken = commit[-1] in "0123"
        wanted = {"exact": "failed" if broken else "passed", "after": "errored" if broken else "passed"}
        assert outcome == wanted.get(test, "passed"), (commit, test, outcome)
    assert len(states(board)) == 4 * len(commits)


def assert_clean(repo: Repo) -> None:
    """Check that nothing was left in the repository that does not belong there."""
    git_dir = repo.path / ".git"
    assert [path for path in git_dir.rglob("*.lock") if git_dir / "limmat" not in path.parents] == []
    assert list((git_dir / "limmat" / "runs").glob("*.*")) == []
    tips = repo.git("for-each-ref", "--format=%(objectname)").splitlines()
    repo.git("fsck", "--strict", *tips)  # an index in the pool may know of a commit that was pruned
    verdicts: Counter[tuple[str, str, str]] = Counter()
    for line in repo.git("ls-tree", "-r", "refs/limmat/results").splitlines():
        meta, _, path = line.partition("\t")
        if not path.endswith("/results") or path.startswith("definitions/"):
            continue
        for result in map(json.loads, repo.git("cat-file", "blob", meta.split()[2]).splitlines()):
            if result["outcome"] in ("passed", "failed"):
                verdicts[path, result["test"], result["digest"]] += 1
    assert [key for key, count in verdicts.items() if count > 1] == []
