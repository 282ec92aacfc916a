"""Changes are opened and moved by pushes to refs/for, and nobody but the queue moves its refs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from queue_server import Server, push, receive_raw, start_push
from waiting import wait_until

from gitlimmat.git.repository import find_repository
from gitlimmat.queue.events import Closed, Policy
from gitlimmat.queue.state import Forge
from gitlimmat.service.queue.setup import Wanted
from gitlimmat.store.timeline import Addition, Timelines, head_ref

FOR = "HEAD:refs/for/main"
LOST = ("has not arrived", "unpacker error", "bad pack", "missing necessary", "unable to migrate")


@pytest.fixture
def server(make_repo: Callable[..., Repo]) -> Server:
    """A server with a queue: rita reviews, ada is its admin, and anyone may open changes."""
    return Server(make_repo)


@pytest.fixture
def alice(server: Server) -> Repo:
    """Alice's clone."""
    return server.clone("alice")


def said(out: str) -> list[str]:
    """Return what the server said."""
    return [
        line.removeprefix("remote: ").rstrip() for line in out.splitlines() if line.startswith("remote: ")
    ]


def close(server: Server, number: int) -> None:
    """Close a change behind the hook's back."""
    timelines = Timelines(find_repository(server.path))
    tip = timelines.load().tips[number]
    events = (Closed(actor="rita", at=1.0),)
    timelines.append([Addition(change=number, events=events, expected=tip)], reason="test")


# Opening and moving.


def test_a_push_opens_a_change_and_says_its_number(server: Server, alice: Repo) -> None:
    """The author is who the server vouches for, title and body are those of the newest commit."""
    alice.git("commit", "-q", "--allow-empty", "-m", "mend the pump\n\n  It leaked.\n\nTwice.")
    head = alice.git("rev-parse", "HEAD")

    out = push(alice, FOR)

    assert said(out) == ["change 1 is new: mend the pump"]
    assert "* [new reference]" in out
    assert "refs/limmat/queue/changes/1/heads/1" in out
    change = server.change(1)
    assert (change.author, change.target, change.head) == ("alice", "refs/heads/main", head)
    assert (change.title, change.body, change.topic) == ("mend the pump", "  It leaked.\n\nTwice.", "")
    assert server.refs("refs/limmat/queue/changes/1/heads") == {head_ref(1, 1): head}
    assert server.refs("refs/for") == {}
    assert server.refs("refs/heads") == {"refs/heads/main": server.base}


@pytest.mark.parametrize("policy", [Policy.AUTOSQUASH, Policy.SQUASH, Policy.MERGE])
def test_a_commit_that_is_to_be_folded_gives_no_title(server: Server, alice: Repo, policy: Policy) -> None:
    """Where the policy folds it; elsewhere the title says why the change cannot be approved."""
    server.set_up(Wanted(policy=policy))
    for words in ("pump: mend", "fixup! pump: mend", "amend! fixup! pump: mend"):
        alice.git("commit", "-q", "--allow-empty", "-m", words, "-m", f"About {words}.")

    push(alice, FOR)

    change, title = server.change(1), "amend! fixup! pump: mend"
    if policy is not Policy.MERGE:
        title = "pump: mend"
    assert (change.title, change.body) == (title, f"About {title}.")
    head = alice.git("commit-tree", "-p", "HEAD~3", "-m", "squash! elsewhere", "HEAD^{tree}").strip()
    assert said(push(alice, f"{head}:refs/for/main/alone")) == ["change 2 is new: squash! elsewhere"]


def test_the_page_of_a_change_is_printed_when_it_has_one(server: Server, alice: Repo) -> None:
    """limmat.queue.url is where the pages are."""
    server.set_up(Wanted(url="https://queue.example.com/"))
    alice.commit("one")

    assert said(push(alice, FOR))[1].strip() == "https://queue.example.com/changes/1"


def test_a_push_with_more_commits_moves_the_change(server: Server, alice: Repo) -> None:
    """Without a topic, a change whose head is among what is pushed is meant; both heads are kept."""
    first = alice.commit("one")
    push(alice, FOR)
    second = alice.commit("two")

    out = push(alice, FOR)

    assert said(out) == [f"change 1 has a new head, {second[:12]}: two"]
    assert f"{first[:7]}..{second[:7]}" in out
    assert server.change(1).heads == (first, second)
    assert set(server.refs("refs/limmat/queue/changes/1/heads")) == {head_ref(1, 1), head_ref(1, 2)}


