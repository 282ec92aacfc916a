"""The values of git's configuration.

Layer: git.
"""

from __future__ import annotations

from gitlimmat.git.repository import Repository
from gitlimmat.model import ConfigValue


def read_settings(repository: Repository, *, asked: bool = True) -> list[ConfigValue]:
    """Return every value git sees for this repository, as the user called us (`git -c`, includes and all).

    Without `asked`, nothing that the caller says in variables counts.

    Shape: in the order git reads them, so the last one of a key wins. Undecodable bytes are surrogates.
    Raises: GitError when a configuration file is broken.
    """
    git = repository.asked if asked else repository.git.at(repository.common_dir)
    said = git.text("config", "--list", "-z", "--show-scope", "--show-origin")
    fields = said.split("\0")
    return [
        _value(scope, origin, entry)
        for scope, origin, entry in zip(fields[0::3], fields[1::3], fields[2::3], strict=False)
    ]


def _value(scope: str, origin: str, entry: str) -> ConfigValue:
    key, equals, value = entry.partition("\n")
    return ConfigValue(key=key, value=value if equals else None, scope=scope, origin=origin.removesuffix(":"))
