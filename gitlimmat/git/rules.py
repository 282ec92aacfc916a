"""Whether files of a commit can be written as they are stored, by what git's settings and attributes say.

Layer: git.

libgit2 and we write a blob's bytes. Git may convert them first (filters, line ends, encodings), leave files
out (sparse checkout) or take another object (replace refs). Where any of that may be, git does the work.
Settings are read by one `git config` for each worktree, and again when one of the files changes.
"""

# ruff: noqa: PTH116
# lstat(2) of a few known names at each switch: the shortest way counts.

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from gitlimmat.errors import GitError
from gitlimmat.git.process import Git

Stamp = tuple[int, int, int] | None

_EXACT: Mapping[str, tuple[str, ...]] = {
    "core.autocrlf": ("false", "input", "no", "off", "0"),
    "core.eol": ("lf", "native"),
    "core.symlinks": ("true", "yes", "on", "1"),
    "core.filemode": ("true", "yes", "on", "1"),
    "core.ignorecase": ("false", "no", "off", "0"),
    "core.precomposeunicode": ("false", "no", "off", "0"),
    "core.sparsecheckout": ("false", "no", "off", "0"),
}
_CONVERTING = ("core.autocrlf", "core.eol", "core.symlinks", "filter.", "core.checkroundtripencoding")
_CONVERTING_ATTRIBUTES = (b"filter", b"ident", b"working-tree-encoding", b"crlf")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one worktree until one of the files behind it changes.

    `exact` says that settings do not forbid writing blobs as they are; `conversion` is a digest of all
    settings and attributes outside of commits that take part in converting. `sources` and `ignore_sources`
    are the files this was read from, and those that say which files are ignored.
    """

    exact: bool
    sparse: bool
    conversion: str
    options: tuple[str, ...]
    sources: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    ignore_sources: tuple[str, ...]

    def is_current(self) -> bool:
        """Whether none of the files it was read from has changed since."""
        return stamps(self.sources) == self.stamps


def read_rules(git: Git, common_dir: Path) -> Rules:
    """Read the rules that hold in `git.directory`.

    Raises: GitError when git cannot read its settings.
    """
    listing = git.text("config", "--list", "--show-origin", "-z")
    values: dict[str, str] = {}
    origins: dict[str, None] = {}
    fields = listing.split("\0")
    for origin, setting in zip(fields[0::2], fields[1::2], strict=False):
        key, _, value = setting.partition("\n")
        values[key] = value if "\n" in setting else "true"
        if origin.startswith("file:"):
            origins[str(git.directory / origin.removeprefix("file:"))] = None
    attributes = _attribute_sources(git, values, common_dir)
    ignores = _ignore_sources(git, values, common_dir)
    sources = (*dict.fromkeys([*_config_sources(git, common_dir), *origins, *attributes]),)
    before = stamps(sources)
    texts = [_read(path) for path in attributes]
    exact = all(value.lower() in _EXACT[key] for key, value in values.items() if key in _EXACT)
    exact = exact and "attr.tree" not in values and "GIT_ATTR_SOURCE" not in git.environment
    exact = exact and all(converts_nothing(text) for text in texts)
    return Rules(
        exact=exact and not git.call("for-each-ref", "--count=1", "refs/replace/"),
        sparse=values.get("core.sparsecheckout", "false").lower() not in _EXACT["core.sparsecheckout"],
        conversion=_digest(values, texts),
        options=() if "checkout.workers" in values else ("-c", "checkout.workers=0"),
        sources=sources,
        stamps=before,
        ignore_sources=ignores,
    )


def converts_nothing(attributes: bytes) -> bool:
    """Whether the text of a `.gitattributes` file leaves every file's bytes as they are on checkout.

    Doubtful ones do not: a macro may be switched off elsewhere, but nobody looks.
    """
    for line in attributes.replace(b"\r", b"\n").split(b"\n"):
        for word in line.split():
            name, _, value = word.partition(b"=")
            if name in _CONVERTING_ATTRIBUTES or (name == b"eol" and value != b"lf"):
                return False
    return True


def stamps(paths: Iterable[str]) -> tuple[Stamp, ...]:
    """Return what tells a file from its changed self, for each path; None for one that is not there."""
    return tuple(stamp(path) for path in paths)


def stamp(path: str | bytes) -> Stamp:
    """Return inode, size and time of change of the file that `path` leads to; None when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_ctime_ns)


def _digest(values: Mapping[str, str], texts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for key in sorted(values):
        if key.startswith(_CONVERTING):
            digest.update(os.fsencode(f"{key}={values[key]}\0"))
    for text in texts:
        digest.update(hashlib.sha256(text).digest())
    return digest.hexdigest()


def _config_sources(git: Git, common_dir: Path) -> list[str]:
    """Return the files git reads settings from, also those that do not exist yet."""
    return [
        str(common_dir / "config"),
        str(common_dir / "refs" / "replace"),
        str(_home(git) / ".gitconfig"),
        str(_config_home(git) / "config"),
        git.environment.get("GIT_CONFIG_GLOBAL", "/etc/gitconfig"),
        git.environment.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig"),
    ]


def _attribute_sources(git: Git, values: Mapping[str, str], common_dir: Path) -> list[str]:
    try:
        system = git.text("var", "GIT_ATTR_SYSTEM").removesuffix("\n")
    except GitError:  # git before 2.42, or none is to be read
        system = "/etc/gitattributes"
    stated = values.get("core.attributesfile")
    personal = _expand(git, stated) if stated else str(_config_home(git) / "attributes")
    return [system, personal, str(common_dir / "info" / "attributes")]


def _ignore_sources(git: Git, values: Mapping[str, str], common_dir: Path) -> tuple[str, ...]:
    stated = values.get("core.excludesfile")
    personal = _expand(git, stated) if stated else str(_config_home(git) / "ignore")
    return (personal, str(common_dir / "info" / "exclude"))


def _expand(git: Git, path: str) -> str:
    if path.startswith("~/"):
        return str(_home(git) / path[2:])
    return str(git.directory / os.path.expanduser(path))  # noqa: PTH111 - "~user/"; git has no prefix of its own


def _home(git: Git) -> Path:
    return Path(git.environment.get("HOME") or "/")


def _config_home(git: Git) -> Path:
    stated = git.environment.get("XDG_CONFIG_HOME")
    return (Path(stated) if stated else _home(git) / ".config") / "git"


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
