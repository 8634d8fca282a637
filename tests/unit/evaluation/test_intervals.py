import math

import numpy as np
import pytest

from tunesmith.evaluation.intervals import bootstrap_ratio, perplexity, wilson
from tunesmith.schemas.evaluations import Score


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


def test_the_bootstrap_of_equal_rows_is_a_normal_interval_of_their_mean() -> None:
    draws = np.random.default_rng(7).normal(2.0, 0.5, size=400)

    score = bootstrap_ratio(draws * 10, np.full(400, 10.0))

    half = 1.96 * draws.std(ddof=1) / math.sqrt(400)
    assert score.value == pytest.approx(draws.mean())
    assert score.low == pytest.approx(draws.mean() - half, abs=0.006)
    assert score.high == pytest.approx(draws.mean() + half, abs=0.006)


def test_long_rows_weigh_by_their_tokens() -> None:
    score = bootstrap_ratio(np.array([1.0, 90.0]), np.array([1.0, 30.0]))

    assert score.value == pytest.approx(91 / 31)
    assert (score.low, score.high) == (1.0, 3.0)


def test_the_same_rows_give_the_same_interval_again() -> None:
    rows = np.arange(1.0, 30.0), np.full(29, 3.0)

    assert bootstrap_ratio(*rows) == bootstrap_ratio(*rows)


def test_pairing_takes_out_how_hard_the_rows_are() -> None:
    hardness = np.random.default_rng(3).normal(3.0, 1.0, size=50)
    tokens = np.ones(50)

    paired = bootstrap_ratio((hardness - 0.1) - hardness, tokens)
    alone = bootstrap_ratio(hardness, tokens)

    assert paired.value == pytest.approx(-0.1)
    assert paired.high < 0
    assert alone.high - alone.low > 0.3


def test_a_perplexity_is_the_exponential_of_the_loss_and_stays_finite() -> None:
    score = perplexity(Score(value=1.0, low=0.0, high=5000.0))

    assert (score.value, score.low) == (math.e, 1.0)
    assert math.isfinite(score.high)
