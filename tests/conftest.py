"""Fixtures: a sealed environment and real repositories made in few words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_FIRST_TICK = 1_750_000_000

# A shell starts what it puts into the background with these ignored, and the program under test honors that.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


class Repo:
    """A real repository in a sealed environment; commits made in the same order have the same ids."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path = path
        self.environment = environment
        self._clock = _FIRST_TICK

    def git(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run git here and return its output without the last newline."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            errors="surrogateescape",
        )
        if check and done.returncode != 0:
            raise AssertionError(f"git {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.removesuffix("\n")

    def write(self, name: str, content: str | bytes, *, executable: bool = False) -> Path:
        """Write a file of the worktree, with its directories."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if executable:
            path.chmod(0o755)
        return path

    def lines(self, name: str) -> list[str]:
        """Return the lines of a file of the worktree; none when it does not exist."""
        path = self.path / name
        return path.read_text().splitlines() if path.exists() else []

    def commit(self, subject: str, parent: str | None = None, **files: str) -> str:
        """Commit `files` (and all else that is changed) and return the commit's id.

        With `parent`, a branch named `subject` is started there (or moved on, if it exists). A commit
        without files gets a file of its own, so that its tree is new.
        """
        if parent is not None:
            exists = self.git("rev-parse", "-q", "--verify", f"refs/heads/{subject}", check=False)
            self.git("checkout", "-q", *(() if exists else ("-b",)), subject, *(() if exists else (parent,)))
        for name, content in (files or {f"file-{subject}-{self._clock}".replace("/", "-"): subject}).items():
            self.write(name, content)
        self.git("add", "-A")
        self._tick()
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def reword(self, branch: str, message: str) -> str:
        """Change the message of the newest commit of `branch`, and nothing else."""
        self.git("checkout", "-q", branch)
        self._tick()
        self.git("commit", "-q", "--amend", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def config(self, text: str, name: str = "limmat.toml") -> Path:
        """Write `limmat.toml`, and keep it out of the way of git."""
        exclude = self.path / ".git" / "info" / "exclude"
        if exclude.parent.is_dir() and "limmat.toml" not in (exclude.read_text() if exclude.exists() else ""):
            with exclude.open("a") as out:
                out.write("limmat.toml\n*.log\n")
        return self.write(name, text)

    def program(
        self, *arguments: str, stdin: str | bytes | None = None, cwd: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `git-limmat` to its end, whatever its status; `extra` are environment variables."""
        return subprocess.run(
            self.argv(*arguments),
            cwd=cwd or self.path,
            env=self.environment | extra,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
            timeout=120,
        )

    def limmat(self, *arguments: str, status: int | None = 0, stdin: str | None = None, **extra: str) -> str:
        """Run `git-limmat`, check its exit status and return its standard output."""
        done = self.program(*arguments, stdin=stdin, **extra)
        said = f"{done.stdout.decode(errors='replace')}\n--- stderr\n{done.stderr.decode(errors='replace')}"
        assert "Traceback" not in said, said
        if status is not None:
            assert done.returncode == status, f"git-limmat {arguments}: {done.returncode}\n{said}"
        return done.stdout.decode(errors="surrogateescape")

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
        """Start `git-limmat` and return the process, with pipes for its output."""
        return subprocess.Popen(
            self.argv(*arguments),
            cwd=self.path,
            env=self.environment | extra,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @staticmethod
    def argv(*arguments: str) -> list[str]:
        """The command line that runs the program under test."""
        return [sys.executable, "-m", "gitlimmat", *arguments]

    def _tick(self) -> None:
        self._clock += 60
        date = f"{self._clock} +0000"
        self.environment |= {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A sealed environment: own HOME, no GIT_*, fixed locale and zone, a known author."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    pythonpath = str(Path(__file__).parent.parent)
    return kept | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONPATH": pythonpath,
        "PYTHONWARNINGS": "error",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A U Thor",
        "GIT_AUTHOR_EMAIL": "author@example.com",
        "GIT_COMMITTER_NAME": "C O Mitter",
        "GIT_COMMITTER_EMAIL": "committer@example.com",
        "GIT_AUTHOR_DATE": f"{_FIRST_TICK} +0000",
        "GIT_COMMITTER_DATE": f"{_FIRST_TICK} +0000",
    }


@pytest.fixture
def sealed(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Put the sealed environment into this process too, for tests below the command line."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "XDG_", "LIMMAT_")):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        if name not in ("PYTHONPATH", "PYTHONWARNINGS"):
            monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def make_repo(tmp_path: Path, sealed: dict[str, str]) -> Callable[..., Repo]:
    """Return a function that makes an empty repository: `make_repo("name", "--bare", …)`."""

    def make(name: str, *options: str) -> Repo:
        path = tmp_path / name
        made = Repo(path, dict(sealed))
        path.mkdir()
        made.git("init", "-q", "-b", "main", *options)
        return made

    return make


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    """An empty repository with the branch `main` not yet born."""
    return make_repo("repo")
