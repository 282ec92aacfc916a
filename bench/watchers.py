"""The programs that watch a branch, each with its own copy of one repository."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from programs import Program, running
from repositories import commits
from sandbox import git, program


class Watcher:
    """A way to watch a repository: the words of the program, and whether it is given a terminal."""

    def __init__(self, name: str, repository: Path, words: tuple[str, ...], *, on_terminal: bool) -> None:
        self.name = name
        self.repository = repository
        self._words = words
        self._on_terminal = on_terminal

    def watch(self, base: str, *, git_binary: Path | None = None) -> AbstractContextManager[Program]:
        """Watch the commits after `base` while the block lasts."""
        words = [*self._words, base]
        if git_binary is not None:
            words += ["--git-binary", str(git_binary)]
        return running(words, self.repository, on_terminal=self._on_terminal)

    def configure(self, *commands: str) -> None:
        """Have it run these commands as tests, two jobs at once."""
        tests = (
            f"[[tests]]\nname = \"test{number}\"\ncommand = '{command}'\n"
            for number, command in enumerate(commands)
        )
        (self.repository / "limmat.toml").write_text("num_worktrees = 2\n" + "".join(tests))
        (self.repository / ".git" / "info" / "exclude").write_text("limmat.toml\n")


def plain(repository: Path) -> Watcher:
    """Return our watch as it writes into a pipe."""
    words = (*program(), "watch", "--plain", "--no-http")
    return Watcher("plain", repository, words, on_terminal=False)


def full_screen(repository: Path) -> Watcher:
    """Return our watch on a whole terminal."""
    return Watcher("full screen", repository, (*program(), "watch", "--no-http"), on_terminal=True)


def with_pages(repository: Path) -> Watcher:
    """Return our watch as it writes into a pipe and serves pages."""
    words = (*program(), "watch", "--plain", "--http-sockaddr", "127.0.0.1:0")
    return Watcher("pages", repository, words, on_terminal=False)


def limmat_watch(repository: Path) -> Watcher | None:
    """Return Limmat's watch, None where it is not installed. It needs a terminal and always serves pages."""
    binary = shutil.which("limmat")
    if binary is None:
        return None
    results = _results_of(repository)
    results.mkdir(exist_ok=True)
    words = (binary, "--result-db", str(results), "watch", "--http-sockaddr", "127.0.0.1:0")
    return Watcher("limmat watch", repository, words, on_terminal=True)


def copy_limmats_results(repository: Path, count: int) -> None:
    """Give Limmat the results of `main` for the `count` newest commits: it keeps a directory for each."""
    results = _results_of(repository)
    newest = git(repository, "rev-parse", "main")
    for commit in commits(repository, count):
        if commit.id != newest:
            shutil.copytree(results / newest, results / commit.id)


def counting_git(place: Path) -> tuple[Path, Path]:
    """Make a git that notes each of its starts; return it and the file with a line for each."""
    wrapper, noted = place / "counting-git", place / "started"
    real = shutil.which("git") or "git"
    wrapper.write_text(f'#!/bin/sh\necho "$*" >>{noted}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    noted.touch()
    return wrapper, noted


def commit(repository: Path, message: str) -> str:
    """Make a commit as a user does and return its id."""
    git(repository, "commit", "-q", "--allow-empty", "-m", message)
    return git(repository, "rev-parse", "HEAD")


def prepared(repository: Path, parent: str, message: str) -> str:
    """Make a commit that no ref has yet and return its id."""
    return git(repository, "commit-tree", "-p", parent, "-m", message, f"{parent}^{{tree}}")


def move(repository: Path, to: str) -> None:
    """Let the branch be at another commit of the same tree."""
    git(repository, "update-ref", "refs/heads/main", to)


def lines_in(path: Path) -> int:
    """Return how many lines a file has."""
    return path.read_bytes().count(b"\n")


def _results_of(repository: Path) -> Path:
    return repository.with_name(f"{repository.name}-limmat")
