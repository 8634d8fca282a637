"""The range test reads a good learning rate off a loss that falls and then runs away."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from tunesmith.training.range_test import choose_rate, run_range_test


def quadratic(curvature: float, start: float = 1.0) -> Callable[[float], float]:
    """Gradient descent on half the curvature times x squared, which runs away from rates beyond 2 / curvature on."""
    state = [start]

    def step(rate: float) -> float:
        loss = 0.5 * curvature * state[0] ** 2 + 0.1
        state[0] -= rate * curvature * state[0]
        return loss

    return step


@pytest.mark.parametrize("curvature", [3.0, 10.0, 50.0])
def test_the_choice_is_below_where_it_runs_away_and_not_far_below(curvature: float) -> None:
    chosen = choose_rate(run_range_test(quadratic(curvature), usual=0.02), usual=0.02).learning_rate
    assert 0.01 / curvature < chosen < 2 / curvature


def test_it_ends_when_the_loss_runs_away_or_is_no_number() -> None:
    points = run_range_test(quadratic(1e4, start=0.1), usual=1.0)
    assert len(points) < 60
    losses = iter([3.0] * 15 + [math.nan] * 100)
    assert len(run_range_test(lambda _: next(losses), usual=1.0)) == 15


def test_the_choice_stays_near_the_usual_rate() -> None:
    assert (
        choose_rate(run_range_test(quadratic(1e-3, start=100.0), usual=1.0), usual=1.0).learning_rate <= 10.0
    )


def test_a_loss_that_does_not_fall_leaves_the_usual_rate() -> None:
    choice = choose_rate(run_range_test(lambda _: 2.0, usual=0.1), usual=0.1)
    assert choice.learning_rate == 0.1
    assert "did not fall" in choice.why
