"""The manual pages say what the program does: same options, same settings, and examples that run."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from conftest import Repo

from gitlimmat.cli.main import COMMANDS, build_app
from gitlimmat.cli.options import NAMES
from gitlimmat.cli.queue import COMMANDS as QUEUE
from gitlimmat.config.settings import SETTINGS
from gitlimmat.model import Outcome
from gitlimmat.service.lookup import EXIT_STATUS
from gitlimmat.service.queue.settings import KEYS
from gitlimmat.web.queueapi import ApiChange, ApiChangePage, ApiQueue, ApiRetries, ApiRun, ApiTree
from gitlimmat.web.queuelist import COLUMNS, GROUPS, Wanted
from gitlimmat.web.queueview import Retry

MAN = Path(__file__).parent.parent / "man"
PAGES = sorted(MAN.glob("man[1-8]/*.[1-8]"))
COMMAND_PAGES = sorted(MAN.glob("man1/*.1"))
ORDER = (
    *(
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "COMMANDS",
        "OPTIONS",
        "CONFIGURATION",
        "EXIT STATUS",
        "ENVIRONMENT",
    ),
    *("FILES", "DIFFERENCES TO LIMMAT", "EXAMPLES", "SEE ALSO"),
)
QUEUE_COMMANDS = re.compile(r"(?m)^git limmat queue \(?([a-z|-]+)")
API = (ApiQueue, ApiRun, ApiChange, ApiChangePage, ApiRetries, Retry, ApiTree)
"""Documents of the pages of a queue, and what is in them."""
SERVES = re.compile(r"git limmat (watch|web)\b")
"""Commands that go on until Ctrl-C. They have started when the first line is there."""
OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][a-z-]*")
CONFIG = """
[[tests]]
name = "build"
command = "echo building; printf 'echo app\\n' >$LIMMAT_ARTIFACTS/app; chmod +x $LIMMAT_ARTIFACTS/app"
cache = "by_tree"

[[tests]]
name = "unit"
command = "echo unit; test -s $LIMMAT_ARTIFACTS_build/app"
depends_on = ["build"]

[[tests]]
name = "bench"
command = "true"
run_by_default = false
"""


def plain(source: str) -> str:
    """Return man source as a reader sees it: without fonts, and with real dashes and quotes."""
    text = re.sub(r"\\f[A-Z]", "", source.replace("\\\n", ""))
    for escape, character in (("\\-", "-"), ("\\(aq", "'"), ("\\(lq", '"'), ("\\(rq", '"'), ("\\(bu", "*")):
        text = text.replace(escape, character)
    return text


def sections(page: Path) -> dict[str, str]:
    """Return the text of each section of a page, in the order of the page."""
    parts = re.split(r'^\.SH "?([A-Z\[\] -]+?)"?$', plain(page.read_text()), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def tags(text: str) -> list[str]:
    """Return what the items of a list are called."""
    return re.findall(r"^\.TP(?: .*)?\n(.*)$", text, flags=re.MULTILINE)


def page_of(name: str | None) -> Path:
    """Return the page of a command, None being the program."""
    return MAN / "man1" / (f"git-limmat-{name}.1" if name else "git-limmat.1")


def parameters(name: str | None) -> tuple[set[str], set[str]]:
    """Return the options of a command as spelled, and the words its arguments are called by."""
    command = typer.main.get_command(build_app([name] if name else COMMANDS))
    shown = command.commands[name] if name else command  # type: ignore[attr-defined]
    below = getattr(shown, "commands", {}).values() if name else ()
    found = [parameter for each in (shown, *below) for parameter in each.params]
    options = {
        spelling
        for each in found
        if each.param_type_name == "option" and not (name and each.name in NAMES)
        for spelling in each.opts
    }
    words = {
        word
        for each in found
        if each.param_type_name == "argument"
        for word in re.findall(r"<\w+>|\w+", each.metavar or "")
    }
    return options | (set() if name else {"-h", "--help"}), words


def examples(page: Path) -> Iterator[tuple[str, int]]:
    """Return the command lines that start with `$ `, and the status that each says it exits with."""
    for line in sections(page)["EXAMPLES"].splitlines():
        if line.startswith("$ "):
            status = re.search(r"# exits with (\d+)$", line)
            yield line[2:], int(status[1]) if status else 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_with_its_docstring_as_name(name: str) -> None:
    """The NAME line is the first sentence of the command's help."""
    docstring = importlib.import_module(f"gitlimmat.cli.{name}").command.__doc__
    first = " ".join(docstring.strip().split("\n\n")[0].split()).rstrip(".")

    assert sections(page_of(name))["NAME"].strip() == f"git-limmat-{name} - {first[0].lower()}{first[1:]}"


