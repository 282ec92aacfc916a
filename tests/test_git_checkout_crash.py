"""A process that is killed in the middle of a switch leaves nothing that a later one would believe."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

from conftest import Repo
from worktrees import assert_exact, commit_of, make_pool

_LOOP = """
import itertools, os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import Repo
from worktrees import commit_of, make_pool
repo = Repo(Path({path!r}), dict(os.environ))
worktree = make_pool(repo).acquire()
commits = [commit_of(repo, name) for name in {names!r}]
print("ready", flush=True)
for number in itertools.count():
    worktree.switch(commits[number % len(commits)])
"""
_ROUNDS = 40


def test_killed_switch_is_repaired_by_the_next_process(repo: Repo) -> None:
    """Forty kills at random moments: each time a new process gets the exact tree, in the same slot."""
    for number in range(4):
        files = {
            f"dir{at % 7}/file{at}": f"{number if at % 3 == number % 3 else 'same'} {at}\n"
            for at in range(60)
        }
        extra = {f"only{number}/x{at}": "x\n" for at in range(5)}
        for old in repo.path.glob("only*"):
            for path in old.iterdir():
                path.unlink()
        repo.commit(str(number), **files, **extra)
        repo.git("tag", f"t{number}")
    names = [f"t{number}" for number in range(4)]
    script = _LOOP.format(tests=str(Path(__file__).parent), path=str(repo.path), names=names)
    chance = random.Random(1)
    for _ in range(_ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            env=repo.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert child.stdout is not None
        with child.stdout:
            assert child.stdout.readline() == b"ready\n"
            select.select([], [], [], chance.random() * 0.03)
            os.kill(child.pid, signal.SIGKILL)
            child.wait()

        worktree = make_pool(repo).acquire()
        commit = commit_of(repo, chance.choice(names))
        worktree.switch(commit)

        assert worktree.slot == 1
        assert_exact(worktree, commit)
        worktree.release()
