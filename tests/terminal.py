"""A real terminal for tests: a program in tmux, its screen as text, keys and clicks."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from waiting import wait_until


class Terminal:
    """A program in a terminal of its own. `raw` is the file with all that it has written."""

    def __init__(
        self,
        argv: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        *,
        columns: int = 80,
        rows: int = 24,
        shell: bool = False,
    ) -> None:
        self._directory = directory
        self._environment = {name: value for name, value in environment.items() if name != "TERM"}
        self.raw = directory / "raw"
        self.status_file = directory / "status"
        program = shlex.join(argv)
        command = program if shell else f"read go; {program}; echo $? >{self.status_file}; exec cat"
        self._tmux(
            *("new-session", "-d", "-x", str(columns), "-y", str(rows), "--", "sh", "-c", command),
        )
        if not shell:
            self._tmux("pipe-pane", f"exec cat >{self.raw}")
            self.keys("Enter")

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", str(self._directory / "tmux"), *arguments],
            env=self._environment | {"LC_ALL": "C.UTF-8"},
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    @property
    def lines(self) -> list[str]:
        """What is on the screen, without blanks at the ends of lines."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").split("\n")[:-1]]

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(self.lines)

    @property
    def colored(self) -> str:
        """What is on the screen, with its colors."""
        return self._tmux("capture-pane", "-p", "-e")

    def shows(self, *texts: str) -> bool:
        """Whether all texts are on the screen."""
        text = self.text
        return all(each in text for each in texts)

    def wait_for(self, *texts: str) -> str:
        """Wait until all texts are on the screen, and return it."""
        try:
            wait_until(lambda: self.shows(*texts), "the screen", every=0.05)
        except AssertionError:
            raise AssertionError(f"never on the screen: {texts}\n{self.text}") from None
        return self.text

    def keys(self, *names: str) -> None:
        """Press keys, by tmux's names."""
        self._tmux("send-keys", *names)

    def type(self, text: str) -> None:
        """Send characters as they are."""
        self._tmux("send-keys", "-l", text)

    def click(self, column: int, row: int, button: int = 0) -> None:
        """Press and release a mouse button; 64 and 65 are the wheel. The first column and row are 0."""
        at = f"{button};{column + 1};{row + 1}"
        self.type(f"\x1b[<{at}M" + ("" if button >= 64 else f"\x1b[<{at}m"))

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def pid(self) -> int:
        """The process id of the program, a child of the shell in the terminal."""
        shell = int(self._tmux("display-message", "-p", "#{pane_pid}"))
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(children[0])

    def mode(self, name: str) -> str:
        """Return one of tmux's words on the state of the terminal, such as `alternate_on`."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def wait_for_end(self) -> int:
        """Wait until the program has ended and return its exit status."""
        wait_until(lambda: self.status_file.exists() and self.status_file.read_text() != "", "the end")
        return int(self.status_file.read_text())

    def close(self) -> None:
        """End the terminal and what runs in it."""
        if (self._directory / "tmux").exists():
            subprocess.run(
                ["tmux", "-S", str(self._directory / "tmux"), "kill-server"],
                stderr=subprocess.DEVNULL,
                env=dict(os.environ) | {"LC_ALL": "C.UTF-8"},
                check=False,
            )
