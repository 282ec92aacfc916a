"""Whether there are colors, against git itself."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest
from conftest import Repo
from pseudoterminal import on_terminal

from gitlimmat.config.colorbool import ColorSetting, has_colors, parse_when, read_color
from gitlimmat.errors import ConfigError
from gitlimmat.model import ConfigValue

WORDS = (
    *("", "true", "false", "yes", "no", "on", "off", "always", "never", "auto", "TRUE", "Never", "AUTO"),
    *("0", "1", "2", "-1", "+3", "00", "010", "08", "0x10", "0x", "1k", "1K", "2m", "1g", "3g", "1kk", "0k"),
    *("2147483647", "2147483648", "-2147483647", "-2147483648", "99999999999999999999"),
    *("purple", "alway", "always ", " auto", " 1", "1 ", "\t1", "tru\N{LATIN SMALL LETTER E WITH ACUTE}"),
    *("t", "y", "n", "1.0", "0x1g", "-0", "a\N{LATIN SMALL LETTER LONG S}", "auto always", "\N{KELVIN SIGN}"),
)
GITS = [path for path in ("/usr/bin/git", "/usr/local/bin/git") if shutil.which(path)] or ["git"]
COLORED = "\x1b["


def generated(count: int) -> list[str]:
    """Return values of one key, the same ones each time."""
    chosen = random.Random(11)
    letters = "0123xXkmgabtruefalsn-+ "
    made = ["".join(chosen.choices(letters, k=chosen.choice((1, 2, 3, 4)))) for _ in range(count)]
    return [*WORDS, *made]


def said(*values: tuple[str, str | None]) -> ColorSetting:
    """Return the setting in a configuration of these values."""
    found = [ConfigValue(key=key, value=value, scope="local", origin="file:x") for key, value in values]
    return read_color(found, None)


def ours(setting: ColorSetting, *, terminal: bool, term: str = "xterm") -> str:
    """Return what git prints, or its words when the value is bad."""
    try:
        return str(has_colors(setting, terminal=terminal, environment={"TERM": term})).lower()
    except ConfigError as error:
        return f"fatal: {error.message}"


def git_says(binary: str, repo: Repo, *options: str, terminal: bool, **extra: str) -> str:
    """Return what `git config --get-colorbool` prints, on either stream."""
    done = subprocess.run(
        [binary, *options, "config", "--get-colorbool", "color.limmat", str(terminal).lower()],
        cwd=repo.path,
        env=repo.environment | {"TERM": "xterm"} | extra,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip("\n")


@pytest.mark.parametrize("binary", GITS)
@pytest.mark.parametrize("terminal", [True, False])
def test_a_value_means_what_git_makes_of_it(repo: Repo, binary: str, terminal: bool) -> None:
    """The same values are good, and mean the same, on a terminal and elsewhere."""
    texts = generated(120)

    theirs = {text: git_says(binary, repo, "-c", f"color.limmat={text}", terminal=terminal) for text in texts}

    assert {text: ours(said(("color.limmat", text)), terminal=terminal) for text in texts} == theirs
    assert {"true", "false"} >= set(theirs.values()) - {each for each in theirs.values() if "fatal" in each}


@pytest.mark.parametrize("binary", GITS)
def test_keys_count_as_they_do_for_git(repo: Repo, binary: str) -> None:
    """`color.limmat` before `color.ui`, the last value of each, and no value is true."""
    chosen = random.Random(3)
    for _ in range(40):
        values = [
            (chosen.choice(("color.limmat", "color.ui", "color.diff")), chosen.choice(WORDS[:13]))
            for _ in range(chosen.choice((0, 1, 2, 3)))
        ]
        words = [word for key, value in values for word in ("-c", f"{key}={value}")]
        terminal = chosen.choice((True, False))
        assert ours(said(*values), terminal=terminal) == git_says(binary, repo, *words, terminal=terminal)
    assert ours(said(("color.limmat", None)), terminal=True) == "true"
    assert git_says(binary, repo, "-c", "color.limmat", terminal=True) == "true"


@pytest.mark.parametrize("term", ["dumb", "", "xterm"])
@pytest.mark.parametrize("value", ["auto", "always", "never"])
def test_a_dumb_terminal_has_no_colors(repo: Repo, term: str, value: str) -> None:
    """Unless they are wanted always."""
    theirs = git_says("git", repo, "-c", f"color.limmat={value}", terminal=True, TERM=term)
    assert ours(said(("color.limmat", value)), terminal=True, term=term) == theirs


def test_the_environment_counts_as_git_and_no_color_have_it() -> None:
    """In git's pager there are colors unless `color.pager` says no; NO_COLOR beats only what is automatic."""
    pager = {"TERM": "xterm", "GIT_PAGER_IN_USE": "1"}

    assert has_colors(said(), terminal=False, environment=pager)
    assert not has_colors(said(("color.pager", "off")), terminal=False, environment=pager)
    assert has_colors(said(("color.pager", "off")), terminal=True, environment=pager)
    assert not has_colors(said(), terminal=False, environment=pager | {"GIT_PAGER_IN_USE": "0"})
    assert not has_colors(said(), terminal=True, environment=pager | {"NO_COLOR": "1"})
    assert has_colors(said(), terminal=True, environment=pager | {"NO_COLOR": ""})
    assert has_colors(said(("color.ui", "always")), terminal=False, environment={"NO_COLOR": "1"})
    assert not has_colors(said(), terminal=True, environment={})


