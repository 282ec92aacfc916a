"""Kill -9 of the daemon at each step of a run: all lands once, as it was tested, and nothing is lost."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repo
from queuecrash import KILLED
from queueserver import Server, make_server
from waiting import is_alive, wait_for_file, wait_until

from gitlimmat.queue.events import CancelRequested, Notice, RunStarted
from gitlimmat.queue.state import Forge, Status

SOAK = os.environ.get("LIMMAT_SOAK") == "1"

ALL_POINTS = (
    ("before-merge", 1),  # picked, nothing done yet
    ("after-merge", 1),  # the merge is made, no ref leads there
    ("before-transaction", 1),
    ("partly-transaction", 1),  # the run's ref is there, its event is not
    ("after-transaction", 1),  # started, no job yet
    ("before-result", 1),  # a job has ended, nobody has kept what it found
    ("after-result", 1),  # the result is stored, its event is not
    ("before-report", 1),
    ("partly-transaction", 2),  # one member of the batch knows how it ended, the other does not
    ("after-report", 1),
    ("before-land", 1),  # passed, the target has not moved
    ("partly-transaction", 3),  # the target has moved, no event says so
    ("after-land", 1),  # landed, not announced
    ("before-announce", 1),
    ("after-announce", 1),  # announced, the command not told
    ("before-notify", 1),
)
OFTEN = {
    ("after-merge", 1),
    ("after-transaction", 1),
    ("after-result", 1),
    ("before-land", 1),
    ("after-land", 1),
}
POINTS = [each for each in ALL_POINTS if SOAK or each in OFTEN or each[0].startswith("partly")]


@pytest.fixture
def server(make_repo: Callable[..., Repo], tmp_path: Path) -> Server:
    """A server whose test writes down each commit that it has passed on."""
    server = make_server(make_repo, tmp_path)
    server.base(
        '[[tests]]\nname = "unit"\n'
        f'command = "test ! -e bad || exit 1; echo $LIMMAT_COMMIT >>{tmp_path}/tested"\n'
    )
    server.set("batch", "2")
    server.set("notify", "true")
    return server


def crash(server: Server, point: str, nth: int) -> bool:
    """Serve until a point; return whether it was reached."""
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("queuecrash.py")),
            str(server.bare.path),
            point,
            str(nth),
        ],
        env=server.bare.environment | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, KILLED), done.stderr.decode()
    return done.returncode == KILLED


def timelines(server: Server) -> dict[str, str]:
    """Return the end of each timeline."""
    listed = server.bare.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/limmat/queue/changes")
    pairs = (line.split(" ") for line in listed.splitlines())
    return {name: oid for name, oid in pairs if name.endswith("/meta")}


def check_nothing_lost(server: Server, before: dict[str, str]) -> None:
    """Each timeline still begins with what it had."""
    for name, oid in before.items():
        server.bare.git("merge-base", "--is-ancestor", oid, name)


def check(server: Server, base: str, tested: Path, good: list[int], bad: list[int]) -> None:
    """Look at git alone for what landed, and at the timelines for what they say of it."""
    passed = set(tested.read_text().split()) if tested.exists() else set()
    landed = server.bare.git("rev-list", "--first-parent", f"{base}..main").split()
    assert set(landed) <= passed, "something landed untested"
    parents = Counter(
        oid for commit in landed for oid in server.bare.git("rev-parse", f"{commit}^@").split()[1:]
    )
    assert parents == Counter({server.state(number).head: 1 for number in good})
    for number in good:
        change = server.state(number)
        assert change.forge is Forge.LANDED
        assert change.landed_as in landed
        assert server.events(number).count("Landed") == 1
        assert all(run.outcome is not None for run in change.runs)
    for number in bad:
        assert server.state(number).status is Status.FAILED
    for number in (*good, *bad):
        check_said_once(server, number)
    assert not list(server.bare.path.rglob("refs/**/*.lock"))
    server.bare.git("fsck", "--strict")


def check_said_once(server: Server, number: int) -> None:
    """No notice and no start is there twice, and each run that started has its merge kept."""
    events = [event for entry in server.session.timelines.entries(number) for event in entry.events]
    for keys in (
        [event.key for event in events if isinstance(event, Notice)],
        [event.run for event in events if isinstance(event, RunStarted)],
    ):
        assert len(keys) == len(set(keys))
    assert not any(isinstance(event, CancelRequested) for event in events)
    for event in events:
        if isinstance(event, RunStarted):
            assert server.bare.git("rev-parse", f"refs/limmat/queue/runs/{event.run}") == event.merge


@pytest.mark.timeout(1800 if SOAK else 180)
@pytest.mark.parametrize(("point", "nth"), POINTS)
def test_a_killed_daemon_has_done_each_step_or_not(
    server: Server, tmp_path: Path, point: str, nth: int
) -> None:
    """Wherever it dies, the next one ends what it began: all that is good lands, once, as it was tested."""
    base = server.tip
    for turn in range(50 if SOAK else 1):
        good = [server.change(f"good-{turn}-{place}", "main") for place in range(2)]
        bad = [server.change(f"bad-{turn}", "main", bad="x")] if turn == 0 else []
        server.approve(*good, *bad)
        before = timelines(server)

        assert crash(server, point, nth), "the point was never reached"

        check_nothing_lost(server, before)
        before = timelines(server)
        server.serve()
        check_nothing_lost(server, before)
        check(server, base, tmp_path / "tested", good, bad)
        base = server.tip


@pytest.mark.timeout(1800 if SOAK else 180)
def test_a_daemon_that_is_killed_again_and_again_ends_all(server: Server, tmp_path: Path) -> None:
    """What it does after a crash may be cut short as well."""
    chance = random.Random(5)
    base = server.tip
    points = [point for point, _ in ALL_POINTS]
    good: list[int] = []
    bad: list[int] = []
    for turn in range(200 if SOAK else 4):
        good.append(server.change(f"good-{turn}", "main"))
        server.approve(good[-1])
        if turn % 3 == 0:
            bad.append(server.change(f"bad-{turn}", "main", bad="x"))
            server.approve(bad[-1])
        before = timelines(server)
        crash(server, chance.choice(points), chance.randint(1, 4))
        check_nothing_lost(server, before)

    server.serve()

    check(server, base, tmp_path / "tested", good, bad)


@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("before-announce", 1),
        ("after-announce", 1),
        pytest.param("before-notify", 1, marks=pytest.mark.skipif(not SOAK, reason="slow")),
        ("before-drop", 2),  # the command has ended, and nobody knows
        pytest.param("after-drop", 1, marks=pytest.mark.skipif(not SOAK, reason="slow")),
    ],
)
def test_what_was_said_is_told_though_the_daemon_was_killed(
    server: Server, tmp_path: Path, point: str, times: int
) -> None:
    """The next daemon tells what this one did not; only what was being told may come twice, by one name."""
    server.set("notify", f'echo "$LIMMAT_QUEUE_CHANGE $LIMMAT_QUEUE_KEY" >>{tmp_path}/told')
    first, second = (server.change(name, "main") for name in ("first", "second"))
    server.approve(first, second)

    assert crash(server, point, 1), "the point was never reached"
    server.serve()
    server.serve()

    keys = {number: f"{number} landed:{server.state(number).landed_by}" for number in (first, second)}
    assert Counter((tmp_path / "told").read_text().splitlines()) == {keys[first]: times, keys[second]: 1}
    assert not list((server.bare.path / "limmat" / "queue" / "untold").iterdir())


def test_nothing_is_kept_to_be_told_where_nobody_wants_it(server: Server, tmp_path: Path) -> None:
    """Without a command there is no outbox, and one that comes later is not told what was said before."""
    server.bare.git("config", "--unset", "limmat.queue.notify")
    server.approve(server.change("first", "main"))
    server.serve()
    assert not (server.bare.path / "limmat" / "queue" / "untold").exists()

    server.set("notify", f'echo "$LIMMAT_QUEUE_TITLE" >>{tmp_path}/told')
    server.approve(server.change("second", "main"))
    server.serve()

    assert (tmp_path / "told").read_text() == "second\n"


def test_a_job_that_kills_the_daemon_is_run_again(server: Server, tmp_path: Path) -> None:
    """Nothing of the job is left, and its run goes on with the next daemon."""
    server.repo.git("checkout", "-q", "main")
    base = server.repo.commit(
        "killer",
        **{
            "limmat.toml": '[[tests]]\nname = "unit"\n'
            f'command = "test -e {tmp_path}/killed || {{ touch {tmp_path}/killed; kill -9 $PPID; sleep 60; }}'
            f'; echo $LIMMAT_COMMIT >>{tmp_path}/tested"\n'
        },
    )
    server.repo.git("push", "-q", str(server.bare.path), "main:main")
    number = server.change("topic", "main")
    server.approve(number)

    assert crash(server, "before-merge", 99)
    run = server.state(number).runs[0]
    assert run.is_open
    server.serve()

    assert len(server.state(number).runs) == 1
    check(server, base, tmp_path / "tested", [number], [])


MORTAL_GIT = """#!/bin/sh
# Is git, but of the first transaction that names a certain ref it moves one ref only, and dies.
case " $* " in
*" update-ref "*)
    cat >{place}/said.$$
    if grep -q -a '{named}' {place}/said.$$ && mkdir {place}/died 2>/dev/null; then
        tr '\\0' '\\n' <{place}/said.$$ >{place}/lines
        {{ head -n 3 {place}/lines | tr '\\n' '\\0'; }} | git update-ref --no-deref -z --stdin
        sed -n 's/^update \\(.*\\)/\\1/p' {place}/lines | sed 1d |
            while read -r name; do : >"$name.lock"; done
        kill -9 $$
    fi
    exec git "$@" <{place}/said.$$ ;;
