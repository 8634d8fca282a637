"""95 % confidence intervals over rows.

Tokens of one row depend on each other, so rows are what is drawn: every score is a sum over rows, a ratio of two
such sums, or a function of counts over rows.

proportions     Wilson score interval (E. B. Wilson, "Probable inference, the law of succession, and statistical
                inference", JASA 22, 1927): it stays within [0, 1] and is honest at 0 and at 1
                (`diagnosis.proportion`).
ratios          studentised bootstrap over rows (B. Efron, "Nonparametric standard errors and confidence intervals",
                Canadian Journal of Statistics 9, 1981), at least as wide as Student's t interval on either side. The
                percentile bootstrap is far too narrow for few rows: for ten rows of exponential losses it covered
                83.5 % where this one covered 93.5 % (benchmarks/intervals.py).
shares          a ratio that cannot leave [0, 1], row by row: Student's t interval after a row of 0 and a row of 1 were
                added (A. Agresti and B. Caffo, "Simple and effective confidence intervals for proportions and
                differences of proportions result from adding two successes and two failures", American Statistician
                54, 2000: one of each to every sample), because rows that are all alike have no spread and are still
                no proof.
differences     of such shares: one row of -1 and one of +1 are added instead (D. G. Bonett and R. M. Price,
                "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data",
                Journal of Educational and Behavioral Statistics 37, 2012).

How often they hold is measured in tests/unit/evaluation/test_coverage.py and stated in docs/evaluation.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tunesmith.diagnosis.proportion import Z_95
from tunesmith.schemas.evaluations import Score

RESAMPLES = 2000
SEED = 0
_CHUNK_DRAWS = 4_000_000
_WIDEST = 4.0
"""How many times wider than Student's t a studentised quantile may get: of three rows one resample in nine is the
same row three times, and its quotient infinite."""
_LARGEST_EXPONENT = 700.0


def ratio_interval(
    numerators: np.ndarray, weights: np.ndarray, *, lowest: float = -math.inf, seed: int = SEED
) -> Score:
    """`sum(numerators) / sum(weights)` with its interval over rows.

    A single row has no spread to go by: its interval is that of a value as uncertain as it is large.

    Args:
        numerators: shape [rows], what each row adds to the sum: a loss in nats, or the difference of two.
        weights: shape [rows], the tokens, bytes or ones of each row, all above 0.
        lowest: what the ratio cannot fall below.
    """
    rows, total = len(weights), float(weights.sum())
    value = float(numerators.sum()) / total
    quantile = t_quantile(max(rows - 1, 1))
    if rows == 1:
        return _score(value, value - quantile * abs(value), value + quantile * abs(value), lowest)
    residuals = numerators - value * weights
    error = math.sqrt(rows / (rows - 1) * float((residuals**2).sum())) / total
    if error == 0.0:
        return Score(value=value, low=value, high=value)
    low, high = np.quantile(_studentised(residuals, weights, seed), [0.025, 0.975])
    below = min(max(float(high), quantile), _WIDEST * quantile)
    above = min(max(-float(low), quantile), _WIDEST * quantile)
    return _score(value, value - below * error, value + above * error, lowest)


def share_interval(numerators: np.ndarray, weights: np.ndarray) -> Score:
    """`sum(numerators) / sum(weights)` with its interval over rows, where `0 <= numerators <= weights`."""
    score = _padded_interval(numerators, weights, (0.0, 1.0))
    return Score(value=score.value, low=max(0.0, score.low), high=min(1.0, score.high))


def share_difference(differences: np.ndarray, weights: np.ndarray) -> Score:
    """`sum(differences) / sum(weights)` with its interval, for paired shares: `-weights <= differences <= weights`."""
    score = _padded_interval(differences, weights, (-1.0, 1.0))
    return Score(value=score.value, low=max(-1.0, score.low), high=min(1.0, score.high))


def perplexity(loss: Score) -> Score:
    """`exp` of a loss in nats per token and of its interval; past the largest float it stays at exp(700)."""
    value, low, high = (
        math.exp(min(figure, _LARGEST_EXPONENT)) for figure in (loss.value, loss.low, loss.high)
    )
    return Score(value=value, low=low, high=high)


@lru_cache(maxsize=64)
def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t with `freedom` degrees of freedom, at least 1.

    Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964: 26.7.3 and 26.7.4, solved by bisection, up to 200
    degrees; above that the expansion 26.7.5.
    """
    if freedom > 200:
        z, n = Z_95, freedom
        return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, freedom) < 0.95 else (low, middle)
    return high


def t_within(t: float, freedom: int) -> float:
    """The probability that Student's t lies between -t and t (26.7.3, 26.7.4); above 200 degrees that of a normal."""
    if freedom > 200:
        return math.erf(t / math.sqrt(2))
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    if freedom % 2 == 0:
        term = total = 1.0
        for k in range(1, freedom // 2):
            term *= (2 * k - 1) / (2 * k) * cosine**2
            total += term
        return sine * total
    term = total = cosine if freedom > 1 else 0.0
    for k in range(1, (freedom - 1) // 2):
        term *= 2 * k / (2 * k + 1) * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total)


def resampled_rows(rows: int, seed: int) -> list[np.ndarray]:
    """How often each row is drawn, in chunks of shape [resamples, rows], together `RESAMPLES` of them."""
    return _small_resamples(rows, seed) if RESAMPLES * rows <= _CHUNK_DRAWS else _resamples(rows, seed)


@lru_cache(maxsize=2)
def _small_resamples(rows: int, seed: int) -> list[np.ndarray]:
    """The same draws serve every metric of an evaluation."""
    return _resamples(rows, seed)


def _resamples(rows: int, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_DRAWS // rows)
    return [
        generator.multinomial(rows, np.full(rows, 1 / rows), size=min(chunk, RESAMPLES - start)).astype(
            np.float32
        )
        for start in range(0, RESAMPLES, chunk)
    ]


def _studentised(residuals: np.ndarray, weights: np.ndarray, seed: int) -> np.ndarray:
    """(ratio of a resample - ratio) / (standard error of the resample), shape [resamples]."""
    rows = len(weights)
    columns = np.stack([residuals, weights, residuals**2, residuals * weights, weights**2], axis=1)
    quotients = []
    for drawn in resampled_rows(rows, seed):
        moved, total, squares, products, spans = (drawn.astype(np.float64) @ columns).T
        shift = moved / total
        spread = np.maximum(squares - 2 * shift * products + shift**2 * spans, 0.0)
        error = np.sqrt(rows / (rows - 1) * spread) / total
        # The sums of a resample of equal rows cancel to rounding errors only.
        flat = error <= 1e-9 * np.abs(shift)
        quotients.append(np.where(flat, np.sign(shift) * 1e9, shift / np.where(error > 0, error, 1.0)))
    return np.concatenate(quotients)


def _padded_interval(numerators: np.ndarray, weights: np.ndarray, added: Sequence[float]) -> Score:
    """Student's t interval after rows of usual weight, with these shares, were added."""
    value = float(numerators.sum() / weights.sum())
    usual = float(weights.mean())
    above = np.concatenate([numerators, np.array(added) * usual])
    below = np.concatenate([weights, np.full(len(added), usual)])
    rows, total = len(below), float(below.sum())
    centre = float(above.sum()) / total
    error = math.sqrt(rows / (rows - 1) * float(((above - centre * below) ** 2).sum())) / total
    half = t_quantile(rows - 1) * error
    return _score(value, centre - half, centre + half, -math.inf)


def _score(value: float, low: float, high: float, lowest: float) -> Score:
    return Score(value=value, low=min(value, max(low, lowest)), high=max(value, high))
