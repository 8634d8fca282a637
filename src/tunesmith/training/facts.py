"""What a plan is made from: figures about the model and the data, read without loading any weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.schemas.errors import EmptyMask
from tunesmith.training.architecture import bare_model, check_embeddings
from tunesmith.training.attention import AttentionFacts, attention_facts
from tunesmith.training.base_model import safetensors_headers
from tunesmith.training.rendering import Rendered, Renderer, RowDropped
from tunesmith.training.targets import Matrix, matrices_of

SAMPLED_ROWS = 2000
_DEFAULT_CONTEXT = 2048
_USUAL_ATTENTION = AttentionFacts()


@dataclass(frozen=True)
class ModelFacts:
    """Shape of a base model. `context` is in tokens; `stored_bytes` is what its weights take on disk.

    `query_size` is what all query heads of a layer have together, as wide as `hidden_size` unless stated.
    """

    hidden_size: int
    layers: int
    intermediate_size: int
    key_value_size: int
    vocabulary: int
    context: int
    parameters: int
    stored_bytes: int
    matrices: Sequence[Matrix]
    query_size: int = 0
    heads: int = 0
    attention: AttentionFacts = _USUAL_ATTENTION

    @property
    def queries(self) -> int:
        """The size of a token's queries in one layer, all heads together."""
        return self.query_size or self.hidden_size

    @property
    def embeddings(self) -> int:
        """Weights that no adaptable matrix holds: embedding, output head, norms, experts kept as one tensor."""
        return max(0, self.parameters - sum(matrix.inputs * matrix.outputs for matrix in self.matrices))


@dataclass(frozen=True)
class DataFacts:
    """Token lengths of (a sample of) the training rows, uncut, shortest first; `example` is one of them.

    `prompt_lengths` are the tokens before the first one that carries loss, in the same order. `loss_share` is the
    share of all tokens that carry loss.
    """

    rows: int
    lengths: Sequence[int]
    prompt_lengths: Sequence[int]
    dropped: int
    example: Rendered
    loss_share: float = 1.0

    def length_at(self, share: float) -> int:
        """The length that this share of the rows does not exceed."""
        return self.lengths[max(0, math.ceil(share * len(self.lengths)) - 1)]

    def share_longer_than(self, tokens: int) -> float:
        return sum(length > tokens for length in self.lengths) / len(self.lengths)

    def share_without_answer(self, tokens: int) -> float:
        """The share of rows whose prompt alone fills `tokens`: they cannot be trained on."""
        return sum(prompt >= tokens for prompt in self.prompt_lengths) / len(self.prompt_lengths)

    def mean_length(self, limit: int) -> float:
        return sum(min(length, limit) for length in self.lengths) / len(self.lengths)

    def row_of_a_token(self, limit: int) -> float:
        """The mean length of the row that a token is in, rows cut to `limit` tokens: long rows have more of them."""
        cut = [min(length, limit) for length in self.lengths]
        return sum(length * length for length in cut) / max(1, sum(cut))


def read_model_facts(folder: Path) -> ModelFacts:
    """Facts from config.json and the heads of the weights files.

    Raises:
        UnsupportedModel: a file is damaged, or transformers cannot build the model, or its weights are not what
            config.json says.
    """
    model = bare_model(folder)
    check_embeddings(folder, model)
    parameters = stored = 0
    for _, size, header in safetensors_headers(folder):
        stored += size
        parameters += sum(math.prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
    return facts_of(model, parameters, stored)


def facts_of(model: Any, parameters: int, stored_bytes: int) -> ModelFacts:
    """Facts about a causal language model whose parameters need no values (see `bare_model`)."""
    config = model.config.get_text_config()
    hidden = int(config.hidden_size)
    heads = int(getattr(config, "num_attention_heads", 1) or 1)
    head_size = int(getattr(config, "head_dim", None) or hidden // heads)
    return ModelFacts(
        hidden_size=hidden,
        layers=int(config.num_hidden_layers),
        intermediate_size=int(getattr(config, "intermediate_size", None) or 4 * hidden),
        key_value_size=int(getattr(config, "num_key_value_heads", None) or heads) * head_size,
        vocabulary=int(config.vocab_size),
        context=_context(config),
        parameters=parameters,
        stored_bytes=stored_bytes,
        matrices=matrices_of(model),
        query_size=heads * head_size,
        heads=heads,
        attention=attention_facts(config, model),
    )


def measure_rows(renderer: Renderer, rows: Iterable[Any], count: int) -> DataFacts:
    """Facts about `count` rows, from at most about 2,000 of them, evenly spread.

    Raises:
        EmptyMask: none of them can be rendered.
    """
    stride = max(1, count // SAMPLED_ROWS)
    rendered: list[Rendered] = []
    dropped = 0
    for index, row in enumerate(rows):
        if index % stride:
            continue
        try:
            rendered.append(renderer.render(row))
        except RowDropped:
            dropped += 1
    if not rendered:
        raise EmptyMask(
            "No row of the dataset has an answer that this model's template can mark.",
            "Load the data in another format (load_dataset, format=...), then call configure_lora again.",
        )
    return data_facts(rendered, count, dropped)


def data_facts(rendered: Sequence[Rendered], count: int, dropped: int) -> DataFacts:
    """Facts about `count` rows from a sample of them, of which `dropped` more could not be rendered."""
    rows = sorted(rendered, key=lambda row: len(row.input_ids))
    return DataFacts(
        rows=count,
        lengths=[len(row.input_ids) for row in rows],
        prompt_lengths=[_first_loss(row) for row in rows],
        dropped=dropped,
        example=rows[len(rows) // 2],
        loss_share=sum(row.loss_tokens for row in rows) / sum(len(row.input_ids) for row in rows),
    )


def _first_loss(row: Rendered) -> int:
    return next(index for index, label in enumerate(row.labels) if label >= 0)


def _context(config: Any) -> int:
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return _DEFAULT_CONTEXT