esac
exec git "$@"
"""


@pytest.mark.parametrize(
    "named",
    ["refs/heads/main", pytest.param("queue/runs/", marks=pytest.mark.skipif(not SOAK, reason="slow"))],
)
def test_a_git_that_is_killed_while_it_moves_refs_is_made_good(
    server: Server, tmp_path: Path, named: str
) -> None:
    """What it left half done is seen and ended, once the locks that it left are nobody's."""
    base = server.tip
    good = [server.change(f"good-{place}", "main") for place in range(2)]
    server.approve(*good)
    git = tmp_path / "mortal-git"
    git.write_text(MORTAL_GIT.format(place=tmp_path, named=named))
    git.chmod(0o755)
    server.git_binary = str(git)

    server.serve()

    assert (tmp_path / "died").is_dir()
    check(server, base, tmp_path / "tested", good, [])


def test_a_full_disk_is_told_and_waited_for(server: Server, tmp_path: Path) -> None:
    """While there is no room nothing moves, not by half either; then it goes on, and nobody is blamed."""
    gate = tmp_path / "gate"
    config = (server.repo.path / "limmat.toml").read_text()
    server.repo.git("checkout", "-q", "main")
    wait = f'command = "echo >{tmp_path}/began; while ! test -e {gate}; do sleep 0.02; done; '
    base = server.repo.commit("wait", **{"limmat.toml": config.replace('command = "', wait)})
    server.repo.git("push", "-q", str(server.bare.path), "main:main")
    number = server.change("topic", "main")
    server.approve(number)
    objects, aside = server.bare.path / "objects", tmp_path / "aside"
    shutil.copytree(objects, aside)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(objects)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("may not mount a small file system")

    def act() -> None:
        wait_for_file(tmp_path / "began")
        assert subprocess.run(["cp", "/dev/zero", objects / "filler"], check=False).returncode == 1
        before = server.bare.git("for-each-ref")
        gate.touch()
        wait_until(lambda: any("trying again" in warning for warning in server.warnings))
        assert server.bare.git("for-each-ref") == before
        (objects / "filler").unlink()
        wait_until(lambda: server.state(number).forge is Forge.LANDED)

    try:
        shutil.copytree(aside, objects, dirs_exist_ok=True)
        server.serve_while(act)
        server.serve()
        check(server, base, tmp_path / "tested", [number], [])
    finally:
        subprocess.run(["umount", "-l", str(objects)], check=True)


