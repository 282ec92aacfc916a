"""Each way to install the program, built by its one documented command, installed and used.

Each takes half a minute, so each is built in one test only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Repo

TOP = Path(__file__).parent.parent
BUILDING = dict(os.environ)
"""The environment in which pip finds its settings and its cache, before a test seals it."""
PAGES = sorted(path.name for path in (TOP / "man").glob("man[1-8]/*.[1-8]"))


def build(*argv: str | Path) -> str:
    """Run a build command and return the last line it has printed."""
    environment = {name: value for name, value in BUILDING.items() if not name.startswith("PYTHON")}
    done = subprocess.run(argv, cwd=TOP, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (done.stdout.splitlines() or [""])[-1]


def use(repo: Repo, programs: Path | None, *argv: str, **extra: str) -> str:
    """Run a command in the repository without the checkout's code, and return what it prints."""
    environment = {name: value for name, value in repo.environment.items() if not name.startswith("PYTHON")}
    if programs is not None:
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        argv, cwd=repo.path, env=environment | extra, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def hostile(repo: Repo) -> Repo:
    """A repository with a test, and with files that Python would import if it looked where it is called."""
    repo.config('[[tests]]\nname = "unit"\ncommand = "echo said; exit 3"')
    for name in ("typing.py", "gitlimmat/__init__.py", "site.py"):
        repo.write(name, "raise SystemExit('imported from the repository')")
    repo.commit("base")
    return repo


