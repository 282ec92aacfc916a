"""Results that people have found out themselves, and whether a queue believes them."""

from __future__ import annotations

import errno
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from conftest import Repo
from queue_audit import Audit
from queue_server import Server, push, receive_raw
from queue_world import World

from gitlimmat.git.objects import ObjectBatch
from gitlimmat.git.procreceive import Push, Refused, Told
from gitlimmat.git.repository import find_repository
from gitlimmat.model import Definition, Outcome, Result, Stored
from gitlimmat.queue.auth import Principal
from gitlimmat.queue.events import QUEUE, JobEnded, RunEnded, RunOutcome
from gitlimmat.queue.rules import Rules
from gitlimmat.queue.snapshot import End, Land, Start
from gitlimmat.queue.state import Forge
from gitlimmat.service.project import Project, open_project
from gitlimmat.service.queue.receive import receive
from gitlimmat.service.queue.session import open_queue
from gitlimmat.service.request import Request
from gitlimmat.store import share
from gitlimmat.store.names import SHARE
from gitlimmat.store.share import share_ref, shared_by, wrap
from gitlimmat.store.timeline import Timelines

MAIN = "refs/heads/main"
ALICE = share_ref("alice")


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A server with a queue, whose test leaves a line each time it is run; it trusts alice and bob."""
    server = Server(make_repo)
    config = f"""\
