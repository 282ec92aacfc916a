"""Choose the tests to run by patterns on their names.

Layer:  pure. May import model, errors.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from gitlimmat.config.names import quote
from gitlimmat.errors import ConfigError, UsageError
from gitlimmat.model import Test


def select(
    tests: Sequence[Test], *, only: Sequence[str], skip: Sequence[str], to_run: bool = True
) -> tuple[Test, ...]:
    """Return the tests whose name has a match of a pattern in `only` and none of a pattern in `skip`.

    Without `only` it is the tests that run by default. Dependencies are not added.

    Shape: in the order of `tests`; possibly empty.
    Raises: UsageError for a pattern that is no regular expression; ConfigError when a chosen test depends on
    one that is not, if they are chosen `to_run`.
    """
    wanted, unwanted = _compile(only, "--tests"), _compile(skip, "--skip-test")
    chosen = tuple(
        test
        for test in tests
        if (any(pattern.search(test.name) for pattern in wanted) if only else test.run_by_default)
        and not any(pattern.search(test.name) for pattern in unwanted)
    )
    if to_run:
        _check_closed(chosen)
    return chosen


def _compile(patterns: Sequence[str], option: str) -> list[re.Pattern[str]]:
    compiled = []
    for pattern in patterns:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compiled.append(re.compile(pattern))
        except (re.error, OverflowError, RecursionError) as error:
            raise UsageError(
                f"bad regular expression {quote(pattern)} for '{option}': {error}",
                hint="put a backslash before a character that shall stand for itself",
            ) from error
    return compiled


def _check_closed(chosen: Sequence[Test]) -> None:
    names = {test.name for test in chosen}
    faults = tuple(
        f"test {quote(test.name)} depends on {quote(needed)}, which is not selected"
        for test in chosen
        for needed in test.depends_on
        if needed not in names
    )
    if faults:
        told = faults[0] if len(faults) == 1 else f"{len(faults)} dependencies are not selected"
        raise ConfigError(
            f"cannot select tests: {told}", faults=faults, hint="select the dependency too, or skip the test"
        )
