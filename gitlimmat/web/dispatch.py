"""From a request to an answer: who may ask, what is asked for, and what to say when it goes wrong.

Layer: web.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aiohttp import web

from gitlimmat.errors import LimmatError
from gitlimmat.web import api, overview, urls
from gitlimmat.web.download import Downloads
from gitlimmat.web.forms import press
from gitlimmat.web.guard import HEADERS, Guard, RefusedError
from gitlimmat.web.live import Streams
from gitlimmat.web.render import Site, html, icon, render, static_file
from gitlimmat.web.result import commit_page, result_page
from gitlimmat.web.threads import Threads

_log = logging.getLogger(__name__)
_NOT_FOUND = RefusedError(404, "There is no such page.")


class Dispatch:
    """Answers requests about some sites."""

    def __init__(self, sites: Sequence[Site], guard: Guard, streams: Streams, threads: Threads) -> None:
        self._sites = tuple(sites)
        self._guard = guard
        self._streams = streams
        self._threads = threads
        self._downloads = Downloads(threads, streams)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        try:
            return await self._allowed(request)
        except RefusedError as error:
            return _refusal(request, error)
        except (ConnectionError, web.HTTPException):
            raise
        except LimmatError as error:
            return _refusal(request, RefusedError(409, error.message, error.hint or ""))
        except Exception:
            _log.exception("cannot answer '%s %s'", request.method, request.path)
            return _refusal(request, RefusedError(500, "This page has failed.", "The log says why."))

    async def _allowed(self, request: web.BaseRequest) -> web.StreamResponse:
        gives_cookie = self._guard.check(request)
        if request.method == "POST":
            response: web.StreamResponse = await self._pressed(request)
        elif request.method in ("GET", "HEAD"):
            response = await self._found(request)
        else:
            raise RefusedError(405, "Only GET, HEAD and POST are known here.")
        if gives_cookie and not response.prepared and self._guard.token is not None:
            name, token = self._guard.cookie, self._guard.token
            response.set_cookie(name, token, httponly=True, samesite="Strict", path="/")
        return response

    async def _found(self, request: web.BaseRequest) -> web.StreamResponse:
        segments = urls.split(request.raw_path)
        match segments:
            case [b"static", name]:
                return _static(name.decode(errors="replace"))
            case [b"favicon.svg"]:
                return _icon(request)
            case [b"favicon.ico"]:
                return _icon(request)
            case [b""] if len(self._sites) > 1:
                return overview.boards_page(self._sites)
            case [b"live"] if len(self._sites) > 1:
                return await overview.boards_live(self._sites, request, self._streams)
            case [b"api", b"boards"]:
                return api.answer(api.boards_document(self._sites))
        site, rest = self._site(segments)
        found = await site.answer(rest, request, self._streams)
        if found is not None:
            return found
        return await self._page(site, rest, request)

    async def _page(self, site: Site, segments: list[bytes], request: web.BaseRequest) -> web.StreamResponse:
        match segments:
            case [] | [b""]:
                return overview.overview(site, request)
            case [b"table"]:
                return overview.table_fragment(site, request)
            case [b"live"]:
                return await overview.live(site, request, self._streams)
            case [b"events"]:
                return await api.events(site, request, self._streams)
            case [b"api", *rest]:
                return await self._api(site, rest, request)
            case [b"commit", oid]:
                return await commit_page(site, _text(oid), self._threads)
            case [b"commit", oid, test]:
                return await result_page(site, request, _text(oid), _text(test), self._threads)
            case [b"commit", oid, test, b"artifacts", *path]:
                return await self._downloads.artifact(site, request, _text(oid), _text(test), path)
            case [b"commit", oid, test, b"follow"]:
                return await self._downloads.follow(site, request, _text(oid), _text(test))
            case [b"commit", oid, test, name] if name.endswith(b".txt"):
                stream = _text(name).removesuffix(".txt")
                return await self._downloads.output(site, request, _text(oid), _text(test), stream)
        raise _NOT_FOUND

    async def _api(self, site: Site, segments: list[bytes], request: web.BaseRequest) -> web.StreamResponse:
        match segments:
            case [] | [b""]:
                return html(site.render("api.html", several=len(self._sites) > 1))
            case [b"board"]:
                return api.answer(api.board_document(site))
            case [b"commit", oid]:
                return api.answer(await api.commit_document(site, _text(oid), self._threads))
            case [b"commit", oid, test]:
                document = await api.case_document(site, request, _text(oid), _text(test), self._threads)
                return api.answer(document)
        raise _NOT_FOUND

    async def _pressed(self, request: web.BaseRequest) -> web.Response:
        site, segments = self._site(urls.split(request.raw_path))
        changed = await site.pressed(segments, request)
        if changed is not None:
            return changed
        if segments not in ([b"rerun"], [b"cancel"]):
            raise RefusedError(405, "Here is nothing that can be changed.")
        return await press(site, request, self._guard, segments[0].decode())

    def _site(self, segments: list[bytes]) -> tuple[Site, list[bytes]]:
        """Return whose pages a path belongs to, and the rest of it."""
        for site in self._sites:
            own = urls.split(site.prefix) if site.prefix else []
            if segments[: len(own)] == own:
                return site, segments[len(own) :]
        raise _NOT_FOUND


def _text(segment: bytes) -> str:
    try:
        return segment.decode()
    except UnicodeDecodeError as error:
        raise _NOT_FOUND from error


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
    if b"api" in urls.split(request.raw_path)[:2]:
        return api.answer({"error": error.message, "hint": error.hint}, error.status)
    return html(render("error.html", error=error), error.status)
