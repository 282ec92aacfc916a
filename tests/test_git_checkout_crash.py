"""A process that is killed in the middle of a switch leaves nothing that a later one would believe."""

from __future__ import annotations

import itertools
import os
import random
import select
import signal
from typing import NoReturn

from conftest import Repo
from worktrees import assert_exact, commit_of, make_pool

from gitlimmat.model import Commit

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
    commits = [commit_of(repo, name) for name in names]
    chance = random.Random(1)
    for _ in range(_ROUNDS):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            _switch_for_ever(repo, commits, writer)
        os.close(writer)
        with os.fdopen(reader) as ready:
            ready.readline()
        select.select([], [], [], chance.random() * 0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

        worktree = make_pool(repo).acquire()
        commit = chance.choice(commits)
        worktree.switch(commit)

        assert worktree.slot == 1
        assert_exact(worktree, commit)
        worktree.release()


def _switch_for_ever(repo: Repo, commits: list[Commit], writer: int) -> NoReturn:
    try:
        worktree = make_pool(repo).acquire()
        for number in itertools.count():
            worktree.switch(commits[number % len(commits)])
            if number == len(commits):
                os.write(writer, b"ready\n")
    finally:
        os._exit(1)
