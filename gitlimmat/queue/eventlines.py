"""Events of a merge queue as canonical text, and back.

Layer:  pure. May import model and errors.
Format: 1, see gitlimmat-format(5). One JSON object an event, keys sorted, UTF-8; one line each.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence

import msgspec

from gitlimmat.queue.events import AnyEvent, Unknown

_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode_events(events: Sequence[AnyEvent | Unknown]) -> bytes:
    """Return the canonical text: one line an event. Times are rounded to milliseconds.

    What is no text (lone surrogates, from bytes that were no UTF-8) becomes U+FFFD; an unknown event stays as
    it was.
    Raises: ValueError for an event that could not be read again: a number that is none, or is out of range.
    """
    return b"".join(_encode(event) + b"\n" for event in events)


def decode_events(text: bytes) -> tuple[AnyEvent | Unknown, ...]:
    """Return the events of a text, in order. Never raises: a line that is none becomes `Unknown`."""
    lines = text.count(b"\n")
    if text[:1] == b"{" and text.count(b"\n{") == lines - 1 and text.count(b"}\n") == lines:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            events = _DECODER.decode_lines(text)
            if len(events) == lines:  # no value goes over two lines: `}` and `{` never meet inside of one
                return tuple(events)
    return tuple(_decode(line) for line in text.split(b"\n") if line)


def _encode(event: AnyEvent | Unknown) -> bytes:
    if isinstance(event, Unknown):
        return event.raw
    event = msgspec.structs.replace(event, at=round(event.at, 3))
    try:
        line = _ENCODER.encode(event)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(event), ensure_ascii=False)
        line = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    try:
        return _ENCODER.encode(_DECODER.decode(line))
    except msgspec.DecodeError as error:
        raise ValueError(f"event of {event.actor} cannot be stored: {error}") from error


def _decode(line: bytes) -> AnyEvent | Unknown:
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unknown(raw=line)
