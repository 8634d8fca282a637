"""The trial before the run: at most five minutes, with the plan's own numbers on a few rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.schemas.errors import EmptyMask, OutOfMemory, TrainingDiverged
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import SmokeVerdict, TrainOutcome
from tunesmith.training.adapter import save_adapter
from tunesmith.training.dev_loss import dev_loss
from tunesmith.training.estimate import run_seconds
from tunesmith.training.failures import (
    SMALLER,
    TrainingOutOfMemory,
    free_memory,
    running_out,
    training_failures,
)
from tunesmith.training.hardware import peak_memory_bytes
from tunesmith.training.inputs import load_base, read_inputs, renderer_of, stored_rows
from tunesmith.training.ladder import at_the_foot, largest_pass, step_down
from tunesmith.training.methods import attach
from tunesmith.training.model import load_run_model, resolve_plan_base
from tunesmith.training.rendering import Rendered
from tunesmith.training.reporting import Calendar, Reporter
from tunesmith.training.stopping import probe_of
from tunesmith.training.trainer import train

STEPS = 24
TIME_BOX_S = 240.0
"""For the steps; loading, saving and reloading have the rest of the five minutes."""
_BATCHES = 4
_PROBED_ROWS = 16
_LIKELY = 0.5
_SAME_LOGITS = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 1e-2}
"""Relative to the largest logit: what rounding may change."""


@dataclass(frozen=True)
class Measured:
    """What the trial saw. Losses are on its own rows, before and after; so are the probabilities of the token that ends
    an answer. `stopped` generated answers ended by themselves, of so many."""

    steps: int
    loss_before: float
    loss_after: float
    tensors: int
    tensors_reached: int
    seconds_per_step: float | None
    tokens_per_step: float
    logits_difference: float
    misplaced_prompts: int
    stop_before: float | None
    stop_after: float | None
    stopped: tuple[int, int]
    peak_memory_bytes: int
    dev_rows: int
    dev_mean_length: float


class _Watch(Reporter):
    """Stops at the time box, and looks at the gradients; a trial leaves no checkpoints."""

    def __init__(self, job: JobContext, calendar: Calendar, learning_rate: float) -> None:
        super().__init__(job, calendar, lambda _: None, learning_rate)
        self._started_at = clock.boot_s()
        self.reached: set[str] = set()
        self.step_times: list[float] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and parameter.grad is not None and parameter.grad.count_nonzero() > 0:
                self.reached.add(name)

    def on_step_end(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        super().on_step_end(args, state, control, **keywords)
        control.should_save = False
        self.step_times.append(clock.boot_s())
        if clock.boot_s() - self._started_at > TIME_BOX_S:
            control.should_training_stop = True

    @property
    def seconds_per_step(self) -> float | None:
        """The median; the first step, which sets everything up, is left out."""
        gaps = [after - before for before, after in zip(self.step_times, self.step_times[1:], strict=False)]
        return statistics.median(gaps) if gaps else None


def try_out(job: JobContext, plan: Plan) -> TrainOutcome:
    """Train a few steps on a few rows and say go or no-go.

    Raises:
        Stopped: somebody asked to.
    """
    lowered: list[str] = []
    while True:
        try:
            with training_failures(job.paths.folder, SMALLER):
                measured = _measure(job, plan)
            return _outcome(judge(measured, plan, lowered), measured)
        except (EmptyMask, OutOfMemory, TrainingDiverged) as error:
            return _outcome(_no_go([str(error)]), None)
        except TrainingOutOfMemory:
            lower = step_down(plan.config, largest_pass(plan.config, resolve_plan_base(plan).folder))
        if lower is None:
            return _outcome(_no_go([str(at_the_foot(plan.config))]), None)
        free_memory()
        lowered.append(lower.what)
        plan = plan.model_copy(update={"config": lower.config})


def _no_go(reasons: list[str]) -> SmokeVerdict:
    return SmokeVerdict(
        go=False,
        reasons=reasons,
        steps=0,
        seconds_per_step=None,
        estimated_seconds=None,
        peak_memory_bytes=None,
    )


def judge(measured: Measured, plan: Plan, lowered: Sequence[str] = ()) -> SmokeVerdict:
    """What the trial says about the full run; a reason for each thing that was looked at. `lowered` is what was given
    up because memory ran out."""
    checks = [
        (True, "the loss falls on the answers and nothing else (checked on real rows)"),
        (
            measured.tensors_reached > 0,
            f"gradients reach {measured.tensors_reached} of {measured.tensors} trained tensors",
        ),
        (
            measured.loss_after < measured.loss_before,
            f"loss on the trial's rows: {measured.loss_before:.3f} before, {measured.loss_after:.3f} after "
            f"{measured.steps} steps",
        ),
        (
            measured.logits_difference <= _SAME_LOGITS[plan.config.precision],
            f"saved and loaded again, the logits differ by {measured.logits_difference:.1e} of the largest",
        ),
        (
            measured.misplaced_prompts == 0,
            "generation is given the very prompts that rows are trained with"
            if measured.misplaced_prompts == 0
            else f"{measured.misplaced_prompts} rows do not begin with the prompt that generation would be given",
        ),
        *_stopping(measured),
    ]
    reasons = [("ok: " if passed else "NO: ") + text for passed, text in checks]
    planned = sum(plan.memory.values())
    reasons.append(f"peak memory {measured.peak_memory_bytes / 1e9:.2f} GB (planned: {planned / 1e9:.2f} GB)")
    if lowered:
        reasons.append(
            f"memory ran out until {'; '.join(lowered)}: the full run will come down to the same by itself, and "
            "learn the same"
        )
    if measured.loss_after >= measured.loss_before:
        reasons.append(
            f"Try another learning_rate than {plan.config.learning_rate:g} (configure_lora): if the loss jumped, a "
            "smaller one, if it hardly moved, a larger one."
        )
    return SmokeVerdict(
        go=all(passed for passed, _ in checks),
        reasons=reasons,
        steps=measured.steps,
        seconds_per_step=measured.seconds_per_step,
        estimated_seconds=_full_run_seconds(measured, plan),
        peak_memory_bytes=measured.peak_memory_bytes,
    )


def _stopping(measured: Measured) -> list[tuple[bool, str]]:
    """An answer's end has to become likelier, unless it is likely already; a trial is too short to ask for more."""
    before, after = measured.stop_before, measured.stop_after
    if before is None or after is None:
        return [(False, "all rows looked at are cut at max_length: the model would never learn to stop")]
    ended, asked = measured.stopped
    return [
        (
            after > before or after > _LIKELY,
            f"the token that ends an answer: probability {before:.3f} before, {after:.3f} after; {ended} of {asked} "
            "generated answers ended by themselves",
        )
    ]


