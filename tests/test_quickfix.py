"""`show --quickfix`: places in files, as real compilers and test runners name them."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from conftest import Repo
from hypothesis import given
from hypothesis import strategies as st

from gitlimmat.service.references import Files, find_references, strip_escapes

FILES = Files(
    [
        *("src/main.c", "src/util.h", "src/main.rs", "lib/util.rs", "tests/test_x.py", "app/core.py", "x.py"),
        *("pkg/a/x_test.go", "cmd/x.go", "web/app.ts", "web/a b.ts", "java/src/Foo.java", "run.sh", "t/a.t"),
        *("CMakeLists.txt", "README.md", "dup/a/same.c", "dup/b/same.c", "src/lib.rs", "sub/deep/one.c"),
    ],
    [r"/home/me/project", r".*/limmat/[^/]+-[0-9a-f]{8}/\d+"],
)
POOL = "/home/me/.cache/limmat/project-0123abcd/3"

TABLE = {
    "gcc": ("src/main.c:3:5: error: expected ';'", ["src/main.c:3:5: error: expected ';'"]),
    "gcc included from": (
        "In file included from src/main.c:1:",
        ["src/main.c:1:1: In file included from src/main.c:1:"],
    ),
    "gcc without a column": ("src/main.c:3: undefined reference", ["src/main.c:3:1: undefined reference"]),
    "linker": (
        "/usr/bin/ld: src/main.c:7: undefined reference to `f'",
        ["src/main.c:7:1: undefined reference to `f'"],
    ),
    "absolute in the pool": (f"{POOL}/src/main.c:3:5: bad", ["src/main.c:3:5: bad"]),
    "absolute in the user's worktree": ("/home/me/project/x.py:3: bad", ["x.py:3:1: bad"]),
    "absolute elsewhere": ("/usr/include/x.py:3:5: bad", []),
    "a sibling of the worktree": ("/home/me/project2/x.py:3:5: bad", []),
    "no such file": ("src/gone.c:3:5: error", []),
    "a time": ("12:30:45 started", []),
    "an address": ("http://localhost:80/x.py", []),
    "a dot": ("./src/main.c:3:5: bad", ["src/main.c:3:5: bad"]),
    "colors": ("\x1b[1m\x1b[Ksrc/main.c:3:5:\x1b[m\x1b[K \x1b[31merror\x1b[0m", ["src/main.c:3:5: error"]),
    "a link": ("\x1b]8;;file:///x\x1b\\src/main.c\x1b]8;;\x07:3:5: bad", ["src/main.c:3:5: bad"]),
    "carriage returns": ("10%\r20%\rsrc/main.c:3:5: bad\r\n", ["src/main.c:3:5: bad"]),
    "rustc": (
        "error[E0425]: cannot find value `x`\n --> src/main.rs:2:5\n  |\n2 |     x\n  |     ^",
        ["src/main.rs:2:5: error[E0425]: cannot find value `x`"],
    ),
    "rust panic": (
        "thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds",
        ["src/main.rs:2:5: index out of bounds"],
    ),
    "old rust panic": (
        "thread 'main' panicked at 'no', lib/util.rs:2:5",
        ["lib/util.rs:2:5: thread 'main' panicked at 'no', lib/util.rs:2:5"],
    ),
    "python": (
        'Traceback (most recent call last):\n  File "x.py", line 9, in <module>\n    main()\n'
        f'  File "{POOL}/app/core.py", line 3, in main\n    f()\n'
        '  File "/usr/lib/python3.11/os.py", line 4, in f\nValueError: no\n',
        ["app/core.py:3:1: ValueError: no: in main", "x.py:9:1: ValueError: no: in <module>"],
    ),
    "python syntax": (
        '  File "x.py", line 9\n    a b\n      ^\nSyntaxError: invalid syntax',
        ["x.py:9:1: SyntaxError: invalid syntax"],
    ),
    "a traceback that stops": ('  File "x.py", line 9, in f', ["x.py:9:1: in f"]),
    "pytest": (
        "E       assert 1 == 2\nE        +  where\n\ntests/test_x.py:5: AssertionError",
        ["tests/test_x.py:5:1: AssertionError: assert 1 == 2"],
    ),
    "pytest short": ("tests/test_x.py:12: in test_a\n    f()", ["tests/test_x.py:12:1: in test_a"]),
    "go test": ("--- FAIL: TestX (0.00s)\n    x_test.go:12: got 1\nFAIL", ["pkg/a/x_test.go:12:1: got 1"]),
    "go build": ("# example.com/m/cmd\ncmd/x.go:3:4: undefined: y", ["cmd/x.go:3:4: undefined: y"]),
    "go panic": ("\t/home/me/project/cmd/x.go:7 +0x1d", ["cmd/x.go:7:1: +0x1d"]),
    "tsc": ("web/app.ts(3,5): error TS2304: no 'x'", ["web/app.ts:3:5: error TS2304: no 'x'"]),
    "tsc pretty": ("web/app.ts:3:5 - error TS2304: no", ["web/app.ts:3:5: error TS2304: no"]),
    "a space in the name": ("web/a b.ts:3:5: bad", ["web/a b.ts:3:5: bad"]),
    "eslint": (
        "/home/me/project/web/app.ts\n  3:5  error  'x' is not used  no-unused\n",
        ["web/app.ts:3:5: 'x' is not used  no-unused"],
    ),
    "node": (
        "TypeError: no\n    at f (/home/me/project/web/app.ts:3:5)\n    at node:internal/x:1:2",
        ["web/app.ts:3:5: TypeError: no"],
    ),
    "javac": ("java/src/Foo.java:3: error: ';' expected", ["java/src/Foo.java:3:1: error: ';' expected"]),
    "java stack": (
        "java.lang.Exception: no\n\tat a.Foo.f(Foo.java:12)",
        ["java/src/Foo.java:12:1: java.lang.Exception: no"],
    ),
    "maven": ("[ERROR] /home/me/project/java/src/Foo.java:[3,5] bad", ["java/src/Foo.java:3:5: bad"]),
    "bash": ("run.sh: line 3: foo: command not found", ["run.sh:3:1: foo: command not found"]),
    "dash": ("./run.sh: 3: foo: not found", ["run.sh:3:1: foo: not found"]),
    "perl": ("not ok at t/a.t line 7.", ["t/a.t:7:1: not ok"]),
    "cmake": ("CMake Error at CMakeLists.txt:3 (message):", ["CMakeLists.txt:3:1: (message):"]),
    "make directories": (
        f"make[1]: Entering directory '{POOL}/sub/deep'\none.c:1:2: bad\n"
        f"make[1]: Leaving directory '{POOL}/sub/deep'\nx.py:3: bad",
        ["sub/deep/one.c:1:2: bad", "x.py:3:1: bad"],
    ),
    "make above": (f"make: Entering directory '{POOL}/sub'\n../x.py:3: bad", ["x.py:3:1: bad"]),
    "an end that is unique": ("deep/one.c:1:2: bad", ["sub/deep/one.c:1:2: bad"]),
    "an end that is not": ("same.c:1:2: bad", []),
    "twice the same": ("x.py:3: bad\nx.py:3: bad", ["x.py:3:1: bad"]),
    "in a sentence": ("see (x.py:3) for more", ["x.py:3:1: for more"]),
    "line 0": ("x.py:0: bad", []),
    "a long number": ("x.py:99999999999999999999: bad", ["x.py:999999999:1: bad"]),
    "a decimal": ("x.py:3.5", []),
}


@pytest.mark.parametrize("name", TABLE)
def test_references_are_found(name: str) -> None:
    """Each tool's way to name a place leads to the file of the commit, and nothing else does."""
    output, expected = TABLE[name]

    found = find_references(output, FILES)

    assert [f"{each.path}:{each.line}:{each.column}: {each.text}" for each in found] == expected


