"""Results that people have found out: sent to a queue, taken there, and believed where they are trusted.

Layer:  service.
Source: git-limmat-queue(1), SHARING RESULTS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gitlimmat.errors import GitError, LimmatError
from gitlimmat.git.objects import ObjectBatch
from gitlimmat.git.procreceive import Push, Taken
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit, Definition, Result, counted, subject_of
from gitlimmat.queue.auth import Principal
from gitlimmat.queue.quoting import quote
from gitlimmat.service.project import Project
from gitlimmat.service.queue.session import QueueSession
from gitlimmat.service.queue.wish import ABSENT, RefusedError
from gitlimmat.store.names import SHARE
from gitlimmat.store.share import add_wrapped, is_shared, share_ref, shared_by, wrap
from gitlimmat.store.store import Store

_REMOTE = "remote:"


class Found(NamedTuple):
    """A result, and who sent it."""

    person: str
    result: Result


class Trust:
    """What the people whose results count have sent; `people` says who they are now."""

    def __init__(
        self, repository: Repository, people: Callable[[], Sequence[str]], warn: Callable[[str], None]
    ) -> None:
        self._repository = repository
        self._people = people
        self._warn = warn
        self._stores: dict[str, Store] = {}

    def known(self, subject: str, definition: Definition) -> Found | None:
        """Return what the first of them knows who knows anything that may stand for a run."""
        for person in self._people():
            if person not in self._stores:
                self._stores[person] = shared_by(self._repository, person, self._warn)
            result = self._stores[person].view().known(subject, definition)
            if result is not None and is_shared(result):
                return Found(person, result)
        return None


class Sent(NamedTuple):
    """How many results were sent, about how many commits, and what the other side said."""

    results: int
    commits: int
    said: tuple[str, ...]


def send(project: Project, commits: Sequence[Commit], remote: str) -> Sent:
    """Send what is known of the selected tests on `commits` to the queue at a remote, or at its URL.

    Raises: LimmatError when nothing is known, or the remote does not take it.
    """
    view = project.store.view()
    found: dict[tuple[str, str], tuple[str, Definition, Result]] = {}
    about = 0
    for commit in commits:
        before = len(found)
        for test in project.tests:
            subject, definition = subject_of(test, commit), project.definitions[test.name]
            result = view.known(subject, definition)
            if result is not None and is_shared(result):
                found[subject, test.name] = (subject, definition, result)
        about += len(found) > before
    if not found:
        raise LimmatError(
            f"no result of {counted(len(commits), 'commit')} can be shared",
            hint="'git limmat run' finds some out; failures, and results with artifacts, are not shared",
        )
    batch = ObjectBatch(project.store.database)
    try:
        tree = wrap(project.store.database, found.values(), batch)
        batch.write()
        said = _push(project, remote, tree)
    finally:
        batch.release()
    return Sent(len(found), about, said)


def _push(project: Project, remote: str, tree: str) -> tuple[str, ...]:
    """Push a tree to where a queue takes results; return what is said there."""
    database = project.store.database
    url = remote
    if database is not project.repository and remote in project.repository.git.text("remote").split():
        url = project.repository.git.text("remote", "get-url", "--push", remote).strip()
    words = ("push", "--porcelain", "--no-verify", "--no-signed", "--recurse-submodules=no")
    done = database.git.run([*words, "--", url, f"{tree}:{SHARE}"])
    said = tuple(
        line.removeprefix(_REMOTE).strip()
        for line in done.stderr.decode(errors="replace").splitlines()
        if line.startswith(_REMOTE)
    )
    if done.returncode != 0:
        raise _refused(remote, done.stderr.decode(errors="replace"), said)
    if f":{SHARE}/".encode() not in done.stdout:  # nobody was there to say where it has gone
        database.git.run(["push", "--quiet", "--no-verify", "--", url, f":{SHARE}"])
        raise LimmatError(f"'{remote}' has no merge queue that takes results", hint="see git-limmat-queue(1)")
    return said


def _refused(remote: str, errors: str, said: Sequence[str]) -> GitError:
    problems = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in said if line.startswith("hint: ")]
    first = next(iter(errors.splitlines()), "").removeprefix("fatal: ").removeprefix("error: ")
    reason = problems[0] if problems else first or "git push has failed"
    return GitError(
        f"cannot share results with '{remote}': {reason}", stderr=errors, hint=hints[0] if hints else None
    )


def take_results(session: QueueSession, push: Push, person: Principal, say: Callable[[str], None]) -> Taken:
    """Keep what somebody sends whose results count here.

    Raises: RefusedError for anybody else; StoreError when it cannot be read or kept.
    """
    name = person.name
    if name not in session.rules.trusted:
        raise RefusedError(
            f"results of {quote(name)} do not count here",
            hint="limmat.queue.trust in the server's git configuration says whose do",
        )
    if push.new == ABSENT:
        raise RefusedError(
            "results that were shared cannot be taken back by a push",
            hint=f"'git update-ref -d {share_ref(name)}' on the server removes them",
        )
    store = shared_by(session.repository, name, session.warn)
    old = store.view().root or ABSENT
    added = add_wrapped(store, push.new, f"limmat queue: results of {name}")
    say(f"{counted(added, 'result')} of {name} {'is' if added == 1 else 'are'} new here")
    return Taken(ref=push.ref, name=share_ref(name), old=old, new=store.view().root or ABSENT)