[[tests]]
name = "unit"
command = "echo >>{tmp_path}/ran; test ! -e broken"
cache = "by_tree"
"""
    first = server.clone("config")
    first.git("reset", "-q", "--hard", first.commit("config", **{"limmat.toml": config}))
    tip = first.git("rev-parse", "HEAD")
    server.bare.git("fetch", "-q", str(first.path), "main")
    server.bare.git("update-ref", MAIN, tip)
    for name in ("alice", "bob"):
        server.bare.git("config", "--add", "limmat.queue.trust", name)
    return server


@pytest.fixture
def alice(server: Server) -> Repo:
    """Her clone, with a change in it."""
    clone = server.clone("alice")
    write(clone, "pump")
    return clone


def write(clone: Repo, name: str) -> None:
    """Commit a file."""
    (clone.path / name).write_text(name)
    clone.git("add", name)
    clone.git("commit", "-q", "-m", name)


def times(tmp_path: Path) -> int:
    """How often the test was run."""
    try:
        return len((tmp_path / "ran").read_text().splitlines())
    except FileNotFoundError:
        return 0


def say(clone: Repo, *words: str, by: str = "alice", status: int = 0) -> str:
    """Run a command as somebody, and return all that is said."""
    done = clone.program(*words, LIMMAT_QUEUE_USER=by)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == status, said
    assert "Traceback" not in said
    return said


def land(server: Server, clone: Repo) -> None:
    """Push what a clone has, approved, and serve it."""
    push(clone, "HEAD:refs/for/main", by="rita", options=("r+",))
    say(server.bare, "queue", "serve", "--once")


def job(server: Server, number: int) -> JobEnded:
    """Return the last event about a job of a change."""
    entries = Timelines(find_repository(server.path)).entries(number)
    return [event for entry in entries for event in entry.events if isinstance(event, JobEnded)][-1]


def test_what_a_trusted_author_has_tested_lands_at_once(server: Server, alice: Repo, tmp_path: Path) -> None:
    """No job is run, and it is told whose result it was; from git alone it is as good as tested."""
    say(alice, "run", "HEAD")
    assert times(tmp_path) == 1
    base = server.refs("refs/heads")[MAIN]

    said = say(alice, "queue", "share", "origin", "HEAD")
    land(server, alice)

    assert said == "shared 1 result of 1 commit with 'origin'\n  1 result of alice is new here\n"
    assert times(tmp_path) == 1
    assert server.change(1).forge is Forge.LANDED
    assert (job(server, 1).known, job(server, 1).by) == (True, "alice")
    assert "unit  passed  known from alice" in say(server.bare, "queue", "show", "1")
    assert "as alice found out" in say(server.bare, "queue", "history", "1")
    assert not Audit(server.path, MAIN).check(base)
    assert not server.bare.git("fsck", "--strict", "--no-dangling")


def test_a_range_is_what_run_would_test(server: Server, alice: Repo, tmp_path: Path) -> None:
    """Without words it is about what is not upstream yet; said twice, nothing is new."""
    write(alice, "valve")
    alice.git("branch", "-q", "--set-upstream-to=origin/main")
    say(alice, "run")

    assert say(alice, "queue", "share").startswith("shared 2 results of 2 commits with 'origin'\n  2 results")
    assert "0 results of alice are new here" in say(alice, "queue", "share")
    land(server, alice)
    assert times(tmp_path) == 2


def test_only_those_who_are_named_are_believed(server: Server, alice: Repo, tmp_path: Path) -> None:
    """Others cannot even send; and what was sent counts no longer than its sender is trusted."""
    say(alice, "run", "HEAD")
    refused = say(alice, "queue", "share", "origin", "HEAD", by="eve", status=128)
    assert "fatal: cannot share results with 'origin': results of 'eve' do not count here\n" in refused
    assert "hint: limmat.queue.trust" in refused
    assert not server.refs(SHARE)
    say(alice, "queue", "share", "origin", "HEAD")

    server.bare.git("config", "--unset", "limmat.queue.trust", "alice")
    land(server, alice)

    assert times(tmp_path) == 2
    assert not job(server, 1).known
    server.bare.git("config", "--add", "limmat.queue.trust", "*")
    assert "each one is to be named" in say(server.bare, "queue", "list", "--all", status=128)


def test_what_the_queue_knows_itself_goes_before(server: Server, alice: Repo, tmp_path: Path) -> None:
    """A failure that it has seen is not made good by somebody's word, and a retry is a real one."""
    (tmp_path / "ran").mkdir()  # the test fails now, wherever it is run
    config = (alice.path / "limmat.toml").read_text().replace(">>", "2>/dev/null >>").replace(";", " &&")
    (alice.path / "limmat.toml").write_text(config)
    alice.git("commit", "-q", "-a", "-m", "fails")
    server.bare.git("fetch", "-q", str(alice.path), "HEAD")
    server.bare.git("update-ref", MAIN, alice.git("rev-parse", "HEAD"))
    write(alice, "valve")
    land(server, alice)
    assert job(server, 1).outcome is Outcome.FAILED
    (tmp_path / "ran").rmdir()
    say(alice, "run", "HEAD")
    say(alice, "queue", "share", "origin", "HEAD")
    (tmp_path / "ran").unlink()
    (tmp_path / "ran").mkdir()

    push(alice, "HEAD:refs/for/main/1", by="rita", options=("retry",))
    say(server.bare, "queue", "serve", "--once")

    assert job(server, 1).outcome is Outcome.FAILED
    assert not job(server, 1).known
    assert server.change(1).forge is Forge.OPEN


def test_a_failure_takes_back_what_was_sent(server: Server, alice: Repo, tmp_path: Path) -> None:
    """It counts for nothing, and the pass before it does not count any more."""
    config = (alice.path / "limmat.toml").read_text().replace("test ! -e broken", f"test ! -e {tmp_path}/no")
    publish(server, alice, config)
    say(alice, "run", "HEAD")
    say(alice, "queue", "share", "origin", "HEAD")
    (tmp_path / "no").touch()
    say(alice, "run", "--rerun=all", "HEAD", status=1)
    said = say(alice, "queue", "share", "origin", "HEAD")
    assert "shared 1 result of 1 commit with 'origin'; 1 failed, and count for nothing there" in said

    land(server, alice)

    assert (job(server, 1).outcome, job(server, 1).by) == (Outcome.FAILED, "")


def test_a_tree_as_it_is_stored_says_no_more(server: Server, alice: Repo, tmp_path: Path) -> None:
    """Whoever pushes the results themselves cannot have an older pass believed."""
    config = (alice.path / "limmat.toml").read_text().replace("test ! -e broken", f"test ! -e {tmp_path}/no")
    publish(server, alice, config)
    say(alice, "run", "HEAD")
    (tmp_path / "no").touch()
    say(alice, "run", "--rerun=all", "HEAD", status=1)

    push(alice, f"refs/limmat/results:{SHARE}")
    land(server, alice)

    assert (job(server, 1).outcome, job(server, 1).by) == (Outcome.FAILED, "")


