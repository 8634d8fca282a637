"""Whether a paired difference is noise.

Two models were scored on the same rows. If neither is better, then on each row their scores could as well have been
the other way round: the sign of the row's difference is a coin's. The first p-value is the share of all ways to flip
these signs whose sum lies at least as far from zero as the sum that was seen (R. A. Fisher, "The Design of
Experiments", 1935, section 21). It needs no normal distribution and holds for any number of rows.

Up to `EXACT_ROWS` rows that differ, all ways are counted. Above that `FLIPS` random ones are, the seen one among them
(B. Phipson and G. K. Smyth, "Permutation p-values should never be zero", Statistical Applications in Genetics and
Molecular Biology 9, 2010). Differences so clear that so few flips cannot resolve them get an upper bound of the same
share instead (V. Bentkus and D. Dzindzalieta, "A tight Gaussian bound for weighted sums of Rademacher random
variables", Bernoulli 21, 2015): at most c P(|Z| >= |sum| / sqrt(sum of squares)) with c = 1 / (4 P(Z >= sqrt 2)),
about 3.18, Z standard normal. Corrections for many looks (`looks`) need p-values that small.

Signs are coins only where differences are symmetric. A model that is a little better on most rows and much worse on
few is not better on average, and yet most of its signs agree. So there is a second p-value, of Student's t after its
transformation for skewness (P. Hall, "On the removal of skewness by transformation", JRSS B 54, 1992), and `noise_p`
is the larger one.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from tunesmith.evaluation.intervals import t_within

EXACT_ROWS = 13
FLIPS = 9_999
SEED = 0
_CHUNK_DRAWS = 4_000_000
_BOUND = 1 / (2 * math.erfc(1.0))  # 4 P(Z >= sqrt 2) = 2 erfc(1)


def noise_p(differences: np.ndarray) -> float:
    """How probable a sum at least as far from zero as that of `differences`, shape [rows], is without any real one."""
    return max(sign_flip_p(differences), skewed_t_p(differences))


def skewed_t_p(differences: np.ndarray) -> float:
    """The two-sided p-value of the mean by Hall's transformed t; 0 where rows are too few or too alike for it."""
    moved = np.asarray(differences, dtype=np.float64)
    rows = len(moved)
    spread = float(moved.std(ddof=1)) if rows > 2 else 0.0
    if spread <= 1e-9 * float(np.abs(moved).max(initial=0.0)):
        return 0.0
    quotient = math.sqrt(rows) * float(moved.mean()) / spread
    third = float(((moved - moved.mean()) ** 3).mean()) / float(moved.std()) ** 3
    skewness = third * math.sqrt(rows * (rows - 1)) / (rows - 2)
    k = skewness / math.sqrt(rows)
    told = quotient + k * quotient**2 / 3 + k**2 * quotient**3 / 27 + k / 6
    if told * quotient <= 0:
        return 1.0
    nearest = min(abs(told), abs(quotient))
    return max(0.0, 1.0 - t_within(nearest, rows - 1))


def sign_flip_p(differences: np.ndarray, *, seed: int = SEED) -> float:
    """The probability of a sum at least as far from zero as that of `differences`, shape [rows], if every sign
    were a coin's.

    Rows without a difference say nothing either way; with no other rows the answer is 1.
    """
    moved = np.asarray(differences, dtype=np.float64)
    moved = moved[moved != 0.0]
    if not len(moved):
        return 1.0
    moved = moved / np.abs(moved).max()
    seen = abs(float(moved.sum())) * (1 - 1e-9)  # sums that differ in rounding alone count as equal
    if len(moved) <= EXACT_ROWS:
        return float((np.abs(_all_signs(len(moved)) @ moved) >= seen).mean())
    sure = _BOUND * math.erfc(seen / math.sqrt(2 * float((moved**2).sum())))
    if sure < 1 / (FLIPS + 1):
        return sure
    return (1 + _as_far(moved, seen, seed)) / (FLIPS + 1)


def random_signs(rows: int, seed: int) -> list[np.ndarray]:
    """-1 and +1 in chunks of shape [flips, rows], together `FLIPS` of them."""
    return _few_signs(rows, seed) if FLIPS * rows <= _CHUNK_DRAWS else _signs(rows, seed)


@lru_cache(maxsize=4)
def _few_signs(rows: int, seed: int) -> list[np.ndarray]:
    """Many metrics differ on as many rows, and the same flips serve them all."""
    return _signs(rows, seed)


def _signs(rows: int, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_DRAWS // rows)
    return [
        generator.integers(0, 2, size=(min(chunk, FLIPS - start), rows), dtype=np.int8).astype(np.float32) * 2
        - 1
        for start in range(0, FLIPS, chunk)
    ]


def _as_far(moved: np.ndarray, seen: float, seed: int) -> int:
    return sum(
        int((np.abs(signs @ moved.astype(np.float32)) >= seen * (1 - 1e-6)).sum())
        for signs in random_signs(len(moved), seed)
    )


def _all_signs(rows: int) -> np.ndarray:
    """Every way to choose signs, shape [2 ** rows, rows]."""
    numbers = np.arange(2**rows)[:, None]
    return np.where(numbers >> np.arange(rows) & 1, 1.0, -1.0)
