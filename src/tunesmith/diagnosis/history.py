"""What is known of a run: its curves, its plan, its data and what its process told of the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.enums import RunState
from tunesmith.schemas.plans import Plan

Point = tuple[int, float]
"""An optimizer step and the mean loss per token (nats) that was seen there, or the norm of the gradient."""

MIN_STEPS = 20
MIN_POINTS = 5
MIN_PROGRESS = 0.25
"""A curve is judged from so many steps, points and, where it is to have fallen, this share of the run on."""
_WINDOW_SHARE = 0.2
_WINDOW_MAX = 10


@dataclass(frozen=True)
class RunHistory:
    """What is known of a run so far. Points are in the order of their steps.

    `train` are training losses, `gradients` the norms of the gradient before it was clipped, `evaluations` held-out
    losses after the first step, `base_eval_loss` the held-out loss before it. `card` is that of the training rows.
    `inputs` and `prompt_use` are the newest events of these names, `figures` the newest progress event
    (jobs/journal.py). `silent_s` is the time since the run's last word, None once it has ended.
    `error_code` says why it failed.
    """

    run_id: str
    state: RunState
    train: Sequence[Point]
    evaluations: Sequence[Point]
    base_eval_loss: float | None
    total_steps: int | None
    plan: Plan | None = None
    card: DatasetCard | None = None
    gradients: Sequence[Point] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    prompt_use: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    phase: str | None = None
    silent_s: float | None = None
    error_code: str | None = None

    @property
    def step(self) -> int:
        """The newest step that anything is known of."""
        return max((step for step, _ in (*self.train, *self.evaluations)), default=0)

    @property
    def has_ended(self) -> bool:
        """Ended with weights that somebody may want to use."""
        return self.state in (RunState.SUCCEEDED, RunState.STOPPED)

    @property
    def kept_eval_loss(self) -> float | None:
        """The held-out loss of the weights that an ended run leaves: with early stopping the lowest, else the last."""
        if not self.evaluations:
            return None
        patience = None if self.plan is None else self.plan.config.early_stopping_patience
        if patience is not None and self.state is RunState.SUCCEEDED:
            return min(loss for _, loss in self.evaluations)
        return self.evaluations[-1][1]


def window(count: int) -> int:
    """How many of `count` points are averaged at either end: a fifth, ten at most, one at least."""
    return max(1, min(_WINDOW_MAX, int(_WINDOW_SHARE * count)))


def ends(points: Sequence[Point]) -> tuple[float, float]:
    """The means of the first and of the last points, of which there is at least one."""
    width = window(len(points))
    return fmean(value for _, value in points[:width]), fmean(value for _, value in points[-width:])
