"""Reading limmat.toml."""

from __future__ import annotations

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from gitlimmat.config.parse import parse
from gitlimmat.config.records import Config
from gitlimmat.errors import ConfigError
from gitlimmat.model import CachePolicy, Need, Resource, Test


def _faults(text: str | bytes) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode() if isinstance(text, str) else text, source="limmat.toml")
    return caught.value.faults


def _test(keys: str, **others: str) -> str:
    """A file whose first test has `keys` (and a name and a command, unless told)."""
    lines = {"name": 'name = "a"', "command": 'command = "true"'} | others
    return "[[tests]]\n" + "\n".join((*lines.values(), keys))


EVERY_KEY = b"""
num_worktrees = 3
shell = ["sh", "-c"]
resources = ["gpu", { name = "ram", count = 3 }, { name = "board", tokens = ["x", "y"] }]

[[tests]]
name = "build it"
command = "make"

[[tests]]
name = "full"
command = ["./t", ""]
shell = ["zsh", "-c"]
requires_worktree = false
run_by_default = false
resources = ["gpu", { name = "ram", count = 2 }, { name = "board", tokens = ["whatever", "else"] }]
shutdown_grace_period_s = 5
timeout_s = 1.5
cache = "by_tree"
depends_on = ["build it"]
error_exit_codes = [1, 255]
skip_exit_codes = [77]
separate_outputs = true
priority = -2
inputs = ["../x", "d/**/*.py"]
"""


def test_parse_fills_in_defaults() -> None:
    """A name and a command are all a test needs; an empty file has no tests."""
    assert parse(b"", source="") == Config()
    parsed = parse(_test("").encode(), source="")
    assert parsed == Config(tests=(Test(name="a", command="true"),))
    assert parsed.tests[0].argv == ("bash", "-c", "true")


def test_parse_reads_every_key() -> None:
    """Each key of Limmat and of ours arrives in its record, in file order."""
    assert parse(EVERY_KEY, source="") == Config(
        num_worktrees=3,
        resources=(
            Resource(name="gpu", tokens=("gpu-0",)),
            Resource(name="ram", tokens=("ram-0", "ram-1", "ram-2")),
            Resource(name="board", tokens=("x", "y")),
        ),
        tests=(
            Test(name="build it", command="make", shell=("sh", "-c")),
            Test(
                name="full",
                command=("./t", ""),
                shell=("zsh", "-c"),
                requires_worktree=False,
                run_by_default=False,
                resources=(Need(name="gpu"), Need(name="ram", count=2), Need(name="board", count=2)),
                shutdown_grace_period_s=5.0,
                timeout_s=1.5,
                cache=CachePolicy.BY_TREE,
                depends_on=("build it",),
                error_exit_codes=(1, 255),
                skip_exit_codes=(77,),
                separate_outputs=True,
                priority=-2,
                inputs=("../x", "d/**/*.py"),
            ),
        ),
    )


def test_parse_takes_toml_1_1() -> None:
    """An inline table may span lines and end in a comma; a byte order mark and CRLF do no harm."""
    text = '\ufefftests = [{\r\n  name = "a",\r\n  command = "true",\r\n}]\r\n'
    assert parse(text.encode(), source="").tests == (Test(name="a", command="true"),)


