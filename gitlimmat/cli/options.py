"""Options that every command takes, before or after its name, and those that some commands share.

Layer: cli. Limmat accepts its global options on both sides of the command; so do we. They are written
once here and added to the signature of each command, which is where Typer looks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, get_type_hints

import typer

from gitlimmat.config.colorbool import When
from gitlimmat.service.request import Request

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

Execute = Annotated[
    list[str] | None,
    typer.Option("--exec", "-x", metavar="COMMAND", help="Test with COMMAND, without a config."),
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", metavar="N", min=1, help="Run at most N jobs at once.")
]
IncludeBase = Annotated[bool, typer.Option("--include-base", help="Test the base, too.")]
HttpSockaddr = Annotated[
    str | None,
    typer.Option("--http-sockaddr", metavar="HOST:PORT", help="Serve pages at this address."),
]
Hostname = Annotated[
    str | None, typer.Option("--hostname", metavar="NAME", help="Call this host so in links.")
]

_DECLARED: dict[str, object] = {
    "repo": Annotated[
        list[Path] | None, typer.Option("--repo", "-r", metavar="DIR", help="Use the repository in DIR.")
    ],
    "config": Annotated[
        str | None, typer.Option("--config", "-c", metavar="FILE", help="Read tests from FILE.")
    ],
    "result_db": Annotated[
        Path | None,
        typer.Option("--result-db", metavar="DIR", help="Keep results in a bare repository at DIR."),
    ],
    "worktree_prefix": Annotated[
        str | None,
        typer.Option("--worktree-prefix", metavar="NAME", help="Begin names of temporary worktrees so."),
    ],
    "worktree_dir": Annotated[
        Path | None,
        typer.Option("--worktree-dir", metavar="DIR", help="Use temporary worktrees, made in DIR."),
    ],
    "num_worktrees": Annotated[
        int | None,
        typer.Option("--num-worktrees", metavar="N", min=0, help="Use at most N worktrees at once."),
    ],
    "git_binary": Annotated[str | None, typer.Option("--git-binary", metavar="PATH", help="Call this git.")],
    "color": Annotated[
        When | None,
        typer.Option(
            "--color",
            metavar="[=WHEN]",
            case_sensitive=False,
            help="Use colors always, never, or as git would: auto.",
        ),
    ],
    "tests": Annotated[
        list[str] | None,
        typer.Option("--tests", metavar="REGEX", help="Select tests whose name matches (repeatable)."),
    ],
    "skip_test": Annotated[
        list[str] | None,
        typer.Option("--skip-test", metavar="REGEX", help="Leave out tests whose name matches (repeatable)."),
    ],
}
NAMES = tuple(_DECLARED)


def _parameters() -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _DECLARED.items()
    ]


def _taken(values: dict[str, object]) -> Request:
    given = {name: values.pop(name) for name in NAMES}
    return Request(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def with_globals(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Return `command(globals, …)` as a Typer callback that also takes the global options."""
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "options"
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

    @wraps(command)
    def callback(ctx: typer.Context, **values: object) -> int | None:
        options = _taken(values)
        if isinstance(ctx.obj, Request):
            options = ctx.obj.merged(options)
        return command(options, **values)

    callback.__signature__ = inspect.Signature([context, *own, *_parameters()])  # type: ignore[attr-defined]
    callback.__annotations__ = {"ctx": typer.Context} | {p.name: p.annotation for p in (*own, *_parameters())}
    return callback


def root_callback() -> Callable[..., None]:
    """Return the callback for options before the command."""

    def callback(ctx: typer.Context, **values: object) -> None:
        values.pop("version", None)
        ctx.obj = _taken(values)

    version = inspect.Parameter(
        "version",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, typer.Option("--version", "-V", help="Print the version and exit.")],
    )
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [context, version, *_parameters()]
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callback.__annotations__ = {p.name: p.annotation for p in parameters}
    return callback
