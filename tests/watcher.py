"""The whole program watching a repository: what it shows, and what it holds on to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from conftest import Repo
from waiting import wait_until

from gitlimmat.web.api import ApiBoard

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Holdings(NamedTuple):
    """What a process holds on to. `memory` is in KiB; packs of git do not count as descriptors."""

    descriptors: int
    threads: int
    memory: int


class Watcher:
    """A `git limmat watch --plain` as a process, with its output in files and its board as JSON."""

    def __init__(
        self,
        repo: Repo,
        *arguments: str,
        pages: bool = True,
        patch: str = "",
        cwd: Path | None = None,
        stdin: Path | None = None,
        **extra: str,
    ) -> None:
        home = Path(repo.environment["HOME"])
        number = len(list(home.glob("watch-*.out")))
        self.out = home / f"watch-{number}.out"
        self.errors = home / f"watch-{number}.err"
        self.log = home / f"watch-{number}.log"
        argv = repo.argv("watch", "--plain", *(() if pages else ("--no-http",)), *arguments)
        if patch:  # statements that are executed before the program
            main = "from gitlimmat.__main__ import main; main()"
            argv[1:3] = ["-c", f"{patch}\n{main}"]
        with self.out.open("wb") as out, self.errors.open("wb") as errors:
            opened = stdin.open("rb") if stdin is not None else None
            self.process = subprocess.Popen(
                argv,
                cwd=cwd or repo.path,
                env=repo.environment
                | {"PYTHONFAULTHANDLER": "1"}
                | {"LIMMAT_LOGFILE": str(self.log)}
                | extra,
                stdin=opened if opened is not None else subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )
            if opened is not None:
                opened.close()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def pid(self) -> int:
        """The process id of the program."""
        return self.process.pid

    @property
    def said(self) -> str:
        """What it has written to its standard output."""
        return self.out.read_text(errors="surrogateescape")

    def wait_for(self, *texts: str) -> str:
        """Wait until it has said all of these; fail at once when it ends."""

        def has_said() -> bool:
            assert self.process.poll() is None or all(text in self.said for text in texts), self.account()
            return all(text in self.said for text in texts)

        try:
            wait_until(has_said, every=0.02)
        except AssertionError:
            raise AssertionError(f"it never said {texts}\n{self.account()}") from None
        return self.said

    def account(self) -> str:
        """Return all that it has left, for people who read a failed test."""
        log = self.log.read_text() if self.log.exists() else ""
        return (
            f"--- stdout\n{self.said[-4000:]}\n--- stderr\n{self.errors.read_text()}\n--- log\n{log[-6000:]}"
        )

    def board(self) -> ApiBoard:
        """Return the board as the pages give it."""
        self.wait_for("pages: ")
        url = self.said.partition("pages: ")[2].partition("\n")[0]
        with _OPENER.open(f"{url}api/board", timeout=20) as answer:
            return msgspec.json.decode(answer.read(), type=ApiBoard)

    def wait_for_board(self, condition: Callable[[ApiBoard], object]) -> ApiBoard:
        """Return the board as soon as `condition(board)` holds."""
        end = time.monotonic() + 30
        while not condition(board := self.board()):
            assert time.monotonic() < end, f"{picture(board)}\n{self.account()}"
            time.sleep(0.05)
        return board

    def open_files(self) -> list[str]:
        """Return what is open, other than packs."""
        links = (os.readlink(path) for path in Path(f"/proc/{self.pid}/fd").iterdir())  # noqa: PTH115
        return sorted(link for link in links if ".pack" not in link)

    def holdings(self) -> Holdings:
        """Return what the process holds on to now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        return Holdings(
            descriptors=len(self.open_files()),
            threads=int(fields["Threads"]),
            memory=int(fields["VmRSS"].split()[0]),
        )

    def children(self) -> dict[int, str]:
        """Return the living and dead children, by process id, with their state and command line."""
        found = {}
        for each in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            try:
                stat = Path(f"/proc/{each}/stat").read_text()
                command = Path(f"/proc/{each}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            found[int(each)] = f"{stat.rpartition(')')[2].split()[0]} {command}"
        return found

    def stop(self, number: int = signal.SIGINT, *, within: float = 10.0) -> int:
        """Send a signal, and return the exit status; fail when that takes too long."""
        self.process.send_signal(number)
        return self.end(within=within)

    def end(self, *, within: float = 10.0) -> int:
        """Wait for the end, and return the exit status."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it goes on for {within} s\n{self.account()}") from None


def picture(board: ApiBoard) -> str:
    """Return what a board shows, for people who read a failed test."""
    rows = [f"{board.base}..{board.head} {board.problems} {board.counts}"]
    for row in board.commits:
        cells = " ".join(f"{cell.test}={cell.outcome or cell.state}({cell.reason})" for cell in row.cells)
        rows.append(f"{row.abbreviated} {cells} {row.subject}")
    return "\n".join(rows)


def states(board: ApiBoard) -> dict[tuple[str, str], str]:
    """Return the outcome of each cell of a board, or else its state, by commit and test."""
    return {
        (row.id, cell.test): cell.outcome.value if cell.outcome is not None else cell.state.value
        for row in board.commits
        for cell in row.cells
    }


def is_quiet(board: ApiBoard) -> bool:
    """Whether nothing waits or runs."""
    return not any(board.counts[word] for word in ("waiting", "running", "unknown"))


def stored(repo: Repo, *revisions: str) -> dict[tuple[str, str], str]:
    """Return what the store says of some commits, by commit and test, as another process reads it."""
    document = json.loads(repo.limmat("status", "--json", *revisions))
    return {
        (row["id"], test): cell["outcome"] if cell is not None else "unknown"
        for row in document["commits"]
        for test, cell in row["results"].items()
    }
