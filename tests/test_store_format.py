"""Stored format 1, as it was first written: it must be read for ever."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Repo
from stored import DIGEST, Opened, open_store, record

from gitlimmat.model import Definition, Outcome, Result, Stored
from gitlimmat.store.artifacts import list_files, restore_directory
from gitlimmat.store.cache import Cache
from gitlimmat.store.store import RESULTS_REF

SAMPLE = Path(__file__).parent / "data" / "results-format-1.pack"
ROOT = "42baf09369575f3158d5cbac9d57bb7d89e84c70"
COMMIT, TREE = "1" * 40, "2" * 40


def defined(test: str, command: str, digest: str) -> Definition:
    """Return a definition as the sample has it."""
    text = f'{{"test":{{"command":"{command}","name":"{test}"}},"version":1}}'.encode()
    return Definition(test=test, text=text, digest=digest)


@pytest.fixture
def store(repo: Repo) -> Opened:
    """A store with the sample in it."""
    with SAMPLE.open("rb") as pack:
        subprocess.run(["git", "unpack-objects", "-q"], cwd=repo.path, stdin=pack, check=True)
    repo.git("update-ref", RESULTS_REF, ROOT)
    return open_store(repo)


def test_every_field_is_read_from_a_sample_of_format_1(store: Opened) -> None:
    """All that a result says is found again, with defaults for what is left out."""
    built, failed, skipped, errored = store.view().history(COMMIT)
    assert built == Result(
        test="build",
        digest="a" * 32,
        outcome=Outcome.PASSED,
        started=1750000000.125,
        elapsed=12.5,
        commit=COMMIT,
        exit_status=0,
        host="builder",
        version="0.1.0",
        outputs={"output": Stored(oid="e874dd33e402a65402fbd878787c54e0fe676932", size=12)},
        artifacts=Stored(oid="2294a3c2aadd8ebde9413315eb0712dc601eab4f", size=32),
    )
    assert (failed.outcome, failed.exit_status, failed.reason, failed.attempts) == (
        Outcome.FAILED,
        3,
        "exit 3",
        2,
    )
    assert sorted(failed.outputs) == ["stderr", "stdout"]
    assert (skipped.outcome, skipped.digest) == (Outcome.SKIPPED, f"{DIGEST}-1")
    assert (errored.outcome, errored.signal, errored.exit_status) == (Outcome.ERRORED, 9, None)


def test_lookups_in_a_sample_of_format_1(store: Opened) -> None:
    """Definitions decide by their text; what is never used and what is not understood stays aside."""
    view = store.view()
    build, lint = defined("build", "make", "a" * 32), defined("lint", "lint", "b" * 32)
    check, test = defined("unit", "make check", DIGEST), defined("unit", "make test", DIGEST)
    known = [view.known(COMMIT, each) for each in (build, check, test, lint)]
    assert [result and result.outcome for result in known] == ["passed", "failed", "skipped", None]
    latest = view.latest(COMMIT, build)
    assert latest is not None
    assert latest.outcome is Outcome.ERRORED
    first, last = view.history(TREE)
    assert (first.usable, first.dropped, last.started) == (False, ("socket: a socket",), 1750000070)
    assert view.known(TREE, lint) == last
    (warning,) = store.warnings
    assert "a newer git-limmat wrote them" in warning


def test_files_in_a_sample_of_format_1(store: Opened, tmp_path: Path) -> None:
    """Outputs come back byte for byte, artifacts with their names, modes and links."""
    built = store.view().history(COMMIT)[0]
    assert built.artifacts is not None
    assert store.read_blob(built.outputs["output"].oid) == b"\0\xffno newline"
    assert list_files(store.database, built.artifacts.oid) == [".git", "empty/", "link", "tool"]

    restore_directory(store.database, built.artifacts.oid, tmp_path)

    assert (tmp_path / ".git").read_text() == "gitdir: elsewhere\n"
    assert (tmp_path / "link").readlink() == Path("tool")
    assert (tmp_path / "tool").stat().st_mode & 0o777 == 0o755
    assert list((tmp_path / "empty").iterdir()) == []
    assert (Cache(store).artifacts(built.artifacts.oid) / "tool").exists()


def test_a_sample_of_format_1_can_be_added_to(repo: Repo, store: Opened) -> None:
    """Writing keeps every line and every file that was there."""
    before = repo.git("ls-tree", "-r", RESULTS_REF).splitlines()
    lines = repo.git("show", f"{RESULTS_REF}:22/{TREE[2:]}/results")
    store.publish([record(TREE)])

    after = repo.git("ls-tree", "-r", RESULTS_REF).splitlines()
    assert {line for line in before if "results" not in line} < set(after)
    assert repo.git("show", f"{RESULTS_REF}:22/{TREE[2:]}/results").startswith(lines)
    repo.git("fsck", "--strict", "--full")
