"""What is wrong with the tests of a target is told as what it is, and what is said to help does."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Repo
from queueserver import PASSING, Server, make_server

from gitlimmat.git.repository import find_repository
from gitlimmat.queue.snapshot import Lack
from gitlimmat.queue.state import Forge
from gitlimmat.service.queue.suite import Suites, write_suite

UNCHOSEN = PASSING + "run_by_default = false\n"


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A server with nothing on it."""
    return make_server(make_repo, tmp_path)


@pytest.mark.parametrize(
    ("files", "lack", "text"),
    [
        ({"file": "1"}, Lack.FILE, "waits: there is no limmat.toml on main; an admin"),
        ({"limmat.toml": "nonsense"}, Lack.SENSE, "waits: limmat.toml on main does not parse: "),
        ({"limmat.toml": UNCHOSEN}, Lack.DEFAULT, "waits: no test in limmat.toml on main runs by default; "),
    ],
)
def test_a_target_without_tests_is_repaired_by_a_change(
    server: Server, files: dict[str, str], lack: Lack, text: str
) -> None:
    """The change says why it waits, and lands when it is approved as a repair."""
    base = server.repo.commit("base", **files)
    server.repo.git("push", "-q", str(server.bare.path), f"+{base}:refs/heads/main")
    server.repo.git("checkout", "-q", "-B", "main", base)
    number = server.change("repair", "main", **{"limmat.toml": PASSING})
    server.approve(number)
    server.serve()
    found = Suites(find_repository(server.bare.path)).broken(base, ())
    assert found is not None
    assert found.lack is lack
    assert server.explained(number).startswith(text)

    server.approve(number, repair=True)
    server.serve()

    assert server.state(number).forge is Forge.LANDED


def test_a_setting_that_matches_no_test_is_not_called_a_bad_file(server: Server) -> None:
    """The file is as it should be; what is wrong is on the server."""
    base = server.base()
    server.set("test", "nosuch")
    number = server.change("topic")
    server.approve(number)

    server.serve()

    found = Suites(find_repository(server.bare.path)).broken(base, ("nosuch",))
    assert found is not None
    assert found.lack is Lack.MATCH
    assert server.explained(number) == (
        "waits: no test matches 'nosuch' in limmat.toml on main, and limmat.queue.test asks for it; "
        "who runs the server can change that setting"
    )
    server.set("test", "unit")
    server.serve()
    assert server.state(number).forge is Forge.LANDED


def test_a_commit_that_cannot_be_read_is_no_bad_file_either(server: Server) -> None:
    """Nobody could say what is in it."""
    server.base()

    found = Suites(find_repository(server.bare.path)).broken("1" * 40, ())

    assert found is not None
    assert found.lack is Lack.OBJECT


def test_runs_that_begin_together_make_the_files_of_their_tests_once(server: Server) -> None:
    """Each finds all of them, also while another one makes them or somebody has removed some."""
    config = PASSING + 'inputs = ["data/*"]\n'
    base = server.base(config, **{f"data/{number}": str(number) for number in range(20)})
    path = find_repository(server.bare.path)
    place = write_suite(path, Suites(path).at(base)).path.parent
    ready = threading.Barrier(8)

    def make() -> int:
        repository = find_repository(server.bare.path)
        suite = Suites(repository).at(base)
        ready.wait()
        return len(list((write_suite(repository, suite).path.parent / "data").iterdir()))

    for _ in range(5):
        shutil.rmtree(place / "data")
        (place / "limmat.toml").unlink()
        with ThreadPoolExecutor(8) as threads:
            assert [each.result() for each in [threads.submit(make) for _ in range(8)]] == [20] * 8
    assert [each.name for each in place.parent.iterdir()] == [place.name]