def _measure(job: JobContext, plan: Plan) -> Measured:
    job.phase("reading the data")
    inputs = read_inputs(job.store, plan, max_rows=max(64, _BATCHES * plan.config.batch_size))
    rows = inputs.train.rows[: _BATCHES * plan.config.batch_size]
    job.phase("loading the base model")
    model = attach(load_base(inputs, plan), plan.config, inputs.end_ids)
    config = plan.config.model_copy(
        update={
            "total_steps": STEPS,
            "warmup_steps": min(plan.config.warmup_steps, STEPS // 10),
            "early_stopping_patience": None,
        }
    )
    watch = _Watch(job, Calendar(STEPS, STEPS, STEPS), config.learning_rate)
    before = dev_loss(model, rows, lambda _: _stop_if_asked(job)).loss
    probe = probe_of(renderer_of(job.store, plan, inputs), stored_rows(job.store, plan, _PROBED_ROWS))
    stop_before = probe.stop_probability(model)
    job.phase("trial")
    with running_out(TrainingOutOfMemory):
        trained = train(model, inputs.tokenizer, rows, config, watch, job.scratch, None)
    if watch.stopped:
        raise Stopped
    after = dev_loss(model, rows, lambda _: _stop_if_asked(job)).loss
    if not math.isfinite(after):
        raise watch.diverged(trained.steps)
    peak = peak_memory_bytes()
    stop_after = probe.stop_probability(model)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    job.phase("saving and loading again")
    save_adapter(model, inputs.tokenizer, plan, job.paths, job.scratch)
    logits = _logits(model, rows[0])
    del model
    reloaded, _ = load_run_model(job.paths, plan)
    stopped = probe.stops(reloaded, inputs.tokenizer)
    difference = (_logits(reloaded, rows[0]) - logits).abs().max() / logits.abs().max()
    return Measured(
        steps=trained.steps,
        loss_before=before,
        loss_after=after,
        tensors=len(names),
        tensors_reached=len(watch.reached),
        seconds_per_step=watch.seconds_per_step,
        tokens_per_step=trained.tokens / max(1, trained.steps),
        logits_difference=float(difference),
        misplaced_prompts=probe.misplaced_prompts(),
        stop_before=stop_before,
        stop_after=stop_after,
        stopped=stopped,
        peak_memory_bytes=peak,
        dev_rows=len(inputs.dev),
        dev_mean_length=sum(len(row.input_ids) for row in inputs.dev) / max(1, len(inputs.dev)),
    )


def _logits(model: Any, row: Rendered) -> Any:
    model.eval()
    ids = torch.tensor([row.input_ids], device=next(model.parameters()).device)
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits.float().cpu()


def _full_run_seconds(measured: Measured, plan: Plan) -> float | None:
    if measured.seconds_per_step is None:
        return None
    seconds = run_seconds(
        measured.seconds_per_step,
        steps=plan.config.total_steps,
        tokens=measured.tokens_per_step,
        eval_steps=plan.config.eval_steps,
        dev_rows=measured.dev_rows,
        mean_length=measured.dev_mean_length,
    )
    return round(seconds, 1)


def _outcome(verdict: SmokeVerdict, measured: Measured | None) -> TrainOutcome:
    return TrainOutcome(
        adapter="adapter" if measured else None,
        steps=verdict.steps,
        train_loss=measured.loss_after if measured else None,
        base_eval_loss=None,
        eval_loss=None,
        trained_tokens=round(measured.tokens_per_step * measured.steps) if measured else 0,
        smoke=verdict,
    )


def _stop_if_asked(job: JobContext) -> None:
    if job.stop_requested():
        raise Stopped
