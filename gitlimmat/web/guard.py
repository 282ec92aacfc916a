"""Who may see the pages, and who may press their buttons.

Layer: web.

A page of any other site may send its visitor's browser here. So the `Host` header must name this server
(a name that someone else's DNS leads here does not), and what changes something needs a secret that only our
own pages carry. Where others than this machine can connect, everything needs the token of the printed URL.
"""

from __future__ import annotations

import hmac
import re
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from aiohttp import web

from gitlimmat.web.address import Address, bracketed, is_literal, is_loopback

_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[\w.-]+)(?::[0-9]{1,5})?", re.ASCII)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer carries unless its handler says otherwise."""


class RefusedError(Exception):
    """A request that is answered with a status and a sentence that says why."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint


class Guard:
    """Decides about requests. `token` is None when only this machine can connect."""

    def __init__(self, address: Address, hostname: str | None, sockets: list[socket.socket]) -> None:
        self.form_secret = secrets.token_urlsafe(24)
        local = all(is_loopback(each.getsockname()[0]) for each in sockets)
        self.token = None if local else secrets.token_urlsafe(24)
        self.port: int = sockets[0].getsockname()[1]
        asked = {address.host, hostname or "", "localhost"}
        if address.is_wildcard:
            asked.add(socket.gethostname())
        self._names = {name.lower().rstrip(".") for name in asked if name}

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds the token: cookies do not tell ports apart."""
        return f"limmat-{self.port}"

    def check(self, request: web.BaseRequest) -> bool:
        """Let a request pass; return whether its browser is to be given the cookie.

        Raises: RefusedError.
        """
        self._check_host(request)
        if self.token is None:
            return False
        if _same(_cookie(request, self.cookie), self.token):
            return False
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(credentials.strip(), self.token):
            return False
        if _same(request.query.get("token", ""), self.token):
            return True
        hint = "Open the whole URL that git limmat has printed; it ends in ?token=…"
        raise RefusedError(403, "These pages need a token.", hint)

    def secret_of(self, visitor: str) -> str:
        """Return the secret of the forms of someone who is logged in: nobody can use that of another."""
        return hmac.new(self.form_secret.encode(), visitor.encode(), "sha256").hexdigest()

    def check_form(self, request: web.BaseRequest, secret: object, visitor: str = "") -> None:
        """Let a request that changes something pass. `visitor` is who is logged in, if anyone is.

        Raises: RefusedError when it does not come from one of our pages.
        """
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        # With our Referrer-Policy browsers say `Origin: null` for forms; then Sec-Fetch-Site tells, or else
        # only the secret does.
        foreign = site not in (None, "same-origin") or (
            origin not in (None, "null") and urlsplit(origin or "").netloc != request.headers.get("Host")
        )
        own = self.secret_of(visitor) if visitor else self.form_secret
        if foreign or not isinstance(secret, str) or not _same(secret, own):
            hint = "Load the page again and press the button there."
            raise RefusedError(403, "This request does not come from a page of this server.", hint)

    def _check_host(self, request: web.BaseRequest) -> None:
        match = _HOST.fullmatch(request.headers.get("Host", ""))
        host = match["host"].strip("[]").lower().rstrip(".") if match else ""
        if host in self._names or (is_literal(host) and self._is_own(request, host)):
            return
        shown = bracketed(host) if host else "of the request"
        raise RefusedError(
            403,
            f"The host name “{shown}” is not one of this server.",
            "Use the URL that git limmat has printed. Another name can be given with --hostname.",
        )

    @staticmethod
    def _is_own(request: web.BaseRequest, host: str) -> bool:
        """Whether an address is one of this machine, or the one that the request came in at."""
        if is_loopback(host):
            return True
        transport = request.transport
        here = transport.get_extra_info("sockname") if transport is not None else None
        return here is not None and here[0].removeprefix("::ffff:") == host.removeprefix("::ffff:")


def _cookie(request: web.BaseRequest, name: str) -> str:
    try:
        found = SimpleCookie(request.headers.get("Cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogateescape"), secret.encode())
