"""What our hooks start, when they start nothing, and what git and its users notice of them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Repo
from hooking import HOOKS, NAMES, SHELLS, StandIn, copy, install, marked, use
from waiting import is_alive, wait_for_file, wait_until

from gitlimmat.git.environment import LOCAL_VARIABLES, is_local
from gitlimmat.service.presence import Presence

CONFIG = '[[tests]]\nname = "unit"\ncommand = "true"\n'
POST = tuple(name for name in NAMES if name.startswith("post-"))
LOCATION = {"GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become someone else")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """Each shell that `/bin/sh` may be."""
    return str(request.param)


@pytest.fixture
def hooked(repo: Repo, shell: str) -> Repo:
    """A repository with one commit, a config file and our hooks."""
    repo.config(CONFIG)
    repo.commit("base")
    install(repo, shell)
    return repo


@pytest.fixture
def stand_in(hooked: Repo) -> Iterator[StandIn]:
    """What the hooks start."""
    program = StandIn(hooked)
    yield program
    program.end()


def starts_nothing(stand_in: StandIn, *already: int) -> bool:
    """Whether nothing more was started: a hook has written down what it starts before it ends."""
    return stand_in.marked() <= set(already)


def test_a_commit_starts_the_program_and_the_next_does_not(hooked: Repo, stand_in: StandIn) -> None:
    """One is alive and sees what is new; the hook itself has written down its number."""
    hooked.commit("second")
    pid = stand_in.wait()
    hooked.commit("third")
    hooked.git("commit", "-q", "--amend", "--allow-empty", "-m", "better words")

    assert starts_nothing(stand_in, pid)
    assert marked(hooked.path / ".git") == pid
    assert Presence(hooked.path / ".git").runner() == pid


def test_what_is_started_is_detached(hooked: Repo, stand_in: StandIn) -> None:
    """It has its own session, the lowest priority, no stream of the caller, and nothing of git's words."""
    hooked.git("-c", "limmat.jobs=3", "commit", "-q", "--allow-empty", "-m", "second")

    pid = stand_in.wait()
    fields = stand_in.stat(pid)
    session, nice = int(fields[3]), int(fields[16])
    out = str((hooked.path / ".git/limmat/background.out").resolve())
    assert (session, nice) == (pid, 19)
    assert stand_in.streams(pid) == ["/dev/null", out, out]
    assert [name for name in stand_in.environment(pid) if is_local(name)] == []


def test_no_variable_of_gits_is_passed_on(hooked: Repo, stand_in: StandIn) -> None:
    """Whatever git may have set for this one command, only where the repository is stays."""
    names = sorted(LOCAL_VARIABLES - LOCATION)
    done = subprocess.run(
        [hooked.path / ".git/hooks/post-commit"],
        cwd=hooked.path,
        env=hooked.environment | dict.fromkeys(names, "0"),
        capture_output=True,
        check=False,
    )

    found = stand_in.environment(stand_in.wait())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert [name for name in names if name in found] == []


def test_no_pipe_of_the_caller_stays_open(hooked: Repo, stand_in: StandIn) -> None:
    """A graphical program that reads what git prints sees its end, by any descriptor a shell can name."""
    reading, writing = os.pipe()
    commit = ("git", "commit", "-q", "--allow-empty", "-m", "second")
    as_nine = f"import os; os.dup2({writing}, 9); os.closerange(10, 99); os.execvp('git', {commit})"
    subprocess.run(
        [sys.executable, "-c", as_nine],
        cwd=hooked.path,
        env=hooked.environment,
        pass_fds=[writing],
        capture_output=True,
        check=True,
    )
    os.close(writing)

    stand_in.wait()
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_dead_program_is_started_again(hooked: Repo, stand_in: StandIn) -> None:
    """A file that was left behind names nobody."""
    hooked.commit("second")
    first = stand_in.wait()
    stand_in.end()
    hooked.commit("third")

    assert stand_in.wait() != first


@pytest.mark.parametrize(
    "left", ["", "x", "0 1", "{pid}", "{pid} 1", "99999999 1", "{pid} dead", "99999999 dead", "-1 -"]
)
def test_a_number_of_another_process_is_nobodys(hooked: Repo, stand_in: StandIn, left: str) -> None:
    """Numbers are used again: when the process was started must be right, too."""
    state = hooked.path / ".git/limmat"
    state.mkdir()
    (state / "background").write_text(left.format(pid=os.getpid()) + "\n")
    (state / "watch.1").write_text(left.format(pid=os.getpid()) + "\n")

    hooked.commit("second")

    assert stand_in.wait()
    assert not Presence(hooked.path / ".git").is_watched()


