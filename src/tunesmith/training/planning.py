"""Every number of a training, each with its reason: pure functions of the request and of facts.

docs/planning.md says what the rules are, where they come from, and what they decide in a table of cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tunesmith.schemas.enums import ComputeBudget, TuningMethod
from tunesmith.schemas.plans import (
    Attention,
    ConfigureRequest,
    Fits,
    PlanConfig,
    Precision,
    Quantization,
    Remedy,
)
from tunesmith.training.activations import Workload
from tunesmith.training.duration import (
    choose_batch_size,
    choose_duration,
    choose_patience,
    choose_rhythm,
    count_size,
)
from tunesmith.training.estimate import run_seconds, seconds_per_step
from tunesmith.training.facts import DataFacts, ModelFacts
from tunesmith.training.fitting import Fit, Step, fit_step, verdict
from tunesmith.training.hardware import Hardware
from tunesmith.training.learning_rates import choose_rate
from tunesmith.training.lengths import (
    choose_max_length,
    choose_packing,
    padding_share,
    step_tokens,
    usable_rows,
)
from tunesmith.training.notes import AS_ASKED, Notes
from tunesmith.training.numerics import (
    choose_attention,
    choose_precision,
    choose_quantization,
    explain_optimizer,
    usual_optimizer,
)
from tunesmith.training.overrides import check_against_base
from tunesmith.training.remedies import find_remedies, frugal_request, largest_base
from tunesmith.training.targets import (
    ALL_LINEAR,
    adapted,
    adapter_parameters,
    largest_useful_rank,
    resolve_targets,
)

VIRTUAL_TOKENS = 20
"""Enough in the prompt-tuning paper (arXiv:2104.08691, section 3.2): more than 20 gain little."""
RANK = 16
_TAKEN_OVER = {"base_model", "base_model_kind", "base_model_path", "tuning_method", "compute_budget", "seed"}
_LORA_OPTIONS = {"use_rslora", "use_dora", "init_lora_weights", "prompt_tuning_init_text"}


@dataclass(frozen=True)
class Decision:
    """A resolved configuration with what it means. `memory` is by component in training, `peaks` by phase."""

    config: PlanConfig
    reasons: dict[str, str]
    warnings: list[str]
    memory: dict[str, int]
    peaks: dict[str, int]
    fit: Fits
    machine: str
    remedies: list[Remedy]
    estimated_seconds: float


@dataclass(frozen=True)
class _Adapter:
    """What is attached to the base. Numbers that the method does not have are None."""

    r: int | None = None
    alpha: int | None = None
    dropout: float | None = None
    targets: list[str] | None = None
    virtual_tokens: int | None = None
    trainable: int = 0


@dataclass(frozen=True)
class _Setup:
    """What decides about memory."""

    max_length: int
    rows: int
    batch_size: int
    adapter: _Adapter
    quantization: Quantization | None
    precision: Precision
    packing: bool
    attention: Attention
    fit: Fit


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
    init_text_tokens: int | None = None,
) -> Decision:
    """Resolve the request. `init_text_tokens` is the length of its prompt_tuning_init_text.

    Raises:
        InvalidArgument: a number does not fit the model or the data.
        UnsupportedModel: no matrices are known to adapt.
    """
    notes = Notes()
    setup = _set_up(request, model, data, hardware, init_text_tokens, notes)
    batch_size, fit, adapter = setup.batch_size, setup.fit, setup.adapter
    size = count_size(request, setup.rows, notes)
    epochs, total_steps = choose_duration(request, size, setup.rows, batch_size, dev_rows > 0, notes)
    rate, probe = choose_rate(request, model, notes)
    config = PlanConfig(
        **request.model_dump(include=_TAKEN_OVER | _LORA_OPTIONS),
        **choose_rhythm(total_steps, batch_size, dev_rows, notes),
        base_model_revision=base_revision,
        dataset_size=size,
        learning_rate=rate,
        learning_rate_probe=probe,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_grad_norm=1.0,
        batch_size=batch_size,
        micro_batch_size=fit.micro_batch_size,
        gradient_accumulation_steps=batch_size // fit.micro_batch_size,
        epochs=epochs,
        total_steps=total_steps,
        max_length=setup.max_length,
        r=adapter.r,
        alpha=adapter.alpha,
        dropout=adapter.dropout,
        target_modules=adapter.targets,
        num_virtual_tokens=adapter.virtual_tokens,
        quantization=setup.quantization,
        precision=setup.precision,
        attn_implementation=setup.attention,
        packing=setup.packing,
        optim=fit.optim,
        activation_checkpointing=fit.activation_checkpointing,
        early_stopping_patience=choose_patience(request, dev_rows, notes),
        loss_on=loss_on,
        chat_template=chat_template,
    )
    _explain_the_rest(config, notes)
    available = hardware.memory_bytes

    def fit_of(changed: ConfigureRequest) -> Fit:
        return _set_up(changed, model, data, hardware, init_text_tokens, Notes()).fit

    remedies = find_remedies(request, fit, setup.max_length, data, available, fit_of)
    fits = verdict(fit.peak_bytes, available)
    smaller = ""
    if fits == "does_not_fit" and not remedies:
        smaller = _smaller_base(fit, fit_of(frugal_request(request)), model, available)
    _tell_fit(fits, fit, remedies, smaller, hardware, notes)
    return Decision(
        config,
        notes.reasons,
        notes.warnings,
        fit.memory,
        fit.peaks,
        fits,
        f"{hardware.in_words}; {available / 1e9:.1f} GB of memory free",
        remedies,
        _seconds(config, model, data, hardware, dev_rows),
    )


def _set_up(
    request: ConfigureRequest,
    model: ModelFacts,
    data: DataFacts,
    hardware: Hardware,
    init_text_tokens: int | None,
    notes: Notes,
) -> _Setup:
    """All that decides about memory."""
    virtual = _virtual_tokens(request, init_text_tokens, notes)
    check_against_base(request, context=model.context, virtual_tokens=virtual)
    max_length = choose_max_length(request, model, data, virtual, notes)
    rows = usable_rows(data, max_length, notes)
    check_against_base(request, context=model.context, virtual_tokens=virtual, rows=rows)
    batch_size = choose_batch_size(request, rows, notes)
    adapter = _adapter(request, model, virtual, notes)
    quantization = choose_quantization(request.tuning_method, request.quantization, notes)
    precision = choose_precision(model, hardware, request.tuning_method, quantization is not None, notes)
    packing = choose_packing(request, model, data, max_length, batch_size, notes)
    attention = choose_attention(model, hardware, packing, notes)
    work = Workload(
        request.tuning_method,
        precision,
        quantization,
        adapter.trainable,
        tokens=0,
        loss_tokens=0,
        max_length=max_length + virtual,
        optim=usual_optimizer(hardware),
        targets=tuple(adapter.targets or ()),
        dropout=adapter.dropout or 0.0,
        use_dora=request.use_dora,
        packing=packing,
        attn_implementation=attention,
        row_tokens=round(data.row_of_a_token(max_length)) + virtual,
    )
    lengths = [min(length, max_length) + virtual for length in data.lengths]
    step = Step(
        batch_size,
        step_tokens(lengths, batch_size) if packing else batch_size * max(lengths),
        data.loss_share,
    )
    fit = fit_step(model, hardware, work, step)
    return _Setup(max_length, rows, batch_size, adapter, quantization, precision, packing, attention, fit)


def _virtual_tokens(request: ConfigureRequest, init_text_tokens: int | None, notes: Notes) -> int:
    if not request.tuning_method.is_prompt_learning:
        return 0
    asked = request.num_virtual_tokens
    if asked is not None:
        notes.reasons["num_virtual_tokens"] = AS_ASKED
        if init_text_tokens is not None and init_text_tokens > asked:
            notes.warnings.append(
                f"prompt_tuning_init_text has {init_text_tokens} tokens; only its first {asked} are used."
            )
        return asked
    if init_text_tokens is not None:
        notes.reasons["num_virtual_tokens"] = f"prompt_tuning_init_text has {init_text_tokens} tokens"
        return init_text_tokens
    notes.reasons["num_virtual_tokens"] = (
        f"{VIRTUAL_TOKENS}: enough in the prompt-tuning paper (arXiv:2104.08691)"
    )
    return VIRTUAL_TOKENS


def _adapter(request: ConfigureRequest, model: ModelFacts, virtual: int, notes: Notes) -> _Adapter:
    method = request.tuning_method
    if method is TuningMethod.FULL:
        return _Adapter(trainable=model.parameters)
    if method is TuningMethod.PROMPT_TUNING:
        if request.prompt_tuning_init_text is not None:
            notes.reasons["prompt_tuning_init_text"] = AS_ASKED
        return _Adapter(virtual_tokens=virtual, trainable=virtual * model.hidden_size)
    if method is TuningMethod.PREFIX_TUNING:
        return _Adapter(virtual_tokens=virtual, trainable=virtual * model.layers * 2 * model.key_value_size)
    return _lora(request, model, notes)


def _lora(request: ConfigureRequest, model: ModelFacts, notes: Notes) -> _Adapter:
    targets, why = _targets(request, model)
    most = largest_useful_rank(targets, model.matrices)
    r = request.r if request.r is not None else min(RANK, most)
    alpha = request.alpha if request.alpha is not None else 2 * r
    dropout = request.dropout if request.dropout is not None else 0.05
    notes.reasons["r"] = (
        AS_ASKED
        if request.r is not None
        else "the usual rank"
        if r == RANK
        else f"no matrix has more than {most}"
    )
    notes.reasons["alpha"] = AS_ASKED if request.alpha is not None else "twice r"
    notes.reasons["dropout"] = AS_ASKED if request.dropout is not None else "the usual 0.05"
    notes.reasons["target_modules"] = why
    if request.use_rslora and request.alpha is None:
        notes.warnings.append(
            f"use_rslora scales by alpha / sqrt(r) = {alpha / r**0.5:.3g} instead of {alpha / r:g}: a smaller alpha or "
            "learning_rate may be wanted."
        )
    trainable = adapter_parameters(targets, model.matrices, r)
    if request.use_dora:
        trainable += sum(matrix.outputs for matrix in adapted(targets, model.matrices))
    return _Adapter(r, alpha, dropout, targets, trainable=trainable)


def _targets(request: ConfigureRequest, model: ModelFacts) -> tuple[list[str], str]:
    """At the high budget all linear layers: as good as full fine-tuning (arXiv:2305.14314, section 4, figure 2)."""
    if request.target_modules is None and request.compute_budget is ComputeBudget.HIGH:
        names, _ = resolve_targets([ALL_LINEAR], model.matrices)
        return names, "every linear layer except the output head: a high compute budget (arXiv:2305.14314)"
    return resolve_targets(request.target_modules, model.matrices)


def _explain_the_rest(config: PlanConfig, notes: Notes) -> None:
    reasons = notes.reasons
    whole = config.micro_batch_size == config.batch_size
    reasons["micro_batch_size"] = (
        "a whole step fits into memory" if whole else "what fits into memory at a time"
    )
    reasons["gradient_accumulation_steps"] = "batch_size / micro_batch_size"
    reasons["activation_checkpointing"] = (
        "it would not fit into memory otherwise"
        if config.activation_checkpointing
        else "it fits, and is faster"
    )
    if config.tuning_method is TuningMethod.PREFIX_TUNING:
        reasons["activation_checkpointing"] = "prefix tuning cannot recompute activations"
    explain_optimizer(config.optim, notes)
    for name in ("use_rslora", "use_dora"):
        reasons[name] = AS_ASKED if getattr(config, name) else "not asked for"
    reasons["init_lora_weights"] = "the usual start" if config.init_lora_weights == "default" else AS_ASKED
    reasons["learning_rate_probe"] = AS_ASKED if config.learning_rate_probe else "not asked for"
    reasons["lr_scheduler_type"] = "falls to zero in a straight line after the warm-up (arXiv:2310.07831)"
    reasons["weight_decay"] = "none: short trainings of few weights do not need it"
    reasons["max_grad_norm"] = "the usual 1.0"
    reasons["loss_on"] = (
        "answers only: prompts are given, not learned"
        if config.loss_on == "completion"
        else "assistant turns only"
    )
    if config.chat_template is not None:
        reasons["chat_template"] = (
            "the model's own" if config.chat_template == "model" else "the tokenizer has none, so Tunesmith's"
        )


def _smaller_base(fit: Fit, frugal: Fit, model: ModelFacts, available: int) -> str:
    """What to say where no argument helps. `frugal` is the same with QLoRA."""
    here, four_bits = (largest_base(one, model.parameters, available) / 1e9 for one in (fit, frugal))
    if max(here, four_bits) <= 0:
        return "nothing helps but another machine, or ending what else uses its memory."
    return (
        f"use a smaller base model, of at most about {here:.2g} B weights, or {max(here, four_bits):.2g} B with "
        "tuning_method='qlora'."
    )


def _tell_fit(
    fits: Fits, fit: Fit, remedies: Sequence[Remedy], smaller: str, hardware: Hardware, notes: Notes
) -> None:
    if hardware.count > 1:
        notes.warnings.append(
            f"This machine has {hardware.count} accelerators; a run uses one, and its memory alone counts."
        )
    if fits == "fits":
        if fit.peaks["generation"] > hardware.memory_bytes:
            notes.warnings.append(
                f"Writing answers may take {fit.peaks['generation'] / 1e9:.1f} GB, more than is free: ask for few at a "
                "time when the run has ended."
            )
        return
    available = hardware.memory_bytes
    told = f"About {fit.peak_bytes / 1e9:.1f} GB are needed, and {available / 1e9:.1f} GB are free"
    if fits == "tight":
        told += ": it may run out."
    if remedies:
        first = ", ".join(f"{name}={value!r}" for name, value in remedies[0].arguments.items())
        told += f" Use {first} (see remedies)." if fits == "tight" else f": use {first} (see remedies)."
    elif fits == "does_not_fit":
        told += f": {smaller}"
    notes.warnings.append(told)


def _seconds(
    config: PlanConfig, model: ModelFacts, data: DataFacts, hardware: Hardware, dev_rows: int
) -> float:
    mean = data.mean_length(config.max_length)
    tokens = config.batch_size * mean
    padding = 0.0
    if not config.packing:
        lengths = [min(length, config.max_length) for length in data.lengths]
        padding = padding_share(lengths, config.micro_batch_size)
    per_step = seconds_per_step(
        model,
        method=config.tuning_method,
        tokens=tokens / (1 - padding),
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
