"""Colors of git's configuration, against git itself and against rich."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from conftest import Repo
from rich.color import Color as RichColor
from rich.style import Style

from gitlimmat.git.colors import Color, Palette, Slot, parse_color, read_palette
from gitlimmat.model import ConfigValue

ATTRIBUTES = ("bold", "dim", "ul", "blink", "reverse", "italic", "strike")
WORDS = (
    *(
        "normal",
        "default",
        "-1",
        "reset",
        "black",
        "red",
        "white",
        "RED",
        "Default",
        "brightred",
        "BrightBlue",
    ),
    *("0", "7", "8", "15", "16", "255", "256", "-2", "+3", "010", "0x10", "3x", "-0", "99999999999999999999"),
    *("#f00", "#FfF", "#ff0080", "#12", "#12345", "#gggggg", "#", "#+1-2+3", "#1_2"),
    *ATTRIBUTES,
    *(f"no{name}" for name in ATTRIBUTES),
    *(f"no-{name}" for name in ATTRIBUTES),
    *("Bold", "no", "no-", "nono-bold", "no--bold", "no-reset", "Reset", "bright-red", "brightdefault"),
    *(
        "brightnormal",
        "underline",
        "rot",
        "grün",
        "blac\N{KELVIN SIGN}",
        "٣",
        "\v5",
        "5\v",
        "red;blue",
        "1.5",
    ),
)
BLANKS = (" ", "  ", "\t", "\n", " \r ")
GITS = [path for path in ("/usr/bin/git", "/usr/local/bin/git") if shutil.which(path)] or ["git"]


def generated(count: int) -> list[str]:
    """Return values of one to five words, the same ones each time."""
    chosen = random.Random(7)
    found = ["", " ", *WORDS]
    for _ in range(count):
        words = chosen.choices(WORDS, k=chosen.choice((1, 2, 2, 3, 3, 4, 5)))
        lead, trail = chosen.choices(("", *BLANKS), weights=(9, 1, 1, 1, 1, 1), k=2)
        found.append(lead + "".join(word + chosen.choice(BLANKS) for word in words)[:-1] + trail)
    # Most words together are wrong, so mix some that are right, too.
    right = [word for word in WORDS if ours(word) is not None]
    return found + [" ".join(chosen.choices(right, k=chosen.choice((2, 3, 4)))) for _ in range(count)]


def ours(text: str) -> str | None:
    """Return our escape sequence, or None for a bad value."""
    try:
        return parse_color(text).ansi()
    except ValueError:
        return None


def git_says(binary: str, repo: Repo, texts: Sequence[str]) -> list[str | None]:
    """Return git's escape sequences, None for a bad value; a process for each, ask not too much."""
    said = []
    for text in texts:
        done = subprocess.run(
            [binary, "config", "--get-color", "", text],
            cwd=repo.path,
            env=repo.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said.append(done.stdout if done.returncode == 0 else None)
    return said


def knows_short_rgb(binary: str, repo: Repo) -> bool:
    """Whether this git is of a version that reads `#rgb`."""
    return git_says(binary, repo, ["#f00"]) != [None]


@pytest.mark.parametrize("binary", GITS)
def test_a_color_is_what_git_makes_of_it(repo: Repo, binary: str) -> None:
    """The same values are good, and the same bytes come out."""
    texts = generated(200)
    if not knows_short_rgb(binary, repo):
        texts = [text for text in texts if not {"#f00", "#FfF"} & set(text.split())]

    said = git_says(binary, repo, texts)

    assert len(texts) > 350
    assert sum(each is not None for each in said) > 100
    assert {text: ours(text) for text in texts} == dict(zip(texts, said, strict=True))


def test_a_bad_color_is_told_in_words_of_git(repo: Repo) -> None:
    """The reason is the one that git gives."""
    with pytest.raises(ValueError) as caught:
        parse_color("bold rot")

    said = subprocess.run(
        ["git", "config", "--get-color", "", "bold rot"],
        cwd=repo.path,
        env=repo.environment,
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    assert f"error: {caught.value}" in said.splitlines()


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("", ""),
        ("normal normal", ""),
        ("reset", ""),
        ("bold red", "bold red"),
        ("brightblue default ul", "underline bright_blue on default"),
        ("normal 8 nobold", "not bold not dim on bright_black"),
        ("16 #0a0B0c no-ul", "not underline color(16) on #0a0b0c"),
        ("#fff", "#ffffff"),
        ("bold no-dim", "not bold not dim"),
        ("strike italic blink reverse dim", "dim italic blink reverse strike"),
    ],
)
def test_a_color_becomes_a_style(text: str, style: str) -> None:
    """rich has other words for the same."""
    assert parse_color(text).rich() == style


