"""Words for tests of a queue's server: a bare repository with a queue, people, and what they push."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from conftest import Repo

from gitlimmat.git.repository import find_repository
from gitlimmat.queue.rules import Identity
from gitlimmat.queue.state import Change, Queue
from gitlimmat.service.init import carry_out
from gitlimmat.service.queue.setup import Wanted, plan_setup
from gitlimmat.store.timeline import Timelines


class Server:
    """A bare repository with a queue that believes LIMMAT_QUEUE_USER, and clones of it."""

    def __init__(self, make_repo: Callable[..., Repo]) -> None:
        self.bare = make_repo("server.git", "--bare")
        self._make_repo = make_repo
        first = self.clone("first")
        self.base = first.commit("base", file="base\n")
        first.git("push", "-q", "origin", "main")
        self.set_up(Wanted(identity=Identity.SHELL, reviewers=("rita",), admins=("ada",)))

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.bare.path

    def set_up(self, wanted: Wanted) -> str:
        """Do what `git limmat queue init` does, and return what it says."""
        said: list[str] = []
        carry_out(plan_setup(find_repository(self.path), wanted), said.append)
        return "\n".join(said)

    def clone(self, name: str) -> Repo:
        """Return a clone with its own clock."""
        made = self._make_repo(name)
        made.git("remote", "add", "origin", str(self.path))
        made.git("fetch", "-q", "origin", check=False)
        if made.git("rev-parse", "-q", "--verify", "origin/main", check=False):
            made.git("reset", "-q", "--hard", "origin/main")
        return made

    def change(self, number: int) -> Change:
        """Return a change as its timeline tells it."""
        return self.changes[number]

    @property
    def changes(self) -> dict[int, Change]:
        """All changes by number."""
        return dict(Timelines(find_repository(self.path)).load(use_kept=False).changes)

    @property
    def queue(self) -> Queue:
        """The state of the queue itself."""
        return Timelines(find_repository(self.path)).load(use_kept=False).queue

    def refs(self, below: str = "refs") -> dict[str, str]:
        """All refs below a name."""
        lines = self.bare.git("for-each-ref", "--format=%(refname) %(objectname)", below).splitlines()
        return {name: oid for name, _, oid in (line.partition(" ") for line in lines)}

    def subjects(self, number: int) -> list[str]:
        """What `git log` says of a change's timeline, oldest first."""
        return self.bare.git(
            "log", "--reverse", "--format=%s", f"refs/limmat/queue/changes/{number}/meta"
        ).splitlines()


def push(
    repo: Repo,
    *refspecs: str,
    by: str = "alice",
    options: tuple[str, ...] = (),
    status: int | None = 0,
    to: str = "origin",
) -> str:
    """Push as somebody and return what is said, with `remote:` lines as they are shown."""
    done = start_push(repo, *refspecs, by=by, options=options, to=to)
    out = done.communicate(timeout=60)[0].decode(errors="replace")
    assert status in (None, done.returncode), out
    assert "Traceback" not in out, out
    return out


def start_push(
    repo: Repo, *refspecs: str, by: str = "alice", options: tuple[str, ...] = (), to: str = "origin"
) -> subprocess.Popen[bytes]:
    """Start a push, with all that it says in one pipe."""
    words = [word for option in options for word in ("-o", option)]
    return subprocess.Popen(
        ["git", "push", *words, to, *refspecs],
        cwd=repo.path,
        env=repo.environment | {"LIMMAT_QUEUE_USER": by},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def receive_raw(
    server: Server, ref: str, new: str, *, by: str = "alice", options: tuple[str, ...] = ()
) -> str:
    """Push an object that the server has under a name which no git client would send; return all answers."""

    def packet(text: bytes) -> bytes:
        return b"%04x%s" % (len(text) + 4, text)

    words = b" report-status push-options" if options else b" report-status"
    sent = packet(b"%s %s %s\0%s" % (b"0" * 40, new.encode(), os.fsencode(ref), words)) + b"0000"
    if options:
        sent += b"".join(packet(os.fsencode(option)) for option in options) + b"0000"
    pack = subprocess.run(
        ["git", "pack-objects", "--stdout", "-q"], cwd=server.path, input=b"", capture_output=True, check=True
    ).stdout
    done = subprocess.run(
        ["git", "receive-pack", str(server.path)],
        env=server.bare.environment | {"LIMMAT_QUEUE_USER": by},
        input=sent + pack,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return (done.stdout.partition(b"0000")[2] + done.stderr).decode(errors="backslashreplace")
