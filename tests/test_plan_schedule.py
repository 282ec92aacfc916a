"""The schedule: what may start when, with what, and what follows from how it ended."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_oracle import Oracle

from gitlimmat.errors import ConfigError
from gitlimmat.model import CachePolicy, Commit, Need, Outcome, Resource, Test
from gitlimmat.plan.capacity import Limits, Token
from gitlimmat.plan.cases import Case, JobKey, plan_cases
from gitlimmat.plan.jobs import State
from gitlimmat.plan.schedule import Schedule, Start, Verdict


def commit(name: str, tree: str | None = None) -> Commit:
    """A commit whose tree is its own unless named."""
    return Commit(id=name, tree=tree or f"tree-{name}")


def plain(name: str, *depends_on: str, needs: Sequence[tuple[str, int]] = (), **more: object) -> Test:
    """A test with no more than its name, what it depends on and what it needs."""
    resources = tuple(Need(name=resource, count=count) for resource, count in needs)
    return Test(name=name, command="true", depends_on=depends_on, resources=resources, **more)  # type: ignore[arg-type]


def schedule_of(
    commits: Sequence[Commit],
    tests: Sequence[Test],
    *,
    jobs: int = 8,
    worktrees: int = 8,
    **resources: tuple[str, ...],
) -> Schedule:
    """A schedule of all tests on all commits."""
    return Schedule(
        plan_cases(commits, tests),
        jobs=jobs,
        worktrees=worktrees,
        resources=[Resource(name=name, tokens=tokens) for name, tokens in resources.items()],
    )


def names(starts: Sequence[Start]) -> list[str]:
    """What was started, as commit/test."""
    return [f"{start.case.commit.id}/{start.case.test.name}" for start in starts]


def said(verdicts: Sequence[Verdict]) -> list[str]:
    """What was decided without running, as commit/test outcome reason."""
    return [f"{v.case.commit.id}/{v.case.test.name} {v.outcome} {v.reason}" for v in verdicts]


def test_cases_are_ordered_by_commit_then_priority_then_file() -> None:
    """HEAD first; on one commit the higher priority first, and equal ones as in the file."""
    cases = plan_cases(
        [commit("b"), commit("a"), commit("b")], [plain("x"), plain("y", priority=1), plain("z")]
    )

    assert [case.commit.id + case.test.name for case in cases] == ["by", "bx", "bz", "ay", "ax", "az"]
    assert [case.rank for case in cases] == sorted(case.rank for case in cases)


def test_one_job_runs_when_commits_share_a_tree() -> None:
    """A by_tree test runs once a tree, on the newest commit that has it."""
    schedule = schedule_of(
        [commit("b", "t"), commit("a", "t")], [plain("x", cache=CachePolicy.BY_TREE), plain("y")]
    )

    assert names(schedule.start()) == ["b/x", "b/y", "a/y"]
    assert schedule.counts.running == 3


def test_dependents_wait_when_a_dependency_runs() -> None:
    """A test starts only after all it depends on has passed on the same commit."""
    schedule = schedule_of([commit("b"), commit("a")], [plain("x"), plain("y", "x")])

    assert names(schedule.start()) == ["b/x", "a/x"]
    assert schedule.finished(JobKey("a", "x"), Outcome.PASSED) == []
    assert names(schedule.start()) == ["a/y"]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.FAILED, ["a/y errored dependency 'x' failed", "a/z errored dependency 'y' errored"]),
        (Outcome.ERRORED, ["a/y errored dependency 'x' errored", "a/z errored dependency 'y' errored"]),
        (Outcome.CANCELLED, ["a/y errored dependency 'x' cancelled", "a/z errored dependency 'y' errored"]),
        (Outcome.SKIPPED, ["a/y skipped dependency 'x' skipped", "a/z skipped dependency 'y' skipped"]),
    ],
)
def test_dependents_end_when_a_dependency_does_not_pass(outcome: Outcome, expected: list[str]) -> None:
    """Who depends on a test without success is skipped with it, or errored, and told why."""
    schedule = schedule_of([commit("a")], [plain("x"), plain("y", "x"), plain("z", "y")])
    schedule.start()

    assert said(schedule.finished(JobKey("a", "x"), outcome)) == expected
    assert schedule.done
    assert schedule.outcome(JobKey("a", "y")) == (
        Outcome.SKIPPED if outcome is Outcome.SKIPPED else Outcome.ERRORED,
        f"dependency 'x' {outcome}",
    )


def test_each_commit_is_told_when_a_shared_job_cannot_run() -> None:
    """A verdict names every case of a job, not only the one it would have run on."""
    tests = [plain("x"), plain("y", "x", cache=CachePolicy.BY_TREE)]
    schedule = schedule_of([commit("b", "t"), commit("a", "t")], tests)
    schedule.start()

    assert said(schedule.finished(JobKey("b", "x"), Outcome.FAILED)) == [
        "b/y errored dependency 'x' failed",
        "a/y errored dependency 'x' failed",
    ]


def test_a_known_dependent_stands_when_its_dependency_fails() -> None:
    """What is known needs no dependencies; what is learned together counts together."""
    schedule = schedule_of([commit("a")], [plain("x"), plain("y", "x")])

    told = schedule.learn_all({JobKey("a", "x"): Outcome.FAILED, JobKey("a", "y"): Outcome.PASSED})

    assert told == []
    assert schedule.outcome(JobKey("a", "y")) == (Outcome.PASSED, "")


def test_a_starved_job_delays_nobody_when_others_could_start() -> None:
    """A job that waits for a token is overtaken by those that need none of it."""
    tests = [plain("x", needs=[("db", 2)]), plain("y", needs=[("db", 1)]), plain("z")]
    schedule = schedule_of([commit("b"), commit("a")], tests, db=("p", "q"))

    first = schedule.start()

    assert names(first) == ["b/x", "b/z", "a/z"]
    assert first[0].tokens == {"db": ("p", "q")}
    schedule.finished(JobKey("b", "x"), Outcome.PASSED)
    second = schedule.start()
    assert names(second) == ["b/y", "a/y"]
    assert [start.tokens["db"] for start in second] == [("p",), ("q",)]


def test_tests_without_worktree_start_when_none_is_free() -> None:
    """Only tests that require a worktree take one, but all take a slot."""
    tests = [plain("x"), plain("y", requires_worktree=False)]
    schedule = schedule_of([commit("b"), commit("a")], tests, jobs=2, worktrees=1)

    assert names(schedule.start()) == ["b/x", "b/y"]
    schedule.finished(JobKey("b", "y"), Outcome.PASSED)
    assert names(schedule.start()) == ["a/y"]


def test_a_busy_job_gives_back_what_it_held_and_can_return() -> None:
    """A job run by someone else holds nothing here, and has its old rank when nobody runs it any more."""
    schedule = schedule_of([commit("b"), commit("a")], [plain("x", needs=[("db", 1)])], jobs=1, db=("p",))
    assert names(schedule.start()) == ["b/x"]

    schedule.busy(JobKey("b", "x"))
    assert names(schedule.start()) == ["a/x"]
    schedule.retry(JobKey("b", "x"))
    assert schedule.start() == []
    schedule.finished(JobKey("a", "x"), Outcome.PASSED)
    assert names(schedule.start()) == ["b/x"]


def test_busy_ends_a_job_when_all_was_cancelled() -> None:
    """A job that was told to stop and then finds the case taken is over: nobody would end it otherwise."""
    schedule = schedule_of([commit("a")], [plain("x")])
    schedule.start()
    assert schedule.cancel_all() == []

    assert said(schedule.busy(JobKey("a", "x"))) == ["a/x cancelled "]
    assert schedule.done


def test_cancel_all_leaves_only_what_runs() -> None:
    """What does not run is cancelled and named; what runs ends as it says."""
    schedule = schedule_of([commit("b"), commit("a")], [plain("x"), plain("y", "x")], jobs=1)
    schedule.start()

    assert said(schedule.cancel_all()) == ["b/y cancelled ", "a/x cancelled ", "a/y cancelled "]
    assert not schedule.done
    assert schedule.finished(JobKey("b", "x"), Outcome.PASSED) == []
    assert schedule.done
    assert schedule.outcome(JobKey("b", "x")) == (Outcome.PASSED, "")
    assert schedule.start() == []


def test_late_news_changes_nothing() -> None:
    """News of a job that is unknown or done is late."""
    schedule = schedule_of([commit("a")], [plain("x")])
    schedule.start()
    schedule.finished(JobKey("a", "x"), Outcome.PASSED)

    for key in (JobKey("a", "x"), JobKey("gone", "x")):
        assert schedule.finished(key, Outcome.FAILED) == []
        assert schedule.learn(key, Outcome.FAILED) == []
        assert schedule.busy(key) == []
        assert schedule.retry(key) == []
    assert schedule.outcome(JobKey("a", "x")) == (Outcome.PASSED, "")
    assert schedule.outcome(JobKey("gone", "x")) is None
    assert schedule.state(JobKey("gone", "x")) is None


def test_retarget_stops_what_is_no_longer_wanted() -> None:
    """A job that vanishes gives way at once to what is new, without being waited for."""
    schedule = schedule_of([commit("a")], [plain("x")], jobs=1, worktrees=1)
    schedule.start()

    answer = schedule.retarget(plan_cases([commit("c"), commit("b")], [plain("x")]))

    assert [case.commit.id for case in answer.stop] == ["a"]
    assert names(schedule.start()) == ["c/x"]
    assert schedule.running == 2
    schedule.finished(JobKey("a", "x"), Outcome.CANCELLED)
    assert schedule.start() == []
    schedule.finished(JobKey("c", "x"), Outcome.PASSED)
    assert names(schedule.start()) == ["b/x"]


def test_a_leaving_job_keeps_its_tokens_until_it_has_ended() -> None:
    """What has a name is still in use while the process dies."""
    schedule = schedule_of([commit("a")], [plain("x", needs=[("db", 1)])], jobs=1, db=("p",))
    schedule.start()

    schedule.retarget(plan_cases([commit("b")], [plain("x", needs=[("db", 1)]), plain("y")]))

    assert names(schedule.start()) == ["b/y"]
    schedule.finished(JobKey("b", "y"), Outcome.PASSED)
    assert schedule.start() == []
    schedule.finished(JobKey("a", "x"), Outcome.CANCELLED)
    assert names(schedule.start()) == ["b/x"]


def test_leaving_jobs_do_not_pile_up() -> None:
    """No more jobs than there are slots are let go; the next ones hold theirs until one has ended."""
    schedule = schedule_of([commit("a")], [plain("x")], jobs=1)
    schedule.start()
    for name in ("b", "c", "d"):
        schedule.retarget(plan_cases([commit(name)], [plain("x")]))
        started = names(schedule.start())
        assert started == (["b/x"] if name == "b" else [])

    assert schedule.running == 2
    schedule.finished(JobKey("a", "x"), Outcome.CANCELLED)
    assert names(schedule.start()) == ["d/x"]
    schedule.finished(JobKey("b", "x"), Outcome.CANCELLED)
    assert schedule.start() == []


def test_a_leaving_job_that_is_wanted_again_runs_once_at_a_time() -> None:
    """Its successor starts after it has ended, in a slot that is free then."""
    here, away = plan_cases([commit("a")], [plain("x")]), plan_cases([commit("b")], [plain("x")])
    schedule = Schedule(here, jobs=1, worktrees=1, resources=[])
    schedule.start()
    schedule.retarget(away)
    assert names(schedule.start()) == ["b/x"]
    assert [case.commit.id for case in schedule.retarget([*here, *away]).stop] == []

    assert schedule.start() == []
    schedule.finished(JobKey("a", "x"), Outcome.CANCELLED)
    assert schedule.start() == []
    schedule.finished(JobKey("b", "x"), Outcome.PASSED)
    assert names(schedule.start()) == ["a/x"]
    assert schedule.finished(JobKey("a", "x"), Outcome.PASSED) == []
    assert schedule.done


def test_retarget_leaves_a_job_alone_when_its_tree_is_still_wanted() -> None:
    """Rewording a commit does not stop a by_tree job: the new commit has the same tree."""
    tests = [plain("x", cache=CachePolicy.BY_TREE)]
    schedule = schedule_of([commit("old", "t")], tests)
    schedule.start()

    answer = schedule.retarget(plan_cases([commit("new", "t")], tests))

    assert answer.stop == ()
    schedule.finished(JobKey("t", "x"), Outcome.PASSED)
    assert schedule.done


def test_retarget_back_runs_a_stopped_job_again_without_verdict() -> None:
    """A job that was told to stop and is wanted again runs again, unless it had a verdict in time."""
    here, away = plan_cases([commit("a")], [plain("x")]), plan_cases([commit("b")], [plain("x")])
    schedule = Schedule(here, jobs=1, worktrees=1, resources=[])
    schedule.start()
    schedule.retarget(away)
    assert schedule.retarget(here).stop == ()

    schedule.finished(JobKey("a", "x"), Outcome.CANCELLED)
    assert names(schedule.start()) == ["a/x"]
    schedule.finished(JobKey("a", "x"), Outcome.FAILED)
    assert schedule.done


def test_retarget_forgets_what_is_outdated() -> None:
    """A test whose definition changed is run again, and what its old job finds out does not count."""
    cases = plan_cases([commit("b"), commit("a")], [plain("x")])
    schedule = Schedule(cases, jobs=1, worktrees=1, resources=[])
    schedule.learn(JobKey("a", "x"), Outcome.PASSED)
    schedule.start()

    answer = schedule.retarget(cases, outdated=lambda key: key.test == "x")

    assert [case.commit.id for case in answer.stop] == ["b"]
    schedule.finished(JobKey("b", "x"), Outcome.PASSED)
    assert names(schedule.start()) == ["b/x"]
    schedule.finished(JobKey("b", "x"), Outcome.PASSED)
    assert names(schedule.start()) == ["a/x"]


def test_retarget_wants_what_was_cancelled() -> None:
    """To be cancelled is no outcome that lasts: who asks anew gets an answer."""
    cases = plan_cases([commit("a")], [plain("x")])
    schedule = Schedule(cases, jobs=1, worktrees=1, resources=[])
    schedule.cancel_all()
    assert schedule.done

    schedule.retarget(cases)

    assert names(schedule.start()) == ["a/x"]


def test_new_limits_hold_while_jobs_run() -> None:
    """More may be in use than there is now; what is no longer there is gone when it is given back."""
    tests = [plain("x", needs=[("db", 1)])]
    commits = [commit(name) for name in "dcba"]
    schedule = schedule_of(commits, tests, jobs=2, db=("p", "q"))
    assert names(schedule.start()) == ["d/x", "c/x"]

    fewer = Limits(jobs=1, worktrees=1, resources=(Resource(name="db", tokens=("r", "q")),))
    assert schedule.retarget(plan_cases(commits, tests), limits=fewer).stop == ()

    assert schedule.start() == []
    schedule.finished(JobKey("c", "x"), Outcome.PASSED)
    assert schedule.start() == []
    schedule.finished(JobKey("d", "x"), Outcome.PASSED)
    assert [start.tokens for start in schedule.start()] == [{"db": ("r",)}]
    schedule.finished(JobKey("b", "x"), Outcome.PASSED)
    schedule.retarget(plan_cases(commits, tests), limits=msgspec.structs.replace(fewer, jobs=9, worktrees=9))
    assert [start.tokens for start in schedule.start()] == [{"db": ("r",)}]


def test_limits_that_are_too_small_change_nothing() -> None:
    """What the new limits cannot run is refused, and all goes on as before."""
    schedule = schedule_of([commit("a")], [plain("x")], db=("p",))
    small = Limits(jobs=1, worktrees=1, resources=())

    with pytest.raises(ConfigError):
        schedule.retarget(plan_cases([commit("b")], [plain("x", needs=[("db", 1)])]), limits=small)

    assert names(schedule.start()) == ["a/x"]


def test_rerun_takes_back_what_followed() -> None:
    """What is run again decides anew about all that it kept from running, and about nothing else."""
    schedule = schedule_of([commit("a")], [plain("x"), plain("y", "x"), plain("z", "y"), plain("w")])
    schedule.learn_all({JobKey("a", "x"): Outcome.FAILED, JobKey("a", "w"): Outcome.FAILED})

    assert schedule.rerun([JobKey("a", "x"), JobKey("gone", "x")]) == []

    assert schedule.counts == (2, 1, 0, 0, 1)
    assert names(schedule.start()) == ["a/x"]
    schedule.finished(JobKey("a", "x"), Outcome.PASSED)
    assert names(schedule.start()) == ["a/y"]


def test_rerun_tells_what_is_still_in_the_way() -> None:
    """A job that another dependency blocks, too, says so now."""
    schedule = schedule_of([commit("a")], [plain("x"), plain("y"), plain("z", "x", "y")])
    schedule.learn(JobKey("a", "x"), Outcome.FAILED)
    schedule.learn(JobKey("a", "y"), Outcome.SKIPPED)

    assert said(schedule.rerun([JobKey("a", "x")])) == ["a/z skipped dependency 'y' skipped"]
    assert said(schedule.rerun([JobKey("a", "z")])) == ["a/z skipped dependency 'y' skipped"]
    assert names(schedule.start()) == ["a/x"]


def test_rerun_keeps_what_dependents_have_found_out() -> None:
    """A verdict does not depend on a second look at what it was built on; who has none waits for it."""
    schedule = schedule_of([commit("a")], [plain("x"), plain("y", "x"), plain("z", "x")])
    schedule.learn_all({JobKey("a", "x"): Outcome.PASSED, JobKey("a", "y"): Outcome.PASSED})

    schedule.rerun([JobKey("a", "x")])

    assert schedule.state(JobKey("a", "y")) is State.DONE
    assert schedule.state(JobKey("a", "z")) is State.WAITING
    assert names(schedule.start()) == ["a/x"]


def test_cancel_lasts_until_rerun() -> None:
    """What a user has cancelled does not start again by itself, whatever moves."""
    cases = plan_cases([commit("a")], [plain("x"), plain("y", "x")])
    schedule = Schedule(cases, jobs=1, worktrees=1, resources=[])
    key = JobKey("a", "x")

    stop, verdicts = schedule.cancel(key)

    assert not stop
    assert said(verdicts) == ["a/x cancelled ", "a/y errored dependency 'x' cancelled"]
    schedule.retarget(cases)
    assert schedule.start() == []
    assert schedule.done
    schedule.rerun([key])
    assert names(schedule.start()) == ["a/x"]


def test_cancel_of_a_running_job_gives_its_slot_to_the_next() -> None:
    """It is told to stop once, ends as cancelled, and stays so."""
    cases = plan_cases([commit("b"), commit("a")], [plain("x")])
    schedule = Schedule(cases, jobs=1, worktrees=1, resources=[])
    schedule.start()
    key = JobKey("b", "x")

    assert schedule.cancel(key) == (True, [])
    assert schedule.cancel(key) == (False, [])

    assert names(schedule.start()) == ["a/x"]
    assert schedule.retarget(cases).stop == ()
    schedule.finished(key, Outcome.ERRORED)
    schedule.retarget(cases)
    assert schedule.outcome(key) == (Outcome.CANCELLED, "")
    schedule.finished(JobKey("a", "x"), Outcome.PASSED)
    assert schedule.done


def test_cancel_is_forgotten_when_its_subject_changes() -> None:
    """The user has cancelled this very thing: not another definition, and not one that came back later."""
    cases = plan_cases([commit("a")], [plain("x")])
    schedule = Schedule(cases, jobs=1, worktrees=1, resources=[])
    key = JobKey("a", "x")
    schedule.cancel(key)
    schedule.retarget(cases, outdated=lambda key: True)
    assert names(schedule.start()) == ["a/x"]

    schedule.cancel(key)
    schedule.retarget([])
    schedule.retarget(cases)
    schedule.finished(key, Outcome.CANCELLED)
    assert names(schedule.start()) == ["a/x"]


def test_rerun_of_a_job_that_is_being_cancelled_runs_it_after_that() -> None:
    """The last word counts."""
    schedule = schedule_of([commit("a")], [plain("x")], jobs=1)
    schedule.start()
    schedule.cancel(JobKey("a", "x"))
    schedule.rerun([JobKey("a", "x")])

    assert schedule.start() == []
    schedule.finished(JobKey("a", "x"), Outcome.CANCELLED)
    assert names(schedule.start()) == ["a/x"]


def test_cancel_all_counts_when_a_stopped_job_was_wanted_again() -> None:
    """The last word counts: stopped, wanted again, and then cancelled with all others."""
    here, away = plan_cases([commit("a")], [plain("x")]), plan_cases([], [])
    schedule = Schedule(here, jobs=1, worktrees=1, resources=[])
    schedule.start()
    schedule.retarget(away)
    schedule.retarget(here)
    schedule.cancel_all()

    schedule.finished(JobKey("a", "x"), Outcome.ERRORED)

    assert schedule.done


def test_a_busy_job_is_told_on_return_when_its_dependency_has_failed() -> None:
    """A dependency may run anew while someone else has its dependent; how it ends counts afterwards."""
    cases = plan_cases([commit("a")], [plain("x"), plain("y", "x")])
    schedule = Schedule(cases, jobs=1, worktrees=1, resources=[])
    schedule.learn(JobKey("a", "x"), Outcome.PASSED)
    schedule.start()
    schedule.busy(JobKey("a", "y"))
    schedule.retarget(cases, outdated=lambda key: key.test == "x")
    assert names(schedule.start()) == ["a/x"]
    assert schedule.finished(JobKey("a", "x"), Outcome.FAILED) == []

    assert said(schedule.retry(JobKey("a", "y"))) == ["a/y errored dependency 'x' failed"]
    assert schedule.done


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (plain("x"), "cannot run 'x': it needs a worktree and there are none"),
        (
            plain("x", requires_worktree=False, needs=[("db", 2)]),
            "cannot run 'x': it needs 2 of resource 'db', there are 1",
        ),
        (
            plain("x", requires_worktree=False, needs=[("gpu", 1)]),
            "cannot run 'x': it needs 1 of resource 'gpu', there are 0",
        ),
    ],
)
def test_needs_that_can_never_be_met_are_refused(test: Test, message: str) -> None:
    """A job that could never start is an error at once, not a run that never ends."""
    with pytest.raises(ConfigError) as caught:
        schedule_of([commit("a")], [test], worktrees=0, db=("p",))
    assert caught.value.message == message


def test_plans_that_could_never_end_are_bugs() -> None:
    """No slot, a dependency that is not planned, and a circle are mistakes of the caller."""
    with pytest.raises(ValueError, match="0 jobs"):
        schedule_of([], [], jobs=0)
    with pytest.raises(ValueError, match="not planned"):
        schedule_of([commit("a")], [plain("x", "y")])
    with pytest.raises(ValueError, match="cycle"):
        schedule_of([commit("a")], [plain("x", "y"), plain("y", "x")])


def test_nothing_is_done_at_once() -> None:
    """No commits or no tests is a schedule that is done."""
    assert schedule_of([], [plain("x")]).done
    assert schedule_of([commit("a")], []).done


RESOURCES = (Resource(name="db", tokens=("p", "q")), Resource(name="gpu", tokens=("0", "1", "2")))
OUTCOMES = [Outcome.PASSED] * 5 + list(Outcome)


@st.composite
def sets_of_tests(draw: st.DrawFn) -> list[Test]:
    """Tests in file order that depend on each other without circles, in any direction of the file."""
    count = draw(st.integers(1, 5))
    made = []
    for index in range(count):
        earlier = [f"t{other}" for other in range(index)]
        needs = draw(st.fixed_dictionaries({}, optional={"db": st.integers(1, 2), "gpu": st.integers(1, 3)}))
        depends_on = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2)) if earlier else []
        made.append(
            plain(
                f"t{index}",
                *depends_on,
                needs=list(needs.items()),
                priority=draw(st.integers(-1, 1)),
                requires_worktree=draw(st.booleans()),
                cache=draw(st.sampled_from(list(CachePolicy))),
            )
        )
    return draw(st.permutations(made))


@st.composite
def histories(draw: st.DrawFn) -> list[Commit]:
    """A few commits, some with equal trees, newest first."""
    numbers = draw(st.lists(st.integers(0, 6), unique=True, max_size=4))
    return [commit(f"c{number}", f"tree{number // 2}") for number in numbers]


def random_limits(choice: random.Random) -> Limits:
    """Limits under which every test can run, with some of the usual tokens and some others."""
    return Limits(
        jobs=choice.randint(1, 4),
        worktrees=choice.randint(1, 3),
        resources=(
            Resource(name="gpu", tokens=tuple(choice.sample("01234", k=choice.randint(3, 5)))),
            Resource(name="db", tokens=tuple(choice.sample("pqrs", k=choice.randint(2, 4)))),
        ),
    )


def act(choice: random.Random, schedule: Schedule, oracle: Oracle) -> None:
    """Do one random thing to both, and let the oracle check the answer."""
    key = choice.choice([*oracle.cases, *oracle.running, *oracle.busy, JobKey("none", "t0")])
    running = choice.choice([*oracle.running] or [key])
    outcome = choice.choice(OUTCOMES)
    if choice.random() < 0.2:
        oracle.world.slots = choice.choice([0, 1, 2, 100])
        oracle.world.others = {Token("db", value) for value in choice.sample("pqr", k=choice.randint(0, 2))}
        oracle.world.others -= oracle.world.held
    match choice.randrange(11):
        case 0 | 1 | 2:
            oracle.started(schedule.start())
        case 3 | 4:
            oracle.finished(running, outcome)
            oracle.check_verdicts(schedule.finished(running, outcome))
        case 5:
            oracle.learned({key: outcome})
            oracle.check_verdicts(schedule.learn(key, outcome))
        case 6:
            own = oracle.became_busy(running)
            oracle.check_verdicts(schedule.busy(running), own)
        case 7:
            key = choice.choice([*oracle.busy] or [key])
            oracle.busy.pop(key, None)
            oracle.check_verdicts(schedule.retry(key))
        case 8:
            keys = choice.sample([*oracle.cases], k=len(oracle.cases) // 3)
            outcomes = {key: choice.choice(OUTCOMES) for key in keys}
            oracle.learned(outcomes)
            oracle.check_verdicts(schedule.learn_all(outcomes))
        case 9:
            keys = choice.sample([*oracle.cases], k=len(oracle.cases) // 3)
            oracle.run_again(keys)
            oracle.check_verdicts(schedule.rerun(keys))
        case 10:
            stop, own = oracle.cancelled_one(key)
            told, verdicts = schedule.cancel(key)
            assert told is stop
            oracle.check_verdicts(verdicts, own)


def compare(schedule: Schedule, oracle: Oracle) -> None:
    """Both agree on each job and on whether all is done."""
    states = {key: oracle.state(key) for key in oracle.cases}
    for key, state in states.items():
        assert schedule.state(key) is State[state]
        found = schedule.outcome(key)
        assert (found and found[0]) == oracle.outcome(key)
    assert schedule.running == len(oracle.running)
    assert schedule.starved is (oracle.awaited != (False, None))
    oracle.check_world()
    tally = [*states.values()]
    leaving = len(oracle.running.keys() - oracle.cases.keys())
    assert schedule.counts == tuple(tally.count(s.name) + leaving * (s is State.RUNNING) for s in State)
    assert schedule.done == (not oracle.running and all(state == "DONE" for state in states.values()))


def drain(choice: random.Random, schedule: Schedule, oracle: Oracle) -> None:
    """End all that runs and give every busy job back until nothing is left; it must come to that."""
    oracle.world.slots = 100
    oracle.world.others.clear()
    for _ in range(3 * len(oracle.cases) + len(oracle.running) + 3):
        if schedule.done:
            return
        for key in [*oracle.busy]:
            oracle.busy.pop(key)
            oracle.check_verdicts(schedule.retry(key))
        oracle.started(schedule.start())
        if oracle.running:
            key = choice.choice([*oracle.running])
            outcome = choice.choice(OUTCOMES)
            oracle.finished(key, outcome)
            oracle.check_verdicts(schedule.finished(key, outcome))
        compare(schedule, oracle)
    raise AssertionError("the schedule never ends")


@settings(deadline=None, max_examples=500)
@given(sets_of_tests(), histories(), st.integers(1, 4), st.integers(1, 3), st.integers())
def test_schedule_equals_the_oracle_when_events_are_random(
    tests: list[Test], commits: list[Commit], jobs: int, worktrees: int, seed: int
) -> None:
    """Whatever happens, it starts what a look at everything would start, with the same tokens, and ends."""
    choice = random.Random(seed)
    cases = plan_cases(commits, tests)
    oracle = Oracle(cases, jobs, worktrees, RESOURCES)
    schedule = Schedule(cases, jobs=jobs, worktrees=worktrees, resources=RESOURCES, outside=oracle.world)
    for _ in range(choice.randrange(40)):
        act(choice, schedule, oracle)
        compare(schedule, oracle)
    if choice.random() < 0.2:
        cancelled = oracle.cancelled()
        oracle.check_verdicts(schedule.cancel_all(), cancelled)
        compare(schedule, oracle)
    drain(choice, schedule, oracle)


@settings(deadline=None, max_examples=500)
@given(
    sets_of_tests(),
    st.lists(histories(), min_size=2, max_size=6),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(),
)
def test_retarget_equals_the_oracle_when_history_moves(
    tests: list[Test], moves: list[list[Commit]], jobs: int, worktrees: int, seed: int
) -> None:
    """Whatever is wanted next, running jobs are kept, stopped or repeated as a look at everything would."""
    choice = random.Random(seed)
    cases = plan_cases(moves[0], tests)
    oracle = Oracle(cases, jobs, worktrees, RESOURCES)
    schedule = Schedule(cases, jobs=jobs, worktrees=worktrees, resources=RESOURCES, outside=oracle.world)
    for commits in moves[1:]:
        for _ in range(choice.randrange(12)):
            act(choice, schedule, oracle)
            compare(schedule, oracle)
        if choice.random() < 0.15:
            cancelled = oracle.cancelled()
            oracle.check_verdicts(schedule.cancel_all(), cancelled)
        cases = plan_cases(commits, tests)
        outdated = {case.key for case in cases if choice.random() < 0.1}
        limits = choice.choice([None, random_limits(choice)])
        answer = schedule.retarget(cases, outdated=outdated.__contains__, limits=limits)
        if limits is not None:
            oracle.limit(limits)
        oracle.retargeted(cases, outdated.__contains__, answer)
        compare(schedule, oracle)
    drain(choice, schedule, oracle)


def test_many_cases_are_planned_and_driven_in_time() -> None:
    """5,000 commits and 10 tests: each step costs what it costs in a small schedule, or close to it."""
    tests = [
        plain(f"t{i}", *([f"t{i - 3}"] if i > 2 else []), needs=[("db", 1)] if i % 4 == 1 else [])
        for i in range(10)
    ]

    def cost_of_a_step(count: int) -> float:
        cases: tuple[Case, ...] = plan_cases([commit(f"{i:040x}") for i in range(count)], tests)
        began = time.process_time()
        schedule = Schedule(cases, jobs=8, worktrees=6, resources=RESOURCES)
        running: list[Start] = []
        while not schedule.done:
            running += schedule.start()
            schedule.finished(running.pop().case.key, Outcome.PASSED)
        return (time.process_time() - began) / len(cases)

    small = min(cost_of_a_step(100) for _ in range(3))
    assert cost_of_a_step(5000) < 6 * small
