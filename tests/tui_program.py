"""A program that shows a board of a repository and changes it as it is told through a fifo.

Usage: tui_program.py <repository> <fifo> [<glyphs> [<colored> [<several> [<handler>]]]]
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from tui_words import WAITING, PlainLinks, StillHost, board_of, done, project_of, show

from gitlimmat.model import Outcome
from gitlimmat.service.board import Board, Cell, CellState, Place
from gitlimmat.tui.look import Look
from gitlimmat.tui.show import show_live


class Told:
    """Does what it is told, one line at a time."""

    def __init__(self, host: StillHost, fifo: Path) -> None:
        self._host = host
        self._board: Board = host.boards[0]
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._handle = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._handle, self._read)

    def _read(self) -> None:
        for line in os.read(self._handle, 65536).decode().splitlines():
            word, *rest = line.split(" ")
            getattr(self, f"_{word}")(*rest)

    def _commit(self, index: str) -> str:
        return self._board.commits[int(index)].id

    def _done(self, index: str, test: str, outcome: str, *reason: str) -> None:
        cell = done(Outcome(outcome), " ".join(reason))
        self._host.running = []
        self._board.put([self._commit(index)], test, cell)

    def _waiting(self, index: str, test: str) -> None:
        self._board.put([self._commit(index)], test, WAITING)

    def _running(self, index: str, test: str, directory: str) -> None:
        commit = self._commit(index)
        cell = Cell(state=CellState.RUNNING, since=time.time(), directory=Path(directory))
        self._board.put([commit], test, cell)
        self._host.running.append((self._board, Place(commit, test)))

    def _say(self, part: str, *text: str) -> None:
        self._board.say(part, " ".join(text) or None)

    def _range(self, base: str, head: str) -> None:
        show(self._board, base, head)

    def _burst(self) -> None:
        for test in self._board.tests:
            self._board.put([c.id for c in self._board.commits], test, done(Outcome.PASSED))

    def _cancel(self) -> None:
        self._task.cancel()

    def _touch(self, path: str) -> None:
        Path(path).touch()

    def _break(self) -> None:
        self._board.__dict__["cell"] = None
        self._board.say("view", "about to break")


async def main(
    path: str, fifo: str, glyphs: str = "unicode", colored: str = "yes", several: str = "", handler: str = ""
) -> None:
    """Show boards until stopped; with `handler` the loop stops the program on SIGTSTP."""
    if handler:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTSTP, os.kill, os.getpid(), signal.SIGSTOP)
    project = project_of(Path(path))
    boards = [board_of(project, "main", "topic")]
    if several:
        boards.append(board_of(project, "topic", "topic"))
        boards[1].name = several
    host = StillHost(*boards)
    told = Told(host, Path(fifo))
    await show_live(host, PlainLinks(), look=Look(glyphs=glyphs, colored=colored == "yes"))
    del told
    Path(f"{fifo}.over").touch()
    sys.stdout.write("after the end\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
