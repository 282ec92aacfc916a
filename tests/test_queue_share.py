"""Results that people have found out themselves, and whether a queue believes them."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from conftest import Repo
from queue_audit import Audit
from queue_server import Server, push, receive_raw

from gitlimmat.git.objects import ObjectBatch
from gitlimmat.git.repository import find_repository
from gitlimmat.model import Definition, Outcome, Result, Stored
from gitlimmat.queue.events import JobEnded
from gitlimmat.queue.state import Forge
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


def test_failures_and_artifacts_stay_at_home(server: Server, alice: Repo) -> None:
    """Nothing that is to be seen, or to be used, where it counts; and that is said."""
    write(alice, "broken")
    say(alice, "run", "HEAD", status=1)
    said = say(alice, "queue", "share", "origin", "HEAD", status=128)
    assert "no result of 1 commit can be shared" in said
    keeps = '[[tests]]\nname = "unit"\ncommand = "echo >$LIMMAT_ARTIFACTS/a"\ncache = "by_tree"\n'
    (alice.path / "limmat.toml").write_text(keeps)
    say(alice, "run", "HEAD")
    assert "can be shared" in say(alice, "queue", "share", "origin", "HEAD", status=128)
    assert not server.refs(SHARE)


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


def parcel(repository: Path, *results: Result, text: bytes = b"{}", subject: str = "12" * 20) -> str:
    """Write a tree with results of one definition, and return its id."""
    database = find_repository(repository)
    batch = ObjectBatch(database)
    definition = Definition(test="unit", text=text, digest="a" * 32)
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
    assert kept == (result(),)
    assert not server.bare.git("fsck", "--strict", "--no-dangling")


@pytest.mark.parametrize("what", ["commit", "blob", "empty", "format", "failed", "subject", "digest", "line"])
def test_what_is_not_ours_is_not_taken(server: Server, what: str) -> None:
    """An error that says so, and nothing is kept of it."""
    tree = {
        "commit": server.base,
        "blob": server.bare.git("rev-parse", "main:limmat.toml"),
        "empty": parcel(server.path),
        "failed": parcel(server.path, result(outcome=Outcome.FAILED)),
        "subject": parcel(server.path, result(), subject="12" * 19 + "zz"),
    }.get(what) or parcel(server.path, result())
    if what in ("format", "digest", "line"):
        tree = changed(server, tree, what)

    said = receive_raw(server, SHARE, tree)

    assert f"ng {SHARE} these are no results that git-limmat has written" in said
    assert not server.refs(SHARE)


def changed(server: Server, tree: str, what: str) -> str:
    """Return the tree with something else in one of its files."""
    path, text = {
        "format": ("format", "2\n"),
        "line": (f"12/{'12' * 19}/results", "{"),
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
    names = ["team", "team/a.lock", "team/a", "a..b", "x@example.com"]
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
    """When it would be too much, only the newest stays."""
    monkeypatch.setattr(share, "_MOST", 3)
    store = shared_by(find_repository(server.path), "alice", pytest.fail)
    for number in range(1, 6):
        share.add_wrapped(store, parcel(server.path, result(), subject=f"{number:040x}"), "test")
    assert list(store.view().subjects()) == [f"{number:040x}" for number in (4, 5)]


def test_two_definitions_with_one_digest_are_told_apart(server: Server) -> None:
    """What is sent may call another text by the same name than what is there."""
    store = shared_by(find_repository(server.path), "alice", pytest.fail)
    for text in (b"{}", b'{"a":1}'):
        share.add_wrapped(store, parcel(server.path, result(), text=text), "test")
    view = store.view()
    for text in (b"{}", b'{"a":1}'):
        assert view.known("12" * 20, Definition(test="unit", text=text, digest="a" * 32)) is not None
    assert view.known("12" * 20, Definition(test="unit", text=b"[]", digest="a" * 32)) is None
