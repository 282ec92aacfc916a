"""Find cycles among names that refer to each other.

Layer:  pure. Imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


def cycles(references: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Return cycles such that breaking one reference of each leaves none.

    Shape: each cycle starts at the member that comes first in `references`; of a name that refers to itself
    it has one member. References to names that are no keys are passed over. No recursion: any depth will do.
    """
    order = {name: index for index, name in enumerate(references)}
    found: list[tuple[str, ...]] = []
    done: set[str] = set()
    for start in references:
        if start in done:
            continue
        path = {start: None}
        pending: list[Iterator[str]] = [iter(references[start])]
        while pending:
            name = next((name for name in pending[-1] if name in references and name not in done), None)
            if name is None:
                pending.pop()
                done.add(path.popitem()[0])
            elif name in path:
                members = list(path)
                members = members[members.index(name) :]
                first = members.index(min(members, key=order.__getitem__))
                found.append((*members[first:], *members[:first]))
            else:
                path[name] = None
                pending.append(iter(references[name]))
    return found