@pytest.mark.parametrize("rewrite", ["amend", "reword", "squash", "rebase", "drop"])
def test_a_rewritten_change_is_the_same_change(server: Server, alice: Repo, rewrite: str) -> None:
    """git keeps the author and the time of a commit that it rewrites, and so it is known again."""
    alice.commit("one")
    alice.commit("two")
    push(alice, FOR)
    if rewrite == "amend":
        alice.write("more", "more")
        alice.git("add", "-A")
        alice.git("commit", "-q", "--amend", "--no-edit")
    elif rewrite == "reword":
        alice.git("commit", "-q", "--amend", "-m", "other words")
    elif rewrite == "squash":
        alice.git("reset", "-q", "--soft", "HEAD~1")
        alice.git("commit", "-q", "--amend", "--no-edit")
    elif rewrite == "rebase":
        alice.git("checkout", "-q", "-b", "other", server.base)
        alice.commit("other")
        alice.git("rebase", "-q", "other", "main")
    else:
        alice.git("reset", "-q", "--hard", "HEAD~1")

    out = push(alice, FOR)

    assert said(out)[0].startswith("change 1 has a new head")
    assert "(forced update)" in out
    assert server.change(1).head == alice.git("rev-parse", "HEAD")
    assert list(server.changes) == [1]


def test_another_piece_of_work_opens_another_change(server: Server, alice: Repo) -> None:
    """Two branches that share nothing beyond the target are two changes, even of the same second."""
    alice.commit("one", "main")
    push(alice, FOR)
    alice._clock -= 60  # the same author and time, with another subject and tree
    alice.commit("two", "main")

    assert said(push(alice, FOR)) == ["change 2 is new: two"]


def test_a_topic_names_a_change_whatever_is_pushed(server: Server, alice: Repo) -> None:
    """By the ref or by an option, also with slashes; of one author, for one target, while it is open."""
    alice.commit("one", "main")
    push(alice, "HEAD:refs/for/main/fix/pump")
    alice.commit("two", "main")

    assert said(push(alice, FOR, options=("topic=fix/pump",)))[0].startswith("change 1 has a new head")
    assert server.change(1).topic == "fix/pump"
    assert said(push(alice, "HEAD:refs/for/main/fix/pump", by="bob"))[0].startswith("change 2 is new")
    assert said(push(alice, "HEAD:refs/for/main/other"))[0].startswith("change 3 is new")
    close(server, 1)
    assert said(push(alice, "HEAD:refs/for/main/fix/pump"))[0].startswith("change 4 is new")


def test_a_number_names_a_change_and_only_its_author_or_a_reviewer_moves_it(
    server: Server, alice: Repo
) -> None:
    """Anyone else may say something about it, and that is what a push of the same head does."""
    alice.commit("one")
    push(alice, FOR)
    push(alice, "HEAD:refs/for/main/1", by="bob", options=("comment=looks good",))
    assert [each.text for each in server.change(1).comments] == ["looks good"]
    second = alice.commit("two")

    out = push(alice, "HEAD:refs/for/main/1", by="bob", status=1)
    assert "change 1: 'bob' is neither the author nor a reviewer of it" in out
    push(alice, "HEAD:refs/for/main/1", by="rita")

    assert server.change(1).head == second
    assert server.change(1).author == "alice"


def test_several_that_could_be_meant_are_named(server: Server, alice: Repo) -> None:
    """What is meant is not guessed."""
    alice.commit("one", "main")
    push(alice, FOR)
    alice.commit("two", "main")
    push(alice, FOR)
    alice.git("merge", "-q", "one")

    out = push(alice, FOR, status=1)

    assert "several of your changes are meant" in out
    assert "push to refs/for/main/1 or refs/for/main/2" in out
    assert all(len(each.heads) == 1 for each in server.changes.values())


def test_the_same_head_again_changes_nothing(server: Server, alice: Repo) -> None:
    """A push that was interrupted can be repeated."""
    alice.commit("one")
    push(alice, FOR)
    before = server.refs()

    assert "has this head already" in push(alice, FOR)
    assert server.refs() == before


