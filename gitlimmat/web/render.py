"""From records to HTML: templates, style and script.

Layer: web.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources

import jinja2
import xxhash
from aiohttp import web

from gitlimmat.model import duration, size
from gitlimmat.service.board import Board
from gitlimmat.web import matrix, urls, words
from gitlimmat.web.ansi import color_rules
from gitlimmat.web.guard import HEADERS
from gitlimmat.web.live import Streams

EPOCH = secrets.token_hex(4)
"""Tells versions of boards of this process from those of another one at the same address."""

_TYPES = {
    "style.css": "text/css",
    "queue.css": "text/css",
    "colors.css": "text/css",
    "live.js": "text/javascript",
}


class Site:
    """The pages of one board. `prefix` is the path they are below, `form_secret` stands in their forms."""

    is_queue = False  # they are those of a merge queue
    root: str | None = None  # what leads to the top from files that are pages; None when these are served

    def __init__(self, board: Board, prefix: str, *, read_only: bool, form_secret: str) -> None:
        self.board = board
        self.prefix = prefix
        self.read_only = read_only
        self.form_secret = form_secret
        self.matrix = matrix.Matrix(board, prefix)
        self._kept: dict[str, tuple[object, str]] = {}

    async def answer(
        self, segments: Sequence[bytes], request: web.BaseRequest, streams: Streams
    ) -> web.StreamResponse | None:
        """Answer with a page that only sites of this kind have, if that is what is asked for."""
        return None

    async def pressed(self, segments: Sequence[bytes], request: web.BaseRequest) -> web.Response | None:
        """Do what a button says that only sites of this kind have, if it is one."""
        return None

    @property
    def has_buttons(self) -> bool:
        """Whether tests can be run again and cancelled here."""
        return not self.read_only and self.board.control is not None

    @property
    def version(self) -> str:
        """What a page that is rendered now is as new as."""
        return f"{EPOCH}-{self.board.version}"

    def once(self, name: str, seconds: int, make: Callable[[], str]) -> str:
        """Return what `make` returned for this name if the board is as it was, and it is no older than that.

        All open pages want the same at the same moment.
        """
        moment = (self.board.version, int(time.time() // seconds))
        kept = self._kept.get(name)
        if kept is None or kept[0] != moment:
            kept = self._kept[name] = (moment, make())
        return kept[1]

    def url(self, *segments: str, **query: object) -> str:
        """Return the path of one of this board's pages."""
        return urls.join(self.prefix, segments, **query)

    def place(self, commit: str, test: str | None = None, *more: str | bytes, **query: object) -> str:
        """Return the path of a commit, one of its tests, or something below that."""
        return urls.place(self.prefix, commit, test, *more, **query)

    def render(self, template: str, **values: object) -> str:
        """Return a page or a fragment of this board."""
        state, _ = words.summary(self.board)
        return render(template, site=self, board=self.board, state=values.pop("state", state), **values)


def render(template: str, **values: object) -> str:
    """Return what a template makes of `values`."""
    return _environment().get_template(template).render(now=time.time(), **values)


def html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a page as an answer."""
    return web.Response(
        text=text,
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers={**HEADERS, **(headers or {})},
    )


@cache
def static_file(name: str) -> tuple[str, bytes, str] | None:
    """Return type, content and a short digest of one of our own files; None when there is none."""
    if name not in _TYPES:
        return None
    if name == "colors.css":
        content = color_rules().encode()
    else:
        content = resources.files("gitlimmat.web").joinpath("static", name).read_bytes()
    return _TYPES[name], content, xxhash.xxh3_64_hexdigest(content)[:8]


def static_url(name: str) -> str:
    """Return the path of one of our own files, different when it is."""
    found = static_file(name)
    return urls.join("", ["static", name], v=found[2] if found else None)


@cache
def _environment() -> jinja2.Environment:
    from gitlimmat.web import queuewords

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("gitlimmat.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"duration": duration, "size": size, "date": words.date, "moment": words.moment}
    made.filters |= {
        "visible": queuewords.visible,
        "visible_lines": queuewords.visible_lines,
        "branch": queuewords.branch,
        "short": queuewords.short,
    }
    made.globals |= {
        "static_url": static_url,
        "look": words.look,
        "looks": words.LOOKS,
        "details": words.details,
        "tally": words.tally,
        "summary": words.summary,
        "stamp": matrix.stamp,
        "status_look": queuewords.status_look,
        "run_look": queuewords.run_look,
        "job_look": queuewords.job_look,
    }
    return made


_COLORS = {
    "passed": "#1a7f37",
    "failed": "#cf222e",
    "errored": "#a40e86",
    "running": "#0969da",
    "skipped": "#57606a",
    "unknown": "#6e7781",
}
_MARKS = {
    "passed": '<path d="M8 17l5.5 5.5L24.5 10" fill="none" stroke="#fff" stroke-width="4.5"/>',
    "failed": '<path d="M9.5 9.5l13 13m0-13l-13 13" fill="none" stroke="#fff" stroke-width="4.5"/>',
    "errored": '<path d="M16 6.5v12m0 3v4.5" fill="none" stroke="#fff" stroke-width="5"/>',
    "running": '<circle cx="16" cy="16" r="8" fill="none" stroke="#fff" stroke-width="3"/>'
    '<path d="M16 8a8 8 0 0 1 0 16z" fill="#fff"/>',
    "skipped": '<path d="M8 16h16" fill="none" stroke="#fff" stroke-width="4.5"/>',
    "unknown": '<circle cx="16" cy="16" r="3.5" fill="#fff"/>',
}


def icon(state: str) -> str:
    """Return the icon of a state as SVG: its color and its mark. Round while nothing is final."""
    state = state if state in _MARKS else "unknown"
    radius = 16 if state in ("running", "unknown") else 7
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect width="32" height="32" rx="{radius}" fill="{_COLORS[state]}"/>{_MARKS[state]}</svg>'
    )
