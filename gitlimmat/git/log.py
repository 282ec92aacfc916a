"""`git log` as the user wants it, with something to be put beside each commit.

Layer: git.

Git itself draws, colors and formats everything. Where a format of the user's is in effect, a marker with a
number that nobody can guess is put into it, and is found again in the output. The formats that git has built
in have no place for a marker; in these, the line is looked for with which git begins each commit, and only
an id that is a commit's is taken for one. At worst, a text that looks just like such a line, and can stand at
the start of one (a file name of `--name-only`), is taken for one, too.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from gitlimmat.git.environment import LOCATION
from gitlimmat.git.repository import Repository
from gitlimmat.model import Commit, ConfigValue

_CHUNK = 1 << 16
_SGR = rb"\x1b\[[0-9;]*m"
_ID = rb"(?P<oid>[0-9a-f]{4,64})"
_START = rb"(?:^|(?<=\0))"
# The columns of a graph, with the sign of a commit in one of them; `*-.` and the like start an octopus.
_GRAPH = rb"(?:%(sgr)s|[|/\\_ .])*[*o<>=+^](?:%(sgr)s|[-.|/\\_ ])*(?<= )" % {b"sgr": _SGR}
_MARKS = ("--left-right", "--cherry", "--cherry-mark", "--boundary")
_BUILT_IN = ("raw", "medium", "short", "email", "mboxrd", "fuller", "full", "oneline", "reference")
_LINE_END = re.compile(r"%%|(?P<end>%n|%x0[aA]|%\+|\n)")
_OURS = re.compile(
    r"%%|(?:%(?P<align>>>|><|[<>])\( *(?P<width>\d+) *(?:, *(?P<cut>l?trunc|mtrunc) *)?\))?"
    r"%(?P<space> ?)\(limmat(?::(?P<test>[^()]*))?\)"
)


class Layout(Enum):
    """How git begins a commit: `commit ID`, `ID ...`, as a mail, or as the user says."""

    HEADED = "headed"
    ONE_LINE = "one line"
    MAIL = "mail"
    OWN = "own"


class Shown(Enum):
    """Where people read the output: on the terminal itself, or in a pager."""

    TERMINAL = "terminal"
    PAGER = "pager"


class Placeholder(NamedTuple):
    """What a format asks for: all results, or those of `test`; filled up on the side of `align`.

    `lead` comes before it unless it is empty. Units: `width` is characters, 0 as many as there are.
    """

    test: str | None = None
    lead: str = ""
    align: str = "<"
    width: int = 0
    is_cut: bool = False


class LogCall(msgspec.Struct, frozen=True, kw_only=True):
    """How git log is to be called, and how its output is to be read.

    `placeholders` are those of the format, by their number. `marker` begins each in the output.
    """

    arguments: tuple[str, ...]
    layout: Layout
    is_graph: bool = False
    has_marks: bool = False
    marker: str = ""
    placeholders: tuple[Placeholder, ...] = ()


AT_LINE_END = Placeholder(lead="  ")
"""Where results go when no format says so."""


def plan_log(arguments: Sequence[str], values: Sequence[ConfigValue]) -> LogCall:
    """Return how to call git log with the user's `arguments`, under these values of git's configuration."""
    options = _options(arguments)
    config = {value.key: value.value or "" for value in values}
    place, said = None, config.get("format.pretty", "medium")
    for index, word in enumerate(options):
        if (found := _said_format(word)) is not None:
            place, said = index, found
    layout, text, is_terminated = _resolve(said, config)
    call = LogCall(
        arguments=tuple(arguments),
        layout=layout,
        is_graph=_last(options, "--graph", "--no-graph"),
        has_marks=any(word in _MARKS for word in options),
    )
    if layout is not Layout.OWN or not text:
        return call
    marker = f"\x02{secrets.token_hex(8)}"
    marked, placeholders = _mark(text, marker)
    option = f"--format={'tformat' if is_terminated else 'format'}:{marked}"
    rest = list(arguments)
    if place is None:
        rest.insert(0, option)
    else:
        rest[place] = option
    return msgspec.structs.replace(call, arguments=tuple(rest), marker=marker, placeholders=placeholders)


def said_color(arguments: Sequence[str]) -> str | None:
    """Return what the user's arguments say about colors, None when nothing."""
    said = None
    for word in _options(arguments):
        if word == "--no-color":
            said = "never"
        elif word == "--color" or word.startswith("--color="):
            said = word.partition("=")[2] or "always"
    return said


