from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from tunesmith.diagnosis.effect import PRACTICAL_EFFECT
from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.metrics import RowScore
from tunesmith.evaluation.significance import FLIPS, noise_p, sign_flip_p, skewed_t_p


def test_of_few_rows_every_way_to_flip_the_signs_is_counted() -> None:
    moved = np.array([0.5, -0.1, 0.9, 0.3])
    sums = [abs(float(np.dot(signs, moved))) for signs in product([-1, 1], repeat=4)]

    assert sign_flip_p(moved) == sum(total >= 1.6 - 1e-12 for total in sums) / 16
    assert sign_flip_p(np.array([0.3, 0.2, 0.1])) == 2 / 8
    assert sign_flip_p(np.zeros(9)) == 1.0
    assert sign_flip_p(np.array([1.0, 0.0, 0.0, -1.0])) == 1.0


def test_ties_of_wins_and_losses_are_mcnemars_exact_test() -> None:
    won, lost = 17, 5
    moved = np.concatenate([np.ones(won), -np.ones(lost), np.zeros(40)])
    exact = 2 * sum(math.comb(22, wins) for wins in range(won, 23)) / 2**22

    assert sign_flip_p(moved) == pytest.approx(exact, abs=4 * math.sqrt(exact / FLIPS))


def test_differences_too_clear_for_random_flips_have_a_bound_that_is_never_too_small() -> None:
    moved = np.ones(24)

    assert 2 / 2**24 <= sign_flip_p(moved) < 1e-4
    assert sign_flip_p(np.ones(200)) < 1e-30
    drawn = np.random.default_rng(0).normal(0.9, 1.0, 40)
    assert 0 < sign_flip_p(drawn) < 1e-4


@pytest.mark.parametrize("rows", [5, 10, 14, 30, 100])
@pytest.mark.parametrize("noise", ["even", "heavy"])
def test_two_equal_models_get_a_small_p_no_more_often_than_it_says(noise: str, rows: int) -> None:
    generator = np.random.default_rng(rows)
    draw = {"even": generator.normal, "heavy": lambda: generator.lognormal(0, 1)}[noise]
    differences = [np.array([draw() - draw() for _ in range(rows)]) for _ in range(400)]

    found = np.array([sign_flip_p(difference) for difference in differences])

    # 400 draws at 5 %: more than 33 come with a probability below 0.4 %.
    assert (found <= 0.05).sum() <= 33
    assert (found <= 0.01).sum() <= 11


@pytest.mark.parametrize("rows", [10, 20, 60])
@pytest.mark.parametrize("skewed", [False, True])
def test_two_equal_models_are_seldom_called_different(skewed: bool, rows: int) -> None:
    generator = np.random.default_rng(rows)
    called = 0
    for _ in range(300):
        hard = generator.lognormal(0.5, 0.5, rows)
        # Mean differences are zero. Skewed: many rows a little better, few much worse.
        noise = generator.exponential(1, rows) - 1 if skewed else generator.normal(0, 1, rows)
        tokens = np.ceil(generator.lognormal(3, 0.5, rows)).astype(int)
        base, tuned = (
            [
                RowScore(at, float(loss * size), int(size), 0)
                for at, (loss, size) in enumerate(zip(losses, tokens, strict=True))
            ]
            for losses in (hard, hard + 0.3 * noise)
        )
        found = compare(base, tuned)
        called += found.verdict != "no_measurable_change"
        assert (
            found.verdict == "no_measurable_change"
            or abs(found.loss_difference.value) > PRACTICAL_EFFECT / 10
        )

    assert called <= 24  # of 300: at 5 % more than 24 come with a probability of 1 %


def test_few_rows_much_worse_outweigh_many_a_little_better() -> None:
    generator = np.random.default_rng(8)
    drawn = [generator.exponential(1, 14) - 1 for _ in range(1000)]

    signs = sum(sign_flip_p(moved) <= 0.05 for moved in drawn)
    both = sum(noise_p(moved) <= 0.05 for moved in drawn)

    assert signs > 72 >= both  # of 1,000: at 5 % more than 72 come with a probability of 0.1 %


def test_without_skewness_the_second_p_value_is_that_of_students_t() -> None:
    moved = np.array([-1.0, 1.0, 2.0, 3.0, 5.0])
    moved = np.concatenate([moved, 4.0 - moved])  # symmetric about its mean

    assert skewed_t_p(moved) == pytest.approx(0.0149564, abs=1e-6)  # scipy.stats.ttest_1samp
    assert skewed_t_p(np.ones(5)) == 0.0
    assert skewed_t_p(np.array([])) == 0.0


def test_a_model_that_is_better_on_most_rows_is_found_out() -> None:
    generator = np.random.default_rng(1)

    found = [noise_p(generator.normal(-0.4, 1.0, 100)) for _ in range(100)]

    assert sum(p <= 0.05 for p in found) >= 90
