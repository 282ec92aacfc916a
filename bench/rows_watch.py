"""Measurements of watching: how soon it reacts, and what it costs while nothing happens."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median, quantiles

from programs import Cost, Program, Reports
from repositories import clone, commits
from sandbox import CommandError, git
from table import Budget, Row, Unit
from watchers import (
    Watcher,
    commit,
    copy_limmats_results,
    counting_git,
    full_screen,
    limmat_watch,
    lines_in,
    move,
    plain,
    prepared,
    with_pages,
)
from workshop import TESTS, Workshop, open_configured, store

_KNOWN = 200
_MEGA = 1e6
_MINUTE_S = 60.0


def reaction(shop: Workshop) -> list[Row]:
    """A commit is made: its first job starts, and git is called."""
    found = {
        each.name: _reactions(shop, each)
        for each in _watchers(shop, "reaction", (plain, full_screen, limmat_watch))
    }
    peer = found.get("limmat watch")
    rows = []
    for name in ("plain", "full screen"):
        for word, figure, limit in (
            ("median", median, Budget(0.1, of_peer=False)),
            ("95 of 100", _late, None),
        ):
            what = f"`watch`, {name}: commit made → its first job started, {word}"
            rows.append(_row(what, figure(found[name]), None if peer is None else figure(peer), limit))
    return rows


def processes(shop: Workshop) -> list[Row]:
    """How often git is called while all is known, and with a commit each second."""
    found = {each.name: _calls(shop, each) for each in _watchers(shop, "processes", (plain, limmat_watch))}
    peer = found.get("limmat watch")
    what = f"`watch`, {_KNOWN} commits, git processes a minute"
    limits = {"idle": Budget(0, of_peer=False), "a commit each second": None}
    return [
        _row(f"{what}: {when}", found["plain"][place], peer and peer[place], limit, Unit.COUNT)
        for place, (when, limit) in enumerate(limits.items())
    ]


def idle(shop: Workshop) -> list[Row]:
    """What it costs to wait."""
    found = {
        each.name: _idle_cost(shop, each)
        for each in _watchers(shop, "idle", (plain, full_screen, limmat_watch))
    }
    peer = found.get("limmat watch")
    what = f"`watch`, idle, {shop.sizes.idle_s:.0f} s"
    rows = []
    for name in ("plain", "full screen"):
        mine = found[name]
        limit = Budget(0, of_peer=False)
        rows += [
            _row(f"{what}, {name}: wake-ups", mine.wakeups, peer and peer.wakeups, limit, Unit.COUNT),
            _row(f"{what}, {name}: CPU", mine.cpu, peer and peer.cpu, None),
        ]
    return rows


def memory(shop: Workshop) -> list[Row]:
    """What a watch of many known results holds, and how soon it shows them."""
    count = shop.sizes.report
    what = f"`watch`, {count:,} commits × {TESTS} tests, all known"
    limit = Budget(120 * _MEGA, of_peer=False)
    frames: dict[str, float] = {}
    held = {}
    for each in _all_known(shop):
        with each.watch(f"main~{count}") as program:
            frames[each.name] = program.wait_for(f"commit {count}" if each.name != "pages" else "pages: ")
            program.wait_until_quiet(1.0)
            if each.name == "pages":
                with _page(program) as read:
                    read("/")
                    program.wait_until_quiet(1.0)
                    held[each.name] = program.memory()
            else:
                held[each.name] = program.memory()
    peer = held.get("limmat watch")
    rows = []
    for name in ("plain", "full screen", "pages"):
        title = "plain, with a page open" if name == "pages" else name
        mine = held[name]
        rows += [
            _row(f"{what}, {title}: memory", mine.now, peer and peer.now, limit, Unit.BYTES),
            _row(f"{what}, {title}: peak", mine.peak, peer and peer.peak, limit, Unit.BYTES),
        ]
    for name in ("plain", "full screen"):
        rows.append(_row(f"{what}, {name}: start → shown", frames[name], frames.get("limmat watch"), None))
    return rows


def refresh(shop: Workshop) -> list[Row]:
    """What it costs to take in that the branch has moved, by CPU time of the program alone."""
    count = shop.sizes.report
    repository = clone(shop.known, shop.known.with_name("refreshed"))
    git(repository, "fetch", "-q", str(shop.known), "refs/limmat/results:refs/limmat/results")
    (repository / "limmat.toml").write_bytes((shop.known / "limmat.toml").read_bytes())
    (repository / ".git" / "info" / "exclude").write_text("limmat.toml\n")
    tip = git(repository, "rev-parse", "main")
    new = [prepared(repository, tip, f"new {number}") for number in range(2 * shop.sizes.rounds)]
    store(open_configured(repository), new)
    times: dict[str, list[float]] = {"a new commit": [], "an amended one": [], "back": []}
    with plain(repository).watch(f"main~{count}") as program:
        program.wait_for(f"commit {count}")
        program.wait_until_quiet(1.5)
        for one, other in zip(new[::2], new[1::2], strict=True):
            for name, place in zip(times, (one, other, tip), strict=True):
                before = program.cost()
                move(repository, place)
                program.wait_until_quiet(1.0)
                times[name].append(program.cost().since(before).cpu)
    what = f"`watch`, {count:,} commits × {TESTS} tests, all known, CPU of a refresh"
    return [
        _row(f"{what}: {name}", median(each), None, Budget(0.05, of_peer=False))
        for name, each in times.items()
    ]


def page(shop: Workshop) -> list[Row]:
    """A commit is made: those who follow the page have its cell, and then its result."""
    (watcher,) = _watchers(shop, "page", (with_pages,))
    watcher.configure("true")
    shown, passed = [], []
    with watcher.watch(f"main~{_KNOWN}") as program, _page(program) as read:
        _wait_for_passed(read, git(watcher.repository, "rev-parse", "HEAD"))
        stream = read.follow()
        for number in range(shop.sizes.reactions):
            program.wait_until_quiet()
            new = commit(watcher.repository, f"new {number}")
            start = time.perf_counter()
            first, last = _arrivals(read, stream, new)
            shown.append(first - start)
            passed.append(last - start)
    what = f"`watch`, {_KNOWN} commits: commit made → "
    return [
        _row(f"{what}its cell on the page", median(shown), None, Budget(0.3, of_peer=False)),
        _row(f"{what}its result on the page, `true`", median(passed), None, None),
    ]


def _reactions(shop: Workshop, watcher: Watcher) -> list[float]:
    """Return how long it takes to start a job for a new commit, each time out of rest."""
    reports = Reports(watcher.repository.with_name(f"{watcher.repository.name}-jobs"))
    watcher.configure(f"echo $LIMMAT_COMMIT >{reports.path}")
    times = []
    with watcher.watch(f"main~{_KNOWN}") as program:
        reports.wait_for_all({each.id for each in commits(watcher.repository, _KNOWN)})
        for number in range(shop.sizes.reactions):
            program.wait_until_quiet()
            git(watcher.repository, "commit", "-q", "--allow-empty", "-m", f"new {number}")
            start = time.perf_counter()
            new = git(watcher.repository, "rev-parse", "HEAD")
            times.append(reports.wait_for(new) - start)
    reports.close()
    return times


def _calls(shop: Workshop, watcher: Watcher) -> tuple[float, float]:
    """Return how many processes of git it starts in a minute, idle and under one commit a second."""
    reports = Reports(watcher.repository.with_name(f"{watcher.repository.name}-jobs"))
    watcher.configure(f"echo $LIMMAT_COMMIT >{reports.path}")
    wrapper, noted = counting_git(reports.path.parent)
    seconds = shop.sizes.idle_s
    with watcher.watch(f"main~{_KNOWN}", git_binary=wrapper) as program:
        reports.wait_for_all({each.id for each in commits(watcher.repository, _KNOWN)})
        program.wait_until_quiet(2.0)
        before = lines_in(noted)
        time.sleep(seconds)
        rested = lines_in(noted)
        start = time.monotonic()
        for number in range(round(seconds)):
            git(watcher.repository, "commit", "-q", "--allow-empty", "-m", f"new {number}")
            time.sleep(max(0.0, start + number + 1 - time.monotonic()))
        after = lines_in(noted)
    reports.close()
    return (rested - before) * _MINUTE_S / seconds, (after - rested) * _MINUTE_S / seconds


def _idle_cost(shop: Workshop, watcher: Watcher) -> Cost:
    """Return what it costs to do nothing, with all known."""
    reports = Reports(watcher.repository.with_name(f"{watcher.repository.name}-jobs"))
    watcher.configure(f"echo $LIMMAT_COMMIT >{reports.path}")
    with watcher.watch(f"main~{_KNOWN}") as program:
        reports.wait_for_all({each.id for each in commits(watcher.repository, _KNOWN)})
        program.wait_until_quiet(4.0)
        before = program.cost()
        time.sleep(shop.sizes.idle_s)
        cost = program.cost().since(before)
    reports.close()
    return cost


def _watchers(
    shop: Workshop, purpose: str, makers: tuple[Callable[..., Watcher | None], ...]
) -> list[Watcher]:
    """Return these watchers, each with a repository of its own."""
    found = []
    for maker in makers:
        place = shop.root / f"{purpose}-{maker.__name__}"
        place.mkdir()
        watcher = maker(clone(shop.watched(_KNOWN), place / "repository"))
        if watcher is not None:
            found.append(watcher)
    return found


def _all_known(shop: Workshop) -> Iterator[Watcher]:
    """Yield watchers of repositories in which all is known to them."""
    for maker in (plain, full_screen, with_pages):
        yield maker(shop.known)
    peer = limmat_watch(clone(shop.known, shop.known.with_name("known-to-limmat")))
    if peer is None:
        return
    peer.configure(*["true"] * TESTS)
    with peer.watch("main~1") as program:
        program.wait_for("commit")
        program.wait_until_quiet(3.0)
    copy_limmats_results(peer.repository, shop.sizes.report)
    yield peer


class _Reader:
    """Asks a watch for its pages."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._streams: list[http.client.HTTPConnection] = []

    def __call__(self, path: str) -> str:
        """Return the page at `path`."""
        connection = http.client.HTTPConnection(*self._place, timeout=_MINUTE_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def follow(self) -> Iterator[dict[str, object]]:
        """Return the events that come from now on, the first already being there."""
        connection = http.client.HTTPConnection(*self._place, timeout=_MINUTE_S)
        self._streams.append(connection)
        connection.request("GET", "/events")
        response = connection.getresponse()
        return (json.loads(line[6:]) for line in iter(response.readline, b"") if line.startswith(b"data: "))

    def close(self) -> None:
        """End all streams."""
        for stream in self._streams:
            stream.close()


@contextmanager
def _page(program: Program) -> Iterator[_Reader]:
    """Give a reader of the pages of a program, with one that follows them all the while."""
    found = re.search(r"http://([\d.]+):(\d+)", program.line_with("pages: "))
    if found is None:
        raise CommandError("no address of pages")
    reader = _Reader(found[1], int(found[2]))
    try:
        next(reader.follow())
        yield reader
    finally:
        reader.close()


def _wait_for_passed(read: _Reader, wanted: str) -> None:
    for _ in read.follow():
        if not any(
            json.loads(read("/api/board"))["counts"][word] for word in ("waiting", "running", "unknown")
        ):
            return
    raise CommandError(f"no result of '{wanted}' comes")


def _arrivals(read: _Reader, stream: Iterator[dict[str, object]], new: str) -> tuple[float, float]:
    """Return when the row of a commit is on the page, and when its test has passed there."""
    shown: float | None = None
    for event in stream:
        if event.get("reload") and f"commit/{new}/" in read("/table"):
            shown = shown or time.perf_counter()
        cells = event.get("cells", [])
        assert isinstance(cells, list)
        if any(cell["commit"] == new and cell["outcome"] for cell in cells):
            return shown or time.perf_counter(), time.perf_counter()
        if shown and event.get("reload"):
            rows = json.loads(read("/api/board"))["commits"]
            if any(row["id"] == new and row["cells"][0]["outcome"] for row in rows):
                return shown, time.perf_counter()
    raise CommandError("the stream of events has ended")


def _late(times: list[float]) -> float:
    return quantiles(times, n=20, method="inclusive")[-1]


def _row(
    what: str, ours: float, theirs: float | None, budget: Budget | None, unit: Unit = Unit.SECONDS
) -> Row:
    return Row(what, ours, "limmat watch" if theirs is not None else "", theirs, budget, unit)
