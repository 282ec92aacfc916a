"""Measurements of running: per commit, per switch, and per start of the program."""

from __future__ import annotations

import sys
from functools import partial
from math import prod
from pathlib import Path
from statistics import median
from typing import NamedTuple

from contenders import Contender, Ours, peers
from repositories import clone, commits
from sandbox import git, limmat, run
from table import Budget, Row
from timing import Action, medians, seconds
from workshop import Workshop

_CHECKOUT = "git checkout --detach --force"


class _Turn(NamedTuple):
    contender: Contender
    workers: int
    commits: int

    def measure(self) -> None:
        self.contender.measure(self.commits, self.workers)

    def __str__(self) -> str:
        return f"{self.contender.name}, {self.workers} workers, {self.commits} commits"


def overhead(shop: Workshop) -> list[Row]:
    """One uncached commit with a command that does nothing, with one worker and with two."""
    ours = Ours(clone(shop.small, shop.small.with_name("for-us")))
    others, missing = peers(shop.small, shop.git_test)
    turns = [
        _Turn(contender, workers, count)
        for workers in (1, 2)
        for contender in (ours, *others)
        for count in (shop.sizes.few, shop.sizes.many)
        if contender.can(workers)
    ]
    times = medians(
        {str(turn): turn.measure for turn in turns},
        rounds=shop.sizes.rounds,
        before={str(turn): turn.contender.forget for turn in turns},
        seldom=[str(turn) for turn in turns if turn.contender in others[1:]],
    )
    rows = []
    for workers, limit in ((1, 1.0), (2, 0.5)):
        for peer in others:
            budget = Budget(limit) if peer is others[0] else None
            rows += _compared(shop, times, ours, peer, workers, budget)
    return rows + [Row("`true`, 200 files", None, f"{name}: not installed") for name in missing]


def switching(shop: Workshop) -> list[Row]:
    """Going from commit to commit in a repository of many files."""
    count = shop.sizes.switches
    what = f"{prod(shop.sizes.wide):,} files, commits touching 3"
    mine, theirs = _switches(shop.wide, count)
    ours = Ours(shop.wide)
    actions: dict[str, Action] = {
        "ours": lambda: ours.measure(count, 1),
        "theirs": lambda: git(shop.wide, "rebase", "-q", "-x", "true", f"main~{count}"),
    }
    whole = medians(actions, rounds=3, before={"ours": ours.forget})
    return [
        Row(f"{what}: switch to the next", mine, _CHECKOUT, theirs, Budget(0.5)),
        Row(
            f"{what}: `true`, one worker, whole process, per commit",
            whole["ours"] / count,
            "git rebase -x",
            whole["theirs"] / count,
        ),
    ]


def startup(shop: Workshop) -> list[Row]:
    """The shortest thing the program does."""
    actions: dict[str, Action] = {
        "ours": lambda: limmat(shop.root, "--version"),
        "theirs": lambda: run([sys.executable, "-c", "pass"], shop.root),
    }
    times = medians(actions, rounds=4 * shop.sizes.rounds)
    limit = Budget(0.1, of_peer=False)
    return [Row("`git limmat --version`", times["ours"], "python -c pass", times["theirs"], limit)]


def _compared(
    shop: Workshop,
    times: dict[str, float],
    ours: Contender,
    peer: Contender,
    workers: int,
    budget: Budget | None,
) -> list[Row]:
    """Return two rows: whole processes, and what each further commit costs."""
    few, many = shop.sizes.few, shop.sizes.many
    used = workers if peer.can(workers) else 1
    mine = [times[str(_Turn(ours, workers, count))] for count in (few, many)]
    theirs = [times[str(_Turn(peer, used, count))] for count in (few, many)]
    what = f"`true`, 200 files, {'one worker' if workers == 1 else 'two workers'}, per commit"
    name = peer.name if used == workers else f"{peer.name} (one worker)"
    more = many - few
    return [
        Row(f"{what}: {many} commits, whole process", mine[1] / many, name, theirs[1] / many, budget),
        Row(
            f"{what}: each further one",
            (mine[1] - mine[0]) / more,
            name,
            (theirs[1] - theirs[0]) / more,
            budget,
        ),
    ]


def _switches(repository: Path, count: int) -> tuple[float, float]:
    """Return the median time of a switch in a worktree of our pool, and by git in a linked worktree."""
    from gitlimmat.git.pool import WorktreePool
    from gitlimmat.git.repository import find_repository

    linked = repository.with_name("linked")
    git(repository, "worktree", "add", "-q", "--detach", str(linked), f"main~{count}")
    pool = WorktreePool(find_repository(repository), directory=None, temporary=False, prefix="bench")
    worktree = pool.acquire()
    mine, theirs = [], []
    for number, commit in enumerate(commits(repository, count + 1)):
        taken = seconds(partial(worktree.switch, commit))
        by_git = seconds(partial(git, linked, "checkout", "-q", "--detach", "--force", commit.id))
        if number:  # the first one makes the worktree
            mine.append(taken)
            theirs.append(by_git)
    worktree.release()
    pool.close()
    return median(mine), median(theirs)
