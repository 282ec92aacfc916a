"""Results: stored once, found by subject and definition, and never lost to another writer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import DIGEST, definition, oid, open_store, record

from gitlimmat.errors import StoreError
from gitlimmat.model import Outcome, Result
from gitlimmat.store.names import escape, unescape
from gitlimmat.store.record import decode_line, encode_line, join_lines
from gitlimmat.store.store import RESULTS_REF

TREE = oid("tree")


def test_a_stored_result_is_known_to_another_process(repo: Repo) -> None:
    """What `publish` returns is what every later reader finds."""
    (stored,) = open_store(repo).publish([record(TREE)])

    view = open_store(repo).view()
    assert view.known(TREE, definition()) == view.latest(TREE, definition()) == stored
    assert view.history(TREE) == (stored,)
    assert view.definition(stored.digest) == definition().text
    assert list(view.subjects()) == [TREE]
    assert view.known(oid("other"), definition()) is None
    assert view.known(TREE, definition("other")) is None
    assert view.known(TREE, definition(command="false")) is None


def test_the_tree_has_the_documented_shape(repo: Repo, tmp_path: Path) -> None:
    """Plain git shows results, outputs, artifacts and definitions at the places the format promises."""
    output, kept = tmp_path / "out", tmp_path / "kept"
    output.write_bytes(b"said\n")
    (kept / "bin").mkdir(parents=True)
    (kept / "bin" / "tool").write_text("x")
    of = definition("my test")
    open_store(repo).publish([record(TREE, of, outputs={"output": output}, artifacts=kept)])

    place = f"{TREE[:2]}/{TREE[2:]}"
    assert repo.git("ls-tree", "-r", "--name-only", RESULTS_REF).splitlines() == [
        *sorted(
            [
                f"{place}/artifacts/my test/{of.digest}/bin/tool",
                f"{place}/output/my test/{of.digest}/output",
                f"{place}/results",
            ]
        ),
        f"definitions/{of.digest}",
        "format",
    ]
    assert repo.git("show", f"{RESULTS_REF}:format") == "1"
    assert repo.git("show", f"{RESULTS_REF}:definitions/{of.digest}").encode() == of.text
    assert repo.git("show", f"{RESULTS_REF}:{place}/output/my test/{of.digest}/output") == "said"
    line = json.loads(repo.git("show", f"{RESULTS_REF}:{place}/results"))
    assert line["outcome"] == "passed"
    assert line["outputs"]["output"]["size"] == 5
    assert repo.git("cat-file", "-t", RESULTS_REF) == "tree"


def test_a_view_stays_the_same_object_until_something_changes(repo: Repo) -> None:
    """Looking again costs one look at the ref."""
    store = open_store(repo)
    empty = store.view()
    assert store.view() is empty
    store.publish([record(TREE)])
    assert (full := store.view()) is not empty
    assert store.view() is full
    open_store(repo).publish([record(TREE, started=2)])
    assert len(store.view().history(TREE)) == 2


def test_reading_an_empty_store_makes_nothing(repo: Repo, tmp_path: Path) -> None:
    """Readers never write: no ref, no directory, no repository."""
    assert open_store(repo).view().history(TREE) == ()
    elsewhere = open_store(repo, tmp_path / "db")
    assert elsewhere.view().known(TREE, definition()) is None
    assert elsewhere.forget(lambda subject, result: True, [TREE], dry_run=False) == ()

    assert not (tmp_path / "db").exists()
    assert not (repo.path / ".git" / "limmat").exists()
    assert repo.git("for-each-ref") == ""


@pytest.mark.parametrize(
    ("outcome", "usable", "known"),
    [
        (Outcome.PASSED, True, True),
        (Outcome.FAILED, True, True),
        (Outcome.SKIPPED, True, True),
        (Outcome.ERRORED, True, False),
        (Outcome.CANCELLED, True, False),
        (Outcome.PASSED, False, False),
    ],
)
def test_only_verdicts_of_cached_tests_are_used(
    repo: Repo, outcome: Outcome, usable: bool, known: bool
) -> None:
    """Errored, cancelled and uncached results are there to be seen, never to be used."""
    store = open_store(repo)
    store.publish([record(TREE, outcome=outcome, usable=usable)])

    assert (store.view().known(TREE, definition()) is not None) == known
    latest = store.view().latest(TREE, definition())
    assert latest is not None
    assert (latest.outcome, latest.usable) == (outcome, usable)


def test_the_newest_usable_result_is_the_known_one(repo: Repo) -> None:
    """A later verdict replaces an earlier one, a later error does not."""
    store = open_store(repo)
    outcomes = (Outcome.FAILED, Outcome.PASSED, Outcome.ERRORED)
    stored = [
        store.publish([record(TREE, outcome=outcome, started=number)])[0]
        for number, outcome in enumerate(outcomes)
    ]

    assert store.view().known(TREE, definition()) == stored[1]
    assert store.view().latest(TREE, definition()) == stored[2]
    assert store.view().history(TREE) == tuple(stored)


def test_two_definitions_with_one_digest_never_mix(repo: Repo) -> None:
    """The digest is an index: what decides is the text, byte for byte."""
    same = [definition(command=f"c{number}", digest=DIGEST) for number in range(3)]
    store = open_store(repo)
    stored = store.publish([record(TREE, same[0]), record(TREE, same[1], Outcome.FAILED)])

    assert [result.digest for result in stored] == [DIGEST, f"{DIGEST}-1"]
    view = open_store(repo).view()
    known = [view.known(TREE, each) for each in same]
    assert [result and result.outcome for result in known] == [Outcome.PASSED, Outcome.FAILED, None]
    assert [view.definition(result.digest) for result in stored] == [same[0].text, same[1].text]
    assert store.publish([record(TREE, same[1])])[0].digest == f"{DIGEST}-1"
    assert store.publish([record(TREE, same[2])])[0].digest == f"{DIGEST}-2"


def test_output_comes_back_byte_for_byte(repo: Repo, tmp_path: Path) -> None:
    """NUL, invalid UTF-8, line ends, no final newline and nothing at all are all just bytes."""
    contents = {"a": b"", "b": b"\0\xff\xfe\r\nend", "c": b"x" * 3_000_000 + b"\r\n", "d": b"\n\n"}
    store = open_store(repo)
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    repo.write(".gitattributes", "* text=auto eol=crlf\n")
    records = [record(oid(name), outputs={"output": tmp_path / name}) for name in contents]
    for name, result in zip(contents, store.publish(records), strict=True):
        kept = result.outputs["output"]
        assert (store.read_blob(kept.oid), kept.size) == (contents[name], len(contents[name]))


def test_huge_output_is_never_held_in_memory(repo: Repo, tmp_path: Path) -> None:
    """200 MB of output go from file to repository through git."""
    resource = pytest.importorskip("resource")
    huge = tmp_path / "huge"
    with huge.open("wb") as out:
        out.truncate(200 << 20)
        out.write(b"end")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    (result,) = open_store(repo).publish([record(TREE, outputs={"output": huge})])

    assert result.outputs["output"].size == 200 << 20
    assert repo.git("cat-file", "-s", result.outputs["output"].oid) == str(200 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_the_tree_keeps_the_files_of_the_newest_result(repo: Repo, tmp_path: Path) -> None:
    """A newer result replaces output and artifacts; one without any removes them."""
    store = open_store(repo)
    for number in range(2):
        (tmp_path / f"out{number}").write_text(str(number))
        store.publish([record(TREE, started=number, outputs={"output": tmp_path / f"out{number}"})])
    place = f"{RESULTS_REF}:{TREE[:2]}/{TREE[2:]}"
    assert repo.git("show", f"{place}/output/unit/{definition().digest}/output") == "1"

    store.publish([record(TREE, started=3)])

    assert repo.git("ls-tree", "--name-only", place) == "results"


def test_a_failing_rerun_leaves_the_files_of_the_known_result(repo: Repo, tmp_path: Path) -> None:
    """What is never used is kept beside what is, until there is a newer verdict."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("good")
    (tmp_path / "out").write_text("bad")
    store, of = open_store(repo), definition()
    (good,) = store.publish([record(TREE, of, artifacts=kept)])
    store.publish([record(TREE, of, Outcome.ERRORED, started=2, outputs={"output": tmp_path / "out"})])
    place = f"{RESULTS_REF}:{TREE[:2]}/{TREE[2:]}"
    repo.git("gc", "-q", "--prune=now")

    assert open_store(repo).view().known(TREE, of) == good
    assert repo.git("show", f"{place}/artifacts/unit/{of.digest}/file") == "good"
    assert repo.git("show", f"{place}/output/unit/{of.digest}.unused/output") == "bad"
    store.publish([record(TREE, of, started=3)])
    assert repo.git("ls-tree", "--name-only", place) == "results"


