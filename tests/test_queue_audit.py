"""The auditor of a queue finds what is wrong: each kind of forgery is tried on a real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Repo
from queue_audit import EMPTY, Audit
from queueserver import MAIN, PASSING, Server, make_server

Event = dict[str, Any]
Edit = Callable[[list[Event]], list[Event]]


class Scene:
    """A server on which changes 1 and 2 have landed."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.start = server.base()
        self.numbers = [server.change("one"), server.change("two")]
        server.approve(*self.numbers)
        server.serve()

    def rewrite(self, number: int, edit: Edit) -> None:
        """Put other events in the place of a timeline, all in one commit."""
        name = f"refs/limmat/queue/changes/{number}/meta"
        said = self.server.bare.git("log", "--reverse", "--format=%b", name).split("\n")
        events = edit([json.loads(line) for line in said if line])
        words = "\n".join(("forged", "", *map(json.dumps, events)))
        self.server.bare.git("update-ref", name, self.server.bare.git("commit-tree", EMPTY, stdin=words))

    def faults(self, observed: dict[str, str] | None = None) -> str:
        """Return what the auditor says."""
        audit = Audit(self.server.bare.path, MAIN)
        return "\n".join(audit.check(self.start, [observed] if observed else []))


@pytest.fixture
def scene(make_repo: Callable[..., Repo], tmp_path: Path) -> Scene:
    """Two changes that have landed, and nothing wrong."""
    found = Scene(make_server(make_repo, tmp_path))
    assert found.faults() == ""
    return found


def without(kind: str) -> Edit:
    """Return an edit that takes all events of a kind away."""
    return lambda events: [each for each in events if each["type"] != kind]


def changed(kind: str, /, **fields: object) -> Edit:
    """Return an edit that has all events of a kind say something else."""
    return lambda events: [each | fields if each["type"] == kind else each for each in events]


FORGERIES: dict[str, tuple[Edit, str]] = {
    "no approval": (without("approved"), "was not approved when run"),
    "another head approved": (changed("approved", head="1" * 40), "was not approved when run"),
    "withdrawn": (
        lambda events: [
            each
            for event in events
            for each in ([event | {"type": "unapproved"}] if event["type"] == "landed" else []) + [event]
        ],
        "was not approved when run",
    ),
    "no test": (without("job-ended"), "lacks ['unit']"),
    "a test that failed": (changed("job-ended", outcome="failed"), "lacks ['unit']"),
    "a test of something else": (changed("job-ended", commit="1" * 40), "lacks ['unit']"),
    "a test by someone": (changed("job-ended", actor="eve"), "is forged"),
    "no end": (without("run-ended"), "and its end is []"),
    "cancelled": (
        lambda events: [
            each
            for event in events
            for each in (event | {"type": "cancel-requested"}, event)
            if each is event or event["type"] == "job-ended"
        ],
        "and its end is [{",
    ),
    "superseded": (
        lambda events: [
            each
            for event in events
            for each in (event | {"type": "run-ended", "outcome": "superseded"}, event)
            if each is event or event["type"] == "landed"
        ],
        "has landed though it was superseded",
    ),
    "no run": (without("run-started"), "is not told in its member|never started"),
    "a try": (changed("run-started", kind="try"), "is told in two ways|is not what has landed"),
    "another base": (changed("run-started", base="1" * 40), "is told in two ways|is not what has landed"),
    "no landing": (without("landed"), "nothing says how"),
    "no beginning": (without("opened"), "begins with"),
}


def test_a_forged_timeline_is_found(scene: Scene) -> None:
    """Whatever is left out, added or changed."""
    bare = scene.server.bare
    whole = bare.git("rev-parse", "refs/limmat/queue/changes/1/meta")
    for name, (edit, fault) in FORGERIES.items():
        scene.rewrite(1, edit)
        faults = scene.faults()
        assert any(each in faults for each in fault.split("|")), f"{name}: {faults}"
        bare.git("update-ref", "refs/limmat/queue/changes/1/meta", whole)
    assert scene.faults() == ""


def test_a_commit_that_nobody_landed_is_found(scene: Scene) -> None:
    """Someone has pushed to the target, or the queue has moved it and said nothing."""
    tree = scene.server.bare.git("rev-parse", "main^{tree}")
    commit = scene.server.bare.git("commit-tree", "-p", "main", "-m", "x", tree)
    scene.server.bare.git("update-ref", MAIN, commit)
    assert f"nothing says how {commit}" in scene.faults()


def test_another_tree_than_git_merges_is_found(scene: Scene) -> None:
    """A commit with the right parents and other files, told as if it had been tested."""
    bare = scene.server.bare
    tree = bare.git("rev-parse", f"{scene.start}^{{tree}}")
    old = bare.git("rev-parse", "main")
    parents = bare.git("rev-parse", "main^1", "main^2").split()
    forged = bare.git("commit-tree", "-p", parents[0], "-p", parents[1], "-m", "x", tree)
    bare.git("update-ref", MAIN, forged)
    number = next(each for each in scene.numbers if scene.server.state(each).landed_as == old)
    scene.rewrite(number, lambda events: json.loads(json.dumps(events).replace(old, forged)))
    assert "is not what git merges" in scene.faults()


def test_a_test_that_was_not_run_is_found(scene: Scene) -> None:
    """The tests are those of the base, not those that the timeline names."""
    work, bare = scene.server.repo, str(scene.server.bare.path)
    work.git("fetch", "-q", bare, "main")
    work.git("checkout", "-q", "-B", "main", "FETCH_HEAD")
    config = PASSING + '[[tests]]\nname = "more"\ncommand = "true"\n'
    scene.start = work.commit("more tests", **{"limmat.toml": config})
    work.git("push", "-q", bare, "main")
    number = scene.server.change("three")
    scene.server.approve(number)
    scene.server.serve()
    assert scene.faults() == ""
    scene.rewrite(number, lambda events: [each for each in events if each.get("test") != "more"])
    assert "lacks ['more']" in scene.faults()


def test_what_was_lost_is_found(scene: Scene) -> None:
    """A timeline that is shorter than it was, a head that is gone, an event that someone was promised."""
    bare = scene.server.bare
    name, head = (f"refs/limmat/queue/changes/1/{last}" for last in ("meta", "heads/1"))
    observed = {each: bare.git("rev-parse", each) for each in (name, head)}
    bare.git("update-ref", name, f"{name}~1")
    bare.git("update-ref", "-d", head)
    faults = scene.faults(observed)
    assert f"{name} was at" in faults
    assert f"{head} was" in faults
    assert "change 1: no ref keeps" in faults
    audit = Audit(bare.path, MAIN)
    audit.check(scene.start)
    audit.expect_events([(1, {"type": "approved"}), (2, {"type": "commented"})])
    assert "change 2 has lost {'type': 'commented'}" in audit.faults