def test_a_process_that_nobody_has_waited_for_is_dead(hooked: Repo, stand_in: StandIn) -> None:
    """As children of a careless first process of a container are."""
    zombie = subprocess.Popen(["sleep", "1000"])
    start = Path(f"/proc/{zombie.pid}/stat").read_text().rpartition(") ")[2].split()[19]
    state = hooked.path / ".git/limmat"
    state.mkdir()
    (state / "background").write_text(f"{zombie.pid} {start}\n")
    zombie.kill()
    wait_until(lambda: not is_alive(zombie.pid), "end of the process")

    hooked.commit("second")

    assert stand_in.wait()
    assert Presence(hooked.path / ".git").runner() != zombie.pid
    zombie.wait()


def test_a_watch_makes_it_needless(hooked: Repo, stand_in: StandIn) -> None:
    """As long as a watch shows the worktree nothing is started."""
    presence = Presence(hooked.path / ".git")
    with presence.watching():
        assert presence.is_watched()
        hooked.commit("second")
        assert starts_nothing(stand_in)
    hooked.commit("third")

    assert stand_in.wait()


def test_a_real_watch_is_seen(hooked: Repo, stand_in: StandIn) -> None:
    """It has its file while it lives."""
    watch = hooked.start("watch", "--plain", "--no-http")
    wait_until(lambda: Presence(hooked.path / ".git").is_watched(), "sign of the watch")
    hooked.commit("second")
    assert starts_nothing(stand_in)
    watch.terminate()
    watch.communicate(timeout=60)

    assert not list((hooked.path / ".git/limmat").glob("watch.*"))


def prepare_off(repo: Repo) -> None:
    repo.git("config", "limmat.background", "Off")


def prepare_no_config(repo: Repo) -> None:
    (repo.path / "limmat.toml").unlink()


def prepare_job(repo: Repo) -> None:
    repo.environment["LIMMAT_JOB"] = "1-abc"


def prepare_relative(repo: Repo) -> None:
    programs, rest = repo.environment["PATH"].split(os.pathsep, 1)
    (repo.path / "git-limmat").symlink_to(Path(programs) / "git-limmat")
    repo.environment["PATH"] = f".:{rest}"


def prepare_not_executable(repo: Repo) -> None:
    (Path(repo.environment["PATH"].split(os.pathsep)[0]) / "git-limmat").chmod(0o644)


@pytest.mark.parametrize(
    "prepare",
    [prepare_off, prepare_no_config, prepare_job, prepare_relative, prepare_not_executable],
)
def test_nothing_is_started_where_it_is_not_wanted(
    hooked: Repo, stand_in: StandIn, prepare: Callable[[Repo], None]
) -> None:
    """Turned off, no tests, inside a job, or no program: git does not notice."""
    hooked.environment["PATH"] = without_limmat(hooked.environment["PATH"], keep=1)
    prepare(hooked)

    hooked.commit("second")

    assert starts_nothing(stand_in)
    assert not (hooked.path / ".git/limmat").exists()


def without_limmat(path: str, *, keep: int = 0) -> str:
    """Return PATH without directories that have our program; the first `keep` stay."""
    places = path.split(os.pathsep)
    return os.pathsep.join(
        place
        for number, place in enumerate(places)
        if number < keep or not (Path(place) / "git-limmat").exists()
    )


def test_the_program_may_be_named_by_a_setting(hooked: Repo, stand_in: StandIn) -> None:
    """As where a graphical program has a PATH of its own. One in PATH comes first."""
    aside = stand_in.program.rename(stand_in.program.with_name("elsewhere"))
    hooked.environment["PATH"] = without_limmat(hooked.environment["PATH"])
    hooked.git("config", "limmat.program", str(aside))
    hooked.git("config", "limmat.config", "other.toml")
    (hooked.path / "limmat.toml").unlink()

    hooked.commit("second")

    assert stand_in.wait()


