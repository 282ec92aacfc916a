"""Words for numbers that more than one surface shows."""

from __future__ import annotations

import pytest

from gitlimmat.model import duration, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1434, "1.4 KiB"),
        (5 << 20, "5.0 MiB"),
        (2 << 30, "2.0 GiB"),
        (3 << 40, "3.0 TiB"),
        (4096 << 40, "4096.0 TiB"),
    ],
)
def test_sizes_have_the_unit_people_use(count: int, text: str) -> None:
    """Terminal and pages say the same."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.085, "85 ms"), (1.2, "1.2 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 5 min")]
)
def test_durations_have_the_unit_people_use(seconds: float, text: str) -> None:
    """A time span is read at one glance."""
    assert duration(seconds) == text
