"""From a run's curves to findings, each with the next call in it.

    diverged         fail  a loss that is no number; or the training loss is back at 1.5 times its lowest and
                           has lost half of what it had gained
    not_learning     warn  20 steps and a quarter of the run are done, and no loss has fallen by 1 %
    overfitting      warn  the held-out loss stands 3 % above its lowest while the training loss fell further
    no_gain          warn  the run has ended with a held-out loss that is not 1 % below the base's
    worse_than_base  fail  the run has ended with a held-out loss 1 % or more above the base's
    still_improving  info  the run is complete, and its held-out loss fell by 2 % over the last quarter

What counts as a change at all is decided in `diagnosis.effect`. A training loss jumps from step to step, so
the mean of the last fifth of the points (ten at most) is compared with that of the first. It is never held
against a held-out loss: prompt learning inflates it by about N/(N - 1), and overfitting shows on held-out
rows only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tunesmith.diagnosis.effect import fell, relative_change, rose
from tunesmith.schemas.enums import RunState
from tunesmith.schemas.runs import Finding

DIVERGENCE_RATIO = 1.5
MIN_STEPS = 20
MIN_POINTS = 5
MIN_PROGRESS = 0.25
OVERFITTING_RISE = 0.03
STILL_IMPROVING_FALL = 0.02
LAST_QUARTER = 0.75
_WINDOW_SHARE = 0.2
_WINDOW_MAX = 10

Point = tuple[int, float]
"""An optimizer step and the mean loss per token (nats) that was seen there."""


@dataclass(frozen=True)
class RunHistory:
    """What is known of a run so far. Points are in the order of their steps.

    `train` are training losses, `evaluations` held-out losses after the first step, `base_eval_loss` the
    held-out loss before it. `learning_rate` and `epochs` are the plan's; with them a finding can name the
    value to try next.
    """

    run_id: str
    state: RunState
    train: Sequence[Point]
    evaluations: Sequence[Point]
    base_eval_loss: float | None
    total_steps: int | None
    learning_rate: float | None = None
    epochs: float | None = None

    @property
    def step(self) -> int:
        """The newest step that anything is known of."""
        return max((step for step, _ in (*self.train, *self.evaluations)), default=0)

    @property
    def has_ended(self) -> bool:
        """Ended with weights that somebody may want to use."""
        return self.state in (RunState.SUCCEEDED, RunState.STOPPED)


def diagnose(history: RunHistory) -> list[Finding]:
    """What is worth telling about the run, gravest first. A diverged run has no other finding."""
    diverged = _diverged(history)
    if diverged is not None:
        return [diverged]
    found = [_gain(history), _overfitting(history), _not_learning(history), _still_improving(history)]
    return [finding for finding in found if finding is not None]


def _diverged(history: RunHistory) -> Finding | None:
    broken = next(
        (step for step, loss in (*history.train, *history.evaluations) if not math.isfinite(loss)), None
    )
    if broken is not None:
        what = f"The loss at step {broken} is not a number."
    else:
        losses = [loss for _, loss in history.train]
        width = _window(losses)
        if len(losses) < MIN_POINTS or history.step < MIN_STEPS:
            return None
        first, last = fmean(losses[:width]), fmean(losses[-width:])
        lowest = min(fmean(losses[at : at + width]) for at in range(len(losses) - width))
        if last < DIVERGENCE_RATIO * lowest or last - lowest < 0.5 * (first - lowest):
            return None
        if not rose(lowest, last):
            return None
        what = f"The training loss climbed from {lowest:.3f} back to {last:.3f} at step {history.step}."
    return Finding(
        code="diverged",
        severity="fail",
        message=f"{what} The training has diverged; its weights are of no use.",
        recovery=(
            f"{_configure(history)} with {_rate(history, 0.25, 'a learning_rate a quarter as large')}, and "
            "start again."
        ),
    )


def _not_learning(history: RunHistory) -> Finding | None:
    losses = [loss for _, loss in history.train]
    width = _window(losses)
    if len(losses) < MIN_POINTS or history.step < max(MIN_STEPS, MIN_PROGRESS * (history.total_steps or 0)):
        return None
    first, last = fmean(losses[:width]), fmean(losses[-width:])
    if fell(first, last) or _held_out_fell(history):
        return None
    return Finding(
        code="not_learning",
        severity="warn",
        message=(
            f"After {history.step} of {history.total_steps or 'unknown'} steps the training loss has not "
            "fallen: it was "
            f"{first:.3f} over the first steps and is {last:.3f} over the last ones."
        ),
        recovery=(
            "Look at the example of the plan: the marked tokens must be the answers. If they are, call "
            f"configure_lora with {_rate(history, 2, 'a learning_rate twice as large')} and start again; "
            "if the base "
            "loss was low already, the base knows this data and needs no tuning."
        ),
    )


def _overfitting(history: RunHistory) -> Finding | None:
    evals = history.evaluations
    if len(evals) < 2:
        return None
    best_step, lowest = min(evals, key=lambda point: point[1])
    last_step, last = evals[-1]
    if not rose(lowest, last, OVERFITTING_RISE) or not _train_fell_after(history.train, best_step):
        return None
    return Finding(
        code="overfitting",
        severity="warn",
        message=(
            f"The held-out loss was lowest at step {best_step} ({lowest:.3f}) and has risen by "
            f"{relative_change(lowest, last):.0%} to {last:.3f} at step {last_step}, while the training "
            "loss went on "
            "falling: the model now learns its rows by heart."
        ),
        recovery=(
            f"{_configure(history)} with max_steps={best_step} (or with more varied rows) and start again."
        ),
    )


def _gain(history: RunHistory) -> Finding | None:
    evals, base = history.evaluations, history.base_eval_loss
    if not history.has_ended or not evals or base is None or fell(base, evals[-1][1]):
        return None
    last = evals[-1][1]
    change = relative_change(base, last)
    figures = f"the held-out loss was {base:.3f} before and is {last:.3f} after ({change:+.1%})"
    if rose(base, last):
        return Finding(
            code="worse_than_base",
            severity="fail",
            message=f"The training made the model worse: {figures}.",
            recovery=(
                "Do not use this run. Call configure_lora with "
                f"{_rate(history, 0.5, 'half the learning_rate')} or fewer epochs, and check that the "
                "golden set is "
                "of the same kind as the training rows."
            ),
        )
    return Finding(
        code="no_gain",
        severity="warn",
        message=f"The training gained next to nothing: {figures}, less than the 1 % that would matter.",
        recovery=(
            "Keep the base, which does this as well already, or call load_dataset with rows of a task that "
            "it cannot "
            f"do yet. If it should have learned more, call configure_lora with "
            f"{_rate(history, 2, 'a learning_rate twice as large')}{_more_epochs(history, ' and ')}."
        ),
    )


def _still_improving(history: RunHistory) -> Finding | None:
    evals = history.evaluations
    if history.state is not RunState.SUCCEEDED or len(evals) < 2 or history.step < (history.total_steps or 0):
        return None
    last_step, last = evals[-1]
    earlier = [point for point in evals if point[0] <= LAST_QUARTER * last_step]
    if not earlier:
        return None
    # Evaluations may be far apart: what fell over two quarters must have fallen by twice as much.
    quarters = (last_step - earlier[-1][0]) / ((1 - LAST_QUARTER) * last_step)
    if not fell(earlier[-1][1], last, STILL_IMPROVING_FALL * quarters):
        return None
    longer = _more_epochs(history, "") or f"max_steps={2 * history.step}"
    return Finding(
        code="still_improving",
        severity="info",
        message=(
            f"The held-out loss was still falling when the run ended: {earlier[-1][1]:.3f} at step "
            f"{earlier[-1][0]}, "
            f"{last:.3f} at step {last_step}. A longer training would gain more."
        ),
        recovery=f"Call configure_lora with {longer} and start again.",
    )


def _window(losses: Sequence[float]) -> int:
    return max(1, min(_WINDOW_MAX, int(_WINDOW_SHARE * len(losses))))


def _held_out_fell(history: RunHistory) -> bool:
    evals = history.evaluations
    if not evals:
        return False
    before = history.base_eval_loss if history.base_eval_loss is not None else evals[0][1]
    return fell(before, evals[-1][1])


def _train_fell_after(train: Sequence[Point], step: int) -> bool:
    before = [loss for at, loss in train if at <= step]
    after = [loss for at, loss in train if at > step]
    if not before or not after:
        return False
    return fmean(after[-_window(after) :]) < fmean(before[-_window(before) :])


def _configure(history: RunHistory) -> str:
    if not history.state.is_active:
        return "Call configure_lora"
    return f'Call stop_training with run_id="{history.run_id}", then configure_lora'


def _rate(history: RunHistory, factor: float, words: str) -> str:
    if history.learning_rate is None:
        return words
    return f"learning_rate={history.learning_rate * factor:.1e} (it was {history.learning_rate:.1e})"


def _more_epochs(history: RunHistory, lead: str) -> str:
    return (
        "" if history.epochs is None else f"{lead}epochs={2 * history.epochs:g} (it was {history.epochs:g})"
    )