ONE_FAULT = (
    ("frobnicate = 1", "unknown key 'frobnicate'"),
    ("num_worktree = 1", "unknown key 'num_worktree', did you mean 'num_worktrees'?"),
    ("num_worktrees = -1", "num_worktrees: expected integer >= 0, got -1"),
    ("num_worktrees = 1.0", "num_worktrees: expected integer, got number"),
    ("num_worktrees = true", "num_worktrees: expected integer, got boolean"),
    ('shell = "sh"', "shell: expected array, got string"),
    ("shell = []", "shell: must not be empty"),
    ('shell = [""]', "shell[0]: must not be empty"),
    ("tests = 1", "tests: expected array, got integer"),
    ("tests = [1]", "tests[0]: expected table, got integer"),
    ("resources = [1]", "resources[0]: expected string or table, got integer"),
    ('resources = [""]', "resources[0]: must not be empty"),
    ('resources = ["a/b"]', "resources[0]: 'a/b' has a '/'"),
    ('resources = ["a=b"]', "resources[0]: 'a=b' has a '=', which no environment variable can have"),
    ('resources = ["a", "a"]', "resources[1]: 'a' is given already at resources[0]"),
    ("resources = [{ count = 1 }]", "resources[0]: key 'name' is missing"),
    (
        'resources = [{ name = "a" }]',
        "resources[0]: expected exactly one of 'count' and 'tokens', got neither",
    ),
    (
        'resources = [{ name = "a", count = 1, tokens = ["b"] }]',
        "resources[0]: expected exactly one of 'count' and 'tokens', got both",
    ),
    ('resources = [{ name = "a", count = 0 }]', "resources[0].count: expected integer >= 1, got 0"),
    (
        'resources = [{ name = "a", count = 9999999999 }]',
        "resources[0].count: expected integer <= 100000, got 9999999999",
    ),
    ('resources = [{ name = "a", tokens = [] }]', "resources[0].tokens: must not be empty"),
    ('resources = [{ name = "a", tokens = [""] }]', "resources[0].tokens[0]: must not be empty"),
    ('resources = [{ name = "a", tokens = ["\\u0000"] }]', "resources[0].tokens[0]: has a NUL character"),
    (
        'resources = [{ name = "a", tokens = ["b", "b"] }]',
        "resources[0].tokens[1]: 'b' is given already at resources[0].tokens[0]",
    ),
    ('[[tests]]\ncommand = "true"', "tests[0]: key 'name' is missing"),
    ('[[tests]]\nname = "a"', "tests[0]: key 'command' is missing"),
    (
        _test("needs_worktree = true"),
        "tests[0]: unknown key 'needs_worktree', did you mean 'requires_worktree'?",
    ),
    (_test('"a\\nb" = 1'), "tests[0]: unknown key 'a\\nb'"),
    (_test("", name="name = 1"), "tests[0].name: expected string, got integer"),
    (_test("", name='name = ""'), "tests[0].name: must not be empty"),
    (_test("", command='command = ""'), "tests[0].command: must not be empty"),
    (_test("", command='command = " \\n"'), "tests[0].command: must not be empty"),
    (_test("", command="command = []"), "tests[0].command: must not be empty"),
    (_test("", command='command = [""]'), "tests[0].command[0]: must not be empty"),
    (_test("", command='command = ["a", 1]'), "tests[0].command[1]: expected string, got integer"),
    (_test("", command='command = ["a", "b\\u0000"]'), "tests[0].command[1]: has a NUL character"),
    (_test("", command="command = { a = 1 }"), "tests[0].command: expected string or array, got table"),
    (_test("", command="command = 2020-01-01"), "tests[0].command: expected string or array, got date"),
    (_test("shell = []"), "tests[0].shell: must not be empty"),
    (_test('requires_worktree = "no"'), "tests[0].requires_worktree: expected boolean, got string"),
    (
        _test('cache = "by_trea"'),
        "tests[0].cache: unknown value 'by_trea', use by_commit, by_tree or no_caching, "
        "did you mean 'by_tree'?",
    ),
    (_test("cache = [1]"), "tests[0].cache: expected string, got array"),
    (_test("timeout_s = 0"), "tests[0].timeout_s: expected number > 0, got 0"),
    (_test("timeout_s = -2.5"), "tests[0].timeout_s: expected number > 0, got -2.5"),
    (_test("timeout_s = nan"), "tests[0].timeout_s: expected number > 0, got nan"),
    (
        _test("timeout_s = inf"),
        "tests[0].timeout_s: expected a finite number, leave the key out for no limit",
    ),
    (
        _test("shutdown_grace_period_s = -1"),
        "tests[0].shutdown_grace_period_s: expected number >= 0, got -1",
    ),
    (
        _test("shutdown_grace_period_s = inf"),
        "tests[0].shutdown_grace_period_s: expected a finite number",
    ),
    (_test("error_exit_codes = [0]"), "tests[0].error_exit_codes[0]: expected integer >= 1, got 0"),
    (_test("error_exit_codes = [3, 256]"), "tests[0].error_exit_codes[1]: expected integer <= 255, got 256"),
    (_test("skip_exit_codes = [0]"), "tests[0].skip_exit_codes[0]: expected integer >= 1, got 0"),
    (_test("skip_exit_codes = [-1]"), "tests[0].skip_exit_codes[0]: expected integer >= 1, got -1"),
    (
        _test("error_exit_codes = [3]\nskip_exit_codes = [4, 3]"),
        "tests[0].skip_exit_codes[1]: 3 is in error_exit_codes too",
    ),
    (
        _test('inputs = ["/etc/*"]'),
        "tests[0].inputs[0]: '/etc/*' is not relative to the directory of the file",
    ),
    (_test('inputs = ["a", "x/a**"]'), "tests[0].inputs[1]: in 'x/a**', '**' is not a whole path component"),
    (_test('depends_on = ["b"]'), "tests[0].depends_on[0]: no test 'b'"),
    (_test('depends_on = ["a"]'), "tests[0].depends_on[0]: tests depend on each other: 'a' -> 'a'"),
    (_test('resources = ["b"]'), "tests[0].resources[0]: no resource 'b'"),
    (
        'resources = ["b"]\n' + _test('resources = ["b", { name = "b", count = 1 }]'),
        "tests[0].resources[1]: 'b' is given already at tests[0].resources[0]",
    ),
    (
        'resources = [{ name = "b", count = 2 }]\n' + _test('resources = [{ name = "b", count = 3 }]'),
        "tests[0].resources[0]: needs 3 tokens of 'b', which has 2",
    ),
    ("num_worktrees = 0\n" + _test(""), "num_worktrees: is 0, but a worktree is needed by tests[0]"),
    (_test("") + "\n" + _test(""), "tests[1].name: 'a' is given already at tests[0].name"),
)