def other_notes(repository: Repository, values: Sequence[ConfigValue], ref: str | None) -> str | None:
    """Return the notes that git log shows unasked without those of `ref`; None when `ref` is none of them.

    Shape: as in `GIT_NOTES_DISPLAY_REF`. A pattern that `ref` matches is replaced by what else matches it.
    """
    patterns = [value.value or "" for value in values if value.key == "notes.displayref"]
    ours = [each for each in patterns if ref is not None and fnmatchcase(ref, each)]
    if not ours:
        return None
    shown = [each for each in patterns if each not in ours]
    if ours != [ref]:
        refs = repository.git.text("for-each-ref", "--format=%(refname)", "refs/notes/").split()
        shown += [each for each in refs if each != ref and any(fnmatchcase(each, glob) for glob in ours)]
    return ":".join(shown)


def start_log(
    repository: Repository, call: LogCall, shown: Shown | None, *, notes: str | None = None
) -> subprocess.Popen[bytes]:
    """Start git log as the user would, with a pipe for its output; `shown` says where that goes in the end.

    `notes` are shown in place of those that `notes.displayRef` names, unless the user has named others.
    Raises: GitError when git cannot be started.
    """
    asked = repository.asked
    environment = {
        name: value for name, value in os.environ.items() if name not in LOCATION or name in asked.environment
    }
    git = msgspec.structs.replace(asked, environment=environment)
    if shown is not None:
        environment["GIT_PAGER_IN_USE"] = "1"  # for colors and decorations: the output is for people
        environment.setdefault("COLUMNS", str(shutil.get_terminal_size().columns))
    if notes is not None:
        environment.setdefault("GIT_NOTES_DISPLAY_REF", notes)
    if shown is Shown.TERMINAL:
        git = git.with_options("-c", "color.pager=true")
    return git.start("log", *call.arguments, errors=shown is Shown.PAGER and os.isatty(2))


