"""Serve the pages of a queue: beside its daemon, in the same process, or without one.

Layer: web.

    pages = open_pages(open_server(options, warn))
    pages.bind(parse_address("127.0.0.1:8080"), None)
    print(pages.url)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pages.serve())
"""

from __future__ import annotations

import asyncio

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.service.project import Project
from gitlimmat.service.queue.facts import Findings
from gitlimmat.service.queue.session import open_queue
from gitlimmat.web.pages import Pages
from gitlimmat.web.queueforms import read_proxy
from gitlimmat.web.queueview import QueueView

_AGAIN_S = 5.0


class QueuePages(Pages):
    """The pages of one queue, at one address. They follow it by themselves."""

    def __init__(self, view: QueueView) -> None:
        super().__init__([view.board], read_only=True, queue=view)
        self.view = view

    async def serve(self) -> None:
        """Answer requests until cancelled, and follow the queue meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(super().serve())

    async def _follow(self) -> None:
        """Follow the queue. While that cannot be done, pages are as old as their last look."""
        while True:
            try:
                await self.view.run()
            except* (LimmatError, OSError) as errors:
                self.view.board.say("following", str(errors.exceptions[0]))
            await asyncio.sleep(_AGAIN_S)
            self.view.board.say("following", None)


def open_pages(project: Project, findings: Findings | None = None) -> QueuePages:
    """Return the pages of a server's queue, not yet bound to an address. They have a handle of their own.

    `findings` are those of the daemon, where that is in this process.

    Raises: LimmatError when the settings of the queue or of its pages cannot be used.
    """
    return QueuePages(open_view(project, findings))


def open_view(project: Project, findings: Findings | None = None) -> QueueView:
    """Return what is shown of a server's queue, before the first look. Raises: LimmatError, as above."""
    repository = msgspec.structs.replace(project.repository)  # with a handle of its own
    session = open_queue(repository, project.warn)
    read_proxy(session.rules)
    return QueueView(session, project, findings)
