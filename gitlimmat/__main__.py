"""Start the program: `git-limmat`, `git limmat` or `python -m gitlimmat`."""

from __future__ import annotations

import sys

from gitlimmat import __version__


def main() -> None:
    """Run the command line and exit with its status."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"], ["version"]):
        sys.stdout.write(f"git-limmat version {__version__}\n")
        sys.exit(0)
    from gitlimmat.cli.main import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
