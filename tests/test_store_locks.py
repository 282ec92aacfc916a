"""Locks of cases: one holder at a time, over all processes, and none that outlives its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from gitlimmat.errors import StoreError
from gitlimmat.model import Key
from gitlimmat.store.locks import CaseLocks, maintenance_lock, update_lock

KEY = Key(subject="a" * 40, test="unit", digest="d" * 32)
OTHER = Key(subject="a" * 40, test="other", digest="d" * 32)
BOTH_WAYS = pytest.mark.parametrize("ranges", [True, False])

HOLDER = """
import sys, time
from pathlib import Path
from gitlimmat.model import Key
from gitlimmat.store.locks import CaseLocks
locks = CaseLocks(Path(sys.argv[1]), ranges=sys.argv[2] == "True")
held = locks.try_lock(Key(subject="a" * 40, test="unit", digest="d" * 32))
print("held" if held else "busy", flush=True)
sys.stdin.read()
"""


def start_holder(state: Path, *, ranges: bool) -> subprocess.Popen[bytes]:
    """Start a process that tries to lock KEY, says how that went, and lives until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state), str(ranges)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )


def answer(process: subprocess.Popen[bytes]) -> bytes:
    """Return what a holder says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@BOTH_WAYS
def test_a_lock_excludes_everyone_else(tmp_path: Path, ranges: bool) -> None:
    """The holder itself and another one in this process are refused until it is released."""
    first, second = CaseLocks(tmp_path, ranges=ranges), CaseLocks(tmp_path, ranges=ranges)
    lock = first.try_lock(KEY)
    assert lock is not None
    assert first.try_lock(KEY) is None
    assert second.try_lock(KEY) is None
    assert first.is_locked(KEY)
    assert second.is_locked(KEY)
    assert not second.is_locked(OTHER)
    assert second.try_lock(OTHER) is not None

    lock.release()
    lock.release()

    assert not first.is_locked(KEY)
    again = second.try_lock(KEY)
    assert again is not None
    lock.release()
    assert first.is_locked(KEY)


@BOTH_WAYS
def test_asking_creates_nothing(tmp_path: Path, ranges: bool) -> None:
    """Looking whether a case is locked leaves no file behind."""
    assert not CaseLocks(tmp_path / "state", ranges=ranges).is_locked(KEY)
    assert not (tmp_path / "state").exists()


@BOTH_WAYS
def test_a_lock_ends_with_its_process(tmp_path: Path, ranges: bool) -> None:
    """A killed holder leaves no lock."""
    process = start_holder(tmp_path, ranges=ranges)
    assert answer(process) == b"held"
    locks = CaseLocks(tmp_path, ranges=ranges)
    assert locks.is_locked(KEY)
    assert locks.try_lock(KEY) is None

    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert not locks.is_locked(KEY)
    assert locks.try_lock(KEY) is not None


@BOTH_WAYS
def test_a_child_does_not_keep_the_lock(tmp_path: Path, ranges: bool) -> None:
    """A job that lives on has no part in our locks."""
    locks = CaseLocks(tmp_path, ranges=ranges)
    lock = locks.try_lock(KEY)
    assert lock is not None
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        locks.close()
        assert CaseLocks(tmp_path, ranges=ranges).try_lock(KEY) is not None
        child.kill()


def test_one_of_sixteen_processes_gets_the_lock(tmp_path: Path) -> None:
    """However many race for a key, exactly one has it."""
    racers = [start_holder(tmp_path, ranges=True) for _ in range(16)]
    answers = [answer(process) for process in racers]
    for process in racers:
        process.communicate()

    assert sorted(answers) == [*[b"busy"] * 15, b"held"]


def test_a_thousand_cases_are_locked_with_one_file_open(tmp_path: Path) -> None:
    """A holder needs one descriptor whatever it holds."""
    locks = CaseLocks(tmp_path)
    keys = [Key(subject="a" * 40, test=str(number), digest="") for number in range(1000)]
    held = [locks.try_lock(key) for key in keys]
    assert all(held)
    assert len(locks._held) == 1000
    assert len(set(locks._held.values())) == 1


def test_a_place_without_locks_is_an_error(tmp_path: Path) -> None:
    """Where no lock file can be made, the message names the place."""
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match=r"cannot lock in '.*state'"):
        CaseLocks(tmp_path / "state").try_lock(KEY)


def test_only_one_process_cleans_up(tmp_path: Path) -> None:
    """The second one is told at once."""
    with maintenance_lock(tmp_path) as first:
        assert first
        with maintenance_lock(tmp_path) as second:
            assert not second
    with maintenance_lock(tmp_path) as third:
        assert third


def test_a_stopped_updater_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock only spares lost races, so a holder that never comes back must not stop others."""
    monkeypatch.setattr("gitlimmat.store.locks._UPDATE_WAIT_S", 0.02)
    entered = []
    with update_lock(tmp_path), update_lock(tmp_path):
        entered.append(True)
    wait_until(lambda: bool(entered))
