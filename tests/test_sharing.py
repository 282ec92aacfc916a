"""What schedules, repositories and processes share: nothing is used twice, and everybody has a turn."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import wait_until

from gitlimmat.model import Commit, Need, Outcome, Resource, Test
from gitlimmat.plan.capacity import Token
from gitlimmat.plan.cases import plan_cases
from gitlimmat.plan.schedule import Schedule, Start
from gitlimmat.service.sharing import Share, Sharing
from gitlimmat.store.hostlocks import HostLocks, host_directory

P, Q = Token("db", "p"), Token("db", "q")

HOLDER = """
import sys
from pathlib import Path
from gitlimmat.plan.capacity import Token
from gitlimmat.store.hostlocks import HostLocks
host = HostLocks(Path(sys.argv[1]), print)
take = {
    "slot": lambda: host.try_slot(2),
    "token": lambda: host.try_token(Token("db", "p")),
    "turn": lambda: host.try_turn(Token("db", "p")),
}
held = [take[what]() for what in sys.argv[2:]]
print(*("busy" if lock is None else "held" for lock in held), flush=True)
sys.stdin.read()
"""


def refuse_warning(text: str) -> None:
    """Fail: nothing is to be warned about here."""
    raise AssertionError(text)


@pytest.fixture
def start_holder(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that hold something of the host until they are ended, and wait until they do."""
    started = []

    def start(*what: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), *what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "LIMMAT_OWN": "1"},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["held"] * len(what)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def look(share: Share, *tokens: Token) -> bool:
    """Take a slot and tokens as a schedule does: all or nothing, and say what is waited for."""
    if not share.take_slot():
        share.waits_for(slot=True, token=None)
        return False
    taken: list[Token] = []
    for token in tokens:
        if not share.take_token(token):
            for each in taken:
                share.give_token(each)
            share.give_slot()
            share.waits_for(slot=False, token=token)
            return False
        taken.append(token)
    share.waits_for(slot=False, token=None)
    return True


def give(share: Share, *tokens: Token) -> None:
    """Give back what `look` took."""
    for token in tokens:
        share.give_token(token)
    share.give_slot()


def test_schedules_share_the_slots_of_a_process() -> None:
    """There are no more jobs than slots, whoever runs them."""
    sharing = Sharing(2, None)
    one, two = sharing.share(), sharing.share()

    assert [look(one), look(two), look(one)] == [True, True, False]
    give(two)
    assert look(one)


def test_whoever_waits_gets_the_next_slot() -> None:
    """A schedule that has just given a slot back does not take it again while another one waits."""
    sharing = Sharing(1, None)
    one, two, three = sharing.share(), sharing.share(), sharing.share()
    assert look(one)
    assert not look(two)
    assert not look(three)

    give(one)

    assert [look(one), look(three), look(two)] == [False, False, True]
    give(two)
    assert [look(two), look(one), look(three)] == [False, False, True]


def test_nobody_waits_for_one_who_wants_nothing_any_more() -> None:
    """A place in line is given up when there is nothing to start, or the schedule is over."""
    sharing = Sharing(1, None)
    one, two, three = sharing.share(), sharing.share(), sharing.share()
    assert look(one)
    assert not look(two)
    assert not look(three)
    give(one)

    two.waits_for(slot=False, token=None)
    assert not look(one)
    three.close()

    assert look(one)


def test_tokens_are_held_once_where_their_resource_is_shared() -> None:
    """Equal names and values are one thing for those who share the name, and for nobody else."""
    sharing = Sharing(9, None)
    one, two = sharing.share(resources=["db"]), sharing.share(resources=("db", "gpu"))
    assert one.shares("db")
    assert not one.shares("gpu")

    assert look(one, P)

    assert not look(two, P)
    assert look(two, Q)
    give(one, P)
    assert look(two, P)


