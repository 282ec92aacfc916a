"""Measurements of what is stored: reports, lookups, inserts, size, and git's own log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from contenders import GitTest, find_git_test
from repositories import clone, commits, size_of_objects
from sandbox import CommandError, discard, git, limmat, program, run, tell
from table import Budget, Row, Unit
from timing import Action, medians, seconds
from workshop import TESTS, Workshop, configure, fill, open_configured, store

if TYPE_CHECKING:
    from gitlimmat.service.project import Project

_REPORT = Budget(0.4, of_peer=False)
_TURNS = 30


def cached(shop: Workshop) -> list[Row]:
    """Reports on commits whose results are all known."""
    count = shop.sizes.report
    times = _report_times(shop.known, count, "status", "run", rounds=shop.sizes.rounds)
    one = _git_test_report(shop)
    peer = "git-test: not installed" if one is None else "git-test results, one result × all"
    theirs = None if one is None else one * count * TESTS
    what = f"{count:,} commits × {TESTS} tests, all known"
    return [Row(f"{what}: `git limmat {each}`", times[each], peer, theirs, _REPORT) for each in times]


def stored(shop: Workshop) -> list[Row]:
    """A store of very many results against an empty one."""
    few = shop.make_history("few-results")
    many = shop.make_history("many-results")
    before = size_of_objects(many)
    about = commits(many, shop.sizes.stored_commits)
    tell("storing results")
    number = fill(many, about[_TURNS:])
    in_use = size_of_objects(many) - before
    git(many, "gc", "-q", "--prune=now")
    each = (size_of_objects(many) - before) / number
    tell(f"results take {in_use / number:.0f} bytes each before 'git gc'")
    newest = _report_times(many, shop.sizes.report, "status", rounds=shop.sizes.rounds)["status"]
    oldest = [commit.id for commit in about[:_TURNS]]
    lookup, insert = _look_up_and_insert(open_configured(many), configure(few), oldest)
    what = f"{number:,} stored results"
    return [
        Row(f"{what}: lookup", lookup[0], "empty store", lookup[1], Budget(1.5)),
        Row(f"{what}: insert", insert[0], "empty store", insert[1], Budget(1.5)),
        Row(f"{what}: `git limmat status` of {shop.sizes.report:,} commits", newest, budget=_REPORT),
        Row(f"{what}: bytes after `git gc`, each", each, budget=Budget(400, of_peer=False), unit=Unit.BYTES),
    ]


def log(shop: Workshop) -> list[Row]:
    """What our notes cost a user of `git log`."""
    count = shop.sizes.report
    turns: dict[str, Action] = {
        "with": partial(discard, ["git", "log", f"-n{count}", "--notes=limmat"], shop.known),
        "without": partial(discard, ["git", "log", f"-n{count}", "--no-notes"], shop.known),
    }
    if git(shop.known, "log", f"-n{count}", "--notes=limmat").count("limmat: ") < count:
        raise CommandError("not every commit has a note")
    times = medians(turns, rounds=4 * shop.sizes.rounds)
    what = f"`git log -n{count} --notes=limmat`, {TESTS} tests a commit"
    return [Row(what, times["with"], "git log --no-notes", times["without"], Budget(1.2))]


def _report_times(repository: Path, count: int, *commands: str, rounds: int) -> dict[str, float]:
    """Return how long whole processes take to report on `count` commits whose results are all known.

    Raises: CommandError when the report has anything unknown.
    """
    span = f"main~{count}..main"
    cells = limmat(repository, "status", "--porcelain", span).count(b"\n")
    unknown = limmat(repository, "status", "--porcelain", span).count(b"\tunknown\t")
    if cells != count * TESTS or unknown:
        raise CommandError(f"status knows {cells - unknown} of {count * TESTS} results")
    return medians({each: partial(_report, repository, each, span) for each in commands}, rounds=rounds)


def _report(repository: Path, command: str, span: str) -> None:
    """Run a command that ends with 1 when a known result is a failure."""
    run([*program(), command, span], repository, accepted=(0, 1))


def _git_test_report(shop: Workshop) -> float | None:
    """Return what one known result costs git-test, None when it is not installed."""
    found = find_git_test(shop.git_test)
    if found is None:
        return None
    peer = GitTest(clone(shop.small, shop.small.with_name("for-git-test-report")), found)
    count = shop.sizes.many
    peer.measure(count, 1)
    span = f"main~{count}..main"
    return (
        medians({"results": lambda: peer.call("results", span)}, rounds=shop.sizes.rounds)["results"] / count
    )


def _look_up_and_insert(
    full: Project, empty: Project, about: Sequence[str]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return median times of a lookup and of an insert, each in the full store and in the empty one.

    Both get the results of one more commit in turn, then are asked for one of them through a new `Store`.
    """
    lookups: dict[Project, list[float]] = {full: [], empty: []}
    inserts: dict[Project, list[float]] = {full: [], empty: []}
    for commit in about:
        for project in (full, empty):
            inserts[project].append(seconds(partial(store, project, [commit], 1)))
            lookups[project].append(seconds(partial(_look_up, project, commit)))
    return (
        (median(lookups[full]), median(lookups[empty])),
        (median(inserts[full]), median(inserts[empty])),
    )


def _look_up(project: Project, commit: str) -> None:
    from gitlimmat.store.store import Store

    fresh = Store(project.repository, notes_ref=None, warn=tell)
    if fresh.view().known(commit, next(iter(project.definitions.values()))) is None:
        raise CommandError(f"the result of '{commit}' is not found")
