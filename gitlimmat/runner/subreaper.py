"""What this process has to be for its jobs: parent of their orphans, and told how they ended.

Layer: runner.
"""

from __future__ import annotations

import signal
import sys

_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37


def set_subreaper(wanted: bool) -> bool:
    """Become the parent of all orphans below us, or stop being it; return what was set before.

    Does nothing but on Linux. Source: PR_SET_CHILD_SUBREAPER(2const).
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # 5 ms that only programs with jobs pay

    libc = ctypes.CDLL(None, use_errno=True)
    before = ctypes.c_int(0)
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)
    return bool(before.value)


def keep_exit_statuses() -> None:
    """Undo an inherited ignoring of SIGCHLD, with which the kernel throws the statuses of children away."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
