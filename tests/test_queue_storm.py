"""Many people at once, and daemons that die at any time: what reaches the target was tested and approved."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import Repo
from queue_audit import Audit
from queueserver import MAIN, Server, make_server

from gitlimmat.git.repository import find_repository
from gitlimmat.queue.auth import Principal
from gitlimmat.queue.eventlines import encode_events
from gitlimmat.queue.events import Policy, Rollup, RunOutcome
from gitlimmat.queue.requests import (
    Approve,
    Cancel,
    Close,
    Command,
    Comment,
    Pause,
    Prioritize,
    Reopen,
    Resume,
    Retry,
    SetDraft,
    SetRollup,
    Try,
    Unapprove,
    Unroll,
)
from gitlimmat.queue.state import Change, Forge, Status
from gitlimmat.service.queue.session import open_queue, submit
from gitlimmat.store.timeline import Timelines

SOAK = os.environ.get("LIMMAT_SOAK") == "1"

CONFIG = """
[[tests]]
name = "clean"
command = "! ls | grep -q ^bad"
[[tests]]
name = "counted"
depends_on = ["clean"]
command = "test -e shared"
[[tests]]
name = "other"
run_by_default = false
command = "true"
"""
_COMMANDS: tuple[Command, ...] = (
    *(Unapprove(), Retry(), Retry(), Retry(), Cancel(), Cancel(yielding=True), Prioritize(priority=3)),
    *(SetRollup(mode=Rollup.NEVER), Close(), Reopen(), Reopen(), SetDraft(draft=True)),
    *(SetDraft(draft=False), SetDraft(draft=False), Try(), Try(tests=("other",)), Unroll()),
    Comment(text="words\n@limmat r+ p=1\n<!-- @limmat r- -->"),
)
_PRUNED = re.compile("unable to migrate objects|unpacker error|missing necessary objects|git gc --prune=now")
"""What is said when git's gc has removed what a push was just storing; nothing was pushed."""
_TOLD = re.compile(r"change ([0-9]+) (is new|has a new head|has this head already)")


