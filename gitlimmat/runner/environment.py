"""The variables that a job sees.

Layer: runner. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gitlimmat.git.environment import scrubbed
from gitlimmat.model import Commit, Test

_JOB_VARIABLES = frozenset(
    {
        "LIMMAT_ARTIFACTS",
        "LIMMAT_COMMIT",
        "LIMMAT_CONFIG",
        "LIMMAT_ORIGIN",
        "LIMMAT_PREVIOUS_COMMIT",
        "LIMMAT_SLOT",
        "LIMMAT_TEST",
    }
)
_JOB_PREFIXES = ("LIMMAT_ARTIFACTS_", "LIMMAT_RESOURCE_")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


def job_environment(
    base: Mapping[str, str],
    *,
    test: Test,
    commit: Commit,
    origin: Path,
    config: Path | None,
    artifacts: Path,
    dependencies: Mapping[str, Path],
    tokens: Mapping[str, Sequence[str]],
    slot: int | None,
    previous: str | None,
) -> dict[str, str]:
    """Return `base` for a job: freed of the caller's git and of an outer job, with the job's own facts.

    Shape: paths are absolute. A variable without a value is absent, also when `base` has it. `dependencies`
    maps names of direct dependencies to their artifacts, `tokens` names of resources to what the job holds.
    Source: reference/limmat.md section 3.
    """
    environment = {name: value for name, value in scrubbed(base).items() if not _is_of_a_job(name)}
    environment["LIMMAT_TEST"] = test.name
    environment["LIMMAT_COMMIT"] = commit.id
    environment["LIMMAT_ORIGIN"] = str(origin.absolute())
    environment["LIMMAT_ARTIFACTS"] = str(artifacts.absolute())
    if config is not None:
        environment["LIMMAT_CONFIG"] = str(config.absolute())
    if slot is not None:
        environment["LIMMAT_SLOT"] = str(slot)
    if previous is not None:
        environment["LIMMAT_PREVIOUS_COMMIT"] = previous
    environment |= _spelt(
        "LIMMAT_ARTIFACTS_", {name: str(at.absolute()) for name, at in dependencies.items()}
    )
    environment |= _spelt("LIMMAT_RESOURCE_", _tokens(tokens))
    return environment


def _is_of_a_job(name: str) -> bool:
    return name in _JOB_VARIABLES or name.startswith(_JOB_PREFIXES)


def _tokens(tokens: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Name every token with its place, and a single one also without; the former wins where both meet."""
    single = {name: held[0] for name, held in tokens.items() if len(held) == 1}
    return single | {f"{name}_{i}": token for name, held in tokens.items() for i, token in enumerate(held)}


def _spelt(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    """Name each value as it is and, where a shell could not read that, with `_` for other characters.

    Two names with the same such spelling get none of it, nor does one that is another's real name: a
    job that sees nothing fails at once, one that sees the wrong directory does not.
    """
    shell_names = {name: _NOT_IN_NAMES.sub("_", name) for name in _settable(values)}
    uses = Counter(shell_names.values())
    readable = {spelling: values[name] for name, spelling in shell_names.items() if uses[spelling] == 1}
    spelt = readable | {name: values[name] for name in shell_names}
    return {prefix + name: value for name, value in spelt.items()}


def _settable(names: Iterable[str]) -> list[str]:
    return [name for name in names if "=" not in name and "\0" not in name]
