"""What our hooks add to `git commit`, under each shell that `/bin/sh` may be.

Usage: python bench/hooks.py, or as a part of run.py.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from repositories import Shape, make
from sandbox import CommandError, git, run, seal
from table import Budget, Row, machine, markdown
from timing import medians
from workshop import FULL, Workshop

_HOOKS = Path(__file__).resolve().parent.parent / "hooks"
_SHELLS = ("dash", "bash")
_ADDED = Budget(0.01, of_peer=False)
_TURNS = 20  # for each round of other measurements: 100 commits


def commit(shop: Workshop) -> list[Row]:
    """Commits with our hook, while somebody follows the worktree, and when each starts the program."""
    shells = [shell for shell in _SHELLS if Path("/bin", shell).exists()]
    plain = make(shop.root / "no-hook" / "repository", Shape((10, 20), 1))
    hooked = {shell: _with_hook(shop.root / f"{shell}-hook" / "repository", shell) for shell in shells}
    rows = []
    for followed in (True, False):
        times = _measure(plain, hooked, followed=followed, rounds=_TURNS * shop.sizes.rounds)
        when = "somebody follows the worktree" if followed else "it starts one"
        rows += [
            Row(
                f"added to `git commit` by our hook under {shell}, {when}",
                times[shell] - times[""],
                "git commit alone",
                times[""],
                _ADDED,
            )
            for shell in shells
        ]
    return rows


def _measure(plain: Path, hooked: dict[str, Path], *, followed: bool, rounds: int) -> dict[str, float]:
    """Return how long a commit takes, without a hook under the empty name."""
    from gitlimmat.service.presence import Presence

    places = {"": plain} | hooked
    turns = {name: partial(_commit, path) for name, path in places.items()}
    before = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as programs:
        program = Path(programs) / "git-limmat"
        program.write_text("#!/bin/sh\nexit 0\n")  # what it does is not the user's time
        program.chmod(0o755)
        os.environ["PATH"] = f"{programs}{os.pathsep}{before}"
        try:
            for path in hooked.values():
                (path / ".git/limmat/background").unlink(missing_ok=True)
            with ExitStack() as watches:
                for path in hooked.values() if followed else ():
                    watches.enter_context(Presence(path / ".git").watching())
                times = medians(turns, rounds=rounds)
        finally:
            os.environ["PATH"] = before
    for path in hooked.values():
        if (path / ".git/limmat/background").exists() is followed:
            raise CommandError(f"the hook in '{path}' did not do what it should")
    return times


def _commit(path: Path) -> None:
    run(["git", "commit", "-q", "--allow-empty", "-m", "subject"], path)


def _with_hook(path: Path, shell: str) -> Path:
    """Make a repository with tests to run and our hook, for one shell."""
    make(path, Shape((10, 20), 1))
    (path / "limmat.toml").write_text('[[tests]]\nname = "unit"\ncommand = "true"\n')
    hook = path / ".git/hooks/post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text((_HOOKS / "post-commit").read_text().replace("/bin/sh", f"/bin/{shell}", 1))
    hook.chmod(0o755)
    git(path, "status")
    return path


def main() -> int:
    """Measure and print the table; return 0 when the budgets are met."""
    with tempfile.TemporaryDirectory(prefix="git-limmat-bench-", ignore_cleanup_errors=True) as place:
        root = Path(place).resolve()
        seal(root)
        rows = commit(Workshop(root, FULL, None))
    print(f"{markdown(rows)}\n\n{machine(quick=False)}")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
