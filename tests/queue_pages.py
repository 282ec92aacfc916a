"""A bare repository with a queue for the tests of its pages: events are written as the queue writes them."""

from __future__ import annotations

import time
from collections.abc import Callable

from conftest import Repo
from pages import Served

from gitlimmat.git.repository import find_repository
from gitlimmat.queue.events import (
    QUEUE,
    ChangeEvent,
    JobEnded,
    Kind,
    Member,
    Opened,
    QueueEvent,
    RunStarted,
)
from gitlimmat.service.project import open_server
from gitlimmat.service.queue.facts import Findings
from gitlimmat.service.queue.session import QueueSession, open_queue
from gitlimmat.service.request import Request
from gitlimmat.store.timeline import Addition
from gitlimmat.web.queueserve import open_pages

MAIN = "refs/heads/main"
NOW = 1_750_000_000.0


class QueueRepo:
    """A server's repository. `commits` are ids by subject."""

    def __init__(self, make_repo: Callable[..., Repo]) -> None:
        work = make_repo("work")
        self.work = work
        self.root = work.commit("root")
        self.server = make_repo("server.git", "--bare")
        work.git("push", "-q", str(self.server.path), "main")
        self.session: QueueSession = open_queue(find_repository(self.server.path), self._warn)
        self.warnings: list[str] = []
        self._clock = NOW

    def commit(self, subject: str) -> str:
        """Make a commit on top of the first one, and have it in the server's repository."""
        name = f"topic-{self._tick():.0f}"
        self.work.commit(name, "main")
        oid = self.work.reword(name, subject) if subject.strip() else self.work.git("rev-parse", name)
        self.work.git("push", "-q", str(self.server.path), f"{name}:refs/keep/{name}")
        self.work.git("checkout", "-q", "main")
        return oid

    def open(
        self, title: str, *, author: str = "alice", head: str = "", body: str = "", topic: str = ""
    ) -> int:
        """Open a change; return its number."""
        head = head or self.commit(title.splitlines()[0][:60] if title.isprintable() else "x")
        event = Opened(
            actor=author,
            at=self._tick(),
            target=MAIN,
            head=head,
            title=title,
            body=body,
            topic=topic,
            via="push",
        )
        return self.session.timelines.open_change(lambda number: (event,), lambda number: ())

    def open_many(self, count: int) -> None:
        """Open changes from 1 on, all at once, called by their numbers."""
        head = self.commit("one")
        additions = [
            Addition(
                change=number,
                events=(Opened(actor="alice", at=NOW, target=MAIN, head=head, title=f"Change {number}"),),
                expected=None,
            )
            for number in range(1, count + 1)
        ]
        self.session.timelines.append(additions, reason="a test")

    def add(self, number: int | None, *events: ChangeEvent | QueueEvent) -> None:
        """Add events to a timeline."""
        loaded = self.session.timelines.load()
        tip = loaded.queue_tip if number is None else loaded.tips[number]
        self.session.timelines.append([Addition(change=number, events=events, expected=tip)], reason="a test")

    def head(self, number: int) -> str:
        """Return the head of a change."""
        return self.session.timelines.load().changes[number].head

    def start(
        self, *numbers: int, run: str = "0123456789ab-1", kind: Kind = Kind.AUTO, **more: object
    ) -> str:
        """Begin a run of some changes, whose merge is the head of the first one; return its name."""
        merge = self.head(numbers[0])
        event = RunStarted(
            actor=QUEUE,
            at=time.time() - 75,
            run=run,
            kind=kind,
            target=MAIN,
            members=tuple(Member(change=number, head=self.head(number)) for number in numbers),
            base=self.root,
            merge=merge,
            commits=(merge,),
            tests=("build", "unit"),
            deadline=time.time() + 3600,
        )
        for number in numbers:
            self.add(number, event)
        return run

    def end_job(self, number: int, run: str, test: str, outcome: str = "passed", reason: str = "") -> None:
        """Say that a test of a run has ended."""
        from gitlimmat.model import Outcome

        ended = JobEnded(
            actor=QUEUE,
            at=time.time(),
            run=run,
            test=test,
            outcome=Outcome(outcome),
            commit=self.head(number),
            elapsed=3.5,
            reason=reason,
        )
        self.add(number, ended)

    def serve(
        self,
        *,
        address: str = "127.0.0.1:0",
        hostname: str | None = None,
        findings: Findings | None = None,
    ) -> Served:
        """Serve its pages, with what a daemon in this process has found out."""
        pages = open_pages(open_server(Request(repo=[self.server.path]), self._warn), findings)
        return Served([], pages=pages, address=address, hostname=hostname)

    def _warn(self, message: str) -> None:
        self.warnings.append(message)

    def _tick(self) -> float:
        self._clock += 60
        return self._clock
