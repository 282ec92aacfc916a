"""What the user asked of every command.

Layer: service.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The options every command takes, as the user gave them; None or empty means not given.

    `commands` are those of `run --exec`; they replace the tests of the config.
    """

    repo: Path | None = None
    config: str | None = None
    result_db: Path | None = None
    worktree_prefix: str | None = None
    worktree_dir: Path | None = None
    num_worktrees: int | None = None
    git_binary: str | None = None
    tests: list[str] = []
    skip_test: list[str] = []
    jobs: int | None = None
    commands: tuple[str, ...] = ()

    def merged(self, later: Request) -> Request:
        """Return these options with those of `later`, which win; lists are joined."""
        values: dict[str, object] = {}
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(later, name)
            values[name] = [*mine, *theirs] if isinstance(mine, list) else mine if theirs is None else theirs
        return Request(**values)  # type: ignore[arg-type]

    def running(self, *, jobs: int | None, commands: tuple[str, ...]) -> Request:
        """Return these options with what only `run` takes."""
        return msgspec.structs.replace(self, jobs=jobs, commands=commands)
