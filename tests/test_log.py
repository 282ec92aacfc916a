"""`git limmat log` is git log, with results: take those out and the bytes are the same."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Sequence

import pytest
from conftest import Repo
from pseudoterminal import on_terminal

from gitlimmat.git.configuration import read_settings
from gitlimmat.git.log import Annotator, LogCall, Placeholder, plan_log, start_log
from gitlimmat.git.repository import find_repository
from gitlimmat.model import Commit

CONFIG = """
[[tests]]
name = "build"
command = "true"
cache = "by_tree"

[[tests]]
name = "unit"
command = "test ! -e bad"

[[tests]]
name = "slow"
command = "true"
run_by_default = false
"""
FORMATS = (
    *("", "--oneline", "--pretty", "--format=short", "--pretty=full", "--pretty=fuller", "--format=raw"),
    *("--pretty=oneline", "--format=medium", "--format=reference", "--format=FULLe", "--abbrev-commit"),
    *("--format=email", "--format=mboxrd", "--format=", "--format=%h %s", "--format=%C(auto)%h%d %s%n%n%b"),
    *(
        "--format=format:%H%x00%an",
        "--format=tformat:%h%x0a%s",
        "--pretty=mine",
        "--pretty=other",
        "--format=%%n",
    ),
    *("--oneline --format=%h", "--format=%h --oneline", "--format=%+s"),
)
MORE = (
    *("", "", "--graph", "--graph", "-p", "--stat", "-z", "--reverse", "--name-only", "-g", "--left-right"),
    *("--color=always", "--parents", "--children", "--decorate", "--raw --abbrev=4", "--boundary", "--all"),
    *("--show-notes", "--no-walk", "--date=iso", "--source", "-c", "--first-parent", "-n2", "--cherry-mark"),
    *(
        "--follow -- file",
        "-- file",
        "--no-abbrev-commit",
        "-L1,1:file",
        "--topo-order",
    ),
    *("main...side", "side ^main", "HEAD~3..", "--merges", "--numstat --summary"),
)
CELL = re.compile(r"\x01[0-9a-f]{40}\x01")


@pytest.fixture
def history(repo: Repo) -> Repo:
    """Branches, an octopus, a tag, notes, and texts that look like what git log prints."""
    repo.git("config", "pretty.mine", "format:%h by %an%n%s")
    repo.git("config", "pretty.other", "mine")
    base = repo.commit("base", file="one\n", **{f"commit {'0' * 40}": ""})
    for name in ("side", "third"):
        repo.commit(name, "main", file=f"{name}\ncommit {base}\n{base[:7]} words\n* {base[:7]} more\n")
        repo.git("checkout", "-q", "main")
    repo.commit(f"squash\n\ncommit {base}\n{base}\n\n    commit {base}\n\n- point\n", **{base[:7]: "x"})
    repo.git("merge", "-q", "-s", "ours", "-m", "octopus", "side", "third")
    repo.commit("(looks like a, decoration) words")
    repo.git("tag", "-m", "annotated", "v1")
    repo.git("notes", "add", "-m", "a note")
    return repo


def annotated(repo: Repo, words: Sequence[str], size: int) -> str:
    """Return the log with the full id of each commit in place of its results, read in pieces of `size`."""
    repository = find_repository(repo.path)
    call = plan_log(words, read_settings(repository))
    annotator = Annotator(repository, call, show_id)
    with start_log(repository, call, None) as process:
        assert process.stdout is not None
        said = process.stdout.read()
    pieces = [said[start : start + size] for start in range(0, len(said), size)]
    return b"".join([*map(annotator.feed, pieces), annotator.end()]).decode()


def show_id(commit: Commit, wanted: Placeholder) -> str:
    """Return the id so that it can be found again."""
    return f"\x01{commit.id}\x01"


def ids(repo: Repo, words: Sequence[str]) -> list[str]:
    """Return the ids of the commits in a log, as git itself tells them."""
    rest = [word for word in words if not word.startswith(("--format", "--pretty", "--oneline"))]
    said = repo.git("log", "--format=%x02%H%x02", *rest, check=False)
    return re.findall(r"\x02(\w{40})\x02", said)


@pytest.mark.parametrize("chosen", FORMATS)
def test_a_log_is_that_of_git_with_one_thing_at_each_commit(
    history: Repo, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the options: each commit once, in order, and without it the bytes are those of git."""
    monkeypatch.chdir(history.path)
    random_options = random.Random(chosen)
    for _ in range(14):
        more = " ".join(sorted(random_options.sample(MORE, 2), key=lambda words: "-- " in words))
        words = [*chosen.split(" ", 0 if "%" in chosen and "--oneline" not in chosen else -1), *more.split()]
        words = [word for word in words if word]
        with_ids = annotated(history, words, random_options.choice((1, 7, 100, 1 << 16)))
        assert CELL.sub("", with_ids) == git_log(history, words), words
        found = [match[0].strip("\x01") for match in CELL.finditer(with_ids)]
        if chosen not in ("--format=email", "--format=mboxrd", "--format="):
            assert found == ids(history, words), words
        else:
            assert found == []


