"""Objects: ids as git computes them, written so that git finds nothing to complain about."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitlimmat.errors import GitError
from gitlimmat.git.objects import (
    BIG,
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SYMLINK,
    MODE_TREE,
    DamagedObjectError,
    Entry,
    ObjectBatch,
    blob_id,
    copy_blob,
    list_tree,
    read_blob,
    read_tree,
)
from gitlimmat.git.refs import RefUpdate, update_refs
from gitlimmat.git.repository import Repository, find_repository
from gitlimmat.git.stored import EMPTY_TREE


@pytest.fixture
def repository(repo: Repo) -> Repository:
    """The empty repository, found."""
    return find_repository(repo.path)


def count(repo: Repo) -> dict[str, int]:
    """Return what `git count-objects -v` says."""
    lines = repo.git("count-objects", "-v").splitlines()
    return {name: int(number) for name, number in (line.split(": ") for line in lines)}


@pytest.mark.parametrize("number", [1, 300])
def test_written_objects_are_as_git_makes_them(repo: Repo, repository: Repository, number: int) -> None:
    """Few objects become loose ones and many one pack; either way git agrees with every id."""
    batch = ObjectBatch(repository)
    blobs = {f"file {n}".encode(): Entry(MODE_FILE, batch.blob(b"content %d" % n)) for n in range(number)}
    inner = batch.tree(blobs)
    top = batch.tree({b"run": Entry(MODE_EXECUTABLE, batch.blob(b"x")), b"d": Entry(MODE_TREE, inner)})
    batch.write()

    assert repo.git("fsck", "--strict", "--full").replace("dangling tree", "").strip() == top
    assert repo.git("cat-file", "-p", f"{top}:d/file 0") == "content 0"
    assert (count(repo)["packs"], count(repo)["count"]) == ((0, 4) if number == 1 else (1, 0))


def test_trees_are_sorted_as_git_sorts_them(repo: Repo, repository: Repository) -> None:
    """A directory sorts as if its name ended in a slash."""
    batch = ObjectBatch(repository)
    blob = Entry(MODE_FILE, batch.blob(b""))
    folder = Entry(MODE_TREE, batch.tree({b"x": blob}))
    names: dict[bytes, Entry] = {b"a": folder, b"a-b": blob, b"a.b": folder, b"a0": blob, b"\xff": blob}
    oid = batch.tree(names)
    batch.write()

    repo.git("fsck", "--strict")
    assert list(read_tree(repository.objects, oid)) == [b"a-b", b"a.b", b"a", b"a0", b"\xff"]
    assert read_tree(repository.objects, oid) == names


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=70_000), max_size=25))
def test_any_content_comes_back(repository: Repository, contents: list[bytes]) -> None:
    """Whatever bytes a blob has, loose or packed, it reads back as it was."""
    batch = ObjectBatch(repository)
    oids = [batch.blob(content) for content in contents]
    batch.write()

    assert [read_blob(repository.objects, oid) for oid in oids] == contents


def test_damaged_objects_are_told_apart(repository: Repository) -> None:
    """A missing object, garbage and an object of another kind are one error, which names the object."""
    batch = ObjectBatch(repository)
    oid = batch.blob(b"content")
    batch.write()
    with pytest.raises(DamagedObjectError, match=oid):
        read_tree(repository.objects, oid)
    with pytest.raises(DamagedObjectError, match="4b825d"):
        read_tree(find_repository(repository.common_dir).objects, EMPTY_TREE[:-1] + "5")

    path = repository.common_dir / "objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(b"garbage")

    with pytest.raises(DamagedObjectError, match=oid):
        read_blob(repository.objects, oid)


@pytest.mark.parametrize("others", [0, 50])
def test_writing_again_repairs_a_damaged_object(repo: Repo, repository: Repository, others: int) -> None:
    """Content that is there under its name but damaged is replaced, also by a batch that would be a pack."""
    batch = ObjectBatch(repository)
    oid = batch.blob(b"content")
    batch.write()
    path = repository.common_dir / "objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(b"garbage")

    batch.blob(b"content")
    for number in range(others):
        batch.blob(b"%d" % number)
    batch.write()

    assert read_blob(repository.objects, oid) == b"content"
    repo.git("fsck", "--strict")


def test_packs_that_git_has_removed_are_closed(repo: Repo, repository: Repository) -> None:
    """After each `git gc` the space of the old packs is free, however long we live."""
    for number in range(3):
        oid = repo.commit(f"c{number}")
        repo.git("gc", "-q")
        assert oid in repository.objects
        repository.objects.read(oid)

    packs = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert [path.name for path in packs if repo.path in path.parents and "deleted" in path.name] == []


def test_objects_are_written_while_gc_prunes_all_it_finds(repo: Repo, repository: Repository) -> None:
    """Directories that vanish under us are made again; what is led to in time survives."""
    repo.commit("base")
    prune = subprocess.Popen(
        ["sh", "-c", "while git gc -q --prune=now; do :; done"], cwd=repo.path, env=repo.environment
    )
    try:
        for number in range(100):
            tree, entries = publish(repository, b"%d" % number)
            assert read_tree(repository.objects, tree) == entries
            update_refs(repository.git, [RefUpdate("refs/limmat/x", None, tree)], "test")
    finally:
        prune.kill()
        prune.wait()


def test_what_a_gc_at_work_may_remove_is_kept_under_names_that_were_never_there(
    repo: Repo, repository: Repository, tmp_path: Path
) -> None:
    """A gc removes packs that it found unmarked at its start, also when they are written anew meanwhile."""
    big = tmp_path / "big"
    big.write_bytes(bytes(BIG))
    folder = repo.path / ".git" / "objects" / "pack"

    def write() -> ObjectBatch:
        batch = ObjectBatch(repository)
        batch.big_files([big])
        for number in range(20):
            batch.blob(b"%d" % number)
        batch.write()
        return batch

    write()
    found = set(folder.iterdir())
    (repo.path / ".git" / "gc.pid").touch()
    batches = [write() for _ in range(2)]

    marked = {path.with_suffix(".pack") for path in folder.glob("*.keep")}
    assert len(marked) == 4  # what is in memory, and what git has stored, of each
    assert not marked & found
    (repo.path / ".git" / "gc.pid").unlink()
    for path in found:
        path.unlink()
    shutil.rmtree(repo.path / ".git" / "objects" / blob_id(big.read_bytes())[:2])
    for batch in batches:
        batch.confirm()
        batch.release()
    assert list(folder.glob("*.keep")) == []
    assert all(blob_id(b"%d" % number) in repository.objects for number in range(20))
    assert blob_id(big.read_bytes()) in repository.objects


def publish(repository: Repository, content: bytes) -> tuple[str, dict[bytes, Entry]]:
    """Let a ref point at a tree, whatever it takes."""
    while True:
        batch = ObjectBatch(repository)
        entries = {b"f": Entry(MODE_FILE, batch.blob(content))}
        tree = batch.tree(entries)
        batch.write()
        try:
            update_refs(repository.git, [RefUpdate("refs/limmat/x", tree, None)], "test")
            batch.confirm()
        except GitError:  # removed before the ref was there: git itself refuses
            continue
        finally:
            batch.release()
        return tree, entries


def test_a_big_batch_does_not_wait_in_memory(repo: Repo, repository: Repository) -> None:
    """Beyond 32 MiB, what was added so far is written."""
    batch = ObjectBatch(repository)
    for number in range(40):
        batch.blob(b"%d" % number + bytes(1 << 20))
    assert count(repo)["in-pack"] > 30
    batch.write()

    assert count(repo)["in-pack"] + count(repo)["count"] == 40


def test_big_files_are_stored_and_copied_whole(repository: Repository, tmp_path: Path) -> None:
    """Files that git itself writes come back byte for byte, in the order they were given."""
    first, second = tmp_path / "-first\nline", tmp_path / "second"
    first.write_bytes(b"\r\n\0" * BIG)
    second.write_bytes(b"")
    batch = ObjectBatch(repository)

    oids = batch.big_files([first, second])

    assert oids == [blob_id(first.read_bytes()), blob_id(b"")]
    with (tmp_path / "copy").open("wb") as out:
        copy_blob(repository, oids[0], out)
    assert (tmp_path / "copy").read_bytes() == first.read_bytes()


def test_a_listing_has_everything_below_a_tree(repository: Repository) -> None:
    """Directories come before what is in them, empty ones too; a missing blob is an error."""
    batch = ObjectBatch(repository)
    blob = batch.blob(b"12345")
    link = batch.blob(b"to")
    empty = batch.tree({})
    inner = batch.tree({b"f\n": Entry(MODE_FILE, blob), b"l": Entry(MODE_SYMLINK, link)})
    top = batch.tree({b"d": Entry(MODE_TREE, inner), b"e": Entry(MODE_TREE, empty)})
    batch.write()

    assert [(each.path, each.size) for each in list_tree(repository, top)] == [
        (b"d", 0),
        (b"d/f\n", 5),
        (b"d/l", 2),
        (b"e", 0),
    ]
    (repository.common_dir / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(DamagedObjectError, match=top):
        list_tree(repository, top)


def test_objects_go_where_the_repository_is_whatever_the_caller_exports(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A hook's quarantine or other object directory must not swallow results."""
    for name in ("GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH", "GIT_ALTERNATE_OBJECT_DIRECTORIES"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    batch = ObjectBatch(find_repository(repo.path))
    big = tmp_path / "big"
    big.write_bytes(b"b")
    oids = [*batch.big_files([big]), *(batch.blob(b"%d" % number) for number in range(100))]
    batch.write()

    assert count(repo)["count"] + count(repo)["in-pack"] == len(oids)
    assert not (tmp_path / "elsewhere").exists()


def test_a_shared_repository_stays_shared(repo: Repo) -> None:
    """New directories of objects get the mode of their parent, so that the group can write there, too."""
    repo.git("config", "core.sharedRepository", "group")
    objects = repo.path / ".git" / "objects"
    objects.chmod(0o2775)
    batch = ObjectBatch(find_repository(repo.path))
    oid = batch.blob(b"content")
    batch.write()

    assert (objects / oid[:2]).stat().st_mode & 0o7777 == 0o2775
