"""`git limmat init` sets a repository up wholly or not at all, tells all, and takes all of it back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from init_words import LEFTHOOK, PRE_COMMIT, everything, init, said, undo
from terminal import Terminal
from waiting import wait_until

from gitlimmat.cli.main import COMMANDS
from gitlimmat.config.parse import parse
from gitlimmat.errors import LimmatError
from gitlimmat.service.init import Parts, Plan, carry_out, plan_init
from gitlimmat.service.init_settings import ALIASES, as_glob
from gitlimmat.service.init_steps import Act, Write
from gitlimmat.service.init_tests import propose
from gitlimmat.service.init_toml import proposed_config
from gitlimmat.service.request import Request

ALIAS_NAMES = [name for name, _ in ALIASES]


@pytest.fixture
def project(repo: Repo) -> Repo:
    """A repository with a project that is tested by make."""
    repo.write("Makefile", "all:\n\ncheck:\n\t! grep -q bad file\n")
    repo.commit("base", file="good")
    return repo


def test_undo_leaves_no_trace(project: Repo) -> None:
    """Settings, hooks with their times and modes, and files are what they were."""
    before = everything(project)

    project.limmat("init", "--yes")
    between = everything(project)
    project.limmat("init", "--undo")

    assert between != before
    assert everything(project) == before
    assert project.limmat("init", "--undo") == "nothing to undo\n"


def test_a_second_init_changes_nothing(project: Repo) -> None:
    """It says so, and files are not even written again."""
    project.limmat("init", "--yes")
    before = everything(project)

    out = project.limmat("init", "--yes")

    assert out == "nothing to do: all is set up\n"
    assert everything(project) == before


def test_all_that_is_written_is_told(project: Repo) -> None:
    """Each setting, each file and each line of limmat.toml stands in the output."""
    before = set(project.git("config", "--list").splitlines())

    out = project.limmat("init", "--yes")

    for line in set(project.git("config", "--list").splitlines()) - before:
        key, _, value = line.partition("=")
        assert f"set {key} = {value} in '.git/config'".lower() in out.lower()
    for line in project.lines("limmat.toml"):
        assert f"    {line}".rstrip() in out.splitlines()
    for name in ("post-commit", "post-checkout", "post-merge", "post-rewrite"):
        assert f"install the hook '.git/hooks/{name}'" in out


def test_a_dry_run_tells_the_same_and_writes_nothing(project: Repo) -> None:
    """Also for undo."""
    before = everything(project)
    shown = project.limmat("init", "--dry-run")
    assert everything(project) == before

    done = project.limmat("init", "--yes")

    assert [line.removeprefix("would ") for line in shown.splitlines()] == done.splitlines()
    between = everything(project)
    shown = project.limmat("init", "--undo", "-n")
    assert everything(project) == between
    assert shown.replace("would ", "") == project.limmat("init", "--undo")


def test_nothing_is_done_where_nobody_can_agree(project: Repo) -> None:
    """Without terminal and without --yes the plan is shown, and the status says that it was not done."""
    before = everything(project)

    done = project.program("init")

    assert done.returncode == 1
    assert b"would set notes.displayRef" in done.stdout
    assert b"--yes does it" in done.stderr.replace(b"'", b"")
    assert everything(project) == before


@pytest.mark.parametrize(("answer", "status"), [("y", "0"), ("n", "1"), ("", "1")])
def test_a_user_at_a_terminal_is_asked_once(project: Repo, tmp_path: Path, answer: str, status: str) -> None:
    """Only a yes is a yes."""
    before = everything(project)
    place = tmp_path / "terminal"
    place.mkdir()
    argv = ["env", "-C", str(project.path), *project.argv("init")]
    terminal = Terminal(argv, place, project.environment, columns=120, rows=60)
    try:
        wait_until(lambda: "Do all this? [y/N]" in terminal.text)
        terminal.keys(*answer, "Enter")
        wait_until(lambda: terminal.status_file.exists() and terminal.status_file.read_text())
    finally:
        terminal.close()

    assert terminal.status_file.read_text().strip() == status
    assert (everything(project) != before) == (answer == "y")


def test_log_shows_results_and_says_nothing_before_there_are_any(project: Repo) -> None:
    """notes.displayRef is a pattern, because git warns of notes that do not exist."""
    init(project, hooks=False)
    done = subprocess.run(
        ["git", "log", "-1"], cwd=project.path, env=project.environment, capture_output=True, check=True
    )
    bad = project.commit("bad", "main", file="bad")
    project.limmat("run", "main..bad", status=1)

    assert done.stderr == b""
    assert "Notes (limmat)" in project.git("log", "-1", bad)


def test_a_pattern_means_one_ref_only() -> None:
    """Notes with a longer name are not ours to show."""
    assert as_glob("refs/notes/limmat") == "refs/notes/limma[t]"
    assert as_glob("refs/notes/a-") == "refs/notes/a-*"


def test_what_is_proposed_runs(project: Repo) -> None:
    """A user who has agreed can test commits at once."""
    project.limmat("init", "--yes", "--no-hooks")
    bad = project.commit("bad", "main", file="bad")

    out = project.limmat("run", "main..bad", status=1)

    assert f"{bad[:7]}" in out
    assert project.limmat("status", "main^!", status=None)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"Cargo.toml": "[package]", "Cargo.lock": ""}, {"build": "--locked", "test": "cargo test"}),
        (
            {"package.json": '{"scripts": {"test": "jest", "build": "tsc"}}', "pnpm-lock.yaml": ""},
            {"build": "pnpm install --frozen-lockfile && pnpm run build", "test": "pnpm run test"},
        ),
        ({"package.json": '{"scripts": {"lint": "x"}}', "yarn.lock": ""}, {"lint": "yarn run lint"}),
        (
            {"package.json": '{"packageManager": "bun@1", "scripts": {"test": "bun test"}}'},
            {"test": "bun install && bun run test"},
        ),
        ({"pytest.ini": "[pytest]", "src/a.py": ""}, {"test": "PYTHONPATH="}),
        (
            {"pyproject.toml": "[tool.pytest.ini_options]", "uv.lock": ""},
            {"test": "uv run --frozen python3 -m"},
        ),
        ({"tests/test_a.py": "import unittest"}, {"test": "python3 -m unittest discover -s tests"}),
        ({"tests/test_a.py": "", "requirements.txt": "pytest"}, {"test": "python3 -m pytest -q"}),
        ({"go.mod": "module a"}, {"build": "go build ./...", "test": "go test ./..."}),
        ({"meson.build": ""}, {"build": "meson setup build", "test": "meson test -C build"}),
        ({"CMakeLists.txt": ""}, {"build": "cmake -S . -B build", "test": "ctest"}),
        ({"configure.ac": "", "Makefile.am": ""}, {"build": "autoreconf -fi", "test": "check"}),
        ({"Makefile": "all: x\ntest:\n"}, {"build": "make -j", "test": 'make -j"$(nproc)" test'}),
        ({"GNUmakefile": "check: x\n"}, {"test": 'make -j"$(nproc)" check'}),
        ({"Makefile": "x:\n"}, {"build": "make -j"}),
        ({"Gemfile": "", "spec/a_spec.rb": ""}, {"test": "bundle exec rspec"}),
        ({"Rakefile": "Rake::TestTask.new"}, {"test": "rake test"}),
        ({"mix.exs": ""}, {"build": "mix compile", "test": "mix test"}),
        ({"build.gradle.kts": "", "gradlew": ""}, {"build": "./gradlew", "test": "./gradlew --quiet check"}),
        ({"pom.xml": ""}, {"build": "mvn -q -B test-compile", "test": "mvn -q -B verify"}),
        ({"tests/a.bats": ""}, {"test": "bats tests"}),
        ({"justfile": "test:\n  x\nbuild *args:\n"}, {"build": "just build", "test": "just test"}),
        ({"Taskfile.yml": "tasks:\n  test:\n    cmds: []\n"}, {"test": "task test"}),
        ({"tox.ini": "[tox]\n"}, {"test": "tox run"}),
        ({"noxfile.py": ""}, {"test": "nox"}),
        (
            {"Cargo.toml": "", "package.json": '{"scripts": {"test": "x"}}', "Makefile": "test:\n"},
            {"cargo-build": "", "cargo-test": "", "npm-test": "npm", "make-test": "make"},
        ),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, {}),
        ({"package.json": "{"}, {}),
        ({"README.md": ""}, {}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_tests_are_proposed_for(tmp_path: Path, files: dict[str, str], names: dict[str, str]) -> None:
    """Each kind of project gets the commands that people type, in a file that can be read."""
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)

    text = proposed_config(propose(tmp_path))
    config = parse(text, source="limmat.toml")

    commands = {test.name: str(test.command) for test in config.tests}
    if not names:
        assert list(commands) == ["test"]
        assert config.tests[0].skip_exit_codes == (77,)
        return
    assert list(commands) == list(names)
    assert all(part in commands[name] for name, part in names.items())
    assert any(test.run_by_default for test in config.tests)
    assert {test.error_exit_codes for test in config.tests} == {(127,)}
    assert all(set(test.depends_on) <= set(commands) for test in config.tests)


def test_programs_that_run_others_are_optional(tmp_path: Path) -> None:
    """What seems to do the same again runs only when it is asked for."""
    (tmp_path / "go.mod").touch()
    (tmp_path / "Makefile").write_text("all:\ncheck:\n")

    tests = parse(proposed_config(propose(tmp_path)), source="limmat.toml").tests

    by_default = {test.name: test.run_by_default for test in tests}
    assert by_default == {"go-build": True, "go-test": True, "make-build": False, "make-test": False}


def test_the_example_for_an_unknown_project_tells_nothing_untrue(repo: Repo) -> None:
    """A commit is not called passed by a test that tests nothing."""
    repo.commit("base")
    repo.commit("topic", "main")
    repo.limmat("init", "--yes", "--no-hooks")

    out = repo.limmat("run", "main..topic")

    assert "skipped" in out
    assert "passed" not in out


@pytest.mark.parametrize("name", ["limmat.toml", ".limmat.toml"])
@pytest.mark.parametrize("content", ["", "[[tests]]\nname = 'a'\ncommand = 'true'\n", "broken ["])
def test_a_config_that_is_there_is_left_as_it_is(repo: Repo, name: str, content: str) -> None:
    """Even one that cannot be read."""
    repo.write(name, content)

    plan = init(repo)

    assert f"'{name}' is there: left as it is" in plan.told
    undo(repo)
    assert (repo.path / name).read_text() == content


def test_a_dangling_link_is_a_config_too(repo: Repo) -> None:
    """Nothing is written through it."""
    (repo.path / "limmat.toml").symlink_to("nowhere")

    assert "'limmat.toml' is there: left as it is" in init(repo).told
    assert not (repo.path / "nowhere").exists()


@pytest.mark.parametrize("how", ["changed", "tracked"])
def test_a_config_that_was_adopted_stays(project: Repo, how: str) -> None:
    """undo removes limmat.toml only as long as nobody has made it his own."""
    init(project, hooks=False)
    path = project.path / "limmat.toml"
    if how == "changed":
        path.write_text(path.read_text() + "\n")
    else:
        project.git("add", "limmat.toml")

    plan = undo(project)

    assert path.exists()
    assert any("limmat.toml" in line and how in line for line in plan.told)


def test_undo_does_without_its_record(project: Repo) -> None:
    """The state directory can be deleted at any time; what is ours is recognized."""
    before = everything(project)
    init(project)
    shutil.rmtree(project.path / ".git" / "limmat")

    undo(project)

    after = everything(project)
    hooks = str(project.path / ".git" / "hooks")
    assert {k: v for k, v in after.items() if k != hooks} == {k: v for k, v in before.items() if k != hooks}


@pytest.mark.parametrize("scope", ["--global", "--local"])
def test_aliases_of_the_user_are_never_touched(repo: Repo, scope: str) -> None:
    """Wherever they are from."""
    repo.git("config", scope, "alias.TR", "status -sb")
    before = repo.git("config", "--list", "--show-origin")

    plan = init(repo)

    assert "no alias 'tr': it means something else already" in plan.told
    assert repo.git("config", "alias.tr") == "status -sb"
    assert repo.git("config", "alias.ts") == "limmat status"
    undo(repo)
    assert repo.git("config", "--list", "--show-origin") == before


def test_commands_are_not_shadowed(repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither git's own nor others in PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git-tt").write_text("#!/bin/sh\n")
    (programs / "git-tt").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    plan = init(repo)

    assert "no alias 'tt': it is a command" in plan.told
    assert repo.git("config", "alias.ts") == "limmat status"


@pytest.mark.parametrize(
    ("value", "counts"), [("immediate", True), ("10", True), ("0", False), ("never", False)]
)
def test_what_the_user_has_corrected_is_no_alias(repo: Repo, value: str, counts: bool) -> None:
    """Where git runs another command for a name, it goes on doing so; nothing is run to find out."""
    repo.git("config", "--global", "help.autocorrect", value)

    plan = init(repo)

    assert ("no alias 'tl': help.autocorrect takes it for 'tag'" in plan.told) == counts
    assert repo.git("config", "alias.ts") == "limmat status"
    assert init(repo).acts == ()


def test_aliases_are_few_and_lead_to_commands() -> None:
    """A handful, each with two letters, and none of them a command of git."""
    known = subprocess.run(
        ["git", "--list-cmds=builtins,main"], capture_output=True, text=True, check=True
    ).stdout.split()

    assert len(ALIASES) <= 6
    assert not set(ALIAS_NAMES) & set(known)
    assert {command.split()[1] for _, command in ALIASES} <= set(COMMANDS) | {"log"}


def test_parts_that_are_left_out_stay_as_they_are(project: Repo) -> None:
    """Neither made nor removed."""
    before = everything(project)
    project.limmat("init", "--yes", "--no-config", "--no-aliases", "--no-hooks")
    listed = project.git("config", "--list")
    assert "notes.displayref" in listed
    assert "alias." not in listed
    assert not (project.path / "limmat.toml").exists()
    project.limmat("init", "--yes")
    full = everything(project)

    out = project.limmat("init", "--yes", "--no-config", "--no-aliases", "--no-hooks")

    assert out == "nothing to do: all is set up\n"
    assert everything(project) == full
    project.limmat("init", "--undo")
    assert everything(project) == before


def test_settings_that_others_made_are_not_repeated(repo: Repo) -> None:
    """Notes that are shown already and a program that is named already."""
    repo.git("config", "--global", "notes.displayRef", "refs/notes/*")
    repo.git("config", "--global", "limmat.program", "/opt/git-limmat")

    init(repo)

    assert repo.git("config", "--get-all", "notes.displayRef") == "refs/notes/*"
    assert repo.git("config", "--get-all", "limmat.program") == "/opt/git-limmat"


def test_no_notes_no_setting(repo: Repo) -> None:
    """Who has turned notes off is not shown any."""
    repo.git("config", "limmat.notesRef", "off")

    init(repo)

    assert repo.git("config", "notes.displayRef", check=False) == ""


def test_a_bare_repository_gets_settings_only(make_repo: Callable[..., Repo]) -> None:
    """Nobody works in it: no limmat.toml, no hooks."""
    repo = make_repo("bare", "--bare")
    before = everything(repo)

    plan = init(repo)

    assert len(plan.told) == 2
    assert not list(repo.path.glob("*.toml"))
    assert everything(repo)[str(repo.path / "hooks")] == before[str(repo.path / "hooks")]
    assert repo.git("config", "alias.ts") == "limmat status"
    undo(repo)
    assert everything(repo) == before


def test_a_linked_worktree_shares_hooks_and_has_its_own_config(project: Repo) -> None:
    """What is done in one is undone from another."""
    before = everything(project)
    linked = Repo(project.path.parent / "linked", project.environment)
    project.git("worktree", "add", "-q", "--detach", str(linked.path))

    init(linked)

    assert (linked.path / "limmat.toml").exists()
    assert not (project.path / "limmat.toml").exists()
    assert (project.path / ".git" / "hooks" / "post-commit").exists()
    undo(project)
    assert not (linked.path / "limmat.toml").exists()
    project.git("worktree", "remove", str(linked.path))
    assert everything(project) == before


def test_a_submodule_is_a_repository_of_its_own(project: Repo, make_repo: Callable[..., Repo]) -> None:
    """Its git directory is inside of that of the other."""
    top = make_repo("top")
    top.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(project.path), "sub")
    sub = Repo(top.path / "sub", top.environment)
    before = everything(sub), everything(top)

    init(sub)

    assert (top.path / ".git" / "modules" / "sub" / "hooks" / "post-commit").exists()
    assert {k: v for k, v in everything(top).items() if "/modules/" not in k} == {
        k: v for k, v in before[1].items() if "/modules/" not in k
    }
    undo(sub)
    assert (everything(sub), everything(top)) == before


def test_there_has_to_be_a_repository(tmp_path: Path, sealed: dict[str, str]) -> None:
    """The message is git's, with what to do."""
    done = subprocess.run(
        [sys.executable, "-m", "gitlimmat", "init", "--yes"], cwd=tmp_path, env=sealed, capture_output=True
    )

    assert done.returncode == 128
    assert b"not a git repository" in done.stderr


