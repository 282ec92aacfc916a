"""The buttons: run tests again, and cancel them.

Layer: web.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from gitlimmat.web.guard import HEADERS, Guard, RefusedError
from gitlimmat.web.render import Site

_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_LONGEST = 8192
_WITHIN_S = 30.0


async def press(site: Site, request: web.BaseRequest, guard: Guard, action: str) -> web.Response:
    """Do what a button says and lead back to the page it is on.

    Raises: RefusedError when it is not one of our buttons, LimmatError when the engine will not.
    """
    form = await read_form(request)
    guard.check_form(request, form.get("secret"))
    control = site.board.control
    if control is None or site.read_only:
        raise RefusedError(
            405, "These pages can only be looked at.", "git limmat watch has pages with buttons."
        )
    commit, test = form.get("commit"), form.get("test") or None
    if commit is None:
        raise RefusedError(400, "This form is incomplete.")
    if site.board.described(commit) is None or (test is not None and test not in site.board.tests):
        raise RefusedError(409, "This commit or test is not in the range any more.")
    if action == "rerun":
        control.rerun(commit, test)
    else:
        control.cancel(commit, test)
    return web.Response(status=303, headers={**HEADERS, "Location": site.place(commit, test)})


async def read_form(request: web.BaseRequest) -> dict[str, str]:
    """Return the fields of a small form that are text; of several with one name, the first.

    Raises: RefusedError.
    """
    if request.content_type not in _TYPES or (request.content_length or 0) > _LONGEST:
        raise RefusedError(415, "This is no form of these pages.")
    try:
        async with asyncio.timeout(_WITHIN_S):
            form = await request.post()
    except TimeoutError as error:
        raise RefusedError(408, "This form did not come in time.") from error
    except ValueError as error:
        raise RefusedError(400, "This form cannot be read.") from error
    return {name: value for name, value in reversed(list(form.items())) if isinstance(value, str)}
