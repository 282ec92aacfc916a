"""Where the pages listen: the address that was asked for, its sockets, and what a URL calls it.

Layer: web.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Iterator

import msgspec

from gitlimmat.errors import LimmatError, UsageError

_FORM = re.compile(
    r"(?:(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[\w.-]+|\*)?:)?(?P<port>[0-9]{1,5})", re.ASCII
)
_WILDCARDS = ("", "*", "0.0.0.0", "::")  # noqa: S104
_LOOPBACK = "127.0.0.1"
_TRIES = 20
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A host as the user wrote it, without brackets and empty for all, and a port; 0 is any that is free."""

    host: str
    port: int

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of this machine."""
        return self.host in _WILDCARDS

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


def parse_address(text: str) -> Address:
    """Return what `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `PORT` asks for.

    A port alone is one of this machine only; with nothing before its colon it is for all addresses.

    Raises: UsageError.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        hint = "write it as 8080, localhost:8080, [::1]:8080 or :8080 (all addresses); port 0 is any free one"
        raise UsageError(f"cannot use '{text}' as an address", hint=hint)
    host, port = (match["host"] or "").strip("[]"), int(match["port"])
    if match[0] == match["port"]:
        host = _LOOPBACK
    if port > 65535:
        raise UsageError(f"cannot use '{text}' as an address: the highest port is 65535")
    if (match["host"] or "").startswith("[") and not is_literal(host.partition("%")[0]):
        raise UsageError(f"cannot use '{text}' as an address: '{host}' is no IPv6 address")
    return Address(host=host, port=port)


def listen(address: Address) -> list[socket.socket]:
    """Return listening sockets on all addresses that the host stands for, all with the same port.

    Raises: LimmatError when there is none that can be used, or one is in use.
    """
    try:
        places = list(dict.fromkeys(_places(address)))
    except (OSError, UnicodeError) as error:
        raise LimmatError(f"cannot listen on '{address}': unknown host", hint=_HINT) from error
    for last in range(_TRIES, 0, -1):
        try:
            return _listen_on(address, places)
        except OSError as error:
            # A port that was free at one address may be in use at the next one.
            if address.port == 0 and last > 1:
                continue
            raise LimmatError(f"cannot listen on '{address}': {_reason(error)}", hint=_HINT) from error
    raise AssertionError("unreachable")


def is_literal(host: str) -> bool:
    """Whether a host is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is an IP address that only this machine can reach."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


_HINT = "name another address with --http-sockaddr; port 0 is any that is free"
_Place = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]


def _places(address: Address) -> Iterator[_Place]:
    if address.host in ("", "*", "::"):
        if socket.has_dualstack_ipv6():
            yield socket.AF_INET6, ("::", address.port, 0, 0)
            return
        address = Address(host="0.0.0.0", port=address.port)  # noqa: S104
    for family, _, _, _, place in socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        if family in (socket.AF_INET, socket.AF_INET6):
            yield family, place  # type: ignore[misc]


def _listen_on(address: Address, places: list[_Place]) -> list[socket.socket]:
    opened: list[socket.socket] = []
    port = address.port
    failure: OSError | None = None
    try:
        for family, place in places:
            try:
                opened.append(_open(family, (place[0], port, *place[2:]), dual=place[0] == "::"))
            except OSError as error:
                if error.errno in _ABSENT:  # such as ::1 for localhost where there is no IPv6
                    failure = error
                    continue
                raise
            port = opened[-1].getsockname()[1]
        if not opened:
            raise failure or OSError("it has no address")
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def _open(family: socket.AddressFamily, place: tuple[object, ...], *, dual: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        made.bind(place)
        made.listen(128)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _reason(error: OSError) -> str:
    known = {errno.EADDRINUSE: "address in use", errno.EACCES: "only the superuser may use this port"}
    return known.get(error.errno or 0) or (error.strerror or str(error)).lower()
