"""What measurements of a tuned model say beside its run: forgetting, slices it is poor at, answers that do not end.

The figures are measured elsewhere, each on the same rows before and after; here is decided what is told of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.diagnosis.effect import relative_change, rose
from tunesmith.diagnosis.history import RunHistory
from tunesmith.diagnosis.proposals import configure, other_rate, rate_in_words
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.runs import Finding

FORGETTING_RISE = 0.02
FORGETTING_FAIL = 0.2
LEAST_ROWS = 10
STOPPED_SHARE = 0.5


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
