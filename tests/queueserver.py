"""A bare repository with a queue, as its users and its daemon see it; for tests of the daemon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from conftest import Repo

from gitlimmat.git.refs import RefUpdate
from gitlimmat.git.repository import find_repository
from gitlimmat.queue.asking import Answer
from gitlimmat.queue.auth import Principal
from gitlimmat.queue.events import ChangeEvent, HeadMoved, Opened
from gitlimmat.queue.requests import Approve, Command
from gitlimmat.queue.state import Change
from gitlimmat.service.logfile import Log
from gitlimmat.service.project import open_server
from gitlimmat.service.queue.daemon import Daemon
from gitlimmat.service.queue.facts import Findings
from gitlimmat.service.queue.session import QueueSession, open_queue, poke, submit
from gitlimmat.service.queue.view import open_view
from gitlimmat.service.request import Request
from gitlimmat.service.session import run_loop
from gitlimmat.store.timeline import Addition, head_ref

MAIN = "refs/heads/main"
PASSING = '[[tests]]\nname = "unit"\ncommand = "true"\n'


class Server:
    """A bare repository `bare`, and `repo`, where people write what they push to it."""

    def __init__(self, bare: Repo, repo: Repo) -> None:
        self.bare = bare
        self.repo = repo
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.git_binary: str | None = None
        self.findings = Findings()
        for key in ("admin", "reviewer", "tryer"):
            self.set(key, "root" if key == "admin" else "ann")

    @property
    def session(self) -> QueueSession:
        """The queue, opened anew."""
        return open_queue(find_repository(self.bare.path), self.warnings.append)

    def set(self, key: str, value: str) -> None:
        """Set `limmat.queue.<key>`."""
        self.bare.git("config", f"limmat.queue.{key}", value)

    def base(self, config: str = PASSING, **files: str) -> str:
        """Begin `main` with a config, and push it."""
        self.repo.git("checkout", "-q", "-B", "main")
        commit = self.repo.commit("base", **({"limmat.toml": config} | files))
        self.repo.git("push", "-q", str(self.bare.path), "+main:main")
        return commit

    def change(self, name: str, parent: str = "main", **files: str) -> int:
        """Write a change with a branch of its own, and open it."""
        head = self.repo.commit(name, parent, **files)
        self.push(head)
        return self.open(name, head)

    def push(self, commit: str) -> None:
        """Bring a commit to the server, with no ref of anyone's."""
        self.repo.git("push", "-q", str(self.bare.path), f"{commit}:refs/incoming/{commit}")
        self.bare.git("update-ref", "-d", f"refs/incoming/{commit}")

    def open(self, title: str, head: str, target: str = MAIN) -> int:
        """Open a change with a head that is there."""
        opened = Opened(actor="bob", at=time.time(), via="push", target=target, head=head, title=title)
        return self.session.timelines.open_change(
            lambda number: (opened,), lambda number: [RefUpdate(head_ref(number, 1), head, None)]
        )

    def move(self, number: int, head: str) -> None:
        """Give a change another head."""
        change = self.state(number)
        moved = HeadMoved(
            actor="bob", at=time.time(), via="push", old=change.head, new=head, title=change.title
        )
        self.add(number, moved)

    def add(self, number: int, *events: ChangeEvent) -> None:
        """Add events to the timeline of a change, whatever they say."""
        session = self.session
        tip = session.timelines.load().tips[number]
        session.timelines.append([Addition(change=number, events=events, expected=tip)], reason="test")
        poke(session)

    def tell(self, number: int | None, command: Command, who: str = "ann") -> Answer:
        """Give a command, which must not be refused."""
        answer = submit(self.session, number, command, Principal(name=who), via="cli")
        assert not answer.is_refused, answer.reply
        return answer

    def approve(self, *numbers: int, repair: bool = False) -> None:
        """Approve changes with the heads that they have."""
        for number in numbers:
            self.tell(number, Approve(repair=repair), "root" if repair else "ann")

    def daemon_hears(self) -> None:
        """Wake the daemon for nothing."""
        poke(self.session)

    def state(self, number: int) -> Change:
        """Return a change as its timeline tells it."""
        return self.session.timelines.load().changes[number]

    def events(self, number: int) -> list[str]:
        """Return the kinds of all events of a change, oldest first."""
        return [
            type(event).__name__ for entry in self.session.timelines.entries(number) for event in entry.events
        ]

    def explained(self, number: int) -> str:
        """Return what someone is told who asks in another process why a change is not landing."""
        view = open_view(find_repository(self.bare.path), self.warnings.append, time.time())
        return view.explanations()[number]

    @property
    def tip(self) -> str:
        """The commit that main is at."""
        return self.bare.git("rev-parse", MAIN)

    def daemon(self) -> Daemon:
        """Return a daemon that is not at work yet."""
        request = Request(repo=[self.bare.path], git_binary=self.git_binary)
        project = open_server(request, self.warnings.append)
        log = Log(self.bare.path / "daemon.log", self.warnings.append)
        return Daemon(
            project, say=self.lines.append, warn=self.warnings.append, log=log, findings=self.findings
        )

    def serve(self) -> None:
        """Do what there is to do."""
        run_loop(self.daemon().serve(once=True))

    def serve_while(self, act: Callable[[], object]) -> None:
        """Have a daemon at work until `act`, which is called in a thread, returns."""

        async def work() -> None:
            daemon = self.daemon()
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(daemon.serve(once=False))
                try:
                    await asyncio.to_thread(act)
                finally:
                    daemon.stop()
                await serving

        run_loop(work())


def make_server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """Return a server with nothing on it."""
    return Server(make_repo("server.git", "--bare"), make_repo("work"))


def blocking(tmp_path: Path) -> str:
    """Return a config whose test says that it runs, and then waits until it may end."""
    wait = f"while ! test -e {tmp_path}/go; do sleep 0.02; done"
    return (
        '[[tests]]\nname = "unit"\nshutdown_grace_period_s = 0\n'
        f'command = "echo $LIMMAT_COMMIT >>{tmp_path}/began; {wait}"\n'
    )
