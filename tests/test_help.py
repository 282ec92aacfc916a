"""Pages of the manual are shown wherever the program is installed, with man, without man, and as HTML."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Repo

from gitlimmat.service.mantext import man_to_text

TOP = Path(__file__).parent.parent
PAGES = sorted((TOP / "man").glob("man[1-8]/*.[1-8]"))


@pytest.fixture
def without_man(repo: Repo, tmp_path: Path) -> Repo:
    """A machine on which no program shows manual pages."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "sh"):
        (programs / name).symlink_to(str(shutil.which(name)))
    repo.environment["PATH"] = str(programs)
    return repo


def test_a_page_is_shown_by_man(repo: Repo) -> None:
    """man formats the page that came with the program, wherever man looks for others."""
    repo.environment |= {"MANPAGER": "cat", "MANPATH": "/nowhere"}

    said = re.sub(".\x08", "", repo.limmat("help", "run"))

    assert said.startswith("GIT-LIMMAT-RUN(1)")
    assert "--fail-fast" in said


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ((), "git-limmat -"),
        (("run",), "git-limmat-run -"),
        (("git-limmat-run",), "git-limmat-run -"),
        (("limmat-run",), "git-limmat-run -"),
        (("limmat",), "git-limmat -"),
        (("limmat.toml",), "limmat.toml -"),
        (("limmat.toml(5)",), "limmat.toml -"),
        (("format",), "gitlimmat-format -"),
    ],
)
def test_without_man_the_page_is_plain_text(without_man: Repo, asked: tuple[str, ...], name: str) -> None:
    """Where there is no reader, the text is there all the same, by any name one would try."""
    assert without_man.limmat("help", *asked).startswith(f"NAME\n       {name}")


def test_a_man_that_only_apologizes_is_none(without_man: Repo) -> None:
    """Small systems replace man by a message; it says nothing of the page."""
    man = Path(without_man.environment["PATH"]) / "man"
    man.write_text("#!/bin/sh\necho This system has been minimized.\n")
    man.chmod(0o755)

    assert "minimized" not in without_man.limmat("help", "run")


def test_an_unknown_page_is_an_error_that_lists_the_pages(repo: Repo) -> None:
    """Whoever mistypes a page sees which there are."""
    done = repo.program("help", "rum")

    assert done.returncode == 129
    assert b"there is no manual page 'rum'\nhint: pages: " in done.stderr
    assert b" limmat.toml, " in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_text_says_what_mandoc_says(page: Path) -> None:
    """Our own rendering has the words of mandoc's, in their order, in lines that fit."""
    theirs = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=72", page], capture_output=True, text=True, check=True
    ).stdout
    ours = man_to_text(page.read_text(), 72)
    body = re.sub(".\x08", "", theirs).splitlines()[1:-1]

    assert ours.split() == " ".join(body).split()
    assert "\\" not in ours.replace("\\n", "").replace("\\w", "").replace("\\$", "").replace("|\\", "")
    verbatim = max((line for line in ours.splitlines()), key=len)
    assert len(verbatim) < 120


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_those_who_install_by_hand(repo: Repo, shell: str) -> None:
    """`--completion` prints the file a package would install."""
    files = {"bash": "git-limmat.bash", "zsh": "_git-limmat", "fish": "git-limmat.fish"}

    assert repo.limmat("help", "--completion", shell) == (TOP / "completion" / files[shell]).read_text()


def test_the_manual_is_plain_html(tmp_path: Path) -> None:
    """One command makes a page each, linked to each other, without scripts and without other hosts."""
    subprocess.run(["sh", TOP / "packaging" / "manual", tmp_path], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.html")}

    assert set(made) == {"index.html", *(f"{page.name}.html" for page in PAGES)}
    for text in made.values():
        assert "<script" not in text
        links = re.findall(r'(?:href|src)="([^"#]+)[^"]*"', text)
        assert [link for link in links if not (tmp_path / link).exists()] == []
    assert 'href="limmat.toml.5.html"' in made["git-limmat.1.html"]
