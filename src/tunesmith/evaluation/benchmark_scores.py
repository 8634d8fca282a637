"""Figures of benchmarks, with intervals and differences like those of golden rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.diagnosis.proportion import Z_95, wilson
from tunesmith.evaluation.intervals import ratio_interval, share_difference, share_interval
from tunesmith.evaluation.significance import noise_p
from tunesmith.schemas.evaluations import BENCHMARK, Difference, Score


@dataclass(frozen=True)
class Measured:
    """One figure of one benchmark.

    `rows` has what each row adds where the figure is their mean; `error` is the harness's own standard error.
    """

    value: float
    error: float | None = None
    rows: Mapping[int, float] | None = None


Results = dict[str, Measured]
"""By `lm_eval:<task>/<metric>`."""


def split_metrics(metrics: Sequence[str]) -> tuple[list[str], list[str]]:
    """The metrics of golden rows, and the names (or paths) of benchmarks."""
    benchmarks = [name.removeprefix(BENCHMARK) for name in metrics if name.startswith(BENCHMARK)]
    return [name for name in metrics if not name.startswith(BENCHMARK)], list(dict.fromkeys(benchmarks))


def scores(results: Results) -> dict[str, Score]:
    """Those figures that an interval is known of."""
    found = {name: _score(measured) for name, measured in results.items()}
    return {name: score for name, score in found.items() if score is not None}


def differences(base: Results, tuned: Results) -> dict[str, Difference]:
    """Tuned minus base, where both were scored row by row on the same rows."""
    found: dict[str, Difference] = {}
    for name in tuned:
        before, after = base[name].rows if name in base else None, tuned[name].rows
        if not before or not after or before.keys() != after.keys():
            continue
        old, new = np.array([before[row] for row in after]), np.array([*after.values()])
        ones = np.ones(len(new))
        share = _is_share(old) and _is_share(new)
        interval = share_difference(new - old, ones) if share else ratio_interval(new - old, ones)
        found[name] = Difference(
            value=interval.value, low=interval.low, high=interval.high, p=noise_p(new - old)
        )
    return found


def benchmark_notes(results: Results) -> list[str]:
    """What stands in no other place: figures without an interval."""
    return [
        f"{name} is {measured.value:.4g}; nothing is known of its spread."
        for name, measured in results.items()
        if _score(measured) is None
    ]


def _score(measured: Measured) -> Score | None:
    if measured.rows:
        values = np.array([*measured.rows.values()])
        ones = np.ones(len(values))
        if set(values.tolist()) <= {0.0, 1.0}:
            return wilson(round(float(values.sum())), len(values))
        return share_interval(values, ones) if _is_share(values) else ratio_interval(values, ones)
    if measured.error is None:
        return None
    half = Z_95 * measured.error
    return Score(value=measured.value, low=measured.value - half, high=measured.value + half)


def _is_share(values: np.ndarray) -> bool:
    return bool((values >= 0.0).all() and (values <= 1.0).all())
