"""What a forward pass keeps for the backward pass: bytes for each token of one layer, and what all layers share.

Counted from what each operation of a decoder layer saves for its gradient, in the way of Korthikanti et al.,
"Reducing Activation Recomputation in Large Transformer Models" (arXiv:2205.05198, section 4.1), with three differences:
fused attention saves no scores; what only the gradient of a frozen weight would need (the input of its matrix) is not
saved; and LoRA saves the input of each matrix that it adapts a second time, because its own weights learn. On a
processor packed rows attend one by one (training/row_attention.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import Attention, Precision, Quantization
from tunesmith.training.attention import is_written_out
from tunesmith.training.facts import ModelFacts
from tunesmith.training.targets import Matrix, adapted

WIDTHS: dict[Precision, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes a number."""


@dataclass(frozen=True)
class Workload:
    """One training, as far as memory is concerned.

    `tokens` go through the model at a time, in sequences of at most `max_length`; `loss_tokens` of them carry loss.
    `targets` are LoRA's; `trainable` counts the weights that learn. `accumulates`: a step is more than one pass.
    `row_tokens` are those of the row that a token is in, on average; 0 stands for `max_length`.
    """

    method: TuningMethod
    precision: Precision
    quantization: Quantization | None
    trainable: int
    tokens: int
    loss_tokens: int
    max_length: int
    activation_checkpointing: bool = False
    optim: str = "adamw_torch"
    targets: Sequence[str] = ()
    dropout: float = 0.0
    use_dora: bool = False
    packing: bool = False
    accumulates: bool = False
    attn_implementation: Attention = "sdpa"
    row_tokens: int = 0

    @property
    def full(self) -> bool:
        return self.method is TuningMethod.FULL

    @property
    def width(self) -> int:
        """Bytes a number between two layers.

        Quantized models are prepared with their norms and embeddings in float32 (PEFT), and each quantized layer
        hands on the type that it was given.
        """
        return 4 if self.quantization is not None else WIDTHS[self.precision]

    @property
    def adapter_width(self) -> int:
        """Bytes a number that an adapter works with: its weights are in float32, and over a base in bfloat16 its
        products in bfloat16."""
        mixed = (
            self.method is TuningMethod.LORA and self.precision == "bfloat16" and self.quantization is None
        )
        return WIDTHS["bfloat16"] if mixed else 4


def kept_bytes(facts: ModelFacts, work: Workload, *, on_processor: bool) -> int:
    """What all layers keep at the end of a forward pass, in bytes."""
    layer = layer_bytes(facts, work, on_processor=on_processor) * work.tokens
    if work.activation_checkpointing:
        # The input of each layer (arXiv:1604.06174), and all of the layer that is being computed again.
        return round(facts.layers * facts.hidden_size * work.width * work.tokens + layer)
    return round(facts.layers * layer)


def layer_bytes(facts: ModelFacts, work: Workload, *, on_processor: bool) -> float:
    """What one layer keeps for each token, in bytes."""
    hidden, queries, inner = facts.hidden_size, facts.queries, facts.intermediate_size
    # Both norms keep their input in float32; attention keeps queries, keys, values (one for each query head, as they
    # are handed to it) and its output; a gated MLP keeps the gate before and after its activation, and what it
    # multiplies.
    base = 2 * hidden * 4 + 4 * queries * work.width + 3 * inner * work.width
    base += _scores_bytes(facts, work, on_processor=on_processor)
    if work.full:
        # Each matrix learns and keeps its input; the norms' weights keep what they scale.
        return base + (2 * hidden + queries + inner + 2 * hidden) * work.width
    return base + _adapter_bytes(facts, work, on_processor=on_processor)


def backward_bytes(facts: ModelFacts, work: Workload) -> int:
    """What lives for a moment while one layer's gradients are computed: the gradients of its widest tensors."""
    return 3 * facts.intermediate_size * work.width * work.tokens


def _scores_bytes(facts: ModelFacts, work: Workload, *, on_processor: bool) -> int:
    """What keeps rows apart, and scores that are written out."""
    if (
        on_processor
        and work.packing
        and facts.attention.attends_by_row(work.attn_implementation, work.max_length)
    ):
        tokens = work.row_tokens or work.max_length
        head_size = facts.queries // max(1, facts.heads)
        written = is_written_out(work.precision == "bfloat16", head_size, tokens)
        return 4 * facts.heads * tokens if written else 0
    # The mask of a shared sequence: each layer turns it into numbers of its own.
    mask = work.max_length * work.width if work.packing else 0
    if work.attn_implementation == "eager":
        # Scores after softmax, in float32 and as they are multiplied with the values.
        mask += facts.heads * work.max_length * (4 + work.width)
    return mask


def _adapter_bytes(facts: ModelFacts, work: Workload, *, on_processor: bool) -> float:
    """Each adapted matrix' input as the adapter takes it, its dropout mask, and the small product in between."""
    if not work.targets:
        return 0.0
    chosen = adapted(work.targets, facts.matrices)
    rank = work.trainable / max(1, sum(matrix.inputs + matrix.outputs for matrix in chosen))
    total = work.adapter_width * rank * len(chosen) + sum(
        _input_bytes(chosen, work, on_processor=on_processor)
    )
    if work.use_dora:
        total += sum(2 * matrix.outputs * work.width for matrix in chosen)
    return total / facts.layers


def _input_bytes(chosen: Sequence[Matrix], work: Workload, *, on_processor: bool) -> Iterator[int]:
    width = work.adapter_width
    if not work.dropout and work.width == width:
        # Without dropout and without a cast, matrices that read the same tensor keep it once: q, k and v; gate and up.
        yield from (width * inputs for _, inputs in {(m.name.rpartition(".")[0], m.inputs) for m in chosen})
        return
    # Dropout's mask is of the input's own type on a processor, and of bytes on an accelerator.
    mask = (width if on_processor else 1) if work.dropout else 0
    yield from (matrix.inputs * (width + mask) for matrix in chosen)
