"""The canonical text of a test with all it depends on: what a result is valid for.

Layer:  pure. May import model.
Format: 1. JSON in UTF-8, keys sorted, no spaces: `{"dependencies":{NAME:OWN,…},"test":OWN,"version":1}`.
        `dependencies` is flat and holds all that is depended on, directly or not, each once. A key with its
        default value is left out, so a key that a later version adds leaves existing texts alone.

What cannot change an outcome is not in it: grace period, resources, selection, priority, order in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import xxhash

from gitlimmat.model import CachePolicy, Definition, Test

VERSION = 1
DECIDING_KEYS = (
    "command",
    "shell",
    "requires_worktree",
    "cache",
    "depends_on",
    "error_exit_codes",
    "skip_exit_codes",
    "separate_outputs",
    "timeout_s",
    "inputs",
)
DEFAULT_SHELL = ("bash", "-c")


def input_patterns(tests: Sequence[Test]) -> dict[str, tuple[str, ...]]:
    """Return, by name, the glob patterns of the tests that declare inputs, for the caller to expand."""
    return {test.name: test.inputs for test in tests if test.inputs}


def define(tests: Sequence[Test], inputs: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, Definition]:
    """Return the definition of each of `tests` by name.

    `tests` holds all dependencies of its members. `inputs` has, for each test that declares some, the path
    and content digest of each file its patterns match.
    """
    by_name = {test.name: test for test in tests}
    own = {name: _own(test, inputs.get(name, ())) for name, test in by_name.items()}
    labels = {name: _json(name) for name in by_name}
    defined = {}
    for name in by_name:
        needed = sorted(_needed(name, by_name))
        members = [f'"test":{own[name]}', f'"version":{VERSION}']
        if needed:
            entries = ",".join(f"{labels[each]}:{own[each]}" for each in needed)
            members.insert(0, f'"dependencies":{{{entries}}}')
        # Words of the command line need not be text; what is not UTF-8 becomes a JSON escape.
        text = f"{{{','.join(members)}}}".encode("utf-8", "backslashreplace")
        defined[name] = Definition(test=name, text=text, digest=digest(text))
    return defined


def digest(text: bytes) -> str:
    """Return the index of a definition: xxh3-128 of its text in 32 hex digits. Never the authority."""
    return xxhash.xxh3_128_hexdigest(text)


def _needed(name: str, by_name: Mapping[str, Test]) -> set[str]:
    """Return the names of all tests that `name` depends on, directly or not."""
    seen: set[str] = set()
    pending = list(by_name[name].depends_on)
    while pending:
        needed = pending.pop()
        if needed not in seen:
            seen.add(needed)
            pending.extend(by_name[needed].depends_on)
    return seen


def _own(test: Test, inputs: Sequence[tuple[str, str]]) -> str:
    decides: dict[str, object] = {"command": test.command}
    if isinstance(test.command, str) and test.shell != DEFAULT_SHELL:
        decides["shell"] = test.shell
    if not test.requires_worktree:
        decides["requires_worktree"] = False
    if test.cache is not CachePolicy.BY_COMMIT:
        decides["cache"] = str(test.cache)
    if test.separate_outputs:
        decides["separate_outputs"] = True
    if test.timeout_s is not None:
        decides["timeout_s"] = int(test.timeout_s) if test.timeout_s.is_integer() else test.timeout_s
    sets: dict[str, set[int] | set[str] | set[tuple[str, str]]] = {
        "depends_on": set(test.depends_on),
        "error_exit_codes": set(test.error_exit_codes),
        "skip_exit_codes": set(test.skip_exit_codes),
        "inputs": set(inputs),
    }
    decides |= {key: sorted(values) for key, values in sets.items() if values}
    return _json(decides)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
