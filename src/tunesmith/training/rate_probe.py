"""The learning-rate range test on the real model, rows and batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from itertools import cycle
from typing import Any

import torch

from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.files import write_bytes
from tunesmith.schemas.plans import Plan, PlanConfig
from tunesmith.training.answer_loss import AnswerLoss
from tunesmith.training.failures import SMALLER, training_failures
from tunesmith.training.hardware import training_device, use_one_accelerator
from tunesmith.training.inputs import load_base, read_inputs
from tunesmith.training.methods import attach, keep_adapter_in_float32
from tunesmith.training.packing import pass_tokens
from tunesmith.training.range_test import STEPS, Choice, Point, choose_rate, run_range_test
from tunesmith.training.rendering import Rendered
from tunesmith.training.step_batches import Batcher, StepBatch

TIME_BOX_S = 120.0


def probe_rate(job: JobContext, plan: Plan) -> Choice:
    """Try learning rates for the plan, at most two minutes long; the curve becomes a picture beside the plan.

    Raises:
        Stopped: somebody asked to.
        OutOfMemory, EmptyMask, ModelNotFound, ...: as a training of the plan would.
    """
    config = plan.config
    use_one_accelerator()
    with training_failures(job.paths.folder, SMALLER):
        job.phase("loading the base model")
        inputs = read_inputs(job.store, plan, max_rows=STEPS * config.batch_size)
        model = attach(load_base(inputs, plan), config, inputs.end_ids).train()
        if config.quantization is not None:
            keep_adapter_in_float32(model)
        job.phase("trying learning rates")
        ends_at = clock.boot_s() + TIME_BOX_S
        step = _stepper(
            model, _batches(model, inputs.train.rows, config, inputs.tokenizer.pad_token_id), config
        )

        def over() -> bool:
            if job.stop_requested():
                raise Stopped
            return clock.boot_s() > ends_at

        points = run_range_test(step, config.learning_rate, over)
    choice = choose_rate(points, config.learning_rate)
    write_bytes(job.paths.range_test, draw(points, choice))
    return choice


def draw(points: Sequence[Point], choice: Choice) -> bytes:
    """The curve as a PNG, the chosen rate marked."""
    # The object interface: pyplot would look for a display and keep global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rates = [point.learning_rate for point in points]
    axes.plot(rates, [point.loss for point in points], color="#9db4d8", linewidth=1, label="each step")
    axes.plot(rates, [point.smoothed for point in points], color="#1e3a8a", label="smoothed")
    axes.axvline(
        choice.learning_rate, color="#c2410c", linestyle="--", label=f"chosen: {choice.learning_rate:.2g}"
    )
    axes.set(
        xscale="log", xlabel="learning rate", ylabel="loss (nats per token)", title="Learning-rate range test"
    )
    axes.grid(alpha=0.3)
    axes.legend()
    image = BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def _batches(
    model: Any, rows: Sequence[Rendered], config: PlanConfig, pad_token_id: int
) -> Iterator[StepBatch]:
    """Steps of the plan's batch size over the rows in a random order, again and again."""
    hidden_size = int(model.get_input_embeddings().weight.shape[-1])
    on_processor = training_device() == "cpu"
    batcher = Batcher(
        packing=config.packing and not config.tuning_method.is_prompt_learning,
        micro_batch_size=config.micro_batch_size,
        max_length=config.max_length,
        most_tokens=pass_tokens(
            config.micro_batch_size, config.max_length, hidden_size, on_processor=on_processor
        ),
        hidden_size=hidden_size,
        pad_token_id=pad_token_id,
    )
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(config.seed)).tolist()
    places = cycle(order)
    while True:
        yield batcher([rows[next(places)] for _ in range(min(config.batch_size, len(rows)))])


def _stepper(model: Any, batches: Iterator[StepBatch], config: PlanConfig) -> Callable[[float], float]:
    """Makes one step of AdamW with a given rate; returns the loss before it, in nats per token."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=0.0, weight_decay=config.weight_decay)
    loss_of = AnswerLoss(model)
    device = next(model.parameters()).device
    dtype = getattr(torch, config.precision)
    lower = training_device() == "cuda" and config.precision != "float32"

    def step(rate: float) -> float:
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = next(batches)
        total = 0.0
        for part in batch.passes:
            with torch.autocast(device.type, dtype=dtype, enabled=lower):
                loss = loss_of(part.to(device)) / max(1, batch.loss_tokens)
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(learned, config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return total

    return step
