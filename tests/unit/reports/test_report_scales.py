"""The numbers along an axis."""

from __future__ import annotations

import pytest

from tunesmith.reports.scales import labels, short, ticks, whole_ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 3.2, [0, 0.5, 1, 1.5, 2, 2.5, 3]),
        (0.0, 2.2e-4, [0, 5e-5, 1e-4, 1.5e-4, 2e-4]),
        (2.95, 3.07, [2.96, 2.98, 3.0, 3.02, 3.04, 3.06]),
        (5.0, 5.0, [5.0]),
    ],
)
def test_ticks_are_round_and_within_the_axis(low, high, expected):
    assert ticks(low, high, 5) == pytest.approx(expected)


@pytest.mark.parametrize("high", [1, 2, 7, 225, 500, 1_000_000])
def test_steps_are_whole_and_few(high):
    found = whole_ticks(high, 5)
    assert found[0] == 0
    assert found[-1] <= high
    assert 1 < len(found) <= 9
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.00813, "0.00813"),
        (3.1234, "3.12"),
        (12345.6, "12,346"),
        (2e-5, "2.00e-05"),
        (-0.5, "-0.5"),
    ],
)
def test_a_number_is_short(value, text):
    assert short(value) == text


def test_no_two_ticks_read_the_same_or_round_away_what_they_are():
    assert labels(ticks(2.95, 3.07, 5)) == ["2.96", "2.98", "3.00", "3.02", "3.04", "3.06"]
    assert labels(ticks(0, 3.2, 5)) == ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]
    assert labels(ticks(0, 20_000, 5)) == ["0", "5,000", "10,000", "15,000", "20,000"]
    assert labels([5.0]) == ["5"]