def test_a_signal_ends_the_daemon_and_its_jobs_and_nothing_else(server: Server, tmp_path: Path) -> None:
    """SIGTERM ends it with status 0; the run stays open, and the next daemon goes on with it."""
    server.repo.git("checkout", "-q", "main")
    script = (
        f"echo $$ >{tmp_path}/pid; test -e {tmp_path}/go || sleep 60; echo $LIMMAT_COMMIT >>{tmp_path}/tested"
    )
    base = server.repo.commit("slow", **{"limmat.toml": f'[[tests]]\nname = "unit"\ncommand = "{script}"\n'})
    server.repo.git("push", "-q", str(server.bare.path), "main:main")
    number = server.change("topic", "main")
    server.approve(number)

    with server.bare.start("queue", "serve") as daemon:
        pid = int(wait_for_file(tmp_path / "pid"))
        daemon.send_signal(signal.SIGTERM)
        out, errors = daemon.communicate(timeout=30)

    assert (daemon.returncode, errors) == (0, b"")
    assert b"#1: " in out
    assert not is_alive(pid)
    assert server.state(number).runs[0].is_open
    (tmp_path / "go").touch()
    server.bare.limmat("queue", "serve", "--once")
    assert len(server.state(number).runs) == 1
    check(server, base, tmp_path / "tested", [number], [])


