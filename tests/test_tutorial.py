"""gitlimmat-tutorial(7) works for someone who types what it says, from an empty directory to the end."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gitlimmat.service.mantext import man_to_text

PAGE = Path(__file__).parent.parent / "man" / "man7" / "gitlimmat-tutorial.7"
README = Path(__file__).parent.parent / "README.md"


def steps() -> list[tuple[str, list[str]]]:
    """Return each command of the page, with what the page says that it prints."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^\.EX\n(.*?)^\.EE$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL):
        for line in man_to_text(f".EX\n{block}.EE\n", 200).splitlines():
            text = line.removeprefix(" " * 7)
            if text.startswith("$ "):
                found.append((text[2:], []))
            elif text.startswith(">"):
                found[-1] = (f"{found[-1][0]}\n{text[2:]}", found[-1][1])
            else:
                found[-1][1].append(text)
    return found


def normal(text: str) -> list[str]:
    """Return lines in which ids and times are always the same."""
    text = re.sub(r"(?<!\w)[0-9a-f]{7}(?:[0-9a-f]{33})?(?!\w)", "ID", text)
    return [re.sub(r"[\d.]+ m?s\b", "TIME", line).rstrip() for line in text.strip().splitlines()]


def pattern(lines: list[str]) -> str:
    """Return a pattern for these lines, in which `...` is anything."""
    return re.sub(r"(?:\\\.){3}", r"(?s:.*?)", re.escape("\n".join(lines)))


@pytest.fixture
def newcomer(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of someone who has just installed the program."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "git-limmat"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gitlimmat "$@"\n')
    program.chmod(0o755)
    kept = {name: value for name, value in environment.items() if not name.endswith("_DATE")}
    return kept | {"PATH": f"{programs}{os.pathsep}{environment['PATH']}"}


def test_each_step_prints_what_the_page_says(newcomer: dict[str, str], tmp_path: Path) -> None:
    """One shell takes all commands in order; each prints what is shown, lines of a run in any order."""
    place = tmp_path / "empty"
    place.mkdir()
    script = "".join(f"{command}\necho '=== end of a step'\n" for command, _ in steps())

    done = subprocess.run(
        ["bash", "-s"],
        input=script,
        cwd=place,
        env=newcomer,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    said = done.stdout.split("=== end of a step\n")[:-1]
    assert len(said) == len(steps())
    for (command, expected), printed in zip(steps(), said, strict=True):
        wanted, got = normal("\n".join(expected)), normal(printed)
        if command == "git limmat run":
            wanted, got = sorted(wanted), sorted(got)
        shown = "\n".join([f"$ {command}", *got, "--- the page says", *wanted])
        assert re.fullmatch(pattern(wanted), "\n".join(got)), shown


def test_the_steps_leave_no_trace_but_the_cache(newcomer: dict[str, str], tmp_path: Path) -> None:
    """The page promises that deleting its directory takes all away."""
    place = tmp_path / "empty"
    place.mkdir()
    script = "\n".join(command for command, _ in steps())

    subprocess.run(
        ["bash", "-s"], input=script, cwd=place, env=newcomer, capture_output=True, text=True, check=False
    )

    assert [path.name for path in place.iterdir()] == ["greeting"]
    home = Path(newcomer["HOME"])
    assert [path.name for path in home.iterdir()] in ([], ["cache"])
    assert subprocess.run(
        ["git", "-C", place / "greeting", "config", "--get-regexp", "alias|notes"], check=False
    ).returncode


def test_it_takes_five_minutes() -> None:
    """There are few enough commands to type, and the failing commit is seen before the middle."""
    commands = [command for command, _ in steps()]

    assert sum(map(len, commands)) < 1500, "200 characters a minute, and as long again to read"
    assert len(commands) < 45
    assert "git log --notes=limmat -1 HEAD~1" in commands[: len(commands) * 3 // 4]