def test_the_page_of_the_program_has_its_help_as_name() -> None:
    """The NAME line of git-limmat(1) is what -h starts with."""
    said = build_app(()).info.help
    assert isinstance(said, str)

    name = sections(page_of(None))["NAME"].strip()

    assert name.lower() == f"git-limmat - {said.rstrip('.').lower()}"


def test_there_is_no_page_without_a_command() -> None:
    """A command that goes takes its page with it."""
    assert sorted([page_of(None), *(page_of(name) for name in COMMANDS)]) == COMMAND_PAGES


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_synopsis_and_options_name_what_the_program_takes(name: str | None) -> None:
    """Both sections have each option and argument of the command, and no other."""
    options, words = parameters(name)
    page = sections(page_of(name))
    listed = " ".join(tags(page["OPTIONS"]))

    assert set(OPTION.findall(page["SYNOPSIS"])) == options
    assert set(OPTION.findall(listed)) == options
    if name:
        arguments = OPTION.sub("", page["SYNOPSIS"].replace(f"git limmat {name}", ""))
        assert words <= set(re.findall(r"<\w+>|\w+", arguments))
        assert set(re.findall(r"<\w+>", arguments)) == {word for word in words if word.startswith("<")}
        assert words <= set(re.findall(r"<\w+>|\w+", listed))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_points_to_the_global_options(name: str) -> None:
    """Global options are explained once, in git-limmat(1)."""
    assert "For the global options see git-limmat(1)." in sections(page_of(name))["OPTIONS"]


@pytest.mark.parametrize("page", COMMAND_PAGES, ids=lambda page: page.stem)
def test_sections_stand_in_the_order_of_git_pages(page: Path) -> None:
    """A reader who knows one page finds everything in the others."""
    found = list(sections(page))

    assert found == [name for name in ORDER if name in found]
    assert {"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"} <= set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_clean(page: Path) -> None:
    """mandoc has nothing to complain about."""
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", page], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_refer_to_pages_that_exist(page: Path) -> None:
    """A page of ours that another one names is there."""
    named = re.findall(r"(git-?limmat[\w-]*|limmat\.toml)\((\d)\)", plain(page.read_text()))

    assert [
        name for name, section in named if not (MAN / f"man{section}" / f"{name}.{section}").exists()
    ] == []


def test_the_overview_has_every_setting() -> None:
    """git-limmat(1) explains each git setting, and names its environment variable."""
    page = sections(page_of(None))
    explained = [tag for tag in tags(page["CONFIGURATION"]) if tag.startswith("limmat.")]

    assert sorted(explained) == sorted(setting.key for setting in SETTINGS)
    variables = set(re.findall(r"LIMMAT_\w+", " ".join(tags(page["ENVIRONMENT"]))))
    assert variables == {setting.variable for setting in SETTINGS if setting.variable}


def test_the_page_of_the_queue_has_every_command_and_setting() -> None:
    """Each command has its line in the synopsis, each key its item."""
    page = sections(page_of("queue"))
    named = " ".join(QUEUE_COMMANDS.findall(page["SYNOPSIS"]))
    keys = re.findall(r"limmat\.queue\.(\w+)", " ".join(tags(page["CONFIGURATION"])))

    assert set(re.split(r"[ |]", named)) == set(QUEUE)
    assert sorted(keys) == sorted(KEYS)


def test_the_page_of_the_queue_tells_what_its_pages_have() -> None:
    """Each column, each word of the URL, each document and each of its fields is named."""
    text = (page_of("queue").read_text()).partition(".SS Pages")[2].partition(".SS Limits")[0]
    bold = set(re.findall(r"\\fB([^\\]+)\\fR", text))
    told = {word for record in API for word in record.__struct_fields__} - {"format"}

    assert told <= bold
    assert {*COLUMNS, *GROUPS} <= bold
    assert {f"{word}=" for word in Wanted().query(page=2)} <= bold
    for path in ("/", "/changes/", "/retries", "/tree", "/api/queue", "/api/queue/changes/", "/live"):
        assert path in bold


