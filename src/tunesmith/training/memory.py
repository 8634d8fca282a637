"""How much memory a training takes, by component, in bytes."""

from __future__ import annotations

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import Precision, Quantization
from tunesmith.training.facts import ModelFacts

_BYTES: dict[Precision, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
_NF4_BYTES = 0.516
"""Four bits and the doubly quantized scales: 4.127 bits a weight (arXiv:2305.14314, section 3)."""
_ADAPTER_ACTIVATIONS = 1.9
"""Measured: an adapter keeps its own inputs and dropout masks beside the base's activations."""
_FRAMEWORK = 850 * 2**20
"""Measured on a processor: a process that has imported torch, transformers, peft and trl holds 842 MB."""
_FRAMEWORK_WITH_ACCELERATOR = 600 * 2**20
"""On the accelerator itself: the CUDA context and the libraries' workspaces."""
_LOGITS_CHUNK_TOKENS = 1024
_LOGITS_COPIES = 3
"""Logits, their softmax and their gradient."""


def estimate_memory(
    facts: ModelFacts,
    *,
    method: TuningMethod,
    precision: Precision,
    quantization: Quantization | None,
    trainable: int,
    micro_batch_size: int,
    max_length: int,
    activation_checkpointing: bool,
    accelerated: bool,
) -> dict[str, int]:
    """Bytes by component at the peak of a training step with AdamW.

    Activations are what plain backpropagation keeps for each token of each layer: 8 vectors of the hidden size,
    2 of the key-value size and 3 of the intermediate size; recomputing keeps one vector a layer, and one whole layer.
    """
    width = _BYTES[precision]
    full = method is TuningMethod.FULL
    tokens = micro_batch_size * max_length
    per_layer = 8 * facts.hidden_size + 2 * facts.key_value_size + 3 * facts.intermediate_size
    kept = per_layer * facts.layers * (1.0 if full else _ADAPTER_ACTIVATIONS)
    if activation_checkpointing:
        kept = facts.hidden_size * facts.layers + per_layer
    return {
        "weights": 4 * facts.parameters if full else _weights(facts, width, quantization),
        "adapter": 0 if full else 4 * trainable,
        "gradients": 4 * trainable,
        "optimizer": 8 * trainable,
        "activations": round(kept * tokens * width),
        "logits": min(tokens, _LOGITS_CHUNK_TOKENS) * facts.vocabulary * 4 * _LOGITS_COPIES,
        "framework": _FRAMEWORK_WITH_ACCELERATOR if accelerated else _FRAMEWORK,
    }


def _weights(facts: ModelFacts, width: int, quantization: Quantization | None) -> int:
    if quantization is None:
        return facts.parameters * width
    linear = sum(matrix.inputs * matrix.outputs for matrix in facts.matrices)
    return round(linear * _NF4_BYTES) + max(0, facts.parameters - linear) * width
