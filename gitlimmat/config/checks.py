"""What a type cannot say: whether the tables of a file fit their own limits and each other.

Layer:  pure. May import the tables.

Stand-ins for faulty values (empty strings, -1, empty arrays) are passed over: they are reported already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from msgspec import UnsetType

from gitlimmat.config.cycles import cycles
from gitlimmat.config.names import name_fault, quote, resource_name_fault
from gitlimmat.config.reading import StandIn, suggest
from gitlimmat.config.tables import FileTable, ResourceTable, TestTable, entry_name, token_count


def check(file: FileTable) -> Iterator[str]:
    """Return the faults of a whole file, one line each, those of one place together."""
    yield from _words(file.shell, "shell")
    yield from _resources(file.resources)
    yield from _duplicates((test.name for test in file.tests), "tests[{}].name")
    for index, test in enumerate(file.tests):
        yield from _test(test, f"tests[{index}]")
        yield from _needs(test, file.resources, f"tests[{index}].resources")
    yield from _dependencies(file.tests)
    yield from _worktrees(file)


def _test(test: TestTable, place: str) -> Iterator[str]:
    yield from _name(test.name, f"{place}.name", name_fault)
    if isinstance(test.command, tuple):
        yield from _words(test.command, f"{place}.command")
    elif test.command:
        yield from _text(test.command, f"{place}.command", blank="must not be empty")
    if not isinstance(test.shell, UnsetType):
        yield from _words(test.shell, f"{place}.shell")
    if not math.isfinite(test.shutdown_grace_period_s):
        yield f"{place}.shutdown_grace_period_s: expected a finite number"
    if not isinstance(test.timeout_s, UnsetType) and not math.isfinite(test.timeout_s):
        yield f"{place}.timeout_s: expected a finite number, leave the key out for no limit"
    yield from _exit_codes(test, place)
    for index, pattern in enumerate(test.inputs):
        yield from _pattern(pattern, f"{place}.inputs[{index}]")


def _name(name: str, place: str, fault_of: Callable[[str], str | None]) -> Iterator[str]:
    fault = fault_of(name) if name else None
    if fault:
        yield f"{place}: {fault}"


def _words(words: tuple[str, ...], place: str) -> Iterator[str]:
    """Faults of words to be executed: the first one names a program, and none can hold a NUL."""
    for index, word in enumerate(words):
        if index == 0:
            yield from _text(word, f"{place}[0]", blank="must not be empty")
        else:
            yield from _text(word, f"{place}[{index}]")


def _text(text: str, place: str, *, blank: str = "") -> Iterator[str]:
    if isinstance(text, StandIn):
        return
    if blank and not text.strip():
        yield f"{place}: {blank}"
    if "\0" in text:
        yield f"{place}: has a NUL character"


def _exit_codes(test: TestTable, place: str) -> Iterator[str]:
    errors = set(test.error_exit_codes)
    for index, code in enumerate(test.skip_exit_codes):
        if code > 0 and code in errors:
            yield f"{place}.skip_exit_codes[{index}]: {code} is in error_exit_codes too"


def _pattern(pattern: str, place: str) -> Iterator[str]:
    yield from _text(pattern, place)
    if pattern.startswith("/"):
        yield f"{place}: {quote(pattern)} is not relative to the directory of the file"
    if any("**" in part and part != "**" for part in pattern.split("/")):
        yield f"{place}: in {quote(pattern)}, '**' is not a whole path component"


def _resources(entries: tuple[str | ResourceTable, ...]) -> Iterator[str]:
    for index, entry in enumerate(entries):
        place = f"resources[{index}]"
        yield from _name(
            entry_name(entry),
            f"{place}.name" if isinstance(entry, ResourceTable) else place,
            resource_name_fault,
        )
        yield from _form(entry, place)
        if isinstance(entry, ResourceTable) and not isinstance(entry.tokens, UnsetType):
            yield from _duplicates(entry.tokens, f"{place}.tokens[{{}}]")
            for number, token in enumerate(entry.tokens):
                yield from _text(token, f"{place}.tokens[{number}]")
    yield from _duplicates((entry_name(entry) for entry in entries), "resources[{}]")


def _form(entry: str | ResourceTable, place: str) -> Iterator[str]:
    if not isinstance(entry, ResourceTable) or not entry.name:
        return
    given = [key for key in (entry.count, entry.tokens) if not isinstance(key, UnsetType)]
    if len(given) != 1:
        yield f"{place}: expected exactly one of 'count' and 'tokens', got {'both' if given else 'neither'}"


def _needs(test: TestTable, pools: tuple[str | ResourceTable, ...], place: str) -> Iterator[str]:
    sizes = {entry_name(entry): token_count(entry) for entry in pools}
    for index, entry in enumerate(test.resources):
        here, name, count = f"{place}[{index}]", entry_name(entry), token_count(entry)
        yield from _form(entry, here)
        if not name:
            continue
        if name not in sizes:
            yield f"{here}: no resource {quote(name)}{suggest(name, sizes)}"
        elif count > sizes[name] > 0:
            yield f"{here}: needs {count} tokens of {quote(name)}, which has {sizes[name]}"
    yield from _duplicates((entry_name(entry) for entry in test.resources), f"{place}[{{}}]")


def _duplicates(names: Iterable[str], place: str) -> Iterator[str]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name and first.setdefault(name, index) != index:
            yield f"{place.format(index)}: {quote(name)} is given already at {place.format(first[name])}"


def _dependencies(tests: tuple[TestTable, ...]) -> Iterator[str]:
    known: dict[str, int] = {}
    for number, test in enumerate(tests):
        if test.name:
            known.setdefault(test.name, number)
    for number, test in enumerate(tests):
        for index, name in enumerate(test.depends_on):
            if name and name not in known:
                yield f"tests[{number}].depends_on[{index}]: no test {quote(name)}{suggest(name, known)}"
    for cycle in cycles({name: tests[index].depends_on for name, index in known.items()}):
        start = known[cycle[0]]
        following = cycle[1] if len(cycle) > 1 else cycle[0]
        index = tests[start].depends_on.index(following)
        told = " -> ".join(quote(name) for name in (*cycle, cycle[0]))
        yield f"tests[{start}].depends_on[{index}]: tests depend on each other: {told}"


def _worktrees(file: FileTable) -> Iterator[str]:
    if file.num_worktrees == 0:
        needy = [f"tests[{index}]" for index, test in enumerate(file.tests) if test.requires_worktree]
        if needy:
            shown = ", ".join(needy[:3]) + (f" and {len(needy) - 3} more" if len(needy) > 3 else "")
            yield f"num_worktrees: is 0, but a worktree is needed by {shown}"
