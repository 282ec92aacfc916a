"""Open a page in the user's browser, where there is a screen for one.

Layer: tui.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Mapping

_PATIENCE_S = 3.0


def browser_command(environment: Mapping[str, str], platform: str = sys.platform) -> list[str] | None:
    """Return the command that opens a page, None when it would not be seen or would take our terminal.

    `$BROWSER` is the user's word; else there must be a graphical session on this machine.
    """
    named = environment.get("BROWSER", "").split(":")[0]
    if named:
        return shlex.split(named)
    if environment.get("SSH_CONNECTION"):
        return None
    if platform == "darwin":
        return ["open"]
    if environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"):
        found = shutil.which("xdg-open")
        return [found] if found else None
    return None


async def open_page(url: str) -> bool:
    """Open a page; tell whether a browser was started and did not fail at once."""
    command = browser_command(os.environ)
    if command is None:
        return False
    words = [word.replace("%s", url) for word in command]
    if words == command:
        words.append(url)
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "LIMMAT_OWN": "1"},
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await process.wait() == 0
    except TimeoutError:
        return True
