"""What a queue does with those who mean harm, and with timelines that were damaged."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from queueserver import Server, make_server

from gitlimmat.errors import StoreError
from gitlimmat.git.repository import find_repository
from gitlimmat.queue.requests import Approve, Command, Resume
from gitlimmat.queue.state import Forge
from gitlimmat.service.init import carry_out
from gitlimmat.service.queue.setup import Wanted, plan_setup
from gitlimmat.store.timeline import TREE_REF, change_ref


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A server with nothing on it."""
    return make_server(make_repo, tmp_path)


def test_a_test_has_no_say_in_its_queue(server: Server, tmp_path: Path) -> None:
    """It works for the author of what it tests, though its account may be that of an administrator."""
    server.set("identity", "shell")
    program = f"{sys.executable} -m gitlimmat queue approve 2 >{tmp_path}/said 2>&1"
    options = "-o r+ $LIMMAT_ORIGIN HEAD:refs/for/main"
    pushing = f"git push {options} >{tmp_path}/pushed 2>&1"
    said = f"export LIMMAT_QUEUE_USER=ann; ! {program} && ! {pushing}"
    server.base(f'[[tests]]\nname = "unit"\ncommand = "{said}"\n')
    carry_out(plan_setup(find_repository(server.bare.path), Wanted()), lambda line: None)
    number, other = server.change("topic"), server.change("other")
    server.approve(number)

    server.serve()

    assert server.state(number).forge is Forge.LANDED
    assert server.state(other).approval is None
    for name in ("said", "pushed"):
        assert "a test has no say in the queue that runs it" in (tmp_path / name).read_text()


def test_a_test_moves_no_target_whoever_it_runs_as(server: Server, tmp_path: Path) -> None:
    """Not even where its account may push past the queue: what fails would land."""
    server.set("identity", "shell")
    server.set("pusher", "ann")
    pushing = f"git push -f $LIMMAT_ORIGIN HEAD:main >{tmp_path}/pushed 2>&1"
    test = f"export LIMMAT_QUEUE_USER=ann; {pushing}; false"
    base = server.base(f'[[tests]]\nname = "unit"\ncommand = "{test}"\n')
    carry_out(plan_setup(find_repository(server.bare.path), Wanted()), lambda line: None)
    number = server.change("topic")
    server.approve(number)

    server.serve()

    assert server.tip == base
    assert "'main' is moved by the merge queue only" in (tmp_path / "pushed").read_text()


@pytest.mark.parametrize(("of_change", "command"), [(True, Approve()), (False, Resume())])
def test_what_is_damaged_is_said_at_once(server: Server, of_change: bool, command: Command) -> None:
    """Nobody is told that there is no such change, nor waits for others to be done with it."""
    server.base()
    number = server.change("topic")
    ref = change_ref(number) if of_change else TREE_REF
    path = server.bare.path / ref
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1" * 40 + "\n")

    with pytest.raises(StoreError, match=ref):
        server.tell(number if of_change else None, command, "root")