def test_the_head_of_a_change_with_a_topic_is_not_opened_twice(server: Server, alice: Repo) -> None:
    """Whoever leaves the topic out means it still, as long as nothing is new."""
    alice.commit("one")
    push(alice, "HEAD:refs/for/main/fix")
    before = server.refs()

    assert said(push(alice, FOR)) == ["change 1 has this head already: one"]
    assert server.refs() == before
    assert said(push(alice, FOR, by="bob")) == ["change 2 is new: one"]
    alice.commit("two")
    assert said(push(alice, FOR)) == ["change 3 is new: two"]


def test_a_head_that_comes_back_keeps_its_ref(server: Server, alice: Repo) -> None:
    """Heads are numbered in the order in which they first came."""
    first = alice.commit("one")
    push(alice, FOR)
    second = alice.commit("two")
    push(alice, FOR)

    assert "changes/1/heads/1 (forced update)" in push(alice, f"{first}:refs/for/main")
    assert server.change(1).head == first
    assert server.change(1).heads == (first, second)


def test_the_longest_target_counts(server: Server, alice: Repo) -> None:
    """Branches with slashes may be targets; what is left of the name is the topic."""
    server.bare.git("branch", "release/1.0", "main")
    server.set_up(Wanted(targets=("release/1.0",)))
    alice.commit("one")

    push(alice, "HEAD:refs/for/release/1.0/fix")
    assert (server.change(1).target, server.change(1).topic) == ("refs/heads/release/1.0", "fix")
    out = push(alice, "HEAD:refs/for/release/fix", status=1)
    assert "'release/fix' is no target of the merge queue; it has 'main', 'release/1.0'" in out
    assert "change 1 is for 'release/1.0'" in push(alice, "HEAD:refs/for/main/1", status=1)


# Options.


def test_options_are_commands_with_the_rights_of_whoever_pushes(server: Server, alice: Repo) -> None:
    """In their order, in the same step in which the change is opened."""
    head = alice.commit("one")

    out = push(alice, FOR, by="rita", options=("r+ rollup=never", "p=5", "title=Better words", "comment=hi"))

    change = server.change(1)
    assert change.is_approved
    assert change.approval is not None
    assert (change.approval.head, change.approval.by) == (head, "rita")
    assert (change.priority, change.rollup, change.title) == (5, "never", "Better words")
    assert [each.text for each in change.comments] == ["hi"]
    assert len(server.subjects(1)) == 1
    assert any("approved by 'rita'" in line for line in said(out))


def test_an_option_that_is_refused_refuses_all_of_it(server: Server, alice: Repo) -> None:
    """Nothing is done by half: no change is opened, none is moved."""
    alice.commit("one")
    before = server.refs()

    out = push(alice, FOR, options=("title=x", "r+"), status=1)
    assert "push option 'r+': 'alice' is no reviewer" in out
    assert "no change was opened" in out
    assert server.refs() == before

    push(alice, FOR)
    before = server.refs()
    alice.commit("two")
    out = push(alice, FOR, options=("p=99999", "draft"), status=1)
    assert "change 1 is as it was: push again without the option to move it" in out
    assert server.refs() == before


@pytest.mark.parametrize("fits", ["main", "stable"])
def test_the_target_that_an_option_names_is_the_one_that_counts(
    server: Server, alice: Repo, fits: str
) -> None:
    """An approval beside it is of a change to the new one."""
    server.bare.git("config", "--add", "limmat.queue.target", "stable")
    server.bare.git("branch", "stable", "main")
    alice.commit("one", file="mine\n")
    other = server.clone("other")
    other.commit("two", file="theirs\n")
    clashes = "main" if fits == "stable" else "stable"
    server.bare.git("fetch", "-q", str(other.path), f"HEAD:refs/heads/{clashes}")

    options = ("target=stable", "r+")
    out = push(alice, FOR, by="ada", options=options, status=0 if fits == "stable" else 1)

    assert ("conflicts with its target, in 'file'" in out) is (fits == "main")
    if fits == "stable":
        assert server.change(1).is_approved


def test_what_conflicts_cannot_be_approved_by_an_option(server: Server, alice: Repo) -> None:
    """It is merged with the target before the approval is taken, be the change new or not."""
    alice.commit("one", file="mine\n")
    other = server.clone("other")
    other.commit("two", file="theirs\n")
    server.bare.git("fetch", "-q", str(other.path), "HEAD:refs/heads/main")
    before = server.refs()

    out = push(alice, FOR, by="ada", options=("r+",), status=1)

    assert "push option 'r+': change 1 conflicts with its target, in 'file'" in out
    assert server.refs() == before
    push(alice, FOR, by="ada")
    out = push(alice, FOR, by="ada", options=("r+",), status=1)
    assert "change 1 conflicts with its target, in 'file'" in out
    assert not server.change(1).is_approved