def test_nobody_keeps_one_thing_while_waiting_for_another() -> None:
    """Who waits for a second token stands in no line for the first."""
    sharing = Sharing(9, None)
    one, two, three = (sharing.share(resources=["db"]) for _ in range(3))
    assert look(one, P)
    assert look(two, Q)
    assert not look(three, P, Q)
    give(one, P)
    assert not look(three, P, Q)

    assert look(one, P)


def test_a_release_is_told_once_when_someone_was_refused() -> None:
    """Nobody is woken for nothing, or by a look that came to nothing."""
    told: list[str] = []

    async def turn() -> list[str]:
        await asyncio.sleep(0)
        now, told[:] = told[:], []
        return now

    async def work() -> None:
        sharing = Sharing(2, None)
        end = sharing.on_release(lambda: told.append("free"))
        one, two = sharing.share(resources=["db"]), sharing.share(resources=["db"])
        assert look(one, P)
        give(one, P)
        assert await turn() == []
        assert look(one, Q)
        assert not look(two, P, Q)
        assert not look(two, P, Q)
        assert await turn() == []
        assert not look(two, Q)
        give(one, Q)
        assert await turn() == ["free"]
        end()
        end()
        assert look(two, Q)
        assert not look(one, Q)
        give(two, Q)
        assert await turn() == []

    asyncio.run(work())


def test_one_of_two_processes_has_a_token(
    tmp_path: Path, start_holder: Callable[..., subprocess.Popen[str]]
) -> None:
    """A token that another process holds is refused, until that process is gone, however it ends."""
    process = start_holder("token")
    share = Sharing(9, HostLocks(tmp_path, refuse_warning)).share(resources=["db"])
    assert not look(share, P)
    assert look(share, Q)

    process.send_signal(signal.SIGKILL)
    process.wait()

    assert look(share, P)


def test_processes_share_their_slots(
    tmp_path: Path, start_holder: Callable[..., subprocess.Popen[str]]
) -> None:
    """At most so many jobs run in all processes that say so; who does not say so is not bound."""
    process = start_holder("slot")
    sharing = Sharing(9, HostLocks(tmp_path, refuse_warning))
    share, free = sharing.share(jobs=2), sharing.share()

    assert [look(share), look(share)] == [True, False]
    assert look(free)
    process.kill()
    process.wait()
    assert [look(share), look(share)] == [True, False]
    give(share)
    assert look(share)


def test_who_waits_for_others_of_the_host_keeps_nobody_here_waiting(
    tmp_path: Path, start_holder: Callable[..., subprocess.Popen[str]]
) -> None:
    """A slot that only the host refuses stays free for those who do not take part in that."""
    start_holder("slot", "slot")
    sharing = Sharing(1, HostLocks(tmp_path, refuse_warning))
    share, free = sharing.share(jobs=2), sharing.share()
    assert not look(share)

    assert look(free)


def test_the_host_is_told_of_fewer_shared_slots_at_once(tmp_path: Path) -> None:
    """The settings may change while jobs run: what was taken of the host is given back with the last jobs."""
    here = Sharing(9, HostLocks(tmp_path, refuse_warning)).share(jobs=2)
    there = Sharing(9, HostLocks(tmp_path, refuse_warning)).share(jobs=2)
    assert look(here)
    here.jobs = None
    assert look(here)
    assert [look(there), look(there)] == [True, False]
    give(here)
    assert not look(there)
    give(here)
    assert look(there)


def test_a_process_that_waits_is_the_next(tmp_path: Path) -> None:
    """Who gives a token back and wants it again leaves it to a process that waits for it."""
    clock = Clock()
    one, two = (
        Sharing(9, HostLocks(tmp_path, refuse_warning), clock=clock).share(resources=["db"]) for _ in range(2)
    )
    assert look(one, P)
    assert not look(two, P)
    clock.now += 0.2
    assert not look(two, P)

    give(one, P)

    assert not look(one, P)
    assert look(two, P)
    clock.now += 0.2
    assert not look(one, P)
    give(two, P)
    assert not look(two, P)
    assert look(one, P)


