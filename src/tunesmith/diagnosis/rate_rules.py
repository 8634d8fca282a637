"""What the losses say of the learning rate: lost numbers, divergence, steps too large, steps too small.

Where the thresholds come from: docs/diagnosis.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import fmean, median

from tunesmith.diagnosis.effect import fell, rose
from tunesmith.diagnosis.history import MIN_POINTS, MIN_PROGRESS, MIN_STEPS, Point, RunHistory, ends, window
from tunesmith.diagnosis.proposals import (
    begin_with,
    configure,
    other_rate,
    rate_in_words,
)
from tunesmith.schemas.runs import Finding

DIVERGENCE_RATIO = 1.5
SMOOTHED_POINTS = 5
JUMP_RATIO = 1.3
JUMP_NATS = 0.1
JUMP_SIGMAS = 5.0
ABOVE_BASE_RISE = 0.03
ABOVE_POINTS = 3
FAR_RATE_RATIO = 5.0
LITTLE_FALL = 0.1
_DIFFERENCE_TO_SIGMA = 0.954
"""The median of |x - y| of two normal values is 0.954 sigma."""


def not_a_number(history: RunHistory) -> Finding | None:
    """A loss that is no number: the weights are lost."""
    points = (*history.train, *history.evaluations)
    step = next((step for step, loss in points if not math.isfinite(loss)), None)
    if step is None and history.error_code != "training_diverged":
        return None
    at = history.step if step is None else step
    return Finding(
        code="not_a_number",
        severity="fail",
        message=f"The loss is no number any more after step {at}; the weights are of no use.",
        cause="The steps were so large that the weights left the range of numbers: the learning rate is too high.",
        evidence={"step": at},
        recovery=f"{begin_with(history)} with "
        f"{rate_in_words(history, 0.25, 'a learning_rate a quarter as large')}, and "
        "start again.",
        fix=configure(history, "smaller steps", learning_rate=other_rate(history, 0.25)),
    )


def diverged(history: RunHistory) -> Finding | None:
    """A training loss that has climbed back and stays up."""
    losses = [loss for _, loss in history.train]
    width = window(len(losses))
    if len(losses) < MIN_POINTS or history.step < MIN_STEPS:
        return None
    first, last = ends(history.train)
    lowest = min(fmean(losses[at : at + width]) for at in range(len(losses) - width))
    if last < DIVERGENCE_RATIO * lowest or last - lowest < 0.5 * (first - lowest) or not rose(lowest, last):
        return None
    return Finding(
        code="diverged",
        severity="fail",
        message=f"The training loss climbed from {lowest:.3f} back to {last:.3f} at step {history.step}. The "
        f"training has "
        "diverged; its weights are of no use.",
        cause="The learning rate is too high for this model and these rows.",
        evidence={"first": first, "lowest": lowest, "last": last, "step": history.step},
        recovery=f"{begin_with(history)} with "
        f"{rate_in_words(history, 0.25, 'a learning_rate a quarter as large')}, and "
        "start again.",
        fix=configure(history, "smaller steps", learning_rate=other_rate(history, 0.25)),
    )


def learning_rate_too_high(history: RunHistory) -> Finding | None:
    """A training loss that fell, jumped far out of its noise and has come down again, or not yet; both losses above
    where they began; or a rate far above the usual one with which little was learned for long."""
    jump = _largest_jump([loss for _, loss in history.train])
    above = _both_above_start(history)
    little = _little_at_a_high_rate(history)
    if history.step < MIN_STEPS or (jump is None and above is None and little is None):
        return None
    told: list[str] = []
    evidence: dict[str, float] = {}
    if jump is not None:
        low, high, sigma = jump
        told.append(
            f"The training loss had fallen to {low:.3f} and jumped to {high:.3f}, far out of its noise."
        )
        evidence |= {"low": low, "high": high, "noise": sigma}
    if above is not None:
        step, held_out = above
        base = history.base_eval_loss or 0.0
        told.append(f"At step {step} the held-out loss stood at {held_out:.3f}, the base's at {base:.3f}.")
        evidence |= {"base": base, "held_out": held_out, "step": step}
    if little is not None:
        step, held_out, times = little
        told.append(
            f"The rate is {times:.0f} times the usual one, and at step {step} the held-out loss still stood at "
            f"{held_out:.3f}."
        )
        evidence |= {"times_usual": times, "little_at_step": step, "little_loss": held_out}
    return Finding(
        code="learning_rate_too_high",
        severity="warn",
        confidence="medium" if (jump, above, little).count(None) == 2 else "high",
        message=" ".join(told),
        cause="Steps this large overshoot: what is learned is thrown away again until the rate has decayed.",
        evidence=evidence,
        recovery=f"{begin_with(history)} with {rate_in_words(history, 0.25, 'a learning_rate a quarter as large')}, "
        "and start again.",
        fix=configure(history, "smaller steps", learning_rate=other_rate(history, 0.25)),
    )


def learning_rate_too_low(history: RunHistory) -> Finding | None:
    """A rate far below the usual one, and losses that fall as slowly as that makes them."""
    plan = history.plan
    usual = None if plan is None else plan.usual_learning_rate
    if plan is None or usual is None or usual < FAR_RATE_RATIO * plan.config.learning_rate:
        return None
    if len(history.train) < MIN_POINTS or history.step < max(
        MIN_STEPS, MIN_PROGRESS * (history.total_steps or 0)
    ):
        return None
    before, now = _learned(history)
    little = before - now < LITTLE_FALL * before
    lowest_at_last = min(loss for _, loss in history.evaluations or history.train) >= now
    if not little and not (history.has_ended and lowest_at_last):
        return None
    rate = plan.config.learning_rate
    return Finding(
        code="learning_rate_too_low",
        severity="warn",
        confidence="high" if little else "medium",
        message=f"The learning rate, {rate:.1e}, is {usual / rate:.0f} times smaller than the usual {usual:.1e}, "
        f"and the loss "
        f"has fallen from {before:.3f} to {now:.3f} only in {history.step} steps.",
        cause="Steps this small do not get anywhere in so many of them.",
        evidence={"before": before, "now": now, "learning_rate": rate, "usual_learning_rate": usual},
        recovery=f"{begin_with(history)} with learning_rate={usual:.1e}, and start again.",
        fix=configure(history, "the usual learning rate", learning_rate=usual),
    )


def _learned(history: RunHistory) -> tuple[float, float]:
    """A loss before and now: the held-out ones where there are any, else the training's."""
    if history.base_eval_loss is not None and history.evaluations:
        return history.base_eval_loss, history.evaluations[-1][1]
    return ends(history.train)


