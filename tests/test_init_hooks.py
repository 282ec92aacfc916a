"""Hooks of others go on running beside ours, and get their places back."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from init_words import (
    HUSKY_H,
    LEFTHOOK,
    OVERCOMMIT,
    PRE_COMMIT,
    PRE_COMMIT_PROGRAM,
    everything,
    init,
    said,
    undo,
)

from gitlimmat.errors import LimmatError
from gitlimmat.git.configuration import read_settings
from gitlimmat.git.hooks import find_hooks
from gitlimmat.git.repository import find_repository
from gitlimmat.service.init import Plan, carry_out
from gitlimmat.service.init_hookfiles import Kind, kind_of, shipped_hooks
from gitlimmat.service.init_hooks import install_beside, install_elsewhere, remove_beside

OURS = b'#!/bin/sh\necho "ours ${0##*/} $*" >>hooks.log\nexit 0\n'
READING = b'#!/bin/sh\nwhile read -r line; do echo "ours $line" >>hooks.log; done\nexit ${LIMMAT_TRIED:-0}\n'
HOOK = '#!/bin/sh\necho "theirs ${0##*/} $*" >>hooks.log\n'


def install(repo: Repo, hooks: Mapping[str, bytes]) -> str:
    """Install hooks that say what they do, and return what is said about it."""
    acts, told = install_beside(repo.path / ".git" / "hooks", hooks)
    plan = Plan(acts=tuple(acts), told=tuple(told))
    carry_out(plan, lambda line: None)
    return said(plan)


def remove(repo: Repo) -> str:
    """Give hooks back, and return what is said about it."""
    acts, told = remove_beside(repo.path / ".git" / "hooks")
    plan = Plan(acts=tuple(acts), told=tuple(told))
    carry_out(plan, lambda line: None)
    return said(plan)


def hook(repo: Repo, name: str, text: str, *, mode: int = 0o755) -> Path:
    """Write a hook into the repository's own directory."""
    path = repo.write(f".git/hooks/{name}", text)
    path.chmod(mode)
    return path


def test_every_hook_that_is_shipped_is_found() -> None:
    """A source checkout has hooks at its top, a wheel inside of the package."""
    assert {"post-commit", "post-merge", "post-rewrite", "post-checkout"} <= set(shipped_hooks())
    assert all(text.startswith(b"#!/bin/sh\n") for text in shipped_hooks().values())


def test_a_hook_that_is_there_runs_first_with_its_arguments(repo: Repo) -> None:
    """Ours comes second, and both get what git says."""
    repo.commit("base")
    hook(repo, "post-checkout", HOOK)
    install(repo, {"post-checkout": OURS})

    repo.git("checkout", "-q", "-b", "topic")

    head = repo.git("rev-parse", "HEAD")
    assert repo.lines("hooks.log") == [
        f"theirs post-checkout {head} {head} 1",
        f"ours post-checkout {head} {head} 1",
    ]


def test_a_failing_hook_decides_although_ours_runs(repo: Repo) -> None:
    """git checkout fails when post-checkout does."""
    repo.commit("base")
    hook(repo, "post-checkout", HOOK + "exit 7\n")
    install(repo, {"post-checkout": OURS})

    done = subprocess.run(["git", "checkout", "-q", "-b", "topic"], cwd=repo.path, env=repo.environment)

    assert done.returncode == 1
    assert [line.split()[0] for line in repo.lines("hooks.log")] == ["theirs", "ours"]