def publish(server: Server, clone: Repo, config: str) -> None:
    """Have another config on main, and a change on it in the clone."""
    clone.git("reset", "-q", "--hard", "origin/main")
    (clone.path / "limmat.toml").write_text(config)
    clone.git("commit", "-q", "-a", "-m", "config")
    server.bare.git("fetch", "-q", str(clone.path), "HEAD")
    server.bare.git("update-ref", MAIN, clone.git("rev-parse", "HEAD"))
    write(clone, "valve")


def test_artifacts_are_made_where_they_are_used(server: Server, alice: Repo) -> None:
    """A result with some is not sent, and that is said."""
    publish(
        server, alice, '[[tests]]\nname = "unit"\ncommand = "echo >$LIMMAT_ARTIFACTS/a"\ncache = "by_tree"\n'
    )
    say(alice, "run", "HEAD")
    assert "can be shared" in say(alice, "queue", "share", "origin", "HEAD", status=128)
    assert not server.refs(SHARE)


def test_what_was_tried_here_goes_before_though_it_came_to_nothing(
    server: Server, alice: Repo, tmp_path: Path
) -> None:
    """A retry of what errored is a real one."""
    flag = tmp_path / "odd"
    publish(
        server,
        alice,
        f'[[tests]]\nname = "unit"\ncommand = "! test -e {flag} || exit 3"\n'
        'cache = "by_tree"\nerror_exit_codes = [3]\n',
    )
    say(alice, "run", "HEAD")
    say(alice, "queue", "share", "origin", "HEAD")
    flag.touch()
    server.bare.git("config", "--unset-all", "limmat.queue.trust")
    land(server, alice)
    assert job(server, 1).outcome is Outcome.ERRORED

    server.bare.git("config", "limmat.queue.trust", "alice")
    push(alice, "HEAD:refs/for/main/1", by="rita", options=("retry",))
    say(server.bare, "queue", "serve", "--once")

    assert (job(server, 1).outcome, job(server, 1).by) == (Outcome.ERRORED, "")


def test_a_test_that_is_never_reused_is_not_believed_either(server: Server, alice: Repo) -> None:
    """Nothing is sent of it, and what somebody makes up is not looked at."""
    config = '[[tests]]\nname = "unit"\ncommand = "false"\ncache = "no_caching"\n'
    publish(server, alice, config)
    say(alice, "run", "HEAD", status=1)
    assert "can be shared" in say(alice, "queue", "share", "origin", "HEAD", status=128)
    land(server, alice)
    auto = server.change(1).auto
    assert auto is not None
    project = open_project(Request(repo=[alice.path]), pytest.fail)
    tree = parcel(server.path, result(), subject=auto.merge, alike=project)
    assert f"ok {SHARE}" in receive_raw(server, SHARE, tree)

    push(alice, "HEAD:refs/for/main/1", by="rita", options=("retry",))
    say(server.bare, "queue", "serve", "--once")

    assert (job(server, 1).outcome, job(server, 1).by) == (Outcome.FAILED, "")


def test_a_server_that_was_set_up_before_says_so(server: Server, alice: Repo) -> None:
    """git would make a ref of that name, which would be in the way of all that is to come."""
    server.bare.git("config", "--unset", "receive.procReceiveRefs", SHARE)
    said = push(alice, f"HEAD:{SHARE}", by="eve", status=1)
    assert "this queue is not set up to take results" in said
    assert "git limmat queue init" in said
    assert not server.refs(SHARE)
    say(alice, "run", "HEAD")
    assert "not set up to take results" in say(alice, "queue", "share", "origin", "HEAD", status=128)