@pytest.mark.parametrize("page", COMMAND_PAGES, ids=lambda page: page.stem)
def test_sections_that_the_source_names_exist(page: Path) -> None:
    """What a docstring or a hint names as its source is a section of that page."""
    lines = plain(page.read_text()).splitlines()
    titles = {line[4:].strip('"').upper() for line in lines if line.startswith((".SH ", ".SS "))}
    name = re.escape(f"{page.stem}(1)")
    named = re.compile(rf"{name}, ([A-Z][A-Z ]+)\b|see ([A-Z][A-Z ]+) in {name}")
    found = {
        one or other
        for source in (MAN.parent / "gitlimmat").rglob("*.py")
        for one, other in named.findall(source.read_text())
    }

    assert found <= titles


def test_the_page_of_the_queue_and_the_readme_tell_the_same_of_what_lands() -> None:
    """Both have the figures of one simulation."""
    row = re.compile(r"(?m)^\| queue, (.+), (\d+) % fail: .*, simulated \| (\d+) \| (.+): (\d+) \|")
    told: dict[tuple[str, str], str] = {}
    for way, failing, landed, peer, peer_landed in row.findall((MAN.parent / "README.md").read_text()):
        told |= {(way, failing): landed, (peer, failing): peer_landed}
    table = plain(page_of("queue").read_text()).partition("none fails")[2].partition(".EE")[0]
    line = re.compile(r"(?m)^(.+?) {2,}(\d+) \(\S+ +(\d+) \(\S+ +(\d+) \(")
    shown = {
        (way, failing): count
        for way, *landed in line.findall(table)
        for failing, count in zip(("0", "5", "20"), landed, strict=True)
    }

    assert len(shown) == 18
    assert shown == told


def test_the_overview_tells_the_precedence_of_sources() -> None:
    """The order in which sources count is the one that settings are resolved in."""
    assert "option, environment variable, git config, config file, default" in " ".join(
        sections(page_of(None))["CONFIGURATION"].split()
    )


def test_exit_statuses_are_those_of_the_program() -> None:
    """git-limmat(1) lists all statuses, git-limmat-get(1) those of --exit-code."""
    overview = {int(tag) for tag in tags(sections(page_of(None))["EXIT STATUS"])}
    get = {int(tag) for tag in tags(sections(page_of("get"))["EXIT STATUS"])}

    assert overview == {0, 1, 50, 77, 125, 128, 129, 130, 141}
    assert {EXIT_STATUS[outcome] for outcome in Outcome} | {50} <= get <= overview


@pytest.fixture
def installed(sealed: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An environment in which git finds `git-limmat`, and keeps global settings out of the way."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "git-limmat"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gitlimmat "$@"\n')
    program.chmod(0o755)
    return sealed | {
        "PATH": f"{programs}{os.pathsep}{sealed['PATH']}",
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
    }


@pytest.fixture
def tried(repo: Repo, installed: dict[str, str]) -> Repo:
    """The repository that the examples talk of: known results on the branch `topic`."""
    repo.config(CONFIG)
    repo.write("check", "#!/bin/sh\n", executable=True)
    repo.commit("first")
    repo.commit("second")
    repo.commit("topic", "main")
    repo.commit("third")
    repo.environment |= installed
    repo.limmat("run", "main..topic")
    return repo


@pytest.mark.parametrize("page", COMMAND_PAGES, ids=lambda page: page.stem)
def test_examples_run_and_exit_as_the_page_says(tried: Repo, page: Path) -> None:
    """Each example that a page shows with a prompt works in a repository with limmat.toml and a branch."""
    lines = list(examples(page))

    assert lines
    for line, status in lines:
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=tried.path,
            env=tried.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        assert process.stdout is not None
        first, statuses = "", [status]
        if SERVES.search(line):
            first = process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: git gets it, too, and dies of it
            statuses.append(-signal.SIGINT)
        said, errors = process.communicate(timeout=60)
        assert process.returncode in statuses, f"{line}\n{first}{said}{errors}"
        assert "Traceback" not in errors


@pytest.mark.parametrize("topic", ["limmat", "git-limmat-run", "limmat.toml"])
def test_the_pages_are_found_by_name(installed: dict[str, str], topic: str) -> None:
    """`git help limmat` and `man limmat.toml` show our pages when these are where man looks for pages."""
    argv = ["man", topic] if topic == "limmat.toml" else ["git", "-c", "help.format=man", "help", topic]

    done = subprocess.run(
        argv,
        env=installed | {"MANPATH": str(MAN), "MANPAGER": "cat", "PAGER": "cat"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "SEE ALSO" in re.sub(".\x08", "", done.stdout)
