"""Settings of the host and the user: where each may come from, and which source wins.

Layer:  pure. May import model, errors. Environment and git config come as arguments.

Precedence: option, environment, git config, file, default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from gitlimmat.config.names import quote
from gitlimmat.config.reading import suggest
from gitlimmat.config.records import Config
from gitlimmat.config.sources import Background, Glyphs, Notify, PrePush, Reader, Setting, Source
from gitlimmat.config.values import MAX_SIZE
from gitlimmat.model import ConfigValue

_PREFIX = "limmat."
_OF_QUEUE = "limmat.queue."  # read by the queue itself

SETTINGS = (
    Setting(
        name="num_worktrees",
        key="limmat.numWorktrees",
        option="--num-worktrees",
        variable="LIMMAT_NUM_WORKTREES",
        default="8",
        summary="How many worktrees jobs may use at once.",
    ),
    Setting(
        name="jobs",
        key="limmat.jobs",
        option="--jobs",
        variable="LIMMAT_JOBS",
        default="the number of worktrees when that is set, else of processors",
        summary="How many jobs run at once; 0 means the default.",
    ),
    Setting(
        name="worktree_dir",
        key="limmat.worktreeDir",
        option="--worktree-dir",
        variable="LIMMAT_WORKTREE_DIR",
        default="a pool in the cache directory that is kept",
        summary="Directory in which temporary worktrees are made, and removed at the end.",
    ),
    Setting(
        name="worktree_prefix",
        key="limmat.worktreePrefix",
        option="--worktree-prefix",
        default="limmat-worktree",
        summary="How the names of temporary worktrees start.",
    ),
    Setting(
        name="result_db",
        key="limmat.resultDb",
        option="--result-db",
        variable="LIMMAT_RESULT_DB",
        default="the repository itself",
        summary="Directory of a bare repository in which results are kept instead.",
    ),
    Setting(
        name="base",
        key="limmat.base",
        option="argument",
        variable="LIMMAT_BASE",
        default="upstream, else origin's HEAD, else main or master",
        summary="Where the range starts when none is given.",
    ),
    Setting(
        name="notes_ref",
        key="limmat.notesRef",
        variable="LIMMAT_NOTES_REF",
        default="refs/notes/limmat",
        summary="The notes in which `git log` shows results; `off` or an empty value means none.",
    ),
    Setting(
        name="config",
        key="limmat.config",
        option="--config",
        variable="LIMMAT_CONFIG",
        default="limmat.toml, else .limmat.toml",
        summary="The file with the tests.",
    ),
    Setting(
        name="cache_size",
        key="limmat.cacheSize",
        default="2g",
        summary="How many bytes of unpacked artifacts and outputs are kept for quick access.",
    ),
    Setting(
        name="glyphs",
        key="limmat.glyphs",
        default="`unicode`, or `ascii` when the locale is not UTF-8",
        summary="Which signs stand for outcomes: `emoji`, `unicode` or `ascii`.",
    ),
    Setting(
        name="notify",
        key="limmat.notify",
        option="--notify",
        default="`false`",
        summary="Whether `git limmat watch` notifies the desktop, or a command to run instead.",
    ),
    Setting(
        name="notify_idle",
        key="limmat.notifyIdle",
        default="0",
        summary="After how many minutes in which no job has finished there is a notice; 0 means never.",
    ),
    Setting(
        name="http_sockaddr",
        key="limmat.httpSockaddr",
        option="--http-sockaddr",
        default="`127.0.0.1:0`",
        summary="Address and port that pages are served at; port 0 means any that is free.",
    ),
    Setting(
        name="hostname",
        key="limmat.hostname",
        option="--hostname",
        default="the address that was asked for",
        summary="Name of this host in the links to pages.",
    ),
    Setting(
        name="shared_jobs",
        key="limmat.sharedJobs",
        default="0",
        summary="How many jobs run at once in all processes of this user that say so; 0 means any number.",
    ),
    Setting(
        name="shared_resources",
        key="limmat.sharedResource",
        default="none",
        summary="Name of a resource whose tokens are each held once on this host; may be repeated.",
    ),
    Setting(
        name="background",
        key="limmat.background",
        default="`head`",
        summary="What hooks have tested while nobody watches: `off`, `head` or `range`.",
    ),
    Setting(
        name="pre_push",
        key="limmat.prePush",
        default="`warn`",
        summary="What becomes of a push of commits that have not passed: `warn`, `block` or `off`.",
    ),
    Setting(
        name="program",
        key="limmat.program",
        default="none",
        summary="The program that hooks call where there is no `git-limmat` in PATH, as an absolute path.",
    ),
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The value of every setting.

    `origins` says in words where each value came from, `sources` the same as a closed set. Paths are
    absolute. `warnings` has one line for each key of git config that looks like ours and is not.

    Units: `cache_size` is bytes, `notify_idle` minutes.
    """

    num_worktrees: int
    jobs: int
    worktree_dir: Path | None
    worktree_prefix: str
    result_db: Path | None
    base: str | None
    notes_ref: str | None
    config: Path | None
    cache_size: int
    glyphs: Glyphs
    notify: Notify
    notify_idle: int
    http_sockaddr: str
    hostname: str | None
    shared_jobs: int | None
    shared_resources: tuple[str, ...]
    background: Background
    pre_push: PrePush
    program: Path | None
    origins: Mapping[str, str]
    sources: Mapping[str, Source]
    warnings: tuple[str, ...] = ()


