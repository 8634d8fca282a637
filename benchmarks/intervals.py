"""How often do 95 % intervals hold, and how often are equal models told apart? Against the percentile bootstrap.

    python -m benchmarks.intervals

Prints, for populations whose true value is known and for few and many rows, the share of samples whose interval
holds the truth; then the share of pairs of equal models with p <= 0.05, and of loops over 200 equal variants in
which one is called better, and of searches among 200 equal prompts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tunesmith.diagnosis.proportion import wilson
from tunesmith.evaluation.classification import NO_LABEL, macro_f1
from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.dev_split import deciding_rows, exploring_rows
from tunesmith.evaluation.halving import successive_halving
from tunesmith.evaluation.intervals import (
    RESAMPLES,
    ratio_interval,
    resampled_rows,
    share_difference,
    share_interval,
)
from tunesmith.evaluation.looks import ALPHA, corrected
from tunesmith.evaluation.metrics import RowScore
from tunesmith.evaluation.significance import noise_p
from tunesmith.schemas.enums import Half
from tunesmith.schemas.evaluations import Score

SAMPLES = 2_000
ROWS = (3, 5, 10, 30, 100)
Draw = Callable[[int], np.ndarray]


def percentile(numerators: np.ndarray, weights: np.ndarray) -> Score:
    """What most tools give: the quantiles of resampled ratios."""
    (drawn,) = resampled_rows(len(weights), 0)
    assert len(drawn) == RESAMPLES
    ratios = (drawn @ numerators) / (drawn @ weights)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Score(value=float(numerators.sum() / weights.sum()), low=float(low), high=float(high))


def coverage(interval: Callable[[int], Score], truth: float, samples: int = SAMPLES) -> str:
    """The share of samples whose interval holds the truth, for each number of rows."""
    shares = []
    for rows in ROWS:
        held = sum(score.low <= truth <= score.high for score in (interval(rows) for _ in range(samples)))
        shares.append(f"{held / samples:6.3f}")
    return " ".join(shares)


def main() -> None:
    generator = np.random.default_rng(20)
    print(f"{'share of intervals that hold':44}", " ".join(f"{rows:6d}" for rows in ROWS))
    losses: dict[str, tuple[Draw, float]] = {
        "normal": (lambda rows: generator.normal(2, 0.5, rows), 2.0),
        "exponential": (lambda rows: generator.exponential(1, rows), 1.0),
        "lognormal, sigma 0.5": (lambda rows: generator.lognormal(0, 0.5, rows), math.exp(0.125)),
        "lognormal, sigma 1": (lambda rows: generator.lognormal(0, 1, rows), math.exp(0.5)),
    }
    for name, (draw, truth) in losses.items():
        for told, interval in (("", ratio_interval), (", percentile bootstrap", percentile)):

            def of_rows(rows: int, draw: Draw = draw, interval: Callable[..., Score] = interval) -> Score:
                tokens = np.ceil(generator.lognormal(3, 0.6, rows))
                return interval(draw(rows) * tokens, tokens)

            print(f"{f'loss: {name}{told}':44}", coverage(of_rows, truth), flush=True)

    def token_accuracy(rows: int) -> Score:
        tokens = np.ceil(generator.lognormal(3, 0.6, rows))
        right = generator.binomial(tokens.astype(int), generator.beta(6, 4, rows))
        return share_interval(right.astype(float), tokens)

    def nearly_perfect(rows: int) -> Score:
        shares = np.where(generator.random(rows) < 0.95, 1.0, generator.beta(2, 2, rows))
        return share_interval(shares, np.ones(rows))

    print(f"{'token accuracy 60 %':44}", coverage(token_accuracy, 0.6))
    print(f"{'token_f1, most rows 1':44}", coverage(nearly_perfect, 0.975))
    print(
        f"{'chrf':44}", coverage(lambda rows: share_interval(generator.beta(3, 7, rows), np.ones(rows)), 0.3)
    )
    for share in (0.5, 0.9):
        print(
            f"{f'exact_match {share:.0%}':44}",
            coverage(lambda rows, share=share: wilson(int(generator.binomial(rows, share)), rows), share),
        )
    moves = [-1.0, 0.0, 1.0]
    print(
        f"{'difference of exact_match 18 %':44}",
        coverage(
            lambda rows: share_difference(generator.choice(moves, rows, p=[0.02, 0.78, 0.2]), np.ones(rows)),
            0.18,
        ),
    )
    labels(generator)
    equal_models(generator)
    loops(generator)
    searches(generator)


def labels(generator: np.random.Generator) -> None:
    """Macro-F1 of three classes; samples that lack a class are drawn again."""
    answered = np.array([[0.8, 0.1, 0.05, 0.05], [0.1, 0.8, 0.05, 0.05], [0.1, 0.1, 0.75, 0.05]])
    sizes = np.array([0.4, 0.3, 0.3])
    truth = float((2 * sizes * np.diag(answered) / (sizes + sizes @ answered[:, :3])).mean())
    for rows in (15, 30, 100):
        held, samples = 0, 400
        for _ in range(samples):
            wanted = generator.choice(3, rows, p=sizes)
            while len(set(wanted)) < 3:
                wanted = generator.choice(3, rows, p=sizes)
            found = np.array([generator.choice(4, p=answered[label]) for label in wanted])
            score = macro_f1(wanted, np.where(found == 3, NO_LABEL, found), 3)
            held += score.low <= truth <= score.high
        print(f"macro_f1 of three classes, {rows:3d} rows: {held / samples:.3f}", flush=True)


def equal_models(generator: np.random.Generator) -> None:
    """How often two models without a difference in the mean are told apart."""
    kinds: dict[str, Draw] = {
        "normal": lambda rows: generator.normal(0, 1, rows),
        "heavy tails (t, 2 degrees)": lambda rows: generator.standard_t(2, rows),
        "skewed (exponential)": lambda rows: generator.exponential(1, rows) - 1,
    }
    print("equal models: share with p <= 0.05, and share called improved or worse")
    for name, draw in kinds.items():
        told = []
        for rows in (10, 14, 30, 100):
            small = called = 0
            for _ in range(SAMPLES):
                moved = 0.3 * draw(rows)
                small += noise_p(moved) <= ALPHA
                base = [RowScore(at, 2.0, 1, 0) for at in range(rows)]
                tuned = [RowScore(at, float(2 + move), 1, 0) for at, move in enumerate(moved)]
                called += compare(base, tuned).verdict != "no_measurable_change"
            told.append(f"{rows:3d} rows {small / SAMPLES:.3f} {called / SAMPLES:.3f}")
        print(f"  {name:30}", "   ".join(told), flush=True)


def loops(generator: np.random.Generator) -> None:
    """200 variants in a row, none better in the mean: built on the best so far, or a little better on most rows."""
    kinds: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "symmetric": lambda hard, best: hard * np.sign(best) * generator.normal(0, 1, len(hard)),
        "skewed (exponential)": lambda hard, _: generator.exponential(1, len(hard)) - 1,
    }
    samples = 400
    for name, variant in kinds.items():
        for rows in (20, 100):
            told = careless = 0
            for _ in range(samples):
                hard, best, best_mean = generator.lognormal(0, 0.7, rows), np.ones(rows), 0.0
                better = fooled = False
                for look in range(1, 201):
                    moved = variant(hard, best)
                    clear = moved.sum() < -1.6 * np.sqrt(
                        (moved**2).sum()
                    )  # p is above 0.05 for anything less
                    p = noise_p(moved) if clear else 1.0
                    better |= corrected(p, look) <= ALPHA
                    fooled |= p <= ALPHA
                    if moved.mean() < best_mean:
                        best, best_mean = moved, float(moved.mean())
                told += better
                careless += fooled
            print(
                f"loops over 200 equal variants, {name}, {rows} rows: told better in {told / samples:.3f}, "
                f"without correction in {careless / samples:.3f}",
                flush=True,
            )


def searches(generator: np.random.Generator) -> None:
    """200 prompts that differ from the bare one by noise alone, searched on one part of the rows and judged on the
    other; and judged on the rows of the search."""
    samples = 1_000
    for rows in (40, 100):
        told = [best_of_equals(200, rows, generator) for _ in range(samples)]
        apart, together = (sum(better) / samples for better in zip(*told, strict=True))
        print(
            f"searches among 200 equal prompts, {rows} rows: told better in {apart:.3f}, judged on the rows of the "
            f"search in {together:.3f}",
            flush=True,
        )


def best_of_equals(variants: int, rows: int, generator: np.random.Generator) -> tuple[bool, bool]:
    """Whether the best of `variants` prompts, none of which is better than the bare one, is called better on the rows
    that decide, and on those that it was chosen on."""
    exploring = exploring_rows(range(rows), "gold-of-a-simulation", Half.DEV)
    deciding = sorted(deciding_rows(range(rows), "gold-of-a-simulation", Half.DEV))
    bare = generator.normal(2.0, 0.4, rows)
    losses = bare + generator.normal(0.0, 0.3, (variants, rows))

    def score(candidates: list[int], places: range) -> dict[int, list[tuple[float, float]]]:
        return {one: [(-losses[one, exploring[place]], 0.0) for place in places] for one in candidates}

    best = losses[successive_halving(variants, len(exploring), score).standings[0].candidate]
    apart, together = (
        compare(*([RowScore(at, float(loss[at]), 1, 0) for at in some] for loss in (bare, best))).verdict
        for some in (deciding, exploring)
    )
    return apart == "improved", together == "improved"


if __name__ == "__main__":
    main()