def git_log(repo: Repo, words: Sequence[str]) -> str:
    """Return what git itself prints."""
    done = subprocess.run(
        ["git", "log", *words], cwd=repo.path, env=repo.environment, capture_output=True, check=False
    )
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%(limmat)", [Placeholder()]),
        ("%h% (limmat)%(limmat:unit)", [Placeholder(lead=" "), Placeholder(test="unit")]),
        ("%<(8)%(limmat:a b)", [Placeholder(test="a b", width=8)]),
        ("%>( 8 , trunc )%(limmat)", [Placeholder(align=">", width=8, is_cut=True)]),
        ("%><(8,ltrunc)%(limmat)", [Placeholder(align="><", width=8, is_cut=True)]),
        ("%%(limmat)", [Placeholder(lead="  ")]),
        ("%(limmat", [Placeholder(lead="  ")]),
    ],
)
def test_placeholders_are_found(text: str, found: list[Placeholder]) -> None:
    """With what git's own take: a space before, and a width."""
    assert list(plan_log([f"--format={text}"], []).placeholders) == found


def test_what_follows_two_dashes_is_no_format() -> None:
    """A file may be called like an option."""
    call = plan_log(["--", "--format=%h"], [])
    assert call == LogCall(arguments=("--", "--format=%h"), layout=call.layout)
    assert call.placeholders == ()


@pytest.fixture
def tested(repo: Repo) -> Repo:
    """Three commits: one untested, one failed, one passed."""
    repo.config(CONFIG)
    repo.commit("first")
    repo.commit("second", bad="")
    repo.git("rm", "-q", "bad")
    repo.commit("third")
    repo.limmat("run", "HEAD~2..HEAD", status=1)
    return repo


def test_results_stand_at_the_end_of_the_line_of_a_commit(tested: Repo) -> None:
    """Name and sign of each selected test; nothing where nothing is known."""
    short = tested.git("log", "--format=%h").split()
    assert tested.limmat("log", "--oneline").splitlines() == [
        f"{short[0]} third  build ✓ unit ✓",
        f"{short[1]} second  build ✓ unit ✗",
        f"{short[2]} first",
    ]
    assert tested.limmat("log", "-1").splitlines()[0] == (
        f"commit {tested.git('rev-parse', 'HEAD')}  build ✓ unit ✓"
    )
    assert tested.limmat("--tests", "unit", "log", "-1", "--format=%s") == "third  unit ✓\n"


def test_a_format_says_where_results_go(tested: Repo) -> None:
    """All of them, or one by its outcome, filled up or cut as git does."""
    asked = (
        "%<(9)%(limmat:unit)|%>(8)%(limmat:unit)|%><(8)%(limmat:unit)|%<(6,trunc)%(limmat)|% (limmat:slow)|%s"
    )
    assert tested.limmat("log", f"--format={asked}").splitlines() == [
        "passed   |  passed| passed |buil..||third",
        "failed   |  failed| failed |buil..||second",
        "         |        |        |      ||first",
    ]


def test_a_test_that_is_not_selected_may_be_named(tested: Repo) -> None:
    """What is known of it is shown."""
    tested.limmat("run", "--tests", "slow", "HEAD")
    assert tested.limmat("log", "-1", "--format=%(limmat:slow)/%(limmat:none)") == "passed/\n"


def test_signs_and_colors_are_those_of_the_settings(tested: Repo) -> None:
    """`limmat.glyphs`, `color.limmat.<slot>` and the options of git log."""
    tested.git("config", "limmat.glyphs", "ascii")
    tested.git("config", "color.limmat.passed", "bold blue")
    assert tested.limmat("log", "-1", "--format=%s") == "third  build P unit P\n"
    for words in (("log", "--color"), ("--color", "log"), ("log", "--no-color", "--color=always")):
        assert "\x1b[1;34mP\x1b[0m" in tested.limmat(*words, "-1")
    tested.git("config", "color.ui", "always")
    assert "\x1b[1;34mP\x1b[0m" in tested.limmat("log", "-1")
    assert "\x1b" not in tested.limmat("log", "-1", "--no-color")


def test_options_after_the_command_are_those_of_git(tested: Repo) -> None:
    """Also those that mean something else before it."""
    assert "diff --git" in tested.limmat("log", "-c", "-r", "-1", "HEAD~1")
    assert tested.limmat("log", "--oneline", "--", "bad").count("\n") == 2