@pytest.mark.parametrize("text", ["#!/no/such/interpreter\n", "#!/bin/sh\nexit 3\n", "\0garbage"])
def test_a_broken_program_disturbs_nobody(hooked: Repo, text: str) -> None:
    """The commit is made, and git prints nothing more."""
    use(hooked, text)

    for number in range(3):
        done = subprocess.run(
            ["git", "commit", "-q", "--allow-empty", "-m", f"commit {number}"],
            cwd=hooked.path,
            env=hooked.environment,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert not (hooked.path / ".git/limmat/background").read_text().endswith(" -\n")


def commit_on(repo: Repo, branch: str) -> None:
    """Make a branch with a commit without anyone noticing, and go back."""
    quiet = ("-c", "core.hooksPath=/dev/null")
    repo.git(*quiet, "switch", "-q", "-c", branch)
    repo.git(*quiet, "commit", "-q", "--allow-empty", "-m", branch)
    repo.git(*quiet, "switch", "-q", "main")


@pytest.mark.parametrize(
    ("commands", "starts"),
    [
        (["git switch -q topic"], True),
        (["git checkout -q topic"], True),
        (["git checkout -q -b new"], False),
        (["git checkout -q topic -- ."], False),
        (["git checkout -q --detach topic"], False),
        (["git worktree add -q ../linked topic"], False),
        (["git bisect start -q", "git switch -q topic"], False),
        (["git merge -q --ff-only topic"], True),
        (["git merge -q --squash topic"], False),
        (["git commit -q --amend --allow-empty -m other"], True),
        (["git cherry-pick --allow-empty topic"], True),
        (["git revert --no-edit HEAD"], True),
        (["git reset -q --hard topic"], False),
        (["git tag v1"], False),
        (["git stash -q"], False),
    ],
)
def test_each_hook_starts_for_what_is_new(
    hooked: Repo, stand_in: StandIn, commands: list[str], starts: bool
) -> None:
    """New commits and switches to branches, and nothing else."""
    hooked.write("file-for-revert", "content")
    commit_on(hooked, "topic")

    for line in commands:
        hooked.git(*shlex.split(line)[1:])

    assert stand_in.wait() if starts else starts_nothing(stand_in)


def test_a_clone_starts_nothing(hooked: Repo, stand_in: StandIn, shell: str, tmp_path: Path) -> None:
    """Its first checkout is not the user's work."""
    hooks = tmp_path / "shared-hooks"
    hooks.mkdir()
    copy(hooks, shell)
    hooked.git("add", "-f", "limmat.toml")
    hooked.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "config")

    hooked.git("clone", "-q", "-c", f"core.hooksPath={hooks}", ".", str(tmp_path / "clone"))

    assert starts_nothing(stand_in)


@pytest.mark.parametrize("how", [[], ["--exec", "true"], ["--apply"]])
def test_a_rebase_of_200_commits_starts_one(hooked: Repo, stand_in: StandIn, how: list[str]) -> None:
    """However fast they come, and before the program has said that it is there."""
    hooked.git("-c", "core.hooksPath=/dev/null", "switch", "-q", "-c", "topic")
    stream = "".join(
        f"commit refs/heads/topic\ncommitter A <a@b> {1750000000 + n} +0000\ndata 2\nx\n"
        + ("from refs/heads/topic^0\n" if not n else "")
        + f"M 644 inline many\ndata {len(str(n))}\n{n}\n"
        for n in range(200)
    )
    hooked.git("fast-import", "--quiet", "--force", stdin=stream)
    hooked.git("reset", "-q", "--hard")
    hooked.git("-c", "core.hooksPath=/dev/null", "switch", "-q", "main")
    hooked.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "--allow-empty", "-m", "new base")
    hooked.git("-c", "core.hooksPath=/dev/null", "switch", "-q", "topic")

    hooked.git("rebase", "-q", *how, "main")

    pid = stand_in.wait()
    assert hooked.git("rev-list", "--count", "main..topic") == "200"
    assert starts_nothing(stand_in, pid)


def test_each_worktree_has_its_own(hooked: Repo, stand_in: StandIn, tmp_path: Path) -> None:
    """Another worktree has another HEAD; git tells its hooks where it is."""
    hooked.git("worktree", "add", "-q", "-b", "topic", str(tmp_path / "linked"))
    (tmp_path / "linked/limmat.toml").write_text(CONFIG)
    hooked.commit("here")
    first = stand_in.wait()
    linked = Repo(tmp_path / "linked", hooked.environment)
    linked.git("commit", "-q", "--allow-empty", "-m", "there")
    wait_until(lambda: len(stand_in.pids()) == 2, "start of the other one")
    linked.git("commit", "-q", "--allow-empty", "-m", "there again")

    (second,) = set(stand_in.pids()) - {first}
    assert starts_nothing(stand_in, first, second)
    assert marked(hooked.path / ".git/worktrees/linked") == second


