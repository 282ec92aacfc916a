"""The pages of a merge queue: what they show, to whom, and who may press their buttons."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from conftest import Repo
from pages import Served
from queue_pages import QueueRepo

from gitlimmat.queue.events import Approved


@pytest.fixture
def queue(make_repo: Callable[..., Repo]) -> QueueRepo:
    """A queue without changes."""
    return QueueRepo(make_repo)


@pytest.fixture
def served(queue: QueueRepo) -> Iterator[Served]:
    """Its pages."""
    served = queue.serve()
    yield served
    served.close()


def test_the_list_shows_what_is_open(queue: QueueRepo, served: Served) -> None:
    """Each open change has a row with all that the queue knows in short."""
    number = queue.open("Add a door")
    queue.add(number, Approved(actor="bob", at=1.75e9, head=queue.head(number), by="bob"))

    text = served.get("/").text

    assert "Add a door" in text
    assert "bob" in text
