"""The cache: stored trees as directories, always as stored, never more than the limit."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from conftest import Repo
from stored import Opened, oid, open_store, record

from gitlimmat.errors import StoreError
from gitlimmat.store.cache import Cache


@pytest.fixture
def store(repo: Repo) -> Opened:
    """The store of the empty repository."""
    return open_store(repo)


def stored(store: Opened, tmp_path: Path, name: str, size: int = 10) -> str:
    """Store artifacts `name/file` of `size` bytes and return the id of their tree."""
    kept = tmp_path / f"kept-{name}"
    (kept / name).mkdir(parents=True)
    (kept / name / "file").write_bytes(b"x" * size)
    (result,) = store.publish([record(oid(name), artifacts=kept)])
    assert result.artifacts is not None
    return result.artifacts.oid


def test_artifacts_are_made_once(store: Opened, tmp_path: Path) -> None:
    """The second use finds the same directory with the same files, not made again."""
    cache, tree = Cache(store), stored(store, tmp_path, "a")
    first = cache.artifacts(tree)
    inode = (first / "a" / "file").stat().st_ino

    assert Cache(store).artifacts(tree) == first == store.state_dir / "cache" / tree
    assert (first / "a" / "file").stat().st_ino == inode


@pytest.mark.parametrize("spoil", ["write", "append", "chmod", "add", "remove", "same size and time", "all"])
def test_what_a_job_has_changed_is_made_again(store: Opened, tmp_path: Path, spoil: str) -> None:
    """A job may write to the artifacts of what it depends on; the next one gets them as stored."""
    cache, tree = Cache(store), stored(store, tmp_path, "a")
    path = cache.artifacts(tree)
    file = path / "a" / "file"
    match spoil:
        case "write":
            file.write_text("other")
        case "append":
            with file.open("a") as out:
                out.write("y")
        case "chmod":
            file.chmod(0o700)
        case "add":
            (path / "a" / "more").write_text("")
        case "remove":
            file.unlink()
        case "same size and time":
            times = file.stat()
            file.write_bytes(b"y" * times.st_size)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        case "all":
            file.unlink()
            (path / "a").rmdir()
            path.rmdir()

    assert cache.artifacts(tree) == path
    assert file.read_bytes() == b"x" * 10
    assert sorted(each.name for each in path.rglob("*")) == ["a", "file"]


def test_a_spoilt_entry_in_use_gets_a_neighbor(store: Opened, tmp_path: Path) -> None:
    """Nobody's directory is replaced under their feet, and nobody gets a spoilt one."""
    cache, tree = Cache(store), stored(store, tmp_path, "a")
    with cache.pinned(tree) as first:
        (first / "a" / "file").write_text("spoilt")
        with cache.pinned(tree) as second:
            assert second != first
            assert (second / "a" / "file").read_bytes() == b"x" * 10
        assert (first / "a" / "file").read_text() == "spoilt"
    assert (cache.artifacts(tree) / "a" / "file").read_bytes() == b"x" * 10


def test_least_recently_used_entries_go_first(store: Opened, tmp_path: Path) -> None:
    """Beyond the limit, what was used last stays, and what is in use stays whatever its age."""
    cache = Cache(store, limit=2500)
    trees = [stored(store, tmp_path, name, 1000) for name in "abc"]
    with cache.pinned(trees[0]):
        cache.artifacts(trees[1])
        os.utime(store.state_dir / "cache" / f"{trees[0]}.json", (1, 1))
        os.utime(store.state_dir / "cache" / f"{trees[1]}.json", (2, 2))

        cache.artifacts(trees[2])

    top = store.state_dir / "cache"
    assert [(top / tree).exists() for tree in trees] == [True, False, True]
    assert not list(top.glob(f"{trees[1]}*"))
    assert cache.evict(0) == 2000
    assert list(top.iterdir()) == []


def test_leftovers_of_a_killed_process_are_removed(store: Opened, tmp_path: Path) -> None:
    """A half-made entry is never used and goes with the next eviction, links in it not followed."""
    cache, tree = Cache(store), stored(store, tmp_path, "a")
    top = store.state_dir / "cache"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    for name in (tree, f"{tree}.tmp", f"{oid('gone')}.tmp"):
        (top / name).mkdir(parents=True)
        (top / name / "link").symlink_to(outside)

    assert sorted(each.name for each in cache.artifacts(tree).iterdir()) == ["a"]
    cache.evict()

    assert not list(top.glob("*.tmp"))
    assert (outside / "file").read_text() == "mine"


def test_outputs_are_files_with_the_name_asked_for(store: Opened, tmp_path: Path) -> None:
    """One blob may be asked for by several names; each is a file of its own."""
    (tmp_path / "out").write_bytes(b"\0said\n")
    (result,) = store.publish([record(oid("a"), outputs={"output": tmp_path / "out"})])
    blob = result.outputs["output"].oid
    cache = Cache(store)

    assert cache.output(blob, "stdout.txt").read_bytes() == b"\0said\n"
    path = cache.output(blob, "output.txt")
    assert path.read_bytes() == b"\0said\n"
    assert path.name == "output.txt"
    path.write_text("spoilt")
    assert cache.output(blob, "output.txt").read_bytes() == b"\0said\n"


def test_missing_objects_are_an_error_and_leave_nothing(store: Opened) -> None:
    """What is not stored any more cannot be made; no half of it is left to be taken for good."""
    cache = Cache(store)
    with pytest.raises(StoreError) as caught:
        cache.artifacts(oid("nothing"))
    assert caught.value.hint == "run the test again"
    with pytest.raises(StoreError):
        cache.output(oid("nothing"), "output.txt")

    left = [path.name for path in (store.state_dir / "cache").iterdir()]
    assert sorted(left) == [f"{oid('nothing')}.lock"]


def test_a_finished_directory_is_adopted(store: Opened, tmp_path: Path) -> None:
    """The artifacts of a job become the entry without a copy, unless there is one."""
    tree = stored(store, tmp_path, "a")
    cache, kept = Cache(store), tmp_path / "kept-a"
    inode = (kept / "a" / "file").stat().st_ino
    assert (cache.adopt(kept, tree) / "a" / "file").stat().st_ino == inode
    assert not kept.exists()
    assert (cache.artifacts(tree) / "a" / "file").stat().st_ino == inode

    kept.mkdir()
    cache.adopt(kept, tree)
    assert kept.exists()


def test_the_empty_tree_is_an_empty_directory(store: Opened) -> None:
    """A test without artifacts has a directory all the same."""
    assert list(Cache(store).artifacts(store.empty_tree()).iterdir()) == []


def test_many_threads_get_one_entry(store: Opened, tmp_path: Path) -> None:
    """However many want an artifact at once, all get it whole."""
    tree = stored(store, tmp_path, "a", 100_000)
    seen: list[int] = []

    def use() -> None:
        with Cache(store).pinned(tree) as path:
            seen.append(len((path / "a" / "file").read_bytes()))

    threads = [threading.Thread(target=use) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [100_000] * 12
