"""Measure git limmat against its peers and print one table in Markdown.

Usage: python bench/run.py [--quick] [--only NAME]... [--write FILE]

Peers are taken from PATH; GIT_TEST may name the script of git-test. Nothing outside a temporary directory is
touched, and no network is used.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rows
import rows_queue
import rows_stored
import rows_watch
from sandbox import CommandError, limmat, seal, tell
from table import Row, machine, markdown, replace_in
from workshop import FULL, QUICK, Workshop

import hooks

MEASUREMENTS: dict[str, Callable[[Workshop], list[Row]]] = {
    "overhead": rows.overhead,
    "switching": rows.switching,
    "cached": rows_stored.cached,
    "stored": rows_stored.stored,
    "log": rows_stored.log,
    "startup": rows.startup,
    "reaction": rows_watch.reaction,
    "processes": rows_watch.processes,
    "idle": rows_watch.idle,
    "memory": rows_watch.memory,
    "refresh": rows_watch.refresh,
    "page": rows_watch.page,
    "hooks": hooks.commit,
    "queue": rows_queue.looking,
    "pushing": rows_queue.pushing,
    "throughput": rows_queue.throughput,
}


def main() -> int:
    """Measure what the command line asks for; return 0 when all could be measured."""
    options = _options()
    git_test = os.environ.get("GIT_TEST")
    names = options.only or list(MEASUREMENTS)
    with tempfile.TemporaryDirectory(prefix="git-limmat-bench-", ignore_cleanup_errors=True) as place:
        root = Path(place).resolve()
        seal(root)
        limmat(root, "--version")
        shop = Workshop(root, QUICK if options.quick else FULL, git_test)
        found, failed = _measure(shop, names)
    text = f"{markdown(found)}\n\n{machine(quick=options.quick)}"
    print(text)
    if options.write is not None and not failed:
        replace_in(options.write, text)
    return 1 if failed else 0


def _measure(shop: Workshop, names: list[str]) -> tuple[list[Row], list[str]]:
    """Return the rows, and the names of measurements that failed."""
    found: list[Row] = []
    failed = []
    for name in names:
        start = time.monotonic()
        tell(f"measuring {name}")
        try:
            found += MEASUREMENTS[name](shop)
        except CommandError as error:
            tell(f"error: {name}: {error}")
            failed.append(name)
        tell(f"{name} took {time.monotonic() - start:.0f} s")
    return found, failed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer turns: under a minute")
    parser.add_argument("--only", action="append", choices=list(MEASUREMENTS), help="just this (repeatable)")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="put the table between the marks in FILE, such as README.md",
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CommandError, ValueError) as problem:
        sys.exit(f"fatal: {problem}")
