"""The commands of the merge queue as they are typed: on the server, and where its timelines were fetched."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from queueserver import MAIN, Server, make_server

from gitlimmat.cli.main import run
from gitlimmat.cli.queue import COMMANDS, load
from gitlimmat.queue.events import Kind, RunOutcome
from gitlimmat.queue.requests import Approve
from gitlimmat.queue.state import Status
from gitlimmat.service.queue.remote import VERBS

ME = getpass.getuser()


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A queue for main, where whoever runs the tests may do everything."""
    server = make_server(make_repo, tmp_path)
    for key in ("admin", "reviewer"):
        server.set(key, ME)
    server.bare.git("config", "limmat.queue.target", "main")
    server.base()
    return server


class Program:
    """The program, called in this process with what it prints caught."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: Path
    ) -> None:
        self._patch = monkeypatch
        self._capsys = capsys
        self._path = str(path)

    def __call__(self, *words: str, status: int = 0) -> str:
        """Run a command of the queue; return what it prints."""
        return self.call(*words, status=status)[0]

    def refusal(self, *words: str, status: int = 1) -> str:
        """Run a command that is refused; return what it says."""
        printed, said = self.call(*words, status=status)
        assert not printed
        return said

    def call(self, *words: str, status: int) -> tuple[str, str]:
        """Run a command; return its output and its errors."""
        with self._patch.context() as patch:
            patch.setattr(sys, "stderr", sys.stderr)
            found = run(["--repo", self._path, "queue", *words])
        printed, said = self._capsys.readouterr()
        assert found == status, (words, printed, said)
        return printed, said


@pytest.fixture
def queue(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The commands of the queue on its server."""
    return Program(monkeypatch, capsys, server.bare.path)


def test_every_command_of_the_queue_can_be_loaded_and_helps() -> None:
    """And those from afar are among them."""
    assert set(COMMANDS) >= VERBS
    assert all(load(name).__doc__ for name in COMMANDS)


def test_a_change_is_approved_landed_and_shown(server: Server, queue: Program) -> None:
    """The way of every change, by commands."""
    number = str(server.change("first", a="1"))
    head = server.state(1).head

    assert queue("approve", number, head[:7], "-p", "3", "--rollup", "never", "--note", "big").startswith(
        f"{head[:12]} of change 1 is approved by '{ME}'"
    )
    assert queue("list").split() == ["#1", "approved", "main", "p=3", "rollup=never", "bob", "first"]
    assert "1 change open: 1 approved" in queue("info")
    assert queue("explain", number).startswith("change 1 ")
    server.serve()

    shown = queue("show", "#1")
    assert "change 1  landed" in shown
    assert f"Landed:    {server.tip}" in shown
    assert "auto run" in shown
    assert "unit  passed" in shown
    assert queue("list", status=1) == ""
    assert "landed" in queue("list", "--all")
    assert "landed" in queue("list", "--status", "landed")
    history = queue("history", number).splitlines()
    assert "opened" in history[-1]
    assert "landed" in history[0]


def test_what_to_do_next_is_said(server: Server, queue: Program) -> None:
    """That nobody serves the queue, and how to see what a test that failed has printed."""
    server.base('[[tests]]\nname = "unit"\ncommand = "test ! -e bad"\n', file="1")
    number = str(server.change("first", bad="1"))
    assert "daemon" not in queue.call("explain", number, status=0)[1]
    for words in (("approve", number), ("try", number)):
        assert "no daemon is at work here now" in queue.call(*words, status=0)[1]
    assert not queue.call("comment", number, "-m", "Soon.", status=0)[1]

    for words in (("explain", number), ("explain",), ("show", number), ("info",)):
        assert "no daemon is at work here now" in queue.call(*words, status=0)[1]
    assert not queue.call("show", number, "--json", status=0)[1]
    server.serve()

    shown, said = queue.call("show", number, status=0)
    assert "unit  failed" in shown
    assert "hint: 'git limmat queue show 1 --verbose' shows what failed tests have printed\n" in said
    queue("pause")
    queue("retry", number)
    assert "how long" not in queue("info")


def test_what_a_failed_test_has_printed_is_shown(server: Server, queue: Program) -> None:
    """Its end, without what a terminal would act on; that is all there is of it from afar."""
    noise = r"seq 1 150; printf '\\033[31mred\\033[0m \\033]0;title\\007\\tend\\n'"
    server.base(f'[[tests]]\nname = "unit"\ncommand = """{noise}; test ! -e bad"""\n', file="1")
    queue("approve", str(server.change("first", bad="1")))
    server.serve()

    shown, said = queue.call("show", "1", "-v", status=0)

    *_, before, last = shown.splitlines()
    assert (before, last) == ("    150", "    red \ufffd]0;title\ufffd  end")
    merge = server.state(1).runs[-1].merge
    assert f"{merge[:12]}  unit, the end of " in shown
    assert "    52\n" in shown
    assert "    51\n" not in shown
    assert "--verbose" not in said
    assert "    150" not in queue("show", "1")
    assert "cannot be used with --json" in queue.refusal("show", "1", "--verbose", "--json", status=129)


