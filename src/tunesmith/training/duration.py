"""How long a training goes on: epochs, steps, and what happens at which of them."""

from __future__ import annotations

import math

from tunesmith.schemas.enums import ComputeBudget, DatasetSize
from tunesmith.schemas.plans import ConfigureRequest
from tunesmith.training.notes import AS_ASKED, Notes

EPOCHS: dict[DatasetSize, dict[ComputeBudget, float]] = {
    DatasetSize.SMALL: {ComputeBudget.LOW: 2, ComputeBudget.MEDIUM: 3, ComputeBudget.HIGH: 10},
    DatasetSize.MEDIUM: {ComputeBudget.LOW: 1, ComputeBudget.MEDIUM: 3, ComputeBudget.HIGH: 5},
    DatasetSize.LARGE: {ComputeBudget.LOW: 1, ComputeBudget.MEDIUM: 2, ComputeBudget.HIGH: 3},
}
"""What a compute budget means: how often each row is seen. Three passes are the usual start (Alpaca's; Tulu's two
over a large mixture, arXiv:2306.04751); a high budget goes further where rows are few (the demo's 600 rows: LoRA's
held-out loss 0.011 after 111 steps, 0.005 after 333), which is safe only while held-out loss is watched."""
UNWATCHED_EPOCHS = 4.0
"""The most without a golden set: repeated up to four times, data is worth nearly as much as new data, and soon after
nothing (arXiv:2305.16264)."""
PATIENCE = 3
"""Evaluations without a better loss: one or two are noise (Prechelt, "Early stopping - but when?", 1998)."""
_MANY_ROWS = 100_000
_EVALUATION_SHARE = 0.1
"""Most of the time that evaluations may take; a scored token costs a third of a learned one."""
_LEAST_EVALUATIONS = 5
_MOST_WARMUP_STEPS = 200


def count_size(request: ConfigureRequest, rows: int, notes: Notes) -> DatasetSize:
    """The dataset's size as asked for, or as counted."""
    counted = (
        DatasetSize.SMALL if rows < 1000 else DatasetSize.MEDIUM if rows <= 10_000 else DatasetSize.LARGE
    )
    if request.dataset_size is None:
        notes.reasons["dataset_size"] = f"{rows} rows to train on"
        return counted
    notes.reasons["dataset_size"] = AS_ASKED
    if request.dataset_size is not counted:
        notes.warnings.append(
            f"dataset_size is {request.dataset_size.value!r}, but {rows} rows are {counted.value!r}."
        )
    return request.dataset_size


def choose_batch_size(request: ConfigureRequest, rows: int, notes: Notes) -> int:
    """Rows of an optimizer step, whatever fits into memory at a time.

    Eight: LoRA loses more than full fine-tuning from large batches ("LoRA Without Regret", Thinking Machines 2025), and
    at equal epochs a larger one makes fewer updates.
    """
    if request.batch_size is not None:
        notes.reasons["batch_size"] = AS_ASKED
        return request.batch_size
    if rows > _MANY_ROWS:
        notes.reasons["batch_size"] = (
            f"{rows} rows make enough updates with steps of 32, which keep a machine busy"
        )
        return 32
    notes.reasons["batch_size"] = "the usual 8" if rows >= 8 else f"there are only {rows} rows"
    return min(8, rows)


def choose_duration(
    request: ConfigureRequest, size: DatasetSize, rows: int, batch_size: int, watched: bool, notes: Notes
) -> tuple[float, int]:
    """Epochs and optimizer steps. `watched`: there are held-out rows that say when to stop."""
    per_epoch = math.ceil(rows / batch_size)
    if request.max_steps is not None:
        epochs = round(request.max_steps / per_epoch, 2)
        notes.reasons["total_steps"] = "max_steps, as you asked"
        notes.reasons["epochs"] = f"what max_steps comes to over {rows} rows"
        if request.epochs is not None:
            notes.warnings.append(
                f"max_steps {request.max_steps} counts, epochs {request.epochs:g} does not."
            )
        return epochs, request.max_steps
    if request.epochs is not None:
        epochs, notes.reasons["epochs"] = request.epochs, AS_ASKED
    else:
        epochs = EPOCHS[size][request.compute_budget]
        why = f"a {request.compute_budget.value} compute budget for a {size.value} dataset"
        if not watched and epochs > UNWATCHED_EPOCHS:
            epochs = UNWATCHED_EPOCHS
            why += "; more would go unwatched without a golden set (arXiv:2305.16264)"
        notes.reasons["epochs"] = why
    steps = max(1, math.ceil(epochs * per_epoch))
    notes.reasons["total_steps"] = f"{epochs:g} epochs of {per_epoch} steps of {batch_size} rows"
    if steps < 30:
        notes.warnings.append(
            f"Only {steps} optimizer steps: more rows, epochs or max_steps would teach more."
        )
    return epochs, steps


def choose_rhythm(total_steps: int, batch_size: int, dev_rows: int, notes: Notes) -> dict[str, int]:
    """What happens at which steps."""
    warmup = min(_MOST_WARMUP_STEPS, math.ceil(0.1 * total_steps)) if total_steps > 1 else 0
    usual = min(100, max(1, total_steps // 10))
    affordable = math.ceil(dev_rows / (3 * _EVALUATION_SHARE * batch_size))
    eval_steps = max(usual, min(affordable, max(1, total_steps // _LEAST_EVALUATIONS)))
    save_steps = min(500, max(1, total_steps // 4))
    notes.reasons["warmup_steps"] = f"a tenth of the steps, at most {_MOST_WARMUP_STEPS}"
    notes.reasons["eval_steps"] = (
        f"every {eval_steps} steps: 100, or a tenth of a short run"
        if eval_steps == usual
        else f"every {eval_steps} steps: scoring {dev_rows} rows more often would take over a tenth of the time"
    )
    notes.reasons["save_steps"] = f"every {save_steps} steps: 500, or a quarter of a short run"
    return {"warmup_steps": warmup, "eval_steps": eval_steps, "save_steps": save_steps, "logging_steps": 1}


def choose_patience(request: ConfigureRequest, dev_rows: int, notes: Notes) -> int | None:
    """After how many evaluations without a better loss the run ends; None where it runs to its end."""
    if request.epochs is not None or request.max_steps is not None:
        notes.reasons["early_stopping_patience"] = "none: you said how long to train"
    elif not dev_rows:
        notes.reasons["early_stopping_patience"] = "none: there is no golden set to watch"
    else:
        notes.reasons["early_stopping_patience"] = (
            f"{PATIENCE} evaluations of the dev half without a better loss end the run: it has begun to over-fit"
        )
        return PATIENCE
    return None
