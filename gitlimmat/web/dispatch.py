"""From a request to an answer: who may ask, what is asked for, and what to say when it goes wrong.

Layer: web.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Executor

from aiohttp import web

from gitlimmat.errors import LimmatError
from gitlimmat.web import overview, urls
from gitlimmat.web.guard import HEADERS, Guard, RefusedError
from gitlimmat.web.live import Streams
from gitlimmat.web.render import Site, html, icon, render, static_file
from gitlimmat.web.words import title

_log = logging.getLogger(__name__)
_NOT_FOUND = RefusedError(404, "There is no such page.")


class Dispatch:
    """Answers requests about some sites."""

    def __init__(self, sites: Sequence[Site], guard: Guard, streams: Streams, threads: Executor) -> None:
        self._sites = tuple(sites)
        self._guard = guard
        self._streams = streams
        self._threads = threads

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        try:
            response = await self._allowed(request)
        except RefusedError as error:
            response = _refusal(request, error)
        except (ConnectionError, web.HTTPException):
            raise
        except LimmatError as error:
            response = _refusal(request, RefusedError(409, error.message, error.hint or ""))
        except Exception:
            _log.exception("page '%s' failed", request.path)
            response = _refusal(
                request, RefusedError(500, "This page has failed.", "The log has the details.")
            )
        return response

    async def _allowed(self, request: web.BaseRequest) -> web.StreamResponse:
        gives_cookie = self._guard.check(request)
        if request.method not in ("GET", "HEAD", "POST"):
            raise RefusedError(405, "Only GET, HEAD and POST are known here.")
        response = await self._found(request)
        if gives_cookie and not response.prepared and self._guard.token is not None:
            response.set_cookie(
                self._guard.cookie, self._guard.token, httponly=True, samesite="Strict", path="/"
            )
        return response

    async def _found(self, request: web.BaseRequest) -> web.StreamResponse:
        segments = urls.split(request.raw_path)
        if request.method != "POST":
            match segments:
                case [b"static", name]:
                    return _static(name.decode(errors="replace"))
                case [b"favicon.svg"]:
                    return _icon(request)
                case [b""] if len(self._sites) > 1:
                    return html(render("boards.html", sites=self._sites, title=title))
        for site in self._sites:
            own = urls.split(site.prefix) if site.prefix else []
            if segments[: len(own)] == own:
                return await self._of_site(site, segments[len(own) :], request)
        raise _NOT_FOUND

    async def _of_site(
        self, site: Site, segments: list[bytes], request: web.BaseRequest
    ) -> web.StreamResponse:
        match segments:
            case [b""] | []:
                return overview.overview(site, request)
            case [b"table"]:
                return overview.table_fragment(site, request)
            case [b"live"]:
                return await overview.live(site, request, self._streams)
        raise _NOT_FOUND


def _static(name: str) -> web.Response:
    found = static_file(name)
    if found is None:
        raise _NOT_FOUND
    kind, content, _ = found
    headers = {**HEADERS, "Cache-Control": "max-age=31536000, immutable"}
    return web.Response(body=content, content_type=kind, charset="utf-8", headers=headers)


def _icon(request: web.BaseRequest) -> web.Response:
    text = icon(request.query.get("state", ""))
    headers = {**HEADERS, "Cache-Control": "max-age=86400"}
    return web.Response(text=text, content_type="image/svg+xml", headers=headers)


def _refusal(request: web.BaseRequest, error: RefusedError) -> web.Response:
    return html(render("error.html", error=error), status=error.status)
