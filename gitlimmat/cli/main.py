"""From words to an exit status: find the command, run it, and turn errors into lines on stderr.

Layer: cli. The one place that prints `fatal:` and `hint:`.

Only the module of the command that was asked for is imported: start-up time is a budget (DESIGN section 10).
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TextIO, cast

import typer

from gitlimmat import __version__
from gitlimmat.cli.options import CONTEXT, NAMES, root_callback, with_globals
from gitlimmat.errors import ConfigError, LimmatError

COMMANDS = (
    *("run", "watch", "web", "test", "get", "artifacts", "status", "show"),
    *("init", "forget", "gc", "config", "doctor", "list", "log", "notes", "prompt", "help"),
    *("queue", "background", "prepush"),
)
_GROUP = "queue"
_FOR_HOOKS = ("background", "prepush")
_USAGE_ERROR = 129
_FATAL = 128
_BROKEN_PIPE = 141
_STANDS_FOR = {
    "--notify": "--notify=true",
    "--color": "--color=always",
    "--no-color": "--color=never",
}
_GIT_OPTIONS = ("log",)  # commands whose options are those of git's command of the same name
_RERUN = ("failed", "errored", "all")
_OPTIONAL = ("color",)  # global options whose value is only ever a part of the same word
# Typer carries its own copy of click since 0.26; older ones import it. Either way this is its base error.
_CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


def build_app(commands: Sequence[str] = COMMANDS, word: str | None = None) -> typer.Typer:
    """Return the Typer application with `commands`, each from its module `gitlimmat.cli.<name>`.

    Of a group of commands, only the one called `word` is there, if there is one.
    """
    app = typer.Typer(
        name="git limmat",
        help="Test every commit of a branch, and keep what was learned inside git.",
        epilog="See 'git help limmat', and 'man git-limmat-<command>' for a command.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=CONTEXT,
        no_args_is_help=True,
    )
    app.callback(invoke_without_command=False)(root_callback())
    for name in commands:
        module = importlib.import_module(f"gitlimmat.cli.{name}")
        if name == _GROUP:
            app.add_typer(module.build_group(word, _guarded), name=name)
            continue
        command: Callable[..., int | None] = module.command
        declare = app.command(
            name, context_settings=CONTEXT, no_args_is_help=False, hidden=name in _FOR_HOOKS
        )
        declare(with_globals(_guarded(command)))
    return app


def _guarded(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Return `command` so that it ends as git does when nobody reads its output any more."""

    @wraps(command)
    def guarded(*arguments: object, **options: object) -> int | None:
        try:
            status = command(*arguments, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _BROKEN_PIPE
        return status

    return guarded


class _Talk:
    """Standard error that may be full or gone: what is said there never changes what happens."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            pass

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def run(arguments: list[str]) -> int:
    """Run one command line; return the exit status."""
    sys.stderr = cast("TextIO", _Talk(sys.stderr))
    if (
        "--version" in arguments[: _command_index(arguments)]
        or "-V" in arguments[: _command_index(arguments)]
    ):
        sys.stdout.write(f"git-limmat version {__version__}\n")
        return 0
    try:
        return _call(arguments)
    except LimmatError as error:
        report(error)
        return error.status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        _report_system(error)
        return _FATAL


def _report_system(error: OSError) -> None:
    """Print what the system has refused; the directory that one is in has no name when it is gone."""
    if isinstance(error, FileNotFoundError) and not error.filename and not _has_directory():
        report(
            LimmatError(
                "cannot use the current directory: it was removed",
                hint="change to another one, or, if it was made anew, out of it and back",
            )
        )
        return
    what = f"use '{error.filename}'" if error.filename else "go on"  # what is printed to has no name
    sys.stderr.write(f"fatal: cannot {what}: {error.strerror or error}\n")


def _has_directory() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return False
    return True


def report(error: LimmatError) -> None:
    """Print an error as git does: `fatal:` with its details, then `hint:`."""
    sys.stdout.flush()
    word = "error" if error.status == _USAGE_ERROR else "fatal"
    sys.stderr.write(f"{word}: {error.message}\n")
    if isinstance(error, ConfigError) and len(error.faults) > 1:
        for fault in error.faults:
            sys.stderr.write(f"  {fault}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")


def warn(message: str) -> None:
    """Print a warning as git does."""
    sys.stderr.write(f"warning: {message}\n")


def _call(arguments: list[str]) -> int:
    name = _command_name(arguments)
    words = arguments[_command_index(arguments) + 1 :]
    app = build_app([name] if name in COMMANDS else COMMANDS, _command_name(words))
    command = typer.main.get_command(app)
    if not {"-h", "--help"} & set(arguments) and (name is None or (name == _GROUP and not words)):
        shown = command if name is None else command.commands[name]  # type: ignore[attr-defined]
        path = "git limmat" if name is None else f"git limmat {name}"
        sys.stdout.write(shown.get_help(shown.make_context(path, ["-h"], resilient_parsing=True)))
        sys.stdout.write("\n")
        return _USAGE_ERROR
    try:
        status = command.main(_for_typer(arguments, name), prog_name="git limmat", standalone_mode=False)
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        return 128 + signal.SIGINT
    except _CLICK_ERROR as error:
        _usage(error)
        return _USAGE_ERROR
    sys.stdout.flush()
    return status if isinstance(status, int) else 0


def _usage(error: Exception) -> None:
    message = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
    message = message[:1].lower() + message[1:]
    sys.stderr.write(f"error: {message}\n")
    context = getattr(error, "ctx", None)
    if context is not None:
        sys.stderr.write(f"{context.get_usage()}\n")
        sys.stderr.write(f"hint: '{context.command_path} -h' lists the options\n")


def _command_index(arguments: Sequence[str]) -> int:
    """Return where the command stands: the first word that is no option and no option's value."""
    valued = {"-r", "-c", *(f"--{name.replace('_', '-')}" for name in NAMES if name not in _OPTIONAL)}
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word in valued:
            index += 2
            continue
        if not word.startswith("-"):
            return index
        index += 1
    return len(arguments)


def _command_name(arguments: Sequence[str]) -> str | None:
    index = _command_index(arguments)
    return arguments[index] if index < len(arguments) else None


def _for_typer(arguments: Sequence[str], name: str | None) -> list[str]:
    """Return the command line as Typer understands it: options of git are no options to it."""
    place = _command_index(arguments) + 1
    before, after = arguments[:place], arguments[place:]
    if name in _GIT_OPTIONS and after[:1] not in (["-h"], ["--help"]):
        return [*_spelled_out(before), "--", *after]
    return _spelled_out(arguments)


def _spelled_out(arguments: Sequence[str]) -> list[str]:
    """Give options without a value the one it stands for, and `--no-color` its other name."""
    result: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*result, word, *rest]
        word = _STANDS_FOR.get(word, word)
        if word == "--rerun":
            word = f"--rerun={rest.pop(0) if rest and rest[0] in _RERUN else 'all'}"
        result.append(word)
    return result
