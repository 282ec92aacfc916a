"""`git limmat queue`: the commands of the merge queue, each from its module `gitlimmat.cli.queue_<name>`.

Layer: cli. Only the module of the command that was asked for is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import typer

from gitlimmat.cli.options import CONTEXT, with_globals

COMMANDS = ("init", "serve", "web", "html")

Command = Callable[..., int | None]


def build_group(word: str | None, guard: Callable[[Command], Command]) -> typer.Typer:
    """Return the group with the command called `word`, or with all of them if there is none."""
    group = typer.Typer(
        help="Test changes merged with what they will land on, and land those that pass.",
        context_settings=CONTEXT,
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.callback()(lambda: None)
    for name in (word,) if word in COMMANDS else COMMANDS:
        module = importlib.import_module(f"gitlimmat.cli.queue_{name.replace('-', '_')}")
        declare = group.command(name, context_settings=CONTEXT, no_args_is_help=False)
        declare(with_globals(guard(module.command)))
    return group
