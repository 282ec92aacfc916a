"""Directories of running jobs: there while the process lives, gone after it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import oid

from gitlimmat.errors import StoreError
from gitlimmat.model import Commit
from gitlimmat.store.removal import remove_tree
from gitlimmat.store.runs import RunDirectory, Runs, running_jobs, sweep

COMMIT = Commit(id=oid("commit"), tree=oid("tree"))

OWNER = """
import sys
from collections.abc import Callable
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from gitlimmat.model import Commit
from gitlimmat.store.runs import Runs
runs = Runs(Path(sys.argv[1]))
print(runs.create("unit", Commit(id="a" * 40, tree="b" * 40), "a" * 40).path, flush=True)
sys.stdin.read()
"""


def test_a_job_gets_an_empty_directory_of_its_own(tmp_path: Path) -> None:
    """No two jobs share one; output files come later, artifacts are empty at the start."""
    runs = Runs(tmp_path)
    first, second = (runs.create("unit", COMMIT, COMMIT.tree) for _ in range(2))

    assert first.path != second.path
    assert list(first.artifacts.iterdir()) == []
    assert {name: path.name for name, path in first.outputs.items()} == {
        "output": "output.txt",
        "stdout": "stdout.txt",
        "stderr": "stderr.txt",
    }
    assert not any(path.exists() for path in first.outputs.values())
    told = json.loads((first.path / "job.json").read_bytes())
    assert (told["test"], told["commit"], told["subject"]) == ("unit", COMMIT.id, COMMIT.tree)
    assert list(running_jobs(tmp_path)) == [first.path, second.path]

    first.remove()
    assert list(running_jobs(tmp_path)) == [second.path]
    runs.close()


def test_directories_of_a_dead_process_are_swept(tmp_path: Path) -> None:
    """A killed process's directories are gone once the next one makes its first."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), str(Path(__file__).parent.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    theirs = Path(os.fsdecode(process.stdout.readline().rstrip()))
    assert sweep(tmp_path) == 0
    assert list(running_jobs(tmp_path)) == [theirs]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert running_jobs(tmp_path) == {}

    runs = Runs(tmp_path)
    ours = runs.create("unit", COMMIT, COMMIT.id)

    assert not theirs.exists()
    assert ours.path.exists()
    assert len(list((tmp_path / "runs").iterdir())) == 2
    runs.close()
    assert sweep(tmp_path) == 1
    assert list((tmp_path / "runs").iterdir()) == []


def test_strange_things_in_runs_are_left_alone(tmp_path: Path) -> None:
    """Only what has our kind of name is ever removed."""
    (tmp_path / "runs" / "notes").mkdir(parents=True)
    (tmp_path / "runs" / "1-abc.1").mkdir()
    assert running_jobs(tmp_path) == {}
    assert sweep(tmp_path) == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["notes"]


def test_anything_a_job_leaves_is_removed(tmp_path: Path) -> None:
    """Deep directories, read-only ones and links go; what links point at stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    top = tmp_path / "top"
    deep = top
    deep.mkdir()
    for _ in range(1200):
        deep = deep / "d"
        deep.mkdir()
    (top / "link").symlink_to(outside)
    (top / "locked").mkdir()
    (top / "locked" / "file").write_text("")
    (top / "locked").chmod(0)

    assert remove_tree(top)
    assert not top.exists()
    assert remove_tree(top)
    assert (outside / "file").exists()
    link = tmp_path / "link"
    link.symlink_to(outside)
    assert remove_tree(link)
    assert (outside / "file").exists()


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The error names the directory and what stands against it."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(StoreError, match=r"cannot make a directory in '.*runs': "):
        Runs(tmp_path).create("unit", COMMIT, COMMIT.id)


def test_all_is_made_again_after_it_was_removed(tmp_path: Path) -> None:
    """The whole state can be deleted at any time; the next job has a directory, and no sweep takes it."""
    runs = Runs(tmp_path / "limmat")
    runs.give_back(runs.create("unit", COMMIT, COMMIT.tree))
    shutil.rmtree(tmp_path / "limmat")

    again = runs.create("unit", COMMIT, COMMIT.tree)
    sweep(tmp_path / "limmat")

    assert list(running_jobs(tmp_path / "limmat")) == [again.path]
    runs.close()


def test_a_directory_given_back_is_as_new_for_the_next_job(tmp_path: Path) -> None:
    """What a job left in it is gone, whatever that was; at the end no directory is left."""
    runs = Runs(tmp_path)
    spoilers: list[Callable[[RunDirectory], object]] = [
        lambda directory: None,
        lambda directory: directory.outputs["output"].write_text("old"),
        lambda directory: (directory.artifacts / "old").write_text("old"),
        lambda directory: (directory.path / "stray").write_text("old"),
        lambda directory: directory.artifacts.rmdir(),
        lambda directory: (directory.artifacts.rmdir(), directory.artifacts.symlink_to("/")),
        lambda directory: directory.artifacts.chmod(0o500),
        lambda directory: shutil.rmtree(directory.path),
    ]
    for spoil in spoilers:
        directory = runs.create("unit", COMMIT, COMMIT.id)
        assert sorted(path.name for path in directory.path.iterdir()) == ["artifacts", "job.json"]
        assert not directory.artifacts.is_symlink()
        assert list(directory.artifacts.iterdir()) == []
        assert os.access(directory.artifacts, os.W_OK)
        spoil(directory)
        runs.give_back(directory)

    runs.close()

    assert list((tmp_path / "runs").iterdir()) == []
