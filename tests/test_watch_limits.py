"""A watch with much to do and little to do it with."""

from __future__ import annotations

import signal
import subprocess
from resource import RLIMIT_NOFILE, prlimit

from conftest import Repo

_COMMITS = 300
_TESTS = "".join(f'[[tests]]\nname = "{name}"\ncommand = "true"\n' for name in ("a", "b", "c"))


def test_few_files_may_be_open_however_much_there_is_to_do(repo: Repo) -> None:
    """Open files do not grow with the number of jobs: 900 of them, 16 at once, do with 256 and all pass."""
    repo.config(_TESTS)
    _make_commits(repo)

    watch = repo.start("watch", "-j16", "--plain", "--http-sockaddr", "127.0.0.1:0", f"main~{_COMMITS}")
    prlimit(watch.pid, RLIMIT_NOFILE, (256, 256))
    said = _read_until(watch, f": {3 * _COMMITS} ")
    watch.send_signal(signal.SIGTERM)
    _, errors = watch.communicate(timeout=30)

    assert said.endswith(f"main~{_COMMITS}..main: {3 * _COMMITS} passed\n")
    assert "problem with" not in said
    assert errors == b""


def _make_commits(repo: Repo) -> None:
    """Make a branch of empty commits; git itself would take its time."""
    stream = "".join(
        f"commit refs/heads/main\ncommitter A <a@example.com> {1_750_000_000 + number} +0000\ndata 1\n.\n"
        for number in range(_COMMITS + 1)
    )
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force"],
        cwd=repo.path,
        env=repo.environment,
        input=stream.encode(),
        check=True,
    )
    repo.git("reset", "-q", "--hard", "main")


def _read_until(watch: subprocess.Popen[bytes], words: str) -> str:
    """Return what a watch writes up to the line with these words."""
    assert watch.stdout is not None
    said = ""
    for line in watch.stdout:
        said += line.decode()
        if words in said.splitlines()[-1]:
            break
    return said