@given(st.text(alphabet=st.sampled_from('ab/.:3 \n\r\t("E,)\x1b[m-x'), max_size=200))
def test_any_output_is_read(output: str) -> None:
    """Whatever a job prints, what comes out are existing files, positive numbers and single lines."""
    for each in find_references(output, FILES):
        assert each.line > 0
        assert each.column > 0
        assert each.path == "x.py"
        assert "\n" not in each.text


def test_a_long_line_does_not_take_long() -> None:
    """Minified or binary output is read in time that grows with its length only."""
    for unit in ("a:1", "(", "a ", "/a", ": ", "at ", "'", "[1]", 'File "', "\x1b["):
        find_references(unit * (100_000 // len(unit)), FILES)


def test_escapes_are_stripped() -> None:
    """Colors, links, titles and cursor movements vanish; tabs stay."""
    assert strip_escapes("\x1b[1;31ma\x1b[0m\tb\x1b]0;title\x07c\x1b(Bd\x07\x1b[2K") == "a\tbcd"


CONFIG = r"""
[[tests]]
name = "build"
command = '''echo "$PWD/src/a.c:2:3: error: from the worktree"; exit 1'''
[[tests]]
name = "unit"
separate_outputs = true
command = '''echo "src/a.c:1: on stdout"; echo "src/a.c:9: on stderr" >&2; exit 1'''
[[tests]]
name = "fine"
command = "echo src/a.c:5: not of interest"
"""


@pytest.fixture
def failed(repo: Repo) -> Repo:
    """A commit with two failed tests that name places."""
    repo.config(CONFIG)
    repo.commit("base", **{"src/a.c": "1\n2\n3\n"})
    repo.limmat("run", "HEAD", status=1)
    return repo


def test_places_of_failed_tests_are_shown(failed: Repo) -> None:
    """The output of each failed test of HEAD, all its streams, and nothing of those that passed."""
    assert failed.limmat("show", "--quickfix").splitlines() == [
        "src/a.c:2:3: error: from the worktree",
        "src/a.c:1:1: on stdout",
        "src/a.c:9:1: on stderr",
    ]
    assert failed.limmat("show", "-q", "HEAD", "build").splitlines() == [
        "src/a.c:2:3: error: from the worktree"
    ]
    assert failed.limmat("show", "-q", "HEAD", "fine") == ""


def test_places_are_told_from_where_one_is(failed: Repo) -> None:
    """An editor that is started below the top finds the files, as with git grep."""
    done = failed.program("show", "-q", "HEAD", "build", cwd=failed.path / "src")

    assert done.stdout == b"a.c:2:3: error: from the worktree\n"


def test_places_need_no_worktree(failed: Repo, tmp_path: Path) -> None:
    """In a bare repository paths begin at the top of the commit."""
    failed.git("clone", "-q", "--mirror", ".", "../bare.git")
    done = failed.program(
        "show", "-q", "main", "build", "--config", str(failed.path / "limmat.toml"), cwd=tmp_path / "bare.git"
    )

    assert (done.stdout, done.returncode) == (b"src/a.c:2:3: error: from the worktree\n", 0)


def test_quickfix_is_not_for_all_results(failed: Repo) -> None:
    """Options that would be ignored are refused."""
    failed.limmat("show", "-q", "--all", status=129)


@pytest.mark.skipif(shutil.which("vim") is None, reason="needs vim")
def test_vim_opens_the_places(failed: Repo) -> None:
    """`vim -q` takes the list as it is, and goes to the first place."""
    (failed.path / "errors").write_text(failed.limmat("show", "--quickfix"))
    script = 'call writefile([expand("%") . ":" . line(".") . ":" . col("."), len(getqflist())], "said")'
    failed.write("src/a.c", "1\n2345\n3\n")
    subprocess.run(
        ["vim", "-N", "-u", "NONE", "-i", "NONE", "-es", "-q", "errors", "-c", script, "-c", "qa!"],
        cwd=failed.path,
        env=failed.environment,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )

    assert failed.lines("said") == ["src/a.c:2:3", "3"]


@pytest.mark.parametrize("tool", ["gcc", "unittest", "make"])
def test_real_tools_are_understood(repo: Repo, tool: str) -> None:
    """What the tools of this machine print leads to the line that is wrong."""
    python = shutil.which("python3")
    commands = {
        "gcc": "cc -c lib/bad.c -o /dev/null",
        "make": "make -C lib bad.o",
        "unittest": f"{python} -m unittest lib.test_bad",
    }
    if tool != "unittest" and not (shutil.which("cc") and shutil.which("make")):
        pytest.skip("needs a C compiler and make")
    repo.config(f"[[tests]]\nname = 't'\ncommand = '{commands[tool]}'")
    source = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.fail('no')\n"
    repo.commit(
        "base", **{"lib/bad.c": "int a;\nint b\nint c;\n", "lib/test_bad.py": source, "lib/__init__.py": ""}
    )
    repo.limmat("run", "HEAD", status=1)

    said = repo.limmat("show", "--quickfix")

    first = "lib/test_bad.py:4:1: AssertionError: no: in test_a" if tool == "unittest" else "lib/bad.c:"
    assert said.startswith(first), textwrap.indent(said, "> ")