def test_a_stopped_process_keeps_nothing_free(
    tmp_path: Path, start_holder: Callable[..., subprocess.Popen[str]]
) -> None:
    """The next one has a second to come; after that its turn does not count for a while."""
    process = start_holder("turn")
    process.send_signal(signal.SIGSTOP)
    clock = Clock()
    share = Sharing(9, HostLocks(tmp_path, refuse_warning), clock=clock).share(resources=["db"])

    assert not look(share, P)
    clock.now += 0.9
    assert not look(share, P)
    clock.now += 0.2
    assert look(share, P)
    give(share, P)
    assert look(share, P)
    give(share, P)
    clock.now += 60
    assert not look(share, P)


def test_nothing_is_shared_where_no_lock_can_be_had(tmp_path: Path) -> None:
    """That is a warning, given once, and jobs run all the same."""
    (tmp_path / "file").write_text("")
    warnings: list[str] = []
    share = Sharing(9, HostLocks(tmp_path / "file" / "limmat", warnings.append)).share(
        jobs=1, resources=["db"]
    )

    assert look(share, P)
    assert look(share, Q)

    assert len(warnings) == 1
    assert warnings[0].startswith("jobs and resources are not shared with other processes: cannot lock in")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_RUNTIME_DIR": "/run/u", "XDG_STATE_HOME": "/s", "HOME": "/h"}, "/run/u/limmat"),
        ({"XDG_RUNTIME_DIR": "", "XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/limmat"),
        ({"XDG_RUNTIME_DIR": "run", "HOME": "/h"}, "/h/.local/state/limmat"),
    ],
)
def test_locks_of_the_host_have_one_place(environment: dict[str, str], expected: str) -> None:
    """The directory of this login, or else the one for state; only absolute paths count."""
    assert host_directory(environment) == Path(expected)


def random_schedule(choice: random.Random, outside: Share) -> Schedule:
    """A few tests on a few commits that need shared things."""
    tests = [
        Test(
            name=f"t{number}",
            command="true",
            resources=tuple(
                Need(name=name, count=choice.randint(1, 2))
                for name in choice.sample(["db", "gpu"], k=choice.randint(0, 2))
            ),
        )
        for number in range(choice.randint(1, 3))
    ]
    commits = [Commit(id=f"c{number}", tree=f"t{number}") for number in range(choice.randint(0, 4))]
    return Schedule(
        plan_cases(commits, tests),
        jobs=choice.randint(1, 3),
        worktrees=3,
        resources=[
            Resource(name="db", tokens=tuple(choice.sample("pqr", k=choice.randint(2, 3)))),
            Resource(name="gpu", tokens=tuple(choice.sample("012", k=2))),
        ],
        outside=outside,
    )


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(), st.integers(1, 3), st.integers(2, 4), st.booleans())
def test_all_schedules_come_to_their_end_when_they_share(
    tmp_path: Path, seed: int, jobs: int, count: int, on_host: bool
) -> None:
    """Being called back is enough: nothing is held twice, and in the end everything has run."""
    choice = random.Random(seed)
    host = HostLocks(tmp_path, refuse_warning) if on_host else None

    async def work() -> None:
        sharing = Sharing(jobs, host)
        shared = [choice.sample(["db", "gpu"], k=choice.randint(0, 2)) for _ in range(count)]
        shares = [sharing.share(jobs=choice.choice([None, 2]), resources=names) for names in shared]
        schedules = [random_schedule(choice, share) for share in shares]
        running: list[tuple[Schedule, list[str], Start]] = []

        def advance(*which: int) -> None:
            for number in which or range(count):
                running.extend(
                    (schedules[number], shared[number], start) for start in schedules[number].start()
                )
            assert len(running) <= jobs
            held = [
                (name, value)
                for _, names, start in running
                for name in names
                for value in start.tokens.get(name, ())
            ]
            assert len(held) == len(set(held))

        sharing.on_release(advance)
        advance()
        while running:
            schedule, _, start = running.pop(choice.randrange(len(running)))
            schedule.finished(start.case.key, Outcome.PASSED)
            advance(schedules.index(schedule))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert all(schedule.done for schedule in schedules)

    asyncio.run(work())


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(), st.integers(1, 3), st.integers(2, 4))
def test_all_schedules_come_to_their_end_when_processes_share(
    tmp_path: Path, seed: int, jobs: int, count: int
) -> None:
    """Looking again from time to time is enough between processes, whatever each of them waits for."""
    choice = random.Random(seed)
    clock = Clock()
    processes = [Sharing(3, HostLocks(tmp_path, refuse_warning), clock=clock) for _ in range(2)]
    schedules = [
        random_schedule(choice, choice.choice(processes).share(jobs=jobs, resources=("db", "gpu")))
        for _ in range(count)
    ]
    running: list[tuple[Schedule, Start]] = []

    def advance(schedule: Schedule) -> None:
        running.extend((schedule, start) for start in schedule.start())
        assert len(running) <= jobs
        held = [token for _, start in running for token in start.tokens.items()]
        values = [(name, value) for name, values in held for value in values]
        assert len(values) == len(set(values))

    idle = 0
    while not all(schedule.done for schedule in schedules):
        if running and choice.random() < 0.5:
            schedule, start = running.pop(choice.randrange(len(running)))
            schedule.finished(start.case.key, Outcome.PASSED)
            advance(schedule)
        clock.now += choice.uniform(0.02, 0.2)
        for schedule in choice.sample(schedules, k=len(schedules)):
            advance(schedule)
        idle = 0 if running else idle + 1
        assert idle < 30, "nobody starts anything"