def resolve(
    *,
    options: Mapping[str, str | int | Path | None],
    environment: Mapping[str, str],
    git: Sequence[ConfigValue],
    processors: int,
    cwd: Path,
    top: Path,
    file: Config | None = None,
    file_name: str = "limmat.toml",
) -> Settings:
    """Return the settings that hold.

    `options` maps names of settings to what the command line says, None when it does not. Paths in options
    and environment are relative to `cwd`, those in git config to `top`. An empty variable counts as unset,
    but turns notes off.

    Raises: UsageError when only options are faulty, else ConfigError; both tell all faults.
    """
    reader = Reader(
        SETTINGS, options=options, environment=environment, git=git, file=file, file_name=file_name
    )
    num_worktrees = reader.number("num_worktrees", 8)
    stated = reader.sources["num_worktrees"] is not Source.DEFAULT and num_worktrees > 0
    settings = Settings(
        num_worktrees=num_worktrees,
        jobs=reader.number("jobs", 0) or (num_worktrees if stated else max(processors, 1)),
        worktree_dir=reader.path("worktree_dir", cwd, top),
        worktree_prefix=reader.prefix("worktree_prefix", "limmat-worktree"),
        result_db=reader.path("result_db", cwd, top),
        base=reader.text("base") or None,
        notes_ref=reader.notes_ref("notes_ref", "refs/notes/limmat"),
        config=reader.path("config", cwd, top),
        cache_size=reader.number("cache_size", 2 << 30, limit=MAX_SIZE),
        glyphs=reader.glyphs("glyphs"),
        notify=reader.notify("notify"),
        notify_idle=reader.number("notify_idle", 0),
        http_sockaddr=reader.sockaddr("http_sockaddr", "127.0.0.1:0"),
        hostname=reader.hostname("hostname"),
        shared_jobs=reader.number("shared_jobs", 0) or None,
        shared_resources=reader.names("shared_resources"),
        background=reader.word("background", Background.HEAD),
        pre_push=reader.word("pre_push", PrePush.WARN),
        program=reader.path("program", cwd, top),
        origins=reader.origins,
        sources=reader.sources,
        warnings=_unknown_keys(git),
    )
    if num_worktrees == 0 and file is not None:
        reader.refuse_no_worktrees(file)
    reader.finish()
    return settings


def _unknown_keys(git: Sequence[ConfigValue]) -> tuple[str, ...]:
    known = {setting.key.lower() for setting in SETTINGS}
    ours = {value.key.lower(): value for value in git if value.key.lower().startswith(_PREFIX)}
    return tuple(
        f"unknown git setting {quote(value.key)} in {value.origin}{_suggest_key(key)}"
        for key, value in ours.items()
        if key not in known and not key.startswith(_OF_QUEUE)
    )


def _suggest_key(key: str) -> str:
    names = (setting.key.removeprefix(_PREFIX) for setting in SETTINGS)
    return suggest(key.removeprefix(_PREFIX), names)