SLOW_NOTIFY = (
    "echo >{place}/telling; while ! test -e {place}/gate; do sleep 0.02; done; "
    'echo "$LIMMAT_QUEUE_CHANGE $LIMMAT_QUEUE_EVENT" >>{place}/told'
)


@pytest.mark.parametrize("signals", [1, 2])
def test_what_was_said_is_told_before_a_signal_ends_the_daemon(
    server: Server, tmp_path: Path, signals: int
) -> None:
    """After one signal it is told to the end; another one leaves it to the next daemon. Nothing is lost."""
    server.set("notify", SLOW_NOTIFY.format(place=tmp_path))
    numbers = [server.change(name, "main") for name in ("first", "second")]
    server.approve(*numbers)

    with server.bare.start("queue", "serve") as daemon:
        assert daemon.stdout is not None
        assert daemon.stderr is not None
        wait_for_file(tmp_path / "telling")
        wait_until(lambda: all(server.events(number)[-1] == "Notice" for number in numbers))
        daemon.send_signal(signal.SIGTERM)
        while daemon.stdout.readline() != b"2 notices to be told before the end\n":
            assert daemon.poll() is None
        if signals == 1:
            (tmp_path / "gate").touch()
        while signals == 2 and not select.select([daemon.stderr], [], [], 0.02)[0]:
            daemon.send_signal(signal.SIGTERM)  # two in one moment are one
        errors = daemon.communicate(timeout=30)[1]

    assert daemon.returncode == 0
    if signals == 2:
        assert errors == b"warning: 2 notices left to be told by the next daemon\n"
        assert not (tmp_path / "told").exists()
        (tmp_path / "gate").touch()
        server.bare.limmat("queue", "serve", "--once")
    assert (tmp_path / "told").read_text().splitlines() == [f"{number} landed" for number in numbers]