def _largest_jump(losses: Sequence[float]) -> tuple[float, float, float] | None:
    """Of the smoothed losses a low and a later high that are further apart than noise and use explain, and the noise
    (one sigma) of such a mean; None where there is no such jump."""
    if len(losses) < 3 * SMOOTHED_POINTS:
        return None
    steps = [abs(after - before) for before, after in itertools.pairwise(losses)]
    sigma = median(steps) / _DIFFERENCE_TO_SIGMA / math.sqrt(SMOOTHED_POINTS)
    means = [fmean(losses[at : at + SMOOTHED_POINTS]) for at in range(len(losses) - SMOOTHED_POINTS + 1)]
    low, best = means[0], (0.0, 0.0)
    for mean in means:
        low = min(low, mean)
        best = max(best, (mean - low, low))
    rise, low = best
    if rise < max(JUMP_NATS, (JUMP_RATIO - 1) * low, JUMP_SIGMAS * sigma):
        return None
    return low, low + rise, sigma


def _little_at_a_high_rate(history: RunHistory) -> tuple[int, float, float] | None:
    """The first evaluation, a quarter of the run in, that stands less than a tenth below the base's, and how many
    times the usual rate this run has; None below the fivefold."""
    plan, base = history.plan, history.base_eval_loss
    usual = None if plan is None else plan.usual_learning_rate
    if plan is None or usual is None or base is None or plan.config.learning_rate < FAR_RATE_RATIO * usual:
        return None
    begins = max(MIN_STEPS, MIN_PROGRESS * (history.total_steps or 0))
    late = (point for point in history.evaluations if point[0] >= begins)
    found = next(((step, loss) for step, loss in late if base - loss < LITTLE_FALL * base), None)
    return None if found is None else (*found, plan.config.learning_rate / usual)


def _both_above_start(history: RunHistory) -> Point | None:
    """The evaluation that stands highest above the base, if the training loss stood no lower there than it began: where
    rows are learned by heart, or others than the held-out ones are learned, that one falls."""
    base = history.base_eval_loss
    if base is None or not history.evaluations or not history.train:
        return None
    first = history.train[0][1]
    for step, loss in sorted(history.evaluations, key=lambda point: -point[1]):
        until = [told for at, told in history.train[1:] if at <= step][-ABOVE_POINTS:]
        if rose(base, loss, ABOVE_BASE_RISE) and len(until) >= 2 and not fell(first, fmean(until)):
            return step, loss
    return None
