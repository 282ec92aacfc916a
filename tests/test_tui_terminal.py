"""The full-screen view in a real terminal: what one sees, and what is left behind."""

from __future__ import annotations

import os
import random
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from conftest import Repo
from terminal import Terminal
from waiting import is_alive, wait_until

_PROGRAM = Path(__file__).parent / "tui_program.py"
_CONFIG = "".join(f'[[tests]]\nname = "{name}"\ncommand = "true"\n' for name in ("build", "unit", "lint"))


class Shown:
    """The program in a terminal, and the fifo that tells it what happens."""

    def __init__(self, repo: Repo, terminal: Terminal, fifo: Path) -> None:
        self.repo, self.terminal, self._fifo = repo, terminal, fifo

    def tell(self, *words: str) -> None:
        """Let the board change."""
        with self._fifo.open("w") as out:
            out.write(" ".join(words) + "\n")


@pytest.fixture
def start(repo: Repo, tmp_path: Path) -> Iterator[Callable[..., Shown]]:
    """Return a function that shows the branch `topic`, three commits on `main`, in a terminal."""
    repo.config(_CONFIG)
    repo.commit("base")
    repo.commit("topic", "main")
    repo.commit("second")
    repo.commit("third")
    opened: list[Terminal] = []

    def show(
        *options: str, columns: int = 80, rows: int = 24, shell: bool = False, prefix: Sequence[str] = ()
    ) -> Shown:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        argv = [*prefix, sys.executable, str(_PROGRAM), str(repo.path), str(fifo), *options]
        terminal = Terminal(
            ["bash", "--norc", "-i"] if shell else argv,
            tmp_path,
            repo.environment,
            columns=columns,
            rows=rows,
            shell=shell,
        )
        opened.append(terminal)
        if shell:
            command = tmp_path / "git-shown"
            command.write_text(f"#!/bin/sh\nexec {shlex.join(argv)}\n")
            command.chmod(0o755)
            terminal.type(f"PS1='prompt$ ' PATH={tmp_path}:$PATH; git shown")
            terminal.keys("Enter")
        terminal.wait_for("q quit", "third")
        return Shown(repo, terminal, fifo)

    yield show
    for terminal in opened:
        terminal.close()


def column(text: str, name: str) -> int:
    """Return where a name stands in the first line that has it."""
    return next(line for line in text.splitlines() if name in line).index(name)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (160, 45)])
def test_cells_stand_below_their_test_and_do_not_jump(
    start: Callable[..., Shown], columns: int, rows: int
) -> None:
    """Each cell stands below the name of its test, whatever it says."""
    shown = start(columns=columns, rows=rows)
    at = column(shown.terminal.text, "unit")

    shown.tell("done", "0", "unit", "failed", "exit 3")
    shown.tell("done", "1", "unit", "cancelled")
    shown.tell("running", "2", "unit", "/nowhere")

    def signs() -> list[str]:
        lines = [line for line in shown.terminal.lines if re.search("(third|second|topic)$", line)]
        return [line[at] for line in lines][:3]

    wait_until(lambda: signs() == ["✗", "⊘", "▸"], "the signs")
    text = shown.terminal.text
    assert column(text, "unit") == at
    assert "repo  main..topic  3 commits" in text


def test_what_is_under_the_cursor_is_told_with_its_reason(start: Callable[..., Shown]) -> None:
    """The line below the table says outcome, reason and time of the chosen cell."""
    shown = start()
    shown.tell("done", "1", "lint", "errored", "timeout after 10 s")

    shown.terminal.keys("j", "l", "Right")

    shown.terminal.wait_for("lint on", "! errored, timeout after 10 s, took 1.2 s")


def test_output_is_followed_while_it_is_written(start: Callable[..., Shown], tmp_path: Path) -> None:
    """`f` goes to what runs and shows its output as it grows, with colors and nothing else interpreted."""
    output = tmp_path / "output.txt"
    output.write_bytes(b"first \x1b[31mred\x1b[m \x1b[2J\x1b[5mstill\x07\n")
    shown = start()
    shown.tell("running", "1", "unit", str(tmp_path))
    shown.terminal.wait_for("▸")

    shown.terminal.keys("f")
    shown.terminal.wait_for("output of unit on", "first red still", "live")
    with output.open("ab") as out:
        out.write(b"second line\n")

    shown.terminal.wait_for("second line")
    assert "\x1b[31mred" in shown.terminal.colored


