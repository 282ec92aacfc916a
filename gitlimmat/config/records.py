"""What a configuration file says, checked and with defaults filled in.

Layer:  pure. May import model, errors.
"""

from __future__ import annotations

import msgspec

from gitlimmat.model import Resource, Test


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration file.

    Shape: `resources` and `tests` in file order. `num_worktrees` is None when the file does not say.
    """

    num_worktrees: int | None = None
    resources: tuple[Resource, ...] = ()
    tests: tuple[Test, ...] = ()