def test_no_home_is_needed(project: Repo) -> None:
    """Nothing is written to it."""
    before = everything(project)
    del project.environment["HOME"]

    project.limmat("init", "--yes")
    project.limmat("init", "--undo")

    project.environment["HOME"] = os.environ["HOME"]
    assert everything(project) == before


def test_a_locked_configuration_stops_everything(project: Repo) -> None:
    """Somebody else is changing it now."""
    lock = project.write(".git/config.lock", "")
    before = everything(project)

    with pytest.raises(LimmatError, match="cannot lock"):
        init(project)

    assert everything(project) == before
    lock.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("what", [".git/config", ".git/hooks", "."])
def test_what_cannot_be_written_stops_everything(project: Repo, what: str) -> None:
    """Nothing is half done where a part of the repository belongs to somebody else."""
    project.git("config", "--global", "safe.directory", "*")
    for path in [project.path.parent, *project.path.parents[:3]]:
        path.chmod(0o755)
    subprocess.run(["chown", "-R", "65534:65534", project.path], check=True)
    theirs = project.path / what
    os.chown(theirs, 0, 0)
    theirs.chmod(0o644 if theirs.is_file() else 0o755)
    before = everything(project)

    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *project.argv("init", "--yes")],
        cwd=project.path,
        env=project.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 128, done.stderr
    assert "cannot" in done.stderr
    assert everything(project) == before