def test_results_go_by_themselves(server: Server, alice: Repo) -> None:
    """Neither options for changes nor --atomic, and a change beside them is taken."""
    tree = parcel(server.path, result())
    assert "without push options" in receive_raw(server, SHARE, tree, options=("r+",))
    said = push(alice, "HEAD:refs/for/main", f"HEAD:{SHARE}", status=1)
    assert "change 1 is new" in said
    assert "these are no results" in said


def test_what_is_no_remote_or_no_commit_is_told(server: Server, alice: Repo) -> None:
    """Before anything is looked for."""
    assert "no remote 'HEAD'" in say(alice, "queue", "share", "HEAD", status=129)
    alice.git("branch", "-q", "--set-upstream-to=origin/main")
    alice.git("reset", "-q", "--hard", "origin/main")
    assert "no commits in this range" in say(alice, "queue", "share", status=129)


def test_where_the_remote_is_and_how_it_speaks_does_not_matter(server: Server, alice: Repo) -> None:
    """An address from here, and colors that someone always wants."""
    say(alice, "run", "HEAD")
    alice.git("remote", "add", "rel", "../server.git")
    assert "shared 1 result" in say(alice, "queue", "share", "rel", "HEAD")
    alice.git("config", "color.ui", "always")
    said = say(alice, "queue", "share", "origin", "HEAD", by="eve", status=128)
    assert "'origin': results of 'eve' do not count here\nhint: limmat.queue.trust" in said


def test_results_kept_elsewhere_are_shared_too(server: Server, alice: Repo, tmp_path: Path) -> None:
    """With --result-db, from the repository that has them, to a remote by its name or its address."""
    elsewhere = f"--result-db={tmp_path}/db.git"
    say(alice, elsewhere, "run", "HEAD")
    assert "shared 1 result" in say(alice, elsewhere, "queue", "share", "origin", "HEAD")
    say(alice, elsewhere, "queue", "share", str(server.path), "HEAD", by="bob")
    assert set(server.refs(SHARE)) == {ALICE, share_ref("bob")}


def test_a_place_without_a_queue_is_left_as_it_was(make_repo: Callable[..., Repo], alice: Repo) -> None:
    """Nothing is left at a server that has no queue, and a remote that cannot be reached is told of."""
    plain = make_repo("plain.git", "--bare")
    say(alice, "run", "HEAD")
    said = say(alice, "queue", "share", str(plain.path), "HEAD", status=128)
    assert "has no merge queue that takes results" in said
    assert not plain.git("for-each-ref")
    said = say(alice, "queue", "share", "/nowhere", "HEAD", status=128)
    assert "cannot share results with '/nowhere'" in said


def parcel(
    repository: Path,
    *results: Result,
    text: bytes = b"{}",
    subject: str = "12" * 20,
    alike: Project | None = None,
) -> str:
    """Write a tree with results of one definition, and return its id."""
    database = find_repository(repository)
    batch = ObjectBatch(database)
    definition = Definition(test="unit", text=text, digest="a" * 32)
    if alike is not None:
        definition = alike.definitions["unit"]
    tree = wrap(database, [(subject, definition, each) for each in results], batch)
    batch.write()
    batch.release()
    return tree


def result(started: float = 1.0, **fields: object) -> Result:
    """Return a result that may be shared, unless `fields` say otherwise."""
    passed = Result(
        test="unit", digest="a" * 32, outcome=Outcome.PASSED, started=started, elapsed=1.0, commit="c" * 40
    )
    return msgspec.structs.replace(passed, **fields)


def test_what_is_sent_has_no_files_in_it(server: Server) -> None:
    """Not even where somebody says that there are some: those would be missing."""
    tree = parcel(server.path, result(outputs={"output": Stored(oid="1" * 40, size=5)}, dropped=("a: b",)))
    assert f"ok {SHARE}" in receive_raw(server, SHARE, tree)
    kept = shared_by(find_repository(server.path), "alice", pytest.fail).view().history("12" * 20)
    assert [each.outputs for each in kept] == [{}]
    assert not server.bare.git("fsck", "--strict", "--no-dangling")


