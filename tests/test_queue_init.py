"""A server is set up for a queue beside all that it has, and gets it back as it was."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from queue_server import Server, push

from gitlimmat.errors import LimmatError, UsageError
from gitlimmat.git.repository import find_repository
from gitlimmat.queue.events import Policy
from gitlimmat.queue.rules import Identity
from gitlimmat.service.init import carry_out
from gitlimmat.service.queue.settings import read_rules
from gitlimmat.service.queue.setup import Wanted, plan_removal, plan_setup

HOOK = '#!/bin/sh\nread -r line\necho "theirs ${0##*/} $line" >>hooks.log\nexit ${THEIRS:-0}\n'
HOOKS = ("pre-receive", "update", "post-receive", "post-update", "lib.sh", "pre-receive.sample")


@pytest.fixture
def bare(make_repo: Callable[..., Repo]) -> Repo:
    """A bare repository without a queue."""
    return make_repo("server.git", "--bare")


def everything(top: Path) -> dict[str, tuple[str, int, bytes]]:
    """Return all that set-up may touch: each path with its kind, its mode and its content."""
    found: dict[str, tuple[str, int, bytes]] = {}
    (top / "hooks.log").unlink(missing_ok=True)
    places = [top / "config", *top.glob("hooks*"), *top.glob("hooks*/*"), *top.glob("limmat-*")]
    for path in [*places, *top.glob("limmat-*/*")]:
        name, mode = str(path.relative_to(top)), path.lstat().st_mode
        if path.is_symlink():
            found[name] = ("link", 0, str(path.readlink()).encode())
        elif path.is_dir():
            found[name] = ("directory", mode, b"")
        else:
            found[name] = ("file", mode, path.read_bytes())
    return found


def set_up(bare: Repo, wanted: Wanted = Wanted()) -> list[str]:  # noqa: B008 - it cannot be changed
    """Set up and return what is said."""
    said: list[str] = []
    plan = plan_setup(find_repository(bare.path), wanted)
    carry_out(plan, said.append)
    return [*plan.told, *said]


def undo(bare: Repo) -> list[str]:
    """Take it back and return what is said."""
    said: list[str] = []
    plan = plan_removal(find_repository(bare.path))
    carry_out(plan, said.append)
    return [*plan.told, *said]


def test_each_line_is_said_and_the_second_time_there_is_none(bare: Repo) -> None:
    """What is set up already stays as it is."""
    said = bare.limmat("queue", "init", "--yes", "--reviewer", "alice", "--policy", "linear")
    before = everything(bare.path)

    assert "install the hook 'hooks/proc-receive'" in said.replace(f"{bare.path}/", "")
    assert "set limmat.queue.reviewer = alice" in said
    assert bare.limmat("queue", "init", "--yes").splitlines() == ["nothing to do: all is set up"]
    assert everything(bare.path) == before
    rules = read_rules(find_repository(bare.path))
    assert rules.targets == ("refs/heads/main",)
    assert rules.policy is Policy.LINEAR
    assert rules.reviewers == ("alice",)
    assert rules.admins == (getpass.getuser(),)


def test_nothing_is_done_without_consent(bare: Repo) -> None:
    """A dry run shows all, and where nobody can be asked nobody has agreed."""
    before = everything(bare.path)

    assert "would install the hook" in bare.limmat("queue", "init", "--dry-run")
    done = bare.program("queue", "init")
    assert done.returncode == 1
    assert b"'git limmat queue init --yes' does it" in done.stderr
    assert bare.program("queue", "init", "--yes", "--dry-run").returncode == 129
    assert bare.program("queue", "init", "--undo", "--reviewer", "x").returncode == 129
    assert everything(bare.path) == before


def test_lists_get_longer_and_words_are_replaced(bare: Repo) -> None:
    """What is given later is added to what is there, also where that was set by hand."""
    set_up(bare, Wanted(reviewers=("alice",), identity=Identity.SHELL))
    bare.git("config", "--add", "limmat.queue.reviewer", "hand")

    set_up(bare, Wanted(reviewers=("bob", "hand"), identity=Identity.HTTP, policy=Policy.SQUASH))

    rules = read_rules(find_repository(bare.path))
    assert set(rules.reviewers) == {"alice", "hand", "bob"}
    assert (rules.identity, rules.policy) == (Identity.HTTP, Policy.SQUASH)
    undo(bare)
    assert bare.git("config", "--get-all", "limmat.queue.reviewer") == "hand"


def test_a_repository_with_a_worktree_is_refused(repo: Repo) -> None:
    """Its branch would move under whoever has it checked out."""
    repo.commit("base")
    before = everything(repo.path / ".git")

    done = repo.program("queue", "init", "--yes")

    assert done.returncode == 128
    assert b"has a worktree" in done.stderr
    assert b"git clone --bare" in done.stderr
    assert everything(repo.path / ".git") == before


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(targets=("a b",)),
        Wanted(targets=("refs/tags/v1",)),
        Wanted(targets=("--all",)),
        Wanted(reviewers=("limmat",)),
        Wanted(admins=("a\nb",)),
        Wanted(tryers=("@all",)),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_done(bare: Repo, wanted: Wanted) -> None:
    """Names of branches and of people are looked at first."""
    before = everything(bare.path)
    with pytest.raises((UsageError, LimmatError)):
        set_up(bare, wanted)
    assert everything(bare.path) == before


def test_nobody_to_approve_is_said(bare: Repo) -> None:
    """Where accounts are not people, nobody is guessed."""
    said = set_up(bare, Wanted(identity=Identity.GITOLITE))
    assert any("nobody can approve" in line for line in said)
    assert "admin" not in (bare.path / "config").read_text()


def test_hooks_that_are_there_run_first_and_decide(server: Server) -> None:
    """With their input and their exit status; those of other names are not touched."""
    for name in ("pre-receive", "post-receive"):
        hook = server.bare.write(f"hooks/{name}", HOOK)
        hook.chmod(0o755)
    server.set_up(Wanted())
    alice = server.clone("alice")
    head = alice.commit("one")
    line = f"{'0' * 40} {head} refs/for/main"

    push(alice, "HEAD:refs/for/main")
    stored = line.replace("refs/for/main", "refs/limmat/queue/changes/1/heads/1")
    assert server.bare.lines("hooks.log") == [f"theirs pre-receive {line}", f"theirs post-receive {stored}"]

    alice.environment["THEIRS"] = "3"
    assert "pre-receive hook declined" in push(alice, "HEAD:topic", status=1)
    alice.environment["THEIRS"] = "0"
    assert "moved by the merge queue only" in push(alice, "HEAD:main", status=1)


@pytest.fixture
def server(make_repo: Callable[..., Repo]) -> Server:
    """A server with a queue, taken back."""
    made = Server(make_repo)
    undo(made.bare)
    return made


def test_a_hook_finds_what_is_beside_it(server: Server) -> None:
    """It is moved to a directory where its neighbors are, too."""
    server.bare.write("hooks/lib.sh", "echo sourced >>hooks.log\n")
    server.bare.write("hooks/pre-receive", '#!/bin/sh\n. "${0%/*}/lib.sh"\n').chmod(0o755)
    server.set_up(Wanted())
    alice = server.clone("alice")
    alice.commit("one")

    push(alice, "HEAD:topic")

    assert server.bare.lines("hooks.log") == ["sourced"]


def test_a_proc_receive_hook_of_others_is_in_the_way(bare: Repo) -> None:
    """git knows only one."""
    bare.write("hooks/proc-receive", "#!/bin/sh\n").chmod(0o755)
    before = everything(bare.path)
    with pytest.raises(LimmatError, match="is there already"):
        set_up(bare)
    assert everything(bare.path) == before


def test_hooks_in_another_place_go_on_running(server: Server, tmp_path: Path) -> None:
    """core.hooksPath may lead to files that other repositories share; they are not touched."""
    shared = tmp_path / "shared"
    shared.mkdir()
    for name in ("pre-receive", "post-receive"):
        (shared / name).write_text(HOOK)
        (shared / name).chmod(0o755)
    server.bare.git("config", "core.hooksPath", str(shared))
    before = everything(server.path)
    server.set_up(Wanted())
    alice = server.clone("alice")
    alice.commit("one")

    assert "change 1 is new" in push(alice, "HEAD:refs/for/main", by=getpass.getuser())
    assert [line.split()[1] for line in server.bare.lines("hooks.log")] == ["pre-receive", "post-receive"]
    assert "moved by the merge queue only" in push(alice, "HEAD:main", status=1)
    assert not set_up(server.bare)

    undo(server.bare)
    assert everything(server.path) == before
    assert sorted(path.name for path in shared.iterdir()) == ["post-receive", "pre-receive"]


def test_timelines_stay_when_it_is_taken_back(server: Server) -> None:
    """What has happened is not undone, and how to remove it is said."""
    server.set_up(Wanted())
    alice = server.clone("alice")
    alice.commit("one")
    push(alice, "HEAD:refs/for/main")
    before = server.refs("refs/limmat/queue")

    said = undo(server.bare)

    assert any("the 2 refs of the queue stay" in line for line in said)
    assert server.refs("refs/limmat/queue") == before
    server.set_up(Wanted())
    assert server.change(1).title == "one"


def test_an_edited_hook_is_left(bare: Repo) -> None:
    """By a second set-up and by its undoing; what is said names it."""
    set_up(bare)
    hook = bare.path / "hooks" / "pre-receive"
    hook.write_text(hook.read_text() + "# mine\n")

    assert any("edited" in line for line in set_up(bare))
    assert any("edited" in line for line in undo(bare))
    assert hook.read_text().endswith("# mine\n")


def test_init_and_queue_init_are_undone_apart(bare: Repo) -> None:
    """Each knows its own lines."""
    before = everything(bare.path)
    bare.limmat("init", "--yes")
    between = everything(bare.path)
    set_up(bare)

    bare.limmat("init", "--undo")
    assert "refs/for" in bare.git("config", "--get-all", "receive.procReceiveRefs")
    bare.limmat("init", "--yes")
    undo(bare)
    assert (bare.path / "config").read_bytes() == between["config"][2]
    bare.limmat("init", "--undo")
    assert everything(bare.path) == before


CONFIGS = st.lists(
    st.sampled_from(
        [
            *("[receive]\n\tdenyDeletes = true\n", "[receive]\n\tprocReceiveRefs = refs/for\n", "# words\n"),
            *("[limmat]\n\tprogram = /bin/true\n", '[limmat "queue"]\n\treviewer = hand\n', "\n", "[a]\nb=c"),
            *("[receive]\n\tadvertisePushOptions = false\n", '[limmat "queue"]\n\ttarget = next\n', "  "),
        ]
    ),
    max_size=4,
)
WANTED = st.builds(
    Wanted,
    targets=st.lists(st.sampled_from(["main", "next", "release/1"]), max_size=2).map(tuple),
    policy=st.sampled_from([None, *Policy]),
    identity=st.sampled_from([None, *Identity]),
    reviewers=st.lists(st.sampled_from(["alice", "bob", "*", "c@d"]), max_size=2).map(tuple),
    admins=st.lists(st.sampled_from(["alice", "ada"]), max_size=1).map(tuple),
    url=st.sampled_from(["", "https://example.com/q"]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    config=CONFIGS,
    hooks=st.dictionaries(st.sampled_from(HOOKS), st.sampled_from([0o755, 0o644]), max_size=4),
    without=st.booleans(),
    wanted=st.lists(WANTED, min_size=1, max_size=3),
)
def test_all_that_was_there_comes_back(
    bare: Repo, config: list[str], hooks: dict[str, int], without: bool, wanted: list[Wanted]
) -> None:
    """Whatever a repository has, and whatever is wanted how often: then it is as it was, to the byte."""
    top = bare.path / "tried.git"
    shutil.rmtree(top, ignore_errors=True)
    bare.git("init", "-q", "--bare", "-b", "main", str(top))
    tried = Repo(top, bare.environment)
    shutil.rmtree(top / "hooks")
    if hooks or not without:
        (top / "hooks").mkdir()
    for name, mode in hooks.items():
        tried.write(f"hooks/{name}", f"#!/bin/sh\n# {name}\n").chmod(mode)
    with (top / "config").open("a") as file:
        file.write("".join(config))
    before = everything(top)

    for each in wanted:
        set_up(tried, each)
        assert not [
            line for line in set_up(tried, each) if line.startswith(("set", "install", "move", "make"))
        ]
    rules = read_rules(find_repository(top))
    assert set(wanted[-1].reviewers) <= set(rules.reviewers)
    assert wanted[-1].policy in (None, rules.policy)
    undo(tried)

    assert everything(top) == before
