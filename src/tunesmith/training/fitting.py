"""How a training is cut up so that it fits into memory."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import Precision, Quantization
from tunesmith.training.facts import ModelFacts
from tunesmith.training.hardware import Hardware
from tunesmith.training.memory import estimate_memory

_ROOM_SHARE = 0.9


@dataclass(frozen=True)
class Fit:
    """The rows of one forward pass, and the bytes that it takes by component."""

    micro_batch_size: int
    activation_checkpointing: bool
    memory: dict[str, int]


def fit_into_memory(
    model: ModelFacts,
    hardware: Hardware,
    method: TuningMethod,
    precision: Precision,
    quantization: Quantization | None,
    trainable: int,
    batch_size: int,
    max_length: int,
) -> Fit:
    """The largest micro-batch that fits, without recomputing activations where that is possible."""
    divisors = [size for size in range(batch_size, 0, -1) if batch_size % size == 0]
    # Prefix tuning crashes when activations are recomputed.
    ways = [False] if method is TuningMethod.PREFIX_TUNING else [False, True]
    fit: Fit | None = None
    for checkpointing in ways:
        for size in divisors:
            memory = estimate_memory(
                model,
                method=method,
                precision=precision,
                quantization=quantization,
                trainable=trainable,
                micro_batch_size=size,
                max_length=max_length,
                activation_checkpointing=checkpointing,
                accelerated=hardware.accelerator is not None,
            )
            fit = Fit(size, checkpointing, memory)
            if sum(memory.values()) <= _ROOM_SHARE * hardware.memory_bytes:
                return fit
    assert fit is not None
    return fit
