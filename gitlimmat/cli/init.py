"""`git limmat init`.

Layer: cli.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import Printer, stdout_printer
from gitlimmat.errors import UsageError
from gitlimmat.service.init import Parts, Plan, carry_out, plan_init, plan_undo
from gitlimmat.service.request import Request

_NOT_DONE = 1


def command(
    options: Request,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be done.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what was done.")] = False,
    no_config: Annotated[bool, typer.Option("--no-config", help="Write no limmat.toml.")] = False,
    no_aliases: Annotated[bool, typer.Option("--no-aliases", help="Make no aliases.")] = False,
    no_hooks: Annotated[bool, typer.Option("--no-hooks", help="Install no hooks.")] = False,
) -> int:
    """Set up a repository, or take that back.

    Proposes a limmat.toml, lets 'git log' show results, makes a few aliases and installs hooks, beside
    those that are there. All is shown first. When run again, it mends what is missing.
    """
    parts = Parts(config=not no_config, aliases=not no_aliases, hooks=not no_hooks)
    if undo and (no_config or no_aliases or no_hooks):
        raise UsageError("--undo takes back everything, so it goes with no other part being left out")
    if dry and yes:
        raise UsageError("--dry-run and --yes exclude each other")
    plan = plan_undo(options, warn) if undo else plan_init(options, parts, warn)
    return do(plan, "git limmat init --yes", yes=yes, dry=dry, undo=undo)


def do(plan: Plan, command: str, *, yes: bool, dry: bool, undo: bool) -> int:
    """Carry out a plan as far as the options say and the user agrees; `command` does it without asking."""
    printer = stdout_printer(None)
    for line in plan.told:
        printer.line(line)
    if not any(act.said for act in plan.acts):
        printer.line("nothing to undo" if undo else "nothing to do: all is set up")
    if dry:
        _show(printer, plan)
    elif yes or undo or not plan.acts:
        carry_out(plan, printer.line)
    elif _agreed(printer, plan, command):
        carry_out(plan, lambda line: None)
    else:
        return _NOT_DONE
    return 0


def _show(printer: Printer, plan: Plan) -> None:
    """Print what would be done."""
    for act in plan.acts:
        for line in act.said:
            printer.line(line if line.startswith("    ") or not line else f"would {line}")
    printer.stream.flush()


def _agreed(printer: Printer, plan: Plan, command: str) -> bool:
    """Show the plan and ask; where nobody can answer, nobody has agreed, and `command` does not ask."""
    _show(printer, plan)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        sys.stderr.write(f"hint: nothing was done; '{command}' does it\n")
        return False
    sys.stderr.write("Do all this? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip().lower()
    if answer in ("y", "yes"):
        return True
    sys.stderr.write("nothing was done\n")
    return False