def test_the_terminal_may_change_its_size(start: Callable[..., Shown]) -> None:
    """After a resize all parts have their place again."""
    shown = start()
    shown.tell("done", "0", "build", "passed")

    shown.terminal.resize(150, 40)
    shown.terminal.wait_for("✓ passed     1.2s")
    assert shown.terminal.lines[39].startswith("Enter output")

    shown.terminal.resize(60, 15)
    wait_until(lambda: shown.terminal.lines[14].startswith("Enter output"), "the last line")
    assert shown.terminal.shows("third", "✓")


def test_a_click_chooses_a_cell_and_the_wheel_scrolls(start: Callable[..., Shown]) -> None:
    """The mouse moves the cursor; a second click opens the output."""
    shown = start()
    text = shown.terminal.text
    row = next(n for n, line in enumerate(text.splitlines()) if line.endswith("second"))

    shown.terminal.click(column(text, "lint"), row)
    shown.terminal.wait_for("─ lint on", "commit 2 of 3")
    shown.terminal.click(column(text, "lint"), row)
    shown.terminal.wait_for("output of lint on")
    shown.terminal.click(5, row, button=65)

    shown.terminal.wait_for("commit 2 of 3")


def test_links_to_pages_are_real_links(start: Callable[..., Shown]) -> None:
    """Ids and cells carry OSC 8 links, and the header the address."""
    shown = start(columns=120)
    commit = shown.repo.git("rev-parse", "topic")
    shown.tell("done", "0", "unit", "failed", "exit 1")
    shown.terminal.wait_for("✗", "http://localhost:4000/")

    written = shown.terminal.raw.read_bytes().decode()
    assert f";http://localhost:4000/{commit}\x1b\\" in written
    assert f";http://localhost:4000/{commit}/unit\x1b\\" in written


def test_without_color_there_is_none(start: Callable[..., Shown], tmp_path: Path) -> None:
    """Nothing is colored when colors are not wanted, not even output; nothing blinks in any case."""
    (tmp_path / "output.txt").write_bytes(b"\x1b[31;5mred\x1b[m\n")
    shown = start("ascii", "no")
    shown.tell("done", "0", "build", "failed", "exit 1")
    shown.tell("running", "0", "unit", str(tmp_path))
    shown.tell("say", "config", "cannot read 'limmat.toml'")
    shown.terminal.wait_for("! config: cannot read", "F", "r")
    shown.terminal.keys("f")
    shown.terminal.wait_for("output of unit", "red")

    assert not re.search(r"\x1b\[[\d;]*\b(3[0-7]|4[0-7]|9[0-7]|38|48|5)\b[\d;]*m", shown.terminal.colored)
    assert shown.terminal.text.isascii()


def test_the_background_is_the_terminals(start: Callable[..., Shown]) -> None:
    """No background is painted, so that it reads on light and dark."""
    shown = start()
    shown.tell("done", "0", "build", "failed", "exit 1")
    shown.tell("say", "base", "cannot resolve 'main'")
    shown.terminal.wait_for("base: cannot resolve 'main'")

    assert not re.search(r"\x1b\[[\d;]*\b(4[0-7]|10[0-7]|48)\b[\d;]*m", shown.terminal.colored)


@pytest.mark.parametrize("way", ["key", "signal"])
def test_ctrl_c_asks_and_then_kills(start: Callable[..., Shown], way: str) -> None:
    """The first Ctrl-C names what is being ended, the second ends; the terminal is as before."""
    shown = start()
    shown.tell("running", "1", "unit", "/nowhere")
    shown.terminal.wait_for("▸ ")

    def interrupt() -> None:
        if way == "key":
            shown.terminal.keys("C-c")
        else:
            os.kill(shown.terminal.pid, signal.SIGINT)

    interrupt()
    shown.terminal.wait_for("stopping 1 job (q again kills): unit on")
    interrupt()

    assert shown.terminal.wait_for_end() == 0
    shown.terminal.wait_for("after the end")
    assert shown.terminal.mode("alternate_on") == "0"
    assert shown.terminal.mode("cursor_flag") == "1"
    assert shown.terminal.mode("mouse_any_flag") == "0"


