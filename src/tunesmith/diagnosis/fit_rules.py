"""What the losses say of the learning: over- and under-fitting, no gain, no effect, a plateau.

What counts as a change at all is decided in `diagnosis.effect`. A training loss jumps from step to step, so the mean
of the last fifth of the points (ten at most) is compared with that of the first. It is never held against a held-out
loss: prompt learning inflates it by about N/(N - 1), and overfitting shows on held-out rows only. Where the
thresholds come from: docs/diagnosis.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from tunesmith.diagnosis.effect import fell, relative_change, rose
from tunesmith.diagnosis.history import MIN_POINTS, MIN_PROGRESS, MIN_STEPS, Point, RunHistory, ends, window
from tunesmith.diagnosis.proposals import (
    begin_with,
    configure,
    is_lora,
    longer,
    longer_in_words,
    other_rate,
    rate_in_words,
)
from tunesmith.schemas.enums import RunState
from tunesmith.schemas.runs import Finding

OVERFITTING_RISE = 0.03
STILL_IMPROVING_FALL = 0.02
LAST_QUARTER = 0.75
NO_EFFECT_NATS = 1e-6
PLATEAU_EVALUATIONS = 4
PLATEAU_TRAIN_FALL = 0.05
LEARNED_NATS = 0.1


def adapter_without_effect(history: RunHistory) -> Finding | None:
    """Gradients that are all zero, or held-out losses that are the base's to the last digit."""
    if history.step < MIN_STEPS:
        return None
    norms = [norm for _, norm in history.gradients]
    base = history.base_eval_loss or 0.0
    changes = [abs(loss - base) for step, loss in history.evaluations if step >= MIN_STEPS]
    no_gradient = len(norms) >= MIN_POINTS and max(norms) == 0
    no_change = history.base_eval_loss is not None and bool(changes) and max(changes) <= NO_EFFECT_NATS
    if not no_gradient and not no_change:
        return None
    evidence = {"step": float(history.step)}
    if norms:
        evidence["largest_gradient"] = max(norms)
    if history.base_eval_loss is not None and changes:
        evidence["largest_change"] = max(changes)
    what = (
        "no gradient reaches the trained weights"
        if no_gradient
        else "the model answers exactly as its base does"
    )
    changes_to_plan = (
        {"target_modules": ["all-linear"]} if is_lora(history.plan) else {"tuning_method": "lora"}
    )
    named = ", ".join(f"{name}={value!r}" for name, value in changes_to_plan.items())
    return Finding(
        code="adapter_without_effect",
        severity="fail",
        confidence="high" if no_gradient else "medium",
        message=f"After {history.step} steps {what}: nothing is being learned.",
        cause="The trained weights are not part of what computes the loss, or are switched off.",
        evidence=evidence,
        recovery=f"{begin_with(history)} with {named}, and try it with mode='smoke' before you start it.",
        fix=configure(history, "weights that every answer passes through", **changes_to_plan),
    )


def not_learning(history: RunHistory) -> Finding | None:
    """A quarter of the run is done, and no loss has fallen by what would matter."""
    if len(history.train) < MIN_POINTS or history.step < max(
        MIN_STEPS, MIN_PROGRESS * (history.total_steps or 0)
    ):
        return None
    first, last = ends(history.train)
    if fell(first, last) or _held_out_fell(history):
        return None
    return Finding(
        code="not_learning",
        severity="warn",
        confidence="medium",
        message=f"After {history.step} of {history.total_steps or 'unknown'} steps the training loss has not "
        f"fallen: it "
        f"was {first:.3f} over the first steps and is {last:.3f} over the last ones.",
        cause="The steps are too small, the loss falls on the wrong tokens, or the base knows these rows already.",
        evidence={"first": first, "last": last, "step": history.step},
        recovery="Look at the example of the plan: the marked tokens must be the answers. If they are, call "
        f"configure_lora with {rate_in_words(history, 2, 'a learning_rate twice as large')} and start again; if "
        f"the base "
        "loss was low already, the base knows this data and needs no tuning.",
        fix=configure(history, "larger steps", learning_rate=other_rate(history, 2)),
    )


def overfitting(history: RunHistory) -> Finding | None:
    """The held-out loss rises while the training loss falls."""
    evals = history.evaluations
    if len(evals) < 2:
        return None
    best_step, lowest = min(evals, key=lambda point: point[1])
    last_step, last = evals[-1]
    if not rose(lowest, last, OVERFITTING_RISE) or not _train_fell_after(history.train, best_step):
        return None
    changes: dict[str, int | float] = {"max_steps": best_step}
    regularised = ""
    if is_lora(history.plan):
        assert history.plan is not None
        changes["dropout"] = max(0.1, history.plan.config.dropout or 0.0)
        regularised = f", dropout={changes['dropout']:g}"
    return Finding(
        code="overfitting",
        severity="warn",
        message=f"The held-out loss was lowest at step {best_step} ({lowest:.3f}) and has risen by "
        f"{relative_change(lowest, last):.0%} to {last:.3f} at step {last_step}, while the training loss went on "
        f"falling: "
        "the model now learns its rows by heart.",
        cause="Too many passes over too few rows, or rows that are too alike.",
        evidence={"lowest": lowest, "last": last, "best_step": best_step, "step": last_step},
        recovery=f"{begin_with(history)} with max_steps={best_step}{regularised} (or with more varied rows) and start "
        "again.",
        fix=configure(
            history, "ends where the held-out loss was lowest, with more regularisation", **changes
        ),
    )


