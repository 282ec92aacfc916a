"""The index file: what git writes we read, and what we write git reads."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from conftest import Repo
from hypothesis import given, settings
from hypothesis import strategies as st

from gitlimmat.git.index import Index, make_entry, mode_of, oid_of, parse_index, stat_data

_MODES = st.sampled_from([0o100644, 0o100755, 0o120000])
_NAMES = st.binary(min_size=1, max_size=12).map(
    lambda name: b"n" + name.replace(b"\0", b"0").replace(b"/", b"_")
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(b"/".join)


def _is_prefix_free(paths: dict[bytes, int]) -> bool:
    return not any(other.startswith(path + b"/") for path in paths for other in paths)


def _stage(directory: Path, index: bytes) -> bytes:
    (directory / "index").write_bytes(index)
    return subprocess.run(
        ["git", "ls-files", "--stage", "-z"],
        cwd=directory,
        env=dict(os.environ) | {"GIT_INDEX_FILE": str(directory / "index")},
        check=True,
        capture_output=True,
    ).stdout


@settings(deadline=None, max_examples=40)
@given(
    files=st.dictionaries(_PATHS, _MODES, max_size=12).filter(_is_prefix_free),
    dropped=st.sets(_PATHS, max_size=3),
)
def test_git_reads_what_we_write(files: dict[bytes, int], dropped: set[bytes]) -> None:
    """`git ls-files --stage` lists the entries that were put and not dropped, in its order."""
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["git", "init", "-q", name], check=True)
        status = os.lstat(name)
        index = Index()
        for path, mode in files.items():
            index.put(path, make_entry(path, 0o100644, b"\1" * 20, status))
            index.put(path, make_entry(path, mode, b"\2" * 20, status))
        for path in dropped | set(list(files)[:1]):
            index.drop(path)

        listed = _stage(Path(name), index.serialize())

    left = sorted(set(files) - dropped - set(list(files)[:1]))
    assert listed == b"".join(b"%06o %s 0\t%s\0" % (files[path], b"02" * 20, path) for path in left)
    again = parse_index(index.serialize())
    assert again is not None
    assert list(again) == list(index)


def test_we_read_what_git_writes(repo: Repo) -> None:
    """Entries of a real index have git's ids, modes and stat data, whatever flags there are."""
    repo.write("dir/" + "long" * 60, "x", executable=True)
    (repo.path / "link").symlink_to("x")
    repo.commit("one", a="a\n", **{"dir/b": "b\n"})
    repo.write("later", "")
    repo.git("add", "-N", "later")
    repo.git("update-index", "--assume-unchanged", "a")
    repo.git("update-index", "--skip-worktree", "dir/b")

    index = parse_index((repo.path / ".git" / "index").read_bytes())

    assert index is not None
    listed = repo.git("ls-tree", "-r", "main").splitlines()
    assert [
        f"{mode_of(entry):06o} blob {oid_of(entry).hex()}\t{path.decode()}" for path, entry in index
    ] == listed
    for path, entry in index:
        assert stat_data(os.lstat(repo.path / path.decode()), mode_of(entry)) == entry[:40]
    assert len(_stage(repo.path, index.serialize()).split(b"\0")) == len(listed) + 1


def test_unreadable_indexes_are_none(repo: Repo) -> None:
    """Damage, unknown versions and mandatory extensions are told from an empty index."""
    repo.commit("one", a="a\n")
    path = repo.path / ".git" / "index"
    good = path.read_bytes()
    assert parse_index(good) is not None

    assert parse_index(b"") is None
    assert parse_index(good[:-1]) is None
    assert parse_index(good[:50] + b"x" + good[51:]) is None
    repo.git("update-index", "--index-version", "4")
    assert parse_index(path.read_bytes()) is None
    repo.git("update-index", "--index-version", "2")
    repo.git("update-index", "--split-index")
    assert parse_index(path.read_bytes()) is None


def test_unmerged_paths_have_no_entry(repo: Repo) -> None:
    """A conflict's stages say nothing about the file."""
    repo.commit("base", a="a\n", b="b\n")
    repo.commit("one", "main", a="one\n")
    repo.commit("two", "main", a="two\n")
    repo.git("merge", "one", check=False)

    index = parse_index((repo.path / ".git" / "index").read_bytes())

    assert index is not None
    assert [path for path, _ in index] == [b"b"]
