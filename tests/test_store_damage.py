"""Damage: what is broken or missing counts as absent, is told once, and does not spread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Repo
from stored import Opened, definition, oid, open_store, record

from gitlimmat.errors import StoreError
from gitlimmat.git.objects import DamagedObjectError
from gitlimmat.store.store import RESULTS_REF

TREE = oid("tree")
CUT = b"cut short"
PLACE = f"{TREE[:2]}/{TREE[2:]}"


@pytest.fixture
def store(repo: Repo) -> Opened:
    """A store with one result of `unit` about TREE, and one about another subject."""
    store = open_store(repo)
    store.publish([record(TREE), record(oid("other"))])
    return store


def replace(repo: Repo, path: str, content: str | None) -> None:
    """Put a blob with `content` at `path` of the results, None removes it."""
    index = {"GIT_INDEX_FILE": str(repo.path / ".git" / "scratch")}
    repo.environment |= index
    repo.git("read-tree", RESULTS_REF)
    if content is None:
        repo.git("rm", "-q", "--cached", path)
    else:
        blob = repo.git("hash-object", "-w", "--stdin", stdin=content)
        repo.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    repo.git("update-ref", RESULTS_REF, repo.git("write-tree"))
    del repo.environment["GIT_INDEX_FILE"]


def damage(repo: Repo, name: str, content: bytes | None) -> str:
    """Overwrite the loose object that `name` stands for, or remove it with None; return its id."""
    found = repo.git("rev-parse", name)
    path = repo.path / ".git" / "objects" / found[:2] / found[2:]
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(whole[: len(whole) * 2 // 3] if content == CUT else content)
    return found


def test_a_line_that_cannot_be_read_is_skipped_and_kept(repo: Repo, store: Opened) -> None:
    """Garbage and outcomes of the future are ignored with one warning, and survive the next result."""
    line = repo.git("show", f"{RESULTS_REF}:{PLACE}/results")
    future = line.replace("passed", "pondered")
    replace(repo, f"{PLACE}/results", f"garbage\n{future}\n{line}")

    store = open_store(repo)
    assert len(store.view().history(TREE)) == 1
    store.publish([record(TREE, started=9)])

    assert len(store.view().history(TREE)) == 2
    assert repo.git("show", f"{RESULTS_REF}:{PLACE}/results").splitlines()[:3] == ["garbage", future, line]
    (warning,) = store.warnings
    assert "cannot be read and are ignored" in warning


def test_a_field_of_the_future_is_skipped(repo: Repo, store: Opened) -> None:
    """A newer version may add fields; older ones read the rest."""
    line = repo.git("show", f"{RESULTS_REF}:{PLACE}/results")
    replace(repo, f"{PLACE}/results", line.replace("{", '{"mood":{"of":["day"]},', 1) + "\n")

    store = open_store(repo)
    assert store.view().known(TREE, definition()) is not None
    assert store.warnings == []


@pytest.mark.parametrize("content", [None, b"", b"garbage", CUT])
@pytest.mark.parametrize(
    ("what", "others"),
    [
        (f"{PLACE}/results", True),
        (PLACE, True),
        (TREE[:2], True),
        ("definitions", False),
        (f"definitions/{definition().digest}", False),
        ("", False),
    ],
)
def test_a_damaged_object_is_absent_and_repaired(
    repo: Repo, store: Opened, what: str, others: bool, content: bytes | None
) -> None:
    """Whatever is damaged, the rest is read; storing the result again makes all of it good."""
    damage(repo, f"{RESULTS_REF}:{what}" if what else RESULTS_REF, content)

    store = open_store(repo)
    assert store.view().known(TREE, definition()) is None
    assert store.view().latest(TREE, definition()) is None
    assert (store.view().known(oid("other"), definition()) is not None) == others
    assert store.warnings
    told = len(store.warnings)
    assert store.view().known(TREE, definition()) is None
    assert len(store.warnings) == told

    (again,) = store.publish([record(TREE, started=5)])

    fresh = open_store(repo)
    assert fresh.view().known(TREE, definition()) == again
    assert (fresh.view().known(oid("other"), definition()) is not None) == bool(what)
    assert fresh.warnings == []
    repo.git("gc", "-q", "--prune=now")
    repo.git("fsck", "--strict")


@pytest.mark.parametrize("content", ["", "garbage\n", "0" * 39 + "\n"])
def test_a_broken_ref_is_warned_of_and_replaced(repo: Repo, store: Opened, content: str) -> None:
    """A power cut may leave an empty ref file: readers see no results, and storing begins anew."""
    (repo.path / ".git" / RESULTS_REF).write_text(content)

    store = open_store(repo)
    assert store.view().history(TREE) == ()
    store.publish([record(TREE)])

    assert len(store.warnings) == 2
    assert open_store(repo).view().known(TREE, definition()) is not None


def test_a_ref_at_something_else_is_not_overwritten_silently(repo: Repo) -> None:
    """A symbolic results ref is somebody's work: nothing is read from it or written through it."""
    repo.git("symbolic-ref", RESULTS_REF, "refs/heads/main")
    store = open_store(repo)
    assert store.view().history(TREE) == ()
    with pytest.raises(StoreError, match=r"cannot store 1 result of 'unit': .* symbolic ref"):
        store.publish([record(TREE)])