@pytest.mark.parametrize(
    "what", ["commit", "blob", "empty", "format", "long", "subject", "digest", "line", "deep"]
)
def test_what_is_not_ours_is_not_taken(server: Server, what: str) -> None:
    """An error that says so, and nothing is kept of it."""
    tree = {
        "commit": server.base,
        "blob": server.bare.git("rev-parse", "main:limmat.toml"),
        "empty": parcel(server.path),
        "failed": parcel(server.path, result(outcome=Outcome.FAILED)),
        "subject": parcel(server.path, result(), subject="12" * 19 + "zz"),
    }.get(what) or parcel(server.path, result())
    if what in ("format", "long", "digest", "line", "deep"):
        tree = changed(server, tree, what)

    said = receive_raw(server, SHARE, tree)

    assert f"ng {SHARE} these are no results that git-limmat has written" in said
    assert not server.refs(SHARE)


def test_a_tree_that_nobody_could_list_is_not_listed(server: Server) -> None:
    """A few objects can make up millions of files."""
    tree = parcel(server.path, result())
    for _ in range(12):
        tree = server.bare.git("mktree", stdin="".join(f"040000 tree {tree}\td{n}\n" for n in range(10)))

    said = receive_raw(server, SHARE, tree)

    assert f"ng {SHARE} more than 32 MB of results" in said
    assert not server.refs(SHARE)


