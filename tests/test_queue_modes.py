"""A queue's repository that several accounts write to: whoever comes first leaves room for the others."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Repo
from queueserver import Server

from gitlimmat.git.modes import make_directory, open_lock

ME = pwd.getpwuid(os.geteuid()).pw_name
WRITTEN = ("locks", "packs", "wake")
_SOMEBODY, _GROUP = 4242, 4243


@pytest.fixture
def umask() -> Iterator[None]:
    """Have the umask that most accounts have."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def make_server(make_repo: Callable[..., Repo], umask: None, tmp_path: Path) -> Callable[..., Server]:
    """Return a function that makes a server which is set up; its test says with which umask it is run."""

    def make(*options: str) -> Server:
        server = Server(make_repo("server.git", "--bare", *options), make_repo("work"))
        server.base(f'[[tests]]\nname = "unit"\ncommand = "umask >>{tmp_path}/umask"\n')
        server.bare.limmat("queue", "init", "--yes", "--target", "main", "--admin", ME, "--reviewer", ME)
        return server

    return make


def modes(server: Server) -> dict[str, int]:
    """Return the modes of all that is in the state directory, and of itself, by path; of no job's files."""
    top = server.bare.path / "limmat"
    return {
        str(path.relative_to(server.bare.path)): stat.S_IMODE(path.stat().st_mode)
        for path in (top, *top.rglob("*"))
        if path.parent.parent.name != "runs"
    }


def check_shared(server: Server) -> None:
    """Check that the group can make, replace and lock all there is."""
    found = modes(server)
    model = stat.S_IMODE((server.bare.path / "objects").stat().st_mode)
    assert model == 0o2775
    assert found
    for name, mode in found.items():
        path = server.bare.path / name
        if path.is_dir():
            assert mode == model, f"{name}: {mode:o}"
        elif path.name in WRITTEN or path.suffix == ".lock":
            assert mode & 0o664 == 0o664, f"{name}: {mode:o}"


def push(server: Server, commit: str) -> None:
    """Open an approved change by a push."""
    server.repo.git("push", "-q", str(server.bare.path), f"{commit}:refs/for/main", "-o", "approve")


def test_a_command_before_the_first_push_leaves_room(make_server: Callable[..., Server]) -> None:
    """What a command makes has the modes that git gives what it makes there."""
    server = make_server("--shared=group")

    server.bare.limmat("queue", "pause")

    assert {"limmat/queue", "limmat/update.lock", "limmat/queue/wake"} <= modes(server).keys()
    check_shared(server)


def test_a_daemon_leaves_room_and_its_jobs_keep_the_umask(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Before the first push and after it; it does not widen its umask, which a job would have, too."""
    server = make_server("--shared=group")

    server.bare.limmat("queue", "serve", "--once")
    check_shared(server)
    push(server, server.repo.commit("topic", "main"))
    check_shared(server)
    server.bare.limmat("queue", "serve", "--once")

    assert (tmp_path / "umask").read_text().split() == ["0022"]
    assert server.bare.git("log", "--format=%s", "main", "--grep", "topic")
    assert {"limmat/queue/daemon.lock", "limmat/queue/suites", "limmat/runs"} <= modes(server).keys()
    check_shared(server)


def test_a_push_leaves_room(make_server: Callable[..., Server]) -> None:
    """Also when it is the first that makes anything."""
    server = make_server("--shared=group")

    push(server, server.repo.commit("topic", "main"))

    assert "limmat/queue/push/update.lock" in modes(server)
    check_shared(server)


def test_a_repository_of_one_account_stays_as_it_was(make_server: Callable[..., Server]) -> None:
    """Where git shares nothing, the umask decides; only whoever may push may also wake the daemon."""
    server = make_server()

    server.bare.limmat("queue", "pause")
    push(server, server.repo.commit("topic", "main"))
    server.bare.limmat("queue", "resume")
    server.bare.limmat("queue", "serve", "--once")

    for name, mode in modes(server).items():
        wanted = 0o755 if (server.bare.path / name).is_dir() else 0o644
        assert mode == (0o666 if name.endswith("/wake") else wanted), f"{name}: {mode:o}"


@pytest.mark.parametrize(("shared", "directory", "file"), [("0660", 0o2770, 0o660), ("all", 0o2775, 0o664)])
def test_others_get_what_git_gives_them(
    make_repo: Callable[..., Repo], umask: None, shared: str, directory: int, file: int
) -> None:
    """Whoever is not of the group may do with it what they may do with objects, and no more."""
    bare = make_repo("bare.git", "--bare", f"--shared={shared}")
    assert stat.S_IMODE((bare.path / "objects").stat().st_mode) == directory
    state = bare.path / "limmat" / "queue"

    make_directory(state)
    os.close(open_lock(state / "lock"))

    assert [stat.S_IMODE(path.stat().st_mode) for path in (state.parent, state, state / "lock")] == [
        directory,
        directory,
        file,
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_belongs_to_another_account_is_used_as_it_is(
    make_repo: Callable[..., Repo], umask: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its owner can change modes, and where the group may write all of it can lock."""
    bare = make_repo("bare.git", "--bare", "--shared=group")
    monkeypatch.chdir(bare.path)  # others do not come here by its full name
    state, lock = Path("limmat"), Path("limmat/lock")
    for path in (Path(), Path("objects")):
        os.chown(path, 0, _GROUP)
        path.chmod(0o2775)  # chown(2) may take the upper bits away
    make_directory(state)
    os.close(open_lock(lock))

    with _somebody_of_the_group():
        make_directory(state)
        os.close(open_lock(lock))
        make_directory(state / "queue" / "push")
        os.close(open_lock(state / "queue" / "lock"))

    for path in (state, state / "queue", state / "queue" / "push"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o2775
        assert path.stat().st_gid == _GROUP
    assert stat.S_IMODE((state / "queue" / "lock").stat().st_mode) == 0o664


@contextmanager
def _somebody_of_the_group() -> Iterator[None]:
    groups, group, user = os.getgroups(), os.getegid(), os.geteuid()
    os.setgroups([_GROUP])
    os.setegid(_SOMEBODY)
    os.seteuid(_SOMEBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
        os.setgroups(groups)
