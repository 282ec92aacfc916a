"""What is said before a push, and when a push is refused."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from hooking import SHELLS, install, use, use_real

from gitlimmat.git.outgoing import Update, parse_updates

CONFIG = """
[[tests]]
name = "unit"
command = "test ! -e bad && test ! -e odd || exit $(cat bad odd)"
error_exit_codes = [2]

[[tests]]
name = "style"
command = "true"
cache = "by_tree"

[[tests]]
name = "seldom"
command = "false"
run_by_default = false
"""


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """Each shell that `/bin/sh` may be."""
    return str(request.param)


@pytest.fixture
def pushing(repo: Repo, shell: str, make_repo: Callable[..., Repo]) -> Repo:
    """A repository whose branch `main` is at `origin`, and `topic` one commit ahead."""
    remote = make_repo("origin", "--bare")
    repo.config(CONFIG)
    repo.commit("base")
    repo.git("remote", "add", "origin", str(remote.path))
    repo.git("push", "-q", "origin", "main")
    repo.commit("topic", "main")
    install(repo, shell, ["pre-push"])
    use_real(repo)
    return repo


def push(repo: Repo, *arguments: str, environment: dict[str, str] | None = None) -> tuple[bool, list[str]]:
    """Push; return whether that was done, and the lines that git itself has not written."""
    options = []
    if arguments[0] == "-c":
        options, arguments = [*arguments[:2]], arguments[2:]
    done = subprocess.run(
        ["git", *options, "push", "-q", *arguments],
        cwd=repo.path,
        env=environment or repo.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if "failed to push some refs" not in line]
    return done.returncode == 0, lines


def test_nothing_is_said_when_all_have_passed(pushing: Repo) -> None:
    """Only tests that run by default count."""
    pushing.limmat("run", "main..topic")

    assert push(pushing, "origin", "topic") == (True, [])


def test_what_is_unknown_is_named(pushing: Repo) -> None:
    """With its tests and its subject, and how to test it; the push is made."""
    short = pushing.git("rev-parse", "--short", "topic")

    assert push(pushing, "origin", "topic") == (
        True,
        [
            "warning: the commit about to be pushed to 'origin' has not passed",
            f"  {short}  unknown  unit, style  topic",
            f"hint: to test what is unknown: git limmat run {short}",
        ],
    )


def test_failures_come_first(pushing: Repo) -> None:
    """Then errors, then what is unknown, each newest first; what has passed is left out."""
    pushing.commit("wrong", bad="1")
    pushing.git("rm", "-q", "bad")
    pushing.commit("odd", odd="2")
    pushing.git("rm", "-q", "odd")
    pushing.commit("good")
    pushing.limmat("run", "main..topic~1", status=1)
    wrong = pushing.git("rev-parse", "--short", "topic~2")

    done, lines = push(pushing, "origin", "topic")

    assert done
    assert lines[0] == "warning: 3 of 4 commits about to be pushed to 'origin' have not passed"
    assert [line.split()[1:] for line in lines[1:4]] == [
        ["failed", "unit", "wrong"],
        ["errored", "unit", "odd"],
        ["unknown", "unit,", "style", "good"],
    ]
    assert lines[4] == f"hint: to see more: git limmat show {wrong}"


@pytest.mark.parametrize("again", ["--no-verify", "-c limmat.prePush=off", "-c limmat.prePush=warn"])
def test_a_push_is_refused_when_that_is_wanted(pushing: Repo, again: str) -> None:
    """It says how to push all the same, and that works."""
    pushing.git("config", "limmat.prePush", "block")

    done, lines = push(pushing, "origin", "topic")

    assert not done
    assert lines[0] == "error: refused: the commit about to be pushed to 'origin' has not passed"
    assert lines[-1].startswith("hint: to push all the same: git push --no-verify, or git -c limmat.prePush=")
    assert pushing.git("ls-remote", "origin", "topic") == ""
    done, _ = push(pushing, *again.split(), "origin", "topic")
    assert done
    assert pushing.git("ls-remote", "origin", "topic") != ""


def test_what_the_hints_say_works(pushing: Repo) -> None:
    """The commands test just what was pushed."""
    pushing.git("config", "limmat.prePush", "block")
    for number in range(5):
        pushing.commit(f"commit {number}")
    _, lines = push(pushing, "origin", "topic")
    (hint,) = [line for line in lines if "to test what is unknown: git limmat " in line]
    command = hint.partition("git limmat ")[2].split()

    assert command == ["run", f"{pushing.git('rev-parse', '--short', 'main')}..topic"]
    pushing.limmat(*command)
    assert push(pushing, "origin", "topic") == (True, [])


def test_a_whole_history_can_be_tested(pushing: Repo, make_repo: Callable[..., Repo]) -> None:
    """To an empty remote everything goes, the first commit, too; ten lines at most tell of it."""
    empty = make_repo("empty", "--bare")
    pushing.git("remote", "add", "empty", str(empty.path))
    pushing.git("remote", "remove", "origin")
    for number in range(20):
        pushing.commit(f"commit {number}")

    done, lines = push(pushing, "empty", "topic")

    assert done
    assert lines[0] == "warning: 22 of 22 commits about to be pushed to 'empty' have not passed"
    assert [line.split()[-1] for line in lines[1:11]] == [str(number) for number in range(19, 9, -1)]
    assert lines[11] == "  and 12 more"
    command = lines[12].partition("git limmat ")[2].split()
    pushing.limmat(*command)
    assert "unknown" not in pushing.limmat("status", "--porcelain", "--include-base", command[-1])


def test_what_the_remote_has_is_not_looked_at(pushing: Repo) -> None:
    """Neither of the branch that is replaced, nor of others; also when history is rewritten."""
    pushing.limmat("run", "topic")
    push(pushing, "origin", "topic")
    pushing.git("switch", "-q", "-c", "other", "main")
    pushing.commit("other")
    push(pushing, "origin", "other")  # unknown, but published now

    assert push(pushing, "origin", "other:again") == (True, [])
    assert push(pushing, "--force", "origin", "other:topic") == (True, [])
    assert push(pushing, "origin", "main:more") == (True, [])


@pytest.mark.parametrize(
    "refs",
    [":gone", "HEAD~1:refs/heads/same", "blob:refs/tags/blob", "tree-tag:refs/tags/tree", "old-tag", "main"],
)
def test_what_brings_no_commit_is_silent(pushing: Repo, refs: str) -> None:
    """Removed branches, tags of old commits and of what is no commit, and nothing new."""
    pushing.git("push", "-q", "--no-verify", "origin", "main:gone")
    pushing.git("tag", "blob", pushing.git("hash-object", "-w", "limmat.toml"))
    pushing.git("tag", "-a", "-m", "a tree", "tree-tag", "main^{tree}")
    pushing.git("tag", "-a", "-m", "old", "old-tag", "main")
    pushing.git("config", "limmat.prePush", "block")

    assert push(pushing, "origin", refs) == (True, [])


def test_a_tag_brings_its_commit(pushing: Repo) -> None:
    """Annotated or not."""
    pushing.git("tag", "-a", "-m", "new", "v1", "topic")
    pushing.git("config", "limmat.prePush", "block")

    done, lines = push(pushing, "origin", "v1")

    assert not done
    assert "1 of" not in lines[0]
    assert "unknown" in lines[1]


def test_several_branches_are_looked_at_together(pushing: Repo) -> None:
    """Each commit counts once."""
    pushing.git("branch", "same", "topic")
    pushing.git("switch", "-q", "-c", "other", "main")
    pushing.commit("other")

    _, lines = push(pushing, "origin", "topic", "same", "other", ":refs/heads/none")

    assert lines[0] == "warning: 2 of 2 commits about to be pushed to 'origin' have not passed"


def test_a_remote_without_a_name_is_not_named(pushing: Repo) -> None:
    """Its address may have a password in it. What any remote has is known there."""
    address = pushing.git("remote", "get-url", "origin")

    _, lines = push(pushing, address, "topic")
    assert lines[0] == "warning: the commit about to be pushed has not passed"
    assert push(pushing, address, "main:more") == (True, [])


def test_branches_without_the_config_are_left_out(pushing: Repo) -> None:
    """Nobody tests a branch of web pages."""
    (pushing.path / ".git/info/exclude").write_text("")
    pushing.git("switch", "-q", "--orphan", "pages")
    pushing.write("index.html", "hello")
    pushing.git("add", "index.html")
    pushing.git("commit", "-q", "-m", "pages")
    pushing.git("switch", "-q", "topic")
    pushing.config(CONFIG)
    pushing.git("add", "-f", "limmat.toml")
    pushing.git("commit", "-q", "-m", "config")
    pushing.git("config", "limmat.prePush", "block")

    assert push(pushing, "origin", "pages") == (True, [])
    done, _ = push(pushing, "origin", "pages", "topic")
    assert not done


def test_nothing_is_said_without_a_config(pushing: Repo) -> None:
    """No limmat.toml, nothing to know."""
    (pushing.path / "limmat.toml").unlink()
    pushing.git("config", "limmat.prePush", "block")

    assert push(pushing, "origin", "topic") == (True, [])


@pytest.mark.parametrize("text", ["#!/no/such/interpreter\n", "#!/bin/sh\nexit 1\n", "\0garbage"])
def test_a_broken_program_is_one_line(pushing: Repo, text: str) -> None:
    """It stops nobody."""
    program = use(pushing, text)
    pushing.git("config", "limmat.prePush", "block")

    assert push(pushing, "origin", "topic") == (
        True,
        [f"warning: {program} cannot be run: nobody has looked at what is pushed"],
    )


def test_a_program_that_fails_stops_nobody(pushing: Repo) -> None:
    """A bug of ours is not a refusal."""
    program = use(pushing, '#!/bin/sh\n[ "$1" = --version ] || exit 128\n')
    pushing.git("config", "limmat.prePush", "block")

    assert push(pushing, "origin", "topic") == (
        True,
        [f"warning: {program} has failed: nobody has looked at what is pushed"],
    )


def test_a_missing_program_is_one_line(pushing: Repo) -> None:
    """A program that a setting names is used instead."""
    places = pushing.environment["PATH"].split(os.pathsep)
    path = os.pathsep.join(place for place in places if not (Path(place) / "git-limmat").exists())
    alone = pushing.environment | {"PATH": path}

    assert push(pushing, "origin", "topic:one", environment=alone) == (
        True,
        ["warning: git-limmat cannot be run: nobody has looked at what is pushed"],
    )
    pushing.git("config", "limmat.program", str(Path(places[0]) / "git-limmat"))
    pushing.commit("second")
    assert "has not passed" in push(pushing, "origin", "topic:two", environment=alone)[1][0]


@pytest.mark.parametrize(("mode", "done"), [("warn", True), ("block", False), ("off", True)])
def test_a_config_with_faults_refuses_only_where_pushes_are_blocked(
    pushing: Repo, mode: str, done: bool
) -> None:
    """What cannot be known is not passed."""
    pushing.config("[[tests]\n")
    pushing.git("config", "limmat.prePush", mode)

    pushed, lines = push(pushing, "origin", "topic")

    assert pushed is done
    assert bool(lines) == (mode != "off")


def test_a_setting_with_a_fault_is_told(pushing: Repo) -> None:
    """It may have been meant to block, or not: it is not guessed."""
    pushing.git("config", "limmat.prePush", "blok")

    done, lines = push(pushing, "origin", "topic")

    assert done
    assert "bad config value 'blok' for 'limmat.prePush'" in lines[0]


def test_nothing_new_starts_no_program(pushing: Repo) -> None:
    """Git calls the hook all the same, and tells it nothing."""
    use(pushing, "#!/bin/sh\necho started >&2\n")

    assert push(pushing, "origin", "main") == (True, [])


def test_a_job_that_pushes_is_not_looked_at(pushing: Repo) -> None:
    """A test of a deployment may push what it likes."""
    pushing.git("config", "limmat.prePush", "block")
    inside = pushing.environment | {"LIMMAT_JOB": "1-abc"}

    assert push(pushing, "origin", "topic", environment=inside) == (True, [])


def test_results_in_another_place_are_found(pushing: Repo, tmp_path: Path) -> None:
    """The settings of the host hold, and nothing is written."""
    pushing.git("config", "limmat.resultDb", str(tmp_path / "db"))
    pushing.limmat("run", "main..topic")

    assert push(pushing, "origin", "topic") == (True, [])


def test_a_terminal_is_no_list_of_refs(repo: Repo) -> None:
    """Someone who tries the command by hand is told what calls it."""
    done = subprocess.run(
        ["script", "-qec", " ".join(repo.argv("prepush", "origin")), "/dev/null"],
        cwd=repo.path,
        env=repo.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 129
    assert "standard input is a terminal" in done.stdout


def test_lines_of_another_form_are_left_out() -> None:
    """A later git may tell more."""
    zeros, ones = "0" * 40, "1" * 40
    text = f"refs/heads/a {ones} refs/heads/a {zeros}\n(delete) {zeros} refs/heads/b {ones}\nmore\n\n"

    assert parse_updates(text) == (
        Update(local_ref="refs/heads/a", local=ones, remote_ref="refs/heads/a", remote=zeros),
        Update(local_ref="(delete)", local=zeros, remote_ref="refs/heads/b", remote=ones),
    )
    assert [update.deletes for update in parse_updates(text)] == [False, True]
