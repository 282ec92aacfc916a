"""`git limmat config`.

Layer: cli.
"""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from gitlimmat.cli.main import warn
from gitlimmat.cli.output import Printer, stdout_printer
from gitlimmat.config.schema import json_schema
from gitlimmat.service.effective import Effective, effective
from gitlimmat.service.request import Request


def command(
    options: Request,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of limmat.toml.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Show the effective configuration.

    That is each setting with where its value comes from, and the tests with their definitions.
    """
    if schema:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode() + "\n")
        return 0
    shown = effective(options, warn)
    printer = stdout_printer(None)
    if json:
        printer.line(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
    else:
        _print(printer, shown)
    return 0


def _print(printer: Printer, shown: Effective) -> None:
    width = max(len(setting.name) for setting in shown.settings)
    for setting in shown.settings:
        value = "(none)" if setting.value in (None, ()) else _text(setting.value)
        printer.line(f"{setting.name:{width}} = {value}  ({setting.origin})")
    for resource in shown.resources:
        printer.line(f"\nresource '{resource.name}': {', '.join(resource.tokens)}")
    for test in shown.tests:
        selected = "" if test.selected else "  (not selected)"
        printer.line(f"\ntest '{test.name}'{selected}")
        for key, content in test.keys.items():
            printer.line(f"  {key} = {msgspec.json.encode(content).decode()}")
        printer.line(f"  digest: {test.digest}")


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