@pytest.mark.parametrize(("theirs", "ours", "pushed"), [(0, 0, True), (3, 0, False), (0, 4, False)])
def test_both_hooks_read_what_is_pushed_and_may_refuse(
    repo: Repo, make_repo: Callable[..., Repo], theirs: int, ours: int, pushed: bool
) -> None:
    """Standard input is told to both; ours is not asked when the other has refused."""
    remote = make_repo("remote", "--bare")
    commit = repo.commit("base")
    text = f'#!/bin/sh\nwhile read -r line; do echo "theirs $line" >>hooks.log; done\nexit {theirs}\n'
    hook(repo, "pre-push", text)
    install(repo, {"pre-push": READING})
    repo.environment["LIMMAT_TRIED"] = str(ours)

    done = subprocess.run(
        ["git", "push", "-q", str(remote.path), "main"], cwd=repo.path, env=repo.environment
    )

    told = f"refs/heads/main {commit} refs/heads/main {'0' * 40}"
    assert (done.returncode == 0) == pushed
    assert repo.lines("hooks.log") == [f"theirs {told}", *([] if theirs else [f"ours {told}"])]


def test_a_hook_that_reads_nothing_is_no_trouble(repo: Repo) -> None:
    """A rewritten commit is told to ours although the other hook has closed its input at once."""
    repo.commit("base")
    hook(repo, "post-rewrite", "#!/bin/sh\nexec <&-\nexit 1\n")
    install(repo, {"post-rewrite": READING})

    done = subprocess.run(
        ["git", "commit", "--amend", "-q", "-m", "again"],
        cwd=repo.path,
        env=repo.environment,
        capture_output=True,
        check=True,
    )

    assert done.stderr == b""
    assert len(repo.lines("hooks.log")) == 1


@pytest.mark.parametrize("program", ["dash", "bash", "zsh", "perl", "node", "python3"])
def test_hooks_in_any_language_know_their_name_and_neighbors(repo: Repo, program: str) -> None:
    """A hook whose place is taken still has its own name, and finds what is beside it."""
    texts = {
        "perl": 'use File::Basename; open L, ">>hooks.log"; '
        'print L basename($0), " ", -e dirname($0)."/mine";',
        "node": 'const p = require("path"), f = require("fs"); const s = process.argv[1];'
        'f.appendFileSync("hooks.log", p.basename(s) + " " + (f.existsSync(p.dirname(s) + "/mine") ? 1 : 0))',
        "python3": "import os, sys; s = sys.argv[0]; d = os.path.dirname(s)\n"
        "open('hooks.log', 'a').write(f'{os.path.basename(s)} {int(os.path.exists(d + \"/mine\"))}')",
    }
    shell = 'printf "%s %s" "$(basename "$0")" "$(test -e "$(dirname "$0")/mine" && echo 1)" >>hooks.log'
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    hook(repo, "mine", "")
    hook(repo, "post-commit", f"#!{found}\n{texts.get(program, shell)}\n")
    install(repo, {"post-commit": b"#!/bin/sh\necho >>hooks.log\necho ours >>hooks.log\n"})

    repo.commit("base")

    assert repo.lines("hooks.log") == ["post-commit 1", "ours"]


@pytest.mark.parametrize(
    ("make", "runs"),
    [
        (lambda path: path.write_text("#!/bin/sh\necho theirs >>hooks.log\n"), False),
        (lambda path: path.symlink_to("../../nowhere"), False),
        (lambda path: path.symlink_to("../../scripts/hook"), True),
        (lambda path: path.symlink_to("neighbor"), True),
        (lambda path: (path.write_text("echo theirs >>hooks.log\n"), path.chmod(0o700)), True),
    ],
    ids=["not-executable", "dangling-link", "link-out", "link-to-neighbor", "no-interpreter"],
)
def test_whatever_git_would_run_is_run(repo: Repo, make: Callable[[Path], object], runs: bool) -> None:
    """What git ignores stays ignored, what it runs is run, and all of it comes back."""
    repo.write("scripts/hook", "#!/bin/sh\necho theirs >>hooks.log\n", executable=True)
    hook(repo, "neighbor", "#!/bin/sh\necho theirs >>hooks.log\n")
    make(repo.path / ".git" / "hooks" / "post-commit")
    before = everything(repo)
    install(repo, {"post-commit": OURS})

    repo.commit("base", a="a")

    assert repo.lines("hooks.log") == ["theirs"] * runs + ["ours post-commit "]
    remove(repo)
    assert {p for p, e in everything(repo).items() if "/hooks" in p and e != before.get(p)} <= {
        str(repo.path / ".git" / "hooks")
    }


