"""A tuned model against its own base, or a prompt against none, on the very same rows: better, worse, or no difference
worth naming.

It is called better (or worse) when all of this holds:

   the interval of the difference lies on one side of zero,
   chance alone would hardly give as much, even after as many looks at these rows (`significance`, `looks`), and
   the loss, where it decides, changed by as much as matters (`diagnosis.effect`).

Below ten rows nothing is called either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tunesmith.diagnosis.effect import fell, relative_change, rose
from tunesmith.evaluation.looks import ALPHA, corrected
from tunesmith.evaluation.metrics import LOWER_IS_BETTER, RowScore, aggregate, differences
from tunesmith.schemas.evaluations import Comparison, Difference, Score

MIN_ROWS = 10


@dataclass(frozen=True)
class Sides:
    """What is compared, in words: in full, and short beside a figure."""

    base: str
    tuned: str
    base_figure: str
    tuned_figure: str


RUN_AND_BASE = Sides("its base", "the tuned model", "base", "tuned")
WITH_AND_WITHOUT = Sides("the same model without it", "the model behind this prompt", "without", "with it")


def compare(
    base: Sequence[RowScore],
    tuned: Sequence[RowScore],
    metrics: Sequence[str] = (),
    look: int = 1,
    *,
    by: str = "loss",
    sides: Sides = RUN_AND_BASE,
) -> Comparison:
    """The verdict over the same rows in the same order, by the metric `by`; `metrics` are those whose differences are
    told.

    `look` says the how manieth candidate this is on these rows.
    """
    found = differences(base, tuned, [*dict.fromkeys(("loss", by, *metrics))])
    loss, decides = found["loss"], found[by]
    before, after = (aggregate(rows, [by])[by].value for rows in (base, tuned))
    p = corrected(decides.p, look)
    verdict, why = _judge(by, before, after, decides, p, look, len(tuned), sides)
    change = f"{relative_change(before, after):+.1%}, " if by == "loss" else ""
    figures = (
        f"{'The loss per token' if by == 'loss' else by} went from {before:.3f} ({sides.base_figure}) to {after:.3f} "
        f"({sides.tuned_figure}) on the same {len(tuned)} rows: {change}difference {decides.value:+.3f} with 95 % "
        f"interval {decides.low:+.3f} to {decides.high:+.3f}; without any real difference chance gives as much with "
        f"probability {_probability(decides.p)}."
    )
    return Comparison(
        by=by,
        verdict=verdict,
        loss_difference=Score(value=loss.value, low=loss.low, high=loss.high),
        differences=found,
        look=look,
        p_corrected=p,
        message=f"{why} {figures}{_answers(base, tuned)}",
    )


def _judge(
    by: str,
    before: float,
    after: float,
    difference: Difference,
    p: float,
    look: int,
    rows: int,
    sides: Sides,
) -> tuple[Literal["improved", "no_measurable_change", "worse"], str]:
    if rows < MIN_ROWS:
        return "no_measurable_change", f"{rows} rows are too few to tell {sides.tuned} from {sides.base}."
    if difference.low <= 0 <= difference.high or difference.p > ALPHA:
        return "no_measurable_change", (
            f"No measurable change: {sides.tuned} differs from {sides.base} by no more than the choice of "
            "rows explains."
        )
    if p > ALPHA:
        return "no_measurable_change", (
            f"No measurable change: it is the {_ordinal(look)} candidate on these rows, and among so many one "
            f"comes out this far off by chance (corrected probability {_probability(p)})."
        )
    is_lower = difference.high < 0
    if by == "loss" and not (fell(before, after) if is_lower else rose(before, after)):
        return "no_measurable_change", (
            "No meaningful change: the difference is steady over the rows, but below the 1 % that would matter."
        )
    better = is_lower == (by in LOWER_IS_BETTER)
    subject = sides.tuned[:1].upper() + sides.tuned[1:]
    told = f"{subject} is measurably {'better' if better else 'worse'} than {sides.base}."
    return ("improved" if better else "worse"), told


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
