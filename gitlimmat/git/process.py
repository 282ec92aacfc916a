"""Run git and read what it says.

Layer: git. The only place that spawns git.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

from gitlimmat.errors import GitError
from gitlimmat.git.environment import for_git


class Git(msgspec.Struct, frozen=True):
    """How to call git: which program, in which directory, with which variables and options.

    `prefix` comes between the program and the subcommand, for example `("-c", "core.hooksPath=/dev/null")`.
    """

    binary: str
    directory: Path
    environment: Mapping[str, str]
    prefix: tuple[str, ...] = ()
    deadline: float | None = None

    def at(self, directory: Path) -> Git:
        """Return the same git working in another directory."""
        return msgspec.structs.replace(self, directory=directory)

    def with_options(self, *options: str) -> Git:
        """Return the same git with `options` before every subcommand."""
        return msgspec.structs.replace(self, prefix=(*self.prefix, *options))

    def within(self, seconds: float) -> Git:
        """Return the same git, whose runs by `call`, `text` and `run` are killed so many seconds from now."""
        return msgspec.structs.replace(self, deadline=time.monotonic() + seconds)

    def call(self, *arguments: str, stdin: bytes | None = None, check: bool = True) -> bytes:
        """Run `git <arguments>` and return its standard output.

        Raises: GitError when git cannot be started, or fails and `check` is set.
        """
        done = self.run(arguments, stdin=stdin)
        if check and done.returncode != 0:
            raise _failure(arguments[0], done)
        return done.stdout

    def call_into(self, out: IO[bytes], *arguments: str) -> None:
        """Run `git <arguments>` with its standard output going to an open file.

        Raises: GitError when git cannot be started, or fails; some output may have been written.
        """
        try:
            done = subprocess.run(
                [self.binary, *self.prefix, *arguments],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                check=False,
            )
        except OSError as error:
            raise _cannot_start(self, error) from error
        if done.returncode != 0:
            raise _failure(arguments[0], done)

    def start(self, *arguments: str, errors: bool) -> subprocess.Popen[bytes]:
        """Start `git <arguments>` with a pipe for its standard output, and one for its errors if `errors`.

        Raises: GitError when git cannot be started.
        """
        try:
            return subprocess.Popen(
                [self.binary, *self.prefix, *arguments],
                cwd=self.directory,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if errors else None,
            )
        except OSError as error:
            raise _cannot_start(self, error) from error

    def pipe(self, first: Sequence[str], second: Sequence[str], *, stdin: bytes) -> None:
        """Run `git <first> | git <second>` with `stdin` for the first; data of any size may pass.

        Raises: GitError when git cannot be started, or one of the two fails.
        """
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            try:
                with subprocess.Popen(
                    [self.binary, *self.prefix, *first],
                    cwd=self.directory,
                    env=self.environment,
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                ) as producer:
                    done = subprocess.run(
                        [self.binary, *self.prefix, *second],
                        cwd=self.directory,
                        env=self.environment,
                        stdin=producer.stdout,
                        capture_output=True,
                        check=False,
                    )
            except OSError as error:
                raise _cannot_start(self, error) from error
        if done.returncode != 0:
            raise _failure(second[0], done)
        if producer.returncode != 0:
            raise GitError(f"git {first[0]} failed with status {producer.returncode}")

    def text(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Run `git <arguments>` and return its output as text, undecodable bytes kept as surrogates."""
        return os.fsdecode(self.call(*arguments, stdin=stdin))

    def succeeds(self, *arguments: str) -> bool:
        """Whether `git <arguments>` exits 0."""
        return self.run(arguments).returncode == 0

    def run(
        self, arguments: Sequence[str], *, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `git <arguments>` to its end whatever its status.

        Raises: GitError when git cannot be started at all, or has no more time.
        """
        left = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
        try:
            return subprocess.run(
                [self.binary, *self.prefix, *arguments],
                cwd=self.directory,
                env=self.environment,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                check=False,
                timeout=left,
            )
        except subprocess.TimeoutExpired as error:
            raise GitError(f"git {arguments[0]} has taken too long") from error
        except OSError as error:
            raise _cannot_start(self, error) from error


def git_at(directory: Path, *, binary: str = "git", environment: Mapping[str, str] | None = None) -> Git:
    """Return a `Git` for `directory` with a cleaned copy of `environment` (default: ours)."""
    return Git(binary, directory, for_git(os.environ if environment is None else environment))


def _cannot_start(git: Git, error: OSError) -> GitError:
    if not git.directory.is_dir():
        return GitError(f"cannot change to '{git.directory}': no such directory")
    return GitError(
        f"cannot run '{git.binary}': {error.strerror}", hint="install git, or name it with --git-binary"
    )


def _failure(command: str, done: subprocess.CompletedProcess[bytes]) -> GitError:
    said = done.stderr.decode(errors="replace").strip()
    return GitError(f"git {command} failed with status {done.returncode}: {_first_line(said)}", stderr=said)


def _first_line(text: str) -> str:
    line = text.partition("\n")[0]
    return line.removeprefix("fatal: ").removeprefix("error: ")
