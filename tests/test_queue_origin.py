"""With which landing a change has come to its target is what git says, and no guess."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from queue_audit import Audit
from queueserver import MAIN, Server, make_server

from gitlimmat.queue.requests import Close, Reopen
from gitlimmat.queue.state import Forge


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A server with nothing on it."""
    return make_server(make_repo, tmp_path)


def test_a_change_that_is_reopened_names_whom_it_came_with(server: Server) -> None:
    """And not what has landed last, nor one whose landing was before it or after it."""
    base = server.base()
    first = server.repo.commit("first", "main", a="1")
    second = server.repo.commit("second", first, b="1")
    server.push(second)
    within, whole = server.open("first", first), server.open("second", second)
    earlier, later = server.change("earlier"), server.change("later")
    server.tell(within, Close())
    server.approve(earlier)
    server.serve()
    server.approve(whole)
    server.serve()
    as_of = server.tip
    server.approve(later)
    server.serve()
    assert server.tip != as_of

    server.tell(within, Reopen())
    server.serve()

    change = server.state(within)
    assert (change.forge, change.landed_by) == (Forge.LANDED, "")
    assert change.came_with == server.state(whole).landed_by
    assert change.comments[-1].text == f"came to main with #{whole}, as of {server.tip[:12]}"
    assert server.explained(within) == f"is in main as of {server.tip[:12]}, with #{whole}"
    assert Audit(server.bare.path, MAIN).check(base) == []


def test_a_change_that_someone_has_pushed_came_with_nobody(server: Server) -> None:
    """Though a change has landed right after it."""
    server.base()
    head = server.repo.commit("pushed", "main", a="1")
    server.push(head)
    number, earlier, later = server.open("pushed", head), server.change("earlier"), server.change("later")
    server.tell(number, Close())
    server.approve(earlier)
    server.serve()
    server.repo.git("fetch", "-q", str(server.bare.path), "main")
    server.repo.git("checkout", "-q", "--detach", "FETCH_HEAD")
    server.repo.git("merge", "-q", "--no-edit", head)
    server.repo.git("push", "-q", str(server.bare.path), "HEAD:main")
    server.approve(later)
    server.serve()

    server.tell(number, Reopen())
    server.serve()

    assert server.state(number).comments[-1].text == f"is in main already, as of {server.tip[:12]}"
    assert server.explained(number) == f"is in main as of {server.tip[:12]}"


def test_a_change_of_which_nothing_is_left_came_with_nobody(server: Server) -> None:
    """What it does is on the target already: it has landed, though none of its commits is there."""
    server.base()
    server.set("policy", "linear")
    first, second = server.change("one", file="1"), server.change("two", file="1")
    server.approve(first)
    server.serve()
    server.approve(second)
    server.serve()

    assert server.state(second).forge is Forge.LANDED
    assert server.state(second).comments[-1].text == f"is in main already, as of {server.tip[:12]}"
    assert server.explained(second) == f"is in main as of {server.tip[:12]}"