def changed(server: Server, tree: str, what: str) -> str:
    """Return the tree with something else in one of its files."""
    path, text = {
        "format": ("format", "2\n"),
        "long": ("format", "1" * 5000),
        "line": (f"12/{'12' * 19}/results", "{"),
        "deep": (f"12/{'12' * 19}/results", '{"test":' + "[" * 5000 + "]" * 5000 + "}"),
        "digest": (f"12/{'12' * 19}/results", bytes_of(server, tree).replace("a" * 32, "../../x")),
    }[what]
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=server.path,
        input=text.encode(),
        capture_output=True,
        check=True,
    ).stdout.decode()
    environment = server.bare.environment | {"GIT_INDEX_FILE": str(server.path / "index.test")}
    for words in (
        ("read-tree", tree),
        ("update-index", "--add", "--cacheinfo", f"100644,{blob.strip()},{path}"),
    ):
        subprocess.run(["git", *words], cwd=server.path, env=environment, check=True)
    done = subprocess.run(
        ["git", "write-tree"], cwd=server.path, env=environment, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def bytes_of(server: Server, tree: str) -> str:
    """Return the lines of results in a parcel."""
    return server.bare.git("show", f"{tree}:12/{'12' * 19}/results")


def test_only_the_name_itself_can_be_pushed_to(server: Server, alice: Repo) -> None:
    """Nobody writes what is kept of another one, nor deletes it; the server's own name stands for it."""
    tree = parcel(server.path, result())
    for ref in (ALICE, share_ref("bob"), f"{SHARE}/x/y"):
        assert "is written by the merge queue only" in receive_raw(server, ref, tree, by="alice")
    assert f"ok {SHARE}" in receive_raw(server, SHARE, tree)
    assert "cannot be taken back by a push" in push(alice, f":{SHARE}", status=1)
    assert set(server.refs(SHARE)) == {ALICE}


def test_people_with_odd_names_have_a_ref_each(server: Server) -> None:
    """Names of people may be names of no refs, and one may begin as another one."""
    names = ["team", "team/a.lock", "team/a", "a..b", "x@example.com", "a" + "@" * 99]
    for name in names:
        server.bare.git("config", "--add", "limmat.queue.trust", name)
        assert f"ok {SHARE}" in receive_raw(server, SHARE, parcel(server.path, result()), by=name)
    assert set(server.refs(SHARE)) == {share_ref(name) for name in names}


def test_many_who_send_at_once_lose_nothing(server: Server) -> None:
    """Each result is kept, whoever was faster, and older ones do not replace newer ones."""
    trees = [parcel(server.path, result(float(n), test="unit"), subject=f"{n:040x}") for n in range(1, 9)]
    threads = [threading.Thread(target=receive_raw, args=(server, SHARE, tree)) for tree in trees]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    view = shared_by(find_repository(server.path), "alice", pytest.fail).view()
    assert [len(view.history(f"{n:040x}")) for n in range(1, 9)] == [1] * 8
    receive_raw(server, SHARE, parcel(server.path, result(0.5), subject=f"{1:040x}"))
    view = shared_by(find_repository(server.path), "alice", pytest.fail).view()
    assert len(view.history(f"{1:040x}")) == 1


def test_what_is_kept_of_one_person_has_an_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it would be too much, only what has just been sent stays, and all of that."""
    monkeypatch.setattr(share, "_MOST", 3)
    monkeypatch.setattr(share, "_MOST_LINES", 3)
    store = shared_by(find_repository(server.path), "alice", pytest.fail)

    def send(*numbers: int, started: float = 1.0) -> None:
        database = find_repository(server.path)
        batch = ObjectBatch(database)
        definition = Definition(test="unit", text=b"{}", digest="a" * 32)
        sent = [(f"{number:040x}", definition, result(started)) for number in numbers]
        tree = wrap(database, sent, batch)
        batch.write()
        batch.release()
        share.add_wrapped(store, tree, "test")

    def kept() -> list[int]:
        return [int(each, 16) for each in store.view().subjects()]

    send(1, 2, 3)
    send(3, started=2.0)
    assert kept() == [1, 2, 3]
    send(3, 4, 5)
    assert kept() == [3, 4, 5]
    for number in range(3, 9):
        send(5, started=float(number))
    assert len(store.view().history(f"{5:040x}")) <= 3


def test_two_definitions_with_one_digest_are_told_apart(server: Server) -> None:
    """What is sent may call another text by the same name than what is there."""
    store = shared_by(find_repository(server.path), "alice", pytest.fail)
    for text in (b"{}", b'{"a":1}'):
        share.add_wrapped(store, parcel(server.path, result(), text=text), "test")
    view = store.view()
    for text in (b"{}", b'{"a":1}'):
        assert view.known("12" * 20, Definition(test="unit", text=text, digest="a" * 32)) is not None
    assert view.known("12" * 20, Definition(test="unit", text=b"[]", digest="a" * 32)) is None


def test_a_full_disk_is_told_and_hurts_nobody_else(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes in the same push is taken."""

    def full(*words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gitlimmat.service.queue.share.take_results", full)
    session = open_queue(find_repository(server.path), pytest.fail)
    pushes = (
        Push(old="0" * 40, new=server.base, ref=SHARE),
        Push(old="0" * 40, new="0" * 40, ref="refs/for/main"),
    )
    lines: list[str] = []
    told = Told(pushes=pushes, options=(), is_atomic=False)
    answers = receive(session, told, Principal(name="alice"), lines.append)
    assert isinstance(answers[0], Refused)
    assert answers[0].reason == "cannot write: No space left on device"
    assert [each.ref for each in answers] == [SHARE, "refs/for/main"]
    assert lines[0] == "error: cannot write: No space left on device"


@pytest.mark.parametrize("has_passed", [False, True])
def test_a_run_with_results_of_someone_who_is_not_trusted_any_more_begins_again(has_passed: bool) -> None:
    """Whatever has come of it since, it does not land; the change is tested by another one."""
    world = World(Rules(targets=(MAIN,), trusted=("alice",)))
    number = world.approve(world.open())
    (start,) = world.plan()
    world.execute(start)
    run = next(iter(world.starts))
    taken = JobEnded(
        actor=QUEUE, at=world.now, run=run, test="unit", commit="c" * 40, outcome=Outcome.PASSED, by="alice"
    )
    world.tell(number, taken)
    if has_passed:
        world.tell(number, RunEnded(actor=QUEUE, at=world.now, run=run, outcome=RunOutcome.PASSED))
        assert isinstance(world.plan()[0], Land)

    world.rules = Rules(targets=(MAIN,))

    (end,) = world.plan()
    assert isinstance(end, End)
    assert (end.run, end.outcome) == (run, RunOutcome.SUPERSEDED)
    assert end.reason == "results of alice do not count any more"
    world.execute(end)
    assert isinstance(world.plan()[0], Start)
