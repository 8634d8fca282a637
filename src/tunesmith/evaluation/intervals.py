"""95 % confidence intervals.

Proportions get the Wilson score interval (E. B. Wilson, "Probable inference, the law of succession, and
statistical inference", JASA 22, 1927): it stays within [0, 1] and is honest at 0 and at 1, where the usual
one has no width.

Means over tokens get the percentile bootstrap over *rows* (B. Efron, "Bootstrap methods: another look at the
jackknife", Annals of Statistics 7, 1979): tokens of one row depend on each other, so whole rows are drawn
with replacement and the ratio (sum of the numerators / sum of the tokens) is taken again each time. A
difference of two models on the same rows draws the same rows for both, which takes out how hard the rows are.
"""

from __future__ import annotations

import math

import numpy as np

from tunesmith.schemas.evaluations import Score

Z_95 = 1.959963984540054
RESAMPLES = 2000
SEED = 0
_CHUNK_DRAWS = 2_000_000
_LARGEST_EXPONENT = 700.0


def wilson(successes: int, trials: int) -> Score:
    """The proportion `successes / trials` with its Wilson score interval; `trials` is at least 1."""
    share, spread = successes / trials, Z_95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return Score(
        value=share, low=max(0.0, min(share, centre - half)), high=min(1.0, max(share, centre + half))
    )


def bootstrap_ratio(numerators: np.ndarray, tokens: np.ndarray, *, seed: int = SEED) -> Score:
    """`sum(numerators) / sum(tokens)` with its percentile bootstrap interval over rows.

    Args:
        numerators: shape [rows], what each row adds to the sum: a loss in nats, a number of correct tokens,
        or the
            difference of two models' losses.
        tokens: shape [rows], the tokens of each row, all at least 1.
    """
    rows = len(tokens)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_DRAWS // rows)
    ratios: list[np.ndarray] = []
    for start in range(0, RESAMPLES, chunk):
        drawn = generator.integers(0, rows, size=(min(chunk, RESAMPLES - start), rows))
        ratios.append(numerators[drawn].sum(axis=1) / tokens[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(ratios), [0.025, 0.975])
    value = float(numerators.sum() / tokens.sum())
    return Score(value=value, low=min(value, float(low)), high=max(value, float(high)))


def perplexity(loss: Score) -> Score:
    """`exp` of a loss in nats per token and of its interval; past the largest float it stays at exp(700)."""
    value, low, high = (
        math.exp(min(figure, _LARGEST_EXPONENT)) for figure in (loss.value, loss.low, loss.high)
    )
    return Score(value=value, low=low, high=high)
