"""The tables and keys of `limmat.toml` as they are written: types, limits, defaults and descriptions.

Layer:  pure. May import model.

This is the only list of keys. The parser takes types and limits from it, the JSON Schema and the manual page
also the descriptions. In a description, words between backquotes are literal.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from gitlimmat.model import CachePolicy

Word = Annotated[str, Meta(min_length=1)]
ExitCode = Annotated[int, Meta(ge=1, le=255)]
MAX_TOKENS = 100_000


class ResourceTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The long forms of a resource: exactly one of `count` and `tokens` is given."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            description="Name of the resource. Tokens are passed in `LIMMAT_RESOURCE_NAME_0` and so on.",
        ),
    ]
    count: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=MAX_TOKENS,
                description=(
                    "Number of tokens. At the top level they are called `NAME-0`, `NAME-1` and so on."
                ),
            ),
        ]
        | UnsetType
    ) = UNSET
    tokens: (
        Annotated[
            tuple[Word, ...],
            Meta(
                min_length=1,
                description=(
                    "The tokens themselves, such as host names or device paths; no two are the same. In a "
                    "test only their number matters."
                ),
            ),
        ]
        | UnsetType
    ) = UNSET


class TestTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[tests]]` table."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            description=(
                "Name of the test, unique in the file. At most 100 bytes of UTF-8, without `/`, control "
                "characters and those that turn text around, not starting with `.` or `-`, and not a name "
                "that git refuses in a tree."
            ),
        ),
    ]
    command: Annotated[
        Word | Annotated[tuple[str, ...], Meta(min_length=1)],
        Meta(
            description=(
                "What to run. A string is given to the `shell` as its last word; an array is executed "
                "directly, its first word being the program."
            ),
        ),
    ]
    shell: (
        Annotated[
            tuple[str, ...],
            Meta(
                min_length=1,
                description=(
                    "Words before a `command` that is a string. Default: the `shell` of the top level."
                ),
            ),
        ]
        | UnsetType
    ) = UNSET
    requires_worktree: Annotated[
        bool,
        Meta(
            description=(
                "Whether the test runs in a worktree of its own with the commit checked out. When false it "
                "runs in your worktree, and nothing is checked out."
            ),
        ),
    ] = True
    run_by_default: Annotated[
        bool,
        Meta(description="Whether the test is selected when no `--tests` option is given."),
    ] = True
    resources: Annotated[
        tuple[Word | ResourceTable, ...],
        Meta(
            description=(
                'Tokens that a job of this test holds while it runs, each resource named once: `"NAME"` for '
                "one token, `{name, count}` for several. All are taken together or none."
            ),
        ),
    ] = ()
    shutdown_grace_period_s: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds between SIGTERM and SIGKILL when a job of this test is stopped.",
        ),
    ] = 60.0
    timeout_s: (
        Annotated[
            float,
            Meta(
                gt=0,
                description=(
                    "Seconds after which a job of this test is stopped; its outcome is then errored. "
                    "Default: no limit."
                ),
            ),
        ]
        | UnsetType
    ) = UNSET
    cache: Annotated[
        CachePolicy,
        Meta(
            description=(
                "What a result is about. `by_commit`: the commit. `by_tree`: its tree, so that other "
                "commits with the same content share the result. `no_caching`: results are kept to be seen, "
                "and never used."
            ),
        ),
    ] = CachePolicy.BY_COMMIT
    depends_on: Annotated[
        tuple[Word, ...],
        Meta(
            description=(
                "Names of tests that must pass on the same commit first. Their artifacts are then in the "
                "directories `LIMMAT_ARTIFACTS_NAME`. A dependency that is not selected is an error."
            ),
        ),
    ] = ()
    error_exit_codes: Annotated[
        tuple[ExitCode, ...],
        Meta(
            description=(
                "Exit codes that say nothing about the commit: the outcome is errored, and the test is run "
                "again the next time."
            ),
        ),
    ] = ()
    skip_exit_codes: Annotated[
        tuple[ExitCode, ...],
        Meta(
            description=(
                "Exit codes that say the test does not apply to the commit: the outcome is skipped. No code "
                "may be in `error_exit_codes` too."
            ),
        ),
    ] = ()
    separate_outputs: Annotated[
        bool,
        Meta(
            description=(
                "Whether standard output and standard error are kept apart, as `stdout` and `stderr`, "
                "instead of as one `output` in their true order."
            ),
        ),
    ] = False
    priority: Annotated[
        int,
        Meta(
            description=(
                "Of the tests of one commit, those with a higher number start first. With equal numbers the "
                "order of the file counts."
            ),
        ),
    ] = 0
    inputs: Annotated[
        tuple[Word, ...],
        Meta(
            description=(
                "Files outside the commit that the test reads, as glob patterns relative to the directory "
                "of this file; `**` matches any number of directories. A result is valid only for the "
                "content these files had."
            ),
        ),
    ] = ()


class FileTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    num_worktrees: (
        Annotated[
            int,
            Meta(
                ge=0,
                description=(
                    "How many worktrees jobs may use at once. Default: 8. The git setting "
                    "`limmat.numWorktrees` and the option `--num-worktrees` override it."
                ),
            ),
        ]
        | UnsetType
    ) = UNSET
    shell: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description=(
                "Words before each `command` that is a string, for tests that do not say otherwise."
            ),
        ),
    ] = ("bash", "-c")
    resources: Annotated[
        tuple[Word | ResourceTable, ...],
        Meta(
            description=(
                'Pools of tokens that jobs share: `"NAME"` for a single token, `{name, count}` for several, '
                "`{name, tokens}` to name them."
            ),
        ),
    ] = ()
    tests: Annotated[
        tuple[TestTable, ...],
        Meta(description="The tests, in order of preference. Written as `[[tests]]` tables."),
    ] = ()


def token_count(entry: str | ResourceTable) -> int:
    """Return how many tokens a resource has, or a test asks for."""
    if isinstance(entry, str):
        return 1
    if not isinstance(entry.tokens, UnsetType):
        return len(entry.tokens)
    return 1 if isinstance(entry.count, UnsetType) else entry.count


def entry_name(entry: str | ResourceTable) -> str:
    """Return the name of a resource in whichever form it is written."""
    return entry if isinstance(entry, str) else entry.name