def test_a_bad_value_is_told_in_words_of_git() -> None:
    """None of our commands guesses where git would not."""
    with pytest.raises(ValueError):
        parse_when("purple")
    with pytest.raises(ConfigError) as caught:
        has_colors(said(("color.limmat", "purple")), terminal=True, environment={})
    assert caught.value.message == "bad boolean config value 'purple' for 'color.limmat'"


@pytest.fixture
def tested(repo: Repo) -> Repo:
    """A repository with a result."""
    repo.config('[[tests]]\nname = "good"\ncommand = "true"')
    repo.commit("base")
    repo.limmat("run", "HEAD")
    return repo


def written(repo: Repo, *arguments: str, **extra: str) -> str:
    """Return what the program writes to a terminal."""
    said, status = on_terminal(repo.argv(*arguments), repo.path, repo.environment | {"TERM": "xterm"} | extra)
    assert status == 0, said
    return said


def test_a_terminal_has_colors_until_somebody_says_no(tested: Repo) -> None:
    """By every way in which git can be told."""
    assert COLORED in written(tested, "status", "HEAD")
    assert COLORED not in written(tested, "--color=never", "status", "HEAD")
    assert COLORED not in written(tested, "status", "HEAD", NO_COLOR="1")
    assert COLORED not in written(
        tested,
        *("status", "HEAD"),
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="color.limmat",
        GIT_CONFIG_VALUE_0="false",
    )


def test_every_place_of_configuration_counts(tested: Repo) -> None:
    """An included file, the configuration of one worktree, and `git -c`, each over the one before."""
    assert "\x1b[" not in tested.limmat("status", "HEAD")

    tested.write("more.log", "[color]\n\tui = always\n")
    tested.git("config", "include.path", "../more.log")
    assert "\x1b[" in tested.limmat("status", "HEAD")

    tested.git("config", "extensions.worktreeConfig", "true")
    tested.git("config", "--worktree", "color.limmat", "never")
    assert "\x1b[" not in tested.limmat("status", "HEAD")

    assert "\x1b[" in tested.limmat("status", "HEAD", GIT_CONFIG_PARAMETERS="'color.limmat'='always'")


@pytest.mark.parametrize(
    ("words", "colored"),
    [
        (("--color", "status"), True),
        (("status", "--color"), True),
        (("status", "--color=ALWAYS"), True),
        (("--color=always", "status", "--no-color"), False),
        (("--color=never", "status", "--color"), True),
        (("--color=auto", "status"), False),
    ],
)
def test_the_option_counts_most(tested: Repo, words: tuple[str, ...], colored: bool) -> None:
    """`--color[=when]` as in git, on either side of the command, the later one last."""
    tested.git("config", "color.limmat", "never" if colored else "always")
    assert ("\x1b[" in tested.limmat(*words, "HEAD")) is colored


def test_a_bad_value_of_the_option_is_refused(tested: Repo) -> None:
    """It says which ones there are."""
    done = tested.program("--color=purple", "status")
    assert done.returncode == 129
    assert b"'always', 'auto', 'never'" in done.stderr


def test_a_bad_setting_ends_what_would_print(tested: Repo) -> None:
    """As it ends every git command that has colors."""
    tested.git("config", "color.ui", "purple")
    done = tested.program("status", "HEAD")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        128,
        b"fatal: bad boolean config value 'purple' for 'color.ui'",
    )
