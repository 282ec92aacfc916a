"""Results that people have found out: sent to a queue, taken there, and believed where they are trusted.

Layer:  service.
Source: git-limmat-queue(1), SHARING RESULTS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from gitlimmat.errors import GitError, LimmatError, UsageError
from gitlimmat.git.objects import ObjectBatch, has_object
from gitlimmat.git.process import Git
from gitlimmat.git.procreceive import Push, Taken, Told
from gitlimmat.git.repository import Repository
from gitlimmat.model import CachePolicy, Commit, Definition, Result, counted, subject_of
from gitlimmat.queue.auth import Principal
from gitlimmat.queue.quoting import quote
from gitlimmat.service.project import Project
from gitlimmat.service.queue.session import QueueSession
from gitlimmat.service.queue.wish import ABSENT, RefusedError
from gitlimmat.store.names import SHARE
from gitlimmat.store.share import add_wrapped, counts, is_sent, share_ref, shared_by, wrap
from gitlimmat.store.store import Store

OPTION = "share"
"""The push option that goes with results: where push options mean nothing, there is no queue."""

_REMOTE = "remote:"
_COLORLESS = ("-c", "color.ui=false", "-c", "color.remote=false", "-c", "color.push=false")


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
            if result is not None and counts(result):
                return Found(person, result)
        return None


class Sent(NamedTuple):
    """How many results were sent, about how many commits, how many failed, and what the other side said."""

    results: int
    commits: int
    failures: int
    said: tuple[str, ...]


def checked_remote(repository: Repository, name: str) -> str:
    """Return what results can be sent to: a remote, a URL or a path. Raises: UsageError for anything else."""
    is_place = "/" in name or ":" in name or (repository.git.directory / name).is_dir()
    if not is_place and name not in repository.git.text("remote").split():
        raise UsageError(
            f"no remote '{name}'", hint="name a remote before the commits, such as 'origin HEAD'"
        )
    return name


def send(project: Project, commits: Sequence[Commit], remote: str) -> Sent:
    """Send what is known of the selected tests on `commits` to the queue at a remote, or at its URL.

    Raises: LimmatError when nothing is known, or the remote does not take it.
    """
    view = project.store.view()
    found: dict[tuple[str, str], tuple[str, Definition, Result]] = {}
    about = set()
    for commit in commits:
        for test in project.tests:
            if test.cache is CachePolicy.NO_CACHING:
                continue
            subject, definition = subject_of(test, commit), project.definitions[test.name]
            result = view.known(subject, definition)
            if result is not None and is_sent(result):
                found[subject, test.name] = (subject, definition, result)
                about.add(commit.id)
    if not found:
        raise LimmatError(
            f"no result of {counted(len(commits), 'commit')} can be shared",
            hint="'git limmat run' finds some out; those with artifacts are not shared",
        )
    batch = ObjectBatch(project.store.database)
    try:
        tree = wrap(project.store.database, found.values(), batch)
        batch.write()
        said = _push(project, remote, tree)
    finally:
        batch.release()
    failures = sum(not counts(result) for *_, result in found.values())
    return Sent(len(found), len(about), failures, said)


def _push(project: Project, remote: str, tree: str) -> tuple[str, ...]:
    """Push a tree to where a queue takes results; return what is said there."""
    git = _git_with_objects(project)
    words = ("push", "--porcelain", "--no-verify", "--no-signed", "--recurse-submodules=no")
    done = git.run([*words, "-o", OPTION, "--", remote, f"{tree}:{SHARE}"])
    out, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    said = [_plain(line.removeprefix(_REMOTE)) for line in errors.splitlines() if line.startswith(_REMOTE)]
    no_queue = LimmatError(
        f"'{remote}' has no merge queue that takes results", hint="see git-limmat-queue(1)"
    )
    if done.returncode != 0:
        raise no_queue if "does not support push options" in errors else _refused(remote, out, errors, said)
    if f":{SHARE}/" not in out:  # nobody was there to say where it has gone: it has made a ref of that name
        git.run(["push", "--quiet", "--no-verify", "--", remote, f":{SHARE}"])
        raise no_queue
    return tuple(said)


def _git_with_objects(project: Project) -> Git:
    """Return git that works as the user's does, and finds what is in the results' repository."""
    git = project.repository.git.with_options(*_COLORLESS)
    objects = project.store.database.common_dir / "objects"
    if objects != project.repository.common_dir / "objects":
        path = (
            json.dumps(str(objects), ensure_ascii=False) if set(str(objects)) & set(':"\\') else str(objects)
        )
        git = msgspec.structs.replace(
            git, environment={**git.environment, "GIT_ALTERNATE_OBJECT_DIRECTORIES": path}
        )
    return git


def _refused(remote: str, out: str, errors: str, said: Sequence[str]) -> GitError:
    """Return what the hook has said, else what git says of the ref, else of the whole push."""
    problems = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in said if line.startswith("hint: ")]
    problems += [_plain(line.rpartition("\t")[2]) for line in out.splitlines() if line.startswith("!")]
    problems += [_plain(line.removeprefix("fatal: ").removeprefix("error: ")) for line in errors.splitlines()]
    reason = next((each for each in problems if each), "git push has failed")
    return GitError(
        f"cannot share results with '{remote}': {reason}", stderr=errors, hint=hints[0] if hints else None
    )


def _plain(text: str) -> str:
    return "".join(char for char in text if char.isprintable()).strip()


def take_results(
    session: QueueSession, told: Told, push: Push, person: Principal, say: Callable[[str], None]
) -> Taken:
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
    if told.is_atomic or set(told.options) - {OPTION}:
        raise RefusedError("results are shared by themselves, without push options and --atomic")
    if not has_object(session.repository.objects, push.new):
        raise RefusedError("what is pushed has not arrived", hint="push again")
    store = shared_by(session.repository, name, session.warn)
    old = store.view().root or ABSENT
    added = add_wrapped(store, push.new, f"limmat queue: results of {name}")
    say(f"{counted(added, 'result')} of {name} {'is' if added == 1 else 'are'} new here")
    return Taken(ref=push.ref, name=share_ref(name), old=old, new=store.view().root or ABSENT)