def test_one_program_for_all_hooks_tells_them_by_name(repo: Repo) -> None:
    """overcommit installs one file under many names."""
    for name in ("overcommit-hook", "post-commit", "post-checkout"):
        hook(repo, name, OVERCOMMIT)
    install(repo, {"post-commit": OURS})

    repo.commit("base")

    assert repo.lines("hooks.log") == ["overcommit post-commit True", "ours post-commit "]


@pytest.fixture
def with_pre_commit(repo: Repo) -> Repo:
    """A repository in which something does what pre-commit does when git calls its hooks."""
    programs = repo.path.parent / "programs"
    programs.mkdir()
    program = programs / "pre-commit"
    program.write_text(PRE_COMMIT_PROGRAM)
    program.chmod(0o755)
    repo.environment["PATH"] = f"{programs}{os.pathsep}{repo.environment['PATH']}"
    return repo


def pre_commit_install(repo: Repo, version: int = 11) -> None:
    """Do what `pre-commit install --hook-type post-commit` does."""
    path = repo.path / ".git" / "hooks" / "post-commit"
    if os.path.lexists(path) and b"138fd403232d2ddd5efb44317e38bf03" not in path.read_bytes():
        path.rename(path.with_name("post-commit.legacy"))
    hook(repo, "post-commit", PRE_COMMIT.format(name="post-commit", version=version))


@pytest.mark.parametrize("script", [False, True], ids=["alone", "after-a-script"])
def test_pre_commit_runs_once_when_installed_again(with_pre_commit: Repo, script: bool) -> None:
    """It calls ours as what was there before, and ours does not call it in turn; a script is not lost."""
    repo = with_pre_commit
    if script:
        hook(repo, "post-commit", HOOK)
    pre_commit_install(repo)
    install(repo, {"post-commit": OURS})
    repo.commit("one")
    first = [line.split()[0] for line in repo.lines("hooks.log")]
    (repo.path / "hooks.log").unlink()

    pre_commit_install(repo, version=12)
    assert install(repo, {"post-commit": OURS}) == ""
    repo.commit("two")

    assert first == ["theirs"] * script + ["pre-commit", "ours"]
    assert [line.split()[0] for line in repo.lines("hooks.log")] == ["theirs"] * script + [
        "ours",
        "pre-commit",
    ]
    remove(repo)
    path = repo.path / ".git" / "hooks" / "post-commit"
    assert b"python3.12" in path.read_bytes()
    assert not (repo.path / ".git" / "hooks.before-limmat").exists()
    legacy = path.with_name("post-commit.legacy")
    assert (legacy.read_text() if legacy.exists() else None) == (HOOK if script else None)


def test_a_script_is_kept_when_pre_commit_comes_later(with_pre_commit: Repo) -> None:
    """Script, ours, pre-commit: all three run, and without ours it is as if we had never been there."""
    repo = with_pre_commit
    script = hook(repo, "post-commit", HOOK)
    content = script.read_bytes()
    install(repo, {"post-commit": OURS})
    pre_commit_install(repo)

    repo.commit("base")

    kinds = [line.split()[0] for line in repo.lines("hooks.log")]
    assert kinds == ["theirs", "ours", "pre-commit"]
    remove(repo)
    assert script.with_name("post-commit.legacy").read_bytes() == content
    assert b"hook-impl" in script.read_bytes()


def test_lefthook_that_put_ours_aside_is_mended(repo: Repo) -> None:
    """lefthook renames what it finds and never runs it; another init brings ours back."""
    script = hook(repo, "post-commit", HOOK)
    install(repo, {"post-commit": OURS})
    script.rename(script.with_name("post-commit.old"))
    hook(repo, "post-commit", LEFTHOOK.format(name="post-commit"))
    programs = repo.path.parent / "programs"
    programs.mkdir()
    (programs / "lefthook").write_text('#!/bin/sh\n[ "$1" = -h ] || echo "lefthook $*" >>hooks.log\n')
    (programs / "lefthook").chmod(0o755)
    repo.environment["PATH"] = f"{programs}{os.pathsep}{repo.environment['PATH']}"

    assert "move '" in install(repo, {"post-commit": OURS})
    repo.commit("base")

    assert repo.lines("hooks.log") == ["lefthook run post-commit", "ours post-commit "]
    remove(repo)
    assert script.read_text() == LEFTHOOK.format(name="post-commit")
    assert script.with_name("post-commit.old").read_text() == HOOK