def test_a_full_disk_leaves_everything_as_it_was(project: Repo) -> None:
    """Files can be made and renamed, but the larger ones not be written: all steps are taken back."""
    project.write(".git/hooks/post-commit", "#!/bin/sh\n", executable=True)
    before = everything(project)

    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", *project.argv("init", "--yes")],
        cwd=project.path,
        env=project.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 128
    assert "cannot write" in done.stderr
    assert "nothing was changed" in done.stderr
    after = everything(project)
    hooks = str(project.path / ".git" / "hooks")
    assert {k: v for k, v in after.items() if k != hooks} == {k: v for k, v in before.items() if k != hooks}


def test_options_that_exclude_each_other_are_refused(repo: Repo) -> None:
    """undo has no parts, and a dry run needs no yes."""
    repo.limmat("init", "--undo", "--no-hooks", status=129)
    repo.limmat("init", "--yes", "--dry-run", status=129)


HOOK_FILES = st.dictionaries(
    st.sampled_from(
        ["post-commit", "post-merge", "pre-push", "pre-commit", "post-rewrite.legacy", "common.sh"]
    ),
    st.tuples(
        st.sampled_from(
            [
                "#!/bin/sh\nexit 0\n",
                LEFTHOOK.format(name="x"),
                PRE_COMMIT.format(name="x", version=1),
                "\0\xff",
            ]
        ),
        st.sampled_from([0o755, 0o644, 0o500]),
        st.integers(10**18, 2 * 10**18),
    ),
)
LINKS = st.dictionaries(
    st.sampled_from(["post-checkout", "post-rewrite"]), st.sampled_from(["pre-push", "../../x", "/nowhere"])
)
CONFIGS = st.lists(
    st.sampled_from(
        [
            "[alias]\n\ttr = status\n",
            '[alias "ts"]\n\tcommand = log\n',
            "[core]\n\thooksPath = .githooks\n",
            "[core]\n\thooksPath = .git/hooks\n",
            "[notes]\n\tdisplayRef = refs/notes/*\n",
            "[limmat]\n\tnotesRef = other\n",
            "# the end\n",
            "[alias] # mine\n",
        ]
    ),
    max_size=4,
    unique=True,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(hooks=HOOK_FILES, links=LINKS, config=CONFIGS, end=st.sampled_from(["", "[user]\n\tname = me"]))
def test_undo_is_the_inverse_of_init_whatever_was_there(
    make_repo: Callable[..., Repo],
    hooks: dict[str, tuple[str, int, int]],
    links: dict[str, str],
    config: list[str],
    end: str,
) -> None:
    """Any hooks, links and settings come back with content, mode and time; a second init changes nothing."""
    repo = make_repo(f"repo{len(list(Path(os.environ['HOME']).parent.iterdir()))}")
    directory = repo.path / ".git" / "hooks"
    for name, (content, mode, time) in hooks.items():
        path = repo.write(f".git/hooks/{name}", content.encode("latin-1"))
        path.chmod(mode)
        os.utime(path, ns=(time, time))
    for name, target in links.items():
        (directory / name).symlink_to(target)
    file = repo.path / ".git" / "config"
    file.write_text(file.read_text() + "".join(config) + end)
    before = everything(repo)

    init(repo)
    between = everything(repo)
    again = init(repo)

    assert said(again).count("set ") == 0
    assert again.acts == ()
    assert everything(repo) == between
    undo(repo)
    assert everything(repo) == before
    assert not (repo.path / ".git" / "limmat").exists()


def test_steps_are_taken_back_when_the_last_one_fails(project: Repo) -> None:
    """Files that were replaced, moved, linked or made are as before; only a directory's time tells."""
    project.write(".git/hooks/post-commit", "#!/bin/sh\n", executable=True)
    project.write(".git/hooks/neighbor", "")
    before = everything(project)
    plan = plan_init(Request(repo=[project.path]), Parts(), lambda message: None)
    impossible = Write(path=project.path / "nowhere" / "file", content=b"", mode=0o644)
    failing = Plan(acts=(*plan.acts, Act(said=(), steps=(impossible,))), told=())
    told: list[str] = []

    with pytest.raises(LimmatError, match=r"cannot write '.*/nowhere/file'") as caught:
        carry_out(failing, told.append)

    assert caught.value.hint == "nothing was changed"
    assert any("hooks.before-limmat" in line for line in told)
    after = everything(project)
    hooks = str(project.path / ".git" / "hooks")
    assert {k: v for k, v in after.items() if k != hooks} == {k: v for k, v in before.items() if k != hooks}
    assert not (project.path / ".git" / "limmat").exists()
