"""The words of the queue's commits: titles and bodies of changes, cleaned, and who approved them.

Layer:  pure. May import model and errors.

Whatever people wrote may come out where a program looks for commands, or notifies whoever is mentioned. So no
mention stays outside of back-ticks, hidden comments are removed, control characters that change how text
looks are shown, and no line of a body can pass for a trailer of ours. Nobody parses these messages (S1, S2).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import msgspec

from gitlimmat.queue.events import Kind, Policy

_MOST_BODY = 1 << 16  # characters; more is a document and not a message
_MOST_TITLE = 400
_CUT = "[...]"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_MENTION = re.compile(r"(?<![A-Za-z0-9_])@\w[\w-]*(?:/[\w.-]*\w)?")
_TICKS = re.compile(r"`+")
_HIDDEN = re.compile(r"<!--.*?-->", re.DOTALL)
_HIDDEN_TO_END = re.compile(r"^ {0,3}<!--.*\Z", re.DOTALL | re.MULTILINE)
_OURS = re.compile(r"^(?=[ \t]*(?:change|approved-by)[ \t]*:)", re.IGNORECASE | re.MULTILINE)
_SEPARATOR = re.compile(r"[A-Za-z0-9-]+[ \t]*:")
_GENERATED = ("Signed-off-by: ", "(cherry picked from commit ")
_ODD = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u200b")

Trailer = tuple[str, str]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A change that a message is about. `approver` is empty for a try."""

    change: int
    title: str
    body: str = ""
    topic: str = ""
    approver: str = ""


def merge_message(
    parts: Sequence[Part], policy: Policy, kind: Kind, *, co_authors: Sequence[str] = ()
) -> str:
    """Return the message of the commit that merges or squashes `parts`, one or more.

    `co_authors` are `Name <email>`, for a squash. The text ends in one newline.
    """
    trailers = [("Co-authored-by", line(each)) for each in dict.fromkeys(co_authors)]
    for part in parts:
        trailers += landing_trailers(part)
    if len(parts) > 1:
        listed = [f"- {_about(part)}: {_title(part)}" for part in parts]
        changes = ", ".join(f"#{part.change}" for part in parts)
        head = f"{_verb(kind)} merge of {len(parts)} changes: {changes}"
        return append_trailers("\n".join((head, "", *listed)), trailers)
    (part,) = parts
    body = clean_body(part.body)
    if policy is Policy.SQUASH:
        text = f"{_title(part)}\n\n{body}"
    else:
        text = f"{_verb(kind)} merge of {_about(part)}\n\n{_title(part)}\n\n{body}"
    return append_trailers(text.rstrip(), trailers, joins=bool(body))  # a title may look like a trailer


def linear_message(message: str, part: Part) -> str:
    """Return the message of a commit that is copied for a change: its author's words, and our trailers."""
    return append_trailers(_disowned(message) if message.strip() else _title(part), landing_trailers(part))


def landing_trailers(part: Part) -> tuple[Trailer, ...]:
    """Return what each commit says that lands for a change."""
    number = ("Change", f"#{part.change}")
    return (number, ("Approved-by", name_shown(part.approver))) if part.approver else (number,)


def clean_body(text: str) -> str:
    """Return the body of a change as it may stand in a message: lines kept, no blank ones at its ends."""
    visible = _HIDDEN_TO_END.sub("", _HIDDEN.sub("", text)).replace("<!--", "<!- -")
    if len(visible) > _MOST_BODY:
        visible = f"{visible[:_MOST_BODY]}\n\n{_CUT}"
    lines = [_shown(each).rstrip() for each in re.split(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", visible)]
    return re.sub(r"\n{3,}", "\n\n", _disowned(escape_mentions("\n".join(lines)))).strip("\n")


def line(text: str) -> str:
    """Return text as one line without hidden characters and live mentions, shortened if it must be."""
    words = " ".join(_HIDDEN.sub("", text).replace("<!--", "<!- -").split())
    if len(words) > _MOST_TITLE:
        words = f"{words[:_MOST_TITLE]} {_CUT}"
    return escape_mentions(_shown(words))


def name_shown(text: str) -> str:
    """Return the name of a person, branch or file so that it cannot be taken for more than a name.

    Plain ones stay; in any other blanks, control characters and back-ticks are escaped, and it is put in
    back-ticks.
    """
    if _PLAIN.fullmatch(text):
        return text
    words = "".join(
        f"\\u{{{ord(each):x}}}" if each in "`\\" or (each.isspace() and each != " ") else _visible(each)
        for each in text
    )
    return f"`{words[:_MOST_TITLE]}`"


def escape_mentions(text: str) -> str:
    """Return text with every `@name` in back-ticks, more of them than the text has in a row itself."""
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    ticks = "`" * (longest + 1)

    def escape(match: re.Match[str]) -> str:
        before = text[match.start() - 1] if match.start() else ""
        after = text[match.end() : match.end() + 1]
        return "".join(
            (
                " " if before in ("`", "\\") and before else "",
                f"{ticks}{match[0]}{ticks}",
                " " if after == "`" else "",
            )
        )

    return _MENTION.sub(escape, text)


def append_trailers(message: str, trailers: Iterable[Trailer], *, joins: bool = True) -> str:
    """Return a message with trailers at its end, joined to those that are there already unless told not to.

    By the rules of git-interpret-trailers(1) without `---` and comment lines.
    """
    lines = message.rstrip().split("\n")
    has_block = joins and _has_trailers(lines)
    if wanted := [f"{token}: {value}" for token, value in trailers]:
        lines += [] if has_block else [""]
        for each in wanted:
            if lines[-1] != each:
                lines.append(each)
    return "\n".join(lines) + "\n"


def _has_trailers(lines: Sequence[str]) -> bool:
    """Whether the last paragraph, which is not the first, is made of trailers.

    All lines are, or at least a quarter and one of them is written by git.
    """
    start = next((at for at in range(len(lines) - 1, -1, -1) if not lines[at].strip()), -1)
    if not any(each.strip() for each in lines[: max(start, 0)]):
        return False
    found = other = folded = 0
    is_generated = False
    for each in reversed(lines[start + 1 :]):
        if each.startswith(_GENERATED) or _SEPARATOR.match(each):
            found, folded = found + 1, 0
            is_generated = is_generated or each.startswith(_GENERATED)
        elif each[:1].isspace():
            folded += 1
        else:
            other, folded = other + 1 + folded, 0
    other += folded
    return (is_generated and found * 3 >= other) or (found > 0 and other == 0)


def _disowned(text: str) -> str:
    """Quote lines that say what only we may say."""
    return _OURS.sub("> ", text)


def _verb(kind: Kind) -> str:
    return "Auto" if kind is Kind.AUTO else "Try"


def _about(part: Part) -> str:
    topic = f" - {name_shown(part.topic)}" if part.topic else ""
    approver = f", r={name_shown(part.approver)}" if part.approver else ""
    return f"#{part.change}{topic}{approver}"


def _title(part: Part) -> str:
    return line(part.title) or f"Change #{part.change}"


def _shown(text: str) -> str:
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char == "\t" or (unicodedata.category(char) not in _ODD and char not in _TURNING):
        return char
    return f"\\u{{{ord(char):x}}}"