def test_an_error_in_the_view_ends_the_program_with_it(start: Callable[..., Shown]) -> None:
    """A bug is never a frozen screen: the traceback comes out and the terminal is as before."""
    shown = start()

    shown.tell("break")

    assert shown.terminal.wait_for_end() == 1
    assert "TypeError: 'NoneType' object is not callable" in shown.terminal.wait_for("TypeError")
    assert shown.terminal.mode("alternate_on") == "0"


@pytest.mark.parametrize("handler", ["", "loop"])
def test_ctrl_z_gives_the_shell_back_and_fg_the_screen(start: Callable[..., Shown], handler: str) -> None:
    """It stops below git like any other job of the shell, and draws everything anew when it goes on.

    The loop may have a handler of its own for the signal, which is then the one that stops.
    """
    shown = start("unicode", "yes", "", handler, shell=True)

    shown.terminal.keys("C-z")
    shown.terminal.wait_for("Stopped", "prompt$")
    assert shown.terminal.mode("alternate_on") == "0"
    shown.terminal.type("echo in the shell")
    shown.terminal.keys("Enter")
    shown.terminal.wait_for("\nin the shell")
    shown.terminal.type("fg")
    shown.terminal.keys("Enter")
    shown.terminal.wait_for("main..topic  3 commits", "third", "q quit")
    shown.terminal.keys("j")
    shown.terminal.wait_for("commit 2 of 3")

    shown.terminal.keys("q")
    shown.terminal.wait_for("after the end", "prompt$")


def test_being_stopped_and_continued_does_no_harm(start: Callable[..., Shown]) -> None:
    """SIGSTOP and SIGCONT from outside leave a screen that is right and takes keys."""
    shown = start()
    pid = shown.terminal.pid

    os.kill(pid, signal.SIGSTOP)
    shown.tell("done", "0", "unit", "failed", "exit 1")
    os.kill(pid, signal.SIGCONT)

    shown.terminal.wait_for("✗", "third")
    shown.terminal.keys("j")
    shown.terminal.wait_for("commit 2 of 3")


def test_nothing_wakes_up_while_nothing_happens(start: Callable[..., Shown]) -> None:
    """An idle view costs no wake-up at all: no thread of it is scheduled between two looks."""
    shown = start()
    shown.tell("done", "0", "unit", "passed")
    shown.terminal.wait_for("✓")
    tasks = Path(f"/proc/{shown.terminal.pid}/task")

    def switches() -> dict[str, str]:
        found = {}
        for task in tasks.iterdir():
            status = (task / "status").read_text()
            found[task.name] = re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M)[0]
        return found

    calm: list[dict[str, str]] = []

    def stays_calm() -> bool:
        calm.append(switches())
        return len(calm) > 20 and all(each == calm[-1] for each in calm[-20:])

    wait_until(stays_calm, "two seconds without a wake-up", every=0.1)


def test_several_repositories_are_tabs(start: Callable[..., Shown]) -> None:
    """Tab shows the next board, and an empty range says that it is empty."""
    shown = start("unicode", "yes", "other")

    shown.terminal.keys("Tab")
    shown.terminal.wait_for("nothing between topic and topic")
    shown.terminal.keys("BTab")

    shown.terminal.wait_for("third")


def test_the_window_is_named_after_repository_and_state(start: Callable[..., Shown]) -> None:
    """A glance at the tab tells; afterwards it has its old name."""
    shown = start()
    before = "repo: nothing known"
    wait_until(lambda: shown.terminal.mode("pane_title") == before, "the title")

    shown.tell("done", "0", "unit", "failed", "exit 1")
    shown.tell("running", "1", "unit", "/nowhere")
    wait_until(lambda: shown.terminal.mode("pane_title") == "repo: 1 failed, 1 running", "the title")
    shown.terminal.keys("q", "q")

    assert shown.terminal.wait_for_end() == 0
    assert "repo" not in shown.terminal.mode("pane_title")


