"""Collection of garbage: the plan by table and random input, the removal on real repositories."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from conftest import Repo
from hypothesis import given
from hypothesis import strategies as st
from stored import definition, oid, open_store, record

from gitlimmat.errors import StoreError
from gitlimmat.model import Key, Outcome, Result, Stored
from gitlimmat.store.gc import Found, Limits, bytes_of, collect_garbage, plan_removal, reachable_subjects
from gitlimmat.store.locks import CaseLocks, maintenance_lock
from gitlimmat.store.store import RESULTS_REF


def found(
    subject: str, started: float, *, test: str = "unit", outcome: Outcome = Outcome.PASSED, **blobs: int
) -> Found:
    """Return a result with outputs of these ids and sizes."""
    result = Result(test=test, digest="d", outcome=outcome, started=started, elapsed=1, commit="c")
    outputs = {name: Stored(oid=name, size=size) for name, size in blobs.items()}
    return Found(subject=subject, result=msgspec.structs.replace(result, outputs=outputs))


def removed(results: list[Found], **limits: object) -> list[float]:
    """Return when the results that go were started."""
    return [each.result.started for each in plan_removal(results, msgspec.convert(limits, Limits))]


def test_without_limits_nothing_goes() -> None:
    """Cleaning up is never a guess."""
    assert removed([found("a", 1, x=5)]) == []


def test_age_counts_from_the_start() -> None:
    """Results started before the given time go."""
    assert removed([found("a", 1), found("a", 2), found("b", 3)], since=2) == [1]


def test_count_is_of_one_test_on_one_subject() -> None:
    """The newest stay; of those, a usable one counts first, or an error would push out the verdict."""
    many = [found("a", 1), found("a", 2, outcome=Outcome.ERRORED), found("a", 3, outcome=Outcome.ERRORED)]
    others = [found("b", 4), found("a", 5, test="other")]
    assert removed(many + others, count=1) == [2, 3]
    assert removed(many + others, count=2) == [2]
    assert removed(many + others, count=3) == []


def test_size_lets_the_oldest_go_first() -> None:
    """Only what results hold together counts, equal blobs once; a result without files is no help."""
    results = [found("a", 3, x=10), found("b", 1, y=10), found("c", 2), found("d", 4, x=10)]
    assert removed(results, size=20) == []
    assert removed(results, size=19) == [1]
    assert removed(results, size=9) == [3, 1, 4]


def test_unreachable_subjects_go() -> None:
    """Results of what nothing leads to any more are of no use."""
    assert removed([found("a", 1), found("b", 2)], subjects=["b"]) == [1]


results = st.lists(
    st.builds(
        lambda subject, started, outcome, blob: found(
            subject, started, outcome=outcome, **({blob: ord(blob)} if blob else {})
        ),
        st.sampled_from("ab"),
        st.integers(0, 9),
        st.sampled_from(Outcome),
        st.sampled_from(["", "x", "y", "z"]),
    ),
    max_size=12,
)


@given(results, st.integers(0, 400), st.integers(0, 9), st.integers(1, 3))
def test_what_stays_is_within_all_limits(results: list[Found], size: int, since: int, count: int) -> None:
    """Whatever there is: after the plan, no limit is exceeded, and nothing was made up."""
    gone = plan_removal(results, Limits(size=size, since=since, count=count))
    stay = list(results)
    for each in gone:
        stay.remove(each)
    assert sum(bytes_of(stay).values()) <= size
    assert all(each.result.started >= since for each in stay)
    assert all(sum(each.subject == subject for each in stay) <= count for subject in "ab")


def test_what_goes_is_really_freed(repo: Repo, tmp_path: Path) -> None:
    """After removal and `git gc` the space is back; what stays is whole, unused definitions are gone."""
    store = open_store(repo)
    for number in range(3):
        path = tmp_path / f"out{number}"
        path.write_bytes(repo.git("rev-parse", "--show-toplevel").encode() + bytes([number]) * 1000)
        (tmp_path / f"big{number}").write_bytes(bytes(str(number), "ascii") + b"%d" % number * 2_000_000)
        store.publish(
            [
                record(
                    oid(number),
                    definition(f"t{number}"),
                    started=number,
                    outputs={"stdout": path, "stderr": tmp_path / f"big{number}"},
                )
            ]
        )
    newest = store.view().history(oid(2))[0]
    limits = Limits(since=2)
    locks = CaseLocks(store.state_dir)
    before = repo.git("rev-parse", RESULTS_REF)

    planned = collect_garbage(store, limits, locks, dry_run=True)
    assert repo.git("rev-parse", RESULTS_REF) == before
    removal = collect_garbage(store, limits, locks, dry_run=False)

    assert planned == removal
    assert (removal.total, len(removal.removed)) == (3, 2)
    assert removal.bytes_freed > 4_000_000
    repo.git("gc", "-q", "--prune=now")
    everything = repo.git("cat-file", "--batch-all-objects", "--batch-check=%(objectsize)")
    assert sum(int(size) for size in everything.split()) < 2_100_000
    assert open_store(repo).view().history(oid(2)) == (newest,)
    assert repo.git("ls-tree", "--name-only", f"{RESULTS_REF}:definitions") == newest.digest
    assert repo.git("fsck", "--strict") == ""


def test_cases_in_use_stay(repo: Repo) -> None:
    """What a running process has locked is not taken from under it."""
    store = open_store(repo)
    stored = store.publish([record(oid(1), started=1), record(oid(2), started=2)])
    locks, others = CaseLocks(store.state_dir), CaseLocks(store.state_dir)
    lock = others.try_lock(Key(subject=oid(1), test="unit", digest=stored[0].digest))

    removal = collect_garbage(store, Limits(since=9), locks, dry_run=False)

    assert lock is not None
    assert (len(removal.removed), removal.kept_in_use) == (1, 1)
    assert store.view().history(oid(1)) == (stored[0],)
    assert store.view().history(oid(2)) == ()


def test_a_second_collector_is_told(repo: Repo) -> None:
    """Two do not clean up at once."""
    store = open_store(repo)
    with (
        maintenance_lock(store.state_dir),
        pytest.raises(StoreError, match="another git-limmat is doing so"),
    ):
        collect_garbage(store, Limits(), CaseLocks(store.state_dir), dry_run=False)


def test_reachable_is_what_refs_worktrees_and_reflogs_have(repo: Repo, tmp_path: Path) -> None:
    """Commits and their trees count; a shared result database cannot tell."""
    first = repo.commit("first")
    repo.commit("second")
    tree = repo.git("rev-parse", "HEAD^{tree}")
    repo.git("reset", "-q", "--hard", first)
    store = open_store(repo)
    store.publish([record(oid(1))])
    assert {first, tree} <= reachable_subjects(store)
    assert oid(1) not in reachable_subjects(store)
    repo.git("reflog", "expire", "--expire=all", "--all")
    assert tree not in reachable_subjects(store)

    elsewhere = open_store(repo, tmp_path / "db")
    with pytest.raises(StoreError, match="cannot tell which results"):
        reachable_subjects(elsewhere)


def test_collecting_removes_what_is_damaged(repo: Repo, tmp_path: Path) -> None:
    """After it, git can pack the repository again."""
    (tmp_path / "out").write_text("x")
    store = open_store(repo)
    bad, _ = store.publish(
        [record(oid(1), outputs={"output": tmp_path / "out"}), record(oid(2), definition("other"))]
    )
    missing = bad.outputs["output"].oid
    (repo.path / ".git" / "objects" / missing[:2] / missing[2:]).unlink()
    place = f"{RESULTS_REF}:{oid(2)[:2]}/{oid(2)[2:]}/results"
    lines = repo.git("rev-parse", place)
    (repo.path / ".git" / "objects" / lines[:2] / lines[2:]).unlink()

    collect_garbage(open_store(repo), Limits(), CaseLocks(store.state_dir), dry_run=False)

    repo.git("gc", "-q", "--prune=now")
    repo.git("fsck", "--strict")
    view = open_store(repo).view()
    assert view.known(oid(1), definition()) == bad
    assert view.history(oid(2)) == ()


def test_many_loose_objects_are_packed(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Single results leave loose objects; cleaning up packs them and merges packs of ours."""
    monkeypatch.setattr("gitlimmat.store.packing._MANY_LOOSE", -1)
    store = open_store(repo)
    for number in range(10):
        store.publish([record(oid(number))])
    for number in range(3):
        store.publish([record(oid((number, each))) for each in range(30)])

    collect_garbage(store, Limits(), CaseLocks(store.state_dir), dry_run=False)

    assert repo.git("count-objects").startswith("0 objects")
    assert len(list((repo.path / ".git" / "objects" / "pack").glob("*.pack"))) == 2
    assert len(list(open_store(repo).view().subjects())) == 100
