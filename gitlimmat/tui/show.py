"""Show boards on the whole terminal until the watch is over.

Layer: tui.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from gitlimmat.tui.app import WatchApp
from gitlimmat.tui.host import Host, Links
from gitlimmat.tui.look import Look

__all__ = ["Look", "show_live"]

_SIGNALS = (signal.SIGINT, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU)


async def show_live(host: Host, links: Links | None, *, look: Look) -> None:
    """Show the boards of `host` until it has stopped, or until cancelled.

    Standard input and output must be the terminal; it is then as it was before, whatever happens. What is
    written to `sys.stdout` and `sys.stderr` meanwhile is lost. SIGINT asks `host` to stop unless the loop
    has a handler of its own for it.

    Raises: whatever goes wrong in the view.
    """
    app = WatchApp(host, links, look)
    with _signals_kept(host):
        async with asyncio.TaskGroup() as group:
            group.create_task(_run(app))
    if app._exception is not None:
        raise app._exception


async def _run(app: WatchApp) -> None:
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    app.call_later(
        loop.set_task_factory, factory
    )  # Textual 8 makes tasks eager from Python 3.12 on, all of them
    try:
        await app.run_async()
    finally:
        loop.set_task_factory(factory)


@contextmanager
def _signals_kept(host: Host) -> Iterator[None]:
    """Let SIGINT stop the host, and give all signals back to whom they belonged."""
    kept = {number: signal.getsignal(number) for number in _SIGNALS}
    loop = asyncio.get_running_loop()
    is_ours = getattr(kept[signal.SIGINT], "__name__", "") != "_sighandler_noop"
    if is_ours:
        loop.add_signal_handler(signal.SIGINT, host.stop)
    try:
        yield
    finally:
        if is_ours:
            loop.remove_signal_handler(signal.SIGINT)
        for number, handler in kept.items():
            if handler is not None and (is_ours or number != signal.SIGINT):
                signal.signal(number, handler)
