"""What a result is valid for."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitlimmat.config.definition import DECIDING_KEYS, define, digest, input_patterns
from gitlimmat.config.parse import parse
from gitlimmat.config.tables import TestTable
from gitlimmat.model import CachePolicy, Definition, Need, Test

BASE = Test(name="a", command="make")
OTHER = Test(name="b", command="true")
CHANGES: Mapping[str, tuple[object, ...]] = {
    "command": ("make all", ("make",)),
    "shell": (("sh", "-c"), ("bash", "-e", "-c")),
    "requires_worktree": (False,),
    "cache": (CachePolicy.BY_TREE, CachePolicy.NO_CACHING),
    "depends_on": (("b",),),
    "error_exit_codes": ((1,), (1, 2)),
    "skip_exit_codes": ((1,), (77,)),
    "separate_outputs": (True,),
    "timeout_s": (1.0, 2.5),
}
FREE: Mapping[str, object] = {
    "run_by_default": False,
    "resources": (Need(name="r"),),
    "shutdown_grace_period_s": 1.0,
    "priority": 3,
}

SHORT = b"""
[[tests]]
name = "a"
command = "make"
depends_on = ["c", "b"]
error_exit_codes = [2, 1]
timeout_s = 5
[[tests]]
name = "b"
command = "true"
[[tests]]
name = "c"
command = "true"
"""
LONG = b"""
num_worktrees = 3
shell = ["bash", "-c"]
[[tests]]
command = "true"
shell = ["bash", "-c"]
name = "c"
run_by_default = true
[[tests]]
command = "true"
name = "b"
[[tests]]
timeout_s = 5.0
error_exit_codes = [1, 2, 2]
skip_exit_codes = []
depends_on = ["b", "c", "b"]
requires_worktree = true
separate_outputs = false
cache = "by_commit"
inputs = []
priority = 0
resources = []
shutdown_grace_period_s = 60.0
command = "make"
name = "a"
"""


def _text(test: Test, inputs: tuple[tuple[str, str], ...] = ()) -> bytes:
    return define((test, OTHER), {test.name: inputs})[test.name].text


def test_every_key_is_known_to_decide_or_not() -> None:
    """A new key of a test has to say whether it is part of the definition."""
    assert set(CHANGES) | {"inputs"} == set(DECIDING_KEYS)
    assert set(DECIDING_KEYS) | set(FREE) | {"name"} == set(TestTable.__struct_fields__)


def test_definition_differs_when_a_deciding_key_does() -> None:
    """Each listed key changes the text, and each of its values gives another one."""
    texts = [_text(BASE), _text(BASE, (("x", "1"),)), _text(BASE, (("x", "2"),)), _text(BASE, (("y", "1"),))]
    for key, values in CHANGES.items():
        texts += [_text(msgspec.structs.replace(BASE, **{key: value})) for value in values]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("key", FREE)
def test_definition_stays_when_another_key_changes(key: str) -> None:
    """What cannot change the outcome invalidates nothing."""
    assert _text(msgspec.structs.replace(BASE, **{key: FREE[key]})) == _text(BASE)


def test_definition_has_a_known_text_and_digest() -> None:
    """Stored definitions are found again by later versions: the text of these tests never changes."""
    tests = (
        Test(name="build", command="make", cache=CachePolicy.BY_TREE),
        Test(
            name="unit",
            command=("./t", "é"),
            depends_on=("build",),
            error_exit_codes=(9, 3, 9),
            timeout_s=60.0,
            separate_outputs=True,
            requires_worktree=False,
        ),
    )
    unit = define(tests, {"unit": [("z", "2"), ("a", "1")]})["unit"]
    assert unit.test == "unit"
    assert unit.text.decode() == (
        '{"dependencies":{"build":{"cache":"by_tree","command":"make"}},'
        '"test":{"command":["./t","é"],"depends_on":["build"],"error_exit_codes":[3,9],'
        '"inputs":[["a","1"],["z","2"]],"requires_worktree":false,"separate_outputs":true,"timeout_s":60},'
        '"version":1}'
    )
    assert unit.digest == "6d21556922fca5b75db1afdb1f3929fa"
    assert define(tests, {})["build"].text == b'{"test":{"cache":"by_tree","command":"make"},"version":1}'


def test_definition_ignores_how_the_file_is_written() -> None:
    """Key order, spelled-out defaults, integer or float, order of lists: none of it makes another test."""
    first = define(parse(SHORT, source="").tests, {})
    assert first == define(parse(LONG, source="").tests, {})


def test_shell_is_left_out_when_the_command_is_a_list() -> None:
    """A shell that is not used decides nothing."""
    direct = msgspec.structs.replace(BASE, command=("make",))
    assert _text(msgspec.structs.replace(direct, shell=("sh", "-c"))) == _text(direct)


def test_definition_follows_dependencies_at_any_distance() -> None:
    """A change of a dependency, its inputs or its name makes another test of all that depend on it."""
    chain = [Test(name=f"t{i}", command="true", depends_on=(f"t{i - 1}",) if i else ()) for i in range(4)]
    before = define(chain, {})["t3"].text
    changed = [msgspec.structs.replace(chain[0], command="false"), *chain[1:]]
    renamed = [
        msgspec.structs.replace(chain[0], name="u"),
        msgspec.structs.replace(chain[1], depends_on=("u",)),
        *chain[2:],
    ]
    texts = {
        before,
        define(changed, {})["t3"].text,
        define(chain, {"t0": [("x", "1")]})["t3"].text,
        define(renamed, {})["t3"].text,
    }
    assert len(texts) == 4


def test_definition_of_a_graph_of_diamonds_stays_small() -> None:
    """Each dependency is in the text once, however many ways lead to it."""
    tests: list[Test] = []
    for level in range(100):
        below = tuple(f"{side}{level - 1}" for side in "lr") if level else ()
        tests += [Test(name=f"{side}{level}", command="true", depends_on=below) for side in "lr"]
    began = time.monotonic()
    defined = define(tests, {})
    assert time.monotonic() - began < 5
    assert len(defined["l99"].text) < 200 * 100


def test_definition_takes_words_that_are_not_text() -> None:
    """A command line may hold bytes that are not UTF-8; they stay apart from what looks like their escape."""
    odd, plain = (define([Test(name="a", command=c)], {})["a"] for c in ("x\udcff", "x\\udcff"))
    assert odd.text != plain.text
    assert json.loads(odd.text)["test"]["command"] == "x\udcff"


def test_input_patterns_are_those_of_tests_that_have_some() -> None:
    """The caller learns what to expand, and for whom."""
    assert input_patterns([BASE, msgspec.structs.replace(OTHER, inputs=("x/*", "y"))]) == {"b": ("x/*", "y")}


_NAMES = ("a", "b", "c", "d", "e")
_PLAIN = st.builds(
    Test,
    name=st.just("?"),
    command=st.one_of(st.text(min_size=1), st.lists(st.text(), min_size=1).map(tuple)),
    shell=st.sampled_from([("bash", "-c"), ("sh",)]),
    requires_worktree=st.booleans(),
    cache=st.sampled_from(CachePolicy),
    error_exit_codes=st.lists(st.integers(1, 255), max_size=3).map(tuple),
    separate_outputs=st.booleans(),
    timeout_s=st.none() | st.floats(min_value=0.001, allow_infinity=False, allow_nan=False),
)


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[Test, ...]:
    tests = []
    for index, name in enumerate(_NAMES):
        earlier = draw(st.sets(st.sampled_from(_NAMES[:index]))) if index else set()
        tests.append(msgspec.structs.replace(draw(_PLAIN), name=name, depends_on=tuple(sorted(earlier))))
    return tuple(tests)


@given(tests=_graphs(), data=st.data())
@settings(deadline=None, max_examples=60)
def test_definition_is_canonical_json_in_any_order(tests: tuple[Test, ...], data: st.DataObject) -> None:
    """The text is the canonical form of itself, its digest is that of the text, and file order is nothing."""
    defined: Mapping[str, Definition] = define(tests, {})
    for each in defined.values():
        value = json.loads(each.text)
        canonical = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert each.text == canonical.encode("utf-8", "backslashreplace")
        assert each.digest == digest(each.text)
    shuffled = data.draw(st.permutations(tests))
    assert define(shuffled, {}) == defined
