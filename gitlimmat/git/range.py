"""The forms in which commits are named, taken apart without looking anything up.

Layer: git.

The forms are those of gitrevisions(7). What is between braces, and a search `:/text`, is never a range.
"""

from __future__ import annotations

import re

import msgspec

from gitlimmat.errors import RevisionError

_BRACES = re.compile(r"\{[^}]*\}")
_SUFFIX = re.compile(r"\^(!|@|-|-[1-9]\d*)$")


class Single(msgspec.Struct, frozen=True):
    """A revision: that commit alone."""

    name: str


class Dots(msgspec.Struct, frozen=True):
    """`A..B`, or with `symmetric` `A...B`."""

    left: str
    right: str
    symmetric: bool


class Own(msgspec.Struct, frozen=True):
    """What a commit brought: `R^!` (all parents excluded) or `R^-n` (`parent` n excluded)."""

    name: str
    parent: int | None


class Parents(msgspec.Struct, frozen=True):
    """`R^@`: all parents of R."""

    name: str


class Exclusion(msgspec.Struct, frozen=True):
    """`^A`, or with `parents` `^A^@`: not what can be reached from there."""

    name: str
    parents: bool


Term = Single | Dots | Own | Parents | Exclusion


def parse_term(text: str) -> Term:
    """Return what `text` asks for.

    Raises: RevisionError when it cannot name anything.
    """
    if not text.strip():
        raise RevisionError(f"cannot use '{text}' as a revision: it is empty")
    if any(character in text for character in "\0\n\r"):
        raise RevisionError(f"cannot use {text!r} as a revision: it has a NUL or a line break")
    if text.startswith(":/"):
        return Single(text)
    if text.startswith("^"):
        name = text[1:].removesuffix("^@")
        if not name or not isinstance(parse_term(name), Single):
            raise RevisionError(f"cannot use '{text}' as a revision: '^' goes before a single one")
        return Exclusion(name, parents=text.endswith("^@"))
    masked = _BRACES.sub(lambda match: "_" * len(match[0]), text)
    at = masked.find("..")
    if at >= 0 and text != "..":
        symmetric = masked.startswith("...", at)
        right = text[at + (3 if symmetric else 2) :]
        return Dots(text[:at] or "HEAD", right or "HEAD", symmetric=symmetric)
    return _suffixed(text, masked)


def _suffixed(text: str, masked: str) -> Term:
    match = _SUFFIX.search(masked)
    if match is None or match.start() == 0:
        return Single(text)
    name, kind = text[: match.start()], match[1]
    if kind == "@":
        return Parents(name)
    return Own(name, None if kind == "!" else int(kind[1:] or "1"))


def names_in(term: Term) -> tuple[str, ...]:
    """Return the revisions to be looked up before `term` can be walked."""
    match term:
        case Dots(left=left, right=right):
            return left, right
        case Own(name=name, parent=int(parent)):
            return name, f"{name}^{parent}"
        case _:
            return (term.name,)
