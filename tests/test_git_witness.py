"""The kernel tells which files were touched, under whatever name and in whatever way."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gitlimmat.git.witness import Budget, Witness, make_witness


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """A witness of `a` and `b`; `link` is another name of `a`."""
    for name in ("a", "b"):
        (tmp_path / name).write_text("content\n")
    (tmp_path / "link").hardlink_to(tmp_path / "a")
    made = make_witness(os.fsencode(tmp_path), 2, Budget())
    if made is None:
        pytest.skip("this kernel or file system cannot tell")
    for name in ("a", "b"):
        made.watch(name.encode(), os.fsencode(tmp_path / name))
    return made


def _map(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:1] = b"C"


_TOUCHES: dict[str, Callable[[Path], object]] = {
    "write": lambda path: path.write_text("other\n"),
    "truncate": lambda path: os.truncate(path, 3),
    "mapping": _map,
    "chmod": lambda path: path.chmod(0o600),
    "utime": lambda path: os.utime(path, (1, 1)),
    "new name": lambda path: path.with_name("c").hardlink_to(path),
    "rename": lambda path: path.rename(path.with_name("c")),
    "replace": lambda path: path.with_name("b").replace(path),
    "unlink": lambda path: path.unlink(),
}


@pytest.mark.parametrize("touch", _TOUCHES)
def test_touched_names_the_file(witness: Witness, tmp_path: Path, touch: str) -> None:
    """Each way to change a file, its mode or its names is seen once."""
    assert witness.touched() == set()

    _TOUCHES[touch](tmp_path / "a")

    assert b"a" in (witness.touched() or set())
    assert witness.touched() == set()


def test_touched_names_the_file_under_another_name(witness: Witness, tmp_path: Path) -> None:
    """A file written to through a hard link elsewhere is seen, too."""
    (tmp_path / "link").write_text("other\n")

    assert witness.touched() == {b"a"}


def test_reading_is_no_touch(witness: Witness, tmp_path: Path) -> None:
    """Builds read files; that says nothing."""
    (tmp_path / "a").read_text()

    assert witness.touched() == set()


def test_forgotten_files_are_not_named(witness: Witness, tmp_path: Path) -> None:
    """What we remove ourselves is no news, and a new file may take its place."""
    witness.forget(b"a")
    (tmp_path / "a").unlink()
    (tmp_path / "a").write_text("new\n")
    witness.watch(b"a", os.fsencode(tmp_path / "a"))
    assert witness.touched() == set()

    (tmp_path / "a").write_text("newer\n")

    assert witness.touched() == {b"a"}


def test_touched_is_unknown_when_events_are_lost(witness: Witness, tmp_path: Path) -> None:
    """The kernel keeps a limited number of events, and says when it dropped some."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(most // 2 + 1):
        (tmp_path / "a").chmod(0o600)
        (tmp_path / "b").chmod(0o600)

    assert witness.touched() is None


def test_touched_is_unknown_when_a_file_cannot_be_watched(witness: Witness, tmp_path: Path) -> None:
    """A witness that has not seen all files is none."""
    witness.watch(b"c", os.fsencode(tmp_path / "nowhere"))

    assert witness.touched() is None


def test_budget_is_given_back(tmp_path: Path) -> None:
    """Watches count against the user's limit, of which half is left to others."""
    budget = Budget()
    most = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    assert make_witness(os.fsencode(tmp_path), most, budget) is None
    first = make_witness(os.fsencode(tmp_path), most // 4, budget)
    if first is None:
        pytest.skip("this kernel or file system cannot tell")
    assert make_witness(os.fsencode(tmp_path), most // 4, budget) is None

    first.close()

    again = make_witness(os.fsencode(tmp_path), most // 4, budget)
    assert again is not None
    again.close()