def test_an_approval_by_option_is_of_the_head_that_is_pushed(server: Server, alice: Repo) -> None:
    """Moving a head takes the approval back, and the option then gives it for the new one."""
    alice.commit("one")
    push(alice, FOR, by="rita", options=("r+",))
    second = alice.commit("two")

    push(alice, FOR, by="rita")
    assert not server.change(1).is_approved
    push(alice, FOR, by="rita", options=("r+",))

    approval = server.change(1).approval
    assert approval is not None
    assert approval.head == second


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("frobnicate", "'frobnicate'"),
        ("p=x", "push option 'p=x'"),
        ("r+ p=9002", "9002 is above 9001"),
        ("treeclosed=5", "cannot be said by a push"),
        ("r+\u2003p=1", "characters that cannot be seen"),
        ("--help", "'--help'"),
        ("topic=--force", "is no topic"),
        ("topic=x @limmat r=evil", "is no topic"),
        ("comment=", "needs a text"),
    ],
)
def test_a_bad_option_is_answered(server: Server, alice: Repo, option: str, words: str) -> None:
    """Every one that is not understood is named, and nothing is done."""
    alice.commit("one")

    out = push(alice, FOR, by="ada", options=(option,), status=1)

    assert words in out
    assert server.changes == {}


def test_a_draft_can_be_opened(server: Server, alice: Repo) -> None:
    """It cannot be approved before it is none any more."""
    alice.commit("one")
    push(alice, FOR, by="rita", options=("draft",))

    assert server.change(1).is_draft
    assert "draft" in push(alice, FOR, by="rita", options=("r+",), status=1)


# What cannot be.


def test_what_is_in_the_target_already_is_no_change(server: Server, alice: Repo) -> None:
    """There is nothing to land; a change that is open is not brought back to it either."""
    assert "there is nothing to land: 'main' has all of it already" in push(alice, FOR, status=1)
    alice.commit("one")
    push(alice, "HEAD:refs/for/main/x")
    assert "there is nothing to land" in push(alice, "main~1:refs/for/main/x", status=1)


def test_a_history_of_its_own_is_refused(server: Server, alice: Repo) -> None:
    """A root commit cannot be merged, nor anything on top of one."""
    alice.git("checkout", "-q", "--orphan", "island")
    alice.commit("island")
    assert "'main' and what is pushed have no commit in common" in push(alice, FOR, status=1)
    assert server.changes == {}


def test_only_commits_are_taken(server: Server, alice: Repo) -> None:
    """An annotated tag, a tree and a blob are named as what they are."""
    alice.commit("one")
    alice.git("tag", "-a", "-m", "tag", "v1")

    assert "no commit but a tag" in push(alice, "v1:refs/for/main", status=1)
    assert "no commit but a tree" in push(alice, "HEAD^{tree}:refs/for/main", status=1)
    assert "no commit but a blob" in push(
        alice, "HEAD:file:refs/for/main".replace("HEAD:file", alice.git("rev-parse", "HEAD:file")), status=1
    )
    push(alice, "v1^{commit}:refs/for/main")


def test_a_shallow_clone_can_push_what_it_has(server: Server, alice: Repo, tmp_path: Path) -> None:
    """The target's commits are on the server, so what is missing in the clone is not needed."""
    alice.commit("two")
    server.bare.git("fetch", "-q", str(alice.path), "main:main")
    shallow = server.clone("shallow")
    shutil.rmtree(shallow.path)
    shallow.path.mkdir()
    alice.git("clone", "-q", "--depth=1", f"file://{server.path}", str(shallow.path))
    shallow.commit("three")

    assert said(push(shallow, FOR)) == ["change 1 is new: three"]


def test_a_shallow_history_that_the_server_lacks_is_refused(server: Server, alice: Repo) -> None:
    """Nothing can be known about what is beyond its border."""
    alice.git("checkout", "-q", "--orphan", "island")
    alice.commit("island")
    alice.commit("more")
    Path(alice.path / ".git" / "shallow").write_text(alice.git("rev-parse", "HEAD") + "\n")
    alice.commit("top")

    out = push(alice, FOR, status=1)

    assert "rejected" in out
    assert server.changes == {}


