import math

import numpy as np
import pytest

from tunesmith.evaluation.intervals import (
    perplexity,
    ratio_interval,
    share_difference,
    share_interval,
    t_quantile,
)
from tunesmith.schemas.evaluations import Score


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    # R: qt(0.975, df)
    [
        (1, 12.706205),
        (2, 4.302653),
        (3, 3.182446),
        (9, 2.262157),
        (30, 2.042272),
        (200, 1.971896),
        (1000, 1.962339),
    ],
)
def test_quantiles_of_students_t(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=2e-5)


def test_many_rows_of_like_length_have_the_normal_interval_of_their_mean() -> None:
    draws = np.random.default_rng(7).normal(2.0, 0.5, size=400)

    score = ratio_interval(draws * 10, np.full(400, 10.0))

    half = 1.966 * draws.std(ddof=1) / math.sqrt(400)
    assert score.value == pytest.approx(draws.mean())
    assert score.low == pytest.approx(draws.mean() - half, abs=0.006)
    assert score.high == pytest.approx(draws.mean() + half, abs=0.006)


def test_long_rows_weigh_by_their_tokens() -> None:
    score = ratio_interval(np.array([1.0, 90.0]), np.array([1.0, 30.0]), lowest=0.0)

    assert score.value == pytest.approx(91 / 31)
    assert score.low == 0.0 and score.high > 3.0


def test_one_row_tells_next_to_nothing() -> None:
    score = ratio_interval(np.array([20.0]), np.array([10.0]), lowest=0.0)

    assert (score.value, score.low) == (2.0, 0.0) and score.high > 20
    assert share_interval(np.array([1.0]), np.array([1.0])).low < 0.25


def test_rows_that_are_all_alike_are_no_proof_of_a_share() -> None:
    perfect = share_interval(np.full(20, 7.0), np.full(20, 7.0))
    equal = share_difference(np.zeros(20), np.ones(20))

    assert perfect.value == perfect.high == 1.0 and 0.7 < perfect.low < 0.95
    assert equal.value == 0.0 and equal.low == -equal.high < -0.05


def test_the_same_rows_give_the_same_interval_again() -> None:
    rows = np.arange(1.0, 30.0), np.full(29, 3.0)

    assert ratio_interval(*rows) == ratio_interval(*rows)


def test_pairing_takes_out_how_hard_the_rows_are() -> None:
    hardness = np.random.default_rng(3).normal(3.0, 1.0, size=50)
    tokens = np.ones(50)

    paired = ratio_interval((hardness - 0.1) - hardness, tokens)
    alone = ratio_interval(hardness, tokens)

    assert paired.value == pytest.approx(-0.1)
    assert paired.high < 0
    assert alone.high - alone.low > 0.3


def test_a_perplexity_is_the_exponential_of_the_loss_and_stays_finite() -> None:
    score = perplexity(Score(value=1.0, low=0.0, high=5000.0))

    assert (score.value, score.low) == (math.e, 1.0)
    assert math.isfinite(score.high)
