"""Places in source files that the output of compilers, interpreters and test runners points to.

Layer: service. Pure: text and names of files in, references out.

Much looks like `name:number`. What is a reference and what is not is decided by the names: only files that
exist count.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from posixpath import basename, normpath
from typing import NamedTuple

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|[\x00-\x08\x0e-\x1f\x7f]"
)
_MAKE = re.compile(r"^(?:[\w.-]*make(?:\[\d+\])?|ninja): (Entering|Leaving) directory ['`‘\"](.+)['’\"]$")
_FRAME = re.compile(r'^(?:E\s)?\s*File "(.+?)", line (\d+)(?:, in (.+))?')
_HEADLINE = re.compile(
    r"^(?:error|warning|note|failure|panic)(?:\[\w+\])?: .+|^[\w.$]*(?:Error|Exception)\b.*"
)
_PANIC = re.compile(r"panicked at (?:'(.*)', )?(.+?):(\d+):(\d+):?$")
_NOTED = re.compile(r"^E\s{1,}(\S.*)$")
_UNDER_NAME = re.compile(r"^\s+(\d+):(\d+)\s+(?:error|warning)\s+(.+)$")
_PLACE = r"(?P<path>{path}):(?P<line>\d+)(?::(?P<column>\d+))?"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"^\s*(?:-->|:::|┌─|╭▸|╭─\[)\s*" + _PLACE.format(path=r".+?"),  # rustc, and who draws like it
        r"^\s*(?:\d+>)?(?P<path>\S[^()]*)\((?P<line>\d+)(?:,(?P<column>\d+))?[\d,]*\)\s*: (?P<text>.+)",
        # tsc above, maven below
        r"^\[\w+\]\s+(?P<path>.+?):\[(?P<line>\d+),(?P<column>\d+)\]\s*(?P<text>.*)",  # maven
        r"^(?P<path>[^:]+): line (?P<line>\d+): (?P<text>.+)",  # bash
        r"^(?P<path>[^:]+): (?P<line>\d+): (?P<text>.+)",  # dash
        r"^(?P<text>.*\S) at (?P<path>\S+) line (?P<line>\d+)\b",  # perl
        r"^\s*" + _PLACE.format(path=r"[^:]*[^:\s]") + r"(?::| -)\s*(?P<text>.*)",  # gcc, go, javac, pytest
    )
)
_ANYWHERE = re.compile(
    r"(?<![^\s(\[{'\"=<@])(?:file://)?"
    + _PLACE.format(path=r"[^\s:()\[\]{}'\"<>=]+")
    + r"(?![\w.])(?P<text>.*)"
)


class Reference(NamedTuple):
    """A place in a file, by its path from the top of the commit; `column` is 1 when none was told."""

    path: str
    line: int
    column: int
    text: str


class Files:
    """The files of a commit, and how what a program calls them leads to one.

    `roots` are patterns of directories that the commit was checked out in.
    """

    def __init__(self, paths: Iterable[str], roots: Sequence[str]) -> None:
        self._paths = frozenset(paths)
        self._roots = [re.compile(rf"(?:{root})(?:/|$)") for root in roots]
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        for path in self._paths:
            self._by_name[basename(path)].append(path)

    def inside(self, directory: str, path: str) -> str | None:
        """Return `path`, as seen from `directory`, from the top of the commit; None when it is elsewhere."""
        if not path.startswith("/"):
            path = normpath(f"{directory}/{path}") if directory else normpath(path)
            return None if path.startswith("..") else path
        found = next((match for root in self._roots if (match := root.match(path))), None)
        return normpath(path[found.end() :]) if found is not None else None

    def find(self, directory: str, path: str) -> str | None:
        """Return the file that is meant by `path`, None when there is none or no telling which one."""
        path = path.removeprefix("file://")
        if len(path) < 2 or len(path) > 4096:
            return None
        for start in dict.fromkeys((directory, "")):
            found = self.inside(start, path)
            if found in self._paths:
                return found
        if path.startswith("/"):
            return None
        tail = re.sub(r"^(?:\.{1,2}/)+", "", normpath(path))
        ends = [each for each in self._by_name.get(basename(tail), ()) if f"/{each}".endswith(f"/{tail}")]
        return ends[0] if len(ends) == 1 else None


def find_references(output: str, files: Files) -> list[Reference]:
    """Return the references in an output in its order, each once; of a traceback the innermost first."""
    return list(dict.fromkeys(_Reader(files).read(output)))


def strip_escapes(text: str) -> str:
    """Return `text` without terminal escapes and control characters, but tabs and ends of lines."""
    return _ESCAPES.sub("", text)


class _Reader:
    """What has been read so far that says more about the lines to come."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._directories = [""]
        self._frames: list[tuple[str, int, str]] = []
        self._headline = ""
        self._noted = ""
        self._file_above: str | None = None
        self._panic: tuple[str, int, int] | None = None

    def read(self, output: str) -> Iterator[Reference]:
        for raw in re.split(r"\r?\n", output):
            line = strip_escapes(raw.rpartition("\r")[2]).rstrip()
            if line:
                yield from self._line(line)
        yield from self._end_traceback("")

    def _line(self, line: str) -> Iterator[Reference]:
        if match := _FRAME.match(line):
            self._frames.append((match[1], int(match[2]), match[3] or ""))
            return
        if self._frames and not line.startswith((" ", "\t", "E ")):
            yield from self._end_traceback(line)
        if self._panic is not None:
            place, self._panic = self._panic, None
            yield Reference(*place, line.strip())
            return
        if match := _MAKE.match(line):
            self._turn(match[1] == "Entering", match[2])
            return
        yield from self._place(line)
        if match := _NOTED.match(line):
            self._noted = self._noted or match[1]
        elif _HEADLINE.match(line):
            self._headline = line

    def _place(self, line: str) -> Iterator[Reference]:
        if match := _PANIC.search(line):
            path = self._find(match[2])
            if path is not None and match[1] is None:
                self._panic = (path, int(match[3]), int(match[4]))
                return
        if self._file_above is not None and (match := _UNDER_NAME.match(line)):
            yield Reference(self._file_above, int(match[1]), int(match[2]), match[3])
            return
        for match in self._candidates(line):
            path = self._find(match["path"])
            number = int(match["line"][:9])
            if path is not None and number > 0:
                column = match.groupdict().get("column")
                text = (match.groupdict().get("text") or "").lstrip(" :,)-").rstrip()
                yield Reference(path, number, int((column or "1")[:9]) or 1, self._said(text, line))
                return
        if not line.startswith((" ", "\t")):
            self._file_above = self._find(line)

    def _candidates(self, line: str) -> Iterator[re.Match[str]]:
        for pattern in _PATTERNS:
            if match := pattern.match(line):
                yield match
        yield from _ANYWHERE.finditer(line)

    def _said(self, text: str, line: str) -> str:
        """Return what is wrong there: said on the line itself, noted by pytest, or said before."""
        if self._noted:
            text, self._noted = f"{text}: {self._noted}" if text else self._noted, ""
        return text or self._headline or line.strip()

    def _find(self, path: str) -> str | None:
        return self._files.find(self._directories[-1], path.strip())

    def _turn(self, entering: bool, directory: str) -> None:
        if entering:
            inside = self._files.inside(self._directories[-1], directory)
            self._directories.append("" if inside in (None, ".") else str(inside))
        elif len(self._directories) > 1:
            self._directories.pop()

    def _end_traceback(self, message: str) -> Iterator[Reference]:
        frames, self._frames = self._frames, []
        for name, line, function in reversed(frames):
            path = self._find(name)
            if path is not None:
                where = f"in {function}" if function else ""
                yield Reference(path, line, 1, ": ".join(filter(None, (message, where))))