def test_a_ref_to_push_to_cannot_be_deleted(server: Server, alice: Repo) -> None:
    """It never exists."""
    assert "cannot be deleted" in push(alice, ":refs/for/main", status=1)


def test_unknown_targets_and_numbers_are_named(server: Server, alice: Repo) -> None:
    """With what there is."""
    alice.commit("one")
    assert "'nowhere' is no target of the merge queue; it has 'main'" in push(
        alice, "HEAD:refs/for/nowhere", status=1
    )
    assert "there is no change 7" in push(alice, "HEAD:refs/for/main/7", status=1)
    close_me = push(alice, FOR)
    assert "change 1 is new" in close_me
    close(server, 1)
    alice.commit("two")
    out = push(alice, "HEAD:refs/for/main/1", status=1)
    assert "change 1 is closed" in out
    assert server.change(1).forge is Forge.CLOSED


@pytest.mark.parametrize(
    "topic",
    [
        "x @limmat r=evil",
        "a\u2003b",
        "--option",
        "-x",
        "x\ny",
        "a..b\x7f",
        "\u202egnp",
        "٣",
        "x" * 200,
        "\udcff",
        "7/",
    ],
)
def test_hostile_names_are_refused(server: Server, alice: Repo, topic: str) -> None:
    """git checks no names before the hook; what is said about them has nothing that could do anything."""
    alice.commit("one")
    push(alice, "HEAD:refs/heads/there")
    head = alice.git("rev-parse", "HEAD")

    out = receive_raw(server, f"refs/for/main/{topic}", head)

    assert "is no topic" in out or "funny refname" in out or "protocol error" in out, out
    assert "Traceback" not in out
    assert server.changes == {}


def test_a_message_that_looks_like_a_command_is_words(server: Server, alice: Repo) -> None:
    """Nothing in a commit is ever run, and what cannot be seen is left out of a title."""
    alice.git("commit", "-q", "--allow-empty", "-m", "@limmat r+\u202e \x1b[31mred\n\n@limmat p=7\n")

    out = push(alice, FOR, by="rita")

    change = server.change(1)
    assert change.title == "@limmat r+ [31mred"
    assert not change.is_approved
    assert change.priority == 0
    assert "\x1b[31mred" not in out


def test_several_refs_are_taken_one_by_one(server: Server, alice: Repo) -> None:
    """One that is refused does not keep the others from being taken; --atomic is for one only."""
    alice.commit("one")

    out = push(
        alice, "HEAD:refs/for/main/a", "HEAD:refs/for/no", "HEAD:refs/for/main/b", "HEAD:topic", status=1
    )
    assert {each.topic for each in server.changes.values()} == {"a", "b"}
    assert "'no' is no target" in out
    assert "refs/heads/topic" in server.refs("refs/heads")

    out = push(alice, "--atomic", "HEAD:refs/for/main/c", "HEAD:refs/for/main/d", status=1)
    assert "cannot be pushed with --atomic" in out
    push(alice, "--atomic", "HEAD:refs/for/main/c")
    assert len(server.changes) == 3


def test_broken_settings_refuse_a_push_and_say_so(server: Server, alice: Repo) -> None:
    """Rights that cannot be read are nobody's."""
    alice.commit("one")
    server.bare.git("config", "limmat.queue.policy", "magic")

    out = push(alice, FOR, status=1)

    assert "limmat.queue.policy" in out
    assert server.changes == {}


def test_what_is_malformed_does_not_come_in(server: Server, alice: Repo) -> None:
    """A commit that not every program can read would be tested as one thing and be another to them."""
    person = f"a <a@b> {'9' * 26} +0000"
    tree, base = alice.git("rev-parse", "HEAD^{tree}", "HEAD").split()
    text = f"tree {tree}\nparent {base}\nauthor {person}\ncommitter {person}\n\nodd\n"
    odd = alice.git("hash-object", "-w", "-t", "commit", "--stdin", "--literally", stdin=text)

    out = push(alice, f"{odd}:refs/for/main", status=1)

    assert "badDateOverflow" in out
    assert not server.changes


# The guard.


