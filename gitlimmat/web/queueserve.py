"""Serve the pages of a queue: beside its daemon, in the same process, or without one.

Layer: web.

    pages = open_pages(session, options)
    pages.bind(parse_address("127.0.0.1:8080"), None)
    print(pages.url)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pages.serve())
"""

from __future__ import annotations

import asyncio

import msgspec

from gitlimmat.service.project import ConfigUse, Project, open_project
from gitlimmat.service.queue.session import QueueSession, open_queue
from gitlimmat.service.request import Request
from gitlimmat.web.pages import Pages
from gitlimmat.web.queueforms import read_proxy
from gitlimmat.web.queueview import QueueView


class QueuePages(Pages):
    """The pages of one queue, at one address. They follow it by themselves."""

    def __init__(self, view: QueueView) -> None:
        super().__init__([view.board], read_only=True, queue=view)
        self.view = view

    async def serve(self) -> None:
        """Answer requests until cancelled, and follow the queue meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.view.run())
            tasks.create_task(super().serve())


def open_pages(session: QueueSession, options: Request) -> QueuePages:
    """Return the pages of a queue, not yet bound to an address. They have a session of their own.

    Raises: LimmatError when the settings of the queue or of its pages cannot be used.
    """
    own = open_queue(session.repository, session.warn)
    read_proxy(own.rules)
    return QueuePages(QueueView(own, project_of(own, options)))


def project_of(session: QueueSession, options: Request) -> Project:
    """Return the repository of a queue as the pages of results want it: with its results, without tests."""
    wanted = msgspec.structs.replace(options, own_config=True)
    return open_project(wanted, session.warn, config=ConfigUse.NONE)
