"""How often the intervals hold what they promise: many samples from populations whose true value is known.

The floors stand about three standard errors of the simulation below what longer ones printed: docs/evaluation.md has
those figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tunesmith.diagnosis.proportion import wilson
from tunesmith.evaluation.classification import NO_LABEL, macro_f1, macro_f1_difference
from tunesmith.evaluation.intervals import ratio_interval, share_difference, share_interval
from tunesmith.schemas.evaluations import Score

SAMPLES = 400
Draw = Callable[[np.random.Generator, int], np.ndarray]

LOSSES: dict[str, tuple[Draw, float]] = {
    "even": (lambda generator, rows: generator.normal(2, 0.5, rows), 2.0),
    "skewed": (lambda generator, rows: generator.exponential(1, rows), 1.0),
    "heavy": (lambda generator, rows: generator.lognormal(0, 1, rows), math.exp(0.5)),
}
SHARES: dict[str, tuple[Draw, float]] = {
    "mixed": (
        lambda generator, rows: np.where(
            generator.random(rows) < 0.6,
            1.0,
            np.where(generator.random(rows) < 0.4, 0.0, generator.beta(2, 2, rows)),
        ),
        0.6 + 0.4 * 0.6 * 0.5,
    ),
    "nearly perfect": (
        lambda generator, rows: np.where(generator.random(rows) < 0.95, 1.0, generator.beta(2, 2, rows)),
        0.975,
    ),
    "middling": (lambda generator, rows: generator.beta(3, 7, rows), 0.3),
}


def covered(interval: Callable[[], Score], truth: float, samples: int = SAMPLES) -> float:
    """The share of samples whose interval holds the truth."""
    found = [interval() for _ in range(samples)]
    return sum(score.low <= truth <= score.high for score in found) / samples


@pytest.mark.parametrize("rows", [3, 5, 10, 30, 100])
@pytest.mark.parametrize(("losses", "floor"), [("even", 0.91), ("skewed", 0.88), ("heavy", 0.85)])
def test_intervals_of_losses_hold_for_few_rows_and_skewed_losses(
    losses: str, floor: float, rows: int
) -> None:
    generator = np.random.default_rng(rows)
    draw, truth = LOSSES[losses]

    def interval() -> Score:
        tokens = np.ceil(generator.lognormal(3, 0.6, rows))
        return ratio_interval(draw(generator, rows) * tokens, tokens, lowest=0.0)

    assert covered(interval, truth) >= floor


@pytest.mark.parametrize("rows", [3, 10, 30, 100])
@pytest.mark.parametrize("shares", SHARES)
def test_intervals_of_shares_hold_near_the_end_of_the_scale_too(shares: str, rows: int) -> None:
    generator = np.random.default_rng(rows)
    draw, truth = SHARES[shares]

    assert covered(lambda: share_interval(draw(generator, rows), np.ones(rows)), truth) >= 0.92


@pytest.mark.parametrize("rows", [3, 10, 100])
def test_intervals_of_token_accuracy_hold_though_tokens_of_a_row_go_together(rows: int) -> None:
    generator = np.random.default_rng(rows)

    def interval() -> Score:
        tokens = np.ceil(generator.lognormal(3, 0.6, rows))
        return share_interval(
            generator.binomial(tokens.astype(int), generator.beta(6, 4, rows)).astype(float), tokens
        )

    assert covered(interval, 0.6) >= 0.92


@pytest.mark.parametrize("rows", [5, 10, 100])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_intervals_of_proportions_hold(share: float, rows: int) -> None:
    generator = np.random.default_rng(rows)

    assert covered(lambda: wilson(int(generator.binomial(rows, share)), rows), share) >= 0.87


@pytest.mark.parametrize("rows", [5, 30, 100])
def test_intervals_of_differences_of_answers_hold(rows: int) -> None:
    generator = np.random.default_rng(rows)

    def interval() -> Score:
        return share_difference(generator.choice([-1.0, 0.0, 1.0], rows, p=[0.02, 0.78, 0.2]), np.ones(rows))

    assert covered(interval, 0.18) >= 0.92


ANSWERED = np.array([[0.8, 0.1, 0.05, 0.05], [0.1, 0.8, 0.05, 0.05], [0.1, 0.1, 0.75, 0.05]])
"""How often each of three classes is answered with each, and with no label."""
SIZES = np.array([0.4, 0.3, 0.3])


def answered(generator: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    found = np.array([generator.choice(4, p=ANSWERED[label]) for label in labels])
    return np.where(found == 3, NO_LABEL, found)


def labels_of(generator: np.random.Generator, rows: int) -> np.ndarray:
    """Labels of which each class occurs."""
    return np.concatenate([np.arange(3), generator.choice(3, rows - 3, p=SIZES)])


@pytest.mark.parametrize("rows", [15, 60])
def test_intervals_of_macro_f1_hold(rows: int) -> None:
    generator = np.random.default_rng(rows)
    sizes = (1 + (rows - 3) * SIZES) / rows
    named = sizes @ ANSWERED[:, :3]
    truth = float((2 * sizes * np.diag(ANSWERED) / (sizes + named)).mean())

    def interval() -> Score:
        labels = labels_of(generator, rows)
        return macro_f1(labels, answered(generator, labels), 3)

    assert covered(interval, truth, samples=150) >= 0.88


def test_equally_good_classifiers_are_seldom_told_apart_by_macro_f1() -> None:
    generator = np.random.default_rng(5)
    found = []
    for _ in range(60):
        labels = labels_of(generator, 40)
        found.append(macro_f1_difference(labels, answered(generator, labels), answered(generator, labels), 3))

    assert sum(difference.p <= 0.05 for difference in found) <= 8  # of 60: P(more than 8) < 0.3 % at 5 %
    assert sum(difference.low <= 0 <= difference.high for difference in found) >= 51
