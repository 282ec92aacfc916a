"""Repositories with our hooks, and programs for them to call."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from conftest import Repo
from waiting import is_alive, wait_until

HOOKS = Path(__file__).parent.parent / "hooks"
NAMES = ("post-checkout", "post-commit", "post-merge", "post-rewrite", "pre-push")
SHELLS = tuple(path for path in ("/bin/dash", "/bin/bash") if Path(path).exists())
STAND_IN = """#!/bin/sh
env -0 >{place}/$$.env
streams=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2)
echo "$streams" >{place}/$$.streams
cat /proc/$$/stat >{place}/$$.stat
mv {place}/$$.stat {place}/$$.started
exec sleep 1000
"""
QUICK = """
import functools, sys
import gitlimmat.cli.background as command
command.run_background = functools.partial(command.run_background, quiet_s=0.2)
from gitlimmat.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def install(repo: Repo, shell: str = "/bin/sh", names: Iterable[str] = NAMES) -> None:
    """Put our hooks into a repository, for one shell."""
    place = Path(repo.git("rev-parse", "--path-format=absolute", "--git-path", "hooks"))
    place.mkdir(exist_ok=True)
    copy(place, shell, names)


def copy(place: Path, shell: str, names: Iterable[str] = NAMES) -> None:
    """Write our hooks into a directory, for one shell."""
    for name in names:
        text = (HOOKS / name).read_text()
        assert text.startswith("#!/bin/sh\n")
        (place / name).write_text(text.replace("/bin/sh", shell, 1))
        (place / name).chmod(0o755)


def use(repo: Repo, text: str) -> Path:
    """Let hooks find this script as `git-limmat` in PATH, before any other; return the script."""
    programs = repo.path.parent / "programs"
    programs.mkdir(exist_ok=True)
    program = programs / "git-limmat"
    program.write_text(text)
    program.chmod(0o755)
    if str(programs) not in repo.environment["PATH"]:
        repo.environment["PATH"] = f"{programs}{os.pathsep}{repo.environment['PATH']}"
    return program


def use_real(repo: Repo) -> Path:
    """Let hooks find the program under test."""
    return use(repo, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gitlimmat "$@"\n')


def use_quick(repo: Repo) -> Path:
    """Let hooks find the program under test, which does not wait for long for more to do."""
    return use(repo, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(QUICK)} "$@"\n')


class StandIn:
    """Something that hooks start instead of the program: it tells what it was started with, and stays."""

    def __init__(self, repo: Repo) -> None:
        self.place = repo.path.parent / "started"
        self.place.mkdir()
        self.place.chmod(0o777)
        self.program = use(repo, STAND_IN.format(place=shlex.quote(str(self.place))))

    def pids(self) -> list[int]:
        """Return the processes that have been started so far."""
        return sorted(int(path.stem) for path in self.place.glob("*.started"))

    def marked(self) -> set[int]:
        """Return the processes that hooks have written down, in any git directory around here."""
        found = (marked(path.parent.parent) for path in self.place.parent.rglob("limmat/background"))
        return {pid for pid in found if pid is not None}

    def wait(self) -> int:
        """Return the process once one has been started."""
        wait_until(lambda: bool(self.pids()), "start of the program")
        (pid,) = self.pids()
        return pid

    def end(self) -> None:
        """End them all, and forget them."""
        for pid in self.pids():
            end(pid)
        for path in self.place.iterdir():
            path.unlink()

    def environment(self, pid: int) -> dict[str, str]:
        """Return what it found in its environment."""
        text = (self.place / f"{pid}.env").read_text()
        return dict(line.split("=", 1) for line in text.split("\0") if line)

    def streams(self, pid: int) -> list[str]:
        """Return where its standard streams lead."""
        return (self.place / f"{pid}.streams").read_text().splitlines()

    def stat(self, pid: int) -> list[str]:
        """Return the fields of its line in the process table, from the third one."""
        return (self.place / f"{pid}.started").read_text().rpartition(") ")[2].split()


def end(pid: int) -> None:
    """End a process and wait for that."""
    if is_alive(pid):
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid), f"end of process {pid}")


def marked(git_dir: Path) -> int | None:
    """Return the process that a git directory says is testing in the background, dead or alive."""
    try:
        return int((git_dir / "limmat" / "background").read_text().split()[0])
    except (FileNotFoundError, IndexError):
        return None


def end_all(top: Path) -> None:
    """End whatever tests in the background of any repository below a directory."""
    for path in sorted(top.rglob("limmat/background")):
        pid = marked(path.parent.parent)
        if pid is not None and pid != os.getpid() and _is_ours(pid):
            end(pid)


def _is_ours(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"background" in words or words[:2] == [b"sleep", b"1000"]
