"""Records that every layer shares.

Layer:  base. Imports nothing of ours.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """What a job taught us. Only PASSED, FAILED and SKIPPED are ever reused."""

    PASSED = "passed"  # the command exited 0
    FAILED = "failed"  # it exited with a status not named below
    SKIPPED = "skipped"  # it exited with one of `skip_exit_codes`
    ERRORED = "errored"  # it could not start, timed out, was killed, or said so
    CANCELLED = "cancelled"  # we stopped it: nobody wants to know any more

    @property
    def is_verdict(self) -> bool:
        """Whether this says something about the commit, and may be reused."""
        return self in (Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED)


class CachePolicy(StrEnum):
    """What a result is about, and whether it is ever reused."""

    BY_COMMIT = "by_commit"
    BY_TREE = "by_tree"
    NO_CACHING = "no_caching"


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A named pool of tokens that jobs share. `tokens` has at least one entry, each a distinct value."""

    name: str
    tokens: tuple[str, ...]


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens of a resource one job holds while it runs; `count` is at least 1."""

    name: str
    count: int = 1


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """A named command of `limmat.toml`, checked and with defaults filled in.

    Units: `shutdown_grace_period_s` and `timeout_s` are seconds.
    """

    name: str
    command: str | tuple[str, ...]
    shell: tuple[str, ...] = ("bash", "-c")
    requires_worktree: bool = True
    run_by_default: bool = True
    resources: tuple[Need, ...] = ()
    shutdown_grace_period_s: float = 60.0
    timeout_s: float | None = None
    cache: CachePolicy = CachePolicy.BY_COMMIT
    depends_on: tuple[str, ...] = ()
    error_exit_codes: tuple[int, ...] = ()
    skip_exit_codes: tuple[int, ...] = ()
    separate_outputs: bool = False
    priority: int = 0
    inputs: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """The words that are executed: the command itself, or the shell with the command as last word."""
        if isinstance(self.command, str):
            return (*self.shell, self.command)
        return self.command

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the output files a job of this test leaves."""
        return ("stdout", "stderr") if self.separate_outputs else ("output",)


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A whole test as configured, with what it depends on: what a result is valid for.

    `text` is canonical JSON, the authority; `digest` is xxh3-128 of it in 32 hex digits, only an index.
    """

    test: str
    text: bytes
    digest: str


class ConfigValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value of git's configuration, as git reads it: the last one of a key wins.

    `key` is as git prints it (section and variable in lower case). `value` is None for a key without `=`,
    which means true. `scope` is git's word (`local`, `global`, …), `origin` where it is (`file:.git/config`).
    """

    key: str
    value: str | None
    scope: str
    origin: str


class Commit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A commit and its tree, both as full hexadecimal object ids."""

    id: str
    tree: str


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What one job is about: a subject (commit or tree id) and a definition of a test."""

    subject: str
    test: str
    digest: str


class Stored(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A blob or tree kept with a result. `size` is bytes; of a tree, the sum over its files."""

    oid: str
    size: int


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The record that a finished job leaves: one JSON line in the results ref.

    Units: `started` is seconds since the epoch in UTC, `elapsed` seconds of the monotonic clock.
    `digest` is the name of the definition in the store, `exit_status` and `signal` exclude each other.
    `outputs` maps a stream name (`output`, or `stdout` and `stderr`) to its blob. `dropped` names artifacts
    that could not be kept, with the reason. `usable` is false for `no_caching` tests: seen, never used.
    """

    test: str
    digest: str
    outcome: Outcome
    started: float
    elapsed: float
    commit: str
    reason: str = ""
    exit_status: int | None = None
    signal: int | None = None
    attempts: int = 1
    usable: bool = True
    host: str = ""
    version: str = ""
    outputs: dict[str, Stored] = {}
    artifacts: Stored | None = None
    dropped: tuple[str, ...] = ()

    @property
    def reusable(self) -> bool:
        """Whether a later run may take this instead of running the test again."""
        return self.usable and self.outcome.is_verdict


def subject_of(test: Test, commit: Commit) -> str:
    """Return the object id a result of `test` on `commit` is about."""
    return commit.tree if test.cache is CachePolicy.BY_TREE else commit.id


def duration(seconds: float) -> str:
    """Return a time span in the unit people use for it: `85 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 file`, `2 files`, `2 entries`, `2 processes`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number} {noun[:-1]}ies"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def size(count: int) -> str:
    """Return a number of bytes for people: `812 bytes`, `1.4 KiB`, `2.0 GiB`."""
    if count < 1024:
        return counted(count, "byte")
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            break
    return f"{value:.1f} {unit}"
