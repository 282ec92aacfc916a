"""Where pages listen, and what their URL calls it."""

from __future__ import annotations

import socket

import pytest

from gitlimmat.errors import LimmatError, UsageError
from gitlimmat.web.address import Address, bracketed, listen, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:8080", "localhost", 8080),
        ("[::1]:0", "::1", 0),
        ("0.0.0.0:80", "0.0.0.0", 80),
        (":8080", "", 8080),
        ("8080", "127.0.0.1", 8080),
        ("*:1", "*", 1),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
        ("build-1.example.com:65535", "build-1.example.com", 65535),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    """Brackets belong to the form, not to the host."""
    assert parse_address(text) == Address(host=host, port=port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "localhost",
        "localhost:",
        "a:b",
        "::1",
        "::1:80",
        "[::1]",
        "[::1",
        "x:65536",
        "a b:1",
        "[dead]:1",
        "http://x:1",
    ],
)
def test_nonsense_is_a_usage_error(text: str) -> None:
    """What cannot be an address is said at once, with an example."""
    with pytest.raises(UsageError) as caught:
        parse_address(text)

    assert text in caught.value.message


def test_a_port_in_use_is_a_clear_error() -> None:
    """Nothing starts on an address that somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            LimmatError, match=f"cannot listen on '127.0.0.1:{port}': address in use"
        ) as caught:
            listen(Address(host="127.0.0.1", port=port))

    assert caught.value.hint is not None


def test_an_unknown_host_is_a_clear_error() -> None:
    """A name that leads nowhere is named."""
    with pytest.raises(LimmatError, match=r"'no-such-host\.invalid:1'"):
        listen(Address(host="no-such-host.invalid", port=1))


def test_all_addresses_of_a_host_get_the_same_port() -> None:
    """localhost may be two addresses; a URL has one port."""
    sockets = listen(parse_address("localhost:0"))
    try:
        assert len({each.getsockname()[1] for each in sockets}) == 1
        assert all(each.getsockname()[0] in ("127.0.0.1", "::1") for each in sockets)
    finally:
        for each in sockets:
            each.close()


def test_ipv6_stands_in_brackets() -> None:
    """In a URL a colon separates the port."""
    assert (bracketed("::1"), bracketed("a.b")) == ("[::1]", "a.b")