def try_out(repo: Repo, programs: Path | None, *program: str) -> None:
    """Do what a new user does: run, look, read the manual, and set the prompt."""
    ran = subprocess.run(
        [*program, "run", "HEAD"],
        cwd=repo.path,
        env={name: value for name, value in repo.environment.items() if not name.startswith("PYTHON")}
        | ({"PATH": f"{programs}{os.pathsep}{repo.environment['PATH']}"} if programs else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "unit  failed (exit 3" in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == 1
    assert use(repo, programs, *program, "--version").startswith("git-limmat version ")
    assert use(repo, programs, *program, "prompt") == "✗1\n"
    assert "__git_limmat_ps1" in use(repo, programs, *program, "prompt", "--sh")
    assert use(repo, programs, *program, "help", "--text", "run").startswith("NAME\n       git-limmat-run")
    assert "_git_limmat" in use(repo, programs, *program, "help", "--completion", "bash")
    assert "Notes (limmat)" in use(repo, programs, "git", "log", "--notes=limmat")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg")
def test_the_debian_package_works(hostile: Repo, tmp_path: Path) -> None:
    """`sh packaging/deb` makes a package that holds all it needs, in Debian's places."""
    package = build("sh", TOP / "packaging" / "deb", tmp_path / "dist")
    root = tmp_path / "root"
    database = root / "var" / "lib" / "dpkg"
    for name in ("info", "updates"):
        (database / name).mkdir(parents=True)
    (database / "status").touch()
    dpkg = ["dpkg", f"--root={root}", "--force-depends", "--log=/dev/null"]
    if os.getuid() == 0:
        use(hostile, None, *dpkg, "-i", package)
    else:
        use(hostile, None, "dpkg-deb", "-x", package, str(root))
    python, program = root / "usr/lib/gitlimmat/bin/python3", root / "usr/bin/git-limmat"

    assert program.read_text().startswith("#!/usr/lib/gitlimmat/bin/python3\n")
    try_out(hostile, None, str(python), str(program))
    pages = sorted(path.name.removesuffix(".gz") for path in (root / "usr/share/man").rglob("*.gz"))
    assert pages == PAGES
    for name in (
        "bash-completion/completions/git-limmat",
        "zsh/vendor-completions/_git-limmat",
        "fish/vendor_completions.d/git-limmat.fish",
        "doc/gitlimmat/copyright",
    ):
        assert (root / "usr/share" / name).is_file()
    built = [str(tmp_path).encode(), str(TOP).encode()]
    texts = [
        path for path in root.rglob("*") if path.is_file() and path.suffix in ("", ".py", ".cfg", ".pyc")
    ]
    assert [
        path for path in texts if "dpkg" not in path.parts and any(b in path.read_bytes() for b in built)
    ] == []
    if os.getuid() == 0:
        use(hostile, None, *dpkg, "-P", "gitlimmat")
        assert [path for path in (root / "usr").rglob("*") if path.is_file()] == []


def test_the_single_file_works(hostile: Repo, tmp_path: Path) -> None:
    """`sh packaging/zipapp` makes one file that unpacks itself once, also when called twice at a time."""
    programs = tmp_path / "a place"
    file = build("sh", TOP / "packaging" / "zipapp", programs / "git-limmat")
    cache = Path(hostile.environment["XDG_CACHE_HOME"]) / "git-limmat"

    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda _: use(hostile, programs, "git", "limmat", "--version"), range(3)))

    assert len(set(said)) == 1
    (tree,) = cache.iterdir()
    try_out(hostile, programs, "git", "limmat")
    use(hostile, programs, "git", "limmat", "init", "--yes")
    assert use(hostile, programs, "git", "config", "limmat.program").strip() == file
    assert use(hostile, None, str(tree / "bin" / "git-limmat"), "--version") == said[0]
    began = time.perf_counter()
    use(hostile, programs, "git-limmat", "prompt")
    assert time.perf_counter() - began < 1, "it unpacks itself once only"
    (tree / "bin" / "python3").unlink()
    (tree / "bin" / "python3").symlink_to("/nowhere/python3")
    assert use(hostile, programs, "git", "limmat", "--version") == said[0]
    assert not list(cache.glob("tmp*"))
    environment = hostile.environment | {"XDG_CACHE_HOME": "/dev/null"}
    refused = subprocess.run(
        [file, "--version"], env=environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 128
    assert re.match(r"fatal: cannot unpack to '/dev/null/.*'.*\nhint: set XDG_CACHE_HOME", refused.stderr)
    (programs / "bin").mkdir()
    for name in ("sh", "env"):
        (programs / "bin" / name).symlink_to(str(shutil.which(name)))
    alone = {"PATH": str(programs / "bin"), "HOME": str(tmp_path / "nobody"), "GIT_LIMMAT_PYTHON": "/nowhere"}
    if not Path("/usr/bin/python3").exists():
        refused = subprocess.run([file, "--version"], env=alone, capture_output=True, text=True, check=False)
        assert refused.stderr.startswith("fatal: cannot find Python")


def test_the_wheel_works_in_a_virtual_environment(hostile: Repo, tmp_path: Path) -> None:
    """`pip install` brings the manual to where git and man look, with nothing but the environment's PATH."""
    venv = tmp_path / "venv"
    build(sys.executable, "-m", "venv", venv)
    build(venv / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", TOP)

    try_out(hostile, venv / "bin", "git", "limmat")
    reading = {"MANPAGER": "cat", "GIT_PAGER": "cat"}
    for words in (["help", "limmat"], ["limmat", "--help"], ["limmat", "help"], ["help", "git-limmat-run"]):
        page = re.sub(".\x08", "", use(hostile, venv / "bin", "git", *words, **reading))
        assert page.startswith("GIT-LIMMAT"), words
    assert (
        "LIMMAT.TOML(5)"
        in re.sub(".\x08", "", use(hostile, venv / "bin", "man", "limmat.toml", **reading)).upper()
    )
    shared = venv / "share"
    assert sorted(path.name for path in (shared / "man").rglob("*.[1-8]")) == PAGES
    assert (shared / "bash-completion/completions/git-limmat").is_file()
    assert (shared / "zsh/site-functions/_git-limmat").is_file()
    assert (shared / "fish/vendor_completions.d/git-limmat.fish").is_file()
