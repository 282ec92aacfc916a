"""What tests a project is likely to have, by the files at its top.

Layer: service.

Nothing of the project is run. A test stands alone: what it depends on may have run in another worktree, so
each brings about what it needs, which costs little where it has been done before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import tomli

_PRESUMED = 1 << 20
_NPM_PLACEHOLDER = "no test specified"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A test that makes sense. `why` is a comment for the user; `alone` says that it uses all processors.

    Units: `timeout` is minutes.
    """

    tool: str
    name: str
    command: str
    why: str
    depends: bool = False  # on the build of the same tool
    alone: bool = False
    optional: bool = False
    timeout: int = 30
    skip: tuple[int, ...] = ()


class Top:
    """The files at the top of a project."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def has(self, *names: str) -> bool:
        """Whether one of these files is there."""
        return any((self.directory / name).is_file() for name in names)

    def matches(self, pattern: str) -> bool:
        """Whether a file matches the pattern."""
        return next(self.directory.glob(pattern), None) is not None

    def text(self, *names: str) -> str:
        """Return the content of the first of these files that can be read; empty when there is none."""
        for name in names:
            with suppress(OSError), (self.directory / name).open("rb") as file:
                return file.read(_PRESUMED).decode(errors="replace")
        return ""


def propose(directory: Path) -> list[Proposal]:
    """Return the tests of the project in `directory`, those that say most first.

    Programs that run others, such as make, come last and are optional where there is anything else.
    """
    top = Top(directory)
    found = [proposal for recognizer in _LANGUAGES for proposal in recognizer(top)]
    runners = [proposal for recognizer in _RUNNERS for proposal in recognizer(top)]
    if found:
        runners = [msgspec.structs.replace(each, optional=True) for each in runners]
    return [*found, *runners]


def _cargo(top: Top) -> Iterator[Proposal]:
    if not top.has("Cargo.toml"):
        return
    locked = " --locked" if top.has("Cargo.lock") else ""
    every = " --workspace" if "[workspace]" in top.text("Cargo.toml") else ""
    why = "Cargo keeps what it has built in the worktree, so only what a commit changes is compiled again."
    yield Proposal(
        tool="cargo", name="build", command=f"cargo build{every} --all-targets{locked}", why=why, alone=True
    )
    yield Proposal(
        tool="cargo", name="test", command=f"cargo test{every}{locked}", why="", depends=True, alone=True
    )


def _node(top: Top) -> Iterator[Proposal]:
    if not top.has("package.json"):
        return
    manager, install = _node_manager(top)
    scripts = _scripts(top)
    why = f"Each worktree has its own node_modules, which '{install}' brings up to date."
    if "build" in scripts:
        command = f"{install} && {manager} run build"
        yield Proposal(tool=manager, name="build", command=command, why=why)
    for name in ("test", "lint", "typecheck", "check"):
        if name in scripts and _NPM_PLACEHOLDER not in scripts[name]:
            command = f"{install} && {manager} run {name}"
            yield Proposal(tool=manager, name=name, command=command, why=why, depends=name == "test")


def _node_manager(top: Top) -> tuple[str, str]:
    """Return the package manager that the lock file, or package.json, is of, and how it installs."""
    stated = re.search(r'"packageManager"\s*:\s*"(pnpm|yarn|bun|npm)@', top.text("package.json"))
    files = {
        "pnpm": ("pnpm-lock.yaml",),
        "yarn": ("yarn.lock",),
        "bun": ("bun.lock", "bun.lockb"),
        "npm": ("package-lock.json", "npm-shrinkwrap.json"),
    }
    manager = stated[1] if stated else next((name for name in files if top.has(*files[name])), "npm")
    if not top.has(*files[manager]):
        return manager, f"{manager} install"
    if manager == "yarn" and top.has(".yarnrc.yml"):
        return manager, "yarn install --immutable"
    if manager == "npm":
        return manager, "npm install --prefer-offline --no-audit --no-fund"
    return manager, f"{manager} install --frozen-lockfile"


def _scripts(top: Top) -> dict[str, str]:
    try:
        package = msgspec.json.decode(top.text("package.json"))
    except (msgspec.DecodeError, RecursionError):
        return {}
    scripts = package.get("scripts") if isinstance(package, dict) else None
    if not isinstance(scripts, dict):
        return {}
    return {str(name): command for name, command in scripts.items() if isinstance(command, str)}


def _python(top: Top) -> Iterator[Proposal]:
    texts = top.text("pyproject.toml"), top.text("setup.cfg"), top.text("tox.ini")
    tests = any(top.matches(f"{where}test_*.py") for where in ("", "tests/", "test/", "tests/*/"))
    stated = top.has("pytest.ini", "conftest.py", "tests/conftest.py") or bool(
        re.search(r"^\[(tool\.pytest|tool:pytest|pytest)\b", "\n".join(texts), re.MULTILINE)
    )
    if not tests and not stated:
        return
    start = next((run for lock, run in _PYTHON_LOCKS if top.has(lock)), "")
    if (top.directory / "src").is_dir() and not start:
        path = 'PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" '
    else:
        path = ""
    why = "What is imported must be this commit's code, not a copy of your worktree installed elsewhere."
    if stated or "pytest" in "".join((*texts, *map(top.text, _PYTHON_NEEDS))):
        yield Proposal(
            tool="pytest", name="test", command=f"{path}{start}python3 -m pytest -q", why=why, skip=(5,)
        )
    else:
        where = next((d for d in ("tests", "test") if top.matches(f"{d}/test_*.py")), ".")
        command = f"{path}{start}python3 -m unittest discover -s {where} -t ."
        command = command.removesuffix(" -t .") if not top.has(f"{where}/__init__.py") else command
        yield Proposal(tool="unittest", name="test", command=command, why=why, skip=(5,))


_PYTHON_LOCKS = (
    ("uv.lock", "uv run --frozen "),
    ("poetry.lock", "poetry run "),
    ("pdm.lock", "pdm run "),
    ("Pipfile.lock", "pipenv run "),
)
_PYTHON_NEEDS = (
    *("requirements.txt", "requirements-dev.txt", "dev-requirements.txt", "requirements-test.txt"),
    *("requirements/test.txt", "requirements/dev.txt", "setup.py", "Pipfile"),
)


def _meson(top: Top) -> Iterator[Proposal]:
    if not top.has("meson.build"):
        return
    setup = "{ test -f build/build.ninja || meson setup build; }"
    why = "The directory 'build' stays for the next commit when git ignores it, as meson sees to."
    command = f"{setup} && meson compile -C build"
    yield Proposal(tool="meson", name="build", command=command, why=why, alone=True)
    command = f"{setup} && meson test -C build --print-errorlogs"
    yield Proposal(tool="meson", name="test", command=command, why="", depends=True, alone=True)


def _cmake(top: Top) -> Iterator[Proposal]:
    if not top.has("CMakeLists.txt"):
        return
    build = "cmake -S . -B build && cmake --build build --parallel"
    why = "The directory 'build' stays for the next commit only if .gitignore names it."
    yield Proposal(tool="cmake", name="build", command=build, why=why, alone=True)
    command = f"{build} && ctest --test-dir build --output-on-failure"
    yield Proposal(tool="cmake", name="test", command=command, why="", depends=True, alone=True)


def _autotools(top: Top) -> Iterator[Proposal]:
    if not top.has("configure.ac", "configure.in"):
        return
    prepare = "./autogen.sh" if top.has("autogen.sh", "bootstrap") else "autoreconf -fi"
    if top.has("bootstrap") and not top.has("autogen.sh"):
        prepare = "./bootstrap"
    setup = f"{{ test -f Makefile || {{ {prepare} && ./configure; }}; }}"
    build = f'{setup} && make -j"$(nproc)"'
    why = "Configured once in each worktree; make does so again when it has to."
    yield Proposal(tool="autotools", name="build", command=build, why=why, alone=True)
    yield Proposal(
        tool="autotools", name="test", command=f"{build} check", why="", depends=True, alone=True, timeout=60
    )


def _ruby(top: Top) -> Iterator[Proposal]:
    if not top.has("Gemfile", "Rakefile"):
        return
    bundle = "bundle install --quiet && bundle exec " if top.has("Gemfile") else ""
    why = "Bundler installs what the commit's Gemfile asks for, if it is not there yet." if bundle else ""
    if top.has(".rspec") or top.matches("spec/**/*_spec.rb"):
        yield Proposal(tool="rspec", name="test", command=f"{bundle}rspec", why=why)
    elif top.has("Rakefile"):
        task = " test" if re.search(r"TestTask|task[ (]+:test", top.text("Rakefile")) else ""
        yield Proposal(tool="rake", name="test", command=f"{bundle}rake{task}", why=why)


def _java(top: Top) -> Iterator[Proposal]:
    if top.has("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"):
        gradle = "./gradlew" if top.has("gradlew") else "gradle"
        why = "One daemon of Gradle serves all worktrees."
        yield Proposal(
            tool="gradle", name="build", command=f"{gradle} --quiet testClasses", why=why, alone=True
        )
        yield Proposal(
            tool="gradle", name="test", command=f"{gradle} --quiet check", why="", depends=True, alone=True
        )
    elif top.has("pom.xml"):
        maven = "./mvnw" if top.has("mvnw") else "mvn"
        yield Proposal(tool="maven", name="build", command=f"{maven} -q -B test-compile", why="", alone=True)
        yield Proposal(
            tool="maven", name="test", command=f"{maven} -q -B verify", why="", depends=True, alone=True
        )


def _simple(top: Top) -> Iterator[Proposal]:
    """Recognize tools that always work in the same way: by a file, with a build and a test."""
    for tool, pattern, build, test in _TOOLS:
        if not top.matches(pattern):
            continue
        if build:
            yield Proposal(tool=tool, name="build", command=build, why="", alone=True)
        yield Proposal(tool=tool, name="test", command=test, why="", depends=bool(build), alone=bool(build))


_TOOLS = (
    ("go", "go.mod", "go build ./... && go vet ./...", "go test ./..."),
    ("mix", "mix.exs", "mix deps.get && mix compile", "mix deps.get && mix test"),
    ("swift", "Package.swift", "swift build", "swift test"),
    ("zig", "build.zig", "zig build", "zig build test"),
    ("dune", "dune-project", "dune build", "dune test"),
    ("stack", "stack.yaml", "stack build --test --no-run-tests", "stack test"),
    ("dotnet", "*.sln", "dotnet build", "dotnet test"),
    ("phpunit", "phpunit.xml*", "", "composer install --quiet && vendor/bin/phpunit"),
    ("bats", "test/*.bats", "", "bats test"),
    ("bats-tests", "tests/*.bats", "", "bats tests"),
)


def _make(top: Top) -> Iterator[Proposal]:
    name = next((each for each in ("GNUmakefile", "makefile", "Makefile") if top.has(each)), None)
    if name is None or top.has("configure.ac", "configure.in"):
        return
    targets = set(re.findall(r"^([A-Za-z][\w-]*)\s*:(?!=)", top.text(name), re.MULTILINE))
    goals = [each for each in ("check", "test", "tests") if each in targets]
    build = 'make -j"$(nproc)"'
    if not goals or "all" in targets or "build" in targets:
        target = "" if "all" in targets or "build" not in targets else " build"
        yield Proposal(tool="make", name="build", command=build + target, why="", alone=True)
    if goals:
        command = f"{build} {goals[0]}"
        yield Proposal(tool="make", name="test", command=command, why="", depends=True, alone=True)


def _just(top: Top) -> Iterator[Proposal]:
    text = top.text("justfile", "Justfile", ".justfile")
    for name in ("build", "test", "check"):
        if re.search(rf"^@?{name}(?:\s[^:\n]*)?:(?!=)", text, re.MULTILINE):
            yield Proposal(tool="just", name=name, command=f"just {name}", why="", depends=name == "test")


def _task(top: Top) -> Iterator[Proposal]:
    text = top.text("Taskfile.yml", "Taskfile.yaml", "taskfile.yml", "taskfile.yaml")
    for name in ("build", "test", "check"):
        if re.search(rf"^[ \t]+{name}:", text, re.MULTILINE):
            yield Proposal(tool="task", name=name, command=f"task {name}", why="", depends=name == "test")


def _environments(top: Top) -> Iterator[Proposal]:
    """Recognize programs that test in environments of their own."""
    why = (
        "Makes its environments in each worktree: slow the first time, and if .gitignore does not name them."
    )
    if re.search(r"^\[(tox|testenv)\b", top.text("tox.ini"), re.MULTILINE) or _has_tox_table(top):
        yield Proposal(tool="tox", name="test", command="tox run -q", why=why, timeout=60)
    if top.has("noxfile.py"):
        command = "nox --reuse-existing-virtualenvs"
        yield Proposal(tool="nox", name="test", command=command, why=why, timeout=60)


def _has_tox_table(top: Top) -> bool:
    try:
        tool = tomli.loads(top.text("pyproject.toml")).get("tool")
    except (tomli.TOMLDecodeError, RecursionError):
        return False
    return isinstance(tool, dict) and "tox" in tool


_LANGUAGES: tuple[Callable[[Top], Iterator[Proposal]], ...] = (
    *(_cargo, _node, _python, _meson, _cmake, _autotools, _ruby, _java, _simple),
)
_RUNNERS: tuple[Callable[[Top], Iterator[Proposal]], ...] = (_make, _just, _task, _environments)