def test_an_edited_hook_of_ours_is_left_alone(repo: Repo) -> None:
    """Lines that the user has put into our file are not lost, neither by init nor by undo."""
    install(repo, {"post-commit": OURS, "post-merge": OURS})
    path = repo.path / ".git" / "hooks" / "post-commit"
    edited = path.read_bytes() + b"echo more\n"
    path.write_bytes(edited)

    assert "edited" in install(repo, {"post-commit": READING, "post-merge": OURS})
    assert "edited" in remove(repo)

    assert path.read_bytes() == edited
    assert kind_of(path) is Kind.EDITED
    assert not path.with_name("post-merge").exists()


def test_a_new_version_takes_the_place_of_the_old_one(repo: Repo) -> None:
    """A file with the right digest is ours, whatever version it is of."""
    hook(repo, "post-commit", HOOK)
    install(repo, {"post-commit": READING})

    install(repo, {"post-commit": OURS})
    repo.commit("base")

    assert repo.lines("hooks.log") == ["theirs post-commit ", "ours post-commit "]


def husky(repo: Repo) -> None:
    """Do what husky 9 does when npm has installed it."""
    repo.git("config", "core.hooksPath", ".husky/_")
    repo.write(".husky/_/.gitignore", "*")
    repo.write(".husky/_/h", HUSKY_H)
    for name in ("pre-commit", "post-commit", "commit-msg", "post-checkout"):
        repo.write(f".husky/_/{name}", '#!/usr/bin/env sh\n. "${0%/*}/h"', executable=True)


def test_hooks_of_husky_run_and_its_files_are_not_touched(repo: Repo) -> None:
    """A directory of ours stands in, also after husky has set core.hooksPath again."""
    repo.git("config", "limmat.background", "off")
    husky(repo)
    for name in ("pre-commit", "post-commit", "commit-msg"):
        repo.write(f".husky/{name}", f"echo {name} >>hooks.log\n")
    before = everything(repo)
    files = {str(path): path.stat() for path in (repo.path / ".husky").rglob("*")}

    init(repo, config=False)
    husky_again = repo.git("config", "core.hooksPath", ".husky/_")
    repo.commit("base")

    assert husky_again == ""
    assert repo.lines("hooks.log") == ["pre-commit", "commit-msg", "post-commit"]
    assert repo.git("config", "core.hooksPath") == str(repo.path / ".git" / "limmat-hooks")
    assert {path: Path(path).stat().st_ino for path in files} == {p: s.st_ino for p, s in files.items()}
    assert init(repo, config=False).acts == ()
    undo(repo)
    assert everything(repo) == before


def test_ours_run_after_those_of_another_directory(repo: Repo) -> None:
    """Also in a linked worktree, whose hooks are in its own files when the path is relative."""
    repo.git("config", "core.hooksPath", "tools/hooks")
    repo.write("tools/hooks/post-checkout", HOOK, executable=True)
    repo.commit("base")
    repository = find_repository(repo.path, environment=repo.environment)
    place = find_hooks(repository, read_settings(repository), None)
    target = repo.path / ".git" / "limmat-hooks"
    acts = install_elsewhere(place, target, {"post-checkout": OURS})
    carry_out(Plan(acts=tuple(acts), told=()), lambda line: None)
    repo.git("config", "core.hooksPath", str(target))

    linked = repo.path.parent / "linked"
    repo.git("worktree", "add", "-q", str(linked))

    said_there = (linked / "hooks.log").read_text().splitlines()
    assert [line.split()[:2] for line in said_there] == [
        ["theirs", "post-checkout"],
        ["ours", "post-checkout"],
    ]


