"""A finished job to be stored, and the JSON lines that results are stored as.

Layer:  store.
Format: 1. One compact JSON object a line, newest last; defaults are left out. A line is never edited: what
        this version cannot read is skipped by readers and kept by writers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from gitlimmat.model import Definition, Result

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Result)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a job leaves, before it is stored.

    `outputs` maps stream names to files or to what was in them, `artifacts` is a directory. The store fills
    in `digest`, `outputs`, `artifacts` and `dropped` of `result`.
    """

    subject: str
    definition: Definition
    result: Result
    outputs: Mapping[str, Path | bytes] = {}
    artifacts: Path | None = None


def encode_line(result: Result) -> bytes:
    """Return the line of a result, without the newline."""
    return _ENCODER.encode(result)


def decode_line(line: bytes) -> Result | None:
    """Return the result in a line, None when this version cannot read it."""
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode_lines(content: bytes) -> tuple[tuple[Result, ...], bool]:
    """Return the results in `content`, and whether every line could be read."""
    try:
        return tuple(_DECODER.decode_lines(content)), True
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = [result for _, result in split_lines(content)]
        readable = tuple(result for result in decoded if result is not None)
        return readable, len(readable) == len(decoded)


def split_lines(content: bytes) -> Iterator[tuple[bytes, Result | None]]:
    """Yield each line that is not empty, without its newline, and the result in it."""
    for line in content.split(b"\n"):
        if line:
            yield line, decode_line(line)


def join_lines(content: bytes, lines: list[bytes]) -> bytes:
    """Return `content` with those of `lines` that it lacks at its end."""
    present = set(content.split(b"\n"))
    added = [line for line in dict.fromkeys(lines) if line not in present]
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return content + b"".join(line + b"\n" for line in added)


def rounded(result: Result) -> Result:
    """Return `result` as it is stored: times to the millisecond, durations to the microsecond."""
    return msgspec.structs.replace(result, started=round(result.started, 3), elapsed=round(result.elapsed, 6))