def read_log(process: subprocess.Popen[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield pieces of what git log says as they come, and of each whether it is an error."""
    with selectors.DefaultSelector() as selector:
        for stream, is_error in ((process.stdout, False), (process.stderr, True)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, is_error)
        while selector.get_map():
            for key, _ in selector.select():
                if chunk := os.read(key.fd, _CHUNK):
                    yield chunk, key.data
                else:
                    selector.unregister(key.fileobj)


class Annotator:
    """Puts something beside each commit in the output of git log; `render` says what."""

    def __init__(
        self, repository: Repository, call: LogCall, render: Callable[[Commit, Placeholder], str]
    ) -> None:
        self._repository = repository
        self._call = call
        self._render = render
        self._pattern = re.compile(_pattern(call), re.MULTILINE)
        self._known: dict[bytes, Commit | None] = {}
        self._rest = b""

    def feed(self, output: bytes) -> bytes:
        """Return what can be shown after `output` has come, too: whole lines."""
        text = self._rest + output
        end = max(text.rfind(b"\n"), text.rfind(b"\0")) + 1
        self._rest = text[end:]
        return self._annotated(text[:end])

    def end(self) -> bytes:
        """Return what is left at the end of the output."""
        text, self._rest = self._rest, b""
        return self._annotated(text)

    def _annotated(self, text: bytes) -> bytes:
        if not text or self._call.layout is Layout.MAIL:
            return text
        return self._pattern.sub(self._own if self._call.layout is Layout.OWN else self._headed, text)

    def _own(self, match: re.Match[bytes]) -> bytes:
        commit = Commit(id=match["oid"].decode(), tree=match["tree"].decode())
        return os.fsencode(self._render(commit, self._call.placeholders[int(match["number"])]))

    def _headed(self, match: re.Match[bytes]) -> bytes:
        commit = self._find(match["oid"])
        return match[0] + os.fsencode(self._render(commit, AT_LINE_END)) if commit else match[0]

    def _find(self, oid: bytes) -> Commit | None:
        if oid not in self._known:
            self._known[oid] = find_abbreviated(self._repository, oid.decode())
        return self._known[oid]


def find_abbreviated(repository: Repository, oid: str) -> Commit | None:
    """Return the commit that an id, or the start of one, means; None when there is not just one."""
    import pygit2

    try:
        found = repository.objects[oid]
    except (KeyError, ValueError, pygit2.GitError):
        return None
    return Commit(id=str(found.id), tree=str(found.tree_id)) if isinstance(found, pygit2.Commit) else None


def _options(arguments: Sequence[str]) -> list[str]:
    """Return the arguments up to where paths begin."""
    ends = [arguments.index(word) for word in ("--", "--end-of-options") if word in arguments]
    return list(arguments[: min(ends, default=len(arguments))])


def _said_format(word: str) -> str | None:
    if word == "--oneline":
        return "oneline"
    if word == "--pretty":
        return "medium"
    name, equals, text = word.partition("=")
    return text if equals and name in ("--pretty", "--format") else None


def _last(options: Sequence[str], on: str, off: str) -> bool:
    said = [word for word in options if word in (on, off)]
    return said[-1:] == [on]


def _resolve(said: str, config: Mapping[str, str]) -> tuple[Layout, str, bool]:
    """Return what a format stands for: its layout, its text, and whether the text ends each commit."""
    for _ in range(len(config) + 1):  # aliases that lead in a circle are for git to refuse
        if said.startswith("format:"):
            return Layout.OWN, said.removeprefix("format:"), False
        if said.startswith("tformat:") or "%" in said or not said:
            return Layout.OWN, said.removeprefix("tformat:"), True
        own = {
            key.removeprefix("pretty."): value for key, value in config.items() if key.startswith("pretty.")
        }
        names = [name for name in (*_BUILT_IN, *own) if name.lower().startswith(said.lower())]
        name = min(names, key=len, default="")
        if name in _BUILT_IN or name not in own:
            return _layout(name), "", True
        said = own[name]
    return Layout.MAIL, "", True


def _layout(name: str) -> Layout:
    if name in ("oneline", "reference"):
        return Layout.ONE_LINE
    return Layout.MAIL if name in ("email", "mboxrd", "") else Layout.HEADED


def _mark(text: str, marker: str) -> tuple[str, tuple[Placeholder, ...]]:
    """Return a format with markers for our placeholders, at the end of its first line if it has none."""
    placeholders: list[Placeholder] = []

    def mark(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return match[0]
        placeholders.append(
            Placeholder(
                test=match["test"],
                lead=match["space"],
                align=match["align"] or "<",
                width=int(match["width"] or 0),
                is_cut=match["cut"] is not None,
            )
        )
        return _marked(marker, len(placeholders) - 1)

    marked = _OURS.sub(mark, text)
    if placeholders:
        return marked, tuple(placeholders)
    ends = (match.start() for match in _LINE_END.finditer(text) if match["end"])
    end = next(ends, len(text))
    return f"{text[:end]}{_marked(marker, 0)}{text[end:]}", (AT_LINE_END,)


def _marked(marker: str, number: int) -> str:
    return f"{marker}.{number}.%H.%T\x03"


def _pattern(call: LogCall) -> bytes:
    """Return what to look for in the output."""
    if call.layout is Layout.OWN and not call.marker:
        return rb"(?!)"
    if call.layout is Layout.OWN:
        parts = (rb"\.(?P<number>\d+)\.", rb"(?P<oid>[0-9a-f]+)", rb"\.", rb"(?P<tree>[0-9a-f]+)", rb"\x03")
        gap = rb"(?:%s| )*" % _SGR  # %C(auto) colors the id
        return re.escape(call.marker.encode()) + gap.join(parts)
    mark = rb"(?:[-<>=+^] )?" if call.has_marks and not call.is_graph else b""
    word, after = (b"commit ", rb"(?![0-9a-f])") if call.layout is Layout.HEADED else (b"", rb"(?=[ \t\x1b])")
    art = _GRAPH if call.is_graph else b""
    return b"".join((_START, art, rb"(?:%s)*" % _SGR, word, mark, _ID, after, rb"[^\n\0]*"))