def test_json_has_the_same_as_the_text(server: Server, queue: Program) -> None:
    """One document each, with its format."""
    server.change("first", a="1")
    queue("pause", "-m", "a release")

    listed = json.loads(queue("list", "--json"))
    shown = json.loads(queue("show", "1", "--json"))
    history = json.loads(queue("history", "1", "--json"))
    tree = json.loads(queue("history", "--json"))

    assert {each["format"] for each in (listed, shown, history, tree)} == {1}
    (change,) = listed["changes"]
    assert (change["number"], change["title"], change["status"], change["target"]) == (
        1,
        "first",
        "open",
        MAIN,
    )
    assert change["explanation"]
    assert (listed["totals"], listed["paused"]["reason"]) == ({"open": 1}, "a release")
    assert shown["change"] == change
    assert shown["state"]["heads"] == [server.state(1).head]
    assert [each["event"]["type"] for each in history["events"]] == ["opened"]
    assert [each["event"]["type"] for each in tree["events"]] == ["paused"]


def test_every_command_changes_what_it_says(server: Server, queue: Program) -> None:
    """Each once, in an order that makes sense."""
    server.change("first", a="1")
    for words in (
        ("priority", "1", "-5"),
        ("rollup", "1", "iffy", "--note", "slow"),
        ("delegate", "1", "dora", "--level", "try"),
        ("retitle", "1", "better words", "--body", "more"),
        ("try", "1", "-t", "unit", "-t", "b*"),
        ("comment", "1", "-m", "well", "-m", "done"),
        ("draft", "1"),
    ):
        queue(*words)
    change = server.state(1)
    assert (change.priority, change.rollup.value, change.rollup_note) == (-5, "iffy", "slow")
    assert dict(change.delegates) == {"dora": "try"}
    assert (change.title, change.body, change.is_draft) == ("better words", "more", True)
    assert change.wanted_try is not None
    assert change.wanted_try.tests == ("unit", "b*")
    assert change.comments[0].text == "well\n\ndone"
    assert "draft" in queue.refusal("approve", "1")

    queue("try", "1", "--cancel")
    for word in ("undelegate", "ready", "approve"):
        queue(word, "1")
    queue("unapprove", "1")
    queue("close", "1", "-m", "no")
    queue("reopen", "1")
    change = server.state(1)
    assert (change.wanted_try, dict(change.delegates), change.status) == (None, {}, Status.OPEN)


def test_a_run_is_stopped_retried_and_unrolled(server: Server, queue: Program) -> None:
    """By the commands of their names; a retry with nothing to retry is refused."""
    server.base('[[tests]]\nname = "unit"\ncommand = "false"\n')
    server.change("first", a="1")
    assert "nothing to retry" in queue.refusal("retry", "1")
    assert "not being tested" in queue.refusal("cancel", "1")
    assert "not being tested" in queue.refusal("yield", "1")
    assert "not being tested" in queue.refusal("unroll", "1")
    queue("approve", "1")
    server.serve()
    assert server.state(1).status is Status.FAILED
    assert "failed" in queue("show", "1")
    queue("retry", "1")
    assert server.state(1).status is Status.APPROVED
    (run,) = server.state(1).runs
    assert (run.kind, run.outcome) == (Kind.AUTO, RunOutcome.FAILED)


def test_a_comment_is_read_for_commands(server: Server, queue: Program, tmp_path: Path) -> None:
    """Wherever its text is from."""
    server.change("first", a="1")
    text = tmp_path / "text"
    text.write_text("> @limmat r-\n\n@limmat r+\n@limmat frobnicate\n")

    said = queue("comment", "1", "-F", str(text))

    assert "is approved by" in said
    assert "unknown word 'frobnicate'" in said
    assert server.state(1).is_approved
    assert (
        server.bare.limmat("queue", "comment", "1", "--file=-", stdin="@limmat p=4") == "its priority is 4\n"
    )
    assert "error: give either" in queue.refusal("comment", "1", status=129)
    text.write_bytes(b"\xff")
    assert "is not UTF-8" in queue.refusal("comment", "1", "-F", str(text), status=129)
    assert "cannot read" in queue.refusal("comment", "1", "-F", str(tmp_path), status=128)


def test_the_tree_is_closed_and_the_queue_is_paused(server: Server, queue: Program) -> None:
    """Both are seen above the list."""
    server.change("first", a="1")
    queue("tree-close", "10", "--target", "main", "-m", "red")
    queue("pause", "-m", "lunch")
    assert queue("list").splitlines()[:2] == [
        f"PAUSED by {ME}: lunch",
        f"TREE OF main CLOSED below priority 10 by {ME}: red",
    ]
    queue("tree-open")
    queue("resume")
    assert len(queue("list").splitlines()) == 1
    assert "r+ [COMMIT]" in queue("help")


