"""How much memory a training takes, by component and phase, in bytes: from shapes alone, with nothing loaded."""

from __future__ import annotations

from tunesmith.evaluation import generation, scoring
from tunesmith.schemas.plans import Quantization
from tunesmith.training.activations import WIDTHS, Workload, backward_bytes, kept_bytes
from tunesmith.training.answer_loss import LOGITS_BYTES
from tunesmith.training.facts import ModelFacts

_QUANTIZED_BYTES: dict[Quantization, float] = {"nf4": 0.516, "int8": 1.0}
"""A weight. NF4: four bits and the doubly quantized scales, 4.127 bits (arXiv:2305.14314, section 3). Int8 has one
float32 scale for each output (arXiv:2208.07339), which is next to nothing."""
_FRAMEWORK = 850 * 2**20
"""Measured on a processor: a process that has imported torch, transformers, peft and trl holds 842 MB."""
_FRAMEWORK_WITH_ACCELERATOR = 600 * 2**20
"""On the accelerator itself: the CUDA context and the libraries' workspaces."""
_EIGHT_BIT_STATES = 2 + 8 / 256
"""A weight: two states of a byte, and a float32 scale for each block of 256 (arXiv:2110.02861, section 2.2)."""
LOGITS_COPIES = 3
"""Logits, their log-softmax and their gradient, all in float32."""
_HEAP = 1.65
"""On a processor: what comes and goes in a training step, holes in the heap and the libraries' own buffers included.
Measured with 135 M weights (benchmarks/memory.py): full 1.68, LoRA 1.73, LoRA on all layers 1.64, QLoRA 1.57."""


def training_memory(facts: ModelFacts, work: Workload, *, accelerated: bool) -> dict[str, int]:
    """The most bytes that each component of a training step with AdamW takes; see `training_peak` for their sum."""
    adam = _EIGHT_BIT_STATES if work.optim == "adamw_8bit" else 8
    heap = 1.0 if accelerated else _HEAP
    activations = kept_bytes(facts, work, on_processor=not accelerated) + backward_bytes(facts, work)
    return {
        "weights": base_weights(facts, work),
        "adapter": 0 if work.full else 4 * work.trainable,
        "gradients": 4 * work.trainable,
        "optimizer": round(adam * work.trainable),
        "activations": round(heap * activations),
        "logits": round(heap * _logits_bytes(facts, work)),
        "quantization": _unpacked(facts, work),
        "framework": _framework(accelerated),
    }


def training_peak(facts: ModelFacts, work: Workload, *, accelerated: bool) -> int:
    """Bytes at the peak of a training step.

    Without accumulation there are no gradients when the backward pass begins, and no activations when it ends.
    """
    parts = training_memory(facts, work, accelerated=accelerated)
    passing = parts["activations"] + parts["logits"]
    spared = 0 if work.accumulates else min(parts["gradients"], passing)
    return sum(parts.values()) - spared


def evaluation_memory(facts: ModelFacts, work: Workload, *, accelerated: bool) -> int:
    """Bytes at the peak of scoring the dev half between two steps: the optimizer stays, the graph is gone."""
    tokens = min(scoring.BATCH_TOKENS, scoring.BATCH_ROWS * work.max_length)
    logits = min(scoring.LOGITS_BYTES, 4 * tokens * facts.vocabulary) * LOGITS_COPIES
    training = training_memory(facts, work, accelerated=accelerated)
    held = ("weights", "adapter", "optimizer", "quantization", "framework")
    return sum(training[name] for name in held) + _one_layer(facts, work, tokens) + logits


def generation_memory(facts: ModelFacts, work: Workload, *, accelerated: bool) -> int:
    """Bytes at the peak of writing answers after the run: a full key-value cache, and no optimizer."""
    tokens = min(generation.BATCH_TOKENS, generation.BATCH_ROWS * facts.context)
    cache = tokens * facts.layers * 2 * facts.key_value_size * work.width
    logits = generation.BATCH_ROWS * facts.vocabulary * 4 * LOGITS_COPIES
    training = training_memory(facts, work, accelerated=accelerated)
    held = ("adapter", "quantization", "framework")
    weights = facts.parameters * WIDTHS[work.precision] if work.full else training["weights"]
    return sum(training[name] for name in held) + weights + cache + logits + _one_layer(facts, work, tokens)


def peaks(facts: ModelFacts, work: Workload, *, accelerated: bool) -> dict[str, int]:
    """Bytes at the peak of each phase."""
    return {
        "training": training_peak(facts, work, accelerated=accelerated),
        "evaluation": evaluation_memory(facts, work, accelerated=accelerated),
        "generation": generation_memory(facts, work, accelerated=accelerated),
    }


def base_weights(facts: ModelFacts, work: Workload) -> int:
    """The base model's weights as they lie in memory."""
    if work.full:
        # Weights that learn stay in float32; computing in less keeps a copy in less beside them (autocast's cache).
        copy = WIDTHS[work.precision] if work.precision != "float32" else 0
        return (4 + copy) * facts.parameters
    if work.quantization is None:
        return facts.parameters * WIDTHS[work.precision]
    # What is not quantized (embeddings, norms, experts) is prepared in float32.
    quantized = facts.parameters - facts.embeddings
    return round(quantized * _QUANTIZED_BYTES[work.quantization]) + facts.embeddings * work.width


def _logits_bytes(facts: ModelFacts, work: Workload) -> int:
    """Only positions that carry loss go through the output head, and only so many of them at a time."""
    half = 0 if work.width == 4 else work.width  # as the head gives them, before they become float32
    positions = min(work.loss_tokens, max(1, LOGITS_BYTES // (4 * facts.vocabulary)))
    return positions * facts.vocabulary * (4 * LOGITS_COPIES + half)


def _unpacked(facts: ModelFacts, work: Workload) -> int:
    """Quantized matrices are unpacked one at a time to be multiplied; the largest sets the peak."""
    if work.quantization is None:
        return 0
    largest = max((matrix.inputs * matrix.outputs for matrix in facts.matrices), default=0)
    return largest * WIDTHS[work.precision]


def _one_layer(facts: ModelFacts, work: Workload, tokens: int) -> int:
    """What lives at a time without a backward pass: a layer's input and the widest tensors inside it."""
    return tokens * (4 * facts.hidden_size + 3 * facts.intermediate_size) * work.width


def _framework(accelerated: bool) -> int:
    return _FRAMEWORK_WITH_ACCELERATOR if accelerated else _FRAMEWORK