class Storm:
    """A server with two daemons, and what everyone who told it something was promised."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.lock = threading.Lock()
        self.promised: list[tuple[int, dict[str, Any]]] = []
        self.observed: list[dict[str, str]] = []
        self.daemons: list[subprocess.Popen[bytes]] = []
        self.log = server.bare.path.parent / "daemons"
        self.done: Counter[str] = Counter()
        self.kills = 0
        self.is_over = False

    def start_daemon(self) -> None:
        """Start one more; it waits for its turn if another one serves."""
        with self.log.open("ab") as log:
            self.daemons.append(
                subprocess.Popen(
                    Repo.argv("queue", "serve"),
                    cwd=self.server.bare.path,
                    env=self.server.bare.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    @contextlib.contextmanager
    def daemons_at_work(self) -> Iterator[None]:
        """Have two at work."""
        try:
            self.start_daemon()
            self.start_daemon()
            yield
        finally:
            for daemon in self.daemons:
                daemon.send_signal(signal.SIGTERM)
            for daemon in self.daemons:
                daemon.wait()

    def strike(self, chance: random.Random) -> None:
        """Kill a daemon, collect garbage, look, or nothing."""
        what = chance.random()
        if what < 0.05:
            with self.lock:
                victim = self.daemons.pop(chance.randrange(len(self.daemons)))
                victim.kill()
                victim.wait()
                self.kills += 1
                self.start_daemon()
        elif what < 0.08:
            self.server.bare.git("gc", "-q", "--prune=now", check=False)  # one at a time, says git
        elif what < 0.3:
            names = self.server.bare.git(
                "for-each-ref", "--format=%(refname) %(objectname)", "refs/limmat/queue"
            )
            self.observed.append(dict(tuple(line.split(" ")) for line in names.splitlines()))  # type: ignore[misc]

    def promise(self, number: int, *events: dict[str, Any]) -> None:
        """Remember what someone was told is stored."""
        self.promised.extend((number, event) for event in events)


class Pusher:
    """Someone with a clone, who pushes changes and says what is to be done with them."""

    def __init__(self, storm: Storm, name: str, count: int) -> None:
        self.storm = storm
        self.name = name
        self.left = count
        self.chance = random.Random(storm.chance.random())
        self.repo = Repo(storm.server.bare.path.parent / name, dict(storm.server.repo.environment))
        self.heads: dict[int, str] = {}
        self.repo.path.mkdir()
        self.repo.git("clone", "-q", str(storm.server.bare.path), ".")
        repository = find_repository(storm.server.bare.path)
        self.session = open_queue(repository, storm.server.warnings.append)

    def work(self) -> None:
        """Do what comes to mind, until all is pushed, or one of us has failed."""
        try:
            self._work()
        except BaseException:
            self.storm.is_over = True
            raise

    def _work(self) -> None:
        while self.left and not self.storm.is_over:
            number = self.chance.choice([0, *self.heads])
            if not number or (self.left > 3 and self.chance.random() < 0.25):
                self.left -= 1
                self.open()
            else:
                self.act(number)
            self.storm.strike(self.chance)
        for number in self.heads:
            if self.chance.random() < 0.8:
                self.tell(number, Approve(), "ann")

    def open(self) -> None:
        """Push a new change; some are bad, some get in each other's way."""
        self.repo.git("fetch", "-q", "origin")
        self.repo.git("checkout", "-q", "--detach", "origin/main")
        self.push(f"{self.name} {self.left}", "")

    def push(self, subject: str, number: str, *options: str) -> None:
        """Commit and push, and remember what the server says."""
        what = self.chance.random()
        own = f"{self.name}-{self.chance.randrange(10**6)}"
        files = {"shared": own} if what < 0.1 else {f"bad-{own}" if what < 0.2 else own: own}
        head = self.repo.commit(subject, **files)
        said = self.send(number, *options)
        while _PRUNED.search(said):
            said = self.send(number, *options)
        match = _TOLD.search(said)
        assert match is not None or re.search(r"remote: .*change", said), said
        self.storm.done[f"push {match[2] if match else 'refused'}"] += 1
        if match is not None:
            self.heads[int(match[1])] = head
            kind, field = ("opened", "head") if match[2] == "is new" else ("head-moved", "new")
            self.storm.promise(int(match[1]), {"type": kind, field: head})

    def send(self, number: str, *options: str) -> str:
        """Push the commit that was just made, and return what is said."""
        done = subprocess.run(
            [
                *("git", "push", *(word for option in options for word in ("-o", option))),
                *("origin", f"+HEAD:refs/for/main{number and f'/{number}'}"),
            ],
            cwd=self.repo.path,
            env=self.repo.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
        )
        assert (_TOLD.search(done.stderr) is not None) == (done.returncode == 0), done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stderr

    def act(self, number: int) -> None:
        """Do something with a change."""
        what = self.chance.random()
        if what < 0.12:
            self.repo.git("checkout", "-q", "--detach", self.heads[number])
            self.push(f"{self.name} more of {number}", str(number))
        elif what < 0.24:
            self.repo.git("fetch", "-q", "origin")
            self.repo.git("checkout", "-q", "--detach", "origin/main")
            self.push(f"{self.name} {number} again", str(number), *(["r+"] if what < 0.18 else []))
        elif what < 0.26:
            self.tell(None, self.chance.choice((Pause(reason="a storm"), Resume())), "ann")
        elif what < 0.6:
            self.tell(number, Approve(), "ann")
        else:
            self.tell(number, self.chance.choice(_COMMANDS), "ann")

    def tell(self, number: int | None, command: Command, who: str) -> None:
        """Give a command; what was answered to must have been kept."""
        answer = submit(self.session, number, command, Principal(name=who), via="cli")
        self.storm.done[f"{type(command).__name__}{' refused' * answer.is_refused}"] += 1
        if number is not None:
            stored = encode_events(answer.events).splitlines()
            self.storm.promise(number, *(json.loads(line) for line in stored))


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A server that was set up for pushes."""
    server = make_server(make_repo, tmp_path)
    server.base(CONFIG, shared="0")
    words = (
        "--yes",
        "--target",
        "main",
        "--identity",
        "os",
        "--admin",
        "ann",
        "--reviewer",
        "*",
        "--tryer",
        "*",
    )
    server.bare.limmat("queue", "init", *words)
    server.set("depth", "2")
    server.set("batch", "2")
    return server


def is_clean(server: Server, change: Change) -> bool:
    """Whether the tests pass on a change by itself."""
    return "bad" not in server.bare.git("ls-tree", "--name-only", change.head)


def check_end(server: Server, change: Change) -> None:
    """A change that has not landed has a reason that is true."""
    last = next((run for run in reversed(change.runs) if run.kind == "auto"), None)
    match change.status:
        case Status.LANDED:
            assert is_clean(server, change)
        case Status.CLOSED | Status.DRAFT:
            assert change.forge is Forge.CLOSED or change.is_draft
        case Status.FAILED:
            assert not is_clean(server, change), f"{change.id} is blamed for another one"
        case Status.CONFLICT:
            merged = ("merge-tree", "--write-tree", MAIN, change.head)
            assert "CONFLICT" in server.bare.git(*merged, check=False), f"{change.id} does not conflict"
        case Status.APPROVED:
            held = last is not None and last.outcome is RunOutcome.CANCELLED and last.cancelled_by
            assert held, f"{change.id} is approved, and nothing was done with it: {last}"
        case status:
            assert not change.is_approved, f"{change.id} is {status}"
            assert status not in (Status.TESTING, Status.READY, Status.TRYING)


@pytest.mark.timeout(3600 if SOAK else 180)
@pytest.mark.parametrize("policy", list(Policy) if SOAK else [Policy.MERGE, Policy.LINEAR])
def test_a_storm_lands_what_was_approved_and_nothing_else(server: Server, policy: Policy) -> None:
    """Pushers at once, daemons that are killed, and a gc at any time; then git alone is asked."""
    seed = int(os.environ.get("LIMMAT_STORM", "0")) or random.Random().randrange(1, 10**6)
    print(f"LIMMAT_STORM={seed}")
    server.set("policy", policy)
    start = server.tip
    storm = Storm(server, seed)
    pushers, count = (8, 25) if SOAK else (3, 4)
    with storm.daemons_at_work():
        people = [Pusher(storm, f"p{number}", count) for number in range(pushers)]
        with ThreadPoolExecutor(pushers) as threads:
            for done in [threads.submit(each.work) for each in people]:
                done.result()
    people[0].tell(None, Resume(), "ann")
    server.serve()

    audit = Audit(server.bare.path, MAIN, may_be_late=storm.kills > 0)
    audit.check(start, storm.observed)
    audit.expect_events(storm.promised)
    assert not audit.faults, "\n".join(audit.faults)
    assert not audit.open_runs()
    repository = find_repository(server.bare.path)
    known, anew = Timelines(repository).load(), Timelines(repository).load(use_kept=False)
    assert dict(known.changes) == dict(anew.changes)
    assert known.queue == anew.queue
    for change in anew.changes.values():
        check_end(server, change)
    shown = Counter(str(change.status) for change in anew.changes.values())
    print(dict(shown), len(audit.landed), "landings", storm.kills, "kills", dict(storm.done))
    assert audit.landed
    assert len(anew.changes) == pushers * count
    assert "Traceback" not in storm.log.read_text()