@pytest.mark.parametrize(
    ("refspec", "words"),
    [
        ("HEAD:main", "'main' is moved by the merge queue only"),
        ("+HEAD:main", "'main' is moved by the merge queue only"),
        (":main", "'main' belongs to the merge queue and cannot be deleted"),
        ("HEAD:refs/heads/main/x", "'refs/heads/main/x' is in the way of 'main'"),
        ("HEAD:refs/limmat/queue/changes/1/meta", "is written by the merge queue only"),
        (":refs/limmat/queue/changes/1/meta", "is written by the merge queue only"),
        ("HEAD:refs/limmat/queue/changes/9/meta", "is written by the merge queue only"),
        ("HEAD:refs/limmat/results", "is written by the merge queue only"),
        ("HEAD:alias", "'refs/heads/alias' is in the way of 'main'"),
        (f"HEAD:refs/replace/{'1' * 40}", "would replace an object for the merge queue, too"),
    ],
)
def test_nobody_else_moves_what_is_the_queues(server: Server, alice: Repo, refspec: str, words: str) -> None:
    """Not by another name either; the reason and the right way are said."""
    server.bare.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    alice.commit("one")
    push(alice, FOR)
    before = server.refs()
    alice.commit("two")

    out = push(alice, refspec, by="ada", status=1)

    assert words in out
    assert server.refs() == before


@pytest.mark.parametrize("refspec", ["HEAD:main", "+HEAD:main", "HEAD:trunk", ":main", "HEAD:refs/for/main"])
def test_a_target_that_leads_to_another_branch_is_guarded_with_it(
    server: Server, alice: Repo, refspec: str
) -> None:
    """Under both names; and nothing is taken that could not land."""
    server.bare.git("branch", "trunk", "main")
    server.bare.git("symbolic-ref", "refs/heads/main", "refs/heads/trunk")
    alice.commit("one")
    before = server.refs()

    push(alice, refspec, by="walt", status=1)

    assert server.refs() == before
    assert server.bare.git("symbolic-ref", "refs/heads/main") == "refs/heads/trunk"


def test_a_target_is_no_other_branch_that_git_finds_by_its_name(server: Server, alice: Repo) -> None:
    """A branch may be called like the full name of one that does not exist."""
    server.bare.git("config", "--add", "limmat.queue.target", "rel")
    server.bare.git("update-ref", "refs/heads/refs/heads/rel", "refs/heads/main")
    alice.commit("one")

    assert "'rel' does not exist yet" in push(alice, "HEAD:refs/for/rel", status=1)


def test_everything_else_passes(server: Server, alice: Repo) -> None:
    """Branches, tags and notes are nobody's but their writers'."""
    alice.commit("one")
    push(
        alice, "HEAD:topic", "HEAD:refs/tags/v1", "HEAD:refs/notes/x", "HEAD:mainly", "HEAD:refs/heads/x/main"
    )
    alice.commit("two")
    push(alice, "+HEAD~2:topic", ":refs/tags/v1", "HEAD:refs/heads/new")


def test_who_is_named_may_push_a_target(server: Server, alice: Repo) -> None:
    """limmat.queue.pusher is the way past the queue, and only for targets."""
    alice.commit("one")
    server.bare.git("config", "limmat.queue.pusher", "ada")

    push(alice, "HEAD:main", by="bob", status=1)
    push(alice, "HEAD:main", by="ada")
    push(alice, "HEAD:refs/limmat/queue/x", by="ada", status=1)
    out = push(alice, "-o", "x", ":main", by="", status=1)
    assert "cannot be deleted" in out


def test_an_admin_makes_a_target_that_does_not_exist(server: Server, alice: Repo) -> None:
    """There is nothing to test it against, and nobody else may."""
    server.set_up(Wanted(targets=("next",)))
    alice.commit("one")

    assert "does not exist yet" in push(alice, "HEAD:refs/for/next", status=1)
    assert "only an administrator" in push(alice, "HEAD:next", by="rita", status=1)
    push(alice, "HEAD:next", by="ada")
    push(alice, "HEAD~1:next", by="ada", status=1)


