"""How a training is cut up so that it fits into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import Fits, Optimizer, Precision, Quantization
from tunesmith.training.activations import Workload
from tunesmith.training.facts import ModelFacts
from tunesmith.training.hardware import Hardware
from tunesmith.training.memory import peaks, training_memory
from tunesmith.training.packing import pass_tokens

ROOM_SHARE = 0.9
"""Of what is free now: the estimate errs by up to 15 %, and other programs grow."""


@dataclass(frozen=True)
class Fit:
    """The rows of one forward pass, and the bytes that it takes: by component in training, and per phase."""

    micro_batch_size: int
    activation_checkpointing: bool
    memory: dict[str, int]
    peaks: dict[str, int]
    optim: Optimizer

    @property
    def peak_bytes(self) -> int:
        """The most that the run takes, its evaluations on the dev half included."""
        return max(self.peaks["training"], self.peaks["evaluation"])


def verdict(needed: int, available: int) -> Fits:
    """How a peak of `needed` bytes goes into `available` ones."""
    if needed > available:
        return "does_not_fit"
    return "fits" if needed <= ROOM_SHARE * available else "tight"


@dataclass(frozen=True)
class Step:
    """What an optimizer step consists of: rows, the tokens they have together at most, and the share with loss."""

    rows: int
    tokens: int
    loss_share: float


def fit_step(model: ModelFacts, hardware: Hardware, work: Workload, step: Step) -> Fit:
    """The largest micro-batch that fits, as fast as that is possible.

    First without recomputing activations, then with it, last with an 8-bit optimizer. Where nothing fits, the most
    frugal way. `work` gives everything but these choices and the tokens of a pass.
    """
    fit: Fit | None = None
    for checkpointing, optim in _ways(hardware, work):
        for size in (size for size in range(step.rows, 0, -1) if step.rows % size == 0):
            at_most = pass_tokens(
                size, work.max_length, model.hidden_size, on_processor=hardware.kind == "cpu"
            )
            tokens = min(step.tokens, at_most)
            tried = replace(
                work,
                tokens=tokens,
                loss_tokens=round(tokens * step.loss_share),
                activation_checkpointing=checkpointing,
                accumulates=tokens < step.tokens,
                optim=optim,
            )
            accelerated = hardware.accelerator is not None
            memory = training_memory(model, tried, accelerated=accelerated)
            each = peaks(model, tried, accelerated=accelerated)
            fit = Fit(size, checkpointing, memory, each, optim)
            if verdict(each["training"], hardware.memory_bytes) == "fits":
                return fit
    assert fit is not None
    return fit


def _ways(hardware: Hardware, work: Workload) -> Iterator[tuple[bool, Optimizer]]:
    """Checkpointing and optimizer, from the fastest to the most frugal."""
    usual: Optimizer = work.optim  # type: ignore[assignment]
    # Prefix tuning hands the model a cache, which recomputed activations would read twice: it crashes.
    recomputes = work.method is not TuningMethod.PREFIX_TUNING
    yield False, usual
    if recomputes:
        yield True, usual
    if hardware.bitsandbytes and work.full:
        # An adapter's optimizer is too small to be worth rounding.
        yield True, "adamw_8bit"


def fit_into_memory(
    model: ModelFacts,
    hardware: Hardware,
    method: TuningMethod,
    precision: Precision,
    quantization: Quantization | None,
    trainable: int,
    batch_size: int,
    max_length: int,
    targets: tuple[str, ...] = ("q_proj", "v_proj", "qkv_proj"),
) -> Fit:
    """The same for a model that is only being looked at: default targets, and loss on every token."""
    lora = method in (TuningMethod.LORA, TuningMethod.QLORA)
    work = Workload(
        method,
        precision,
        quantization,
        trainable,
        0,
        0,
        max_length,
        targets=targets if lora else (),
        dropout=0.05,
    )
    return fit_step(model, hardware, work, Step(batch_size, batch_size * max_length, 1.0))
