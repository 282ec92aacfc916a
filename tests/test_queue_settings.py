"""The rules of a queue, read from the server's own git configuration and from nowhere else."""

from __future__ import annotations

import pytest
from conftest import Repo

from gitlimmat.errors import ConfigError
from gitlimmat.git.ancestry import Ancestry
from gitlimmat.git.repository import find_repository
from gitlimmat.queue.events import Policy
from gitlimmat.queue.rules import Identity, Rules
from gitlimmat.service.queue.settings import read_rules


def rules_of(repo: Repo, *settings: str, warnings: list[str] | None = None) -> Rules:
    """Return the rules after `settings`, each `key=value`, were added."""
    for setting in settings:
        key, _, value = setting.partition("=")
        repo.git("config", "--add", f"limmat.queue.{key}", value)
    return read_rules(find_repository(repo.path), (warnings if warnings is not None else []).append)


def test_all_keys_are_read(repo: Repo) -> None:
    """Names of branches are completed, lists keep their order, and numbers are git's."""
    rules = rules_of(
        repo,
        *("target=main", "target=refs/heads/next", "target=main", "policy=Squash", "depth=2", "batch=4"),
        *("tries=3", "timeout=1k", "maxPriority=5", "admin=root", "reviewer=ann", "reviewer=bob"),
        *("tryer=*", "test=unit*", "everyCommit=true", "identity=gitolite", "mention=bot", "name=The Queue"),
        *("email=q@example.com", "notify=mail me", "url=https://example.com/q/"),
    )

    assert rules.targets == ("refs/heads/main", "refs/heads/next")
    assert (rules.policy, rules.depth, rules.batch, rules.tries) == (Policy.SQUASH, 2, 4, 3)
    assert (rules.timeout_s, rules.max_priority, rules.every_commit) == (1024.0, 5, True)
    assert (rules.admins, rules.reviewers, rules.tryers) == (("root",), ("ann", "bob"), ("*",))
    assert (rules.tests, rules.identity, rules.mention) == (("unit*",), Identity.GITOLITE, "bot")
    assert (rules.name, rules.email) == ("The Queue", "q@example.com")
    assert (rules.notify, rules.url) == ("mail me", "https://example.com/q")


def test_without_settings_the_branch_of_head_is_the_target(repo: Repo) -> None:
    """Nobody has any right then."""
    rules = rules_of(repo)

    assert rules == Rules(targets=("refs/heads/main",))


def test_an_empty_value_takes_back_those_before(repo: Repo) -> None:
    """As git has it for lists."""
    assert rules_of(repo, "admin=root", "admin=", "admin=ann").admins == ("ann",)


def test_nobody_gives_himself_a_right(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user's own configuration or environment says does not count: hooks run with both."""
    repo.git("config", "--global", "limmat.queue.admin", "eve")
    for name, value in (("COUNT", "1"), ("KEY_0", "limmat.queue.admin"), ("VALUE_0", "eve")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'limmat.queue.reviewer'='eve'")

    rules = rules_of(repo)

    assert (rules.admins, rules.reviewers) == ((), ())


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("target=refs/tags/x", "not a branch"),
        ("target=a..b", "not a branch"),
        ("policy=rebase", "not merge, linear, squash or autosquash"),
        ("depth=0", "not a whole number from 1 to 100"),
        ("batch=many", "not a whole number from 1 to 100"),
        ("timeout=", "not a whole number from 1"),
        ("maxPriority=-1", "not a whole number from 0"),
        ("admin=limmat", "the queue itself is called so"),
        ("reviewer=a\nb", "not a name of someone"),
        ("everyCommit=perhaps", "neither true nor false"),
        ("identity=commit", "not os, shell, gitolite or http"),
        ("mention=@bot", "not a word of letters and digits"),
        ("email=<a@b>", "cannot be in the author line of a commit"),
        ("url=javascript:x", "not an http address"),
    ],
)
def test_a_bad_value_is_told_with_its_key_and_file(repo: Repo, setting: str, reason: str) -> None:
    """Nothing is guessed where rights are at stake."""
    with pytest.raises(ConfigError) as error:
        rules_of(repo, setting)

    assert f"'limmat.queue.{setting.partition('=')[0]}'" in error.value.message
    assert reason in error.value.message
    assert "config: " in error.value.message
    assert error.value.hint


def test_all_faults_are_told_at_once(repo: Repo) -> None:
    """Each with its value."""
    with pytest.raises(ConfigError) as error:
        rules_of(repo, "depth=x", "batch=y")

    assert error.value.message == "2 settings of the queue are bad"
    assert ["'x'" in error.value.faults[0], "'y'" in error.value.faults[1]] == [True, True]


def test_an_unknown_key_is_told_with_what_was_meant(repo: Repo) -> None:
    """A right that is misspelt is none, and nobody else warns of keys of the queue."""
    warnings: list[str] = []

    rules_of(repo, "reviewers=ann", warnings=warnings)

    (warning,) = warnings
    assert warning.startswith("unknown git setting 'limmat.queue.reviewers' in ")
    assert warning.endswith(", did you mean 'reviewer'?")
    repo.config('[[tests]]\nname = "unit"\ncommand = "true"\n')
    repo.commit("base")
    assert b"unknown" not in repo.program("status", "HEAD").stderr


def test_ancestry_is_the_same_however_it_was_asked(repo: Repo) -> None:
    """A history that moves on, or goes back, says what git says."""
    commits = [repo.commit("base")]
    for place in range(8):
        commits.append(repo.commit(f"b{place}", commits[place // 2]))
    history = Ancestry(find_repository(repo.path))

    for tip in (0, 1, 3, 7, 8, 2, 5, 5, 0):
        history.move(commits[tip])
        for commit in commits:
            answer = is_ancestor(repo, commit, commits[tip])
            assert history.has(commit) == answer
    assert not history.has("1" * 40)


def test_ancestry_reads_what_git_reads(repo: Repo) -> None:
    """A commit that libgit2 cannot read does not hide the history behind it."""
    base = repo.commit("base")
    person = f"a <a@b> {'9' * 26} +0000"
    tree = repo.git("rev-parse", f"{base}^{{tree}}")
    odd = f"tree {tree}\nparent {base}\nauthor {person}\ncommitter {person}\n\nodd\n"
    odd = repo.git("hash-object", "-w", "-t", "commit", "--stdin", "--literally", stdin=odd)
    tip = repo.git("commit-tree", "-p", odd, "-m", "tip", tree)
    history = Ancestry(find_repository(repo.path))

    history.move(tip)

    assert history.has(base)
    assert history.has(odd)
    assert not history.has("1" * 40)
    history.move(base)
    assert not history.has(odd)


def is_ancestor(repo: Repo, commit: str, tip: str) -> bool:
    """Ask git itself."""
    return repo.git("merge-base", commit, tip, check=False) == commit
