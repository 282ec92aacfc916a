"""The pages of a queue as files: no server, no scripts, no buttons.

Layer: web.
Format: `index.html`, `changes/N.html`, `retries.html`, `tree.html`, style sheets, and `queue.json` as
        /api/queue has it, by which the directory is known the next time.

Each file is written aside and renamed, so whoever reads meanwhile sees a whole one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gitlimmat.errors import LimmatError
from gitlimmat.queue.state import Forge
from gitlimmat.service.project import Project
from gitlimmat.web.queuelist import Wanted
from gitlimmat.web.queuepages import (
    QueueSite,
    change_page,
    queue_document,
    queue_page,
    read_change,
    read_retries,
    read_tree,
    retries_page,
    tree_page,
)
from gitlimmat.web.queueserve import open_view
from gitlimmat.web.queueview import QueueView
from gitlimmat.web.render import static_file

_MARK = "queue.json"
_STYLES = ("style.css", "queue.css")
_NAMES: Mapping[tuple[str, ...], str] = {
    (): "index.html",
    ("retries",): "retries.html",
    ("tree",): "tree.html",
    ("api",): _MARK,
}


class FileSite(QueueSite):
    """The pages as files. `root` leads from the page that is rendered to the directory of all."""

    def __init__(self, view: QueueView) -> None:
        super().__init__(view, "", form_secret="", guard=None, proxy=None)
        self.root: str = ""

    def url(self, *segments: str, **query: object) -> str:
        """Return where a page is, as seen from the one that is rendered. Queries mean nothing to files."""
        if segments[:1] == ("changes",) and len(segments) == 2:
            return f"{self.root}changes/{segments[1]}.html"
        return self.root + _NAMES.get(segments, "index.html")

    def change(self, number: int) -> str:
        """Return where the page of a change is, or the list when it has none."""
        change = self.view.snapshot.changes.get(number)
        is_there = change is not None and (self.every or change.forge is Forge.OPEN)
        return self.url("changes", str(number)) if is_there else self.url()

    every = True


def write_pages(project: Project, directory: Path, *, every: bool) -> int:
    """Write all pages below a directory, which is made if need be; return how many.

    Raises: LimmatError when it has files that are not ours, or cannot be written.
    """
    try:
        names = os.listdir(directory) if directory.exists() else []  # noqa: PTH208
        if names and _MARK not in names:
            raise LimmatError(
                f"cannot write pages to '{directory}': it has other files", hint="name an empty directory"
            )
        return asyncio.run(_write(open_view(project), directory, every=every))
    except OSError as error:
        raise LimmatError(f"cannot write '{error.filename}': {error.strerror or error}") from error


async def _write(view: QueueView, directory: Path, *, every: bool) -> int:
    site = FileSite(view)
    site.every = every
    await view.refresh()
    if problem := view.board.problems.get("queue"):
        raise LimmatError(problem)
    (directory / "changes").mkdir(parents=True, exist_ok=True)
    for name in _STYLES:
        found = static_file(name)
        assert found is not None
        _put(directory / name, found[1])
    _put(directory / _MARK, msgspec.json.encode(queue_document(site, _wanted(every=every))))
    _put(directory / "retries.html", retries_page(site, await read_retries(view), everything=True))
    _put(directory / "tree.html", tree_page(site, await read_tree(view)))
    count = 3
    site.root = "../"
    kept = set()
    for change in view.snapshot.changes.values():
        if change.is_opened and (every or change.forge is Forge.OPEN):
            page = await read_change(view, change, everything=True)
            _put(directory / "changes" / f"{change.id}.html", change_page(site, page, None, everything=True))
            kept.add(f"{change.id}.html")
            count += 1
    for old in (directory / "changes").iterdir():
        if old.suffix == ".html" and old.stem.isdecimal() and old.name not in kept:
            old.unlink()
    site.root = ""
    _put(directory / "index.html", queue_page(site, _wanted(every=every), None))
    return count


def _wanted(*, every: bool) -> Wanted:
    return Wanted(page=0, status="all" if every else "")


def _put(path: Path, content: str | bytes) -> None:
    data = content.encode(errors="replace") if isinstance(content, str) else content
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    aside.write_bytes(data)
    aside.replace(path)