@pytest.mark.parametrize(("text", "fault"), ONE_FAULT)
def test_parse_names_the_place_when_a_value_is_faulty(text: str, fault: str) -> None:
    """One fault gives one line, which says where it is and what is wrong; nothing follows from it."""
    assert _faults(text) == (fault,)


def test_parse_message_has_the_fault_when_there_is_one_and_their_number_otherwise() -> None:
    """The message alone is enough for one fault; with more it does not grow."""
    with pytest.raises(ConfigError, match=r"^cannot read 'x\.toml': unknown key 'a'$"):
        parse(b"a = 1", source="x.toml")
    with pytest.raises(ConfigError, match=r"^cannot read 'x\.toml': 2 faults$"):
        parse(b"a = 1\nb = 1", source="x.toml")


def test_parse_tells_all_faults_in_file_order() -> None:
    """A file is mended in one go: nothing hides behind something else, and the top comes first."""
    text = """
frob = 1
num_worktrees = 0
resources = ["gpu", { name = "ram", count = 0 }]
[[tests]]
name = "a"
comand = "make"
depends_on = ["b", "nope", 3]
error_exit_codes = [0, 3, "x"]
skip_exit_codes = [3]
[[tests]]
name = "b"
command = [1, ""]
resources = ["gpu", "gpi", "gpu"]
depends_on = ["a"]
timeout_s = "1"
"""
    assert _faults(text) == (
        "unknown key 'frob'",
        "num_worktrees: is 0, but a worktree is needed by tests[0], tests[1]",
        "resources[1].count: expected integer >= 1, got 0",
        "tests[0]: unknown key 'comand', did you mean 'command'?",
        "tests[0]: key 'command' is missing",
        "tests[0].depends_on[2]: expected string, got integer",
        "tests[0].error_exit_codes[0]: expected integer >= 1, got 0",
        "tests[0].error_exit_codes[2]: expected integer, got string",
        "tests[0].skip_exit_codes[0]: 3 is in error_exit_codes too",
        "tests[0].depends_on[1]: no test 'nope'",
        "tests[0].depends_on[0]: tests depend on each other: 'a' -> 'b' -> 'a'",
        "tests[1].command[0]: expected string, got integer",
        "tests[1].timeout_s: expected number, got string",
        "tests[1].resources[1]: no resource 'gpi', did you mean 'gpu'?",
        "tests[1].resources[2]: 'gpu' is given already at tests[1].resources[0]",
    )


