"""Start the program: `git-limmat`, `git limmat` or `python -m gitlimmat`."""

from __future__ import annotations

import os
import signal
import sys

from gitlimmat import __version__


def main() -> None:
    """Run the command line and exit with its status."""
    _open_standard_streams()
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"], ["version"]):
        sys.stdout.write(f"git-limmat version {__version__}\n")
        sys.exit(0)
    if arguments == ["prompt"]:
        from gitlimmat.cli.instant import show_prompt

        sys.exit(show_prompt())
    status = _run(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt but the way out
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    """Run the command line; what nobody expected is a bug, shown whole, and never the status of a test."""
    try:
        if arguments[:2] == ["queue", "receive"]:
            from gitlimmat.cli.queue_receive import run as run_hook

            return run_hook(arguments[2:])
        if arguments[:2] == ["queue", "shell"]:
            from gitlimmat.cli.queue_shell import run as run_shell

            return run_shell(arguments[2:])
        from gitlimmat.cli.main import run

        return run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception:
        import traceback

        traceback.print_exc()
        return 128


def _open_standard_streams() -> None:
    """Give closed standard streams something to lead to, so that no file of ours takes their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, "r")
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w")


if __name__ == "__main__":
    main()