@pytest.mark.parametrize(("content", "told"), [("2\n", "2"), ("99", "99"), ("x\n", "unknown")])
def test_a_newer_format_is_read_and_never_written(repo: Repo, store: Opened, content: str, told: str) -> None:
    """An older git-limmat can look at results it may not add to, and says why."""
    replace(repo, "format", content)
    store = open_store(repo)
    assert store.view().known(TREE, definition()) is not None
    before = repo.git("rev-parse", RESULTS_REF)

    with pytest.raises(StoreError, match=f"has format {told}, this git-limmat writes 1") as caught:
        store.publish([record(TREE, started=7)])

    assert caught.value.hint is not None
    assert repo.git("rev-parse", RESULTS_REF) == before


def test_missing_artifacts_make_a_result_unknown(repo: Repo, tmp_path: Path) -> None:
    """A dependent needs the artifacts, so a result without them is seen but not used."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    (stored,) = open_store(repo).publish([record(TREE, artifacts=kept)])
    assert stored.artifacts is not None
    damage(repo, stored.artifacts.oid, None)

    view = open_store(repo).view()
    assert view.known(TREE, definition()) is None
    assert view.latest(TREE, definition()) == stored


def test_missing_output_is_an_error_that_names_it(repo: Repo, store: Opened) -> None:
    """Reading an output that is gone says so and what to do."""
    with pytest.raises(StoreError, match=TREE) as caught:
        store.read_blob(TREE)
    assert caught.value.hint == "run the test again"


FULL = """
import errno, resource, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
from conftest import Repo
from gitlimmat.errors import StoreError
from gitlimmat.git.objects import DamagedObjectError
from stored import open_store, oid, record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_store(Repo(Path(sys.argv[1]), {}))
out = Path(sys.argv[1], "out")
out.write_bytes(bytes(range(256)) * 4000)
records = [record(oid(number), outputs={"output": out}) for number in range(int(sys.argv[4]))]
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    store.publish(records)
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("number", [1, 40])
def test_a_full_disk_loses_only_the_new_results(repo: Repo, store: Opened, number: int) -> None:
    """When nothing can be written, the error says what is not stored, and the store is as it was."""
    before = repo.git("rev-parse", RESULTS_REF)
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(repo.path), str(here), str(here.parent), str(number)],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )

    what = "1 result" if number == 1 else "40 results"
    assert done.stdout.startswith(f"cannot store {what} of 'unit': ")
    assert "File too large" in done.stdout
    assert repo.git("rev-parse", RESULTS_REF) == before
    repo.git("fsck", "--strict")
    assert open_store(repo).publish([record(oid("later"))])


def test_a_place_that_cannot_be_written_is_named(repo: Repo, store: Opened) -> None:
    """A repository that refuses a new directory gives an error with its path, and is read as before."""
    state = repo.path / ".git" / "limmat"
    for file in state.iterdir():
        file.unlink()
    state.rmdir()
    state.write_text("in the way")

    with pytest.raises(StoreError, match=f"cannot store 1 result of 'unit': '{state}' File exists"):
        store.publish([record(oid("more"))])

    assert store.view().known(TREE, definition()) is not None


def test_what_only_seems_to_be_lost_is_not_replaced(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of descriptors, or with a directory not mounted, all seems lost; storing then would make it so."""
    open_store(repo).publish([record(oid("a"))])

    def fail(objects: object, tree: str) -> object:
        raise DamagedObjectError(f"cannot read tree '{tree}': too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("gitlimmat.store.memory.read_tree", fail)
        with pytest.raises(StoreError, match="cannot be read now"):
            open_store(repo).publish([record(oid("b"))])

    assert open_store(repo).view().known(oid("a"), definition()) is not None
    open_store(repo).publish([record(oid("b"))])
    assert sorted(open_store(repo).view().subjects()) == sorted([oid("a"), oid("b")])
