"""Artifacts: a directory comes back as it was, whatever is in it, and nothing is written elsewhere."""

# Names are bytes here, which pathlib cannot hold.
# ruff: noqa: PTH101, PTH102, PTH115, PTH118, PTH123, PTH211

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitlimmat.errors import StoreError
from gitlimmat.git.objects import (
    BIG,
    MODE_FILE,
    MODE_SYMLINK,
    MODE_TREE,
    Entry,
    ObjectBatch,
)
from gitlimmat.git.repository import Repository, find_repository
from gitlimmat.git.stored import EMPTY_TREE
from gitlimmat.store.artifacts import Saved, list_files, restore_directory, save_directory

Tree = dict[bytes, object]


@pytest.fixture
def repository(repo: Repo) -> Repository:
    """The empty repository, found."""
    return find_repository(repo.path)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """An empty directory to fill with artifacts."""
    path = tmp_path / "kept"
    path.mkdir()
    return path


def save(repository: Repository, directory: Path) -> Saved:
    """Store a directory durably."""
    batch = ObjectBatch(repository)
    saved = save_directory(batch, directory)
    batch.write()
    return saved


def restore(repository: Repository, oid: str, target: Path) -> Path:
    """Restore a tree into a new directory."""
    target.mkdir()
    restore_directory(repository, oid, target)
    return target


def look(top: Path | bytes) -> dict[bytes, object]:
    """Return all below `top`: content and executable bit, target of a link, None for a directory."""
    found: dict[bytes, object] = {}
    base = os.fsencode(top)
    for folder, names, files in os.walk(base):
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            key = path[len(base) + 1 :]
            if stat.S_ISLNK(status.st_mode):
                found[key] = os.readlink(path)
            elif stat.S_ISDIR(status.st_mode):
                found[key] = None
            else:
                with open(path, "rb") as content:
                    found[key] = (content.read(), bool(status.st_mode & 0o100))
    return found


