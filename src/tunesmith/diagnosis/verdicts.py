"""What measurements of a tuned model say beside its run: forgetting, slices it is poor at, answers that do not end or
are empty, rows that it was scored on and trained on.

The figures are measured elsewhere, each on the same rows before and after; here is decided what is told of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.diagnosis.effect import relative_change, rose
from tunesmith.diagnosis.history import RunHistory
from tunesmith.diagnosis.proposals import clean, configure, other_rate, rate_in_words
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import Fix, TuningMethod
from tunesmith.schemas.runs import Finding

FORGETTING_RISE = 0.02
FORGETTING_FAIL = 0.2
LEAST_ROWS = 10
STOPPED_SHARE = 0.5
EMPTY_SHARE = 0.5


@dataclass(frozen=True)
class Paired:
    """A mean loss per token (nats) on the same `rows` of the base and of the tuned model; `low` and `high` are the 95 %
    interval of the difference, tuned - base."""

    rows: int
    base: float
    tuned: float
    low: float
    high: float


def forgetting(history: RunHistory, retention: Paired) -> Finding | None:
    """What the training took from general text that it was not about."""
    if retention.rows < LEAST_ROWS or retention.low <= 0:
        return None
    if not rose(retention.base, retention.tuned, FORGETTING_RISE):
        return None
    change = relative_change(retention.base, retention.tuned)
    full = history.plan is not None and history.plan.config.tuning_method is TuningMethod.FULL
    changes: dict[str, str | float | None] = {"learning_rate": other_rate(history, 0.5)}
    if full:
        changes = {"tuning_method": "lora", "learning_rate": None}
    named = "tuning_method='lora'" if full else rate_in_words(history, 0.5, "half the learning_rate")
    return Finding(
        code="forgetting",
        severity="fail" if change >= FORGETTING_FAIL else "warn",
        message=f"On {retention.rows} rows of general text the loss rose from {retention.base:.3f} to "
        f"{retention.tuned:.3f} "
        f"({change:+.0%}; 95 % interval of the difference {retention.low:+.3f} to {retention.high:+.3f}).",
        cause="The training changed the weights further than the new rows needed.",
        evidence={
            "base": retention.base,
            "tuned": retention.tuned,
            "low": retention.low,
            "high": retention.high,
        },
        recovery=f"Call configure_lora with {named} or fewer epochs, or mix a tenth of general rows into the "
        f"training rows, "
        "and start again.",
        fix=configure(history, "changes the weights less", **changes),
    )


def poor_slices(history: RunHistory, column: str, slices: dict[str, Paired]) -> list[Finding]:
    """The values of a column whose rows the tuned model is worse at than its base, though it is better over all."""
    judged = {value: each for value, each in slices.items() if each.rows >= LEAST_ROWS}
    if sum(each.rows * (each.tuned - each.base) for each in judged.values()) >= 0:
        return []
    worse = {value: each for value, each in judged.items() if each.low > 0 and rose(each.base, each.tuned)}
    return [_poor_slice(history, column, value, each) for value, each in worse.items()]


def _poor_slice(history: RunHistory, column: str, value: str, slice_: Paired) -> Finding:
    fix = None
    if history.card is not None:
        dataset_id = history.card.parent_dataset_id or history.card.dataset_id
        arguments = {"dataset_id": dataset_id, "stratify_by": column}
        fix = NextCall(
            tool="build_golden_set", arguments=arguments, why="once rows of that kind have been added"
        )
    return Finding(
        code="poor_slice",
        severity="warn",
        message=f"On the {slice_.rows} rows with {column}={value!r} the loss rose from {slice_.base:.3f} to "
        f"{slice_.tuned:.3f}, while it fell over all rows.",
        cause=f"The training rows hold too few, or other, rows with {column}={value!r}.",
        evidence=vars(slice_),
        recovery="Collect more varied rows of that kind and call load_dataset with them, then build_golden_set with "
        f"stratify_by={column!r}.",
        fix=fix,
    )


def answers_do_not_end(history: RunHistory, stopped: int, answers: int) -> Finding | None:
    """Of so many generated answers most run into the limit instead of ending by themselves."""
    if answers < LEAST_ROWS or stopped / answers >= STOPPED_SHARE:
        return None
    return Finding(
        code="never_stops",
        severity="warn",
        confidence="medium",
        message=f"{stopped} of {answers} generated answers ended by themselves; the others ran into the limit.",
        cause="The training rows are cut before their end, or their template gives answers no end.",
        evidence={"stopped": stopped, "answers": answers},
        recovery="Call configure_lora without max_length, so that no row is cut, and start again.",
        fix=configure(history, "rows with their end", max_length=None),
    )


def answers_are_empty(history: RunHistory, empty: int, answers: int, empty_of_base: int) -> Finding | None:
    """Half or more of the generated answers end before they have begun."""
    if answers < LEAST_ROWS or empty / answers < EMPTY_SHARE:
        return None
    learned = empty_of_base / answers < EMPTY_SHARE
    return Finding(
        code="empty_answers",
        severity="fail",
        confidence="medium",
        message=f"{empty} of {answers} generated answers are empty: the model ends at once. Of its base's "
        f"{empty_of_base} are.",
        cause="It has learned to end right behind the prompt: from training rows with next to no answer, or from too "
        "large steps."
        if learned
        else "The base ends there, too: these prompts, in this form, look finished to it.",
        evidence={"empty": empty, "empty_of_base": empty_of_base, "answers": answers},
        recovery="Look at the plan's example: between ⟦ and ⟧ stands what is learned. Then call clean_dataset with "
        "fixes=['drop_too_short'], build_golden_set and configure_lora again."
        if learned
        else "Call configure_lora with a base that answers such prompts; generate_text shows whether it does.",
        fix=clean(history, Fix.DROP_TOO_SHORT, "answers to learn from") if learned else None,
    )


def trained_on_held_out(
    history: RunHistory, golden_set_id: str, train_dataset_id: str, seen: int, rows: int, spoils: bool
) -> Finding | None:
    """Of so many held-out rows some overlap with rows that the run was trained on; `spoils` says too many."""
    if not seen:
        return None
    trained_on = "other rows" if history.plan is None else history.plan.dataset_id
    return Finding(
        code="trained_on_held_out",
        severity="fail" if spoils else "warn",
        message=f"{seen} of these {rows} held-out rows overlap with rows of {trained_on}, which the run was trained "
        "on: "
        + ("its scores say nothing about other rows." if spoils else "its scores are that much too good."),
        cause=f"{golden_set_id} is kept apart from {train_dataset_id} alone.",
        evidence={"seen": seen, "rows": rows},
        recovery=f"Train on {train_dataset_id}: call configure_lora with it and golden_set_id='{golden_set_id}'. To "
        f"keep {trained_on}, call build_golden_set on it and train on what it leaves.",
        fix=configure(
            history,
            "trains on rows that are kept apart",
            dataset_id=train_dataset_id,
            golden_set_id=golden_set_id,
        ),
    )
