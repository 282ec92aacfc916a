"""The language that git receive-pack and its proc-receive hook speak.

Layer:  git.
Format: version 1 of the protocol in githooks(5), `proc-receive`, in the packets of gitprotocol-common(5).

A packet is four hexadecimal digits of length, which counts them too, and then the content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from gitlimmat.errors import GitError

_FLUSH = b"0000"
_HEADER = 4
_LARGEST = 65520
_REASON = 1000  # bytes of a reason; a packet and a line of the person who pushes have room for it


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """One ref that is pushed. The ids have only zeros where there is nothing before or after.

    `ref` is as the client sent it, with undecodable bytes as surrogates: git has not checked it.
    """

    old: str
    new: str
    ref: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the hook is told: refs in their order, options, and whether all of the push is to be one."""

    pushes: tuple[Push, ...]
    options: tuple[str, ...]
    is_atomic: bool


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A push that was accepted: which ref stands for it, and what that was and is."""

    ref: str
    name: str
    old: str
    new: str
    is_forced: bool = False


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A push that was not accepted, and why, in one line."""

    ref: str
    reason: str


def write_packet(out: BinaryIO, content: bytes) -> None:
    """Write one packet. Raises: GitError when it is too long for one."""
    if len(content) + _HEADER > _LARGEST:
        raise GitError("cannot answer git receive-pack: too long for a packet")
    out.write(b"%04x%s" % (len(content) + _HEADER, content))


def write_flush(out: BinaryIO) -> None:
    """End a group of packets and send all of it."""
    out.write(_FLUSH)
    out.flush()


def read_group(stream: BinaryIO) -> list[bytes]:
    """Return the packets up to the next flush, each without its newline.

    Raises: GitError when the stream ends before, or holds something else.
    """
    packets: list[bytes] = []
    while True:
        header = _exactly(stream, _HEADER)
        try:
            length = int(header, 16)
        except ValueError as error:
            raise GitError("cannot understand git receive-pack: not a packet") from error
        if length == 0:
            return packets
        if length < _HEADER:
            raise GitError("cannot understand git receive-pack: not a packet of version 1")
        packets.append(_exactly(stream, length - _HEADER).removesuffix(b"\n"))


def read_told(stream: BinaryIO, out: BinaryIO) -> Told:
    """Agree on a version with git receive-pack, and return what it tells.

    Raises: GitError when it speaks another version, or ends too early.
    """
    version, offered = _version(read_group(stream))
    if version != b"1":
        raise GitError(f"cannot understand git receive-pack: version {version.decode(errors='replace')}")
    wanted = b" ".join(each for each in (b"push-options", b"atomic") if each in offered)
    write_packet(out, b"version=1\0" + wanted)
    write_flush(out)
    pushes = tuple(_push(line) for line in read_group(stream))
    options = read_group(stream) if b"push-options" in offered else []
    return Told(
        pushes=pushes,
        options=tuple(each.decode(errors="surrogateescape") for each in options),
        is_atomic=b"atomic" in offered,
    )


def write_answers(out: BinaryIO, answers: Sequence[Taken | Refused]) -> None:
    """Tell git receive-pack what has become of each ref."""
    for answer in answers:
        ref = answer.ref.encode(errors="surrogateescape")
        if isinstance(answer, Refused):
            reason = " ".join(answer.reason.split()).encode(errors="replace")[:_REASON]
            write_packet(out, b"ng %s %s" % (ref, reason))
            continue
        write_packet(out, b"ok %s" % ref)
        write_packet(out, b"option refname %s" % answer.name.encode())
        write_packet(out, b"option old-oid %s" % answer.old.encode())
        write_packet(out, b"option new-oid %s" % answer.new.encode())
        if answer.is_forced:
            write_packet(out, b"option forced-update")
    write_flush(out)


def _version(packets: Sequence[bytes]) -> tuple[bytes, frozenset[bytes]]:
    first, _, features = (packets[0] if packets else b"").partition(b"\0")
    return first.removeprefix(b"version="), frozenset(features.split())


def _push(line: bytes) -> Push:
    old, _, rest = line.partition(b" ")
    new, _, ref = rest.partition(b" ")
    return Push(old=old.decode(), new=new.decode(), ref=ref.decode(errors="surrogateescape"))


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise GitError("cannot understand git receive-pack: it has gone away")
    return data
