"""What the user asked of every command.

Layer: service.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The options every command takes, as the user gave them; None or empty means not given.

    `commands` are those of `run --exec`; they replace the tests of the config. `own_config` looks for the
    config in the repository and not where the user is.
    """

    repo: list[Path] = []
    config: str | None = None
    result_db: Path | None = None
    worktree_prefix: str | None = None
    worktree_dir: Path | None = None
    num_worktrees: int | None = None
    git_binary: str | None = None
    color: str | None = None
    tests: list[str] = []
    skip_test: list[str] = []
    jobs: int | None = None
    notify: str | None = None
    http_sockaddr: str | None = None
    hostname: str | None = None
    commands: tuple[str, ...] = ()
    own_config: bool = False

    def merged(self, later: Request) -> Request:
        """Return these options with those of `later`, which win; lists are joined."""
        values: dict[str, object] = {}
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(later, name)
            values[name] = [*mine, *theirs] if isinstance(mine, list) else mine if theirs is None else theirs
        return Request(**values)  # type: ignore[arg-type]

    def running(self, *, jobs: int | None, commands: tuple[str, ...]) -> Request:
        """Return these options with what only commands that run tests take."""
        return msgspec.structs.replace(self, jobs=jobs, commands=commands)

    def serving(self, *, http_sockaddr: str | None, hostname: str | None) -> Request:
        """Return these options with what only commands that serve pages take."""
        return msgspec.structs.replace(self, http_sockaddr=http_sockaddr, hostname=hostname)

    def notifying(self, notify: str | None) -> Request:
        """Return these options with what only `watch` takes."""
        return msgspec.structs.replace(self, notify=notify)

    def each(self) -> tuple[Request, ...]:
        """Return the same options for each of the repositories."""
        if len(self.repo) < 2:
            return (self,)
        return tuple(
            msgspec.structs.replace(self, repo=[path], own_config=True) for path in dict.fromkeys(self.repo)
        )