def test_two_processes_take_turns(tmp_path: Path) -> None:
    """Two that want one token all the time have it about equally often, and never both."""
    code = """
import sys, time
from pathlib import Path
from gitlimmat.plan.capacity import Token
from gitlimmat.service.sharing import Sharing
from gitlimmat.store.hostlocks import HostLocks
mark, end = Path(sys.argv[1]) / "held", Path(sys.argv[1]) / "end"
share = Sharing(1, HostLocks(Path(sys.argv[1]), print)).share(resources=["db"])
token, count = Token("db", "p"), 0
while not end.exists():
    if share.take_token(token):
        mark.mkdir()
        time.sleep(0.002)
        mark.rmdir()
        count += 1
        (Path(sys.argv[1]) / sys.argv[2]).write_text(str(count))
        share.give_token(token)
        share.waits_for(slot=False, token=None)
    else:
        share.waits_for(slot=False, token=token)
        time.sleep(0.02)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "LIMMAT_OWN": "1"},
        )
        for name in ("one", "two")
    ]

    def count(name: str) -> int:
        path = tmp_path / name
        return int((path.read_text() if path.exists() else "") or 0)

    try:
        wait_until(lambda: min(count("one"), count("two")) >= 5, "both to have had five turns")
    finally:
        (tmp_path / "end").touch()
        assert [process.wait() for process in processes] == [0, 0]


def test_two_runs_use_one_thing_in_turn(make_repo: Callable[..., Repo], tmp_path: Path) -> None:
    """Jobs of two repositories that share a resource on this host never have it at once, and all run."""
    repos = [make_repo(name) for name in ("one", "two")]
    repos[0].git("config", "--global", "limmat.sharedResource", "db")
    for repo in repos:
        repo.config(
            f"""
            resources = ["db"]
            [[tests]]
            name = "unit"
            command = "mkdir {tmp_path}/busy && sleep 0.01 && rmdir {tmp_path}/busy"
            resources = ["db"]
            """
        )
        for number in range(5):
            repo.commit(f"c{number}")

    processes = [repo.start("run", "main~4..main") for repo in repos]

    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, (output, errors)
        assert output.count(b"passed") >= 4
