"""Many refs of one kind, read from git's files at once; and packed when they have become too many files.

Layer:  git.
Source: gitrepository-layout(5), git-pack-refs(1).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gitlimmat.errors import GitError
from gitlimmat.git.process import Git

_ID = re.compile(rb"([0-9a-f]{40})\s*$")
_Stamp = tuple[int, int, int]


class RefList:
    """The refs `<above>/<name>/<leaf>` of a repository, for all names.

    It remembers the packed ones: a second look costs what there is in loose files. Not for use by two
    threads at once.
    """

    def __init__(self, common_dir: Path, above: str, leaf: str) -> None:
        self._directory = os.fspath(common_dir / above)
        self._packed_refs = os.fspath(common_dir / "packed-refs")
        self._leaf = leaf
        self._line = re.compile(
            rb"^([0-9a-f]{40}) %s/([^/\n]+)/%s$" % (re.escape(above.encode()), re.escape(leaf.encode())),
            re.MULTILINE,
        )
        self._stamp: _Stamp | None = None
        self._packed: dict[str, str | None] = {}
        self.loose = 0  # how many were in files of their own at the last look

    def read(self) -> dict[str, str | None]:
        """Return the object id of each ref by its name; None for one without usable content.

        Raises: OSError when a file cannot be read.
        """
        loose = self._read_loose()  # before the packed ones: git writes those before it removes a file
        self.loose = len(loose)
        return self._read_packed() | loose

    def _read_loose(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - asked at each look of a daemon
        except FileNotFoundError:
            return found
        for name in names:
            try:
                with open(f"{self._directory}/{name}/{self._leaf}", "rb", buffering=0) as file:  # noqa: PTH123
                    content = file.read()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            match = _ID.match(content)
            found[name] = match[1].decode() if match else None
        return found

    def _read_packed(self) -> dict[str, str | None]:
        try:
            with open(self._packed_refs, "rb") as file:  # noqa: PTH123
                seen = os.fstat(file.fileno())
                stamp = (seen.st_ino, seen.st_size, seen.st_mtime_ns)
                if stamp != self._stamp:
                    lines = self._line.findall(file.read())
                    self._packed = {os.fsdecode(name): oid.decode() for oid, name in lines}
                    self._stamp = stamp
        except FileNotFoundError:
            self._packed, self._stamp = {}, None
        return self._packed


def pack_refs(git: Git, below: str) -> None:
    """Put the refs below a name into the file of packed refs; all refs where git (before 2.45) takes no name.

    Raises: GitError when git fails; nothing has changed then.
    """
    try:
        git.call("pack-refs", "--include", f"{below}/*")
    except GitError:
        git.call("pack-refs", "--all")
