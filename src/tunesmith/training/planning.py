"""Every number of a training, each with its reason: pure functions of the request and of facts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tunesmith.schemas.enums import ComputeBudget, DatasetSize, TuningMethod
from tunesmith.schemas.plans import ConfigureRequest, PlanConfig, Precision, Quantization
from tunesmith.training.estimate import run_seconds, seconds_per_step
from tunesmith.training.facts import DataFacts, ModelFacts
from tunesmith.training.fitting import Fit, fit_into_memory
from tunesmith.training.hardware import Hardware
from tunesmith.training.learning_rates import DEFAULT_RATES, USUAL_LORA_RATES, scaled_learning_rate
from tunesmith.training.overrides import check_against_base
from tunesmith.training.targets import adapter_parameters, resolve_targets

AS_ASKED = "as you asked"
VIRTUAL_TOKENS = 20
_LARGE_FOR_A_PROCESSOR = 1_000_000_000

_EPOCHS: dict[DatasetSize, dict[ComputeBudget, float]] = {
    DatasetSize.SMALL: {ComputeBudget.LOW: 2, ComputeBudget.MEDIUM: 3, ComputeBudget.HIGH: 10},
    DatasetSize.MEDIUM: {ComputeBudget.LOW: 1, ComputeBudget.MEDIUM: 3, ComputeBudget.HIGH: 5},
    DatasetSize.LARGE: {ComputeBudget.LOW: 1, ComputeBudget.MEDIUM: 3, ComputeBudget.HIGH: 3},
}
"""What a compute budget means: how often each row is seen. Three passes are the usual start; a high budget goes further
where rows are few (the demo's 600 rows: LoRA's held-out loss 0.011 after 111 steps, 0.005 after 333)."""


_TAKEN_OVER = {"base_model", "base_model_kind", "base_model_path", "tuning_method", "compute_budget", "seed"}


@dataclass(frozen=True)
class Decision:
    """A resolved configuration with what it means."""

    config: PlanConfig
    reasons: dict[str, str]
    warnings: list[str]
    memory: dict[str, int]
    estimated_seconds: float


@dataclass
class _Notes:
    reasons: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def decide(
    request: ConfigureRequest,
    model: ModelFacts,
    data: DataFacts,
    hardware: Hardware,
    *,
    base_revision: str | None,
    loss_on: Literal["completion", "assistant"],
    chat_template: Literal["model", "tunesmith"] | None,
    dev_rows: int,
) -> Decision:
    """Resolve the request.

    Raises:
        InvalidArgument: a number does not fit the model or the data.
        UnsupportedModel: no matrices are known to adapt.
    """
    notes = _Notes()
    method = request.tuning_method
    virtual = VIRTUAL_TOKENS if method.is_prompt_learning else 0
    if virtual:
        notes.reasons["num_virtual_tokens"] = (
            f"{VIRTUAL_TOKENS}: enough in the prompt-tuning paper (arXiv:2104.08691)"
        )
    max_length = _max_length(request, model, data, virtual, notes)
    rows = _usable_rows(data, max_length, notes)
    check_against_base(request, context=model.context, virtual_tokens=virtual, rows=rows)
    size = _dataset_size(request, rows, notes)
    batch_size = _batch_size(request, rows, notes)
    epochs, total_steps = _duration(request, size, rows, batch_size, notes)
    r, alpha, dropout, targets = _lora(request, model, notes)
    quantization: Quantization | None = "nf4" if method is TuningMethod.QLORA else request.quantization
    precision = _precision(model, hardware, method, notes)
    trainable = _trainable(model, method, r, targets, virtual)
    fit = fit_into_memory(model, hardware, method, precision, quantization, trainable, batch_size, max_length)
    _note_fit(fit, batch_size, quantization, hardware, method, notes)
    config = PlanConfig(
        **request.model_dump(include=_TAKEN_OVER),
        **_rhythm(total_steps, notes),
        base_model_revision=base_revision,
        dataset_size=size,
        learning_rate=_learning_rate(request, model, notes),
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_grad_norm=1.0,
        batch_size=batch_size,
        micro_batch_size=fit.micro_batch_size,
        gradient_accumulation_steps=batch_size // fit.micro_batch_size,
        epochs=epochs,
        total_steps=total_steps,
        max_length=max_length,
        r=r,
        alpha=alpha,
        dropout=dropout,
        target_modules=targets,
        num_virtual_tokens=virtual or None,
        quantization=quantization,
        precision=precision,
        optim="adamw_torch",
        activation_checkpointing=fit.activation_checkpointing,
        loss_on=loss_on,
        chat_template=chat_template,
    )
    _note_constants(config, notes)
    return Decision(
        config, notes.reasons, notes.warnings, fit.memory, _seconds(config, model, data, hardware, dev_rows)
    )


def _learning_rate(request: ConfigureRequest, model: ModelFacts, notes: _Notes) -> float:
    method = request.tuning_method
    low, high = USUAL_LORA_RATES
    lora = method in (TuningMethod.LORA, TuningMethod.QLORA)
    if request.learning_rate is not None:
        notes.reasons["learning_rate"] = AS_ASKED
        if lora and not low <= request.learning_rate <= high:
            notes.warnings.append(
                f"learning_rate {request.learning_rate:g} is outside the usual range for LoRA, {low:g} to {high:g}."
            )
        return request.learning_rate
    rate = scaled_learning_rate(method, model.hidden_size)
    base = DEFAULT_RATES[method]
    if rate == base:
        notes.reasons["learning_rate"] = f"the usual rate for {method.value}"
        return rate
    notes.reasons["learning_rate"] = (
        f"{base:g}, the usual rate for {method.value}, times (2048 / hidden_size {model.hidden_size}) ** 0.781: "
        "narrow models need larger steps (Thinking Machines' rule for Llama shapes)"
    )
    if lora and not low <= rate <= high:
        notes.warnings.append(
            f"learning_rate {rate:g} is outside the usual range for LoRA, {low:g} to {high:g}: our scaling rule for "
            f"narrow models chose it (hidden_size {model.hidden_size}). Pass learning_rate to decide yourself."
        )
    return rate


def _max_length(
    request: ConfigureRequest, model: ModelFacts, data: DataFacts, virtual: int, notes: _Notes
) -> int:
    room = model.context - virtual
    longest, usual = data.lengths[-1], data.length_at(0.99)
    if request.max_length is not None:
        chosen, why = request.max_length, AS_ASKED
    else:
        # A few outliers must not set the memory that every step needs.
        wanted = longest if longest <= max(2 * usual, 256) else usual
        chosen = min(room, -(-wanted // 16) * 16)
        why = f"the longest row has {longest} tokens, 99 % have at most {usual}"
        if chosen == room:
            why += f"; the model reads at most {model.context}"
    cut = data.share_longer_than(chosen)
    notes.reasons["max_length"] = f"{why}; {cut:.1%} of the rows are cut"
    if cut > 0.05:
        notes.warnings.append(
            f"{cut:.0%} of the rows are longer than max_length {chosen} and lose their end: the model does not learn "
            "to stop from them."
        )
    return chosen


def _usable_rows(data: DataFacts, max_length: int, notes: _Notes) -> int:
    total = len(data.lengths) + data.dropped
    too_long = data.share_without_answer(max_length)
    usable = round(data.rows * (1 - too_long) * len(data.lengths) / total)
    if usable < data.rows:
        notes.warnings.append(
            f"About {data.rows - usable} of {data.rows} rows cannot be trained on: their prompt alone fills "
            "max_length, or the chat template does not take them."
        )
    return max(1, usable)


def _dataset_size(request: ConfigureRequest, rows: int, notes: _Notes) -> DatasetSize:
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


def _batch_size(request: ConfigureRequest, rows: int, notes: _Notes) -> int:
    if request.batch_size is not None:
        notes.reasons["batch_size"] = AS_ASKED
        return request.batch_size
    notes.reasons["batch_size"] = "the usual 8" if rows >= 8 else f"there are only {rows} rows"
    return min(8, rows)


def _duration(
    request: ConfigureRequest, size: DatasetSize, rows: int, batch_size: int, notes: _Notes
) -> tuple[float, int]:
    """Epochs and optimizer steps."""
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
        epochs = _EPOCHS[size][request.compute_budget]
        notes.reasons["epochs"] = (
            f"a {request.compute_budget.value} compute budget for a {size.value} dataset"
        )
    steps = max(1, math.ceil(epochs * per_epoch))
    notes.reasons["total_steps"] = f"{epochs:g} epochs of {per_epoch} steps of {batch_size} rows"
    if steps < 30:
        notes.warnings.append(
            f"Only {steps} optimizer steps: more rows, epochs or max_steps would teach more."
        )
    return epochs, steps


def _rhythm(total_steps: int, notes: _Notes) -> dict[str, int]:
    """What happens at which steps."""
    eval_steps, save_steps = min(100, max(1, total_steps // 10)), min(500, max(1, total_steps // 4))
    notes.reasons["warmup_steps"] = "a tenth of the steps"
    notes.reasons["eval_steps"] = f"every {eval_steps} steps: 100, or a tenth of a short run"
    notes.reasons["save_steps"] = f"every {save_steps} steps: 500, or a quarter of a short run"
    return {
        "warmup_steps": math.ceil(0.1 * total_steps) if total_steps > 1 else 0,
        "eval_steps": eval_steps,
        "save_steps": save_steps,
        "logging_steps": 1,
    }


def _lora(
    request: ConfigureRequest, model: ModelFacts, notes: _Notes
) -> tuple[int | None, int | None, float | None, list[str] | None]:
    if request.tuning_method not in (TuningMethod.LORA, TuningMethod.QLORA):
        return None, None, None, None
    r = request.r if request.r is not None else 16
    alpha = request.alpha if request.alpha is not None else 2 * r
    dropout = request.dropout if request.dropout is not None else 0.05
    targets, why = resolve_targets(request.target_modules, model.matrices)
    notes.reasons["r"] = AS_ASKED if request.r is not None else "the usual rank"
    notes.reasons["alpha"] = AS_ASKED if request.alpha is not None else "twice r"
    notes.reasons["dropout"] = AS_ASKED if request.dropout is not None else "the usual 0.05"
    notes.reasons["target_modules"] = why
    return r, alpha, dropout, targets


def _precision(model: ModelFacts, hardware: Hardware, method: TuningMethod, notes: _Notes) -> Precision:
    if hardware.accelerator is not None:
        if hardware.bfloat16:
            notes.reasons["precision"] = f"{hardware.accelerator} computes in bfloat16"
            return "bfloat16"
        full = method is TuningMethod.FULL
        notes.reasons["precision"] = f"{hardware.accelerator} has no bfloat16"
        return "float32" if full else "float16"
    if model.parameters > _LARGE_FOR_A_PROCESSOR and method is not TuningMethod.FULL:
        notes.reasons["precision"] = "no accelerator; bfloat16 halves the memory of so large a model"
        return "bfloat16"
    notes.reasons["precision"] = "no accelerator: float32 is exact, and as fast on a processor"
    return "float32"


def _trainable(
    model: ModelFacts, method: TuningMethod, r: int | None, targets: Sequence[str] | None, virtual: int
) -> int:
    """How many weights learn."""
    if method is TuningMethod.FULL:
        return model.parameters
    if method is TuningMethod.PROMPT_TUNING:
        return virtual * model.hidden_size
    if method is TuningMethod.PREFIX_TUNING:
        return virtual * model.layers * 2 * model.key_value_size
    return adapter_parameters(targets or (), model.matrices, r or 0)


def _note_fit(
    fit: Fit,
    batch_size: int,
    quantization: Quantization | None,
    hardware: Hardware,
    method: TuningMethod,
    notes: _Notes,
) -> None:
    whole = fit.micro_batch_size == batch_size
    notes.reasons["micro_batch_size"] = (
        "a whole step fits into memory" if whole else "what fits into memory at a time"
    )
    notes.reasons["gradient_accumulation_steps"] = "batch_size / micro_batch_size"
    notes.reasons["activation_checkpointing"] = (
        "it would not fit into memory otherwise" if fit.activation_checkpointing else "it fits, and is faster"
    )
    if method is TuningMethod.PREFIX_TUNING:
        notes.reasons["activation_checkpointing"] = "prefix tuning cannot recompute activations"
    if quantization is not None:
        notes.reasons["quantization"] = "four-bit base weights (arXiv:2305.14314)"
    needed = sum(fit.memory.values())
    if needed > hardware.memory_bytes:
        notes.warnings.append(
            f"About {needed / 1e9:.1f} GB are needed, and {hardware.memory_bytes / 1e9:.1f} GB are free: use a smaller "
            "base model, tuning_method='qlora' or a smaller max_length."
        )


def _note_constants(config: PlanConfig, notes: _Notes) -> None:
    notes.reasons["lr_scheduler_type"] = "falls to zero in a straight line after the warm-up"
    notes.reasons["weight_decay"] = "none: short trainings of few weights do not need it"
    notes.reasons["max_grad_norm"] = "the usual 1.0"
    notes.reasons["optim"] = "AdamW"
    notes.reasons["loss_on"] = (
        "answers only: prompts are given, not learned"
        if config.loss_on == "completion"
        else "assistant turns only"
    )
    if config.chat_template is not None:
        notes.reasons["chat_template"] = (
            "the model's own" if config.chat_template == "model" else "the tokenizer has none, so Tunesmith's"
        )


def _seconds(
    config: PlanConfig, model: ModelFacts, data: DataFacts, hardware: Hardware, dev_rows: int
) -> float:
    mean = data.mean_length(config.max_length)
    tokens = config.batch_size * mean
    per_step = seconds_per_step(
        model,
        method=config.tuning_method,
        tokens=tokens,
        passes=config.gradient_accumulation_steps,
        activation_checkpointing=config.activation_checkpointing,
        accelerated=hardware.accelerator is not None,
        cores=hardware.cores,
    )
    seconds = run_seconds(
        per_step,
        steps=config.total_steps,
        tokens=tokens,
        eval_steps=config.eval_steps,
        dev_rows=dev_rows,
        mean_length=mean,
    )
    return round(seconds, 1)