def test_a_global_hooks_path_is_not_touched(repo: Repo) -> None:
    """Hooks for all repositories stay what they are, and this one has ours beside them."""
    shared = repo.path.parent / "home" / "hooks it's"
    shared.mkdir()
    (shared / "commit-msg").write_text("#!/bin/sh\necho theirs >>hooks.log\n")
    (shared / "commit-msg").chmod(0o755)
    repo.git("config", "--global", "core.hooksPath", "~/hooks it's")
    before = everything(repo)

    init(repo)
    repo.git("commit", "--allow-empty", "-q", "-m", "base")

    assert repo.lines("hooks.log") == ["theirs"]
    assert list(shared.iterdir()) == [shared / "commit-msg"]
    undo(repo)
    assert repo.git("config", "--list", "--show-origin") == before["settings"]


def test_a_hooks_path_of_one_worktree_stays_there(repo: Repo) -> None:
    """Where config.worktree says where hooks are, that is where ours are named."""
    repo.commit("base")
    repo.git("config", "extensions.worktreeConfig", "true")
    linked = Repo(repo.path.parent / "linked", repo.environment)
    repo.git("worktree", "add", "-q", str(linked.path))
    linked.git("config", "--worktree", "core.hooksPath", ".hooks")
    linked.write(".hooks/post-commit", HOOK, executable=True)
    before = everything(repo), linked.git("config", "--list", "--show-origin")

    init(linked)
    linked.git("commit", "--allow-empty", "-q", "-m", "more")

    assert linked.lines("hooks.log") == ["theirs post-commit "]
    assert repo.git("config", "core.hooksPath", check=False) == ""
    assert linked.git("config", "core.hooksPath").endswith("/worktrees/linked/limmat-hooks.worktree")
    undo(linked)
    assert linked.git("config", "--list", "--show-origin") == before[1]


def test_worktrees_with_hooks_in_different_places_do_not_disturb_each_other(repo: Repo) -> None:
    """The main one is told by the repository's configuration, another one by its own."""
    repo.commit("base")
    repo.git("config", "limmat.background", "off")
    repo.git("config", "extensions.worktreeConfig", "true")
    linked = Repo(repo.path.parent / "linked", repo.environment)
    repo.git("worktree", "add", "-q", str(linked.path))
    linked.git("config", "--worktree", "core.hooksPath", ".hooks")
    linked.write(".hooks/post-commit", HOOK, executable=True)
    husky(repo)
    repo.write(".husky/post-commit", "echo husky >>hooks.log\n")
    before = everything(repo), linked.git("config", "--list", "--show-origin")

    for each in (repo, linked, repo, linked):
        init(each, config=False)
        assert init(each, config=False).acts == ()
    for each in (repo, linked):
        each.git("commit", "--allow-empty", "-q", "-m", "more")
        assert "are not run" not in each.limmat("doctor", status=None)

    assert repo.lines("hooks.log") == ["husky"]
    assert linked.lines("hooks.log") == ["theirs post-commit "]
    assert repo.git("config", "core.hooksPath") == str(repo.path / ".git" / "limmat-hooks")
    undo(repo)
    assert (everything(repo), linked.git("config", "--list", "--show-origin")) == before
    assert list(repo.path.rglob("limmat-hooks*")) == []