def test_a_cancelled_view_gives_the_terminal_back(start: Callable[..., Shown]) -> None:
    """Cancelling is neither swallowed nor leaves anything behind."""
    shown = start()

    shown.tell("cancel")

    assert shown.terminal.wait_for_end() == 1
    assert "CancelledError" in shown.terminal.wait_for("CancelledError")
    assert shown.terminal.mode("alternate_on") == "0"


def test_a_terminal_that_is_gone_ends_it(start: Callable[..., Shown]) -> None:
    """Without a terminal there is nobody to ask: the watch stops, also where SIGHUP is ignored."""
    shown = start(prefix=("sh", "-c", 'trap "" HUP; exec "$@"', "sh"))
    pid = shown.terminal.pid

    shown.terminal.close()

    wait_until(lambda: not is_alive(pid), "the end of the program")


def test_a_terminal_that_takes_nothing_holds_nothing_up(start: Callable[..., Shown], tmp_path: Path) -> None:
    """While the terminal does not read, the loop goes on; it ends when it is told to."""
    shown = start()
    pid = shown.terminal.pid
    master, slave = os.openpty()
    fifo = tmp_path / "other"
    os.mkfifo(fifo)
    argv = [sys.executable, str(_PROGRAM), str(shown.repo.path), str(fifo)]
    program = subprocess.Popen(argv, stdin=slave, stdout=slave, env=shown.repo.environment)
    other = Shown(shown.repo, shown.terminal, fifo)
    assert pid != program.pid

    for number in range(200):
        other.tell("done", "0", "unit", "failed", "exit", str(number))
        other.tell("say", "base", "x" * number)
        other.tell("touch", str(tmp_path / f"alive{number}"))
        wait_until((tmp_path / f"alive{number}").exists, "the loop")
    os.kill(program.pid, signal.SIGINT)

    wait_until((tmp_path / "other.over").exists, "the end of the view")
    program.kill()
    program.wait()
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_on_the_screen_is_what_a_fresh_one_would_show(
    start: Callable[..., Shown], tmp_path: Path, seed: int
) -> None:
    """Lines are drawn only when they change, and yet none is ever old: drawing anew changes nothing."""
    chance = random.Random(seed)
    (tmp_path / "output.txt").write_text("output\n" * 40)
    shown = start(columns=100)
    keys = ["j", "k", "h", "l", "Enter", "Escape", "f", "p", "G", "g", "?", "w", "n", "PPage", "NPage"]
    for number in range(60):
        index, test = str(chance.randrange(3)), chance.choice(["build", "unit", "lint"])
        match chance.randrange(7):
            case 0:
                shown.tell("done", index, test, chance.choice(["passed", "failed", "errored"]), "exit 1")
            case 1:
                shown.tell("waiting", index, test)
            case 2:
                shown.tell("say", "base", *chance.choice([(), ("cannot resolve 'x'",)]))
            case 3:
                shown.tell("done", index, test, "skipped")
            case _:
                shown.terminal.keys(chance.choice(keys))
        if number % 20 == 19:
            shown.tell("touch", str(tmp_path / f"told{number}"))
            wait_until((tmp_path / f"told{number}").exists, "the loop")
    shown.terminal.keys("Escape", "Escape", "y")
    shown.terminal.wait_for("copied")
    seen = [""]

    def is_calm() -> bool:
        seen.append(shown.terminal.text)
        return seen[-1] == seen[-2]

    wait_until(is_calm, "a screen that does not change", every=0.3)
    shown.terminal.keys("C-l")
    shown.terminal.wait_for("q quit")
    fresh = shown.terminal.text

    assert seen[-1].splitlines()[:-1] == fresh.splitlines()[:-1]


def test_keys_come_from_the_terminal_whatever_standard_input_is(start: Callable[..., Shown]) -> None:
    """A standard input that is no terminal is neither read as keys nor taken for a hang-up."""
    shown = start(prefix=("sh", "-c", 'exec "$@" </dev/null', "sh"))

    shown.terminal.keys("j")
    shown.terminal.wait_for("commit 2 of 3")
    shown.terminal.keys("q")

    assert shown.terminal.wait_for_end() == 0
