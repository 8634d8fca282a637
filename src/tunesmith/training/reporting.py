"""Follows a training: tells its progress, evaluates, commits checkpoints, hears a stop, notices divergence."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from transformers import TrainerCallback

from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.ledger_sidecar import FollowedLedger
from tunesmith.schemas.errors import TrainingDiverged
from tunesmith.training import checkpoints
from tunesmith.training.dev_loss import DevLoss
from tunesmith.training.early_stopping import EarlyStopping
from tunesmith.training.hardware import peak_memory_bytes
from tunesmith.training.prompt_use import PromptUse
from tunesmith.training.tracking import Trackers

PROGRESS_INTERVAL_S = 0.25
_SPEED_WINDOW_STEPS = 20
_LOSS_WINDOW_STEPS = 10


@dataclass(frozen=True)
class Calendar:
    """At which optimizer steps something happens; the last step always counts."""

    total_steps: int
    eval_steps: int
    save_steps: int

    def evaluates_at(self, step: int) -> bool:
        return step == self.total_steps or step % self.eval_steps == 0

    def saves_at(self, step: int) -> bool:
        return step == self.total_steps or step % self.save_steps == 0


class _Mark(NamedTuple):
    """The end of a step: boot seconds, and what was seen and waited for until then."""

    boot_s: float
    tokens: int
    waited_s: float


class Reporter(TrainerCallback):
    """The Trainer logs every step; `evaluate` gives the dev half's figures, or None where there is none.

    With `patience` the run ends after so many evaluations without a better loss, and its best weights are kept.
    `prompt_use` is told half-way and at the end, `trackers` whatever the journal is.
    """

    def __init__(
        self,
        job: JobContext,
        calendar: Calendar,
        evaluate: Callable[[Any], DevLoss | None],
        learning_rate: float,
        patience: int | None = None,
        prompt_use: PromptUse | None = None,
        trackers: Trackers | None = None,
    ) -> None:
        self._job = job
        self._calendar = calendar
        self._evaluate = evaluate
        self._planned_learning_rate = learning_rate
        self._patience = patience
        self._prompt_use = prompt_use
        self._trackers = trackers
        self._looked_at_prompts = False
        self._early_stopping: EarlyStopping | None = None
        self._steps: deque[_Mark] = deque(maxlen=_SPEED_WINDOW_STEPS)
        self._waited_s = 0.0
        self._losses: deque[float] = deque(maxlen=_LOSS_WINDOW_STEPS)
        self._told_at = -math.inf
        # Followed for its sidecar alone: whoever asks about a run of days must not have to read its whole journal.
        self._ledger = FollowedLedger(job.paths)
        self.stopped = False

    @property
    def train_loss(self) -> float | None:
        """The mean of the last ten steps' losses; None when this attempt made no step."""
        return sum(self._losses) / len(self._losses) if self._losses else None

    @property
    def ended_early(self) -> bool:
        """Whether the dev half's loss has not fallen for long enough."""
        return self._early_stopping is not None and self._early_stopping.is_over

    @property
    def best_loss(self) -> float | None:
        """The loss on the dev half of the weights that are kept; None without early stopping, or an evaluation."""
        return None if self._early_stopping is None else self._early_stopping.record.loss

    def watch(self, model: Any, scratch: Path, resume_from: Path | None) -> None:
        """Begin to watch a training, which goes on from `resume_from` if that is a checkpoint."""
        if self._patience is not None:
            self._early_stopping = EarlyStopping(self._patience, model, scratch, resume_from)

    def restore_best(self) -> None:
        """Give the model the weights that did best on the dev half, and say so, where they are not its last."""
        stopping = self._early_stopping
        if stopping is None or stopping.record.loss is None:
            return
        stopping.restore()
        if stopping.record.worse:
            self._job.journal.append(
                "finding",
                code="early_stopping",
                severity="info",
                message=f"The weights of step {stopping.record.step} are kept, whose held-out loss was the lowest "
                f"({stopping.record.loss:.4f}); {stopping.record.worse} evaluations after it were no better.",
                recovery="Nothing is wrong. For a lower loss: more or other rows, or a smaller learning_rate.",
            )

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._mark(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._mark(state)
        if self._job.stop_requested() and state.global_step < self._calendar.total_steps:
            self.stopped = True
            control.should_training_stop = True
        control.should_save = self.stopped or self._calendar.saves_at(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], model: Any, **_: Any) -> None:
        if "loss" not in logs:
            return  # the Trainer's own summary at the end
        step, loss = int(state.global_step), float(logs["loss"])
        if self._trackers is not None:
            self._trackers.log(step, logs)
        if not math.isfinite(loss):
            raise self.diverged(step)
        self._losses.append(loss)
        last = step == self._calendar.total_steps
        if last or self.stopped or clock.boot_s() - self._told_at >= PROGRESS_INTERVAL_S:
            self._tell(step, loss, logs)
        if self._calendar.evaluates_at(step) and not self.stopped:
            self._tell_dev_loss(step, model)
            if self.ended_early:
                control.should_training_stop = control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = int(state.global_step)
        made = Path(args.output_dir) / f"checkpoint-{step}"
        if self._early_stopping is not None:
            self._early_stopping.add_to(made)
        self._job.check_current()
        checkpoints.commit(made, self._job.paths, step, self._job.attempt)
        self._job.journal.append("checkpoint", durable=True, step=step)
        self._ledger.refresh()

    def waited_for_data(self, seconds: float) -> None:
        """Hear how long the trainer waited for its next batch."""
        self._waited_s += seconds

    def _mark(self, state: Any) -> None:
        self._steps.append(_Mark(clock.boot_s(), int(state.num_input_tokens_seen), self._waited_s))

    def _tell(self, step: int, loss: float, logs: dict[str, Any]) -> None:
        self._told_at = clock.boot_s()
        first, last = self._steps[0], self._steps[-1]
        elapsed = max(last.boot_s - first.boot_s, 1e-9)
        gradient = float(logs.get("grad_norm", math.nan))
        seconds_per_step = elapsed / max(1, len(self._steps) - 1)
        self._job.progress(
            step,
            self._calendar.total_steps,
            loss=loss,
            learning_rate=float(logs.get("learning_rate", 0.0)),
            epoch=float(logs.get("epoch", 0.0)),
            tokens_per_s=(last.tokens - first.tokens) / elapsed,
            data_wait=min(1.0, (last.waited_s - first.waited_s) / elapsed),
            grad_norm=gradient if math.isfinite(gradient) else None,
            eta_s=(self._calendar.total_steps - step) * seconds_per_step,
            peak_memory_bytes=peak_memory_bytes(),
        )

    def _tell_dev_loss(self, step: int, model: Any) -> None:
        figures = self._evaluate(model)
        if figures is None:
            return
        if not math.isfinite(figures.loss):
            raise self.diverged(step)
        self._job.journal.append("evaluated", step=step, eval_loss=figures.loss, accuracy=figures.accuracy)
        if self._trackers is not None:
            self._trackers.evaluated(step, figures.loss, figures.accuracy)
        if self._early_stopping is not None:
            self._early_stopping.evaluated(step, figures.loss)
        half_way = not self._looked_at_prompts and 2 * step >= self._calendar.total_steps
        if self._prompt_use is not None and (
            half_way or self.ended_early or step == self._calendar.total_steps
        ):
            self._looked_at_prompts = True
            self._prompt_use.tell(self._job, step, model)

    def diverged(self, step: int) -> TrainingDiverged:
        """The error for a loss that is not a number."""
        rate = self._planned_learning_rate
        return TrainingDiverged(
            f"The loss was no longer a number at step {step} (learning_rate {rate:g}).",
            f"Call configure_lora with learning_rate={rate / 5:.1g} or less, then start_training with the new plan.",
        )