@pytest.mark.parametrize(
    "name", ["with blanks", 'it\'s "so"', "back\\slash", "[a]*?", "~", "ä€", "\udcff", "#;"]
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_any_name_of_a_directory_will_do(make_repo: Callable[..., Repo], name: str, elsewhere: bool) -> None:
    """Quotes, patterns and bytes that are no text come through all files."""
    repo = make_repo(f"dir {name}")
    repo.git("config", "limmat.background", "off")
    place = ".githooks" if elsewhere else ".git/hooks"
    repo.git("config", "core.hooksPath", str(repo.path / place))
    repo.write(f"{place}/post-commit", HOOK, executable=True)
    before = everything(repo)

    init(repo)
    again = init(repo)
    repo.git("commit", "--allow-empty", "-q", "-m", "base")

    assert again.acts == ()
    assert repo.lines("hooks.log") == ["theirs post-commit "]
    assert repo.git("config", "core.hooksPath") == str(
        repo.path / (".git/limmat-hooks" if elsewhere else ".git/hooks")
    )
    undo(repo)
    assert everything(repo) == before


def test_a_moved_repository_still_runs_the_hooks_of_its_user(repo: Repo) -> None:
    """Our directory is named by its path, so it counts only where it is; another init mends it."""
    husky(repo)
    repo.write(".husky/post-commit", "echo husky >>hooks.log\n")
    init(repo)
    moved = Repo(repo.path.parent / "moved", repo.environment)
    repo.path.rename(moved.path)

    moved.git("commit", "--allow-empty", "-q", "-m", "base")

    assert moved.lines("hooks.log") == ["husky"]
    assert "are not run" in moved.limmat("doctor", status=None)
    init(moved)
    assert moved.git("config", "core.hooksPath") == str(moved.path / ".git" / "limmat-hooks")
    assert "are not run" not in moved.limmat("doctor", status=None)


def test_hooks_follow_when_the_user_starts_or_stops_to_use_husky(repo: Repo) -> None:
    """Each init moves ours to where they are run, and undo finds them."""
    before = everything(repo)
    hooks = repo.path / ".git" / "hooks"
    init(repo)
    assert kind_of(hooks / "post-commit") is Kind.OURS
    husky(repo)
    assert "are not run" in repo.limmat("doctor", status=None)
    init(repo)
    assert kind_of(hooks / "post-commit") is Kind.NOTHING
    assert kind_of(repo.path / ".git" / "limmat-hooks" / "post-commit") is Kind.OURS
    repo.git("config", "--unset", "core.hooksPath")
    init(repo)
    assert kind_of(hooks / "post-commit") is Kind.OURS
    assert not (repo.path / ".git" / "limmat-hooks").exists()

    undo(repo)

    shutil.rmtree(repo.path / ".husky")
    after = everything(repo)
    assert {k: v for k, v in after.items() if not k.endswith("/hooks")} == {
        k: v for k, v in before.items() if not k.endswith("/hooks")
    }


def test_no_hooks_are_installed_where_they_are_turned_off(repo: Repo) -> None:
    """core.hooksPath = /dev/null is a usual way to say so."""
    repo.git("config", "core.hooksPath", "/dev/null")

    plan = init(repo)

    assert "no hooks: core.hooksPath = /dev/null turns them off" in plan.told
    assert repo.git("config", "core.hooksPath") == "/dev/null"
    assert repo.git("config", "limmat.program", check=False) == ""


@pytest.mark.parametrize("what", ["file", "hook-directory", "stated-file", "link-to-file"])
def test_hooks_that_cannot_be_installed_stop_everything(repo: Repo, what: str) -> None:
    """Nothing is changed, and the message says what is in the way."""
    hooks = repo.path / ".git" / "hooks"
    if what == "hook-directory":
        (hooks / "post-commit").mkdir()
    elif what == "stated-file":
        repo.write("hooks", "")
        repo.git("config", "core.hooksPath", "hooks")
    else:
        shutil.rmtree(hooks)
        if what == "file":
            hooks.write_text("")
        else:
            hooks.symlink_to("config")
    before = everything(repo)

    with pytest.raises(LimmatError, match=r"cannot install hooks: .*hooks.* is not a") as caught:
        init(repo)

    assert caught.value.hint is not None
    assert "--no-hooks" in caught.value.hint
    assert everything(repo) == before
    assert init(repo, hooks=False).acts
    undo(repo)
    assert everything(repo) == before


def test_a_directory_of_hooks_that_is_a_link_is_not_written_into(repo: Repo) -> None:
    """Many link .git/hooks to files that are tracked."""
    shutil.rmtree(repo.path / ".git" / "hooks")
    repo.write("githooks/post-commit", HOOK, executable=True)
    (repo.path / ".git" / "hooks").symlink_to("../githooks")
    repo.git("commit", "--allow-empty", "-q", "-m", "base")
    (repo.path / "hooks.log").unlink()
    before = everything(repo)

    init(repo)
    repo.git("commit", "--allow-empty", "-q", "-m", "more")

    assert repo.lines("hooks.log") == ["theirs post-commit "]
    assert [path.name for path in (repo.path / "githooks").iterdir()] == ["post-commit"]
    undo(repo)
    assert everything(repo) == before


def test_a_repository_without_a_directory_of_hooks_gets_one_and_loses_it(
    make_repo: Callable[..., Repo],
) -> None:
    """git init with an empty template makes none."""
    repo = make_repo("bald", "--template=")
    before = everything(repo)

    init(repo)

    assert kind_of(repo.path / ".git" / "hooks" / "post-commit") is Kind.OURS
    undo(repo)
    assert everything(repo) == before


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_installed_hooks_are_good_for_any_shell(repo: Repo, shell: str) -> None:
    """No shell that is called sh finds a fault in what is put together."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    init(repo)

    for path in (repo.path / ".git" / "hooks").iterdir():
        if path.suffix != ".sample":
            subprocess.run([found, "-n", path], check=True)


def lefthook_install(repo: Repo) -> None:
    """Do what `lefthook install` does for post-commit."""
    path = repo.path / ".git" / "hooks" / "post-commit"
    if path.exists() and "LEFTHOOK" not in path.read_text():
        if os.path.lexists(path.with_name("post-commit.old")):
            return  # it refuses
        path.rename(path.with_name("post-commit.old"))
    hook(repo, "post-commit", LEFTHOOK.format(name="post-commit"))


def script_install(repo: Repo) -> None:
    """Write a hook by hand where there is none, as careful people do."""
    path = repo.path / ".git" / "hooks" / "post-commit"
    if not os.path.lexists(path):
        hook(repo, "post-commit", HOOK)


TOOLS: dict[str, Callable[[Repo], None]] = {
    "script": script_install,
    "pre-commit 11": lambda repo: pre_commit_install(repo, 11),
    "pre-commit 12": lambda repo: pre_commit_install(repo, 12),
    "lefthook": lefthook_install,
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(st.sampled_from(sorted(TOOLS)), max_size=3),
    after=st.lists(st.tuples(st.sampled_from(sorted(set(TOOLS) - {"script"})), st.booleans()), max_size=2),
)
def test_without_us_it_is_as_if_we_had_never_been_there(
    make_repo: Callable[..., Repo], before: list[str], after: list[tuple[str, bool]]
) -> None:
    """Tools are installed before and after ours, and in a second repository without ours."""
    count = len(list(Path(os.environ["HOME"]).parent.iterdir()))
    repo, twin = make_repo(f"repo{count}"), make_repo(f"twin{count}")
    for each in before:
        TOOLS[each](repo)
        TOOLS[each](twin)
    install(repo, {"post-commit": OURS})
    for tool, again in after:
        TOOLS[tool](repo)
        TOOLS[tool](twin)
        if again:
            install(repo, {"post-commit": OURS})
            assert install(repo, {"post-commit": OURS}) == ""

    remove(repo)

    hooks = {path.name: path.read_bytes() for path in (repo.path / ".git" / "hooks").iterdir()}
    expected = {path.name: path.read_bytes() for path in (twin.path / ".git" / "hooks").iterdir()}
    assert hooks.get("post-commit") == expected.get("post-commit")
    scripts = [name for name, text in expected.items() if text == HOOK.encode()]
    assert [hooks.get(name) for name in scripts] == [HOOK.encode()] * len(scripts)
    if len(after) < 2:  # else tools that put each other aside may leave one copy of theirs more or less
        assert hooks == expected
    assert not (repo.path / ".git" / "hooks.before-limmat").exists()