def test_publishing_the_same_line_again_adds_nothing(repo: Repo) -> None:
    """Joining is a union, so doing it twice is harmless."""
    store = open_store(repo)
    store.publish([record(TREE)])
    before = repo.git("rev-parse", RESULTS_REF)
    store.publish([record(TREE)])
    assert repo.git("rev-parse", RESULTS_REF) == before


def test_a_lost_race_joins_both_results(repo: Repo) -> None:
    """When the ref moves between reading and writing, the result is added to what is there by then."""
    store, other = open_store(repo), open_store(repo)
    store.publish([record(TREE, started=1)])
    moved = store._move

    def race(*arguments: object) -> bool:
        store._move = moved  # type: ignore[method-assign]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gitlimmat.store.locks._UPDATE_WAIT_S", 0.0)
            other.publish([record(TREE, started=2)])
        return moved(*arguments)  # type: ignore[arg-type]

    store._move = race  # type: ignore[method-assign]
    store.publish([record(TREE, started=3)])

    assert [result.started for result in open_store(repo).view().history(TREE)] == [1, 2, 3]


def test_results_live_in_a_repository_of_their_own(
    repo: Repo, make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    """`--result-db` makes a bare repository at first use; several repositories may share it."""
    second = make_repo("second")
    directory = tmp_path / "new" / "db"
    store = open_store(repo, directory)
    (stored,) = store.publish([record(TREE)])

    assert open_store(second, directory).view().known(TREE, definition()) == stored
    assert repo.git("for-each-ref") == ""
    assert repo.git("--git-dir", str(directory), "rev-parse", "--is-bare-repository") == "true"
    assert store.state_dir == directory / "limmat"


def test_a_directory_of_something_else_is_no_result_db(
    repo: Repo, make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    """A worktree or a file is refused; a directory that Limmat keeps results in is fine."""
    (tmp_path / "file").write_text("")
    for place in (make_repo("second").path, tmp_path / "file"):
        with pytest.raises(StoreError, match=f"cannot use '{place}' for results"):
            open_store(repo, place).publish([record(TREE)])
    old = tmp_path / "old"
    (old / TREE / "unit").mkdir(parents=True)
    open_store(repo, old).publish([record(TREE)])
    assert open_store(repo, old).view().known(TREE, definition()) is not None


def test_forgetting_removes_lines_and_files(repo: Repo, tmp_path: Path) -> None:
    """A forgotten result is gone with its output; others of the subject stay."""
    (tmp_path / "out").write_text("x")
    store = open_store(repo)
    one, two = definition("one"), definition("two")
    outputs = {"output": tmp_path / "out"}
    store.publish([record(TREE, each, outputs=outputs) for each in (one, two)])

    def wanted(subject: str, result: Result) -> bool:
        return result.test == "one"

    gone = store.forget(wanted, [TREE, oid("other")], dry_run=True)
    assert [(subject, result.test) for subject, result in gone] == [(TREE, "one")]
    assert store.view().known(TREE, one) is not None
    assert store.forget(wanted, [TREE, oid("other")], dry_run=False) == gone

    assert [result.test for result in store.view().history(TREE)] == ["two"]
    names = repo.git("ls-tree", "-r", "--name-only", RESULTS_REF)
    assert f"output/two/{two.digest}/output" in names
    assert "one" not in names
    store.forget(lambda subject, result: True, [TREE], dry_run=False)
    assert TREE[2:] not in repo.git("ls-tree", "-rt", "--name-only", RESULTS_REF)


def test_git_keeps_and_copies_everything(repo: Repo, tmp_path: Path) -> None:
    """Packing, pruning and mirroring lose nothing, and the results show in no log."""
    (tmp_path / "out").write_text("x")
    repo.commit("base")
    store = open_store(repo)
    for number in range(3):
        store.publish([record(oid((number, n)), outputs={"output": tmp_path / "out"}) for n in range(30)])
    before = repo.git("ls-tree", "-r", RESULTS_REF)
    repo.git("repack", "-adq")
    repo.git("gc", "-q", "--prune=now")
    repo.git("clone", "-q", "--mirror", ".", str(tmp_path / "mirror"))

    assert repo.git("ls-tree", "-r", RESULTS_REF) == before
    assert repo.git("--git-dir", str(tmp_path / "mirror"), "ls-tree", "-r", RESULTS_REF) == before
    assert repo.git("fsck", "--strict", "--full") == ""
    assert repo.git("log", "--all", "--format=%s") == "base"
    assert store.view().known(oid((2, 29)), definition()) is not None


def test_many_batches_leave_few_packs(repo: Repo) -> None:
    """Packs of ours are merged in levels; a pack of the user's is never touched."""
    repo.commit("base")
    repo.git("gc", "-q")
    packs = repo.path / ".git" / "objects" / "pack"
    (users,) = packs.glob("*.pack")
    store = open_store(repo)
    for number in range(30):
        store.publish([record(oid((number, n))) for n in range(20)])

    assert users.exists()
    assert len(list(packs.glob("*.pack"))) < 15
    assert len(list(open_store(repo).view().subjects())) == 600
    repo.git("fsck", "--strict", "--full", "--connectivity-only")


def test_packs_stay_while_git_packs(repo: Repo) -> None:
    """A `git gc` at work would fail if packs vanished that it has listed."""
    (repo.path / ".git" / "gc.pid").write_text("1 host")
    store = open_store(repo)
    for number in range(14):
        store.publish([record(oid((number, n))) for n in range(20)])
    packs = repo.path / ".git" / "objects" / "pack"
    assert len(list(packs.glob("*.pack"))) == 14
    (repo.path / ".git" / "gc.pid").unlink()

    store.publish([record(oid((14, n))) for n in range(20)])

    assert len(list(packs.glob("*.pack"))) == 1


@given(st.binary(min_size=1, max_size=30).map(lambda name: name.replace(b"\0", b"0")))
def test_any_name_can_be_stored_and_read(name: bytes) -> None:
    """Escaping is reversible for every name a file can have, and never makes a name git refuses."""
    stored = escape(name)
    if name in (b".", b"..") or b"/" in name:
        assert unescape(stored) is None
    else:
        assert unescape(stored) == name
    assert stored not in (b"", b".", b"..", b".git")
    assert b"/" not in stored


@given(st.lists(st.sampled_from([b'{"a":1}', b"x", b"\xff"])), st.lists(st.sampled_from([b"x", b"y"])))
def test_joining_lines_is_a_union_in_order(first: list[bytes], second: list[bytes]) -> None:
    """Old lines stay as they are and where they are; only new ones are added, each once."""
    content = b"\n".join(first)
    joined = join_lines(content, second).split(b"\n")
    assert joined[: len(first)] == first or not content
    assert set(joined) - {b""} == {*first, *second} - {b""}
    assert join_lines(b"\n".join(joined), second) == b"\n".join(joined)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        Result,
        test=st.text(),
        digest=st.just(DIGEST),
        outcome=st.sampled_from(Outcome),
        started=st.floats(0, 1e10),
        elapsed=st.floats(0, 1e6),
        commit=st.just(TREE),
        reason=st.text(),
        dropped=st.tuples(st.text()),
    )
)
def test_a_line_is_one_line_and_reads_back(result: Result) -> None:
    """Whatever texts are in a result, its line has no newline in it."""
    line = encode_line(result)
    assert b"\n" not in line
    assert decode_line(line) == result