def test_the_repository_may_be_elsewhere(hooked: Repo, stand_in: StandIn, shell: str, tmp_path: Path) -> None:
    """Files of one's home with the repository in another place: the program is told of it."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "limmat.toml").write_text(CONFIG)
    where = ("--git-dir", str(tmp_path / "aside.git"), "--work-tree", str(files))
    hooked.git(*where, "init", "-q")
    copy(tmp_path / "aside.git/hooks", shell)

    hooked.git(*where, "commit", "-q", "--allow-empty", "-m", "first")

    found = stand_in.environment(stand_in.wait())
    assert Path(found["GIT_DIR"]) == tmp_path / "aside.git"
    assert Path(found["PWD"], found["GIT_WORK_TREE"]).resolve() == files


def test_a_submodule_has_hooks_of_its_own(
    hooked: Repo, stand_in: StandIn, shell: str, make_repo: Callable[..., Repo]
) -> None:
    """Its `.git` is a file that names the directory."""
    inner = make_repo("inner")
    inner.commit("first")
    hooked.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.path), "sub")
    sub = Repo(hooked.path / "sub", hooked.environment)
    install(sub, shell)
    sub.write("limmat.toml", CONFIG)

    sub.git("commit", "-q", "--allow-empty", "-m", "inside")

    assert marked(hooked.path / ".git/modules/sub") == stand_in.wait()


def test_worktrees_of_jobs_are_left_alone(hooked: Repo, stand_in: StandIn) -> None:
    """A user who works in one, to see what has failed there, is no reason to test."""
    hooked.limmat("run", "HEAD")
    (pool,) = (Path(hooked.environment["XDG_CACHE_HOME"]) / "limmat").iterdir()
    inside = Repo(pool / "1", hooked.environment)
    inside.write("limmat.toml", CONFIG)

    inside.git("commit", "-q", "--allow-empty", "-m", "in the pool")

    assert starts_nothing(stand_in)


def test_a_bare_environment_is_enough(hooked: Repo, stand_in: StandIn) -> None:
    """No HOME, no terminal, and hardly any variable, as where a graphical program calls git."""
    kept = {"PATH": hooked.environment["PATH"]}
    subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
        cwd=hooked.path,
        env=kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )

    assert stand_in.wait()


def test_hooks_may_be_called_by_others(hooked: Repo, stand_in: StandIn, shell: str) -> None:
    """In a chain, under another name, from below the top, and with input that nobody reads."""
    place = hooked.path / ".git/hooks"
    (place / "post-rewrite").rename(place / "mine")
    script = (
        f'#!{shell}\ncd deep || exit\n"$(git rev-parse --git-path hooks)/mine" "$@"\necho "$?" >../status\n'
    )
    (place / "post-rewrite").write_text(script)
    (place / "post-rewrite").chmod(0o755)
    (place / "post-commit").unlink()
    (hooked.path / "deep").mkdir()

    hooked.git("commit", "-q", "--amend", "--allow-empty", "-m", "better")

    assert stand_in.wait()
    assert wait_for_file(hooked.path / "status") == "0\n"


@as_root
def test_anyone_may_use_them(hooked: Repo, shell: str) -> None:
    """Also a user who is not root, and one who cannot write the state that root has left."""
    with tempfile.TemporaryDirectory() as place:  # others cannot reach pytest's own directories
        Path(place).chmod(0o755)
        homes = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
        repo = Repo(Path(place) / "repo", hooked.environment | dict.fromkeys(homes, place))
        hooked.git("clone", "-q", ".", str(repo.path))
        repo.write("limmat.toml", CONFIG)
        install(repo, shell)
        stand_in = StandIn(repo)
        for owner in (NOBODY, 0):
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", repo.path], check=True)
            if owner == 0:
                subprocess.run(["chown", "-R", "0:0", repo.path / ".git/limmat"], check=True)
            done = subprocess.run(
                ["git", "commit", "-q", "--allow-empty", "-m", "second"],
                cwd=repo.path,
                env=repo.environment,
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                capture_output=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, b"")
            assert stand_in.wait()
            stand_in.end()


@pytest.mark.parametrize("name", NAMES)
def test_hooks_are_for_any_shell(name: str) -> None:
    """They are executable, and each shell can read them."""
    assert os.access(HOOKS / name, os.X_OK)
    for each in SHELLS:
        subprocess.run([each, "-n", HOOKS / name], check=True)


def test_post_hooks_differ_in_their_first_lines_only() -> None:
    """Each is complete, so that it can be copied anywhere; what is mended in one is mended in all."""
    rests = {(HOOKS / name).read_text().partition("# Below this line")[2] for name in POST}

    assert len(rests) == 1
    assert "" not in rests