def test_a_directory_comes_back_as_it_was(
    repo: Repo, repository: Repository, kept: Path, tmp_path: Path
) -> None:
    """Modes, links, empty directories, hard links and names that are no text are kept; git finds no fault."""
    (kept / "bin").mkdir()
    (kept / "bin" / "tool").write_bytes(b"\0\xff")
    (kept / "bin" / "tool").chmod(0o755)
    (kept / "empty" / "inner").mkdir(parents=True)
    (kept / "link").symlink_to("bin/tool")
    (kept / "dangling").symlink_to("/nowhere/\udcff")
    (kept / "to-directory").symlink_to("bin")
    (kept / "first").write_text("same")
    (kept / "second").hardlink_to(kept / "first")
    (kept / os.fsdecode(b"not text \xff\n")).write_text("")
    (kept / "crlf").write_bytes(b"\r\n")
    (kept / "big").write_bytes(b"\r\n\0x" * (BIG // 4))
    saved = save(repository, kept)
    assert saved.dropped == ()
    assert saved.tree is not None

    back = restore(repository, saved.tree.oid, tmp_path / "back")

    assert look(back) == look(kept)
    assert (back / "first").stat().st_nlink == 1
    assert repo.git("fsck", "--strict").split() == ["dangling", "tree", saved.tree.oid]
    sizes = [len(value[0]) for value in look(kept).values() if isinstance(value, tuple)]
    links = [len(value) for value in look(kept).values() if isinstance(value, bytes)]
    assert saved.tree.size == sum(sizes) + sum(links)


AWKWARD = [
    ".git",
    ".GIT",
    ".gIt ",
    ".git...",
    "git~1",
    "GIT~2",
    ".git::$INDEX_ALLOCATION",
    ".g\u200cit",
    "\ufeff.git",
    "a\\.git",
    ".git\\x",
    "..\\..",
    "\\",
    "%",
    "%41",
    "%%2Egit",
    ".gitmodules",
    ".gitattributes",
    ".gitignore",
    ".mailmap",
    "gitmod~1",
    "GI7EBA~1",
    "gitatt~4",
    ".GitModules . .",
    ".gitmodule\u200ds",
    "...",
    "con",
    "~1",
    "-",
    " ",
]


def test_names_git_refuses_are_kept(repo: Repo, repository: Repository, kept: Path, tmp_path: Path) -> None:
    """A file, a link or a directory may have any name; `git fsck --strict` has nothing to say about it."""
    for number, name in enumerate(AWKWARD):
        for kind in ("file", "link", "directory"):
            (kept / kind).mkdir(exist_ok=True)
            path = kept / kind / name
            if kind == "file":
                path.write_text(f"[submodule {number}")
            elif kind == "link":
                path.symlink_to("../.git")
            else:
                path.mkdir()
                (path / "config").write_text("x")
    saved = save(repository, kept)
    assert saved.tree is not None

    assert look(restore(repository, saved.tree.oid, tmp_path / "back")) == look(kept)
    repo.git("update-ref", "refs/limmat/x", saved.tree.oid)
    assert repo.git("fsck", "--strict", "--full") == ""
    assert list_files(repository, saved.tree.oid).count("file/.git") == 1


names = st.one_of(
    st.sampled_from([os.fsencode(name) for name in AWKWARD]),
    st.binary(min_size=1, max_size=12).map(lambda name: name.replace(b"\0", b"0").replace(b"/", b"_")),
    st.text(max_size=8).map(
        lambda name: b"n" + name.encode(errors="replace").replace(b"\0", b"").replace(b"/", b"")
    ),
).filter(lambda name: name not in (b".", b".."))
content = st.one_of(
    st.tuples(st.binary(max_size=100), st.booleans()),
    st.binary(min_size=1, max_size=50).map(lambda target: target.replace(b"\0", b"0")),
)
trees = st.recursive(
    st.dictionaries(names, content, max_size=4),
    lambda inner: st.dictionaries(names, st.one_of(content, inner), max_size=4),
    max_leaves=12,
)


def build(place: bytes, tree: Tree) -> None:
    """Make what `tree` says in an existing directory."""
    for name, value in tree.items():
        path = os.path.join(place, name)
        if isinstance(value, dict):
            os.mkdir(path)
            build(path, value)
        elif isinstance(value, tuple):
            with open(path, "wb") as out:
                out.write(value[0])
            os.chmod(path, 0o755 if value[1] else 0o644)
        else:
            os.symlink(value, path)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(tree=trees)
def test_any_tree_comes_back(repository: Repository, tree: Tree) -> None:
    """Whatever a job leaves behind, restoring it gives the same again."""
    with tempfile.TemporaryDirectory() as scratch:
        first, second = Path(scratch, "first"), Path(scratch, "second")
        first.mkdir()
        build(os.fsencode(first), tree)
        saved = save(repository, first)
        assert saved.dropped == ()
        restore(repository, saved.tree.oid if saved.tree else EMPTY_TREE, second)
        assert look(second) == look(first)


def test_what_cannot_be_kept_is_named(repository: Repository, kept: Path) -> None:
    """Sockets, fifos and what is nested too deeply are dropped, with a reason each; the rest is kept."""
    os.mkfifo(kept / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(kept)  # the path of a socket must be short
        server.bind("socket")
        os.chdir(here)
    (kept / "file").write_text("x")
    deep = kept
    for _ in range(514):
        deep /= "d"
        deep.mkdir()
    saved = save(repository, kept)

    assert saved.tree is not None
    assert sorted(saved.dropped) == [
        "d/" * 512 + "d: nested too deeply",
        "fifo: a fifo",
        "socket: a socket",
    ]
    assert list_files(repository, saved.tree.oid)[-1] == "file"
    shutil.rmtree(kept / "d")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_are_named(repository: Repository, kept: Path) -> None:
    """A file or directory without permission to read is dropped."""
    (kept / "file").write_text("x")
    (kept / "file").chmod(0)
    (kept / "directory").mkdir(mode=0)

    saved = save(repository, kept)

    assert saved.dropped == ("directory: Permission denied", "file: Permission denied")


def test_a_long_list_of_drops_is_cut(repository: Repository, kept: Path) -> None:
    """The result stays small however many sockets there are."""
    for number in range(150):
        os.mkfifo(kept / f"{number:03}")
    saved = save(repository, kept)
    assert saved.tree is None
    assert len(saved.dropped) == 101
    assert saved.dropped[-1] == "… and 50 more"


def test_an_empty_directory_is_no_tree(repository: Repository, kept: Path, tmp_path: Path) -> None:
    """Nothing kept is nothing stored; a tree without entries restores to nothing."""
    assert save(repository, kept) == Saved(tree=None, dropped=())
    assert look(restore(repository, EMPTY_TREE, tmp_path / "back")) == {}
    assert list_files(repository, EMPTY_TREE) == []


def test_thousands_of_files_take_a_few_processes(
    repository: Repository, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build tree of thousands of files is stored and restored without a process for each."""
    started: list[object] = []
    start = subprocess.Popen.__init__

    def count(self: subprocess.Popen[bytes], *arguments: object, **options: object) -> None:
        started.append(arguments)
        start(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(subprocess.Popen, "__init__", count)
    for number in range(5000):
        folder = kept / str(number % 50)
        folder.mkdir(exist_ok=True)
        (folder / str(number)).write_text(f"{number}\n" * 20)
    saved = save(repository, kept)
    assert saved.tree is not None
    restore(repository, saved.tree.oid, tmp_path / "back")
    assert len(started) < 5

    assert look(tmp_path / "back") == look(kept)


@pytest.mark.parametrize("name", [b"..", b".", b"%%2E%2E", b"%a%2Fb", b"%", b"%a%00"])
def test_a_name_that_leads_elsewhere_is_refused(repository: Repository, tmp_path: Path, name: bytes) -> None:
    """A tree that was not made here may hold anything; nothing of it leaves the target."""
    batch = ObjectBatch(repository)
    inner = batch.tree({b"evil": Entry(MODE_FILE, batch.blob(b"x"))})
    oid = batch.tree({name: Entry(MODE_TREE, inner)})
    batch.write()

    with pytest.raises(StoreError, match="its name leads elsewhere"):
        restore(repository, oid, tmp_path / "target")

    assert look(tmp_path / "target") == {}
    assert not (tmp_path / "evil").exists()


def test_nothing_is_written_through_a_link(repository: Repository, tmp_path: Path) -> None:
    """A name that is a link and a directory at once, by its escape, gets an error and no file outside."""
    (tmp_path / "outside").mkdir()
    batch = ObjectBatch(repository)
    inner = batch.tree({b"evil": Entry(MODE_FILE, batch.blob(b"x"))})
    link = batch.blob(os.fsencode(tmp_path / "outside"))
    oid = batch.tree({b"a": Entry(MODE_SYMLINK, link), b"%a": Entry(MODE_TREE, inner)})
    batch.write()

    with pytest.raises(StoreError, match="File exists"):
        restore(repository, oid, tmp_path / "target")

    assert look(tmp_path / "outside") == {}


def test_a_submodule_or_missing_file_is_an_error(repository: Repository, tmp_path: Path) -> None:
    """What no artifact can be, or is not there, is told and not skipped."""
    batch = ObjectBatch(repository)
    module = batch.tree({b"m": Entry(0o160000, "1" * 40)})
    missing = batch.tree({b"f": Entry(MODE_FILE, "1" * 40)})
    batch.write()

    with pytest.raises(StoreError, match="mode 160000 is not for files"):
        restore(repository, module, tmp_path / "one")
    with pytest.raises(StoreError, match=f"cannot restore artifacts '{missing}'"):
        restore(repository, missing, tmp_path / "two")
    with pytest.raises(StoreError, match=f"cannot list artifacts '{missing}'"):
        list_files(repository, missing)