def gain(history: RunHistory) -> Finding | None:
    """What an ended run has won over its base, where that is nothing."""
    base, kept = history.base_eval_loss, history.kept_eval_loss
    if not history.has_ended or kept is None or base is None or fell(base, kept):
        return None
    change = relative_change(base, kept)
    figures = f"the held-out loss was {base:.3f} before and is {kept:.3f} after ({change:+.1%})"
    evidence = {"base": base, "kept": kept}
    if rose(base, kept):
        return Finding(
            code="worse_than_base",
            severity="fail",
            message=f"The training made the model worse: {figures}.",
            cause="Steps too large or too many, or training rows of another kind than the held-out ones.",
            evidence=evidence,
            recovery=f"Do not use this run. Call configure_lora with "
            f"{rate_in_words(history, 0.5, 'half the learning_rate')} "
            "or fewer epochs, and check that the golden set is of the same kind as the training rows.",
            fix=configure(history, "smaller steps", learning_rate=other_rate(history, 0.5)),
        )
    return Finding(
        code="no_gain",
        severity="warn",
        message=f"The training gained next to nothing: {figures}, less than the 1 % that would matter.",
        cause="The base can do this already, or the training was too weak.",
        confidence="medium",
        evidence=evidence,
        recovery="Keep the base, which does this as well already, or call load_dataset with rows of a task that "
        "it cannot do "
        f"yet. If it should have learned more, call configure_lora with "
        f"{rate_in_words(history, 2, 'a learning_rate twice as large')} and {longer_in_words(history)}.",
        fix=configure(
            history, "a stronger training", learning_rate=other_rate(history, 2), **longer(history)
        ),
    )


def still_improving(history: RunHistory) -> Finding | None:
    """Under-fitting: the run is complete, and was ended while its held-out loss still fell."""
    ended_early = history.step < (history.total_steps or 0)
    earlier = _before_last_quarter(history)
    if (
        history.state is not RunState.SUCCEEDED
        or ended_early
        or earlier is None
        or not still_falling(history)
    ):
        return None
    last_step, last = history.evaluations[-1]
    return Finding(
        code="still_improving",
        severity="info",
        message=f"The held-out loss was still falling when the run ended: {earlier[1]:.3f} at step {earlier[0]}, "
        f"{last:.3f} "
        f"at step {last_step}. A longer training would gain more.",
        cause="Under-fitting: the training ended before it had learned what it could.",
        evidence={"earlier": earlier[1], "last": last, "earlier_step": earlier[0], "step": last_step},
        recovery=f"Call configure_lora with {longer_in_words(history)} and start again.",
        fix=configure(history, "more training", **longer(history)),
    )


def plateau(history: RunHistory) -> Finding | None:
    """Neither loss moves over the second half of the evaluations, and there is something left to learn."""
    evals = history.evaluations
    half = evals[len(evals) // 2 :]
    if len(half) < PLATEAU_EVALUATIONS or half[-1][1] < LEARNED_NATS or _stage(history) < 0.5:
        return None
    losses = [loss for _, loss in half]
    late = [point for point in history.train if point[0] >= half[0][0]]
    if fell(max(losses), min(losses)) or len(late) < 2 * MIN_POINTS or fell(*ends(late), PLATEAU_TRAIN_FALL):
        return None
    wider = is_lora(history.plan)
    changes = {"target_modules": ["all-linear"]} if wider else {"tuning_method": "lora"}
    named = "target_modules=['all-linear']" if wider else "tuning_method='lora'"
    return Finding(
        code="plateau",
        severity="info",
        message=f"Since step {half[0][0]} nothing has changed: the held-out loss stays at {losses[-1]:.3f}, the "
        f"training loss "
        "too.",
        cause="What these weights can learn from these rows is learned.",
        confidence="medium",
        evidence={"since_step": half[0][0], "highest": max(losses), "lowest": min(losses)},
        recovery=f"More steps gain nothing. For a lower loss call configure_lora with {named}, or load more "
        f"varied rows.",
        fix=configure(history, "more weights to learn with", **changes),
    )


def still_falling(history: RunHistory) -> bool:
    """Whether the held-out loss fell by what matters over the last quarter of the steps."""
    earlier = _before_last_quarter(history)
    if earlier is None:
        return False
    last_step, last = history.evaluations[-1]
    # Evaluations may be far apart: what fell over two quarters must have fallen by twice as much.
    quarters = (last_step - earlier[0]) / ((1 - LAST_QUARTER) * last_step)
    return fell(earlier[1], last, STILL_IMPROVING_FALL * quarters)


def _before_last_quarter(history: RunHistory) -> Point | None:
    """The newest evaluation before the last quarter of the steps."""
    evals = history.evaluations
    if len(evals) < 2:
        return None
    return next((point for point in reversed(evals) if point[0] <= LAST_QUARTER * evals[-1][0]), None)


def _stage(history: RunHistory) -> float:
    """The share of the run that is done; 1 for an ended one."""
    if not history.state.is_active or not history.total_steps:
        return 1.0
    return history.step / history.total_steps


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
    return fmean(after[-window(len(after)) :]) < fmean(before[-window(len(before)) :])