@pytest.mark.parametrize("words", [("nope",), ("--nope",), ("-n1", "--format=nope"), ("--", "nope")])
def test_errors_and_status_are_those_of_git(tested: Repo, words: tuple[str, ...]) -> None:
    """What git says, and how it exits."""
    theirs = subprocess.run(
        ["git", "log", *words], cwd=tested.path, env=tested.environment, capture_output=True, check=False
    )
    ours = tested.program("log", *words)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


@pytest.mark.parametrize(
    "named",
    [
        ("refs/notes/limmat", "refs/notes/mine"),
        ("refs/notes/limma[t]", "refs/notes/mine"),  # as git limmat init writes it
        ("refs/notes/limma[t]", "refs/notes/*"),
        ("refs/notes/*",),
    ],
)
def test_the_notes_of_results_are_not_shown_twice(tested: Repo, named: tuple[str, ...]) -> None:
    """Other notes are, and ours when they are asked for."""
    for each in named:
        tested.git("config", "--add", "notes.displayRef", each)
    tested.git("notes", "--ref=mine", "add", "-m", "my words")
    said = tested.limmat("log", "-1")
    assert "my words" in said
    assert "limmat: 2 passed" not in said
    assert "limmat: 2 passed" in tested.limmat("log", "-1", "--notes=limmat")


def test_a_copied_note_is_never_shown(tested: Repo) -> None:
    """What stands beside a commit is looked up for that commit."""
    tested.git("config", "notes.rewriteRef", "refs/notes/*")
    tested.write("bad", "again")
    tested.git("add", "-A")
    tested.git("commit", "-q", "--amend", "-m", "amended")
    assert tested.limmat("log", "-1", "--format=%s") == "amended\n"


def test_nothing_is_written(tested: Repo) -> None:
    """Readers never write."""
    before = {path: path.stat().st_mtime_ns for path in tested.path.rglob("*")}
    tested.limmat("log", "-p", "--graph")
    assert {path: path.stat().st_mtime_ns for path in tested.path.rglob("*")} == before


def shown(repo: Repo, argv: Sequence[str], **extra: str) -> tuple[str, int]:
    """Return what a terminal gets, and the exit status."""
    return on_terminal(argv, repo.path, repo.environment | {"TERM": "xterm"} | extra)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"GIT_PAGER": "sed s/^/P:/"},
        {"PAGER": "cat -n"},
        {"GIT_PAGER": "cat"},
        {"GIT_PAGER": "sed s/^/P:/", "config": "color.pager=false"},
        {"GIT_PAGER": "cat", "config": "color.pager=false"},
        {"config": "core.pager=sed s/^/C:/"},
        {"config": "pager.log=sed s/^/L:/"},
        {"config": "pager.log=false", "GIT_PAGER": "sed s/^/P:/"},
        {"config": "pager.log=sed s/^/L:/", "GIT_PAGER": "sed s/^/P:/"},
        {"GIT_PAGER": "echo $LESS $LV $GIT_PAGER_IN_USE;cat"},
        {"GIT_PAGER": "no-such-pager"},
        {"COLUMNS": "40", "GIT_PAGER": "cat"},
        {"config": "color.ui=never"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "words", [("--stat",), ("--oneline", "--decorate=auto", "--graph"), ("nope",)], ids=str
)
def test_pager_colors_and_width_are_those_of_git(
    tested: Repo, settings: dict[str, str], words: tuple[str, ...]
) -> None:
    """On a terminal: without results, all that arrives there is the same, and so is the status."""
    tested.git("update-ref", "-d", "refs/limmat/results")
    extra = {"PAGER": "sed s/^/D:/"} | settings
    if config := extra.pop("config", None):
        key, _, value = config.partition("=")
        tested.git("config", key, value)
    assert shown(tested, tested.argv("log", *words), **extra) == shown(
        tested, ["git", "log", *words], **extra
    )


def test_results_are_shown_in_a_pager_with_colors(tested: Repo) -> None:
    """As everything else."""
    said, status = shown(tested, tested.argv("log", "-1", "--format=%s"), GIT_PAGER="sed s/^/P:/")
    assert (said, status) == ("P:third  build \x1b[32m✓\x1b[0m unit \x1b[32m✓\x1b[0m\n", 0)
    said, _ = shown(tested, tested.argv("log", "-1", "--format=%s"), GIT_PAGER="cat", NO_COLOR="1")
    assert said == "third  build ✓ unit ✓\n"


def test_a_pager_that_has_seen_enough_ends_the_log(tested: Repo) -> None:
    """The status is that of a broken pipe, and git does not go on."""
    tested.write("big", "line\n" * 100_000)
    tested.git("add", "big")
    tested.git("commit", "-q", "-m", "big")
    said, status = shown(tested, tested.argv("log", "-p", "--format=%s"), GIT_PAGER="head -1")
    assert ("big" in said, len(said.splitlines()), status) == (True, 1, 141)
