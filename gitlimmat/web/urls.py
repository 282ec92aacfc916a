"""The paths of the pages.

Layer: web. Pure.

    /                                   overview
    /commit/ID                          a commit
    /commit/ID/TEST                     a result
    /commit/ID/TEST/STREAM.txt          what it printed, as it is
    /commit/ID/TEST/artifacts/NAME/…    what it kept

Names are percent-encoded, each as one segment. With several repositories, each has its pages below `/SLUG`.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes, urlencode


def join(prefix: str, segments: Iterable[str | bytes], **query: object) -> str:
    """Return the path of `segments` below `prefix`; what is None in `query` is left out."""
    path = prefix + "/" + "/".join(quote(segment, safe="") for segment in segments)
    words = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(words)}" if words else path


def place(prefix: str, commit: str, test: str | None = None, *more: str | bytes, **query: object) -> str:
    """Return the path of a commit, or of one of its tests, or of what is below that."""
    return join(prefix, ["commit", commit, *(() if test is None else (test, *more))], **query)


def split(target: str) -> list[bytes]:
    """Return the decoded segments of the path of a request's target; the last is empty after a `/`."""
    path = target.partition("?")[0].partition("#")[0]
    return [unquote_to_bytes(segment) for segment in path.split("/")[1:]]