def test_parse_names_line_and_column_when_the_syntax_is_bad() -> None:
    """Text that is no TOML is refused with the place where reading stopped."""
    assert _faults("a = 1\nb = \n") == ("line 2, column 5: invalid value",)
    assert _faults("a = 1\na = 2\n")[0].startswith("line 2, column ")


def test_parse_names_the_byte_when_the_text_is_not_utf_8() -> None:
    """Another encoding is a fault with a line number, not a traceback."""
    assert _faults(b"# ok\nname = '\xe9'\n") == ("line 2: byte 0xe9 is not UTF-8",)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "1" * 10000])
def test_parse_refuses_when_a_value_is_monstrous(text: str) -> None:
    """What breaks the TOML parser itself is a fault of the file."""
    assert len(_faults(text)) == 1


def test_parse_allows_zero_worktrees_when_no_test_needs_one() -> None:
    """The number may be 0 as long as nobody would wait for ever."""
    text = "num_worktrees = 0\n" + _test("requires_worktree = false")
    assert parse(text.encode(), source="").num_worktrees == 0


def test_parse_allows_names_that_share_an_environment_name() -> None:
    """Two names may differ only in what a shell name cannot have."""
    text = _test("") + "\n" + _test("", name='name = "a-b"') + "\n" + _test("", name='name = "a.b"')
    assert [test.name for test in parse(text.encode(), source="").tests] == ["a", "a-b", "a.b"]


def test_parse_follows_a_long_chain_of_dependencies() -> None:
    """Depth is no problem, and a cycle through all of it is found."""
    count = 3000
    tests = [_test(f'depends_on = ["t{i + 1}"]', name=f'name = "t{i}"') for i in range(count)]
    last = _test("", name=f'name = "t{count}"')
    assert len(parse("\n".join((*tests, last)).encode(), source="").tests) == count + 1
    looped = _test('depends_on = ["t0"]', name=f'name = "t{count}"')
    (fault,) = _faults("\n".join((*tests, looped)))
    assert fault.startswith("tests[0].depends_on[0]: tests depend on each other: 't0' -> 't1' -> ")


_SCALARS = st.one_of(
    st.booleans(),
    st.integers(-3, 300),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["a", "b", "by_tree"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "count", "tokens", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)
_TABLE = st.dictionaries(st.sampled_from(Test.__struct_fields__), _VALUES, max_size=6)
_FILES = st.fixed_dictionaries(
    {},
    optional={
        "num_worktrees": _VALUES,
        "shell": _VALUES,
        "resources": st.lists(_VALUES, max_size=3) | _VALUES,
        "tests": st.lists(_TABLE | _VALUES, max_size=3) | _VALUES,
        "other": _VALUES,
    },
)


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = "".join(f"\\U{ord(c):08x}" if not c.isalnum() or ord(c) > 126 else c for c in value)
            return f'"{escaped}"'
        case dict():
            return "{" + ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return repr(value)


@given(document=_FILES)
@settings(deadline=None, max_examples=300)
def test_parse_gives_records_or_faults_for_any_document(document: dict[str, object]) -> None:
    """Whatever a file holds, the answer is a config or a list of different one-line faults."""
    text = "\n".join(f"{key} = {_toml(value)}" for key, value in document.items())
    tomli.loads(text)
    faults: tuple[str, ...] = ()
    parsed = None
    try:
        parsed = parse(text.encode(), source="x")
    except ConfigError as error:
        faults = error.faults
    assert (parsed is None) == bool(faults)
    assert len(set(faults)) == len(faults)
    assert all(fault.isprintable() for fault in faults)
    assert parsed is None or all(test.name and test.argv[0] for test in parsed.tests)
