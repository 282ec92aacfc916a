"""Which tests a run has."""

from __future__ import annotations

import pytest

from gitlimmat.config.select import select
from gitlimmat.errors import ConfigError, UsageError
from gitlimmat.model import Test

TESTS = (
    Test(name="build", command="true"),
    Test(name="unit", command="true", depends_on=("build",)),
    Test(name="unit-slow", command="true", run_by_default=False),
    Test(name="lint", command="true"),
)


@pytest.mark.parametrize(
    ("only", "skip", "expected"),
    [
        ((), (), "build unit lint"),
        (("li",), (), "lint"),
        (("slow", "lint"), (), "unit-slow lint"),
        (("^unit$", "build"), (), "build unit"),
        ((".",), (), "build unit unit-slow lint"),
        (("UNIT",), (), ""),
        ((), ("unit",), "build lint"),
        ((".",), ("slow", "lint"), "build unit"),
        (("lint",), ("lint",), ""),
        (("[[]|lint",), (), "lint"),
    ],
)
def test_select_follows_the_filters(only: tuple[str, ...], skip: tuple[str, ...], expected: str) -> None:
    """Patterns match anywhere in a name, ignore `run_by_default`, and those to skip win."""
    assert " ".join(test.name for test in select(TESTS, only=only, skip=skip)) == expected


def test_select_refuses_when_a_dependency_is_left_out() -> None:
    """A dependency is never added silently: the message names both tests."""
    with pytest.raises(ConfigError, match="test 'unit' depends on 'build', which is not selected"):
        select(TESTS, only=["unit$"], skip=[])
    with pytest.raises(ConfigError, match="'build'"):
        select(TESTS, only=[], skip=["build"])


@pytest.mark.parametrize("pattern", ["(", "*", "a{1,99999999999999999999}", "[", "(?P<a>)(?P<a>)"])
def test_select_refuses_when_a_pattern_is_bad(pattern: str) -> None:
    """The message says which pattern of which option is wrong."""
    with pytest.raises(UsageError, match=r"bad regular expression .* for '--tests'"):
        select(TESTS, only=[pattern], skip=[])
    with pytest.raises(UsageError, match="for '--skip-test'"):
        select(TESTS, only=[], skip=[pattern])