def test_without_the_program_nothing_passes_that_has_to_be_looked_at(
    server: Server, alice: Repo, tmp_path: Path
) -> None:
    """A server whose program is gone refuses, and says why."""
    server.bare.git("config", "--replace-all", "limmat.program", str(tmp_path / "gone"))
    path = os.pathsep.join(
        each
        for each in alice.environment["PATH"].split(os.pathsep)
        if not (Path(each) / "git-limmat").exists()
    )
    alice.environment["PATH"] = path
    alice.commit("one")

    for refspec in ("HEAD:main", FOR):
        assert "git-limmat is not to be found on the server" in push(alice, refspec, status=1)
    assert server.refs("refs/heads") == {"refs/heads/main": server.base}


# Trouble.


def test_eight_who_push_at_once_each_get_their_change(server: Server, make_repo: Callable[..., Repo]) -> None:
    """Numbers are given once, heads are theirs, and one topic of one author is one change."""
    clones = [server.clone(f"clone{number}") for number in range(8)]
    heads = [clone.commit(f"work {number}") for number, clone in enumerate(clones)]

    pushes = [start_push(clone, FOR, by=f"user{number}") for number, clone in enumerate(clones)]
    outs = [each.communicate(timeout=60)[0].decode() for each in pushes]
    assert [each.returncode for each in pushes] == [0] * 8, outs
    assert sorted(server.changes) == list(range(1, 9))
    assert {each.head for each in server.changes.values()} == set(heads)

    pushes = [start_push(clone, "HEAD:refs/for/main/same", by="carol") for clone in clones]
    outs = [each.communicate(timeout=60)[0].decode() for each in pushes]
    assert [each.returncode for each in pushes] == [0] * 8, outs
    (shared,) = [each for each in server.changes.values() if each.topic == "same"]
    assert set(shared.heads) == set(heads)
    assert set(server.refs(f"refs/limmat/queue/changes/{shared.id}/heads").values()) == set(heads)


def test_pushes_survive_a_gc_beside_them(server: Server, alice: Repo) -> None:
    """What has arrived is kept by a pack with a mark until a ref leads there.

    What is just coming in `git prune --expire=now` removes itself, and then such a push fails as any other.
    """
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            subprocess.run(
                ["git", "gc", "-q", "--prune=now"],
                cwd=server.path,
                env=alice.environment,
                check=False,
                capture_output=True,
            )

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for number in range(1, 6):
            alice.commit(f"work {number}")
            while "change" not in (out := push(alice, f"HEAD:refs/for/main/t{number}", status=None)):
                assert any(words in out for words in LOST), out
    finally:
        stop.set()
        thread.join()
    server.bare.git("fsck", "--strict", "--connectivity-only")
    assert len(server.changes) == 5


def test_a_push_that_is_killed_leaves_all_or_nothing(server: Server, alice: Repo) -> None:
    """Whenever that is; the same push again then does what the first one was to do."""
    processes = 0
    for delay in range(8):
        alice.commit(f"work-{delay}", "main")
        pushing = subprocess.Popen(
            ["git", "push", "origin", f"HEAD:refs/for/main/t{delay}"],
            cwd=alice.path,
            env=alice.environment | {"LIMMAT_QUEUE_USER": "alice"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            pushing.wait(timeout=0.01 + delay * 0.03)
        except subprocess.TimeoutExpired:
            processes += 1
            os.killpg(pushing.pid, signal.SIGKILL)
            pushing.wait()
        for change in server.changes.values():
            assert server.refs("refs/limmat").get(head_ref(change.id, 1)) == change.head
        out = push(alice, f"HEAD:refs/for/main/t{delay}")
        assert re.search(r"change \d+ (is new|has this head already)", out)
    assert processes
    assert sorted(each.topic for each in server.changes.values()) == sorted(f"t{n}" for n in range(8))


def test_a_head_without_its_event_is_no_obstacle(server: Server, alice: Repo) -> None:
    """A git that was killed may have moved the first ref of a step only."""
    alice.commit("one")
    push(alice, FOR)
    second = alice.commit("two")
    push(alice, "HEAD:refs/heads/there")
    for name in (head_ref(1, 2), head_ref(2, 1)):
        server.bare.git("update-ref", name, server.base)

    push(alice, FOR)
    assert server.refs("refs/limmat/queue/changes/1/heads")[head_ref(1, 2)] == second
    assert "change 3 is new" in push(alice, "HEAD:refs/for/main/other")


def test_the_daemon_is_woken(server: Server, alice: Repo) -> None:
    """By a file that it follows."""
    wake = server.path / "limmat" / "queue" / "wake"
    alice.commit("one")
    push(alice, FOR)
    wait_until(wake.exists)
