"""What programs write when their output is a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def on_terminal(argv: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> tuple[str, int]:
    """Run a program with a terminal as standard output and error; return what it wrote and its status."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # EIO: nobody has the other end any more
        pass
    finally:
        os.close(ours)
    return written.decode(errors="surrogateescape").replace("\r\n", "\n"), process.wait(timeout=60)
