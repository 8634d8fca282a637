"""The interval of a proportion, with ties as half a success."""

from __future__ import annotations

import random

import pytest

from tunesmith.diagnosis.proportion import wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # R: prop.test(x, n, correct = FALSE)$conf.int
        (15, 50, 0.1910, 0.4375),
        (5, 10, 0.2366, 0.7634),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
    ],
)
def test_a_proportion_has_its_wilson_interval(successes: int, trials: int, low: float, high: float) -> None:
    score = wilson(successes, trials)

    assert score.value == successes / trials
    assert score.low == pytest.approx(low, abs=5e-5)
    assert score.high == pytest.approx(high, abs=5e-5)


def test_with_ties_as_half_the_interval_holds_at_least_as_often_as_it_says() -> None:
    draw = random.Random(5)
    weights = {1.0: 0.45, 0.5: 0.3, 0.0: 0.25}
    true, rows, samples = sum(value * share for value, share in weights.items()), 40, 1000
    held = 0
    for _ in range(samples):
        score = wilson(sum(draw.choices(list(weights), list(weights.values()), k=rows)), rows)
        held += score.low <= true <= score.high

    assert held / samples >= 0.95
