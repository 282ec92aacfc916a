"""What a test was defined as when a result was made, for people.

Layer: web. Pure.
"""

from __future__ import annotations

import json
import shlex


def pretty(text: bytes) -> str:
    """Return the text of a definition with a line for each key."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text.decode(errors="replace")


def command_of(text: bytes) -> str:
    """Return the command in a definition as one would type it; empty when there is none to be found."""
    try:
        command = json.loads(text)["test"]["command"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    if isinstance(command, str):
        return command
    return shlex.join(map(str, command)) if isinstance(command, list) else ""
