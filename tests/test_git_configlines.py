"""Lines of ours in git's configuration: git understands them, and taking them back leaves no trace."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import given
from hypothesis import strategies as st

from gitlimmat.git.configlines import Entry, entries_in, with_entries, without_entries

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=20)
SUBSECTIONS = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=12)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    """Settings with any names and values."""
    found = []
    for _ in range(draw(st.integers(0, 5))):
        subsection = draw(st.none() | SUBSECTIONS)
        middle = "" if subsection is None else f"{subsection}."
        found.append(Entry(f"{draw(NAMES)}.{middle}{draw(NAMES)}", draw(TEXTS)))
    return found


@given(
    before=st.lists(st.sampled_from(["[a]\n", "\tb = c\n", "# d\n", "\n", '[e "f"]\r\n', "\tg"])).map(
        "".join
    ),
    added=entries(),
    more=entries(),
)
def test_what_was_there_comes_back_byte_by_byte(before: str, added: list[Entry], more: list[Entry]) -> None:
    """Whatever the file was like, and also when more is added later."""
    text = before.encode()

    once = with_entries(text, added)
    twice = with_entries(once, more)

    assert entries_in(once) == added
    assert entries_in(twice) == [*added, *more]
    assert without_entries(twice) == text


def test_git_reads_what_was_written(repo: Repo) -> None:
    """Quotes, backslashes, signs of comments and blanks at the ends of values are kept."""
    values = ['a "b" \\ c', " d ", "e # f ; g", "h\ni\tj", "", "ä", "/usr/bin/git-limmat", "!f() { x; }; f"]
    added = [Entry(f'limmat.some"where\\.v{number}', value) for number, value in enumerate(values)]
    config = repo.path / ".git" / "config"

    config.write_bytes(with_entries(config.read_bytes(), added))

    for entry in added:
        assert repo.git("config", "--get", entry.key) == entry.value


def test_what_others_put_into_our_sections_stays(repo: Repo) -> None:
    """git adds to the last section of a name, which may be ours, and changes lines of ours."""
    config = repo.path / ".git" / "config"
    added = [Entry("alias.one", "limmat one"), Entry("alias.two", "limmat two")]
    config.write_bytes(with_entries(config.read_bytes(), added))
    repo.git("config", "alias.three", "three")
    repo.git("config", "alias.two", "else")
    repo.git("config", "other.key", "value")

    config.write_bytes(without_entries(config.read_bytes()))

    assert repo.git("config", "--get-regexp", "^(alias|other)") == (
        "alias.two else\nalias.three three\nother.key value"
    )


@pytest.mark.parametrize("key", ["alias.one", "alias.two"])
def test_what_others_have_removed_is_no_trouble(repo: Repo, key: str) -> None:
    """A section of ours that git has emptied goes."""
    config = repo.path / ".git" / "config"
    before = config.read_bytes()
    config.write_bytes(with_entries(before, [Entry("alias.one", "limmat one")]))
    repo.git("config", "--unset", key, check=False)

    config.write_bytes(without_entries(config.read_bytes()))

    assert config.read_bytes() == before


def test_a_line_without_end_gets_one_only_for_the_time(tmp_path: Path) -> None:
    """The end of the last line goes with the first line of ours, unless something else follows it."""
    added = [Entry("a.b", "c")]
    text = b"[core]\n\tbare = false"

    once = with_entries(text, added)
    config = tmp_path / "config"
    config.write_bytes(once)
    subprocess.run(["git", "config", "--file", config, "x.y", "z"], check=True)

    assert without_entries(once) == text
    assert without_entries(config.read_bytes()) == text + b"\n[x]\n\ty = z\n"