def test_every_color_is_a_style_that_rich_reads() -> None:
    """Whatever git takes for a color, rich understands what we make of it, and sees the same colors."""
    for text in generated(200):
        if ours(text) is not None:
            color = parse_color(text)
            style = Style.parse(color.rich())
            assert codes(style.color, foreground=True) == Color(foreground=color.foreground).ansi(), text
            assert codes(style.bgcolor, foreground=False) == Color(background=color.background).ansi(), text


def codes(color: RichColor | None, *, foreground: bool) -> str:
    """Return the escape sequence that rich writes for one color."""
    return f"\x1b[{';'.join(color.get_ansi_codes(foreground=foreground))}m" if color else ""


def value(key: str, text: str | None) -> ConfigValue:
    """Return a value of the repository's configuration."""
    return ConfigValue(key=key, value=text, scope="local", origin="file:.git/config")


def test_the_palette_has_the_last_value_of_each_slot() -> None:
    """Later values win, keys of others are not looked at, and what nobody has set is ours."""
    found = read_palette(
        [
            value("color.limmat.passed", "rot"),
            value("color.limmat.passed", "blue"),
            value("color.limmat.hash", ""),
            value("color.limmat", "always"),
            value("color.status.added", "rot"),
        ]
    )
    assert found == Palette(stated={Slot.PASSED: Color(foreground=4), Slot.HASH: Color()})
    assert found.color(Slot.PASSED).ansi() == "\x1b[34m"
    assert found.color(Slot.HASH).ansi() == ""
    assert found.color(Slot.FAILED).ansi() == "\x1b[31m"
    assert found.styles() == {"passed": "blue", "hash": ""}


def test_every_slot_has_a_color() -> None:
    """There is a default for each."""
    assert [slot for slot in Slot if not isinstance(Palette().color(slot), Color)] == []


def test_a_bad_value_of_a_slot_is_a_warning() -> None:
    """The key, what it has and where that is are told; the default is used."""
    found = read_palette(
        [
            value("color.limmat.passed", "rot\x1b"),
            value("color.limmat.failed", None),
            value("color.limmat.pased", "red"),
        ]
    )
    assert found.stated == {}
    assert found.warnings == (
        r"invalid color value 'rot\x1b' for 'color.limmat.passed' in file:.git/config; its default is used",
        "missing value for 'color.limmat.failed' in file:.git/config; its default is used",
        "unknown git setting 'color.limmat.pased' in file:.git/config",
    )


@pytest.fixture
def tested(repo: Repo) -> Repo:
    """A repository with a passed, a failed and an errored result, and colors whatever the output is."""
    commands = {"good": "true", "bad": "false", "ugly": "kill -9 $$"}
    repo.config("".join(f'[[tests]]\nname = "{name}"\ncommand = "{do}"\n' for name, do in commands.items()))
    repo.commit("base")
    repo.git("config", "color.ui", "always")
    repo.limmat("run", "HEAD", status=None)
    return repo


def test_colors_are_as_ever_when_nobody_has_set_them(tested: Repo) -> None:
    """The bytes of version 0.1: those of colorama, also where git would write fewer."""
    assert tested.limmat("status", "HEAD").splitlines()[-1].split() == [
        f"\x1b[33m{tested.git('rev-parse', '--short', 'HEAD')}\x1b[0m",
        "\x1b[32mpassed\x1b[0m",
        "\x1b[31mfailed\x1b[0m",
        "\x1b[1m\x1b[31merrored\x1b[0m",
        "base",
    ]


def test_colors_are_those_of_the_settings(tested: Repo) -> None:
    """A slot that is set has git's sequence; an empty value means no color at all."""
    colors = {"hash": "", "passed": "bold brightblue", "errored": "red bold", "subject": "ul"}
    for slot, color in colors.items():
        tested.git("config", f"color.limmat.{slot}", color)

    assert tested.limmat("status", "HEAD").splitlines()[-1].split() == [
        tested.git("rev-parse", "--short", "HEAD"),
        "\x1b[1;94mpassed\x1b[0m",
        "\x1b[31mfailed\x1b[0m",
        "\x1b[1;31merrored\x1b[0m",
        "\x1b[4mbase\x1b[0m",
    ]


def test_a_bad_color_stops_nobody(tested: Repo) -> None:
    """It is told, and all else goes on."""
    tested.git("config", "color.limmat.passed", "rot")

    done = tested.program("status", "HEAD")

    assert (done.returncode, b"\x1b[32mpassed" in done.stdout) == (0, True)
    assert done.stderr.decode() == (
        "warning: invalid color value 'rot' for 'color.limmat.passed' in file:.git/config; "
        "its default is used\n"
    )
