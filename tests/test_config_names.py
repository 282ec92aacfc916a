"""Names that can be paths, tree entries and parts of environment names."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pygit2
import pytest
from conftest import Repo

from gitlimmat.config.names import name_fault, quote, resource_name_fault

GOOD = (
    "a", "unit", "build W=1", "a.b", "a-", "ünït", "日本", "x" * 100, "é" * 50, "~", "git~2", "a:b", "a\\b",
    "\U0001f469\u200d\U0001f680", "a..", "@{x}", "*", "git", "a.git", "CON", "git~1x", "a\\b.git",
    "\u05d0\u200f!",
)  # fmt: skip
BAD = (
    ("", "must not be empty"),
    (".", "starts with '.'"),
    ("..", "starts with '.'"),
    (".git", "starts with '.'"),
    ("-x", "starts with '-'"),
    ("a/b", "has a '/'"),
    ("/", "has a '/'"),
    ("a\nb", "has a control character"),
    ("a\0", "has a control character"),
    ("a\x7f", "has a control character"),
    ("a\u2028", "has a control character"),
    ("a\udcff", "has a control character"),
    ("a\u202edessap", "has a character that turns text around"),
    ("\u2066a", "has a character that turns text around"),
    ("x" * 101, "is longer than 100 bytes"),
    ("é" * 51, "is longer than 100 bytes"),
    ("git~1", "is a name that git refuses in a tree"),
    ("GIT~1 .", "is a name that git refuses in a tree"),
    ("git~1:x", "is a name that git refuses in a tree"),
    ("\u200c.git", "is a name that git refuses in a tree"),
    ("\ufeff.Git", "is a name that git refuses in a tree"),
    ("a\\.git", "is a name that git refuses in a tree"),
)


@pytest.mark.parametrize(("name", "reason"), BAD)
def test_name_is_refused_when_it_cannot_be_used(name: str, reason: str) -> None:
    """The reason is said, with the name in a form that is safe to print."""
    for fault_of in (name_fault, resource_name_fault):
        fault = fault_of(name)
        assert fault is not None
        assert fault.endswith(reason)
        assert fault.isprintable()


def test_accepted_names_pass_git(make_repo: Callable[..., Repo]) -> None:
    """What we accept, libgit2 writes into a tree, and git's checks find nothing wrong with it."""
    repo = make_repo("names")
    objects = pygit2.Repository(str(repo.path))
    blob = objects.create_blob(b"")
    builder = objects.TreeBuilder()
    for name in GOOD:
        assert name_fault(name) is None
        builder.insert(name, blob, pygit2.GIT_FILEMODE_BLOB)
    tree = str(builder.write())
    done = subprocess.run(
        ["git", "fsck", "--strict", tree],
        cwd=repo.path,
        env=repo.environment,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, b"error" in done.stderr) == (0, False)
    assert len(repo.git("ls-tree", "-z", tree).split("\0")) == len(GOOD) + 1


def test_resource_name_has_no_equals_sign() -> None:
    """A resource name must fit into the name of an environment variable; a test name need not."""
    assert resource_name_fault("a=b") is not None
    assert name_fault("a=b") is None


def test_quote_shortens_and_escapes() -> None:
    """Text from a file never reaches a terminal raw."""
    assert quote("a\x1b[31m\n") == "'a\\x1b[31m\\n'"
    assert len(quote("x" * 1000)) == 102
