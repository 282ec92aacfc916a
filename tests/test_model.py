"""Words for numbers that more than one surface shows."""

from __future__ import annotations

import pytest

from gitlimmat.model import counted, duration, size


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


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "file", "0 files"),
        (1, "file", "1 file"),
        (2, "entry", "2 entries"),
        (1, "process", "1 process"),
        (2, "process", "2 processes"),
    ],
)
def test_nouns_follow_their_number(number: int, noun: str, text: str) -> None:
    """One is one; more than one, and none, take the plural."""
    assert counted(number, noun) == text
