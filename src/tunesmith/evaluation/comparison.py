"""A tuned model against its own base on the very same rows: better, worse, or no difference worth naming.

It is called better (or worse) when all of this holds:

   the interval of the difference of losses per token lies on one side of zero,
   chance alone would hardly give as much, even after as many looks at these rows (`significance`, `looks`), and
   the loss changed by as much as matters (`diagnosis.effect`).

Below ten rows nothing is called either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tunesmith.diagnosis.effect import fell, relative_change, rose
from tunesmith.evaluation.looks import ALPHA, corrected
from tunesmith.evaluation.metrics import RowScore, differences
from tunesmith.schemas.evaluations import Comparison, Difference, Score

MIN_ROWS = 10


def compare(
    base: Sequence[RowScore], tuned: Sequence[RowScore], metrics: Sequence[str] = (), look: int = 1
) -> Comparison:
    """The verdict over the same rows in the same order, by the loss; `metrics` are those whose differences are told.

    `look` says the how manieth candidate this is on these rows.
    """
    tokens = sum(row.tokens for row in tuned)
    found = differences(base, tuned, [*dict.fromkeys(("loss", *metrics))])
    loss = found["loss"]
    before, after = sum(row.loss for row in base) / tokens, sum(row.loss for row in tuned) / tokens
    p = corrected(loss.p, look)
    verdict, why = _judge(before, after, loss, p, look, len(tuned))
    figures = (
        f"The loss per token went from {before:.3f} (base) to {after:.3f} (tuned) on the same {len(tuned)} "
        "rows: "
        f"{relative_change(before, after):+.1%}, difference {loss.value:+.3f} with 95 % interval "
        f"{loss.low:+.3f} to {loss.high:+.3f}; without any real difference chance gives as much with "
        f"probability {_probability(loss.p)}."
    )
    return Comparison(
        verdict=verdict,
        loss_difference=Score(value=loss.value, low=loss.low, high=loss.high),
        differences=found,
        look=look,
        p_corrected=p,
        message=f"{why} {figures}{_answers(base, tuned)}",
    )


def _judge(
    before: float, after: float, loss: Difference, p: float, look: int, rows: int
) -> tuple[Literal["improved", "no_measurable_change", "worse"], str]:
    if rows < MIN_ROWS:
        return "no_measurable_change", f"{rows} rows are too few to tell the tuned model from its base."
    if loss.low <= 0 <= loss.high or loss.p > ALPHA:
        return "no_measurable_change", (
            "No measurable change: the tuned model differs from its base by no more than the choice of "
            "rows explains."
        )
    if p > ALPHA:
        return "no_measurable_change", (
            f"No measurable change: it is the {_ordinal(look)} candidate on these rows, and among so many one "
            f"looks this good by chance (corrected probability {_probability(p)})."
        )
    if loss.high < 0 and fell(before, after):
        return "improved", "The tuned model is measurably better than its base."
    if loss.low > 0 and rose(before, after):
        return "worse", "The tuned model is measurably worse than its base."
    return "no_measurable_change", (
        "No meaningful change: the difference is steady over the rows, but below the 1 % that would matter."
    )


def _answers(base: Sequence[RowScore], tuned: Sequence[RowScore]) -> str:
    for metric, told in (
        ("accuracy", "Right labels"),
        ("exact_match", "Answers that match the reference exactly"),
    ):
        before = [row.answer[metric] for row in base if metric in row.answer]
        after = [row.answer[metric] for row in tuned if metric in row.answer]
        if before:
            return f" {told}: {sum(before):.0f} of {len(before)} before, {sum(after):.0f} after."
    return ""


def _probability(p: float) -> str:
    return "below 0.0001" if p < 0.0001 else f"{p:.2g}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
