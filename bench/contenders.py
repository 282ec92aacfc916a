"""The programs that run a command on each commit of a range, each in its own copy of one repository.

A contender is made once, is emptied of results before each turn, and then runs `true` on the newest commits.
"""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from repositories import clone
from sandbox import CommandError, git, limmat, run

_PATIENCE_S = 60.0


class Contender(Protocol):
    """Something that runs `true` on commits."""

    name: str

    def forget(self) -> None:
        """Forget all results, so that the next run does all the work."""

    def measure(self, commits: int, workers: int) -> None:
        """Run `true` on the newest `commits` commits, with that many jobs at once."""

    def can(self, workers: int) -> bool:
        """Whether it can run that many jobs at once."""


class Ours:
    """`git-limmat run -x true`, with the worktrees of earlier runs."""

    name = "git-limmat run"

    def __init__(self, repository: Path) -> None:
        self.repository = repository

    def forget(self) -> None:
        """Remove the refs and the objects that only they kept."""
        for ref in git(self.repository, "for-each-ref", "--format=%(refname)").split():
            if ref.startswith(("refs/limmat/", "refs/notes/")):
                git(self.repository, "update-ref", "-d", ref)
        git(self.repository, "prune", "--expire=now")

    def measure(self, commits: int, workers: int) -> None:
        """Run it on a range."""
        limmat(self.repository, "run", "-x", "true", f"-j{workers}", f"main~{commits}..main")

    def can(self, workers: int) -> bool:
        """Any number."""
        return workers > 0


class Rebase:
    """`git rebase -x true`, which changes no commit here: all picks are fast-forwards."""

    name = "git rebase -x"

    def __init__(self, repository: Path) -> None:
        self.repository = repository

    def forget(self) -> None:
        """It knows nothing."""

    def measure(self, commits: int, workers: int) -> None:
        """Rebase the branch onto where it is."""
        git(self.repository, "rebase", "-q", "-x", "true", f"main~{commits}")

    def can(self, workers: int) -> bool:
        """One job after the other."""
        return workers == 1


class GitTest:
    """Michael Haggerty's git-test; it works in the user's worktree."""

    name = "git-test"

    def __init__(self, repository: Path, script: str) -> None:
        self.repository = repository
        head = Path(script).read_bytes()[:64].partition(b"\n")[0]
        self._words = (sys.executable, script) if b"python" in head else (script,)
        self.call("add", "true")

    def call(self, *arguments: str) -> None:
        """Run one of its commands, with our Python when it is a Python script."""
        run([*self._words, *arguments], self.repository)

    def forget(self) -> None:
        """Remove its notes."""
        self.call("forget-results")
        git(self.repository, "prune", "--expire=now")

    def measure(self, commits: int, workers: int) -> None:
        """Run it on a range; it brings the branch back by itself."""
        self.call("run", f"main~{commits}..main")

    def can(self, workers: int) -> bool:
        """One job after the other."""
        return workers == 1


class Branchless:
    """git-branchless, with worktrees of its own and without its cache."""

    name = "git-branchless"

    def __init__(self, repository: Path, binary: str) -> None:
        self.repository = repository
        self._binary = binary
        run([binary, "init", "--main-branch", "main"], repository)

    def forget(self) -> None:
        """It is told not to remember."""

    def measure(self, commits: int, workers: int) -> None:
        """Run it on a range."""
        how = ("--strategy", "worktree", f"-j{workers}", "--no-cache")
        wanted = f"only(main, main~{commits})"
        run([self._binary, "test", "run", "-x", "true", *how, wanted], self.repository)

    def can(self, workers: int) -> bool:
        """Any number."""
        return workers > 0


class Watcher:
    """Limmat. Its only command for ranges is `watch`: it is stopped once the last result is on disk."""

    name = "limmat watch"

    def __init__(self, repository: Path, binary: str) -> None:
        self.repository = repository
        self._binary = binary
        self._results = repository.with_name(repository.name + "-results")
        self._config = repository.with_name(repository.name + ".toml")

    def forget(self) -> None:
        """Remove its results."""
        shutil.rmtree(self._results, ignore_errors=True)
        self._results.mkdir()

    def measure(self, commits: int, workers: int) -> None:
        """Watch a range until there is a result for each commit.

        Raises: CommandError when that takes more than a minute.
        """
        self._config.write_text(f'num_worktrees = {workers}\n[[tests]]\nname = "t"\ncommand = "true"\n')
        places = ("--config", str(self._config), "--result-db", str(self._results))
        arguments = ("watch", "--http-sockaddr", "127.0.0.1:0", f"main~{commits}")
        master, slave = pty.openpty()
        reader = threading.Thread(target=_drain, args=(master,), daemon=True)
        reader.start()
        process = subprocess.Popen(
            [self._binary, *places, *arguments], cwd=self.repository, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        try:
            self._wait_for(commits)
        finally:
            self._stop(process)
            reader.join()
            os.close(master)

    def can(self, workers: int) -> bool:
        """Any number."""
        return workers > 0

    def _wait_for(self, commits: int) -> None:
        end = time.monotonic() + _PATIENCE_S
        done: set[str] = set()
        while len(done) < commits:
            for entry in os.scandir(self._results):
                if entry.name not in done and _is_filled(Path(entry.path, "t", "result.json")):
                    done.add(entry.name)
            if time.monotonic() > end:
                raise CommandError(f"limmat has {len(done)} of {commits} results after {_PATIENCE_S:.0f} s")
            time.sleep(0.005)

    @staticmethod
    def _stop(process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def peers(repository: Path, git_test: str | None) -> tuple[list[Contender], list[str]]:
    """Return the peers found here, each with a copy of `repository`, and the names of those that are not.

    `git_test` is the path of git-test's script, if it is not in PATH.
    """
    makers: list[tuple[str, str | None, Callable[[Path, str], Contender]]] = [
        ("git-test", find_git_test(git_test), GitTest),
        ("limmat watch", shutil.which("limmat"), Watcher),
        ("git-branchless", shutil.which("git-branchless"), Branchless),
    ]
    found: list[Contender] = [Rebase(clone(repository, repository.with_name("for-rebase")))]
    missing = []
    for name, binary, maker in makers:
        if binary is None:
            missing.append(name)
        else:
            place = repository.with_name("for-" + name.replace(" ", "-"))
            found.append(maker(clone(repository, place), binary))
    return found, missing


def find_git_test(stated: str | None) -> str | None:
    """Return the path of git-test's script: the one stated, else the one in PATH, else None."""
    return stated or shutil.which("git-test")


def _is_filled(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False


def _drain(master: int) -> None:
    """Read what a program writes to its terminal until it closes it."""
    try:
        while os.read(master, 65536):
            pass
    except OSError:  # how Linux says that nobody has the terminal open
        return
