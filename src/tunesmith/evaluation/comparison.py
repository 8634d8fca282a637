"""A tuned model against its own base on the very same rows: better, worse, or no difference worth naming.

It is called better (or worse) when both hold:

   the choice of rows does not explain it, and
   rows say so.

Below ten rows nothing is called either: a bootstrap over so few rows is far too sure of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tunesmith.diagnosis.effect import fell, relative_change, rose
from tunesmith.evaluation.intervals import bootstrap_ratio
from tunesmith.evaluation.metrics import RowScore
from tunesmith.schemas.evaluations import Comparison, Score

MIN_ROWS = 10


def compare(base: Sequence[RowScore], tuned: Sequence[RowScore]) -> Comparison:
    """The verdict over the same rows in the same order."""
    tokens = np.array([row.tokens for row in tuned], dtype=np.float64)
    base_loss = np.array([row.loss for row in base], dtype=np.float64)
    tuned_loss = np.array([row.loss for row in tuned], dtype=np.float64)
    difference = bootstrap_ratio(tuned_loss - base_loss, tokens)
    before, after = float(base_loss.sum() / tokens.sum()), float(tuned_loss.sum() / tokens.sum())
    verdict, why = _judge(before, after, difference, len(tuned))
    figures = (
        f"The loss per token went from {before:.3f} (base) to {after:.3f} (tuned) on the same {len(tuned)} "
        "rows: "
        f"{relative_change(before, after):+.1%}, difference {difference.value:+.3f} with 95 % interval "
        f"{difference.low:+.3f} to {difference.high:+.3f}."
    )
    return Comparison(
        verdict=verdict, loss_difference=difference, message=f"{why} {figures}{_answers(base, tuned)}"
    )


def _judge(
    before: float, after: float, difference: Score, rows: int
) -> tuple[Literal["improved", "no_measurable_change", "worse"], str]:
    if rows < MIN_ROWS:
        return "no_measurable_change", f"{rows} rows are too few to tell the tuned model from its base."
    if difference.high < 0 and fell(before, after):
        return "improved", "The tuned model is measurably better than its base."
    if difference.low > 0 and rose(before, after):
        return "worse", "The tuned model is measurably worse than its base."
    if difference.low <= 0 <= difference.high:
        return "no_measurable_change", (
            "No measurable change: the tuned model differs from its base by no more than the choice of "
            "rows explains."
        )
    return "no_measurable_change", (
        "No meaningful change: the difference is steady over the rows, but below the 1 % that would matter."
    )


def _answers(base: Sequence[RowScore], tuned: Sequence[RowScore]) -> str:
    pairs = [(old.exact, new.exact) for old, new in zip(base, tuned, strict=True)]
    known = [(old, new) for old, new in pairs if old is not None and new is not None]
    if not known:
        return ""
    old, new = sum(old for old, _ in known), sum(new for _, new in known)
    return f" Answers that match the reference exactly: {old} of {len(known)} before, {new} after."
