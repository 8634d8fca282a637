"""How long a training will take, before anything has been measured. A smoke run replaces this by a measurement."""

from __future__ import annotations

from tunesmith.schemas.enums import TuningMethod
from tunesmith.training.facts import ModelFacts

_START_S = 1.5
_STEP_OVERHEAD_S = 0.01
_LAYER_OVERHEAD_S = 0.006
"""Launching a layer's operations, forward and backward, costs this on a processor however small they are."""
_LAYER_OVERHEAD_ACCELERATED_S = 0.002
_CORE_FLOPS = 20e9
"""Sustained on one processor core in float32: measured on models of 3 and 135 million weights."""
_ACCELERATOR_FLOPS = 60e12
"""A fifth to a third of the peak of the accelerators that people train on."""
_RECOMPUTE = 4 / 3


def seconds_per_step(
    facts: ModelFacts,
    *,
    method: TuningMethod,
    tokens: float,
    passes: int,
    activation_checkpointing: bool,
    accelerated: bool,
    cores: int,
) -> float:
    """One optimizer step over `tokens` tokens in `passes` forward and backward passes.

    6 floating-point operations per weight and token when all weights learn (forward 2, backward 4; arXiv:2001.08361,
    section 2.1); 4 when only an adapter does, because the weights' own gradients are not needed.
    """
    operations = (6 if method is TuningMethod.FULL else 4) * facts.parameters * tokens
    speed = _ACCELERATOR_FLOPS if accelerated else _CORE_FLOPS * cores
    layer = _LAYER_OVERHEAD_ACCELERATED_S if accelerated else _LAYER_OVERHEAD_S
    computing = operations / speed * (_RECOMPUTE if activation_checkpointing else 1.0)
    return _STEP_OVERHEAD_S + passes * facts.layers * layer + computing


def run_seconds(
    per_step: float, *, steps: int, tokens: float, eval_steps: int, dev_rows: int, mean_length: float
) -> float:
    """The whole run: start, steps, and the dev half's evaluations, whose tokens cost a third of a trained one."""
    evaluations = 2 + steps // eval_steps
    per_token = per_step / max(tokens, 1.0) / 3
    return _START_S + steps * per_step + evaluations * dev_rows * mean_length * per_token
