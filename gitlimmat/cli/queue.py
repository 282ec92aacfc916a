"""`git limmat queue`: the commands of the merge queue.

Layer: cli. Only the module of the command that was asked for is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import typer

from gitlimmat.cli.options import CONTEXT, with_globals

_PLACES = {
    **dict.fromkeys(("approve", "unapprove", "priority", "rollup", "delegate", "undelegate"), "approval"),
    **dict.fromkeys(("try", "retry", "cancel", "yield", "unroll"), "runs"),
    **dict.fromkeys(("close", "reopen", "retitle", "draft", "ready", "retarget", "comment"), "change"),
    **dict.fromkeys(("list", "info"), "list"),
    **dict.fromkeys(("show", "explain", "history"), "show"),
    **dict.fromkeys(("pause", "resume", "tree-close", "tree-open", "help"), "tree"),
}
_OWN_MODULE = ("init", "serve", "web", "html", "follow", "diff", "share")
_NUMBERS = ("priority", "tree-close")  # commands whose argument may be negative
COMMANDS = (*_PLACES, *_OWN_MODULE)

Command = Callable[..., int | None]


def command() -> None:
    """Test changes merged with what they will land on, and land those that pass."""


def build_group(word: str | None, guard: Callable[[Command], Command]) -> typer.Typer:
    """Return the group with the command called `word`, or with all of them if there is none."""
    group = typer.Typer(
        help=command.__doc__, context_settings=CONTEXT, no_args_is_help=True, rich_markup_mode=None
    )
    group.callback()(command)
    for name in (word,) if word in COMMANDS else COMMANDS:
        context = CONTEXT | ({"ignore_unknown_options": True} if name in _NUMBERS else {})
        declare = group.command(name, context_settings=context, no_args_is_help=False)
        declare(with_globals(guard(load(name))))
    return group


def load(name: str) -> Command:
    """Return the function of a command: `command` of its own module, or the one of its name."""
    if name in _OWN_MODULE:
        module = importlib.import_module(f"gitlimmat.cli.queue_{name}")
        found: Command = module.command
        return found
    module = importlib.import_module(f"gitlimmat.cli.queue_{_PLACES[name]}")
    word = name.replace("-", "_")
    function: Command = getattr(module, word, None) or getattr(module, f"{word}_")
    return function
