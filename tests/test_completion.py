"""Completion in real shells, through their completion of git: commands, options, tests and revisions."""

from __future__ import annotations

import importlib.util
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from completing import COMPLETE, COMPLETION, install
from conftest import Repo

from gitlimmat.cli.main import COMMANDS

TOP = Path(__file__).parent.parent
CONFIG = """
[[resources]]
name = "database"

[[tests]]
name = "unit"
command = "true"
[[tests]]
  name = 'lint' # quoted otherwise
command = "name = no"
[ [ tests ] ] # not TOML, but no reason to fail
"""
SHELLS = [shell for shell in COMPLETE if shutil.which(shell)]
every_shell = pytest.mark.parametrize("shell", SHELLS)


@pytest.fixture
def prepared(repo: Repo, tmp_path: Path) -> tuple[Repo, Path]:
    """A repository with tests and branches, and a place where the completion is installed."""
    repo.config(CONFIG)
    repo.commit("base")
    repo.git("branch", "topic/first")
    repo.git("tag", "v1.0")
    programs = tmp_path / "programs"
    install(programs)
    return repo, programs


def test_the_files_are_what_the_command_line_says() -> None:
    """Run `python packaging/completion.py` when this fails: options have changed."""
    place = TOP / "packaging" / "completion.py"
    spec = importlib.util.spec_from_file_location("completion", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["completion"] = module
    spec.loader.exec_module(module)

    for name, text in module.files().items():
        assert (COMPLETION / name).read_text() == text


@every_shell
def test_commands_are_completed(prepared: tuple[Repo, Path], shell: str) -> None:
    """`git limmat <Tab>` offers the commands, with a prefix those that begin so."""
    commands = COMPLETE[shell](prepared[0], "git limmat ", prepared[1])
    some = COMPLETE[shell](prepared[0], "git limmat st", prepared[1])

    assert {"run", "status", "show", "test"} <= set(commands) <= set(COMMANDS)
    assert some == ["status"]


@every_shell
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("git limmat run --dr", ["--dry-run"]),
        ("git limmat run --rerun=", ["all", "errored", "failed"]),
        ("git limmat --tests un", ["unit"]),
        ("git limmat run --tests ", ["lint", "unit"]),
        ("git limmat run --tests=u", ["unit"]),
        ("git limmat test ", ["lint", "unit"]),
        ("git limmat -r . test l", ["lint"]),
        ("git limmat get unit top", ["topic/first"]),
        ("git limmat get unit HEAD std", ["stderr", "stdout"]),
        ("git limmat run v1", ["v1.0"]),
        ("git limmat run v1.0..top", ["v1.0..topic/first"]),
        ("git limmat forget main li", ["lint"]),
        ("git limmat forget main lint un", ["unit"]),
        ("git limmat help limmat.t", ["limmat.toml"]),
        ("git-limmat sta", ["status"]),
        ("git limmat log --onel", ["--oneline"]),
    ],
)
def test_what_comes_next_is_completed(
    prepared: tuple[Repo, Path], shell: str, line: str, found: list[str]
) -> None:
    """Options, their values, names of tests and revisions, each where it may stand."""
    said = COMPLETE[shell](prepared[0], line, prepared[1])

    before = line.rpartition(" ")[2]
    cut = {before[: before.rindex(sign) + 1] for sign in ("=", "..") if sign in before}
    cut |= {before[: before.rindex("..") + 2]} if ".." in before else set()
    for prefix in cut:  # some shells repeat what is there already
        said = [each.removeprefix(prefix) for each in said]
        found = [each.removeprefix(prefix) for each in found]
    assert said == found


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell != "fish"])
def test_an_alias_is_completed_like_what_it_means(prepared: tuple[Repo, Path], shell: str) -> None:
    """`alias.tt = limmat test`, as init makes it, is followed by tests. Fish does not tell what it means."""
    repo, programs = prepared
    repo.git("config", "alias.tt", "limmat test")
    repo.git("config", "alias.li", "limmat")

    assert COMPLETE[shell](repo, "git tt u", programs) == ["unit"]
    assert COMPLETE[shell](repo, "git li test u", programs) == ["unit"]


@every_shell
def test_values_that_are_anything_offer_nothing_of_ours(prepared: tuple[Repo, Path], shell: str) -> None:
    """After an option with a number there are neither commands nor tests."""
    assert not {"run", "unit", "HEAD"} & set(
        COMPLETE[shell](prepared[0], "git limmat run --jobs ", prepared[1])
    )


@every_shell
def test_the_config_on_the_line_has_the_tests(prepared: tuple[Repo, Path], shell: str) -> None:
    """-c names another file, and its tests are offered."""
    repo, programs = prepared
    repo.config('[[tests]]\nname = "other"\ncommand = "true"', "other.toml")

    assert COMPLETE[shell](repo, "git limmat -c other.toml test ", programs) == ["other"]


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell != "zsh"])
@pytest.mark.parametrize("line", ["git limmat ", "git limmat test ", "git limmat run "])
def test_completion_is_instant(prepared: tuple[Repo, Path], shell: str, line: str) -> None:
    """Less than 100 ms are added to what the shell and git's completion need to start."""

    def seconds(what: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        COMPLETE[shell](prepared[0], what, prepared[1])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    ours, theirs = (min(seconds(each) for _ in range(5)) for each in (line, "git status --sho"))

    assert ours - theirs < 0.1


def test_a_name_with_spaces_is_one_word_for_bash(prepared: tuple[Repo, Path]) -> None:
    """What is inserted is quoted as bash needs it."""
    repo, programs = prepared
    repo.config('[[tests]]\nname = "a b"\ncommand = "true"')

    assert COMPLETE["bash"](repo, "git limmat test ", programs) == ["a\\ b"]


@every_shell
def test_without_a_repository_nothing_breaks(prepared: tuple[Repo, Path], shell: str) -> None:
    """Completion says nothing rather than an error."""
    repo, programs = prepared
    outside = Repo(programs, repo.environment)

    assert COMPLETE[shell](outside, "git limmat test ", programs) in ([], ["bash", "bin", "config", "zsh"])
    assert "run" in COMPLETE[shell](outside, "git limmat ", programs)


def test_files_are_good_shell() -> None:
    """Each shell reads its file without complaint."""
    for shell, name in (("bash", "git-limmat.bash"), ("zsh", "_git-limmat"), ("fish", "git-limmat.fish")):
        subprocess.run([shell, "-n", COMPLETION / name], check=True)