def test_changes_are_listed_in_the_order_of_the_queue(server: Server, queue: Program) -> None:
    """And filtered by what they are."""
    for name in ("one", "two", "three"):
        server.change(name, **{name: "1"})
    server.tell(2, Approve(), ME)
    server.tell(3, Approve(priority=1), ME)
    assert [line.split()[0] for line in queue("list").splitlines()] == ["#3", "#2", "#1"]
    assert [line.split()[0] for line in queue("list", "--status=open").splitlines()] == ["#1"]
    assert queue("list", "--author", "ann", status=1) == ""
    assert len(queue("list", "--author=bob", "--target=refs/heads/main").splitlines()) == 3
    assert "it is one of main" in queue.refusal("list", "--target", "stable", status=129)
    assert "is no status" in queue.refusal("list", "--status", "odd", status=129)


def test_what_makes_no_sense_is_a_usage_error(server: Server, queue: Program) -> None:
    """And nothing is done."""
    server.change("first", a="1")
    for words, said in {
        ("approve", "9"): "no change 9",
        ("approve", "x"): "'x' is no number",
        ("approve", "0"): "'0' is no number",
        ("approve", "1", "abc"): "is no commit",
        ("approve", "1", "--by", "a b"): "is no name",
        ("approve", "1", "--rollup", "odd"): "odd",
        ("try", "1", "--parent", "abc"): "no full commit id",
        ("try", "1", "--cancel", "-t", "x"): "--cancel goes with no other option",
        ("delegate", "1", "a,b"): "is no name",
        ("delegate", "1", ""): "nobody is called ''",
        ("frob",): "no such command 'frob'",
        ("priority", "1", "much"): "much",
        ("show", "9"): "no change 9",
        ("retitle", "1", b"\xff".decode(errors="surrogateescape")): "not UTF-8",
    }.items():
        assert said in queue.refusal(*words, status=129), words
    assert server.state(1).events == 1
    assert "Usage: git limmat queue" in queue(status=129)


def test_who_is_not_known_or_has_no_right_is_told_so(server: Server, queue: Program) -> None:
    """The identity is the one that the server is set up for."""
    server.change("first", a="1")
    server.set("reviewer", "rita")
    server.bare.git("config", "--unset-all", "limmat.queue.admin")
    assert f"'{ME}' is no reviewer" in queue.refusal("approve", "1")
    server.set("identity", "shell")
    assert "does not say who you are" in queue.refusal("approve", "1", status=128)
    said = server.bare.limmat("queue", "approve", "1", LIMMAT_QUEUE_USER="rita")
    assert "approved by 'rita'" in said


def test_words_of_others_do_nothing_to_the_terminal(server: Server, queue: Program) -> None:
    """Controls are shown as what they are not."""
    head = server.repo.commit("odd", "main", a="1")
    server.push(head)
    server.open("odd \x1b[31m\u202e title", head)
    for words in (("list",), ("show", "1"), ("history", "1"), ("info", "1")):
        assert not {"\x1b", "\u202e"} & set(queue(*words))


def test_a_clone_shows_what_it_has_fetched_and_tells_nothing(server: Server, queue: Program) -> None:
    """Its timelines are a copy; commands are for the server."""
    server.change("first", a="1")
    clone = server.repo
    assert b"has no merge queue" in clone.program("queue", "approve", "1").stderr
    assert b"hint: 'git limmat queue follow' fetches" in clone.program("queue", "list").stderr
    clone.git("remote", "add", "origin", str(server.bare.path))
    clone.git("fetch", "-q", "origin", "refs/limmat/queue/*:refs/limmat/remotes/origin/queue/*", "main")

    assert "first" in clone.limmat("queue", "list")
    assert "first" in clone.limmat("queue", "show", "1", "--remote", "origin")
    assert "#1" in clone.limmat("queue", "info", "1")
    assert clone.limmat("queue", "explain", "1").startswith("change 1 ")
    assert "opened" in clone.limmat("queue", "history", "1")
    assert b"has no merge queue" in clone.program("queue", "approve", "1").stderr
    assert b"nothing of the queue of 'other'" in clone.program("queue", "list", "--remote", "other").stderr


def test_timelines_fetched_under_their_own_names_are_shown_as_well(server: Server, queue: Program) -> None:
    """As a mirror has them."""
    server.change("first", a="1")
    server.repo.git("fetch", "-q", str(server.bare.path), "refs/limmat/queue/*:refs/limmat/queue/*")
    assert "first" in server.repo.limmat("queue", "list")
    assert b"has no merge queue" in server.repo.program("queue", "pause").stderr
