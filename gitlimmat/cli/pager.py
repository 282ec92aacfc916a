"""The pager that git would use, on a terminal.

Layer:  cli.
Source: git-config(1) `core.pager`, `pager.<cmd>`; git-var(1) `GIT_PAGER`; pager.c of git 2.47.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import IO

from gitlimmat.config.values import parse_bool
from gitlimmat.errors import LimmatError
from gitlimmat.git.environment import OWN_MARK
from gitlimmat.service.project import Project

_FOR_SHELL = re.compile(r"[|&;<>()$`\\\"' \t\n*?\[#~=%]")
_OPTIONS = {"LESS": "FRX", "LV": "-c"}
_NONE = ("", "cat")


class Pager:
    """A pager that is started when there is something to show."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None
        self.output: IO[bytes] | None = None

    def start(self) -> IO[bytes]:
        """Return the input of the pager, starting it if it does not run yet.

        Raises: LimmatError when it cannot be started.
        """
        if self.output is None:
            environment = _OPTIONS | os.environ | {OWN_MARK: "1"}
            environment.pop("GIT_PAGER_IN_USE", None)
            argv = ["sh", "-c", self._words] if _FOR_SHELL.search(self._words) else [self._words]
            try:
                self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment)
            except OSError as error:
                sys.stderr.write(f"error: cannot run {self._words}: {error.strerror}\n")
                raise LimmatError(f"unable to execute pager '{self._words}'") from error
            assert self._process.stdin is not None
            self.output = self._process.stdin
        return self.output

    def close(self) -> None:
        """End the input and wait until the user has seen enough."""
        if self._process is None or self.output is None:
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            try:
                self.output.close()
            except BrokenPipeError:
                pass
            self._process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def find_pager(project: Project, command: str) -> Pager | None:
    """Return the pager that git would start for `git <command>`; None when there is none to be used.

    It runs already when `pager.<command>` wants one: git then starts it before it knows whether there is
    anything to show.
    """
    if not sys.stdout.isatty():
        return None
    said = {value.key: value.value for value in project.values}
    key, own, is_wanted = f"pager.{command}", None, False
    if key in said:
        try:
            is_wanted = parse_bool(said[key])
            if not is_wanted:
                return None
        except ValueError:
            own, is_wanted = said[key], True
    words = own if own is not None and "GIT_PAGER" not in os.environ else _standard(project)
    if words in _NONE:
        return None
    pager = Pager(words)
    if is_wanted:
        pager.start()
    return pager


def _standard(project: Project) -> str:
    return project.repository.asked.text("var", "GIT_PAGER").removesuffix("\n")
